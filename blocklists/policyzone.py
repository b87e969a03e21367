"""The list as a response policy zone: what a serial holds, and how one serial becomes the next. Pure; `blocklists.xfr` serves it.

Every entry becomes `CNAME .` (NXDOMAIN): a name for itself, `*.name` for what is below it, both for an entry that covers both
(draft-vixie-dnsop-dns-rpz §4.1). Serials follow RFC 1982. The last differences are kept for IXFR (RFC 1995); an older secondary gets the
whole zone (RFC 5936).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import dns.name
import dns.rrset
import dns.serial

from blocklists.zonerecords import Origin

Entry = tuple[str, int]
"""Index key (`com.example.`) and match: 0 name and below, 1 exact, 2 below only."""

Rule = tuple[str, bool]
"""Index key, and whether the rule is for what is below (`*.name`) rather than for the name itself."""

HISTORY = 128
_MANY = 1000
"""From so many changed names on they are sorted anew."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From one serial to the next: what left and what came."""

    before: int
    after: int
    removed: tuple[Rule, ...]
    added: tuple[Rule, ...]


class PolicyZone:
    """One policy zone at its newest serial, with its latest differences.

    Several entries may ask for the same rule (two orders about one name); it leaves when the last of them does.
    """

    def __init__(self, origin: str, serial: int = 0, entries: Iterable[Entry] = ()) -> None:
        self._records_of = Origin(origin)
        self.serial = serial
        self._rules: Counter[Rule] = Counter()
        self._keys: list[str] = []
        self._fill(Counter(rule for entry in entries for rule in _rules_of(entry)))
        self._differences: deque[Difference] = deque(maxlen=HISTORY)

    @property
    def origin(self) -> dns.name.Name:
        """The zone's name."""
        return self._records_of.name

    def __len__(self) -> int:
        return sum(map(self._is_said, self._rules))

    def replace(self, serial: int, entries: Iterable[Entry]) -> None:
        """Take over a whole list as a newer serial; the difference is kept. Raises ValueError for a serial that is not newer."""
        fresh = Counter(rule for entry in entries for rule in _rules_of(entry))
        self._move(serial, {rule: fresh[rule] for rule in {**self._rules, **fresh}})

    def advance(self, serial: int, removed: Iterable[Entry], added: Iterable[Entry]) -> None:
        """Take one step to a newer serial. Raises ValueError for a serial that is not newer (RFC 1982)."""
        touched = Counter(rule for entry in added for rule in _rules_of(entry))
        touched.subtract(rule for entry in removed for rule in _rules_of(entry))
        self._move(serial, {rule: max(0, self._rules[rule] + change) for rule, change in touched.items()})

    def _move(self, serial: int, counts: Mapping[Rule, int]) -> None:
        """Let these rules be asked for so often."""
        if not dns.serial.Serial(serial) > dns.serial.Serial(self.serial):
            raise ValueError(f"serial {serial} does not follow {self.serial}")
        if not self._rules:  # the first filling: whoever has the empty zone takes the whole
            self._fill(Counter({rule: count for rule, count in counts.items() if count}))
            self._differences.clear()
            self.serial = serial
            return
        turned = {rule for rule, count in counts.items() if bool(count) != (rule in self._rules)}
        touched = turned | {rule for key, below in turned if below for rule in self._below(key)}
        before = {rule for rule in touched if self._is_said(rule)}
        keys = {key for key, _ in turned}
        for rule, count in counts.items():
            if count:
                self._rules[rule] = count
            else:
                self._rules.pop(rule, None)
        self._sort(keys)
        after = {rule for rule in touched if self._is_said(rule)}
        self._differences.append(Difference(self.serial, serial, tuple(sorted(before - after)), tuple(sorted(after - before))))
        self.serial = serial

    def _fill(self, rules: Counter[Rule]) -> None:
        self._rules = rules
        self._keys = sorted({key for key, _ in rules})

    def _sort(self, keys: set[str]) -> None:
        """Keep the sorted keys right after rules about some of them came or left."""
        if len(keys) > _MANY:
            self._keys = sorted({key for key, _ in self._rules})
            return
        for key in keys:
            place = bisect_left(self._keys, key)
            is_there = place < len(self._keys) and self._keys[place] == key
            if (key, False) in self._rules or (key, True) in self._rules:
                if not is_there:
                    self._keys.insert(place, key)
            elif is_there:
                del self._keys[place]

    def _below(self, key: str) -> Iterator[Rule]:
        """The rules about names below a key."""
        for place in range(bisect_right(self._keys, key), len(self._keys)):
            lower = self._keys[place]
            if not lower.startswith(key):
                return
            yield from (rule for rule in ((lower, False), (lower, True)) if rule in self._rules)

    def _is_said(self, rule: Rule) -> bool:
        """Whether a rule stands in the zone: not where a wildcard above says the same. It must not: a wildcard reaches no further than to
        the names that the zone holds below it (RFC 4592 §2.2.2), so what lies between would be open."""
        if rule not in self._rules:
            return False
        key = rule[0]
        end = key.find(".") + 1
        while end < len(key):
            if (key[:end], True) in self._rules:
                return False
            end = key.find(".", end) + 1
        return True

    def soa(self) -> dns.rrset.RRset:
        """The SOA of the newest serial."""
        return self._records_of.soa(self.serial)

    def whole(self) -> Iterator[bytes]:
        """The zone for AXFR: SOA, NS, rules, SOA. Raises ConnectionAbortedError when the zone moves on meanwhile."""
        serial = self.serial
        yield self._records_of.soa_record(serial)
        yield self._records_of.name_server()
        for rule in list(self._rules):
            if self.serial != serial:
                raise ConnectionAbortedError(f"serial {serial} is not the newest any more")
            if self._is_said(rule):
                yield from self._records([rule])
        yield self._records_of.soa_record(serial)

    def since(self, serial: int) -> Iterator[bytes] | None:
        """The differences for IXFR from a serial, only the SOA when it is up to date, None when it is not known any more."""
        newest = self._records_of.soa_record(self.serial)
        if serial == self.serial:
            return iter([newest])
        steps = list(self._differences)
        first = next((place for place, step in enumerate(steps) if step.before == serial), None)
        return None if first is None else self._steps(steps[first:], newest)

    def _steps(self, steps: list[Difference], newest: bytes) -> Iterator[bytes]:
        soa = self._records_of.soa_record
        yield newest
        for step in steps:
            yield soa(step.before)
            yield from self._records(step.removed)
            yield soa(step.after)
            yield from self._records(step.added)
        yield newest

    def _records(self, rules: Iterable[Rule]) -> Iterator[bytes]:
        """The records of rules; a name that would pass 255 octets below the origin cannot be said and is left out."""
        return (record for key, below in rules if (record := self._records_of.rule(key, below)) is not None)


def _rules_of(entry: Entry) -> list[Rule]:
    key, match = entry
    return [(key, below) for below in (False, True) if match == 0 or match == (2 if below else 1)]
