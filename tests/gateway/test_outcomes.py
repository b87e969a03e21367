"""From verdicts to answers, judged by dnspython."""

from __future__ import annotations

import json
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from gateway.metrics import Counters
from gateway.outcomes import REBINDING_TTL, UPSTREAM_BLOCK, Outcome, Outcomes
from gateway.policy.model import (
    Band,
    Block,
    BlockMode,
    BlockSettings,
    Local,
    LocalRecord,
    Reason,
    Rewrite,
    Rule,
    RuleOrigin,
)
from gateway.query import Query, Transport
from gateway.settings import StructuredSettings
from gateway.tallies import Tallies
from gateway.wire.compose import compose_reply
from gateway.wire.message import parse_query

RULE = Rule(RuleOrigin.MATRIX, Reason.MATRIX, "category gamb", source="bets")


class Policy:
    """What outcomes read of a policy."""

    def __init__(self, mode: BlockMode = BlockMode.ZERO) -> None:
        self.block = BlockSettings(mode, 10, ("192.0.2.80", "2001:db8::80"))
        self.band = Band.TH
        self.site_class = "home"


def ask(qtype: str = "A", name: str = "www.example.com") -> Query:
    """A query."""
    query = parse_query(dns.message.make_query(name, qtype).to_wire())
    assert isinstance(query, Query)
    return query


def made() -> tuple[Outcomes, Counters, Tallies]:
    """Outcomes and what they count into."""
    counters = Counters()
    tallies = Tallies(counters)
    return Outcomes("lachan.internal", tallies, "several", StructuredSettings()), counters, tallies


def read(query: Query, outcome: Outcome) -> dns.message.Message:
    """The reply as dnspython reads it."""
    return dns.message.from_wire(compose_reply(query, outcome.answer, outcome.answer.body, 1232, outcome.errors))


def counted(counters: Counters, tallies: Tallies, outcome: Outcome) -> set[str]:
    """The metrics that one such reply counts in."""
    outcome.tally.n += 1
    tallies.harvest()
    return {str(name) for name, _, number in counters.harvest() if number}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("mode", "verdict_mode", "rcode", "address"),
    [
        (BlockMode.ZERO, None, 0, "0.0.0.0"),
        (BlockMode.PAGE, None, 0, "192.0.2.80"),
        (BlockMode.ZERO, BlockMode.NXDOMAIN, 3, None),
        (BlockMode.PAGE, BlockMode.NODATA, 0, None),
        (BlockMode.REFUSED, None, 5, None),
    ],
)
def test_mode_of_the_verdict_wins_over_that_of_the_policy(
    mode: BlockMode, verdict_mode: BlockMode | None, rcode: int, address: str
) -> None:
    """A zone's own action decides how its block looks; otherwise the profile does."""
    outcomes, counters, tallies = made()
    policy: Any = Policy(mode)
    outcome = outcomes.block(ask(), Transport.UDP, Block(Reason.MATRIX, "gamb", RULE, 17, 10, verdict_mode), policy)
    reply = read(ask(), outcome)
    assert (reply.rcode(), [str(rdata) for rrset in reply.answer for rdata in rrset]) == (rcode, [address] if address else [])
    assert outcome.errors == ((17, ""),)
    assert outcome.note is not None
    kind = outcome.note.kind
    assert (kind.outcome, kind.category, outcome.note.name, outcome.note.rule) == ("blocked", "gamb", "www.example.com", "category gamb")
    assert counted(counters, tallies, outcome) == {"lachan_queries", "lachan_answers", "lachan_blocked"}


@pytest.mark.parametrize(
    ("category", "text", "said"),
    [
        ("order", "order 12/QĐ-STTTT", "12/QĐ-STTTT"),
        ("order", "order ", ""),
        ("csam", "order 12/QĐ-STTTT", ""),
        ("order", f"order {'9' * 200}", "9" * 64),
    ],
)
def test_block_by_an_order_says_its_number(category: str, text: str, said: str) -> None:
    """Whoever was blocked can look the order up; a protected category says nothing, and a long number does not fill the reply."""
    outcomes, _, _ = made()
    policy: Any = Policy()
    block = Block(Reason.ORDER, category, Rule(RuleOrigin.SYSTEM, Reason.ORDER, text), 16, 60)
    outcome = outcomes.block(ask(), Transport.UDP, block, policy)
    assert outcome.errors == ((16, said),)


def test_upstream_block_and_rebinding_are_told_apart() -> None:
    """What an upstream blocked is not our block; a private address is."""
    outcomes, counters, tallies = made()
    policy: Any = Policy()
    theirs = outcomes.upstream_block(ask(), Transport.UDP, 60, UPSTREAM_BLOCK, 1000)
    assert theirs.note is not None
    kind = theirs.note.kind
    assert (kind.outcome, kind.category, theirs.note.rule, theirs.expires) == ("upstream", "", "upstream", 1000)
    assert counted(counters, tallies, theirs) == {"lachan_queries", "lachan_answers", "lachan_upstream_blocks"}
    ours = outcomes.rebinding(ask(), Transport.UDP, policy, 1000)
    assert ours.answer.ttl == REBINDING_TTL
    assert counted(counters, tallies, ours) == {"lachan_queries", "lachan_answers", "lachan_blocked"}


@pytest.mark.parametrize(
    ("qtype", "rcode", "types"),
    [("A", 0, ["A"]), ("TXT", 0, ["TXT"]), ("MX", 0, []), ("ANY", 0, ["A", "TXT"])],
)
def test_local_records_of_the_type_asked(qtype: str, rcode: int, types: list[str]) -> None:
    """A name with records of another type has no data for this one."""
    outcomes, _, _ = made()
    local = Local((LocalRecord(1, 60, bytes(4)), LocalRecord(16, 60, b"\x01x")), Reason.OWN_NAME)
    reply = read(ask(qtype), outcomes.local(ask(qtype), Transport.UDP, local))
    assert (reply.rcode(), [rrset.rdtype.name for rrset in reply.answer]) == (rcode, types)
    assert bool(reply.authority) is (not types)


def test_local_without_records_has_its_rcode() -> None:
    """A name that does not exist is NXDOMAIN with an SOA."""
    outcomes, _, _ = made()
    reply = read(ask(), outcomes.local(ask(), Transport.UDP, Local((), Reason.CANARY, None, 3)))
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


def test_local_alias_stands_for_other_types() -> None:
    """A CNAME among local data is answered for every type it has nothing else for."""
    outcomes, _, _ = made()
    local = Local((LocalRecord(5, 60, b"\x01x\x07example\0"),), Reason.RPZ)
    assert [rrset.rdtype.name for rrset in read(ask("A"), outcomes.local(ask("A"), Transport.UDP, local)).answer] == ["CNAME"]


@pytest.mark.parametrize(
    ("qtype", "lines"),
    [
        ("A", ["www.example.com. 30 IN CNAME safe.example.", "safe.example. 30 IN A 192.0.2.1"]),
        ("AAAA", ["www.example.com. 30 IN CNAME safe.example.", "safe.example. 30 IN AAAA 2001:db8::1"]),
        ("CNAME", ["www.example.com. 30 IN CNAME safe.example."]),
        ("ANY", ["www.example.com. 30 IN CNAME safe.example."]),
        ("HTTPS", []),
        ("SVCB", []),
    ],
)
def test_rewrite_is_consistent_over_types(qtype: str, lines: list[str]) -> None:
    """Every type leads to the same target, or nowhere; the reply says that it was forged."""
    outcomes, counters, tallies = made()
    rewrite = Rewrite("safe.example", "google", ("192.0.2.9",))
    addresses = [bytes((192, 0, 2, 1)), bytes.fromhex("20010db8" + "00" * 11 + "01")]
    outcome = outcomes.rewrite(ask(qtype), Transport.UDP, rewrite, addresses, 30, 77)
    assert [rrset.to_text() for rrset in read(ask(qtype), outcome).answer] == lines
    assert (outcome.errors, outcome.expires) == (((4, ""),), 77)
    assert counted(counters, tallies, outcome) == {"lachan_queries", "lachan_answers", "lachan_rewritten"}


def test_alias_of_the_operator_is_no_rewrite() -> None:
    """A configured CNAME is followed without a mark and without being counted as safe search."""
    outcomes, counters, tallies = made()
    outcome = outcomes.rewrite(ask(), Transport.UDP, Rewrite("web.example", ""), [bytes(4)], 30)
    assert (outcome.errors, outcome.note) == ((), None)
    assert counted(counters, tallies, outcome) == {"lachan_queries", "lachan_answers"}


def test_fallback_uses_the_known_addresses() -> None:
    """Without an answer for the target its known addresses stand in; without any there is nothing to say."""
    outcomes, _, _ = made()
    known = outcomes.fallback(ask(), Transport.UDP, Rewrite("safe.example", "google", ("192.0.2.9",)))
    assert known is not None
    assert "192.0.2.9" in read(ask(), known).answer[1].to_text()
    assert outcomes.fallback(ask(), Transport.UDP, Rewrite("safe.example", "google")) is None


def test_block_by_an_order_of_an_old_release_says_its_age() -> None:
    """The number, and for how many days nothing new came; structured for clients that show it; other blocks say nothing of it."""
    outcomes = Outcomes("lachan.internal", Tallies(Counters()), "several", StructuredSettings())
    assert outcomes.tell_age(5) and not outcomes.tell_age(5)
    policy: Any = Policy()
    order = Block(Reason.ORDER, "order", Rule(RuleOrigin.SYSTEM, Reason.ORDER, "order 12/QĐ-STTTT"), 16, 60)
    assert outcomes.block(ask(), Transport.UDP, order, policy).errors == (
        (16, "12/QĐ-STTTT; danh sách 5 ngày chưa cập nhật / list 5 days old"),
    )
    assert outcomes.block(ask(), Transport.UDP, Block(Reason.MATRIX, "gamb", RULE, 17, 10), policy).errors == ((17, ""),)
    shows = dns.message.make_query("www.example.com", "A", use_edns=0, options=[dns.edns.GenericOption(15, b"")])
    query = parse_query(shows.to_wire())
    assert isinstance(query, Query)
    ((code, text),) = outcomes.block(query, Transport.UDP, order, policy).errors
    assert (code, json.loads(text)["j"]) == (16, "Chặn theo văn bản số 12/QĐ-STTTT (danh sách 5 ngày chưa cập nhật)")
