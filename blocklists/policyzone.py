"""The list as a response policy zone: what a serial holds, and how one serial becomes the next. Pure; `blocklists.xfr` serves it.

Every entry becomes `CNAME .` (NXDOMAIN): a name for itself, `*.name` for what is below it, both for an entry that covers both
(draft-vixie-dnsop-dns-rpz §4.1). Serials follow RFC 1982. The last differences are kept for IXFR (RFC 1995); an older secondary gets the
whole zone (RFC 5936).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.serial

Entry = tuple[str, int]
"""Index key (`com.example.`) and match: 0 name and below, 1 exact, 2 below only."""

Rule = tuple[str, bool]
"""Index key, and whether the rule is for what is below (`*.name`) rather than for the name itself."""

HISTORY = 128
TTL = 60


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
        self.origin = dns.name.from_text(origin)
        self._origin_octets = sum(len(label) + 1 for label in self.origin.labels)
        self.serial = serial
        self._rules = Counter(rule for entry in entries for rule in _rules_of(entry))
        self._differences: deque[Difference] = deque(maxlen=HISTORY)

    def __len__(self) -> int:
        return len(self._rules)

    def replace(self, serial: int, entries: Iterable[Entry]) -> None:
        """Take over a whole list as a newer serial; the difference is kept. Raises ValueError for a serial that is not newer."""
        self._step(serial, Counter(rule for entry in entries for rule in _rules_of(entry)))

    def advance(self, serial: int, removed: Iterable[Entry], added: Iterable[Entry]) -> None:
        """Take one step to a newer serial. Raises ValueError for a serial that is not newer (RFC 1982)."""
        touched = Counter(rule for entry in added for rule in _rules_of(entry))
        touched.subtract(rule for entry in removed for rule in _rules_of(entry))
        self._check(serial)
        gone, came = [], []
        for rule, change in touched.items():
            before = self._rules[rule]
            after = max(0, before + change)
            if after:
                self._rules[rule] = after
            else:
                del self._rules[rule]
            if before and not after:
                gone.append(rule)
            elif after and not before:
                came.append(rule)
        self._differences.append(Difference(self.serial, serial, tuple(gone), tuple(came)))
        self.serial = serial

    def _step(self, serial: int, fresh: Counter[Rule]) -> None:
        self._check(serial)
        gone = tuple(rule for rule in self._rules if rule not in fresh)
        came = tuple(rule for rule in fresh if rule not in self._rules)
        self._rules = fresh
        self._differences.append(Difference(self.serial, serial, gone, came))
        self.serial = serial

    def _check(self, serial: int) -> None:
        if not dns.serial.Serial(serial) > dns.serial.Serial(self.serial):
            raise ValueError(f"serial {serial} does not follow {self.serial}")

    def soa(self, serial: int | None = None) -> dns.rrset.RRset:
        """The SOA of this or an earlier serial: refresh 60 s, retry 30 s, expire 7 days, minimum 60 s."""
        text = f"lachan.{self.origin} hostmaster.{self.origin} {self.serial if serial is None else serial} 60 30 604800 {TTL}"
        return dns.rrset.from_text(self.origin, TTL, "IN", "SOA", text)

    def name_server(self) -> dns.rrset.RRset:
        """The NS that a zone must have; policy zones are never delegated, so it points nowhere."""
        return dns.rrset.from_text(self.origin, TTL, "IN", "NS", "localhost.")

    def whole(self) -> Iterator[dns.rrset.RRset]:
        """The zone for AXFR: SOA, NS, rules, SOA."""
        yield self.soa()
        yield self.name_server()
        yield from self._records(self._rules)
        yield self.soa()

    def since(self, serial: int) -> Iterator[dns.rrset.RRset] | None:
        """The differences for IXFR from a serial, only the SOA when it is up to date, None when it is not known any more."""
        if serial == self.serial:
            return iter([self.soa()])
        steps = list(self._differences)
        first = next((place for place, step in enumerate(steps) if step.before == serial), None)
        return None if first is None else self._steps(steps[first:])

    def _steps(self, steps: list[Difference]) -> Iterator[dns.rrset.RRset]:
        yield self.soa()
        for step in steps:
            yield self.soa(step.before)
            yield from self._records(step.removed)
            yield self.soa(step.after)
            yield from self._records(step.added)
        yield self.soa()

    def _records(self, rules: Iterable[Rule]) -> Iterator[dns.rrset.RRset]:
        """The records of rules; a name that would pass 255 octets below the origin cannot be said and is left out."""
        longest = 255 - self._origin_octets
        for key, below in rules:
            labels = [label.encode() for label in reversed(key.rstrip(".").split("."))]
            if below:
                labels.insert(0, b"*")
            if sum(len(label) + 1 for label in labels) <= longest:
                rrset = dns.rrset.RRset(dns.name.Name(labels).concatenate(self.origin), dns.rdataclass.IN, dns.rdatatype.CNAME)
                rrset.add(_NXDOMAIN, TTL)
                yield rrset


def _rules_of(entry: Entry) -> list[Rule]:
    key, match = entry
    return [(key, below) for below in (False, True) if match == 0 or match == (2 if below else 1)]


_NXDOMAIN = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.CNAME, ".")
