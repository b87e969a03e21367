"""Pages for everybody, without an account: the list in numbers, one site at a time, asking for a review, reporting, the answer by code."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from admin.dependencies import address_of, language_of, open_page, services_of
from admin.errors import InvalidInput, NotFound
from admin.forms import read_form
from admin.link import GatewayAway
from admin.office import public_office
from admin.officepublic import REASONS, REPORT_CATEGORIES, ask_again, look_up, read_answer, read_overview, report, school_digest
from admin.officewords import OfficeWords
from blocklists.tables import OrganisationId
from blocklists.takedown.model import State
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()


@router.get("/transparency")
async def overview(request: Request) -> Response:
    """What is blocked and why: counts, dates, documents; no name of a site."""
    services = services_of(request)
    async with services.database.read() as connection:
        office = await public_office(connection, services.now())
        found = await read_overview(connection, office)
    return open_page(request, "transparency/overview.html", {"overview": found, "say": _words(request)})


@router.get("/transparency/lookup")
async def lookup(request: Request, name: str = "") -> Response:
    """One site: by which document, until when, where to appeal."""
    services = services_of(request)
    context: dict[str, object] = {
        "name": name[:253],
        "asked": False,
        "entry": None,
        "basis": [],
        "reasons": REASONS,
        "say": _words(request),
    }
    async with services.database.read() as connection:
        office = await public_office(connection, services.now())
        if name.strip():
            services.office.lookups.spend(address_of(request), time.monotonic())
            try:
                shown, entry, basis = await look_up(connection, office, name)
            except InvalidInput as error:
                return open_page(request, "transparency/lookup.html", {**context, "mistakes": error.mistakes}, error.status)
            context |= {"name": shown, "asked": True, "entry": entry, "basis": basis}
    return open_page(request, "transparency/lookup.html", context)


@router.post("/transparency/review")
async def ask_review(request: Request) -> Response:
    """Ask to look again; the code stands on the page that follows, nothing else is asked of the person."""
    services = services_of(request)
    form = await read_form(request)
    name, note = form.raw("name")[:253], form.raw("note")
    now = services.now()
    tenant = await _tenant_of(request)
    try:
        async with services.database.write() as connection:
            office = await public_office(connection, now)
            school = await school_digest(connection, office, tenant)
            code = await ask_again(connection, office, name, form.raw("reason"), note, now, school)
            services.office.asking.spend(address_of(request), time.monotonic())
    except TransitionRefused as refused:
        async with services.database.read() as connection:
            shown, entry, basis = await look_up(connection, await public_office(connection, now), name)
        context = {
            "name": shown, "asked": True, "entry": entry, "basis": basis, "reasons": REASONS, "say": _words(request),
            "note": note, "fault": _words(request).refusal(refused),
        }  # fmt: skip
        return open_page(request, "transparency/lookup.html", context, 422)
    return open_page(request, "transparency/code.html", {"code": code, "kind": "review"})


@router.get("/transparency/answer")
async def answer(request: Request, code: str = "") -> Response:
    """What became of it."""
    services = services_of(request)
    now = services.now()
    found = None
    async with services.database.read() as connection:
        office = await public_office(connection, now)
        if code.strip():
            services.office.lookups.spend(address_of(request), time.monotonic())
            found = await read_answer(connection, office, code, now)
    waits = False
    if found is not None and found.kind == "review" and found.state == State.OVERTURNED.value and found.decided_at is not None:
        waits = await services.office.signing.waits_since(OrganisationId(office.tenant), found.decided_at)
    context = {"code": code[:32], "found": found, "waits": waits, "say": _words(request)}
    return open_page(request, "transparency/answer.html", context, 404 if code.strip() and found is None else 200)


@router.get("/report")
async def choose_kind(request: Request) -> Response:
    """First of all: is somebody in danger? Then nothing is typed here at all."""
    services = services_of(request)
    async with services.database.read() as connection:
        await public_office(connection, services.now())
    return open_page(request, "transparency/kind.html")


@router.post("/report")
async def send_report(request: Request) -> Response:
    """One step of the report. A danger or a crime shows whom to call and stops; nothing of it is kept."""
    services = services_of(request)
    form = await read_form(request)
    kind = form.raw("kind")
    if kind == "danger":
        return open_page(request, "transparency/danger.html")
    if kind == "mistake":
        return open_page(
            request,
            "transparency/lookup.html",
            {"name": "", "asked": False, "entry": None, "basis": [], "reasons": REASONS, "say": _words(request)},
        )
    if kind != "harmful":
        raise NotFound
    values = {name: form.raw(name) for name in ("name", "category", "reporter", "note")}
    context = {"values": values, "categories": REPORT_CATEGORIES, "say": _words(request)}
    if not form.has("name"):
        return open_page(request, "transparency/report.html", context)
    now = services.now()
    tenant = await _tenant_of(request)
    try:
        async with services.database.write() as connection:
            office = await public_office(connection, now)
            school = await school_digest(connection, office, tenant)
            code = await report(connection, office, values["name"], values["category"], values["reporter"], values["note"], now, school)
            services.office.asking.spend(address_of(request), time.monotonic())
    except InvalidInput as error:
        return open_page(request, "transparency/report.html", {**context, "mistakes": error.mistakes}, error.status)
    return open_page(request, "transparency/code.html", {"code": code, "kind": "report"})


async def _tenant_of(request: Request) -> str | None:
    """Whose network the request comes from, as far as the gateway knows; asked and forgotten."""
    try:
        seen = await services_of(request).link.find_device(address_of(request))
    except GatewayAway:
        return None
    return seen.tenant if seen is not None else None


def _words(request: Request) -> OfficeWords:
    services = services_of(request)
    language = language_of(request)
    shelf = services.shelves.current()
    return OfficeWords(services.pages.words[language], lambda code: shelf.name_of(code, language))
