"""What a family chooses for itself: waiting before opening, where to be told that a request waits, a digest once a week."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.choices import WAITS_OFFERED, Choices, begin_wait, is_hook, is_mail, read_choices, set_choices
from admin.dependencies import Visit, need
from admin.digest import make_digest
from admin.errors import FieldMistake, NotFound
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.routes.home import look_around, waiting_of
from blocklists.tables import OrganisationKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.REQUEST_ANSWER))]


@router.get("/choices")
async def show(visit: Reader, why: bool = False, stored: bool = False) -> Response:
    """The choices as they stand; `why`: something was pressed that waits."""
    return await _page(visit, why, stored)


@router.post("/choices")
async def change(visit: Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]) -> Response:
    """Change them. A shorter wait loosens, so the whole page asks for the password, and waits where waiting was chosen."""
    form = visit.form
    minutes = form.one_of("cooling", [str(one) for one in WAITS_OFFERED])
    mail = form.text("mail", 120, required=False)
    hook = form.text("hook", 300, required=False)
    if mail and not is_mail(mail):
        form.mistake("mail", "mail_form")
    if hook and not is_hook(hook):
        form.mistake("hook", "hook_form")
    if form.mistakes:
        return await _page(visit, False, False, tuple(form.mistakes))
    async with visit.services.database.write() as connection:
        await set_choices(connection, visit.act, Choices(int(minutes), None, mail, hook, form.has("digest")))
    return visit.go("/choices?stored=1")


@router.post("/choices/wait")
async def wait(visit: Reader) -> Response:
    """The first press: the wait begins."""
    async with visit.services.database.write() as connection:
        await begin_wait(connection, visit.act)
    return visit.go("/choices?why=1")


@router.get("/digest")
async def show_digest(visit: Reader) -> Response:
    """The last whole week, as the letter has it. A school has none: it counts no class."""
    if visit.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    seen, away = await look_around(visit)
    async with visit.services.database.read() as connection:
        digest = await make_digest(connection, visit.tenant_id, visit.now, visit.tenant.time_zone, None if away else seen)
    return visit.page("more/digest.html", {"digest": digest, "waiting": await waiting_of(visit)})


async def _page(visit: Visit, why: bool, stored: bool, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    if not has_policy(visit.tenant.kind):
        raise NotFound
    async with visit.services.database.read() as connection:
        choices = await read_choices(connection, visit.tenant_id)
    context = {
        "choices": choices,
        "typed": {name: visit.form.raw(name) if mistakes else getattr(choices, name) for name in ("mail", "hook")},
        "offered": WAITS_OFFERED,
        "why": why,
        "stored": stored,
        "may_open": choices.may_open(visit.now),
        "is_waiting": choices.is_waiting(visit.now),
        "has_mail": visit.services.post.server is not None,
        "may_change": visit.may(Permission.PROFILE_LOOSEN),
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/choices.html", context, 422 if mistakes else 200)
