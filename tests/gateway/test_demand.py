"""How often registered names are asked for: told of five clients or more, and of nothing that says who."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import demand
from gateway.demand import Demand, registered_name, round_down, told
from gateway.policy.model import Block, Drop, Pass, Reason, Rule, RuleOrigin, Verdict
from gateway.wire.name import key_from_text
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.upstream import ScriptedUpstream

DAY = 86_400.0
NOON = 1_790_000_000.0 // DAY * DAY + 5 * 3600
"""Noon in Viet Nam, unix seconds."""

RULE = Rule(RuleOrigin.SYSTEM, Reason.ORDER, "7/QĐ")


def client(last: int, **who: Any) -> Any:
    """A source: an address of its own, and what identified it."""
    match = SimpleNamespace(client_id=who.get("client_id"), by=who.get("by", "default"))
    return SimpleNamespace(address=who.get("address", bytes((10, 0, last, 7))), mac=who.get("mac"), match=match)


def ask(memory: Demand, name: str, clients: list[Any], verdict: Verdict | None = None, at: float = NOON) -> None:
    """One question of each client, counted at once."""
    for one in clients:
        memory.samples.append((key_from_text(name), one, verdict or Pass()))
        memory.count(at)


def of(*memories: Demand, name: str = "bad.example") -> dict[str, int] | None:
    """What is told of a name when these workers answer."""
    return told([memory.of([name]) for memory in memories], [name])[name]


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("www.bad.example", "bad.example"),
        ("a.b.Bad.com.vn.", "bad.com.vn"),
        ("lop.truong.hanoi.vn", "truong.hanoi.vn"),
        ("com.vn", ""),
        ("example", ""),
    ],
)
def test_names_are_counted_as_they_were_registered(name: str, above: str) -> None:
    """By the public suffix list, as registries know them."""
    assert registered_name(name) == above


def test_a_name_is_told_from_the_fifth_client_on() -> None:
    """Four clients are nobody's business, however often they ask; the fifth makes it a count, rounded down."""
    memory = Demand(b"secret")
    ask(memory, "www.bad.example", [client(n) for n in range(4)] * 10)
    assert of(memory) is None
    ask(memory, "cdn.bad.example", [client(4)] * 13)
    assert of(memory) == {"at_least": 50, "since": int(NOON - 12 * 3600)}


def test_one_client_behind_many_addresses_is_one() -> None:
    """A phone with a token, one network card, one IPv6 network, one IPv4 network that a machine walks through: together they make four."""
    memory = Demand(b"secret")
    ask(memory, "bad.example", [client(n, client_id="phone", by="token") for n in range(9)])
    ask(memory, "bad.example", [client(n, mac="02:00:00:00:00:01") for n in range(9)])
    ask(memory, "bad.example", [client(0, address=bytes((32, 1, 13, 184, 0, 1, n)) + bytes(8) + bytes((n,))) for n in range(9)])
    ask(memory, "bad.example", [client(0, address=bytes((192, 0, 2, n))) for n in range(99)])
    assert of(memory) is None
    ask(memory, "bad.example", [client(n, client_id="class-3a", by="network", mac=f"02:00:00:00:01:0{n}") for n in range(2)])
    assert of(memory) is not None, "pupils of one class are several where their hardware is known"


def test_clients_of_several_workers_are_told_apart() -> None:
    """The same three clients on two workers are three; six are six."""
    same, other = Demand(b"secret"), Demand(b"secret")
    for memory in (same, other):
        ask(memory, "bad.example", [client(n) for n in range(3)])
    assert of(same, other) is None
    ask(other, "bad.example", [client(n) for n in range(3, 5)])
    assert of(same, other) == {"at_least": 5, "since": int(NOON - 12 * 3600)}


def test_yesterday_is_told_and_the_day_before_is_forgotten() -> None:
    """Counts age by day, in Viet Nam's days; what fewer than five asked for is gone at midnight."""
    memory = Demand(b"secret")
    ask(memory, "bad.example", [client(n) for n in range(5)])
    ask(memory, "few.example", [client(n) for n in range(4)])
    ask(memory, "few.example", [client(9)], at=NOON + DAY)
    assert of(memory) == {"at_least": 5, "since": int(NOON - 12 * 3600)}
    assert of(memory, name="few.example") is None
    memory.count(NOON + 2 * DAY)
    assert of(memory) is None


@pytest.mark.parametrize(
    "verdict",
    [
        Pass(reason=Reason.HELP),
        Pass(category="health"),
        Block(Reason.ORDER, "csam", RULE, 16, 60),
        Block(Reason.DEFAULT, "self", RULE, 17, 10),
        Drop(RULE),
    ],
    ids=lambda verdict: f"{type(verdict).__name__} {getattr(verdict, 'category', '')}",
)
def test_help_health_and_protected_names_are_counted_for_nobody(verdict: Verdict) -> None:
    """Not even as a number."""
    memory = Demand(b"secret")
    ask(memory, "bad.example", [client(n) for n in range(9)], verdict)
    assert of(memory) is None


def test_memory_is_bounded_and_holds_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names pushes out names that few asked for, never a count that is known; no address is kept anywhere."""
    monkeypatch.setattr(demand, "MOST_SKETCHED", 10)
    memory = Demand(b"secret")
    ask(memory, "bad.example", [client(n) for n in range(5)])
    for number in range(200):
        ask(memory, f"flood{number}.example", [client(77)])
    assert len(memory._sketched) == 10
    assert of(memory) is not None
    assert not memory.samples
    rows = memory.of(["flood199.example"])
    assert len(rows["names"]["flood199.example"]["marks"]) == 1
    assert bytes((10, 0, 77)).hex() not in json.dumps(rows) and "10.0.77" not in json.dumps(rows)
    fresh = Demand(b"another run")
    ask(fresh, "flood199.example", [client(77)])
    assert fresh.of(["flood199.example"]) != rows, "marks of two runs cannot be compared"


@pytest.mark.parametrize(("number", "least"), [(5, 5), (9, 5), (10, 10), (49, 20), (50, 50), (1234, 1000), (2000, 2000)])
def test_numbers_are_rounded_down(number: int, least: int) -> None:
    """So that asking twice shows nobody's single question."""
    assert round_down(number) == least


async def test_questions_of_the_short_and_the_long_way_are_sampled(tmp_path: Path) -> None:
    """Open, blocked and known names count; a second holds a bounded number of samples."""
    async with (
        ScriptedUpstream({("www.open.example", "A"): ["192.0.2.1"]}) as upstream,
        OneWorker(tmp_path, upstream, lists={"bets": category("gamb", "bet.example")}, profiles=[profile("TH", "child")]) as worker,
    ):
        samples = worker.pipeline._demand.samples
        for name in ("www.open.example", "www.open.example", "bet.example"):
            await worker.ask(name)
        assert {(key, type(verdict).__name__) for key, _, verdict in samples} == {
            ("example.open.www.", "Pass"),
            ("example.bet.", "Block"),
        }
        for number in range(demand.MOST_SAMPLES + 20):
            await worker.ask(f"n{number}.open.example")
        assert len(samples) == demand.MOST_SAMPLES
