"""The pages for children, without an account: why something is blocked, asking for it, the answer, a short lesson, help.

Served twice: on the explaining page's own listener, where every blocked name leads (the Host header says which), and beside the pages
for adults under the same paths. No script is needed; nothing a page shows names a person; help comes before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from admin.agreeing import agree_history, decline_history
from admin.asking import hints_for, is_distressed
from admin.audit import VISITOR, Act, By
from admin.bystander import Bystander, find_bystander
from admin.choices import read_choices
from admin.dependencies import Services, address_of, language_of, services_of
from admin.edge.arrival import host_of
from admin.edge.cookies import OWN, read_cookie
from admin.errors import FieldMistake, NotFound, TooManyTries
from admin.explanation import BY_CLOCK, Explanation, Variant, explain, explain_clock
from admin.forms import read_form
from admin.history import days_of, find_keeping, make_box, read_day, read_day_choice
from admin.historybox import show_code as grouped
from admin.link import GatewayAway, RecentBlock, SeenDevice
from admin.names import is_whole_ending
from admin.notices import Message
from admin.office import find_office
from admin.onboarding import reach_of
from admin.ownphone import device_of, look
from admin.pages.formats import Formats
from admin.pages.words import mark
from admin.requests import DEVICES_OF_HOME, NOTE_LENGTH, Asked, Quota, ask, find_by_code, read_code
from admin.requests import Request as Asking
from admin.setup import children_at, public_url
from admin.sharing import read_pin
from admin.values import RequestReason
from blocklists.joined import read_joined
from blocklists.normalize import Host, normalize_host
from gateway.notebook import UPSTREAM
from gateway.ownname import ORDERS

router = APIRouter()

MOST_SHOWN = 8
LESSONS = ("scam", "grooming", "betting", "help")
_LESSON_OF = {Variant.SCAM: "scam", Variant.GAMBLING: "betting", Variant.SELF: "help", Variant.ABUSE: "grooming"}


@dataclass(frozen=True, slots=True)
class Here:
    """One reader of these pages."""

    request: Request
    services: Services
    reader: Bystander
    language: str
    #: The gateway does not answer: nobody is known, and nothing can be said about a block.
    is_away: bool = False

    def count(self, quota: Quota) -> None:
        """Count one act of this reader: as the device that it showed to be, else as its address. Raises TooManyTries."""
        own = self.reader.device.id if self.reader.is_shown and self.reader.device is not None else self.reader.address
        quota.take(own, self.services.now(), DEVICES_OF_HOME if self.reader.is_shared else 1)

    def page(self, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> Response:
        """A page in the reader's language and tone."""
        words = self.services.pages.words[self.language]
        formats = Formats(words, self.reader.zone, self.services.now())
        base = {
            "reader": self.reader,
            "band": self.reader.band.value,
            "helplines": self.services.helplines,
            "home": own_address(self.services, self.request),
            # A blocked site's address is nothing to put on a home screen.
            "is_own": not self.request.app.state.is_behind_names or _is_own_host(self.services, self.request),
            # Pages that ask for a PIN are served with the pages for adults only, never behind blocked names.
            "adults_at": public_url(self.services.settings) if self.request.app.state.is_behind_names else "",
            "other": next((code for code in self.services.pages.words if code != self.language), self.language),
            "path": self.request.url.path,
            "mistakes": (),
            "lesson": "help",
            "can_show": not self.reader.is_alone and reach_of(self.services.settings.gateway).is_ready,
        }
        return self.services.pages.render(template, formats, {**base, **(context or {})}, status)


@router.get("/why")
async def show_why(request: Request) -> Response:
    """What was blocked in the last ten minutes for this device; where the address is shared, nothing is shown and the page asks."""
    here = await arrive(request)
    blocks = await _own_blocks(here)
    shelf = here.services.shelves.current()
    names = list(dict.fromkeys(block.name for block in blocks))[:MOST_SHOWN]
    rows = [await _explain(here, name) for name in names]
    shown = [row for row in rows if row.is_told]
    clock = explain_clock(here.reader, "") if here.reader.profile or here.reader.is_unnamed else None
    return here.page("child/why.html", {"rows": shown, "has_untold": len(shown) < len(rows), "clock": clock, "shelf": shelf})


@router.get("/ask")
async def show_ask(request: Request, host: str = "") -> Response:
    """The form: which site, why, and who will read it."""
    here = await arrive(request)
    name = read_host(host)
    if here.reader.tenant is None:
        return here.page("child/nobody.html", {"host": name or ""}, 404)
    if name:
        explanation = await _explain(here, name)
        if not explanation.asks:
            return await blocked_page(here, explanation)
    return here.page("child/ask.html", _form(name or host[:200]))


@router.post("/ask")
async def send(request: Request) -> Response:
    """Look at the words first: help before anything else, whatever is amiss; then what is better left out; then note the request."""
    here = await arrive(request)
    if here.reader.tenant is None:
        return here.page("child/nobody.html", {"host": ""}, 404)
    form = await read_form(request)
    host, reason, note = form.raw("host")[:300], form.raw("reason"), " ".join(form.raw("note").split())
    name = read_host(host)
    mistakes: list[FieldMistake] = []
    if is_distressed(f"{host} {note}") and not form.has("sure"):
        return here.page("child/first.html", _form(name or host, reason, note))
    if not name:
        mistakes.append(FieldMistake("host", "not_a_name" if host else "required"))
    elif is_whole_ending(name):
        mistakes.append(FieldMistake("host", "name_suffix"))
    if reason not in set(RequestReason):
        mistakes.append(FieldMistake("reason", "choose"))
    if len(note) > NOTE_LENGTH:
        mistakes.append(FieldMistake("note", "note_long"))
    context = _form(name or host, reason, note)
    if mistakes or name is None:
        return here.page("child/ask.html", {**context, "mistakes": tuple(mistakes)}, 422)
    hints = [hint.value for hint in hints_for(note)]
    if hints and not form.has("sure"):
        return here.page("child/ask.html", {**context, "hints": hints})
    explanation = await _explain(here, name)
    if not explanation.asks:
        return await blocked_page(here, explanation)
    now = here.services.now()
    try:
        here.count(here.services.quota)
        profile = here.reader.teller.id if here.reader.teller is not None else None
        asked = Asked(profile, name, RequestReason(reason), note, here.reader.band)
        async with here.services.database.write() as connection:
            made = await ask(connection, here.reader.tenant, asked, now)
            choices = await read_choices(connection, here.reader.tenant)
    except TooManyTries as error:
        return here.page("child/enough.html", {}, error.status)
    here.services.post.announce(here.reader.tenant, choices, _waiting_words(here), now)
    return RedirectResponse(f"/answer/{made.code}", 303)


@router.get("/answer")
async def show_code(request: Request, code: str = "") -> Response:
    """A field for the code; a code that was typed leads to its answer."""
    here = await arrive(request)
    wanted = read_code(code)
    if wanted:
        return RedirectResponse(f"/answer/{wanted}", 303)
    return here.page("child/code.html", {"typed": ""})


@router.get("/answer/{code}")
async def show_answer(request: Request, code: str) -> Response:
    """The answer for the child who holds the code."""
    here = await arrive(request)
    wanted = read_code(code)
    found = await find_asked(here, wanted)
    async with here.services.database.read() as connection:
        has_pin = found is not None and found.tenant_id == here.reader.tenant and await read_pin(connection, found.tenant_id) is not None
    if found is None:
        mistakes = (FieldMistake("code", "code_unknown"),)
        return here.page("child/code.html", {"typed": wanted, "mistakes": mistakes}, 404)
    return here.page("child/answer.html", {"asked": found, "answers_here": has_pin})


async def find_asked(here: Here, code: str) -> Asking | None:
    """The request of a code. One of the reader's own family is found however often others guessed from the same address; any other code is
    looked up slowly, right or wrong. Raises TooManyTries."""
    async with here.services.database.read() as connection:
        found = await find_by_code(connection, code, here.services.now())
    if found is None or found.tenant_id != here.reader.tenant:
        here.count(here.services.lookups)
    return found


@router.get("/lesson/{topic}")
async def show_lesson(request: Request, topic: str) -> Response:
    """One short lesson in the reader's tone."""
    if topic not in LESSONS:
        raise NotFound
    here = await arrive(request)
    return here.page("child/lesson.html", {"topic": topic, "topics": LESSONS})


@router.get("/add")
async def show_add(request: Request) -> Response:
    """How to put these pages on the home screen of a phone."""
    here = await arrive(request)
    return here.page("child/add.html", {"address": _typed(here)})


def _typed(here: Here) -> str:
    """What to type to come back to these pages: the short name where they stand alone, else where the reader is now."""
    if not here.request.app.state.is_behind_names:
        return f"{public_url(here.services.settings)}/why"
    return f"{children_at(here.services.settings) or own_address(here.services, here.request)}/"


@router.get("/manifest.webmanifest")
async def give_manifest(request: Request) -> Response:
    """What a phone reads when these pages are put on its home screen: a name and a picture from here, nothing that runs."""
    services = services_of(request)
    words, assets = services.pages.words[language_of(request)], services.pages.assets
    sizes = (192, 512)
    manifest = {
        "name": words.gettext(mark("Why is it blocked?")),
        "short_name": "Lá Chắn",
        "lang": words.language,
        "start_url": "/why",
        "scope": "/",
        "display": "minimal-ui",
        "background_color": "#eef4f0",
        "theme_color": "#0b6b62",
        "icons": [{"src": assets.address(f"icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png"} for size in sizes],
    }
    return JSONResponse(manifest, media_type="application/manifest+json")


@router.get("/help")
async def show_help(request: Request) -> Response:
    """Where help is."""
    here = await arrive(request)
    return here.page("child/help.html")


@router.get("/history")
async def show_history(request: Request) -> Response:
    """What the adults can see of this reader: the child sees the same, with the same code."""
    return await _history_page(await arrive(request), None, "", None)


@router.post("/history")
async def read_history(request: Request) -> Response:
    """One day of it."""
    here = await arrive(request)
    form = await read_form(request)
    here.count(here.services.lookups)
    return await _history_page(here, read_day_choice(form.raw("day")), form.raw("code")[:40], VISITOR)


@router.post("/history/agree")
async def agree(request: Request) -> Response:
    """The child's own yes, on its own device: a history begins, and its code is shown here, once."""
    here = await arrive(request)
    reader = here.reader
    if reader.tenant is None or reader.profile is None or reader.proposal is None:
        raise NotFound
    here.count(here.services.lookups)
    box, code = await make_box()
    async with here.services.database.write() as connection:
        await agree_history(connection, Act(reader.tenant, VISITOR, here.services.now()), reader.profile, box)
    await here.services.applier.settle(reader.tenant)
    return await _history_page(await arrive(request), None, "", None, grouped(code))


@router.post("/history/end")
async def end(request: Request) -> Response:
    """The child's own no: to what was proposed, or to what is kept. It ends at once, and nobody is told why."""
    here = await arrive(request)
    reader = here.reader
    if reader.tenant is None or reader.profile is None or not reader.is_alone or reader.lent_until is not None:
        raise NotFound
    async with here.services.database.write() as connection:
        await decline_history(connection, Act(reader.tenant, VISITOR, here.services.now()), reader.profile.id)
    await here.services.applier.settle(reader.tenant)
    return RedirectResponse("/history", 303)


async def show_blocked(request: Request) -> Response:
    """Whatever path of whatever blocked name: the page that explains it. Only on the explaining page's own listener."""
    here = await arrive(request)
    host = host_of(request.headers.get("host", ""))
    own = here.services.settings.gateway.dns.name
    if host.startswith("check-") and host.endswith(f".{own}"):
        return here.page("child/reached.html")
    if host.startswith("serial.") and host.endswith(f".{own}"):
        return await _version_page(here, host[len("serial.") : -len(own) - 1])
    if host == own or host.endswith(f".{own}") or read_host(host) is None:
        return RedirectResponse("/why", 303) if request.url.path == "/" else here.page("child/why.html", _EMPTY, 404)
    return await blocked_page(here, await _explain(here, host))


async def _version_page(here: Here, name: str) -> Response:
    """Which version of a list is in force on the gateway that led this device here: the test name in a browser."""
    try:
        status = await here.services.link.status()
    except GatewayAway:
        status = {}
    rows = [row for row in status.get("lists") or () if name in (str(row["id"]).lower(), str(row["id"]).lower().rpartition(":")[2])]
    serial = status.get("order_serial") if name == ORDERS else None
    if status and serial is None and not rows:
        return here.page("child/why.html", _EMPTY, 404)
    updated = rows[0].get("updated") if rows else None
    context = {"list": name, "serial": serial, "entries": sum(int(row["entries"]) for row in rows), "is_away": not status}
    context |= {
        "updated": datetime.fromtimestamp(updated, UTC) if updated else None,
        "old_days": (status.get("follow") or {}).get("old_days"),
    }
    return here.page("child/version.html", context)


_EMPTY: Mapping[str, Any] = {"rows": (), "has_untold": False, "clock": None}


async def blocked_page(here: Here, explanation: Explanation) -> Response:
    """The page for one blocked name; an authority's order answers 451, says on whose behalf (RFC 7725) and where to object."""
    if explanation.variant is Variant.ORDER:
        async with here.services.database.read() as connection:
            has_office = await find_office(connection, here.services.now()) is not None
        pages = public_url(here.services.settings) if has_office else joined_pages(here.services.settings.state_dir)
        if pages:
            explanation = replace(explanation, review=f"{pages}/transparency/lookup?{urlencode({'name': explanation.host})}")
    context = {"it": explanation, "variant": explanation.variant.value, "lesson": _LESSON_OF.get(explanation.variant, "help")}
    page = here.page("child/blocked.html", context, explanation.status)
    if explanation.variant is Variant.ORDER:
        page.headers["Link"] = f'<{own_address(here.services, here.request)}/why>; rel="blocked-by"'
    return page


def joined_pages(state_dir: Path) -> str:
    """The public pages of the office that this gateway joined by a code: they stand where its releases do. Empty when none is known."""
    joined = read_joined(state_dir)
    return joined.url.removesuffix("/release") if joined is not None and joined.url.endswith("/release") else ""


async def arrive(request: Request) -> Here:
    """Who reads: by the private name that this browser showed, else by the address alone, from the gateway's memory."""
    services = services_of(request)
    address = address_of(request)
    own = await look(services.link, read_cookie(request, OWN), address)
    seen: SeenDevice | None = None
    is_away = False
    try:
        seen = await services.link.find_device(address)
    except GatewayAway:
        is_away = True
    async with services.database.read() as connection:
        if own.seen:
            seen = await device_of(connection, own, address, services.now()) or seen
        reader = await find_bystander(connection, seen, address, services.shelves.current(), services.now())
    language = request.query_params.get("lang", "")
    return Here(request, services, reader, language if language in services.pages.words else language_of(request), is_away)


def read_host(text: str) -> str | None:
    """The name in what a child typed or a link carried; None when there is none."""
    found = normalize_host(text[:500])
    return found.name if isinstance(found, Host) else None


def own_address(services: Services, request: Request) -> str:
    """The short local name of these pages, for links out of a blocked site's page; empty where the page is its own."""
    page = services.settings.block_page
    own = services.settings.gateway.dns.name
    host = host_of(request.headers.get("host", ""))
    if page is None or host == own or read_host(host) is None:
        return ""
    return f"http://{own}" + ("" if page.port == 80 else f":{page.port}")


def _is_own_host(services: Services, request: Request) -> bool:
    host = host_of(request.headers.get("host", ""))
    return host == services.settings.gateway.dns.name or read_host(host) is None


async def _explain(here: Here, host: str) -> Explanation:
    shelf = here.services.shelves.current()
    if here.is_away and here.request.app.state.is_behind_names:  # a blocked name led here, but nobody can say why
        return Explanation(Variant.FAULT, host, asks=False)
    if here.reader.tenant is None:
        return Explanation(Variant.PLAIN, host, asks=False)
    profile = here.reader.profile.id if here.reader.profile is not None else None
    verdict = await here.services.foresight.judge(here.reader.tenant, profile, host, here.services.now())
    found = explain(verdict, host, here.reader, shelf, here.language)
    if found.opens_at is not None:  # nobody is promised an hour at which something else still closes the name
        later = await here.services.foresight.judge(here.reader.tenant, profile, host, found.opens_at)
        if later is not None and later.blocked and later.reason not in BY_CLOCK:
            found = explain(later, host, here.reader, shelf, here.language)
    if found.variant is Variant.OPEN and any(block.name == host and block.rule == UPSTREAM for block in await _own_blocks(here)):
        return replace(found, variant=Variant.UPSTREAM)
    return found


async def _own_blocks(here: Here) -> list[RecentBlock]:
    if not here.reader.is_alone or here.reader.is_shown:
        return []
    try:
        return await here.services.link.recent_blocks(here.reader.address)
    except GatewayAway:
        return []


async def _history_page(here: Here, day: date | None, code: str, by: By | None, new_code: str = "") -> Response:
    reader = here.reader
    if reader.tenant is None or reader.profile is None or not reader.is_alone or not reader.kept_days:
        return here.page("child/history.html", {"keeping": None})
    now = here.services.now()
    async with here.services.database.read() as connection:
        keeping = await find_keeping(connection, reader.tenant, reader.profile.id)
    blank = {"visits": None, "day": None, "code": ""}
    shelf = here.services.shelves.current()
    context: dict[str, Any] = {**blank, "keeping": keeping, "shelf": shelf, "new_code": new_code}
    context["days"] = days_of(keeping, now, reader.zone)
    if keeping is None or by is None:
        return here.page("child/history.html", context)
    day = day or context["days"][0]
    visits = await read_day(here.services.database, Act(reader.tenant, by, now), keeping, code, day, reader.zone)
    mistakes = (FieldMistake("code", "history_code"),) if visits is None else ()
    return here.page(
        "child/history.html", {**context, "visits": visits, "day": day, "code": code, "mistakes": mistakes}, 422 if mistakes else 200
    )


def _waiting_words(here: Here) -> Message:
    """What a parent is told from afar: that something waits, and where to look. No site, no child, no reason."""
    words = here.services.pages.words[next(iter(here.services.pages.words))]
    text = words.gettext(mark("Open the page of requests when you have a moment: {address}"))
    return Message(words.gettext(mark("Lá Chắn: a request waits")), text.format(address=f"{public_url(here.services.settings)}/requests"))


def _form(host: str, reason: str = "", note: str = "") -> dict[str, Any]:
    return {"host": host, "reason": reason, "note": note, "hints": (), "note_length": NOTE_LENGTH}
