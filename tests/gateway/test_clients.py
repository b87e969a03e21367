"""Client records: admission, identity, boundaries, the bound on their number, the sweep."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from gateway.answers import AnswerTables
from gateway.clients import Clients, Record, Scope
from gateway.policy.model import Match
from gateway.query import Origin, Transport
from gateway.ratelimit import RateLimiter
from gateway.settings import RateLimit
from tests.gateway.test_answers import Policy


class Judge:
    """Identifies by address, MAC and token; policies by client, valid until a moment."""

    def __init__(self, valid_until: float = float("inf")) -> None:
        self.valid_until = valid_until
        self.resolved = 0
        self.tokens = {"good"}
        self.homes: dict[bytes, float] = {}

    def identify(self, address: bytes, local: bytes | None, mac: str | None, token: str | None, *, is_near: bool = False) -> Match:
        """By token `good`, then MAC, then address and the address that was asked."""
        if token in self.tokens:
            return Match("token", "p", "t", None, True, by="token")
        if mac is not None:
            return Match(mac, "p", "t", None, True, by="mac")
        if address in self.homes or address[0] == 203:  # documentation addresses: nobody is known there
            return Match(None, None, None, None, False)
        return Match(f"{address.hex()}@{(local or b'').hex()}", "p", "t", "site", True, by="address")

    def linked(self, address: bytes, now: float) -> Match | None:
        """A home until its end."""
        until = self.homes.get(address, 0.0)
        return Match("home", "p", "t", None, True, by="linked") if now < until else None

    def effective(self, match: Match, now: float) -> Any:
        """A policy for each client."""
        self.resolved += 1
        return Policy(hash(match.client_id), valid_until=self.valid_until if now < self.valid_until else float("inf"))


class Neighbours:
    """A neighbour table with one entry at most."""

    def __init__(self) -> None:
        self.macs: dict[bytes, str] = {}

    def mac_of(self, address: bytes, now: float) -> str | None:
        """The hardware address."""
        return self.macs.get(address)


def make(allow: Iterable[str] = ("10.0.0.0/8", "fd00::/8"), limit: int = 100, judge: Any = None, **members: Any) -> tuple[Clients, Scope]:
    """Clients and one scope."""
    networks = [ip_network(text) for text in allow]
    clients = Clients(judge or Judge(), AnswerTables(1 << 20), RateLimiter(RateLimit(10, 20)), networks, limit, **members)
    return clients, clients.open_scope("127.0.0.1:53", Transport.UDP, bytes((127, 0, 0, 1)))


def admit(clients: Clients, scope: Scope, address: bytes, now: float = 0.0, token: str | None = None, local: bytes | None = None) -> Any:
    """Admit a source as the pipeline does."""
    origin = coming(scope, address, token)
    origin.local = local
    return scope.records.get(origin.source) or clients.admit(scope, origin.source, origin, now, now)


def coming(scope: Scope, address: bytes, token: str | None = None) -> Origin:
    """Where a query comes from."""
    return Origin(Transport.UDP, address, 4000, scope, address + (b"\0" + token.encode() if token else b""), None, token)


def host(number: int) -> bytes:
    """An address in 10/8."""
    return bytes((10, 0, number >> 8, number & 255))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("0a010203", True), ("0b010203", False), ("fd" + "00" * 15, True), ("20" + "00" * 15, False), ("00000000", False)],
)
def test_only_admitted_sources_get_a_record(address: str, allowed: bool) -> None:
    """`allow_from` decides for both families; strangers leave no trace."""
    clients, scope = make()
    record = admit(clients, scope, bytes.fromhex(address))
    assert (record is not None) is allowed
    assert clients.count == len(scope.records) == int(allowed)


def test_networks_of_own_links_follow_the_prefix() -> None:
    """What a link has now may ask; a device of the prefix of before is a stranger at its next question."""
    clients, scope = make()
    old, new = (ip_address(text).packed for text in ("2001:ee0:1:2::1f", "2402:800:9:9::1f"))
    assert admit(clients, scope, old) is None
    clients.serve_link([ip_network("2001:ee0:1:2::/64")])
    record = admit(clients, scope, old)
    assert record is not None and admit(clients, scope, new) is None and not clients.is_allowed(ip_address("2001:ee0:1:3::1").packed)
    clients.serve_link([ip_network("2402:800:9:9::/64")])
    assert not clients.refresh(coming(scope, old), record, 0.0)
    assert admit(clients, scope, old) is None and admit(clients, scope, new) is not None


def test_valid_token_admits_from_anywhere() -> None:
    """A token that somebody was given opens the door; another one does not."""
    clients, scope = make()
    assert admit(clients, scope, bytes((203, 0, 113, 1)), token="good") is not None
    assert admit(clients, scope, bytes((203, 0, 113, 1)), token="guessed") is None


def test_wrong_tokens_make_no_sources_of_their_own() -> None:
    """Where the address is let in anyway, a token that nobody has is as none: one record, one budget, however many are tried."""
    clients, scope = make()
    mine = admit(clients, scope, host(1))
    assert {id(admit(clients, scope, host(1), token=f"guessed-{number}")) for number in range(9)} == {id(mine)}
    other = admit(clients, scope, host(2), token="guessed")
    assert other.token is None and admit(clients, scope, host(2)) is other
    assert clients.count == 2


def test_source_whose_token_is_taken_back_is_a_stranger_again() -> None:
    """From outside it is let in no longer; at home it is what its address is."""
    clients, scope = make()
    judge = Judge()
    away, home = bytes((203, 0, 113, 1)), host(1)
    records = {address: admit(clients, scope, address, token="good") for address in (away, home)}
    judge.tokens = set()
    clients.swap(judge)
    assert not clients.refresh(coming(scope, away, "good"), records[away], 1.0)
    assert clients.refresh(coming(scope, home, "good"), records[home], 1.0)
    assert records[home].match.by == "address"
    assert scope.records == {} and clients.count == 0


def test_device_that_moved_is_resolved_again_though_others_still_share_its_old_policy() -> None:
    """Two devices with one policy; one is given to a child. The other one asks first and brings the replies of the old policy back: the
    moved device must not find them."""

    class Household(Judge):
        def effective(self, match: Match, now: float) -> Any:
            return Policy(2 if match.client_id in self.moved else 1)

        moved: frozenset[str | None] = frozenset()

    judge = Household()
    clients, scope = make(judge=judge)
    stays, moves = admit(clients, scope, host(1)), admit(clients, scope, host(2))
    assert stays.view is moves.view
    judge.moved = frozenset({moves.match.client_id})
    clients.swap(judge)
    assert clients.refresh(coming(scope, host(1)), stays, 1.0)
    assert stays.view.is_current and not moves.view.is_current
    assert clients.refresh(coming(scope, host(2)), moves, 1.0)
    assert (stays.policy.id, moves.policy.id) == (1, 2)


def test_home_is_let_in_by_its_present_address_until_the_link_ends() -> None:
    """From outside, without a token; when the home has another address, or its time is over, the address is a stranger's again. An address
    that `allow_from` serves is never taken for a home."""
    judge = Judge()
    clients, scope = make(judge=judge)
    home, elsewhere = bytes((203, 0, 113, 1)), bytes((203, 0, 113, 2))
    judge.homes = {home: 100.0, host(1): 100.0}
    record = admit(clients, scope, home)
    assert (record.match.client_id, record.match.by) == ("home", "linked")
    assert admit(clients, scope, elsewhere) is None
    assert admit(clients, scope, host(1)).match.by == "default"
    judge.homes = {elsewhere: 100.0}
    clients.swap(judge)
    assert not clients.refresh(coming(scope, home), record, 1.0)
    assert home not in scope.records
    record = admit(clients, scope, elsewhere)
    clients.clock_moved()
    assert not clients.refresh(coming(scope, elsewhere), record, 100.0)
    assert admit(clients, scope, elsewhere, 101.0) is None


def test_same_address_at_two_listeners_is_two_clients() -> None:
    """Two schools with the same private network are told apart by the address they ask."""
    clients, scope = make()
    other = clients.open_scope("127.0.0.2:53", Transport.UDP, bytes((127, 0, 0, 2)))
    first, second = admit(clients, scope, host(1)), admit(clients, other, host(1))
    assert first.match.client_id != second.match.client_id
    wildcard = clients.open_scope("0.0.0.0:53", Transport.UDP)
    assert admit(clients, wildcard, host(1), local=bytes((127, 0, 0, 9))).match.client_id.endswith("7f000009")


def test_record_beyond_the_limit_shares_a_bucket() -> None:
    """When every place is taken, further sources are served without one, from a fixed number of budgets."""
    clients, scope = make(limit=3)
    for number in range(3):
        assert admit(clients, scope, host(number)).bucket is None
    extra = admit(clients, scope, host(7))
    assert extra.bucket is not None and extra.bucket.left == 20
    assert clients.count == 3
    assert admit(clients, scope, host(7)).bucket is extra.bucket


def test_boundary_is_the_first_end_of_any_policy_and_retires_only_what_ended() -> None:
    """When a policy ends its table falls silent at once; the record is resolved anew at its next use."""
    judge = Judge(valid_until=100.0)
    clients, scope = make(judge=judge)
    record = admit(clients, scope, host(1))
    assert clients.boundary == 100.0
    clients.cross(100.0)
    assert not record.view.is_current
    clients.refresh(coming(scope, host(1)), record, 100.5)
    assert record.view.is_current and record.policy.valid_until == float("inf")
    assert clients.boundary == float("inf")
    before = judge.resolved
    clients.refresh(coming(scope, host(1)), record, 101.0)
    assert judge.resolved == before


def test_swap_resolves_everybody_anew() -> None:
    """After a switch of generations no record keeps the verdict of the old one, and whose it is now is told at its next question."""
    told: list[Any] = []
    clients, scope = make(seen=told.append)
    record = admit(clients, scope, host(1))
    judge = Judge()
    clients.swap(judge)
    assert not record.view.is_current
    clients.refresh(coming(scope, host(1)), record, 0.0)
    assert judge.resolved == 1 and record.view.is_current
    assert told == [record, record]
    assert clients.refresh(coming(scope, host(1)), record, 0.0) and told == [record, record]
    clients.clock_moved()
    assert not record.view.is_current


def test_hardware_address_is_forgotten_when_it_changes() -> None:
    """A record known by its hardware address goes when the neighbour changes; the next query is identified anew."""
    neighbours = Neighbours()
    clients, scope = make(neighbours=neighbours)
    neighbours.macs[host(1)] = "02:00:00:00:00:01"
    assert admit(clients, scope, host(1)).match.client_id == "02:00:00:00:00:01"
    neighbours.macs[host(1)] = "02:00:00:00:00:02"
    clients.forget(host(1))
    assert clients.count == 0
    assert admit(clients, scope, host(1)).match.client_id == "02:00:00:00:00:02"
    clients.forget(host(9))


def sweep(clients: Clients, now: float) -> int:
    """A whole round of the sweep; how many slices it took."""
    slices = 1
    while clients.sweep(now):
        slices += 1
    return slices


def test_sweep_counts_what_was_spent_and_forgets_the_idle() -> None:
    """Tokens spent on the fast path are counted once; a record unused for long is dropped, a used one stays."""
    seen: list[Record] = []
    clients, scope = make(seen=seen.append)
    busy, idle = admit(clients, scope, host(1)), admit(clients, scope, host(2))
    busy.left -= 5
    sweep(clients, 1.0)
    assert busy.account.spent == 5
    sweep(clients, 300.0)
    assert busy.account.spent == 5
    busy.left -= 1
    sweep(clients, 650.0)
    assert list(scope.records.values()) == [busy]
    assert seen.count(busy) == 3 and seen.count(idle) == 1


def test_sweep_is_done_in_slices_and_faster_when_crowded() -> None:
    """A round over many records is cut into slices; when places run out, idle records go within seconds."""
    clients, scope = make(limit=1000)
    for number in range(900):
        admit(clients, scope, host(number))
    assert sweep(clients, 5.0) > 3
    assert clients.count == 900
    sweep(clients, 11.0)
    assert clients.count < 760


def test_accounts_are_kept_per_policy_and_site_and_dropped_when_unused() -> None:
    """What is counted is grouped by policy and site; groups nobody uses disappear once they are handed over."""
    clients, scope = make()
    record = admit(clients, scope, host(1))
    assert [account.site for account in clients.accounts()] == ["site"]
    record.account.notes["blocked", "gamb"] = 1
    clients.forget(host(1))
    scope.records.clear()
    sweep(clients, 1.0)
    sweep(clients, 2.0)
    assert len(list(clients.accounts())) == 1
    record.account.notes.clear()
    sweep(clients, 3.0)
    assert not list(clients.accounts())
