"""The API's whole tenant: one file out, one file in, with a dry run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from admin.choices import read_choices
from admin.edge.conditions import tag_of, take_turn
from admin.errors import Changed, FieldMistake, InvalidInput, NotFound
from admin.importing import export_tenant, import_tenant
from admin.permissions import Permission
from admin.policyfile import has_policy, read_rows
from admin.routes.api import Caller, caller
from admin.schemas import ChangeOut, ImportOut
from admin.tenantfile import write_tenant
from admin.tenantreading import read_tenant
from gateway.errors import SettingsError

router = APIRouter(tags=["tenant"])

YAML = {"application/yaml": {"schema": {"type": "object"}}}
MOST_NAMED = 100
_NO_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@router.get("/tenant", response_class=Response, responses={200: {"content": YAML, "description": "The file."}})
async def write(who: Annotated[Caller, Depends(caller(Permission.TENANT_EXPORT))], secrets: bool = False) -> Response:
    """Everything that was set, as one YAML file. `secrets`: with the private names of phones, so that they need not be set up again; an
    adult's free whichever phone asks by them, so this needs the right to loosen."""
    _check(who)
    if secrets:
        who.require(Permission.PROFILE_LOOSEN)
    tag = await _tag(who)
    text = await export_tenant(who.services.database, who.act, who.tenant.name, who.services.shelves.current(), secrets=secrets)
    return Response(text, media_type="application/yaml", headers={"ETag": tag})


@router.put("/tenant", openapi_extra={"requestBody": {"required": True, "content": YAML}})
async def put_in_place(
    who: Annotated[Caller, Depends(caller(Permission.TENANT_IMPORT))],
    request: Request,
    dry_run: Annotated[bool, Query(description="Say what would change, and change nothing.")] = False,
    if_match: Annotated[str | None, Header(alias="If-Match", include_in_schema=False)] = None,
) -> ImportOut:
    """Make the tenant what the file says, or nothing at all. Every mistake is named by line and path."""
    _check(who)
    if not dry_run:
        who.require(Permission.PROFILE_LOOSEN)
    text = await request.body()
    await take_turn(request.scope, who.tenant_id)
    if if_match is not None and if_match.strip() not in ("*", await _tag(who)):
        raise Changed("changed", "If-Match")
    shelf = who.services.shelves.current()
    try:
        wanted = await asyncio.to_thread(read_tenant, text, shelf)
        changes = await import_tenant(who.services.database, who.act, wanted, shelf, dry_run=dry_run)
    except SettingsError as error:
        raise InvalidInput(*(FieldMistake(one.path, "file", one.message) for one in error.mistakes[:MOST_NAMED])) from error
    if not dry_run:
        await who.services.applier.settle(who.tenant_id)
    listed = [ChangeOut(what=one.what, part=one.part, label=one.label, of=one.of, number=one.number) for one in changes]
    return ImportOut(applied=not dry_run, changes=listed)


async def _tag(who: Caller) -> str:
    """The ETag of the file without its moment, and without that it was read."""
    async with who.services.database.read() as connection:
        rows = await read_rows(connection, who.tenant_id, who.now)
        choices = await read_choices(connection, who.tenant_id)
    return tag_of(write_tenant(rows, who.tenant.name, choices, who.services.shelves.current(), _NO_MOMENT, secrets=True))


def _check(who: Caller) -> None:
    if not has_policy(who.tenant.kind):
        raise NotFound
