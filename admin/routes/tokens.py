"""Keys for programs: API tokens with a scope and an end. The text is shown once, on the page that made it; its hash is all that is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import select
from starlette.responses import Response

from admin.audit import Action, record
from admin.dependencies import Visit, need
from admin.errors import FieldMistake, NotFound
from admin.permissions import Permission, Scope
from admin.routes.home import waiting_of
from admin.sessions import create_token, revoke_token
from admin.tables import api_token_scopes, api_tokens

router = APIRouter()

Manager = Annotated[Visit, Depends(need(Permission.TOKEN_MANAGE))]
Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]

LIVES = {"30": timedelta(days=30), "90": timedelta(days=90), "365": timedelta(days=365)}
#: What a choice on the page means: to look, or to look and change.
CHOICES = {"read": frozenset({Scope.READ}), "policy": frozenset({Scope.READ, Scope.POLICY})}


@router.get("/tokens")
async def show(visit: Looker) -> Response:
    """The keys of this family or school that are alive."""
    if not visit.may(Permission.TOKEN_MANAGE):
        raise NotFound
    return await _page(visit)


@router.post("/tokens")
async def create(visit: Manager) -> Response:
    """Make one; its text is on this page and nowhere else."""
    label = visit.form.text("label", 40)
    scope = visit.form.one_of("scope", CHOICES)
    life = visit.form.one_of("life", LIVES)
    if visit.form.mistakes:
        return await _page(visit, mistakes=tuple(visit.form.mistakes))
    ends = visit.now + LIVES[life]
    async with visit.services.database.write() as connection:
        account = visit.signed_in.actor.account_id
        token, secret = await create_token(connection, visit.tenant_id, account, label, CHOICES[scope], visit.now, ends)
        after = {"scope": scope, "ends": ends.isoformat()}
        await record(connection, visit.act, Action.TOKEN_CREATED, token, after=after)
    return await _page(visit, secret)


@router.post("/tokens/{token}/revoke")
async def revoke(token: str, visit: Looker) -> Response:
    """Take one back: it is worth nothing from now on. No password is asked: this tightens."""
    if not visit.may(Permission.TOKEN_MANAGE):
        raise NotFound
    async with visit.services.database.write() as connection:
        if not await revoke_token(connection, visit.tenant_id, token, visit.now):
            raise NotFound
        await record(connection, visit.act, Action.TOKEN_REVOKED, token)
    return visit.go("/tokens")


async def _page(visit: Visit, secret: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        own = (api_tokens.c.tenant_id == visit.tenant_id, api_tokens.c.revoked_at.is_(None), api_tokens.c.ends_at > visit.now)
        tokens = (await connection.execute(select(api_tokens).where(*own).order_by(api_tokens.c.created_at))).all()
        listed = select(api_token_scopes).where(api_token_scopes.c.tenant_id == visit.tenant_id)
        scopes: dict[str, set[str]] = {}
        for row in await connection.execute(listed):
            scopes.setdefault(row.token_id, set()).add(row.scope)
    context = {
        "tokens": [(row, "policy" in scopes.get(row.id, set())) for row in tokens],
        "secret": secret,
        "mistakes": mistakes,
        "lives": list(LIVES),
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/tokens.html", context, 422 if mistakes else 200)
