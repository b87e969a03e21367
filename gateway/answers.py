"""Finished replies, by what was asked: the tables the fast path answers from. Imported by `clients`, the listeners and the pipeline.

One table per policy and transport (a truncated or small answer must never be served over TCP). A table maps the octets of a query behind
its id to an `Entry`: the finished judgement for this policy with its reply. Tables of policies that differ only in personal names share
their entries: a name that no personal rule touches is taken from the table of their common base.

Everything is bounded: entries are made on the second sight of a query only, one byte bound covers all tables, and whatever is dropped is
dropped in slices, so that no client waits for it. Nothing here judges, does I/O or reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from struct import Struct
from typing import TYPE_CHECKING, Final, Literal

from gateway.query import Transport

if TYPE_CHECKING:
    from gateway.activity import Outcome
    from gateway.cache import Entry as Cached
    from gateway.metrics import Cell
    from gateway.policy.model import EffectivePolicy

NEVER: Final = 1 << 62
"""A second that does not come: the expiry of what only a new policy can end."""
ALWAYS: Final = -1
"""The rendered second of an entry each of whose hits takes the longer way."""

_SIGHTS: Final = 8192
_ENTRY_BYTES: Final = 420
"""An entry, its place in a dictionary and the headers of its two byte strings."""
_SHARED_BYTES: Final = 150
"""A further place in another table for the same entry."""
_SLICE: Final = 400
_LONG: Final = Struct(">I")
_pack: Final = _LONG.pack


class Tally:
    """Queries answered alike since the last harvest; the fast path adds to `n`, the harvest passes it on to the metrics `cells`."""

    __slots__ = ("cells", "n")

    def __init__(self, cells: tuple[Cell, ...]) -> None:
        self.n = 0
        self.cells = cells


class Kind:
    """What a note counts as. One object for each pair, compared by identity, so that counting is quick."""

    __slots__ = ("category", "outcome")

    def __init__(self, outcome: Outcome | Literal["visited", "watched", "upstream"], category: str) -> None:
        self.outcome = outcome
        self.category = category


_kind: Final = cache(Kind)


class Note:
    """What is remembered of a hit besides its count: a block or a rewrite, the visit of a consented history, or a block of the upstream's
    own. Compared by identity."""

    __slots__ = ("is_counted", "is_recent", "is_visit", "kind", "name", "rule")

    def __init__(self, outcome: Outcome | Literal["visited", "watched", "upstream"], category: str, name: str, rule: str = "") -> None:
        self.kind = _kind(outcome, category)
        self.is_visit = outcome == "visited"
        self.is_counted = outcome != "upstream"
        """A block that is not ours is remembered for the one who asked, never counted as one."""
        self.is_recent = outcome != "watched"
        self.name = name
        self.rule = rule


class Entry:
    """One finished reply. `reply` starts behind the id and obeys the cap of `ttl_max` seconds from the start; `expires` is a monotonic
    second.

    `cached` is the upstream answer it was rendered from (its TTLs fall), None for answers of our own (constant TTL). `body_at` is where the
    body starts in `reply`.
    """

    __slots__ = ("_ends", "_ttl_at", "body_at", "cached", "expires", "key", "note", "owner", "raw", "reply", "second", "tally", "ttl_max")

    def __init__(
        self,
        reply: bytes,
        tally: Tally,
        key: str,
        note: Note | None = None,
        expires: int = NEVER,
        cached: Cached | None = None,
        body_at: int = 0,
        ttl_max: int = 0,
    ) -> None:
        self.reply = reply
        self.tally = tally
        self.key = key
        self.note = note
        self.expires = expires
        self.cached = cached
        self.body_at = body_at
        self.ttl_max = ttl_max
        self.second = ALWAYS
        self._ttl_at = 0
        """Where the one TTL is that falls, and the second when nothing is left of it; 0 for replies with several."""
        if cached is not None and len(ttls := cached.answer.ttls) == 1 and ttls[0]:
            self._ttl_at = body_at + cached.answer.ttl_offsets[0]
            self._ends = int(cached.stored) + ttls[0]
        self.owner: object = None
        self.raw = b""
        """Its key, once it is in a table: the same octets serve every table that shares it."""

    def render(self, second: int) -> bytes:
        """The reply with the TTLs of this second; marks the entry as rendered for it, unless each hit has to be noted.

        As long as more is left than a client may be told, it says what it said.
        """
        if self._ttl_at:
            left = self._ends - second
            if left < self.ttl_max:
                at, reply = self._ttl_at, self.reply
                self.reply = reply[:at] + _pack(left if left > 0 else 1) + reply[at + 4 :]
        elif (cached := self.cached) is not None and self.expires - second < self.ttl_max:
            answer = cached.answer
            age = second - int(cached.stored)
            start = self.body_at
            body = bytearray(self.reply)
            for offset, ttl in zip(answer.ttl_offsets, answer.ttls, strict=True):
                _LONG.pack_into(body, start + offset, _left(ttl, age, self.ttl_max))
            self.reply = bytes(body)
        if self.note is None:
            self.second = second
        return self.reply


def _left(ttl: int, age: int, most: int) -> int:
    """What is left of a TTL: at least 1 unless it was 0 from the start, at most the cap."""
    left = ttl - age
    if left < 1:
        left = 1 if ttl else 0
    return left if left < most else most


Place = tuple[int, Transport]
"""Where a table is: the number of its policy, or of the common base, and the transport."""


class AnswerTable:
    """The finished replies of one policy over one transport. `answers` is replaced, never cleared, when it may no longer be used.

    `policy` is one of those it serves (they differ in nothing that a reply depends on); `valid_until` is when the first of them ends (unix
    seconds). A table that was set aside never answers again: another one follows it and has its replies, so that whoever still looks at the
    old one is met as somebody whose policy must be resolved, whatever the others do that shared it.
    """

    __slots__ = ("_aside", "_size", "answers", "base", "is_current", "policy", "shelf", "valid_until", "where")

    def __init__(self, where: Place, policy: EffectivePolicy, base: AnswerTable | None) -> None:
        self.where = where
        self.shelf = object()
        """Whose the memory of an entry is: this table's, and that of those that follow it."""
        self.policy = policy
        self.base = base
        self.answers: dict[bytes, Entry] = {}
        self.is_current = True
        self.valid_until = policy.valid_until
        self._aside: dict[bytes, Entry] = {}
        self._size = 0

    def serve(self, policy: EffectivePolicy) -> None:
        """Serve this policy, too."""
        if policy.valid_until < self.valid_until:
            self.valid_until = policy.valid_until
        self.policy = policy

    def follow(self, policy: EffectivePolicy, base: AnswerTable | None) -> AnswerTable:
        """The table after this one, which was set aside: its replies are good once more, because the content of the policy is the same."""
        table = AnswerTable(self.where, policy, base)
        table.shelf = self.shelf
        table.answers, self._aside = self._aside, {}
        table._size, self._size = self._size, 0
        return table

    def set_aside(self) -> None:
        """Answer nobody any more; what it holds is kept for the table that follows when the policy is known to hold still."""
        if self.is_current:
            self.is_current = False
            self.answers, self._aside = {}, self.answers

    def clear(self) -> tuple[dict[bytes, Entry], int]:
        """Give everything up; the entries and their estimated memory."""
        entries = self.answers if self.is_current else self._aside
        size = self._size
        self.answers, self._aside, self._size = {}, {}, 0
        return entries, size

    def put(self, raw: bytes, entry: Entry) -> int:
        """Place an entry; the estimated memory it takes more."""
        before = self.answers.get(raw)
        self.answers[raw] = entry
        grown = self._cost(raw, entry) - (self._cost(raw, before) if before is not None else 0)
        self._size += grown
        return grown

    def take(self, raw: bytes) -> int:
        """Remove an entry; the estimated memory given back."""
        entry = self.answers.pop(raw, None)
        if entry is None:
            return 0
        cost = self._cost(raw, entry)
        self._size -= cost
        return cost

    def _cost(self, raw: bytes, entry: Entry) -> int:
        return _ENTRY_BYTES + len(raw) + len(entry.reply) if entry.owner is self.shelf else _SHARED_BYTES


class AnswerTables:
    """Every table of a worker, one bound for all. `most` is an estimate of memory in bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._tables: dict[Place, AnswerTable] = {}
        self._sights: set[int] = set()
        self._earlier: set[int] = set()
        self._grave: deque[dict[bytes, Entry]] = deque()
        self._cuts: deque[Iterator[None]] = deque()

    @property
    def size(self) -> int:
        """Estimated memory of all entries in bytes."""
        return self._size

    def __iter__(self) -> Iterator[AnswerTable]:
        return iter(list(self._tables.values()))

    def table(self, policy: EffectivePolicy, transport: Transport) -> AnswerTable:
        """The table of a policy; policies with the same id, and those with the same base and no personal names, share one."""
        is_personal = bool(policy.own_names) or policy.has_regex
        where = (policy.id if is_personal else policy.base_id, transport)
        has_base = is_personal and not policy.has_regex and policy.activity != "history"
        return self._at(where, policy, self._at((policy.base_id, transport), policy, None) if has_base else None)

    def _at(self, where: Place, policy: EffectivePolicy, base: AnswerTable | None) -> AnswerTable:
        """The table in a place, serving this policy from now on."""
        table = self._tables.get(where)
        if table is None:
            table = self._tables[where] = AnswerTable(where, policy, base)
        elif not table.is_current:
            table = self._tables[where] = table.follow(policy, base)
        else:
            table.serve(policy)
            table.base = base
        return table

    def _base_of(self, table: AnswerTable) -> AnswerTable | None:
        """The common base of a table, which may have been set aside by itself."""
        base = table.base
        if base is not None and not base.is_current:
            base = table.base = self._at(base.where, table.policy, None)
        return base

    def is_second_sight(self, raw: bytes) -> bool:
        """Whether this query was seen before; remembers it if not. A flood of names asked once fills no table."""
        mark = hash(raw)
        if mark in self._sights or mark in self._earlier:
            return True
        if len(self._sights) >= _SIGHTS:
            self._earlier = self._sights
            self._sights = set()
        self._sights.add(mark)
        return False

    def find_shared(self, table: AnswerTable, raw: bytes, key: str) -> Entry | None:
        """The entry of the common base, if no personal rule touches the name; it then has a place in this table too."""
        base = self._base_of(table)
        if base is None:
            return None
        entry = base.answers.get(raw)
        if entry is None or table.policy.touches(key):
            return None
        if self._has_room():
            self._size += table.put(entry.raw, entry)
        return entry

    def enter(self, table: AnswerTable, raw: bytes, entry: Entry) -> bool:
        """Put an entry into a table, and into the base if no personal rule touches the name; False when there is no room just now, or when
        the table was retired while the answer was on its way.
        """
        if not table.is_current or not self._has_room():
            return False
        base = self._base_of(table)
        entry.raw = raw
        if base is not None and not table.policy.touches(entry.key):
            entry.owner = base.shelf
            self._size += base.put(raw, entry)
        else:
            entry.owner = table.shelf
        self._size += table.put(raw, entry)
        return True

    def remove(self, table: AnswerTable, raw: bytes, entry: Entry) -> None:
        """Take an expired entry out of a table and its base."""
        self._size -= table.take(raw)
        base = table.base
        if base is not None and base.answers.get(raw) is entry:
            self._size -= base.take(raw)

    def retire(self, is_over: Callable[[AnswerTable], bool]) -> None:
        """Let every table for which `is_over` holds answer nobody until its policy is resolved again. At once, whatever its size."""
        for table in self._tables.values():
            if is_over(table):
                table.set_aside()

    def forget_unused(self, used: set[AnswerTable]) -> None:
        """Drop the tables no client refers to any more."""
        used |= {table.base for table in used if table.base is not None}
        for where, table in list(self._tables.items()):
            if table not in used:
                del self._tables[where]
                self._bury(table)
                table.is_current = False

    def flush(self, key: str | None) -> int:
        """Forget the replies for a name and all below it (index key), or everything; how many. Rare: an operator asks for it."""
        dropped = 0
        for table in self._tables.values():
            if key is None or not table.is_current:
                dropped += len(table.answers)
                self._bury(table)
                continue
            for raw in [raw for raw, entry in table.answers.items() if entry.key.startswith(key)]:
                self._size -= table.take(raw)
                dropped += 1
        return dropped

    @property
    def has_chores(self) -> bool:
        """Whether `work` has something to do."""
        return bool(self._grave or self._cuts)

    def work(self) -> None:
        """One slice of dropping: well under a millisecond."""
        if self._cuts:
            if next(self._cuts[0], self) is self:
                self._cuts.popleft()
        elif self._grave:
            buried = self._grave[0]
            for _ in range(min(_SLICE, len(buried))):
                buried.popitem()
            if not buried:
                self._grave.popleft()

    def _bury(self, table: AnswerTable) -> None:
        entries, size = table.clear()
        self._size -= size
        if entries:
            self._grave.append(entries)

    def _has_room(self) -> bool:
        if self._size <= self._most:
            return True
        if not self._cuts:
            self._cuts.append(self._cut(max(self, key=lambda table: len(table.answers))))
        return self._size <= self._most + (self._most >> 3)

    def _cut(self, table: AnswerTable) -> Iterator[None]:
        """Drop the older half of a table, a slice at a time."""
        left = len(table.answers) // 2 + 1
        while left > 0:
            oldest = list(islice(table.answers, min(_SLICE, left)))
            if not oldest:
                return
            for raw in oldest:
                self._size -= table.take(raw)
            left -= len(oldest)
            yield
