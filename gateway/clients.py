"""Who asks: the record of each source, with the policy in force for it, its answer tables and its tokens. Imported by listeners and
pipeline.

A `Scope` belongs to one listener and maps what identifies a source there (for UDP the octets of its address, and of the address that was
asked) to its `Record`; so two schools that both use 10.1.0.0/16 behind different addresses of ours never share one. Records are made only
for admitted sources, at most `limit` of them; further sources are served without one, their tokens drawn from a fixed number of shared
buckets. A record that nobody used for a while is forgotten.

Identification that fails for any reason gives the strictest band of the place (closed); it is the snapshot that says which.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final, Protocol

from gateway.answers import AnswerTable, AnswerTables, Kind
from gateway.query import Origin, Transport
from gateway.ratelimit import Budget, RateLimiter

if TYPE_CHECKING:
    from gateway.policy.model import EffectivePolicy, Match

log = logging.getLogger(__name__)

BUCKETS: Final = 4096
"""Shared budgets of sources beyond the limit."""
IDLE_SECONDS: Final = 600.0
CROWDED_IDLE_SECONDS: Final = 10.0
"""After how long an idle record is forgotten, and the same when three quarters of the places are taken."""
_SLICE: Final = 200

Network = IPv4Network | IPv6Network


class Judge(Protocol):
    """The part of a snapshot that says who a source is and what holds for it."""

    def identify(self, address: bytes, local: bytes | None, mac: str | None, token: str | None, *, is_near: bool = False) -> Match: ...
    def linked(self, address: bytes, now: float) -> Match | None: ...
    def effective(self, match: Match, now: float) -> EffectivePolicy: ...


class Neighbours(Protocol):
    """Hardware addresses on the local links."""

    def mac_of(self, address: bytes, now: float) -> str | None:
        """The hardware address of a packed address, None when it is not confirmed. `now` is monotonic."""


class Account:
    """What is counted for one policy at one site until it is handed to the activity.

    `notes` counts blocks and rewrites by outcome and category as they happen; `spent` all queries, brought in by the sweep; `balance` is
    what is left of those once the notes are taken off.
    """

    __slots__ = ("balance", "known", "notes", "policy", "site", "spent")

    def __init__(self, policy: EffectivePolicy, site: str, known: bool) -> None:
        self.policy = policy
        self.site = site
        self.known = known
        self.spent = 0
        self.balance = 0
        self.notes: dict[Kind, int] = {}


class Record(Budget):
    """One source. `view` and `stream_view` are its answer tables for datagrams and streams; `counted` is what the sweep has counted so
    far.
    """

    __slots__ = ("account", "address", "bucket", "counted", "idle_since", "is_behind", "mac", "match", "policy", "token", "waiting")

    def __init__(self, address: bytes, token: str | None, mac: str | None) -> None:
        super().__init__()
        self.address = address
        self.token = token
        self.mac = mac
        self.is_behind = False
        """Whether a forwarder at this address told of the hardware address: one of several devices behind it."""
        self.bucket: Budget | None = None
        """The shared budget of a source that found no place."""
        self.counted = 0
        self.idle_since = 0.0
        self.waiting = 0
        """Queries of this source that wait for an upstream."""
        self.match: Match
        self.policy: EffectivePolicy
        self.account: Account


class Scope:
    """The records of one listener, by what identifies a source there. `listener` is its address as configured, `local` its own packed
    address, None for a wildcard."""

    __slots__ = ("listener", "local", "records", "transport")

    def __init__(self, listener: str, transport: Transport, local: bytes | None) -> None:
        self.listener = listener
        self.transport = transport
        self.local = local
        self.records: dict[bytes, Record] = {}


class Clients:
    """Every source of a worker. Monotonic seconds for budgets and idleness, wall seconds (unix) for policies."""

    def __init__(
        self,
        judge: Judge,
        tables: AnswerTables,
        limiter: RateLimiter,
        allow_from: Iterable[Network],
        limit: int = 65_536,
        neighbours: Neighbours | None = None,
        seen: Callable[[Record], None] = lambda record: None,
        weigh: Callable[[Record, int], None] = lambda record, spent: None,
    ) -> None:
        """`seen` is told of every record that is made or resolved anew, and of those the sweep finds used; `weigh` how much these asked."""
        self._seen = seen
        self._weigh = weigh
        self._judge = judge
        self._tables = tables
        self._limiter = limiter
        self._allowed = {4: network_ranges(allow_from, 4), 16: network_ranges(allow_from, 16)}
        self._link: list[tuple[int, int]] = []
        self._limit = limit
        self._neighbours = neighbours
        self._scopes: list[Scope] = []
        self._count = 0
        self._buckets: dict[int, Budget] = {}
        self._accounts: dict[tuple[int, str, bool], Account] = {}
        self._places: dict[bytes, list[tuple[Scope, bytes]]] = {}
        """Where records are whose hardware address counts, by address."""
        self._used: set[AnswerTable | Account] = set()
        """What records refer to that were made or resolved since the last round of the sweep began."""
        self._now = 0.0
        self._sweeping: Iterator[None] | None = None
        self.boundary = float("inf")
        """Wall time at which some policy must be resolved again; compared by the pipeline after each receive."""

    @property
    def count(self) -> int:
        """Records held."""
        return self._count

    def open_scope(self, listener: str, transport: Transport, local: bytes | None = None) -> Scope:
        """A scope for one listener."""
        scope = Scope(listener, transport, local)
        self._scopes.append(scope)
        return scope

    def is_allowed(self, address: bytes) -> bool:
        """Whether `allow_from` admits a packed address."""
        number = int.from_bytes(address, "big")
        return any(number & mask == first for mask, first in self._allowed[len(address)]) or self._is_near(address)

    def serve_link(self, networks: Iterable[Network]) -> None:
        """These networks of the machine's own links may ask from now on, and those of before no longer."""
        link = network_ranges(networks, 16)
        if link != self._link:
            self._link = link
            self.clock_moved()

    def _is_near(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return len(address) == 16 and any(number & mask == first for mask, first in self._link)

    def admit(self, scope: Scope, key: bytes, origin: Origin, now: float, wall: float, mac: str | None = None) -> Record | None:
        """The record of a source that has none in its scope yet, or None for a stranger. `mac` is one a trusted forwarder told.

        A source beyond the limit gets a record for this query only, with a shared bucket as its budget. A token that nobody has makes no
        source of its own: where `allow_from` lets the address in, the query is the address's own and is paid from its budget.
        """
        address, token = origin.peer, origin.token
        if token is not None and not self._is_token(origin):
            key = key.removesuffix(b"\0" + token.encode("ascii", "replace"))
            token = None
            if key in scope.records:
                return scope.records[key]
        if token is None and not self.is_allowed(address) and self._judge.linked(address, wall) is None:
            return None
        is_neighbour = False
        if mac is None and self._neighbours is not None:
            mac = self._neighbours.mac_of(address, now)
            is_neighbour = True
        record = Record(address, token, mac)
        record.is_behind = mac is not None and not is_neighbour
        self._resolve(scope, record, origin.local or scope.local, wall)
        if self._count >= self._limit:
            record.bucket = self._bucket(address, now)
            return record
        self._limiter.open(record, address, now)
        record.idle_since = now
        scope.records[key] = record
        self._count += 1
        self._seen(record)
        if is_neighbour:
            self._places.setdefault(address, []).append((scope, key))
        return record

    def refresh(self, origin: Origin, record: Record, wall: float) -> bool:
        """Resolve the policy of a record again, if it is no longer in force. False when the source is a stranger now: its token was taken
        back, or the home that had this address has another, and nothing else lets it in.
        """
        if not record.view.is_current or record.policy.valid_until <= wall:
            scope = origin.scope
            self._resolve(scope, record, origin.local or scope.local, wall)
            if record.token is not None and record.match.by != "token":
                # A source with its token no longer: whoever comes next with it is met as anybody with a wrong one.
                self._drop(scope, origin.source)
                return record.match.by == "linked" or self.is_allowed(record.address)
            if record.token is None and record.match.by != "linked" and not self.is_allowed(record.address):
                self._drop(scope, origin.source)  # a home that has this address no longer
                return False
            self._seen(record)  # whose it is may have changed: pages know it at its next question, not at the next round of the sweep
        return True

    def forget(self, address: bytes) -> None:
        """Forget a source that may be known by its hardware address: another device may have its address now."""
        for scope, key in self._places.pop(address, ()):
            self._drop(scope, key)

    def swap(self, judge: Judge) -> None:
        """Judge by another generation from now on. Every record has its policy resolved at its next use; tables of policies whose content
        is the same stay.
        """
        self._judge = judge
        self.boundary = float("inf")
        self._tables.retire(lambda table: True)

    def cross(self, wall: float) -> None:
        """A boundary was crossed: retire the tables whose policy has ended. Whoever comes next has its policy resolved anew."""
        self._tables.retire(lambda table: table.valid_until <= wall)
        self.boundary = min((table.valid_until for table in self._tables if table.is_current), default=float("inf"))

    def clock_moved(self) -> None:
        """The wall clock was set: every policy is resolved anew at its next use."""
        self.boundary = float("inf")
        self._tables.retire(lambda table: True)

    def accounts(self) -> Iterable[Account]:
        """What was counted, by policy and site. The reader sets the counts back to zero."""
        return self._accounts.values()

    def sweep(self, now: float) -> bool:
        """One slice of looking at every record: count what it spent, forget it when idle; False at the end of a round."""
        if self._sweeping is None:
            self._sweeping = self._walk()
        self._now = now
        if next(self._sweeping, self) is self:
            self._sweeping = None
            return False
        return True

    def _walk(self) -> Iterator[None]:
        used = self._used = set()
        for scope in self._scopes:
            keys = list(scope.records)
            for start in range(0, len(keys), _SLICE):
                for key in keys[start : start + _SLICE]:
                    record = scope.records.get(key)
                    if record is not None and self._look(scope, key, record):
                        used.update((record.view, record.account))
                yield
        self._tables.forget_unused({item for item in used if isinstance(item, AnswerTable)})
        accounts = self._accounts.items()
        self._accounts = {where: account for where, account in accounts if account in used or account.notes or account.spent}

    def _look(self, scope: Scope, key: bytes, record: Record) -> bool:
        now = self._now
        spent = record.granted - record.left - record.counted
        if spent:
            record.counted += spent
            record.account.spent += spent
            self._weigh(record, spent)
            record.idle_since = now
            self._seen(record)
        else:
            patience = CROWDED_IDLE_SECONDS if self._count * 4 > self._limit * 3 else IDLE_SECONDS
            if now - record.idle_since > patience:
                self._drop(scope, key)
                return False
        return True

    def _drop(self, scope: Scope, key: bytes) -> None:
        record = scope.records.pop(key, None)
        if record is None:
            return
        self._count -= 1
        places = self._places.get(record.address)
        if places is not None:
            self._places[record.address] = left = [place for place in places if place != (scope, key)]
            if not left:
                del self._places[record.address]

    def _resolve(self, scope: Scope, record: Record, local: bytes | None, wall: float) -> None:
        judge = self._judge
        if self._is_near(record.address):
            match = judge.identify(record.address, local, record.mac, record.token, is_near=True)
        else:
            match = judge.identify(record.address, local, record.mac, record.token)
        if not match.known and not self.is_allowed(record.address):
            match = judge.linked(record.address, wall) or match
        policy = judge.effective(match, wall)
        if policy.valid_until < self.boundary:
            self.boundary = policy.valid_until
        record.match = match
        record.policy = policy
        record.view = self._tables.table(policy, scope.transport)
        site = match.site or ""
        account = self._accounts.get((policy.id, site, match.known))
        if account is None:
            account = self._accounts[policy.id, site, match.known] = Account(policy, site, match.known)
        account.policy = policy
        record.account = account
        self._used.update((record.view, account))

    def _is_token(self, origin: Origin) -> bool:
        return self._judge.identify(origin.peer, origin.local, None, origin.token).by == "token"

    def _bucket(self, address: bytes, now: float) -> Budget:
        number = hash(address) % BUCKETS
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = Budget()
            self._limiter.open(bucket, address, now)
        return bucket


def network_ranges(networks: Iterable[Network], width: int) -> list[tuple[int, int]]:
    """(mask, first address) as numbers, for the networks whose addresses have `width` octets."""
    return [(int(network.netmask), int(network.network_address)) for network in networks if (4 if network.version == 4 else 16) == width]
