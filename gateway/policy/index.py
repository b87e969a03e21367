"""The compiled lists: which listed names cover a name, and what they say. Read from a memory map that all workers share.

A key holds a set of entries (source, coverage, exception, action). Everything that can be known from the sets alone is worked out once
per combination and kept as a `Listing`, so that a look-up costs the walk in the trie and one dictionary hit. Any package may import this
module.

Inside one source an exception that covers the name undoes that source's entries and no other's. Response policy zones have no exceptions.
"""

from __future__ import annotations

import mmap
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import marisa_trie

from gateway.errors import GenerationError
from gateway.policy.model import GOOD_CATEGORIES, Level
from gateway.policy.names import Coverage
from gateway.release import INDEX_NAMES, INDEX_RECORDS, verify_index
from gateway.wire.constants import Qtype

SourceKind = Literal["category", "action", "rpz", "good", "catalogue"]
ActionKind = Literal["nxdomain", "nodata", "passthru", "drop", "tcp-only", "cname", "local"]

_FORMATS: Final = (1, 2)  # 2: some rows have conditions
_MOST_LISTINGS: Final = 16_384
_SOURCE_KINDS: Final = ("category", "action", "rpz", "good", "catalogue")
_ACTION_KINDS: Final = ("nxdomain", "nodata", "passthru", "drop", "tcp-only", "cname", "local")


@dataclass(frozen=True, slots=True)
class Zone:
    """What an RPZ source says about itself: its name, the override of its actions, the client groups it is for (none: all), and the
    serial of its SOA (empty in an index that was compiled before it was kept)."""

    name: str
    policy: str
    groups: frozenset[str]
    target: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class When:
    """Which queries a source is for: types by number, clients by id or network; empty means any. `spares`: rows its exceptions undo."""

    types: frozenset[int]
    not_types: frozenset[int]
    clients: frozenset[str]
    not_clients: frozenset[str]
    spares: frozenset[str]

    @property
    def asks_who(self) -> bool:
        """Whether it depends on the client."""
        return bool(self.clients or self.not_clients)

    def holds_for_types(self, types: frozenset[int]) -> bool:
        """Whether it holds for a query, or for what an answer leads to, that has these types."""
        return not self.not_types & types and (not self.types or bool(self.types & types))

    def holds_for(self, address: bytes | None, client_id: str | None) -> bool:
        """Whether it holds for a client."""
        return not _names(self.not_clients, address, client_id) and (not self.clients or _names(self.clients, address, client_id))


@dataclass(frozen=True, slots=True)
class Source:
    """One list, zone or good list of the index; its number is its precedence among the zones."""

    number: int
    id: str
    kind: SourceKind
    category: str | None
    allows: bool
    level: Level
    title: str
    publisher: str
    licence: str
    entries: int
    zone: Zone | None
    row: Mapping[str, Any]  # Any: the row as compiled, for metrics and pages
    when: When | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What a zone asks for: `target` is the name of a `cname`, `records` are (type, TTL, RDATA) of a `local`."""

    kind: ActionKind
    target: str = ""
    records: tuple[tuple[int, int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a key."""

    source: Source
    coverage: Coverage
    exception: bool
    action: Action | None


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that covers the name. `place` counts the listed names that cover it, shortest first; `exact` when it is the name itself."""

    place: int
    exact: bool
    entry: Entry


@dataclass(frozen=True, slots=True)
class Listing:
    """What the lists say about a name: the source of each category, entries that allow, block or answer, zones, the good source."""

    categories: Mapping[str, Source]
    actions: tuple[Hit, ...]
    zones: tuple[Hit, ...]
    good: Source | None


NOTHING: Final[frozenset[int]] = frozenset()
UNLISTED: Final = Listing({}, (), (), None)


class ListIndex:
    """One index folder, mapped. Read-only; several workers and several generations may share it."""

    def __init__(self, state_dir: Path, name: str) -> None:
        """Verify and map the folder. Raises GenerationError."""
        self.name = name
        header = verify_index(state_dir, name)
        where = f"index/{name}"
        try:
            if header["format"] not in _FORMATS:
                raise GenerationError(where, f"is not an index of format {' or '.join(map(str, _FORMATS))}")
            self.sources = tuple(_read_source(number, row) for number, row in enumerate(header["sources"]))
            self.actions = tuple(_read_action(row) for row in header["actions"])
            self._sets: Sequence[Sequence[Sequence[int]]] = header["sets"]
            width = header["width"]
            self.keys = int(header["keys"])
            self.addresses = AddressTriggers(header.get("addresses", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise GenerationError(where, f"has a header that cannot be read: {type(error).__name__} {error}") from error
        folder = state_dir / "index" / name
        self._records = _map_records(folder / INDEX_RECORDS, width, where)
        self._trie = marisa_trie.Trie()
        try:
            if self.keys:
                self._trie.mmap(str(folder / INDEX_NAMES))
        except (OSError, RuntimeError) as error:
            raise GenerationError(f"{where}/{INDEX_NAMES}", "cannot be mapped") from error
        if len(self._trie) != self.keys or len(self._records) != self.keys:
            raise GenerationError(where, "the trie, the records and the header differ in size")
        self._entries: dict[int, tuple[Entry, ...]] = {}
        self._listings: dict[tuple[tuple[int, ...], frozenset[int]], Listing] = {}
        self._conditional = tuple(source for source in self.sources if source.when is not None)
        self._about_clients = tuple(source for source in self._conditional if source.when is not None and source.when.asks_who)
        self._resting: dict[tuple[int, bool, frozenset[int]], frozenset[int]] = {}

    @property
    def asks_who(self) -> bool:
        """Whether any source is for some clients only."""
        return bool(self._about_clients)

    def clients_lists(self, address: bytes | None, client_id: str | None) -> frozenset[int]:
        """The numbers of the sources with a condition on clients that this one meets."""
        if not self._about_clients:
            return NOTHING
        return frozenset(source.number for source in self._about_clients if source.when and source.when.holds_for(address, client_id))

    def resting(self, qtype: int, lists: frozenset[int], *, is_target: bool = False) -> frozenset[int]:
        """The numbers of the sources that have no say in a query of this type by a client who meets the conditions of `lists`.

        A target of the answer has two types: that of the query, which the target answers, and CNAME, which leads there.
        """
        if not self._conditional:
            return NOTHING
        found = self._resting.get((qtype, is_target, lists))
        if found is None:
            if len(self._resting) >= _MOST_LISTINGS:
                self._resting = {}
            types = frozenset((qtype, Qtype.CNAME) if is_target else (qtype,))
            found = self._resting[qtype, is_target, lists] = frozenset(
                source.number
                for source in self._conditional
                if source.when is not None
                and not (source.when.holds_for_types(types) and (not source.when.asks_who or source.number in lists))
            )
        return found

    def lookup(self, key: str) -> tuple[int, ...]:
        """The listed names that cover `key`, shortest first: twice the number of each entry set, plus one for the name itself."""
        found = list(self._trie.iter_prefixes_with_ids(key))
        if not found:
            return ()
        records = self._records
        codes = [records[number] << 1 for _, number in found]
        if len(found[-1][0]) == len(key):
            codes[-1] += 1
        return tuple(codes)

    def lists_below(self, key: str) -> bool:
        """Whether anything may be said about a name below `key` that is not said about all of them, or about some types only."""
        return bool(self._conditional) or any(len(listed) > len(key) for listed in islice(self._trie.iterkeys(key), 2))

    def lengths(self, key: str) -> tuple[int, ...]:
        """The lengths of the listed keys that cover `key`, in the order of `lookup`."""
        return tuple(len(prefix) for prefix, _ in self._trie.iter_prefixes_with_ids(key))

    def names(self) -> Iterator[tuple[str, int]]:
        """Every listed key with the number of its entry set; a walk over the whole index, never for a query."""
        records = self._records
        for key, number in self._trie.iteritems():
            yield key, records[number]

    def listing(self, codes: tuple[int, ...], resting: frozenset[int] = NOTHING) -> Listing:
        """What a combination from `lookup` says, the sources that are `resting` aside."""
        if not codes:
            return UNLISTED
        found = self._listings.get((codes, resting))
        if found is None:
            if len(self._listings) >= _MOST_LISTINGS:
                self._listings = {}
            found = self._listings[codes, resting] = _combine([hit for hit in self.hits(codes) if hit.entry.source.number not in resting])
        return found

    def entries(self, number: int) -> tuple[Entry, ...]:
        """The entries of one set."""
        found = self._entries.get(number)
        if found is None:
            rows = self._sets[number]
            found = self._entries[number] = tuple(
                Entry(self.sources[row[0]], Coverage(row[1]), bool(row[2]), self.actions[row[3]] if row[3] >= 0 else None) for row in rows
            )
        return found

    def hits(self, codes: tuple[int, ...]) -> list[Hit]:
        """Every entry of a combination from `lookup` that covers the name, whatever it says."""
        return [
            Hit(place, bool(code & 1), entry)
            for place, code in enumerate(codes)
            for entry in self.entries(code >> 1)
            if entry.coverage.covers(bool(code & 1))
        ]


class AddressTriggers:
    """RPZ triggers on addresses: `client-ip` for who asks, `response-ip` for what is answered; longest prefix first."""

    __slots__ = ("_client", "_response")

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of the header: trigger, network (text), source and action numbers. Raises KeyError or ValueError for a bad row."""
        self._client: dict[tuple[int, int], dict[int, list[tuple[int, int]]]] = {}
        self._response: dict[tuple[int, int], dict[int, list[tuple[int, int]]]] = {}
        tables = {"client-ip": self._client, "response-ip": self._response}
        from gateway.policy.tenant import parse_network

        for row in rows:
            network = parse_network(row["network"])
            if isinstance(network, str):
                raise ValueError(network)
            size = len(network.address)
            prefix = int.from_bytes(network.address) >> (size * 8 - network.length)
            table = tables[row["trigger"]].setdefault((size, network.length), {})
            table.setdefault(prefix, []).append((int(row["source"]), int(row["action"])))

    def __bool__(self) -> bool:
        return bool(self._client or self._response)

    def of_client(self, address: bytes) -> tuple[tuple[int, int], ...]:
        """The (source, action) numbers of every zone that names the asking address; per zone the longest prefix only."""
        return _find(self._client, address)

    def of_response(self, address: bytes) -> tuple[tuple[int, int], ...]:
        """The same for an answered address."""
        return _find(self._response, address)


def _find(tables: Mapping[tuple[int, int], Mapping[int, Sequence[tuple[int, int]]]], address: bytes) -> tuple[tuple[int, int], ...]:
    if not tables:
        return ()
    size = len(address)
    value = int.from_bytes(address)
    found: dict[int, int] = {}
    for length in sorted((length for width, length in tables if width == size), reverse=True):
        for source, action in tables[size, length].get(value >> (size * 8 - length), ()):
            found.setdefault(source, action)
    return tuple(sorted(found.items()))


def _combine(hits: list[Hit]) -> Listing:
    spared = {hit.entry.source.number for hit in hits if hit.entry.exception}
    undone = {name for hit in hits if hit.entry.exception and hit.entry.source.when for name in hit.entry.source.when.spares}
    categories: dict[str, Source] = {}
    actions: list[Hit] = []
    zones: list[Hit] = []
    good: Source | None = None
    for hit in hits:
        source = hit.entry.source
        if hit.entry.exception or source.number in spared or source.id in undone:
            continue
        if source.kind == "rpz":
            zones.append(hit)
        elif source.kind == "good":
            good = good or source
        else:
            if source.kind == "action" or hit.entry.action is not None:
                actions.append(hit)
            if source.kind != "action" and source.category is not None:
                categories.setdefault(source.category, source)
    return Listing(categories, tuple(actions), tuple(zones), good)


def _read_source(number: int, row: Mapping[str, Any]) -> Source:
    kind = row["kind"]
    if kind not in _SOURCE_KINDS:
        raise ValueError(f"source kind {kind!r}")
    zone = row.get("rpz")
    # a list of a good category that is not the signed catalogue's counts as names its owner allows (review 6)
    opens = kind == "category" and row.get("category") in GOOD_CATEGORIES
    return Source(
        number=number,
        id=str(row["id"]),
        kind="action" if opens else kind,
        category=row.get("category"),
        allows=opens or row.get("action") == "allow",
        level=Level(row.get("level") or Level.PROVINCE),
        title=str(row.get("title") or row["id"]),
        publisher=str(row.get("publisher") or ""),
        licence=str(row.get("licence") or ""),
        entries=int(row["entries"]),
        zone=None
        if zone is None
        else Zone(
            str(zone["zone"]),
            str(zone.get("policy") or "given"),
            frozenset(zone.get("groups") or ()),
            str(zone.get("target") or ""),
            str(zone.get("serial") or ""),
        ),
        row=row,
        when=_read_when(row["when"]) if "when" in row else None,
    )


def _read_when(row: Mapping[str, Any]) -> When:
    if not set(row) <= {"types", "not_types", "clients", "not_clients", "spares"}:
        raise ValueError(f"condition {sorted(row)}")
    types, not_types = (frozenset(map(int, row.get(name, ()))) for name in ("types", "not_types"))
    clients, not_clients, spares = (frozenset(map(str, row.get(name, ()))) for name in ("clients", "not_clients", "spares"))
    for word in clients | not_clients:
        if "/" in word:
            ip_network(word)
    return When(types, not_types, clients, not_clients, spares)


def _names(words: frozenset[str], address: bytes | None, client_id: str | None) -> bool:
    """Whether one of the words is this client's id or a network around its address."""
    if client_id is not None and client_id in words:
        return True
    if address is None or not words:
        return False
    here = ip_address(address)
    return any(here in ip_network(word) for word in words if "/" in word)


def _read_action(row: Mapping[str, Any]) -> Action:
    kind = row["kind"]
    if kind not in _ACTION_KINDS:
        raise ValueError(f"action {kind!r}")
    written = row.get("data")
    if kind == "cname":
        return Action(kind, str(written["target"] if isinstance(written, dict) else written).rstrip("."))
    if kind == "local":
        if not isinstance(written, list):
            raise ValueError("local data without records")
        return Action(kind, records=tuple((int(rtype), int(ttl), bytes.fromhex(rdata)) for rtype, ttl, rdata in written))
    return Action(kind)


def _map_records(path: Path, width: int, where: str) -> Sequence[int]:
    if width not in (2, 4):
        raise GenerationError(where, f"has records {width} octets wide")
    code: Literal["H", "I"] = "H" if width == 2 else "I"
    try:
        with open(path, "rb") as file:
            if path.stat().st_size == 0:
                return ()
            if sys.byteorder == "little":
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast(code)
            records = array(code)
            records.frombytes(file.read())
            records.byteswap()
            return records
    except (OSError, ValueError, TypeError) as error:
        raise GenerationError(f"{where}/{INDEX_RECORDS}", "cannot be mapped") from error
