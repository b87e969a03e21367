"""A family or school as one file, by page: write it, look at what a file would change, put it in place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import NotFound
from admin.forms import read_file
from admin.importing import Change, export_tenant, import_tenant
from admin.pages.filefaults import say
from admin.pages.phrases import CHANGES
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.routes.home import waiting_of
from admin.tenantreading import MOST_BYTES, Wanted, read_tenant
from gateway.errors import Mistake, SettingsError

router = APIRouter()

MOST_SHOWN = 100
Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]


@router.get("/transfer")
async def show(visit: Looker, done: str = "") -> Response:
    """Write a file, or choose one."""
    _check(visit)
    return await _page(visit, done=done == "1")


@router.post("/transfer/export")
async def write(visit: Annotated[Visit, Depends(need(Permission.TENANT_EXPORT))]) -> Response:
    """The file, to the browser; nothing stays here."""
    _check(visit)
    secrets = visit.form.has("secrets")
    text = await export_tenant(visit.services.database, visit.act, visit.tenant.name, visit.services.shelves.current(), secrets=secrets)
    name = f"lachan-{visit.now:%Y%m%d}.yaml"
    return Response(text, media_type="application/yaml", headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.post("/transfer/read")
async def look(visit: Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN, files=1))]) -> Response:
    """What a file would change; nothing changes yet."""
    _check(visit)
    data = await read_file(visit.request, "file", MOST_BYTES + 1)
    try:
        wanted = await _read(visit, data)
        changes = await import_tenant(visit.services.database, visit.act, wanted, visit.services.shelves.current(), dry_run=True)
    except SettingsError as error:
        return await _page(visit, faults=error.mistakes)
    return await _page(visit, changes=changes, text=data.decode("utf-8-sig"))


@router.post("/transfer/apply")
async def put_in_place(visit: Annotated[Visit, Depends(need(Permission.TENANT_IMPORT))]) -> Response:
    """Put the file in place that was looked at. It may open things, so it waits where the family chose to wait."""
    _check(visit)
    visit.require(Permission.PROFILE_LOOSEN)
    try:
        wanted = await _read(visit, visit.form.raw("text").encode())
        await import_tenant(visit.services.database, visit.act, wanted, visit.services.shelves.current())
    except SettingsError as error:
        return await _page(visit, faults=error.mistakes)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/transfer?done=1")


def _check(visit: Visit) -> None:
    if not visit.may(Permission.TENANT_EXPORT) or not has_policy(visit.tenant.kind):
        raise NotFound


async def _read(visit: Visit, data: bytes) -> Wanted:
    return await asyncio.to_thread(read_tenant, data, visit.services.shelves.current())


async def _page(
    visit: Visit,
    *,
    faults: Sequence[Mistake] = (),
    changes: Sequence[Change] | None = None,
    text: str = "",
    done: bool = False,
) -> Response:
    words = visit.services.pages.words[visit.language]
    context = {
        "faults": [(one.path.removeprefix("text:"), say(words, one.message), say(words, one.remedy)) for one in faults[:MOST_SHOWN]],
        "more_faults": max(0, len(faults) - MOST_SHOWN),
        "changes": None if changes is None else [_sentence(visit, change) for change in changes],
        "text": text,
        "done": done,
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/transfer.html", context, 422 if faults else 200)


def _sentence(visit: Visit, change: Change) -> tuple[str, str]:
    """What kind of change it is, and the sentence for a person."""
    words = visit.services.pages.words[visit.language]
    sentence = words.gettext(CHANGES[(change.part.value, change.what.value)])
    return change.what.value, sentence.format(label=change.label, of=change.of, n=change.number)
