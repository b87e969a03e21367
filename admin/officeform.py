"""The form of a document: what an officer corrected after the letter was read → a new order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from admin.forms import Form
from admin.officeintake import Unsealed
from admin.officescope import MOST_PLACES, MOST_SCHOOLS, read_places
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.documents import PartialDate, Symbol, SymbolError, parse_date, parse_symbol
from blocklists.takedown.letters import Letter
from blocklists.takedown.model import Enforceability
from blocklists.takedown.store import NewOrder
from blocklists.takedown.workflow import DISTORTED_CAP, STATE_HOST_CAP

CATEGORIES = ("order", "csam", "scam", "gamb", "porn", "groom", "self", "drug", "gore", "terror", "malware", "dist")
EVERYBODY = ("MN", "TH", "CS", "PT", "NL", "KH")
FIELDS = (
    "symbol", "issued_on", "issuer", "capacity", "subject", "basis", "valid_from", "valid_until", "appeal", "scope", "urgent", "no_end",
    "places",
)  # fmt: skip
"""The fields of a document's form."""
MOST_BASIS = 20
_STANDS_ON = re.compile(r"\s*(?:←|<-|<)\s*")
_LAW = re.compile(r"/QH\d+|/NĐ-CP|\bLuật\b|/PL-UBTVQH")
_BLANK_DAY = re.compile(r"^[\s.…_-]*/(\d{1,2})/(\d{4})$")
_WHOLE_DAY = re.compile(r"^\s*\d{1,2}[/.-]\d{1,2}[/.-]\d{4}\s*$")


def first_values(letter: Letter, now: datetime) -> dict[str, str]:
    """What the form is filled in with."""
    issued = letter.issued_on
    today = now.astimezone(VIET_NAM).date()
    until = letter.until
    if until is None and letter.days is not None:
        until = today + timedelta(days=letter.days)
    return {
        "symbol": letter.symbol,
        "issued_on": _shown(issued) if issued else "",
        "issuer": letter.issuer,
        "capacity": letter.capacity,
        "subject": letter.subject,
        "basis": "\n".join(symbol for symbol, _ in letter.basis),
        "valid_from": today.isoformat(),
        "valid_until": until.isoformat() if until else "",
        "appeal": "",
        "scope": "children",
        "urgent": "1" if letter.urgent else "",
        "no_end": "",
        "places": "",
        "bands": "",
        "schools": "",
    }


def values_of(form: Form) -> dict[str, str]:
    """The fields as they came, for showing them again beside their mistakes."""
    return {name: form.raw(name) for name in FIELDS} | {"bands": ",".join(form.many("band")), "schools": ",".join(form.many("school"))}


def read_order_form(form: Form, sealed: Unsealed, now: datetime, known_schools: frozenset[str] = frozenset()) -> NewOrder:
    """The document as the officer stands by it. Raises InvalidInput with every mistake."""
    symbol = _symbol(form)
    issued = _issued(form, now.astimezone(VIET_NAM).date())
    from_day, until_day = _day(form, "valid_from"), _day(form, "valid_until")
    no_end = form.has("no_end")
    starts = _midnight(from_day) if from_day else now
    ends = None if no_end or until_day is None else _midnight(until_day + timedelta(days=1))
    if ends is not None and ends <= max(starts, now):
        form.mistake("valid_until", "end_passed")
    if no_end and symbol is not None and not symbol.is_numbered:
        form.mistake("no_end", "no_end_number")
    category = form.one_of("category", CATEGORIES)
    is_long = no_end or (ends is not None and ends > starts + STATE_HOST_CAP)
    if is_long and any(item.is_state_host and item.verdict is Enforceability.YES for item in sealed.items):
        form.mistake("valid_until", "state_host_days")
    if category == "dist" and (no_end or (ends is not None and ends > starts + DISTORTED_CAP)):
        form.mistake("valid_until", "dist_days")
    issuer = form.text("issuer", 200)
    capacity, subject = form.text("capacity", 120, required=False), form.text("subject", 300, required=False)
    appeal = form.text("appeal", 300, required=False)
    basis, parents = read_chain(form.lines("basis", 400, MOST_BASIS))
    if len(basis) > MOST_BASIS:
        form.mistake("basis", "too_many")
    places, unknown = read_places(form.raw("places")[:2000], now.astimezone(VIET_NAM).date())
    if unknown or len(places) > MOST_PLACES:
        form.mistake("places", "place_unknown")
    bands = _bands(form)
    form.check()
    assert symbol is not None
    return NewOrder(
        symbol=symbol,
        issuer=issuer,
        valid_from=starts,
        valid_until=ends,
        no_end=no_end,
        category=category,
        bands=bands,
        places=places,
        organisations=tuple(sorted(set(form.many("school", MOST_SCHOOLS)) & known_schools)),
        capacity=capacity,
        subject=subject,
        issued_on=issued,
        basis=with_laws(basis),
        basis_parents=parents,
        urgent=form.has("urgent"),
        appeal=appeal,
        file_digest=sealed.file_digest,
        file_bytes=sealed.file_bytes,
        held=sealed.held,
        items=sealed.items,
    )


def with_laws(documents: Iterable[str]) -> tuple[tuple[str, bool], ...]:
    """Documents with whether each is a law or decree."""
    return tuple((document, bool(_LAW.search(document))) for document in documents)


def read_chain(lines: Iterable[str]) -> tuple[tuple[str, ...], tuple[int | None, ...]]:
    """The documents of the basis and, for each, which one stands on it: a line may go on, such as `531/KH-UBND ← 830/QĐ-TTg`."""
    documents: list[str] = []
    parents: list[int | None] = []
    for line in lines:
        above: int | None = None
        for document in _STANDS_ON.split(line):
            if document:
                documents.append(document[:160])
                parents.append(above)
                above = len(documents) - 1
    return tuple(documents), tuple(parents)


def _bands(form: Form) -> tuple[str, ...]:
    """Whom the order binds by age; empty: every child, which is what an order means when it does not say."""
    scope = form.raw("scope")
    if scope == "everybody":
        return EVERYBODY
    if scope != "bands":
        return ()
    chosen = tuple(band for band in EVERYBODY if band in form.many("band"))
    if not chosen:
        form.mistake("scope", "required")
    return chosen


def _symbol(form: Form) -> Symbol | None:
    try:
        return parse_symbol(form.raw("symbol"))
    except SymbolError:
        form.mistake("symbol", "symbol_form" if form.raw("symbol") else "required")
        return None


def _issued(form: Form, today: date) -> PartialDate | None:
    """05/08/2026, or /8/2026 while the clerk has not put the day; a slip (20/13/2026, next year's date) is no date of a document."""
    text = form.raw("issued_on")
    if not text:
        return None
    blank = _BLANK_DAY.match(text)
    found = PartialDate(int(blank[2]), int(blank[1]), None) if blank else parse_date(text)
    if found is None or (found.month is not None and not 1 <= found.month <= 12) or (found.complete is None and _WHOLE_DAY.match(text)):
        form.mistake("issued_on", "date_form")
        return None
    if found.is_after(today):
        form.mistake("issued_on", "issued_later")
        return None
    return found


def _day(form: Form, name: str) -> date | None:
    text = form.raw(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        found = parse_date(text)
        day = found.complete if found else None
        if day is None:
            form.mistake(name, "date_form")
        return day


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), VIET_NAM).astimezone(UTC)


def _shown(issued: PartialDate) -> str:
    day = f"{issued.day:02d}" if issued.day else ""
    return f"{day}/{issued.month:02d}/{issued.year}" if issued.month else f"//{issued.year}"
