"""The home page, and what lies under "more"."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.audit import read_rows as read_journal
from admin.dependencies import Visit, address_of, need
from admin.emergency import list_glasses
from admin.erasing import erased_lately
from admin.figures import read_figures
from admin.following import keeps_machine
from admin.home import Cards, read_cards
from admin.journalview import read_names
from admin.link import GatewayAway, SeenDevice
from admin.officebulletins import bulletins_for
from admin.officetighten import rules_for
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.recovery import find_renewal, find_uses, uses_pin
from admin.requests import count_waiting
from admin.schemas import Serial
from admin.schoolmoves import find_move
from admin.sharing import find_guesses
from admin.tenants import is_alone
from admin.values import ProfileKind
from blocklists.joined import read_missing
from blocklists.tables import OrganisationKind
from gateway.following import describe, read_state

router = APIRouter()

JOURNAL_PAGE = 50
TOLD = timedelta(days=7)
"""How long the home page says that somebody looked in by a document."""


@router.get("/")
async def show_home(visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))], erased: bool = False) -> Response:
    """Every child as a card; an office's inbox; for people without either, the page of more."""
    if visit.may(Permission.OFFICE_READ):
        return visit.go("/office")
    for permission, path in (
        (Permission.CASE_READ, "/office/cases"),
        (Permission.SCHOOLS_COUNT, "/office/schools"),
        (Permission.FIGURES_READ, "/office/figures"),
    ):
        if visit.may(permission):
            return visit.go(path)
    if not visit.may(Permission.PROFILE_READ) or not has_policy(visit.tenant.kind):
        return visit.go("/more")
    seen, away = await look_around(visit)
    async with visit.services.database.read() as connection:
        around = visit.services.applier.around
        cards = await read_cards(connection, visit.tenant_id, seen, visit.services.shelves.current(), visit.now, around)
        waiting = await count_waiting(connection, visit.tenant_id, visit.now) if visit.may(Permission.REQUEST_READ) else 0
        glasses = await list_glasses(connection, visit.now, visit.tenant_id)
        enforcement = await read_enforcement(connection, visit.tenant_id)
        figures = None
        if visit.tenant.kind is OrganisationKind.SCHOOL:
            figures = await read_figures(connection, visit.tenant_id, visit.now, visit.tenant.time_zone)
        news = await bulletins_for(connection, visit.tenant_id, visit.now)
        above = await rules_for(connection, visit.tenant)
        leaving = await find_move(connection, visit.tenant_id)
        guesses = await find_guesses(connection, visit.tenant_id, visit.now)
        renewal = await find_renewal(connection, visit.tenant_id, visit.now)
        alone = await is_alone(connection)
        keeps = await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id)
        erased = erased and await erased_lately(connection, visit.tenant_id, visit.signed_in.actor.account_id, visit.now)
        sheets = await find_uses(connection, visit.tenant_id, visit.now)
    context: dict[str, object] = {
        "figures": figures,
        "networks": cards.networks,
        "unserved": cards.unserved,
        "news": news,
        "renewal": renewal,
        "alone": alone,
        "above": above,
        "leaving": leaving,
        "guesses": guesses,
        "sheets": sheets,
        "erased": erased,
    }
    context["follow"] = await read_following(visit)
    context["certificate"] = await look_at_certificate(visit) if keeps else None
    context["missing"] = await asyncio.to_thread(read_missing, visit.services.settings.state_dir)
    context |= _held(visit, cards) | {"glasses": [one for one in glasses if visit.now - one.until < TOLD]}
    context |= {"cards": cards, "waiting": waiting, "away": away, "enforcement": enforcement, "shelf": visit.services.shelves.current()}
    return visit.page("home/home.html", context)


def _held(visit: Visit, cards: Cards) -> dict[str, Any]:  # Any: what a template takes
    """The device in the reader's hand, while nobody has named it: why it rests, and the press that says whose it is."""
    address = address_of(visit.request)
    held = next((one for one in cards.unnamed if address in (one.address, *one.others)), None)
    adults = next((card.profile for card in cards.others if card.profile.kind is ProfileKind.ADULT), None)
    guests = next((card for card in cards.others if card.profile.kind is ProfileKind.GUEST), None)
    is_told = visit.tenant.kind is OrganisationKind.FAMILY and visit.may(Permission.DEVICE_ASSIGN)
    if not is_told or held is None or adults is None or guests is None:
        return {"held": None}
    return {"held": held, "held_rests": guests.moment, "adults": adults}


@router.get("/more")
async def show_more(visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))]) -> Response:
    """The rest: check this device, the journal, signing out."""
    async with visit.services.database.read() as connection:
        keeps = await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id)
        has_pin = await uses_pin(connection, visit.signed_in.actor.account_id)
    certificate = await look_at_certificate(visit) if keeps else None
    context = {"waiting": await waiting_of(visit), "keeps": keeps, "has_pin": has_pin, "certificate": certificate}
    return visit.page("more/more.html", context)


@router.get("/journal")
async def show_journal(visit: Annotated[Visit, Depends(need(Permission.JOURNAL_READ))], before: Serial | None = None) -> Response:
    """Who changed what: the rows that concern this tenant."""
    async with visit.services.database.read() as connection:
        rows = await read_journal(connection, visit.tenant_id, JOURNAL_PAGE + 1, before)
        names = await read_names(connection, visit.tenant_id, rows) if has_policy(visit.tenant.kind) else None
    context = {"names": names, "rows": rows[:JOURNAL_PAGE], "older": rows[JOURNAL_PAGE - 1].seq if len(rows) > JOURNAL_PAGE else None}
    return visit.page("more/journal.html", {**context, "waiting": await waiting_of(visit)})


async def look_around(visit: Visit) -> tuple[list[SeenDevice], bool]:
    """The devices the gateway has seen at this family or school, and whether it is away."""
    try:
        return await visit.services.link.devices(visit.tenant_id), False
    except GatewayAway:
        return [], True


async def read_following(visit: Visit) -> dict[str, Any] | None:  # Any: JSON values
    """How the list office is followed; None where none is."""
    state = await asyncio.to_thread(read_state, visit.services.settings.state_dir)
    return describe(state, visit.now.timestamp()) if state is not None else None


async def look_at_certificate(visit: Visit) -> dict[str, Any] | None:  # Any: JSON values
    """How the certificate of the encrypted listeners stands, for whoever looks after the machine; None while all is well or nothing is
    known."""
    try:
        told = (await visit.services.link.status()).get("certificate")
    except GatewayAway:
        return None
    if not told or told["standing"] == "good":
        return None
    ends_at = datetime.fromtimestamp(told["ends_at"], UTC) if told["ends_at"] else None
    return {"standing": told["standing"], "ends_at": ends_at, "refused": told["refused"]}


async def waiting_of(visit: Visit) -> int:
    """The number on the tab of requests."""
    if not visit.may(Permission.REQUEST_READ):
        return 0
    async with visit.services.database.read() as connection:
        return await count_waiting(connection, visit.tenant_id, visit.now)
