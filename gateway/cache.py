"""The cache of upstream answers of one worker. The pipeline and the worker's control requests import this module.

Answers are kept with their facts under lower-case name, type, class, DO, CD and upstream group, so that nothing a client may vary splits
an entry and no route's answer reaches another route. NXDOMAIN holds for every type of its name (RFC 2308 §5). Beside them stand failures
(RFC 9520): a question that just failed is not asked again for a moment.

Bounds: entries and bytes; the oldest entry that was not used since it was last looked at goes first, a few per insertion, so that no
insertion is slow. All times are seconds on the monotonic clock and are given by the caller; a jump of the wall clock changes nothing here.

RFC 1035, 2181, 2308 (negative answers), 8767 (stale answers), 9520 (failures).
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from gateway.query import Answer, AnswerFacts, Key, absence_key, is_absence, name_in
from gateway.settings import CacheSettings
from gateway.upstreams import Overload, UpstreamFailure
from gateway.wire.constants import Rcode
from gateway.wire.name import is_subdomain, wire_of

MAX_TTL: Final = 86_400
BARE_NEGATIVE_TTL: Final = 5
"""A negative answer without an SOA should not be kept (RFC 2308 §5); so short, it only spares the upstream the burst of one page load."""
STALE_TTL: Final = 30
"""TTL of a stale answer (RFC 8767 §4)."""
PREFETCH_HITS: Final = 2
PREFETCH_TTL: Final = 10
"""Answers of a shorter life are not fetched ahead."""
FAILURE_FIRST: Final = 1.0
FAILURE_LONGEST: Final = 60.0
"""RFC 9520 §3.2: failures are remembered for at least a second, longer each time in a row, and at most five minutes; we stay below, because
whoever repairs a name wants to see it."""
FAILURE_ROW: Final = 10.0
"""Failures that follow each other within this pause are in a row."""
MAX_FAILURES: Final = 10_000
SPARE_KEYS: Final = 10_000
"""Keys of entries that are gone, beside one for each entry there is, before the order is written anew."""
EVICT_AT_ONCE: Final = 32
"""Entries looked at per insertion to make room: far below a millisecond."""
ENTRY_OVERHEAD: Final = 600
"""Bytes of an entry beside its body: key, objects, table slot; measured, rounded up."""
RECORD_OVERHEAD: Final = 170
ADDRESS_OVERHEAD: Final = 200
"""The same for an answer of addresses only, whatever their number, that nobody asked for again."""
AGAIN_OVERHEAD: Final = 400
"""What the object takes that it becomes when somebody does."""
_MOMENT: Final = Struct("=d")
_LONG: Final = Struct(">I")
SMALL: Final = 2048
"""More than any answer of up to sixteen addresses counts for."""


class Entry:
    """One cached answer. `is_used` and `hits` change; everything else is as it was stored."""

    __slots__ = ("answer", "expires", "hits", "is_refreshing", "is_used", "prefetch_at", "size", "stored")

    answer: Answer
    expires: float
    hits: int
    is_refreshing: bool
    is_used: bool
    prefetch_at: float
    size: int
    stored: float

    @classmethod
    def of(cls, answer: Answer, stored: float, ttl: float, size: int) -> Entry:
        """An answer that may be anything."""
        entry = cls()
        entry.answer = answer
        entry.stored = stored
        entry.expires = stored + ttl
        entry.prefetch_at = stored + ttl * 0.9 if ttl >= PREFETCH_TTL else float("inf")
        entry.size = size
        entry.hits = 0
        entry.is_used = False
        entry.is_refreshing = False
        return entry

    def age(self, now: float) -> int:
        """Whole seconds since it was stored: what is taken off every TTL."""
        return int(now - self.stored)

    def wants_prefetch(self, now: float) -> bool:
        """Whether it is popular, in its last tenth, and nobody fetches it yet; says yes once per life, the caller then asks the
        upstream."""
        if now < self.prefetch_at or self.is_refreshing or self.hits < PREFETCH_HITS:
            return False
        self.is_refreshing = True
        return True


class AddressEntry(Entry):
    """A cached answer of nothing but addresses of its name. The commonest kind by far, and most are never asked for again: until somebody
    does, the cache holds the octets with the moment they were stored behind them, and no object. What is not needed then is worked out when
    it is."""

    __slots__ = ("body", "ttl")

    body: bytes
    ttl: int

    @classmethod
    def again(cls, kept: bytes, size: int) -> AddressEntry:
        """The entry of addresses that were asked for again."""
        entry = cls()
        entry.body = kept[:-8]
        (entry.ttl,) = _LONG.unpack_from(kept, 6)
        (entry.stored,) = _MOMENT.unpack_from(kept, len(kept) - 8)
        entry.expires = entry.stored + entry.ttl
        entry.is_used = False
        entry.size = size
        return entry

    def __getattr__(self, name: str) -> object:
        """The value of what was not set yet, which is set with it."""
        value: object
        match name:
            case "answer":
                value = address_answer(self.body, self.ttl)
            case "prefetch_at":
                value = self.stored + self.ttl * 0.9 if self.ttl >= PREFETCH_TTL else float("inf")
            case "hits":
                value = 0
            case "is_refreshing":
                value = False
            case _:
                raise AttributeError(name)
        setattr(self, name, value)
        return value


class AnswerCache:
    """Answers and failures of one worker."""

    def __init__(self, settings: CacheSettings) -> None:
        self._most_entries = settings.entries
        self._most_bytes = settings.bytes
        self._largest = settings.bytes // 16
        self._stale_max = settings.stale_max if settings.serve_stale else 0
        self._entries: dict[Key, Entry | bytes] = {}
        self._absences: dict[Key, Entry] = {}
        """Names that do not exist, apart: they are looked for with each question and are far fewer, so that this is quick."""
        self._order: deque[Key] = deque()
        """Every key of an entry at least once, the oldest first; what is no longer there is passed over."""
        self._failures: dict[Key, tuple[float, UpstreamFailure, float]] = {}
        self._flushed: list[dict[Key, Entry | bytes]] = []
        self._stamped = 0.0
        self._stamp = _MOMENT.pack(0.0)
        self.bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._absences)

    # Reading

    def _find(self, key: Key) -> Entry | None:
        entry = self._entries.get(key)
        if isinstance(entry, bytes):
            self.bytes += AGAIN_OVERHEAD
            entry = self._entries[key] = AddressEntry.again(entry, _size(key, entry) + AGAIN_OVERHEAD)
        return entry

    def get(self, key: Key, now: float) -> Entry | None:
        """The fresh answer for a key, counted as one hit."""
        entry = self._find(key)
        if entry is not None and now < entry.expires:
            entry.hits += 1
            entry.is_used = True
            return entry
        entry = self._absences.get(absence_key(key))
        if entry is not None and now < entry.expires:
            entry.hits += 1
            entry.is_used = True
            return entry
        return None

    def stale(self, key: Key, now: float) -> Entry | None:
        """The expired answer that may still be given when no upstream answers (RFC 8767), at most `stale_max` past its end.

        An answer that a later NXDOMAIN for the name replaced is never given again.
        """
        entry = self._find(key)
        absent = self._absences.get(absence_key(key))
        if absent is not None and (entry is None or absent.stored >= entry.stored):
            entry = absent
        if entry is None or now >= entry.expires + self._stale_max:
            return None
        entry.is_used = True
        return entry

    def touch(self, entry: Entry, hits: int) -> None:
        """Add hits that were answered without a look-up here (from a table of finished replies)."""
        entry.hits += hits
        entry.is_used = True

    def failure(self, key: Key, now: float) -> UpstreamFailure | None:
        """How the question failed a moment ago, if it must not be asked again yet."""
        failures = self._failures
        if not failures:
            return None
        known = failures.get(key)
        return known[1] if known is not None and now < known[0] else None

    def knows(self, key: Key, absent: Key) -> bool:
        """Whether anything at all is remembered of a question, whose absence is kept under `absent`: an answer, fresh or stale, or a
        failure."""
        return absent in self._absences or key in self._entries or key in self._failures

    # Writing

    @property
    def keeps_small(self) -> bool:
        """Whether there is room for answers of a few addresses."""
        return self._most_entries > 0 and self._largest >= SMALL

    def put_addresses(self, key: Key, absent: Key, body: bytes, ttl: int, now: float) -> None:
        """Store the addresses of a name as they came, for a question that was not known when it was asked. `ttl` is the TTL of all of them
        (not 0), and the first record says so unless it is longer than a day."""
        if now != self._stamped:
            self._stamped, self._stamp = now, _MOMENT.pack(now)
        kept = body + self._stamp
        entries, absences = self._entries, self._absences
        is_odd = ttl > MAX_TTL or absent in absences or self._failures or self._flushed
        if is_odd or entries.setdefault(key, kept) is not kept:
            self.put(key, address_answer(body, ttl), now)
            return
        self._order.append(key)
        self.bytes += ADDRESS_OVERHEAD + len(key) + len(body)
        if self.bytes > self._most_bytes or len(entries) + len(absences) > self._most_entries:
            self._evict()

    def put(self, key: Key, answer: Answer, now: float) -> Entry:
        """Store an upstream's answer and return its entry; one with no time to live is returned without being kept."""
        if self._failures:
            self._failures.pop(key, None)
        ttl: float = answer.ttl if answer.ttl < MAX_TTL else MAX_TTL
        absent = absence_key(key)
        if answer.rcode == Rcode.NXDOMAIN and not answer.an:
            self._remove(key)
            key = absent
        elif absent in self._absences:
            self._remove(absent)
        if answer.negative and ttl <= 0 and not answer.ns:
            ttl = BARE_NEGATIVE_TTL
        size = len(answer.body) + len(key) + ENTRY_OVERHEAD + RECORD_OVERHEAD * len(answer.ttls)
        entry = Entry.of(answer, now, ttl, size)
        if ttl <= 0 or size > self._largest or self._most_entries <= 0:
            self._remove(key)
            return entry
        if self._flushed:
            self._dismantle()
        if key is absent:
            old = self._absences.get(key)
            self._absences[key] = entry
        else:
            old = self._find(key)
            self._entries[key] = entry
        if old is None:
            self._order.append(key)
        else:
            self.bytes -= old.size
            entry.hits = old.hits // 4
            entry.is_used = old.is_used
        self.bytes += size
        if self.bytes > self._most_bytes or len(self) > self._most_entries:
            self._evict()
        return entry

    def put_failure(self, key: Key, failure: UpstreamFailure, now: float) -> None:
        """Remember that a question failed: one second after trouble in the network, else 1, 2, 4 … seconds when it goes on."""
        for entry in (self._find(key), self._absences.get(absence_key(key))):
            if entry is not None:
                entry.is_refreshing = False
        if isinstance(failure, Overload):
            return
        failures = self._failures
        known = failures.pop(key, None)
        wait = FAILURE_FIRST
        if known is not None and not failure.is_transient and now < known[0] + known[2] + FAILURE_ROW:
            wait = min(known[2] * 2, FAILURE_LONGEST)
        while len(failures) >= MAX_FAILURES:
            del failures[next(iter(failures))]
        failures[key] = (now + wait, failure, wait)

    def forgive(self) -> None:
        """Forget failures of the network: an upstream is back."""
        self._failures = {key: known for key, known in self._failures.items() if not known[1].is_transient}

    def flush(self, name: str | None = None) -> int:
        """Forget everything (None), or a name and everything below it, given by its index key; returns how many answers went."""
        if name is None:
            gone = len(self)
            self._flushed += (self._entries, self._absences)  # type: ignore[arg-type]  # they are only emptied there
            self._entries, self._absences = {}, {}
            self._order.clear()
            self._failures = {}
            self.bytes = 0
            return gone
        zone = wire_of(name)
        doomed = [key for key in (*self._entries, *self._absences) if is_subdomain(name_in(key), zone)]
        for key in doomed:
            self._remove(key)
        self._failures = {key: known for key, known in self._failures.items() if not is_subdomain(name_in(key), zone)}
        return len(doomed)

    # Room

    def _pop(self, key: Key) -> bool:
        entry = self._absences.pop(key, None) if is_absence(key) else self._entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= _size(key, entry)
        return True

    def _remove(self, key: Key) -> None:
        if self._pop(key) and len(self._order) > 2 * len(self) + SPARE_KEYS:
            self._order = deque((*self._entries, *self._absences))

    def _dismantle(self) -> None:
        """Free what was flushed bit by bit: freeing fifty thousand entries at once would stall every client."""
        flushed = self._flushed[-1]
        for _ in range(min(len(flushed), EVICT_AT_ONCE)):
            flushed.popitem()
        if not flushed:
            self._flushed.pop()

    def _evict(self) -> None:
        order = self._order
        for _ in range(EVICT_AT_ONCE):
            if self.bytes <= self._most_bytes and len(self) <= self._most_entries:
                return
            key = order.popleft()
            entry = self._absences.get(key) if is_absence(key) else self._entries.get(key)
            if isinstance(entry, Entry) and entry.is_used:
                # It was asked for since it was last here: once more to the back, counted as unused until asked for again.
                entry.is_used = False
                order.append(key)
            else:
                self.evicted += self._pop(key)
        # Everything looked at was in use: the bound holds all the same.
        while self.bytes > self._most_bytes or len(self) > self._most_entries:
            self.evicted += self._pop(order.popleft())


def _size(key: Key, entry: Entry | bytes) -> int:
    return ADDRESS_OVERHEAD + len(key) + len(entry) - 8 if isinstance(entry, bytes) else entry.size


def address_answer(body: bytes, ttl: int) -> Answer:
    """The answer whose body holds nothing but addresses of the name asked for, all with this TTL."""
    size = 12 + (body[10] << 8 | body[11])
    length = len(body)
    addresses = tuple([body[at + 12 : at + size] for at in range(0, length, size)])
    count = len(addresses)
    offsets = tuple(range(6, length, size))
    return Answer(0, False, body, count, 0, offsets, (ttl,) * count, ((length, count, 0),), AnswerFacts((), addresses), (), ttl)
