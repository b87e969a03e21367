"""The engine against the reference model: thousands of random decisions, and every line of the judgement by example."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from gateway.policy.masked import mask
from gateway.policy.model import AnswerFacts, Block, Drop, EffectivePolicy, Local, Pass, Rewrite, TcpOnly, Verdict
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.support import strategies
from tests.support.generation import START, category, make_generation, order, profile, segment, zone
from tests.support.judging import make_desk, word
from tests.support.plainrules import Json
from tests.support.reference import Outcome, Who, World

FULL = os.environ.get("LACHAN_FULL") == "1"
WORLDS, NAMES, MOMENTS = (100, 28, 4) if FULL else (8, 10, 2)
"""Worlds of 18 clients each: 201,600 decisions in the full run, 2,880 otherwise."""


def outcome_of(verdict: Verdict) -> Outcome:
    """A verdict as the reference model writes it."""
    match verdict:
        case Pass():
            return ("pass",)
        case Block(reason=reason):
            return ("block", str(reason))
        case Local(reason=reason):
            return ("local", str(reason))
        case Rewrite(target=target):
            return ("rewrite", target)
        case Drop():
            return ("drop",)
        case TcpOnly(then=then):
            return ("tcp", *outcome_of(then))


def clients_of(world: Json) -> list[tuple[bytes, Who]]:
    """Every client of a random world: its address, and what the reference model knows about it."""
    sites = {site["id"]: site for site in world["operator"]["sites"]}
    profiles = {profile["id"]: profile for profile in world["operator"]["profiles"]}
    found = []
    for client in world["operator"]["clients"]:
        address = client["match"][0]
        who = Who(profiles[client["profile"]], sites.get(client["site"]), client["group"], client["id"], address)
        found.append((bytes(int(part) for part in address.split(".")), who))
    return found


@pytest.mark.parametrize("seed", range(WORLDS))
def test_engine_agrees_with_the_reference_model(tmp_path: Path, seed: int) -> None:
    """For random lists, rules, orders, clients, moments and names the engine and a plain reading of the design decide the same."""
    random = Random(f"world {seed}")
    world = strategies.random_world(random)
    reference = World(world["lists"], world["operator"], world["orders"], world["catalogue"])
    snapshot = Snapshot.load(
        make_generation(tmp_path, lists=world["lists"], policy=world["operator"], orders=world["orders"], catalogue=world["catalogue"]), 1
    )
    for address, who in clients_of(world):
        for _ in range(MOMENTS):
            now = START + random.randint(0, 365 * 24 * 60) * 60
            policy = snapshot.effective(snapshot.identify(address), now)
            for name in strategies.names(random, NAMES):
                qtype = random.choice((1, 28, 65, 16))
                verdict = snapshot.judge(key_from_text(name), qtype, policy)
                where = (name, qtype, who.profile, who.site, now)
                assert outcome_of(verdict) in reference.judge(name, qtype, who, now), where
                if qtype == 28:
                    assert snapshot.explain(key_from_text(name), qtype, policy).verdict.reason == verdict.reason, where
                compare_sibling(snapshot, policy, key_from_text(name), qtype, verdict)
                if qtype in (1, 65):
                    compare_target(snapshot, reference, policy, who, now, (name, qtype, verdict), strategies.names(random, 1)[0])


def compare_sibling(snapshot: Snapshot, policy: EffectivePolicy, key: str, qtype: int, verdict: Verdict) -> None:
    """Where names below another are said to be judged alike, one that nobody ever heard of is open when this one is, and the reverse."""
    label = key[key.rfind(".", 0, -1) + 1 : -1]
    parent = key[: -len(label) - 1]
    stranger = f"{parent}zq-{len(label)}."
    hides = snapshot.hides(policy)
    if hides is not None and (hides(key) or hides(stranger)):
        return
    if policy.touches(key) or policy.touches(stranger) or label in snapshot.catalogue.canary_labels:
        return
    if parent and snapshot.is_uniform_below(parent, policy) is not None:
        other = snapshot.judge(stranger, 1 if qtype == 28 else 28, policy)
        assert isinstance(other, Pass) == isinstance(verdict, Pass), (key, stranger)
        assert not isinstance(verdict, Pass) or (other.reason, other.ttl_max, other.grants) == (
            verdict.reason,
            verdict.ttl_max,
            verdict.grants,
        )


def compare_target(
    snapshot: Snapshot, reference: World, policy: EffectivePolicy, who: Who, now: float, asked: tuple[str, int, Verdict], target: str
) -> None:
    """The same comparison for a target of the answer to an open name."""
    name, qtype, verdict = asked
    if not isinstance(verdict, Pass) or name == target:
        return
    after = snapshot.judge_answer(AnswerFacts((key_from_text(target),)), verdict, policy, key_from_text(name), qtype)
    expected = reference.judge_target(target, name, qtype, who, now)
    assert outcome_of(after) in expected, (name, qtype, target, who.profile, who.site, now)
    assert isinstance(after, Block) or after is verdict


def test_verdict_is_worked_out_once_for_names_that_only_lists_speak_about(tmp_path: Path) -> None:
    """Two names under the same lists get the same object: no building per query."""
    desk = make_desk(tmp_path, lists={"g": category("gamb", "bet.example", "win.example")})
    assert desk.judge("a.bet.example") is desk.judge("b.win.example")
    assert desk.judge("a.nobody.test") is desk.judge("b.nobody.test")
    assert desk.judge("bet.example") is not desk.judge("a.nobody.test")


def test_names_below_are_alike_only_while_nothing_is_said_of_one_of_them(tmp_path: Path) -> None:
    """An entry of a list, an order, a service or a good list below a name ends it; one above does not."""
    desk = make_desk(
        tmp_path,
        lists={"g": category("gamb", "bet.example", "one.open.example")},
        orders=[segment(order("1", "two.shut.example"), order("2", "all.example"))],
    )
    below = {name: desk.snapshot.is_uniform_below(key_from_text(name), desk.policy()) for name in
             ("bet.example", "a.bet.example", "open.example", "one.open.example", "shut.example", "two.shut.example", "x.all.example",
              "free.example", "example")}  # fmt: skip
    alike = {name for name, value in below.items() if value is not None}
    assert alike >= {"bet.example", "a.bet.example", "one.open.example", "free.example"}
    assert alike.isdisjoint({"open.example", "shut.example", "two.shut.example", "x.all.example", "example"})
    assert below["bet.example"] == below["free.example"]
    shut = segment(order("1", "shut.example"))
    shut["entries"][0][0] = mask(shut["entries"][0][0])
    masked = make_desk(tmp_path / "masked", orders=[shut])
    alike = {name for name in ("free.example", "shut.example", "a.shut.example") if
             masked.snapshot.is_uniform_below(key_from_text(name), masked.policy()) is not None}  # fmt: skip
    assert alike == {"free.example"}, "what stands in clear, or covers the name"
    hides = masked.snapshot.hides(masked.policy())
    assert hides is not None and hides("example.shut.") and not hides("example.free.") and not hides("example.")
    assert desk.snapshot.hides(desk.policy()) is None


def test_name_itself_and_names_below_an_exact_entry_are_told_apart(tmp_path: Path) -> None:
    """An entry for the name alone says nothing about what is below it, in whatever order they are asked."""
    desk = make_desk(tmp_path, profile=profile("MN"))
    names = ("time.example", "x.time.example", "blocks.example", "x.blocks.example")
    expected = ["pass infrastructure", "block uncategorised", "block matrix", "block uncategorised"]
    assert [desk.ask(name) for name in names] == expected
    assert [desk.ask(name) for name in reversed(names)] == expected[::-1]


def test_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was worked out is forgotten when there is too much of it, and the verdicts stay the same."""
    monkeypatch.setattr("gateway.policy.engine._MOST_REMEMBERED", 2)
    codes = ("gamb", "porn", "game", "video", "shop")
    desk = make_desk(tmp_path, lists={code: category(code, f"{code}.example") for code in codes}, profile=profile("CS"))
    expected = ["block matrix", "block matrix", "pass default", "pass default", "pass default"]
    for _ in range(3):
        assert [desk.ask(f"{code}.example") for code in codes] == expected
        assert [desk.chain("any.example", f"{code}.example") for code in codes] == expected[:2] + ["pass default"] * 3


@pytest.mark.parametrize("name", [".", "vn", "x\\.bet.example", "\\000\\255.bet.example", ".".join(["a"] * 120), "a" * 63 + ".example"])
def test_any_name_gets_a_verdict(tmp_path: Path, name: str) -> None:
    """The root, escaped bytes and the longest names are judged and explained without fault."""
    desk = make_desk(tmp_path, lists={"g": category("gamb", "bet.example")}, profile=profile("TH", deny=["/x/"], allow=["=vn"]))
    for qtype in (0, 1, 255, 65535):
        assert word(desk.explain(name, qtype).verdict) == desk.ask(name, qtype)


def test_verdicts_that_are_not_open_are_not_judged_by_their_answer(tmp_path: Path) -> None:
    """Records of ours and blocks stay as they are."""
    desk = make_desk(
        tmp_path, lists={"g": category("gamb", "bet.example"), "z": zone("z.example", {"l.example": ("local", [[1, 5, "c0000201"]])})}
    )
    assert [desk.chain(name, "bet.example") for name in ("l.example", "bet.example", "canary.example")] == [
        "local rpz",
        "block matrix",
        "local canary",
    ]
    assert desk.chain("any.example", "any.example") == "pass default"


def test_targets_of_personal_names_and_services_are_judged_too(tmp_path: Path) -> None:
    """A target in a service's hosts, in an order or in a personal rule is weighed by itself."""
    desk = make_desk(tmp_path, profile=profile("TH", deny=["mine.example"]), orders=[segment(order("1", "o.example"))])
    assert [desk.chain("any.example", name) for name in ("w.mine.example", "o.example", "clips.example", "help.example")] == [
        "block name",
        "block order",
        "block matrix",
        "pass default",
    ]
