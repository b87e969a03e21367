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

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Protocol

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


Touched = list[tuple[int, bool, Sequence[tuple[str, Coverage | None]]]]
"""What a segment says about the listed names that cover one: the length of each, whether it is listed under its mask, and its orders
(None: lifted here)."""


class Layer(Protocol):
    """One segment as the overlay asks it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its files."""

    @property
    def moments(self) -> Sequence[float]:
        """When its orders begin and end, in order."""

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes of its orders that are not for everybody."""

    @property
    def lifted_orders(self) -> frozenset[str]:
        """Orders of earlier segments that are lifted whole."""

    def touching(self, key: str) -> Touched:
        """What it says about the listed names that cover `key`."""

    def lists(self, key: str) -> bool:
        """Whether it says anything about a name that covers `key`."""

    @property
    def has_masked(self) -> bool:
        """Whether names stand in it under their masks."""

    def lists_below(self, key: str) -> bool:
        """Whether it may say anything about a name below `key` that stands there in clear."""

    def order(self, identity: str) -> Order | None:
        """The document of an order as this segment brings it."""

    def rows(self) -> Iterator[tuple[str, str, Coverage | None]]:
        """Everything: key, order id, coverage (None: lifted). A walk over all of it, never for a query."""


class SmallLayer:
    """Segments held in memory, laid over each other. Those that are large are mapped instead (`gateway.policy.segment`)."""

    __slots__ = ("_entries", "_lifted", "_orders", "lifted_orders", "moments", "names", "scopes", "table")

    def __init__(self, segments: Iterable[tuple[str, object]] = ()) -> None:
        """Segments as (file name, parsed JSON), earliest first. Raises GenerationError for the first that is not one."""
        self.names: tuple[str, ...] = ()
        self._orders: dict[str, Order] = {}
        self._entries: dict[tuple[str, str], Coverage] = {}
        self._lifted: set[tuple[str, str]] = set()
        for name, document in segments:
            try:
                self._apply(document)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise GenerationError(f"files/{name}", f"is not an order segment: {type(error).__name__} {error}") from error
            self.names += (name,)
        self._settle()

    def over(self, below: SmallLayer) -> SmallLayer:
        """One layer that does what this one does above the one below."""
        made = SmallLayer()
        made.names = below.names + self.names
        made._orders = below._orders | self._orders
        made._entries, made._lifted = dict(below._entries), below._lifted | self._lifted
        for key, identity in self._lifted:
            _lift(made._entries, key, identity)
        made._entries.update(self._entries)
        made._settle()
        return made

    def active(self, now: float, *, alone: bool) -> frozenset[str]:
        """The ids of orders in force; `alone`, with nothing below, of those that something here stands on."""
        wanted: Iterable[str] = {identity for _, identity in self._entries} if alone else self._orders
        return frozenset(one for one in wanted if one in self._orders and self._orders[one].is_active(now))

    def touching(self, key: str) -> Touched:
        """See `Layer`."""
        found: Touched = []
        table = self.table
        masks = table if isinstance(table, MaskedTable) else None
        end = key.find(".") + 1
        while end:
            part = key[:end]
            rows = dict.get(table, part)
            if rows is not None:
                found.append((end, False, rows))
            hidden = masks.hidden(part) if masks is not None else None
            if hidden is not None:
                found.append((end, True, table[hidden]))
            end = key.find(".", end) + 1
        return found

    def lists(self, key: str) -> bool:
        """See `Layer`."""
        return any(part in self.table for part in covering_keys(key))

    def lists_below(self, key: str) -> bool:
        """See `Layer`."""
        return any(one.startswith(key) and one != key for one in self.table)

    @property
    def has_masked(self) -> bool:
        """See `Layer`."""
        return isinstance(self.table, MaskedTable)

    def order(self, identity: str) -> Order | None:
        """See `Layer`."""
        return self._orders.get(identity)

    def rows(self) -> Iterator[tuple[str, str, Coverage | None]]:
        """See `Layer`."""
        for key, rows in self.table.items():
            for identity, coverage in rows:
                yield key, identity, coverage

    def _settle(self) -> None:
        table: dict[str, list[tuple[str, Coverage | None]]] = {}
        for (key, identity), coverage in self._entries.items():
            table.setdefault(key, []).append((identity, coverage))
        for key, identity in self._lifted:
            if key and ((key, identity) not in self._entries or is_masked(key)):
                table.setdefault(key, []).append((identity, None))
        self.table = as_table({key: tuple(rows) for key, rows in table.items()})
        self.lifted_orders = frozenset(identity for key, identity in self._lifted if not key)
        self.moments: Sequence[float] = sorted({moment for order in self._orders.values() for moment in (order.start, order.until)})
        self.scopes = frozenset(order.scope for order in self._orders.values() if order.scope is not EVERYWHERE)

    def _apply(self, document: object) -> None:
        orders, entries, lifted = parse_segment(document)
        self._orders.update((order.id, order) for order in orders)
        for key, identity in lifted:
            _lift(self._entries, key, identity)
            self._lifted.add((key, identity))
        for key, coverage, number in entries:
            self._entries[key, orders[number].id] = coverage


@dataclass(frozen=True, slots=True, eq=False)
class OrderView:
    """The orders in force from `since` until before `valid_until` (unix seconds). `identity` is equal for equal content."""

    identity: tuple[object, ...]
    layers: tuple[Layer, ...]
    now: float
    since: float
    valid_until: float
    #: Names that the segments in memory speak of, and the segments that are mapped: a quick test for names nobody speaks of.
    names: Mapping[str, object] = field(default_factory=dict)
    mapped: tuple[Layer, ...] = ()
    #: Scopes of orders that are not for everybody.
    scopes: frozenset[Scope] = frozenset()
    #: Names that have an entry below them in clear in a segment in memory.
    above: frozenset[str] = frozenset()
    #: Whether some names stand under their masks: what lies below a name can then be asked name by name only.
    has_masked: bool = False

    def hides(self, key: str) -> bool:
        """Whether this very name stands somewhere under its mask. A microsecond."""
        masked = mask(key)
        return masked in self.names or any(layer.lists(masked) for layer in self.mapped)

    def may_touch(self, key: str) -> bool:
        """Whether the name or one above it may have an entry, or one below it in clear."""
        names = self.names
        if key in self.above or (bool(names) and any(part in names for part in covering_keys(key))):
            return True
        return any(layer.lists(key) or layer.lists_below(key) for layer in self.mapped)

    def scopes_at(self, place: str, organisation: str) -> frozenset[Scope]:
        """The narrowed scopes that bind a client there."""
        return frozenset(scope for scope in self.scopes if scope.covers(place, organisation))

    def is_mapped(self, key: str) -> bool:
        """Whether a mapped segment speaks of the name."""
        return any(layer.lists(key) for layer in self.mapped)

    def find(self, key: str, bands: frozenset[Band], scopes: frozenset[Scope] = frozenset()) -> list[Order]:
        """The orders that bind the name for a client of `bands` and `scopes`: the longest listed name first, the latest issued first."""
        decided: dict[tuple[int, bool, str], Coverage | None] = {}
        gone: frozenset[str] = frozenset()
        for layer in self.layers:  # the newest first: what it says about a name and an order, older ones cannot unsay
            in_clear: list[tuple[int, bool, str]] = []
            for length, hidden, rows in layer.touching(key):
                for identity, coverage in rows:
                    if identity not in gone:
                        decided.setdefault((length, hidden, identity), coverage)
                        if hidden and coverage is None:  # it leaves, too, where an older segment lists it in clear
                            in_clear.append((length, False, identity))
            for place in in_clear:
                decided.setdefault(place, None)
            gone |= layer.lifted_orders
        if not decided:
            return []
        bound: list[tuple[int, str, Order]] = []
        for (length, _, identity), coverage in decided.items():
            if coverage is None or not coverage.covers(length == len(key)):
                continue
            order = next((order for layer in self.layers if (order := layer.order(identity)) is not None), None)
            if order is None or not order.is_active(self.now) or bands.isdisjoint(order.bands):
                continue
            if order.scope is EVERYWHERE or order.scope in scopes:
                bound.append((length, order.issued_on, order))
        bound.sort(key=lambda row: row[:2], reverse=True)
        return [order for _, _, order in bound]


class Overlay:
    """Every order of a generation with its entries: layers, of which the newest decides."""

    def __init__(self, segments: Iterable[tuple[str, object]] = (), serial: int = 0, *, layers: Sequence[Layer] = ()) -> None:
        """Segments as (file name, parsed JSON), or as layers read already, earliest first. Raises GenerationError for the first that is
        not one."""
        self.serial = serial
        self.parts: tuple[Layer, ...] = tuple(layers) or tuple(SmallLayer([one]) for one in segments)
        held: list[Layer] = []
        for layer in self.parts:
            last = held[-1] if held else None
            if isinstance(layer, SmallLayer) and isinstance(last, SmallLayer):
                held[-1] = layer.over(last)
            else:
                held.append(layer)
        self._layers = tuple(reversed(held))
        small = [layer for layer in held if isinstance(layer, SmallLayer)]
        self._names = small[0].table if len(small) == 1 else as_table({key: () for layer in small for key in layer.table})
        self._above = above(key for key in self._names if not is_masked(key))
        self._has_masked = any(layer.has_masked for layer in held)
        self._mapped = tuple(layer for layer in self._layers if not isinstance(layer, SmallLayer))
        self._view: OrderView | None = None

    def at(self, now: float) -> OrderView:
        """What is in force at `now` (unix seconds)."""
        view = self._view
        if view is None or not view.since <= now < view.valid_until:
            since, until = -NEVER, NEVER
            marks: list[tuple[object, ...]] = []
            for layer in self._layers:
                place = bisect_right(layer.moments, now)
                begun = layer.moments[place - 1] if place else -NEVER
                since, until = max(since, begun), min(until, layer.moments[place] if place < len(layer.moments) else NEVER)
                if isinstance(layer, SmallLayer):
                    alone = layer is self._layers[-1]
                    active = layer.active(now, alone=alone)
                    marks.append((layer.names, active) if active or not alone else ())
                else:
                    marks.append((layer.names, begun))
            is_empty = not any(marks)
            view = self._view = OrderView(
                identity=() if is_empty else tuple(marks),
                layers=() if is_empty else self._layers,
                now=now,
                since=since,
                valid_until=until,
                names={} if is_empty else self._names,
                above=frozenset() if is_empty else self._above,
                has_masked=not is_empty and self._has_masked,
                mapped=() if is_empty else self._mapped,
                scopes=frozenset() if is_empty else frozenset(scope for layer in self._layers for scope in layer.scopes),
            )
        return view

    def entries(self) -> dict[tuple[str, str], tuple[Coverage, Order]]:
        """Everything it holds, by key and order id. A walk over all of it, never for a query."""
        found: dict[tuple[str, str], tuple[Coverage, Order]] = {}
        decided: set[tuple[str, str]] = set()
        gone: set[str] = set()
        unmasked: set[tuple[str, str]] = set()
        for layer in self._layers:
            fresh = {(key, identity) for key, identity, coverage in layer.rows() if coverage is None and is_masked(key)}
            for key, identity, coverage in layer.rows():
                if identity in gone or (key, identity) in decided or (unmasked and (mask(key), identity) in unmasked):
                    continue
                decided.add((key, identity))
                order = next((order for one in self._layers if (order := one.order(identity)) is not None), None)
                if coverage is not None and order is not None:
                    found[key, identity] = (coverage, order)
            gone |= layer.lifted_orders
            unmasked |= fresh
        return found


Parsed = tuple[list[Order], Iterable[tuple[str, Coverage, int]], list[tuple[str, str]]]
"""The orders of a segment, its entries as (key, coverage, number of the order), and what it lifts as (key, order id)."""


def parse_segment(document: object) -> Parsed:
    """The parts of a segment, each checked when it is looked at. Raises KeyError, TypeError, ValueError or IndexError."""
    if not isinstance(document, dict) or document["format"] != _FORMAT:
        raise ValueError(f"format must be {_FORMAT}")
    orders = [read_order(row) for row in document["orders"]]
    lifted = [(str(key or ""), str(identity)) for key, identity in document.get("lifted") or ()]
    return orders, _read_entries(document["entries"], len(orders)), lifted


def _read_entries(rows: Sequence[Any], orders: int) -> Iterator[tuple[str, Coverage, int]]:
    for key, match, number in rows:
        if not isinstance(key, str) or not key.endswith("."):
            raise ValueError(f"entry {key!r} is not a key")
        if not 0 <= number < orders:
            raise IndexError(f"entry {key!r} names order {number}")
        yield key, Coverage(match), number


def as_table(rows: dict[str, Any]) -> dict[str, Any]:  # Any: the rows of a key
    """A table by keys, some of which may be masked."""
    return MaskedTable(rows) if any(map(is_masked, rows)) else rows


def _lift(entries: dict[tuple[str, str], Coverage], key: str, identity: str) -> None:
    if key:
        entries.pop((key, identity), None)
        if is_masked(key):  # listed in clear by a version from before names were masked
            for entry in [entry for entry in entries if entry[1] == identity and mask(entry[0]) == key]:
                del entries[entry]
        return
    for entry in [entry for entry in entries if entry[1] == identity]:
        del entries[entry]


def read_order(row: Mapping[str, Any]) -> Order:  # Any: JSON
    """The document of an order. Raises KeyError, TypeError or ValueError."""
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
        scope=read_scope(row.get("scope")),
    )


def read_scope(written: Mapping[str, Any] | None) -> Scope:  # Any: JSON
    """For whom an order says it is."""
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
