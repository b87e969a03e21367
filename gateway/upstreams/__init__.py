"""Resolvers that are asked what is not known here: what every way of reaching one has in common.

An upstream is one server over one transport (`udp`, `stream` for TCP and TLS, `doh`). It sends exchanges, matches what comes back and
reports to its observer; it knows nothing of clients, policy or other upstreams. `selector.Resolver` owns the upstreams of all groups: it
joins identical questions, chooses who is asked, counts attempts and calls back. The pipeline imports `selector`; nobody else in `gateway`
imports this package, `metrics` reads `Tally`.

To add one more transport: a file with a class that satisfies `Upstream`, and its scheme in `opening.open_upstream`.

RFC 1035, 5452 (matching, ports and ids), 5625 (proxies), 7766, 7858, 8310, 8484, 9520 (failures are remembered).
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from gateway.query import Answer
from gateway.settings import UpstreamAddress
from gateway.upstreams.exchange import Exchange, Plain
from gateway.wire.constants import Ede, Rcode

# How an attempt and a question can fail -------------------------------------------------------------------------------------------


class Fault(enum.Enum):
    """Why one attempt at one upstream gave no usable answer."""

    TIMEOUT = "timeout"
    NETWORK = "network"
    REFUSED = "refused"
    SERVFAIL = "servfail"
    MISMATCH = "mismatch"
    MALFORMED = "malformed"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One attempt that failed: the upstream as configured, why, and the detail for an operator. Holds no query name and no client."""

    upstream: str
    fault: Fault
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.upstream}: {self.fault.value}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """No upstream gave a usable answer. A closed family: every kind is a subclass below.

    `rcode` is what a client is told, `ede` the extended errors that go with it, the upstream's own ones first (RFC 8914).
    """

    evidence: tuple[Evidence, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()

    reason: ClassVar[str] = "other"
    code: ClassVar[int] = Ede.OTHER
    rcode: ClassVar[int] = Rcode.SERVFAIL
    is_transient: ClassVar[bool] = False
    """Whether it says something about the network rather than about the name: it is then forgotten as soon as an upstream is back."""

    @property
    def ede(self) -> tuple[tuple[int, str], ...]:
        """Extended errors: those the upstream gave, or the one of this kind of failure."""
        return self.errors or ((self.code, ""),)


@dataclass(frozen=True, slots=True)
class Timeout(UpstreamFailure):
    """Nobody answered in time."""

    reason: ClassVar[str] = "timeout"
    code: ClassVar[int] = Ede.NO_REACHABLE_AUTHORITY
    is_transient: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class NetworkError(UpstreamFailure):
    """The network or the server refused to carry the question, or TLS could not be agreed on."""

    reason: ClassVar[str] = "network"
    code: ClassVar[int] = Ede.NETWORK_ERROR
    is_transient: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Invalid(UpstreamFailure):
    """Something came back, and none of it could be used."""

    reason: ClassVar[str] = "invalid"
    code: ClassVar[int] = Ede.INVALID_DATA


@dataclass(frozen=True, slots=True)
class ServerFailure(UpstreamFailure):
    """Every upstream that was asked said SERVFAIL or another error."""

    reason: ClassVar[str] = "servfail"
    code: ClassVar[int] = Ede.NO_REACHABLE_AUTHORITY


@dataclass(frozen=True, slots=True)
class Refused(UpstreamFailure):
    """Every upstream that was asked said REFUSED. `is_block` when they answer other names: then it is a block of theirs
    (`upstream_block`)."""

    is_block: bool = False

    reason: ClassVar[str] = "refused"
    code: ClassVar[int] = Ede.NO_REACHABLE_AUTHORITY


@dataclass(frozen=True, slots=True)
class Overload(UpstreamFailure):
    """The question was dropped because too many were waiting; the client gets no answer and asks again."""

    reason: ClassVar[str] = "overload"
    code: ClassVar[int] = Ede.OTHER
    is_transient: ClassVar[bool] = True


# Health -------------------------------------------------------------------------------------------------------------------------

RTO_FIRST: Final = 0.4
RTO_MIN: Final = 0.3
RTO_MAX: Final = 0.6
"""Three attempts of the longest wait end at 1.8 s (RFC 8767 §5), so that a dead network is reported within two seconds."""
DOWN_AFTER: Final = 2
PROBE_EVERY: Final = 1.0
WORKING_MEMORY: Final = 300.0
MAX_REFUSED_IN_ROW: Final = 20
MAX_REFUSED_SHARE: Final = 0.25
"""Of the last `REFUSED_WEIGHT` or so answers; a server that refuses more limits how often it is asked, or knows nobody here."""
REFUSED_WEIGHT: Final = 16
MOST_BOGUS: Final = 4
"""Zones in a row, for `SOUND_MEMORY` seconds without a good answer: then the server is wrong, not they."""
SOUND_MEMORY: Final = 5.0
TOLERATED_SHARE: Final = 0.1
"""A server that fails more than this share of what others can answer is asked later: names that are broken by themselves stay below it."""
PENALTY: Final = 2.0
"""Seconds that a server which answers nothing loses against the others."""
BETTERED_WEIGHT: Final = 32
PARDON_WEIGHT: Final = 8


class Health:
    """What is known about one upstream: round trip time, whether it is down, when it may be probed. Times in seconds on the monotonic
    clock.

    A strike is an attempt that ended with nothing at all having come from the server since it was sent; forged, broken or refused replies
    are no strikes. A server with `DOWN_AFTER` strikes in a row is down: it is asked at most once a second until any well-formed answer
    comes.
    """

    __slots__ = ("_backed_off_at", "bettered_share", "bogus", "detail", "fault", "faulted_at", "is_down", "last_good", "last_reply",
                 "probed_at", "probes", "refused", "refused_share", "rto", "rto_max", "rto_min", "rttvar", "srtt", "strikes")  # fmt: skip

    def __init__(self, rto_min: float = RTO_MIN, rto_max: float = RTO_MAX) -> None:
        self.srtt = 0.0
        self.rttvar = 0.0
        self.rto_min = rto_min
        self.rto_max = rto_max
        self.rto = min(max(RTO_FIRST, rto_min), rto_max)
        self.bettered_share = 0.0
        self.bogus = 0
        self.strikes = 0
        self.is_down = False
        self.fault = Fault.TIMEOUT
        self.detail = ""
        """What was wrong the last time, for an operator; without addresses."""
        self.faulted_at = float("-inf")
        self.last_reply = float("-inf")
        self.last_good = float("-inf")
        self.probed_at = float("-inf")
        self.probes = 0
        self.refused = 0
        self.refused_share = 0.0
        self._backed_off_at = float("-inf")

    @property
    def rank(self) -> float:
        """Expected cost of asking, in seconds; 0 before the first answer, so that a new upstream is tried."""
        return self.srtt + max(0.0, self.bettered_share - TOLERATED_SHARE) * PENALTY

    def replied(self, rtt: float, now: float) -> None:
        """A well-formed answer came, `rtt` seconds after it was asked for (RFC 6298 §2)."""
        if self.srtt:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
            self.srtt += (rtt - self.srtt) / 8
        else:
            self.srtt, self.rttvar = max(rtt, 1e-6), rtt / 2
        self.rto = min(max(self.srtt + 4 * self.rttvar, self.rto_min), self.rto_max)
        self.last_reply = now
        self.strikes = 0

    def revive(self, now: float) -> None:
        """It answered after all; its round trip time starts over."""
        self.srtt = self.rttvar = 0.0
        self.last_reply = now
        self.strikes = 0
        self.is_down = False

    def was_good(self, now: float) -> None:
        """The answer settled the question."""
        self.last_good = now
        self.refused = 0
        self.refused_share -= self.refused_share / REFUSED_WEIGHT
        self.bogus = 0
        self.bettered_share -= self.bettered_share / PARDON_WEIGHT

    def declined(self) -> None:
        """It said REFUSED."""
        self.refused += 1
        self.refused_share += (1 - self.refused_share) / REFUSED_WEIGHT

    def was_bogus(self) -> None:
        """It found the signatures of one more zone wrong."""
        self.bogus += 1

    def is_sound(self, now: float) -> bool:
        """Whether not everything is forged to it, as to a server with a wrong clock, or without the root's key."""
        return self.bogus < MOST_BOGUS or now - self.last_good < SOUND_MEMORY

    def was_bettered(self) -> None:
        """Another upstream answered what this one could not."""
        self.bettered_share += (1 - self.bettered_share) / BETTERED_WEIGHT

    def missed(self, sent_at: float, now: float, fault: Fault, detail: str = "") -> bool:
        """An attempt sent at `sent_at` ended without an answer; True when the upstream goes down with it."""
        if self.last_reply >= sent_at:
            return False
        if fault is not Fault.TIMEOUT or self.faulted_at < sent_at:  # silence says less than what was told meanwhile
            self.fault, self.detail, self.faulted_at = fault, detail, now
        if now - self._backed_off_at >= self.rto:
            self._backed_off_at = now
            self.rto = min(self.rto * 1.5, self.rto_max)
            self.strikes += 1
        if self.is_down or self.strikes < DOWN_AFTER:
            return False
        self.is_down = True
        return True

    @property
    def is_failing(self) -> bool:
        """Whether nothing came from it since `fault` was seen."""
        return self.faulted_at > self.last_reply

    def is_working(self, now: float) -> bool:
        """Whether it answered other names lately, and refuses few."""
        is_refusing = self.refused > MAX_REFUSED_IN_ROW or self.refused_share > MAX_REFUSED_SHARE
        return now - self.last_good < WORKING_MEMORY and not is_refusing

    def is_probe_due(self, now: float) -> bool:
        """Whether a down upstream may be asked again."""
        return self.is_down and now - self.probed_at >= PROBE_EVERY


BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds, in seconds, of the latency histogram."""


@dataclass(slots=True)
class Tally:
    """What one upstream did since the worker started; `metrics` reads it once a second."""

    sent: int = 0
    answers: int = 0
    blocks: int = 0
    failures: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """Answers per bucket, not cumulative; the last one is everything slower."""
    seconds: float = 0.0

    def took(self, rtt: float, count: int = 1) -> None:
        """Count answers that took `rtt` seconds each."""
        self.answers += count
        self.seconds += rtt * count
        self.latency[bisect_left(BUCKETS, rtt)] += count


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """One upstream for status pages and metrics. `latency` is the smoothed round trip time in seconds, 0 before the first answer; `fault`
    and `detail` say why nothing comes from it, empty while something does; `is_default`: it is asked for names without a route."""

    label: str
    is_up: bool
    latency: float
    tally: Tally
    fault: str
    detail: str
    is_default: bool

    @classmethod
    def of(cls, upstream: Upstream, is_default: bool) -> UpstreamStatus:
        """What is known of an upstream now."""
        health = upstream.health
        fault, detail = (health.fault.value, health.detail) if health.is_failing else ("", "")
        return cls(upstream.label, not health.is_down, health.srtt, upstream.tally, fault, detail, is_default)


# The seam -----------------------------------------------------------------------------------------------------------------------


class Observer(Protocol):
    """To whom an upstream reports. A late answer may follow a miss, and an exchange may long be finished when it comes."""

    def answered(self, exchange: Exchange, upstream: Upstream, answer: Answer, now: float) -> None:
        """A well-formed answer to the exchange's own question came, whatever its rcode."""

    def was_truncated(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        """The answer did not fit into a datagram."""

    def missed(self, exchange: Exchange, upstream: Upstream, fault: Fault, detail: str, now: float, may_repeat: bool = True) -> None:
        """The attempt came to nothing, or is worth another one; `may_repeat` when asking the same upstream again can help.

        Said only of exchanges that are not finished. After NETWORK and TLS on a stream nothing more can come of the attempt; otherwise it
        can.
        """

    def went_down(self, upstream: Upstream, now: float) -> None:
        """The upstream has been silent for so long that it is held for dead."""


class Upstream(Protocol):
    """One server over one transport."""

    address: UpstreamAddress
    label: str
    """As configured, without secrets: for evidence and metrics."""
    health: Health
    tally: Tally
    is_encrypted: bool
    is_stream: bool
    takes_plain: bool
    """Whether `send` takes questions that are not whole."""

    def send(self, exchange: Exchange | Plain) -> None:
        """Ask. Never blocks and never reports before it returns; questions of one turn of the loop leave together."""

    def expire(self, now: float) -> None:
        """Report attempts that waited too long, close what is idle. Called every few hundredths of a second while anything is under way."""

    @property
    def is_idle(self) -> bool:
        """Whether `expire` has nothing left to do."""

    def close(self) -> None:
        """Close every socket. Nothing is reported afterwards."""
