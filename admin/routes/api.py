"""The API under /api/v1: an application of its own with a published schema (/api/v1/openapi.json). Only API tokens open it, so no
browser can be made to use it; answers are JSON, errors have a stable code and the field.

Creates may carry `Idempotency-Key`: repeated with the same key within a day, they give what the first one made; with another body or
for another object they are refused (409 `key_used`). Answers carry an `ETag`; what `If-None-Match` and `If-Match` do stands in
`admin.edge.conditions`. Lists are pages: `limit`, and `after` with the cursor the last page gave.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException

from admin.apply import read_enforcement
from admin.audit import Act, by_account
from admin.choices import NOTHING_CHOSEN, Choices, hold, read_choices
from admin.dependencies import Services, services_of
from admin.edge.conditions import Conditions, describe, hold_to
from admin.edge.faults import answer
from admin.errors import AdminError, Conflict, FieldMistake, Forbidden, InvalidInput, NotFound, NotSignedIn
from admin.link import GatewayAway
from admin.permissions import Permission, authorise
from admin.profiles import Profile, load_profile
from admin.schemas import EnforcementOut, FaultReply, PageOf, StatusOut
from admin.sessions import TOKEN_MARK, SignedIn, Tenant, hash_secret, load_token
from admin.tables import api_tokens, creations
from blocklists.tables import OrganisationId

KEY_LIFE = timedelta(days=1)
USED_STEP = timedelta(minutes=1)
PAGE, MOST = 50, 200

Limit = Annotated[int, Query(ge=1, le=MOST)]
After = Annotated[str | None, Query(max_length=64)]

_bearer = HTTPBearer(auto_error=False, description="An API token, made on the page “Keys for programs”.")


@dataclass(frozen=True, slots=True)
class Caller:
    """One request of a program that may do what the route asked for."""

    services: Services
    signed_in: SignedIn
    tenant: Tenant
    act: Act
    choices: Choices = NOTHING_CHOSEN

    @property
    def now(self) -> datetime:
        return self.act.now

    @property
    def tenant_id(self) -> OrganisationId:
        return self.tenant.id

    def require(self, permission: Permission) -> None:
        """Ask for one more permission."""
        hold(permission, self.choices, self.now)
        authorise(self.signed_in.actor, permission, self.tenant.id, self.now)

    def may(self, permission: Permission) -> bool:
        """Whether this key may do something more: its person's role says so, and its scopes."""
        try:
            authorise(self.signed_in.actor, permission, self.tenant.id, self.now)
        except Forbidden:
            return False
        return True


def caller(permission: Permission) -> Callable[..., Awaitable[Caller]]:
    """The dependency of an API route: a caller whose token may do this."""

    async def resolve(request: Request, credentials: Annotated[Any, Depends(_bearer)]) -> Caller:
        services = services_of(request)
        secret = credentials.credentials if credentials is not None else ""
        if not secret.startswith(TOKEN_MARK):
            raise NotSignedIn
        now = services.now()
        async with services.database.read() as connection:
            live = await load_token(connection, secret, now)
            if live is None or live.tenant is None:
                raise NotSignedIn
            due = await _is_use_due(connection, live.tenant.id, secret, now)
        role = authorise(live.actor, permission, live.tenant.id, now)
        if due:
            async with services.database.write() as connection:
                own = (api_tokens.c.tenant_id == live.tenant.id, api_tokens.c.secret_hash == hash_secret(secret))
                await connection.execute(update(api_tokens).where(*own).values(used_at=now))
        async with services.database.read() as connection:
            choices = await read_choices(connection, live.tenant.id)
        hold(permission, choices, now)
        await hold_to(request.scope, live.tenant.id)
        act = Act(live.tenant.id, by_account(live.actor.account_id, role), now)
        return Caller(services, live, live.tenant, act, choices)

    resolve.permission = permission  # type: ignore[attr-defined]  # read by the test that every route names one
    return resolve


def create_api(services: Services) -> FastAPI:
    """The API application, to be mounted at /api/v1."""
    from admin.routes import (
        apidevices,
        apifamily,
        apilistoffice,
        apioffice,
        apiofficefinding,
        apiofficekeeping,
        apiofficeroad,
        apiofficework,
        apipeople,
        apiplace,
        apiprofiles,
        apischools,
        apitenant,
    )

    statuses = (400, 401, 403, 404, 405, 409, 412, 413, 422, 429, 503)
    faults: dict[int | str, dict[str, Any]] = {status: {"model": FaultReply} for status in statuses}
    app = FastAPI(
        title="Lá Chắn",
        version="1",
        description="What the pages of one family, school, host or list office do, for programs. Every error is "
        '{"error": {"code", "field", "fields"}} with a stable code; what stays with a person at the page stands in admin/README.md.',
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=faults,
    )
    app.state.services = services
    for kind in (AdminError, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(HTTPException, answer)
    app.get("/status", response_model=StatusOut, tags=["status"])(show_status)
    app.include_router(apiprofiles.router)
    app.include_router(apidevices.router)
    app.include_router(apifamily.router)
    app.include_router(apitenant.router)
    app.include_router(apipeople.router)
    app.include_router(apiplace.router)
    app.include_router(apioffice.router)
    app.include_router(apiofficework.router)
    app.include_router(apiofficekeeping.router)
    app.include_router(apiofficeroad.router)
    app.include_router(apiofficefinding.router)
    app.include_router(apilistoffice.router)
    app.include_router(apischools.router)
    plain = app.openapi

    def published() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(plain())
        current: Services = app.state.services
        apiprofiles.name_codes(app.openapi_schema, current.shelves.current().catalogue)
        apifamily.name_places(app.openapi_schema, current.now())
        return app.openapi_schema

    app.openapi = published  # type: ignore[method-assign]  # the way FastAPI offers
    app.add_middleware(Conditions, paths=lambda: published()["paths"])
    return app


async def show_status(who: Annotated[Caller, Depends(caller(Permission.STATUS_READ))]) -> StatusOut:
    """The tenant, the gateway, and whether what is stored is in force."""
    try:
        status = await who.services.link.status()
        gateway, generation = str(status.get("state", "ready")), status.get("generation")
    except GatewayAway:
        gateway, generation = "away", None
    async with who.services.database.read() as connection:
        stands = await read_enforcement(connection, who.tenant_id)
    enforcement = EnforcementOut(
        revision=stands.revision,
        applied_revision=stands.applied_revision,
        pending=stands.is_pending,
        changed_at=stands.changed_at,
        applied_at=stands.applied_at,
        generation=stands.generation,
        error=stands.error,
    )
    return StatusOut.model_validate(
        {
            "tenant": who.tenant_id,
            "kind": who.tenant.kind.value,
            "gateway": gateway,
            "generation": generation if isinstance(generation, int) else None,
            "enforcement": enforcement,
        }
    )


IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


async def made_before(connection: AsyncConnection, who: Caller, key: str | None, kind: str, *said: BaseModel | str) -> str | None:
    """The object that an earlier create with this key made; raises Conflict when the key was used for something else, or something else was
    `said` (the body, and where to)."""
    if key is None:
        return None
    own = (creations.c.tenant_id == who.tenant_id, creations.c.key_hash == _key_hash(who, key), creations.c.created_at > who.now - KEY_LIFE)
    row = (await connection.execute(select(creations.c.object_kind, creations.c.object_id).where(*own))).one_or_none()
    if row is None:
        return None
    if row.object_kind not in (kind, _about(kind, said)):  # without a digest: noted by an older version
        raise Conflict("key_used", "Idempotency-Key")
    return str(row.object_id)


async def note_made(connection: AsyncConnection, who: Caller, key: str | None, made: str, kind: str, *said: BaseModel | str) -> None:
    """Remember what a create with this key made; keys older than a day go."""
    old = (creations.c.tenant_id == who.tenant_id, creations.c.created_at <= who.now - KEY_LIFE)
    await connection.execute(delete(creations).where(*old))
    if key is not None:
        values = {"key_hash": _key_hash(who, key), "object_kind": _about(kind, said), "object_id": made, "created_at": who.now}
        await connection.execute(insert(creations).values(tenant_id=who.tenant_id, **values))


async def load_owner(connection: AsyncConnection, who: Caller, profile: str) -> Profile:
    """The profile that a body names. Raises InvalidInput with its field for one that is not there: the address itself is right."""
    try:
        return await load_profile(connection, who.tenant_id, profile)
    except NotFound:
        raise InvalidInput(FieldMistake("profile", "unknown")) from None


_Item = TypeVar("_Item")
_Out = TypeVar("_Out", bound=BaseModel)


def cut_page(items: Sequence[_Item], identity: Callable[[_Item], str], after: str | None, limit: int) -> tuple[list[_Item], str | None]:
    """One page of a list in its order, and the cursor of the next. Raises NotFound for a cursor that is none."""
    start = 0
    if after is not None:
        place = next((place for place, item in enumerate(items) if identity(item) == after), None)
        if place is None:
            raise NotFound("cursor_unknown", "after")
        start = place + 1
    page = list(items[start : start + limit])
    return page, identity(page[-1]) if page and start + limit < len(items) else None


def page_of(items: Sequence[_Out], after: str | None, limit: int) -> PageOf[_Out]:
    """One page of objects that have an id."""
    page, following = cut_page(items, lambda one: str(one.id), after, limit)  # type: ignore[attr-defined]  # each has one
    return PageOf(items=page, next=following)


def _about(kind: str, said: tuple[BaseModel | str, ...]) -> str:
    text = json.dumps([one if isinstance(one, str) else one.model_dump(mode="json") for one in said], sort_keys=True)
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _key_hash(who: Caller, key: str) -> bytes:
    return hashlib.sha256(f"{who.tenant_id}\n{key}".encode()).digest()


async def _is_use_due(connection: AsyncConnection, tenant: OrganisationId, secret: str, now: datetime) -> bool:
    own = (api_tokens.c.tenant_id == tenant, api_tokens.c.secret_hash == hash_secret(secret))
    used = (await connection.execute(select(api_tokens.c.used_at).where(*own))).scalar_one_or_none()
    return used is None or now - used >= USED_STEP
