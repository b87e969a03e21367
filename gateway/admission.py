"""Who is let in, how fast, and what strangers and the too fast are told. Imported by the pipeline.

A stranger is refused with extended error 18, and all strangers together are never sent more octets than they sent, over a handful of
replies: the gateway is of no use for an attack on somebody whose address is forged (RFC 5358). Whoever is over the limit is first sent to
TCP, then met with silence; a server cookie or a stream proves an address (RFC 7873, 9018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from gateway.clients import Clients, Network, Record, network_ranges
from gateway.guesses import Guesses
from gateway.metrics import MALFORMED, RATE_LIMITED, REFUSED_CLIENTS, TOKEN_GUESSES, Counters
from gateway.query import ENCRYPTED, STREAMS, Origin, Query, Reject
from gateway.ratelimit import Allowance, RateLimiter
from gateway.tallies import SILENCE, Tallies
from gateway.wire.compose import chaos_text, compose_error, compose_reject, compose_truncated
from gateway.wire.constants import MAX_MESSAGE, Ede, Option, Rcode
from gateway.wire.cookie import CookieJar, CookieState
from gateway.wire.edns import option

GREETING: Final = 24
"""Octets that the first replies to strangers may be ahead of what strangers sent; one reply is then left out, and from there on they never
are.
"""
GREETING_PAUSE: Final = 10
"""Seconds without strangers after which the first replies are first ones again."""
MOST_CREDIT: Final = 4096
STRANGERS_PER_SECOND: Final = 200
_PROHIBITED: Final = ((Ede.PROHIBITED, ""),)
_WHO: Final = frozenset(name + b"\0\x10\0\x03" for name in (b"\x02id\x06server\0", b"\x08hostname\x04bind\0"))
"""Questions of class CH for TXT that ask which server this is (RFC 4892); those for its version are refused."""


class Admission:
    """The door. `trusted` are forwarders whose word on hardware addresses is believed; `real_time` is the clock of cookies (unix
    seconds).
    """

    def __init__(
        self,
        clients: Clients,
        limiter: RateLimiter,
        cookies: CookieJar,
        tallies: Tallies,
        counters: Counters,
        trusted: Iterable[Network],
        real_time: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._limiter = limiter
        self._cookies = cookies
        self._tallies = tallies
        self._trusted = {4: network_ranges(trusted, 4), 16: network_ranges(trusted, 16)}
        self._real_time = real_time
        self._debt = 0
        self._greeting = GREETING
        self._strangers = 0
        self._strangers_second = 0
        self._truncated = counters.cell(RATE_LIMITED, "truncated")
        self._dropped = counters.cell(RATE_LIMITED, "dropped")
        self._refused = counters.cell(REFUSED_CLIENTS)
        self._guesses = Guesses()
        self._nsid = self._identity = b""
        self._counters = counters
        self._malformed = {
            Rcode.FORMERR: counters.cell(MALFORMED, "formerr"),
            Rcode.NOTIMP: counters.cell(MALFORMED, "notimp"),
            Rcode.BADVERS: counters.cell(MALFORMED, "badvers"),
        }

    def admit(self, query: Query | Reject, size: int, origin: Origin, now: float, wall: float) -> Record | bytes | None:
        """The record of a source that may be answered, or the reply that ends it (None: silence). `size` is that of the query in octets."""
        scope = origin.scope
        record = scope.records.get(origin.source)
        if record is None:
            record = self._clients.admit(scope, origin.source, origin, now, wall)
            if record is None:
                return self.turn_away(query, size, origin, now)
        budget = record.bucket or record
        if budget.left > 0:
            budget.left -= 1
            return record
        allowance = self._limiter.take(budget, now, self._is_proven(query, origin))
        if allowance is Allowance.ANSWER:
            return record
        qtype = query.qtype if isinstance(query, Query) else 0
        if allowance is Allowance.TRUNCATE and isinstance(query, Query):
            self._truncated.n += 1
            self._tallies.plain(origin.transport, qtype, Rcode.NOERROR).n += 1
            return compose_truncated(query, self.cookie(query, origin))
        self._dropped.n += 1
        self._tallies.plain(origin.transport, qtype, SILENCE).n += 1
        return None

    def behind(self, record: Record, mac: str, origin: Origin, now: float, wall: float) -> Record:
        """The record of the device that a forwarder says is behind it, if that forwarder is to be believed; else its own."""
        number = int.from_bytes(origin.peer, "big")
        if not any(number & mask == first for mask, first in self._trusted[len(origin.peer)]):
            return record
        source = origin.source + mac.encode("ascii")
        known = origin.scope.records.get(source)
        return known or self._clients.admit(origin.scope, source, origin, now, wall, mac) or record

    def reject(self, reject: Reject, origin: Origin) -> bytes:
        """The reply to a query that is malformed or not supported."""
        cell = self._malformed.get(reject.rcode)
        if cell is not None:
            cell.n += 1
        body = b""
        if self._identity and reject.rcode == Rcode.REFUSED and reject.question.lower() in _WHO:
            reject, body = reject._replace(rcode=Rcode.NOERROR), self._identity
        self._tallies.plain(origin.transport, 0, reject.rcode).n += 1
        options = self.cookie(reject, origin) + self.identity(reject)
        return compose_reject(reject, options, origin.transport in ENCRYPTED, body)

    def identify(self, name: str) -> None:
        """From here on clients that ask which server this is are told this name (ASCII); empty: they are told nothing."""
        self._nsid = option(Option.NSID, name.encode("ascii")) if name else b""
        self._identity = chaos_text(name) if name else b""

    def identity(self, query: Query | Reject) -> bytes:
        """The option that says which server this is, if the query asks for it and it is to be told."""
        return self._nsid if query.edns is not None and Option.NSID in query.edns.others else b""

    def cookie(self, query: Query | Reject, origin: Origin) -> bytes:
        """The cookie option of the reply, if the query had one."""
        edns = query.edns
        if edns is None or not edns.cookie:
            return b""
        return option(Option.COOKIE, self._cookies.answer(edns.cookie, origin.peer, int(self._real_time()))[1])

    def _is_proven(self, query: Query | Reject, origin: Origin) -> bool:
        if origin.transport in STREAMS:
            return True
        edns = query.edns
        if edns is None or len(edns.cookie) <= 8:
            return False
        return self._cookies.check(edns.cookie, origin.peer, int(self._real_time())) is CookieState.VALID

    def turn_away(self, query: Query | Reject, size: int, origin: Origin, now: float) -> bytes | None:
        """What a stranger is told, None for nothing."""
        self._refused.n += 1
        second = int(now)
        if second != self._strangers_second:
            if second - self._strangers_second > GREETING_PAUSE:
                self._greeting, self._debt = GREETING, 0
            self._strangers_second = second
            self._strangers = 0
        is_told = True
        if origin.token is not None:
            is_told = self._guesses.take(origin.peer, now)
            self._counters.cell(TOKEN_GUESSES, origin.transport.value, "refused" if is_told else "dropped").n += 1
        if is_told:
            self._strangers += 1
        reply = self._refusal(query, size, origin) if is_told and self._strangers <= STRANGERS_PER_SECOND else None
        qtype = query.qtype if isinstance(query, Query) else 0
        self._tallies.plain(origin.transport, qtype, SILENCE if reply is None else Rcode.REFUSED).n += 1
        if origin.transport not in STREAMS:
            self._debt = max(-MOST_CREDIT, self._debt + (len(reply) if reply is not None else 0) - size)
        return reply

    def _refusal(self, query: Query | Reject, size: int, origin: Origin) -> bytes | None:
        """The reply to a stranger; without the extended error, or none at all, when it would make strangers the winners."""
        if isinstance(query, Reject):
            return compose_reject(query._replace(rcode=query.rcode or Rcode.REFUSED, ede=None), b"", origin.transport in ENCRYPTED)
        if origin.transport in STREAMS:
            return compose_error(query, Rcode.REFUSED, _PROHIBITED, b"", MAX_MESSAGE, origin.transport in ENCRYPTED)
        reply = compose_error(query, Rcode.REFUSED, _PROHIBITED)
        if self._debt + len(reply) - size <= self._greeting:
            return reply
        if self._greeting:
            self._greeting = 0
            return None
        return compose_error(query, Rcode.REFUSED)
