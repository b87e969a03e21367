"""Takedown orders above the index: which order binds a name at a moment. Any package may import this module.

Orders come in segments; later ones win. A segment brings orders (one with the id of an earlier order replaces it), entries, and lifted
entries. Dates decide what is in force, so one overlay gives another `OrderView` after each boundary; the view is a value and does no I/O.

An order may be for some places or organisations only (`"scope": {"places": [], "organisations": []}`, either widens): it binds clients
that are there, and clients of whom nobody said where they are, since a gap in what is known never opens a name.

A segment: `{"format": 1, "orders": [...], "entries": [[key, match, order]], "lifted": [[key, order id]]}`; a lifted row with an empty key
lifts the whole order. In the place of a key may stand its mask (`policy.masked`). Moments are ISO 8601 with an offset or Z, or a date: from
its first minute, until its last (in Viet Nam's time).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from gateway.errors import GenerationError
from gateway.policy.masked import MaskedTable, is_masked, mask
from gateway.policy.model import CHILD_BANDS, NEVER, Band
from gateway.policy.names import Coverage, above
from gateway.policy.schedule import DEFAULT_ZONE, zone_of
from gateway.wire.name import covering_keys

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom an order is: everybody when both are empty. A place is `12` (a province) or `12.03385` (a commune in it)."""

    places: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()

    def covers(self, place: str, organisation: str) -> bool:
        """Whether it binds a client there; an empty text says that this is not known, which binds."""
        if self.organisations and (not organisation or organisation in self.organisations):
            return True
        if self.places:
            return not place or any(_overlap(place, one) for one in self.places)
        return not self.organisations


def _overlap(first: str, second: str) -> bool:
    """Whether one place is the other, or lies in it."""
    return first == second or first.startswith(f"{second}.") or second.startswith(f"{first}.")


EVERYWHERE: Final = Scope()


@dataclass(frozen=True, slots=True)
class Order:
    """One order. In force from `start` until before `until` (unix seconds, `NEVER` when it has no end) for the clients of `bands`."""

    id: str
    number: str
    issuer: str
    issued_on: str
    basis: tuple[str, ...]
    category: str
    bands: frozenset[Band]
    start: float
    until: float
    urgent: bool
    appeal: str
    scope: Scope = EVERYWHERE

    def is_active(self, now: float) -> bool:
        """Whether it is in force at `now` (unix seconds)."""
        return self.start <= now < self.until


Entries = Mapping[str, tuple[tuple[Coverage, Order], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class OrderView:
    """The orders in force from `since` until before `valid_until` (unix seconds). `identity` is equal for equal content."""

    identity: tuple[object, ...]
    entries: Entries
    active: frozenset[str]
    since: float
    valid_until: float
    #: Scopes of orders in force that are not for everybody.
    scopes: frozenset[Scope] = frozenset()
    #: Names that have an entry below them; None when nobody can tell, because some entries are masked.
    above: frozenset[str] | None = frozenset()

    def may_touch(self, key: str) -> bool:
        """Whether the name, one above it or one below it may have an entry."""
        entries = self.entries
        return self.above is None or key in self.above or (bool(entries) and any(part in entries for part in covering_keys(key)))

    def scopes_at(self, place: str, organisation: str) -> frozenset[Scope]:
        """The narrowed scopes that bind a client there."""
        return frozenset(scope for scope in self.scopes if scope.covers(place, organisation))

    def find(self, key: str, bands: frozenset[Band], scopes: frozenset[Scope] = frozenset()) -> list[Order]:
        """The orders that bind the name for a client of `bands` and `scopes`: the longest listed name first, the latest issued first."""
        found: list[Order] = []
        end = key.find(".") + 1
        while end:
            rows = self.entries.get(key[:end])
            if rows is not None:
                bound = [
                    order
                    for coverage, order in rows
                    if order.id in self.active
                    and coverage.covers(end == len(key))
                    and not bands.isdisjoint(order.bands)
                    and (order.scope is EVERYWHERE or order.scope in scopes)
                ]
                bound.sort(key=lambda order: order.issued_on)
                found.extend(bound)
            end = key.find(".", end) + 1
        found.reverse()
        return found


class Overlay:
    """Every order of a generation with its entries."""

    def __init__(self, segments: Iterable[tuple[str, object]], serial: int = 0) -> None:
        """Segments as (file name, parsed JSON), earliest first. Raises GenerationError for the first that is not one."""
        self.serial = serial
        self._names: list[str] = []
        orders: dict[str, Order] = {}
        entries: dict[tuple[str, str], Coverage] = {}
        for name, document in segments:
            self._names.append(name)
            try:
                _apply(document, orders, entries)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise GenerationError(f"files/{name}", f"is not an order segment: {type(error).__name__} {error}") from error
        table: dict[str, list[tuple[Coverage, Order]]] = {}
        for (key, identity), coverage in entries.items():
            table.setdefault(key, []).append((coverage, orders[identity]))
        complete = {key: tuple(rows) for key, rows in table.items()}
        self._entries: Entries = MaskedTable(complete) if any(map(is_masked, complete)) else complete
        self._orders = tuple({order.id: order for rows in self._entries.values() for _, order in rows}.values())
        self._above = above(complete) if self._entries is complete else None
        self._view: OrderView | None = None

    def at(self, now: float) -> OrderView:
        """What is in force at `now` (unix seconds)."""
        view = self._view
        if view is None or not view.since <= now < view.valid_until:
            moments = {moment for order in self._orders for moment in (order.start, order.until)}
            active = frozenset(order.id for order in self._orders if order.is_active(now))
            view = self._view = OrderView(
                identity=(tuple(self._names), active) if active else (),
                entries=self._entries if active else {},
                active=active,
                since=max((moment for moment in moments if moment <= now), default=-NEVER),
                valid_until=min((moment for moment in moments if moment > now), default=NEVER),
                scopes=frozenset(order.scope for order in self._orders if order.id in active and order.scope is not EVERYWHERE),
                above=self._above if active else frozenset(),
            )
        return view


def _apply(document: object, orders: dict[str, Order], entries: dict[tuple[str, str], Coverage]) -> None:
    if not isinstance(document, dict) or document["format"] != _FORMAT:
        raise ValueError(f"format must be {_FORMAT}")
    rows = [_read_order(row) for row in document["orders"]]
    for order in rows:
        orders[order.id] = order
    for key, identity in _lifted(document.get("lifted") or ()):
        if key:
            entries.pop((key, identity), None)
            if is_masked(key):  # listed in clear by a version from before names were masked
                for entry in [entry for entry in entries if entry[1] == identity and mask(entry[0]) == key]:
                    del entries[entry]
        else:
            for entry in [entry for entry in entries if entry[1] == identity]:
                del entries[entry]
    for key, match, number in document["entries"]:
        if not isinstance(key, str) or not key.endswith("."):
            raise ValueError(f"entry {key!r} is not a key")
        entries[key, rows[number].id] = Coverage(match)


def _lifted(rows: Sequence[Any]) -> Iterable[tuple[str, str]]:
    for key, identity in rows:
        yield str(key or ""), str(identity)


def _read_order(row: Mapping[str, Any]) -> Order:
    bands = row.get("bands")
    until = row.get("until")
    if until is None and not row.get("no_end"):
        raise ValueError(f"order {row['id']!r} has neither an end nor no_end")
    return Order(
        id=str(row["id"]),
        number=str(row["number"]),
        issuer=str(row["issuer"]),
        issued_on=str(row.get("issued_on") or ""),
        basis=tuple(str(basis) for basis in row.get("basis") or ()),
        category=str(row.get("category") or "order"),
        bands=CHILD_BANDS if bands is None else frozenset(Band(band) for band in bands),
        start=_moment(row["from"], last=False),
        until=NEVER if until is None else _moment(until, last=True),
        urgent=bool(row.get("urgent")),
        appeal=str(row.get("appeal") or ""),
        scope=_scope(row.get("scope")),
    )


def _scope(written: Mapping[str, Any] | None) -> Scope:  # Any: JSON
    if not written:
        return EVERYWHERE
    found = Scope(*(frozenset(str(one) for one in written.get(name) or ()) for name in ("places", "organisations")))
    return EVERYWHERE if found == EVERYWHERE else found


def _moment(text: str, *, last: bool) -> float:
    if len(text) == 10:
        day = date.fromisoformat(text) + timedelta(days=1 if last else 0)
        return datetime.combine(day, time(), zone_of(DEFAULT_ZONE)).timestamp()
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not say its time zone")
    return moment.timestamp()
