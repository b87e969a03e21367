"""Breaking the glass, and that it is seen: the operator's form, the list for operators and auditors, the button of the people concerned."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.choices import read_choices
from admin.dependencies import Visit, need
from admin.emergency import HOURS, break_glass, end_glass, list_glasses, list_places
from admin.errors import Conflict, FieldMistake, InvalidInput
from admin.notices import Message
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.setup import public_url
from blocklists.tables import OrganisationKind

log = logging.getLogger(__name__)
router = APIRouter()

#: The people concerned may run another place, too: the message says which one it is.
SUBJECTS = {
    OrganisationKind.FAMILY: _("Lá Chắn: an operator looks at the settings of your family"),
    OrganisationKind.SCHOOL: _("Lá Chắn: an operator looks at the settings of your school"),
}

Reader = Annotated[Visit, Depends(need(Permission.GLASS_READ))]
Breaker = Annotated[Visit, Depends(need(Permission.GLASS_BREAK))]


@router.get("/emergency")
async def show(visit: Reader) -> Response:
    """Who looked into which place by which document; for operators, the form."""
    return await _page(visit)


@router.post("/emergency")
async def begin(visit: Breaker) -> Response:
    """Look into one place for some hours. Its people are told at once."""
    sign_in, document, place = visit.form.text("sign_in", 64), visit.form.text("document", 160), visit.form.raw("place")[:64]
    hours = visit.form.one_of("hours", [str(one) for one in HOURS])
    try:
        visit.form.check()
        async with visit.services.database.write() as connection:
            where = await break_glass(connection, visit.act, sign_in, document, int(hours), place)
            choices = await read_choices(connection, where.id)
    except (InvalidInput, Conflict) as error:
        mistakes = error.mistakes if isinstance(error, InvalidInput) else (FieldMistake(error.field, error.code),)
        return await _page(visit, mistakes, {"sign_in": sign_in, "document": document, "hours": hours, "place": place})
    log.warning("an operator looks into a place by a document", extra={"event": "glass.broken", "hours": int(hours)})
    words = visit.services.pages.words[next(iter(visit.services.pages.words))]
    text = words.gettext(_("Your home page says who it is, by which document and until when, and has the button that ends it: {address}"))
    subject = words.gettext(SUBJECTS[where.kind])
    message = Message(subject, text.format(address=public_url(visit.services.settings)))
    visit.services.post.announce(where.id, choices, message, visit.now, is_urgent=True)
    return visit.go("/emergency")


@router.post("/emergency/{glass}/done")
async def done(glass: str, visit: Reader) -> Response:
    """The operator has seen enough. This tightens, so no password is asked."""
    async with visit.services.database.write() as connection:
        await end_glass(connection, visit.act, glass, of=visit.signed_in.actor.account_id)
    return visit.go("/emergency")


@router.post("/emergency/{glass}/end")
async def end(glass: str, visit: Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]) -> Response:
    """The people of the place end it."""
    async with visit.services.database.write() as connection:
        await end_glass(connection, visit.act, glass)
    return visit.go("/")


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = (), typed: dict[str, str] | None = None) -> Response:
    typed = typed or {"sign_in": "", "document": "", "hours": "", "place": ""}
    async with visit.services.database.read() as connection:
        listed = await list_glasses(connection, visit.now)
        asked = any(one.field == "place" for one in mistakes)
        places = await list_places(connection, typed["sign_in"], visit.now) if asked else ()
    me = visit.signed_in.actor.account_id
    context = {
        "glasses": listed,
        "mine": [one for one in listed if one.is_open(visit.now) and one.account == me and visit.may(Permission.GLASS_BREAK)],
        "hours": HOURS,
        "typed": typed,
        "places": places,
        "me": me,
        "mistakes": mistakes,
        "waiting": 0,
    }
    return visit.page("more/emergency.html", context, 422 if mistakes else 200)
