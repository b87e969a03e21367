"""Keys for programs: API tokens with a scope and an end. The text is shown once, on the page that made it; its hash is all that is kept.

Everybody makes keys of their own: a key does what its maker may. In a list office each person sees their own, an officer everybody's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import ColumnElement, select
from starlette.responses import Response

from admin.audit import Action, record
from admin.dependencies import Visit, need
from admin.errors import FieldMistake, NotFound
from admin.following import keeps_machine
from admin.permissions import SCOPES, Permission, Scope
from admin.routes.home import waiting_of
from admin.sessions import create_token, revoke_token
from admin.tables import api_token_scopes, api_tokens
from blocklists.tables import OrganisationKind, accounts

router = APIRouter()

Manager = Annotated[Visit, Depends(need(Permission.TOKEN_MANAGE))]
Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]

LIVES = {"30": timedelta(days=30), "90": timedelta(days=90), "365": timedelta(days=365)}
#: What a choice on the page means: to look; to look and change; to work on the list; to say which gateways follow whom.
CHOICES = {
    "read": frozenset({Scope.READ}),
    "policy": frozenset({Scope.READ, Scope.POLICY}),
    "list": frozenset({Scope.READ, Scope.LIST}),
    "machines": frozenset({Scope.READ, Scope.MACHINES}),
}
#: What is chosen by itself, because it hands out access, cannot be undone or holds everybody's data: the scope, and a permission that shows
#: whether this person could do any of it.
FURTHER = {
    Scope.PEOPLE: (Permission.PEOPLE_MANAGE, Permission.FAMILY_HOST),
    Scope.ERASE: (Permission.PROFILE_ERASE,),
    Scope.BACKUP: (Permission.SYSTEM_BACKUP,),
    Scope.BACKUP_READ: (Permission.BACKUP_TAKE,),
}


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
    scope = visit.form.one_of("scope", await _offered(visit))
    life = visit.form.one_of("life", LIVES)
    if visit.form.mistakes:
        return await _page(visit, mistakes=tuple(visit.form.mistakes))
    scopes = CHOICES[scope] | {one for one in _further(visit) if one.value in visit.form.many("also")}
    ends = visit.now + LIVES[life]
    async with visit.services.database.write() as connection:
        account = visit.signed_in.actor.account_id
        token, secret = await create_token(connection, visit.tenant_id, account, label, scopes, visit.now, ends)
        after = {"scope": " ".join(sorted(scopes)), "ends": ends.isoformat()}
        await record(connection, visit.act, Action.TOKEN_CREATED, token, after=after)
    return await _page(visit, secret)


@router.post("/tokens/{token}/revoke")
async def revoke(token: str, visit: Looker) -> Response:
    """Take one back: it is worth nothing from now on. No password is asked: this tightens."""
    if not visit.may(Permission.TOKEN_MANAGE):
        raise NotFound
    async with visit.services.database.write() as connection:
        shown = (await connection.execute(select(api_tokens.c.id).where(*_shown(visit), api_tokens.c.id == token))).first()
        if shown is None or not await revoke_token(connection, visit.tenant_id, token, visit.now):
            raise NotFound
        await record(connection, visit.act, Action.TOKEN_REVOKED, token)
    return visit.go("/tokens")


async def _offered(visit: Visit) -> list[str]:
    """The choices that mean something for the person at the page, the smallest first."""
    async with visit.services.database.read() as connection:
        keeps = await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id)
    fitting = {"read": True, "policy": visit.may(Permission.PROFILE_TIGHTEN), "machines": keeps or visit.may(Permission.GATEWAY_JOIN)}
    fitting["list"] = any(visit.may(permission) for permission in SCOPES[Scope.LIST])
    return [choice for choice in CHOICES if fitting[choice]]


def _shown(visit: Visit) -> tuple[ColumnElement[bool], ...]:
    """Which keys this person sees and may take back."""
    everybodys = visit.tenant.kind is not OrganisationKind.OFFICE or visit.may(Permission.OFFICER_APPOINT)
    mine = () if everybodys else (api_tokens.c.account_id == visit.signed_in.actor.account_id,)
    return (api_tokens.c.tenant_id == visit.tenant_id, *mine)


def _further(visit: Visit) -> list[Scope]:
    return [scope for scope, permissions in FURTHER.items() if any(map(visit.may, permissions))]


async def _page(visit: Visit, secret: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        alive = (*_shown(visit), api_tokens.c.revoked_at.is_(None), api_tokens.c.ends_at > visit.now)
        statement = select(api_tokens, accounts.c.name).join(accounts, accounts.c.id == api_tokens.c.account_id)
        tokens = (await connection.execute(statement.where(*alive).order_by(api_tokens.c.created_at))).all()
        listed = select(api_token_scopes).where(api_token_scopes.c.tenant_id == visit.tenant_id)
        scopes: dict[str, set[str]] = {}
        for row in await connection.execute(listed):
            scopes.setdefault(row.token_id, set()).add(row.scope)
    context = {
        "tokens": [(row, _choice_of(scopes.get(row.id, set())), scopes.get(row.id, set())) for row in tokens],
        "further": _further(visit),
        "secret": secret,
        "mistakes": mistakes,
        "lives": list(LIVES),
        "offered": await _offered(visit),
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/tokens.html", context, 422 if mistakes else 200)


def _choice_of(scopes: set[str]) -> str:
    return max((choice for choice, wanted in CHOICES.items() if wanted <= scopes), key=lambda choice: len(CHOICES[choice]), default="read")
