"""Response policy zones: every action and override, precedence inside and between zones, levels, groups, addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.policy.model import Block, Drop, Local, LocalRecord, Rewrite, TcpOnly
from tests.support.generation import action, category, good, order, profile, segment, zone
from tests.support.judging import AT_HOME, AT_SCHOOL, make_desk

LOCAL = ("local", [[1, 3600, "c0000263"], [16, 5, "0161"]])
ACTIONS = {
    "nxdomain.example": "nxdomain",
    "nodata.example": "nodata",
    "passthru.example": "passthru",
    "drop.example": "drop",
    "tcp.example": "tcp-only",
    "local.example": LOCAL,
    "cname.example": ("cname", "walled.example"),
    "*.wild.example": ("cname", "*.garden.example"),
}


def test_every_action_becomes_its_verdict(tmp_path: Path) -> None:
    """Triggers and actions map onto the verdicts one to one."""
    desk = make_desk(tmp_path, lists={"z": zone("z.example", ACTIONS)})
    nxdomain, nodata = desk.judge("nxdomain.example"), desk.judge("nodata.example")
    assert isinstance(nxdomain, Block) and isinstance(nodata, Block)
    assert [(block.mode, block.reason, block.ede) for block in (nxdomain, nodata)] == [("nxdomain", "rpz", 15), ("nodata", "rpz", 15)]
    assert nxdomain.rule.text == "rpz z.example nxdomain (qname nxdomain.example)"
    assert isinstance(desk.judge("drop.example"), Drop)
    assert desk.ask("passthru.example") == "pass default"
    tcp = desk.judge("tcp.example")
    assert isinstance(tcp, TcpOnly) and tcp.then.reason == "default"
    local = desk.judge("local.example")
    assert isinstance(local, Local)
    assert local.records == (LocalRecord(1, 60, b"\xc0\0\x02\x63"), LocalRecord(16, 5, b"\x01a"))
    cname, wild = desk.judge("cname.example"), desk.judge("a.b.wild.example")
    assert isinstance(cname, Rewrite) and isinstance(wild, Rewrite)
    assert [(rewrite.target, rewrite.reason, rewrite.engine) for rewrite in (cname, wild)] == [
        ("walled.example", "rpz", "rpz"),
        ("a.b.wild.example.garden.example", "rpz", "rpz"),
    ]
    assert [desk.ask(name) for name in ("x.nxdomain.example", "wild.example")] == ["pass default", "pass default"]


def test_wildcard_target_that_would_be_too_long_closes(tmp_path: Path) -> None:
    """A synthesised name longer than a name can be does not fall back to the real answer."""
    desk = make_desk(tmp_path, lists={"z": zone("z.example", ACTIONS)})
    name = ".".join(["a" * 60] * 4)[:235] + ".wild.example"
    assert desk.ask(name) == "block rpz"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("given", "block rpz"),
        ("disabled", "pass default"),
        ("passthru", "pass default"),
        ("drop", "drop"),
        ("tcp-only", "tcp pass default"),
        ("nxdomain", "block rpz"),
        ("nodata", "block rpz"),
        ("cname", "rewrite walled.example"),
        ("from-the-future", "block rpz"),
    ],
)
def test_override_of_a_zone(tmp_path: Path, override: str, expected: str) -> None:
    """The operator may turn what a zone says into one action; an override we do not know closes."""
    desk = make_desk(tmp_path, lists={"z": zone("z.example", {"a.example": "nxdomain"}, policy=override, target="walled.example")})
    assert desk.ask("a.example") == expected


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ({"a.example": "passthru", "*.example": "nxdomain"}, "a.example", "pass default"),
        ({"a.example": "nxdomain", "*.example": "passthru"}, "a.example", "block rpz"),
        ({"*.a.example": "passthru", "*.example": "nxdomain"}, "x.a.example", "pass default"),
        ({"*.a.example": "passthru", "*.example": "nxdomain"}, "a.example", "block rpz"),
        ({"client:10.0.0.0/8": "passthru", "a.example": "nxdomain"}, "a.example", "pass default"),
        ({"client:10.0.0.0/8": "passthru", "client:10.0.0.1/32": "drop"}, "any.example", "drop"),
        ({"client:192.0.2.0/24": "drop"}, "any.example", "pass default"),
    ],
)
def test_precedence_inside_a_zone(tmp_path: Path, rules: dict[str, Any], name: str, expected: str) -> None:
    """Client address before name, exact before wildcard, longer before shorter."""
    assert make_desk(tmp_path, lists={"z": zone("z.example", rules)}).ask(name) == expected


def test_first_zone_decides_and_a_disabled_one_is_stepped_over(tmp_path: Path) -> None:
    """Zones in their order; PASSTHRU ends the zones behind it, a disabled zone does not."""
    second = zone("second.example", {"a.example": "nxdomain", "b.example": "nxdomain"})
    first = {"a.example": "passthru"}
    desk = make_desk(tmp_path / "a", lists={"one": zone("first.example", first), "two": second})
    assert [desk.ask("a.example"), desk.ask("b.example")] == ["pass default", "block rpz"]
    desk = make_desk(tmp_path / "b", lists={"one": zone("first.example", first, policy="disabled"), "two": second})
    assert desk.ask("a.example") == "block rpz"


def test_passthru_ends_only_policy_zones(tmp_path: Path) -> None:
    """It opens nothing that another rule blocks: matrix, deny, order (review 7)."""
    desk = make_desk(
        tmp_path,
        lists={
            "z": zone("z.example", dict.fromkeys(("g.example", "d.example", "o.example"), "passthru")),
            "g": category("game", "g.example"),
        },
        profile=profile("TH", deny=["d.example"]),
        orders=[segment(order("1", "o.example"))],
    )
    assert [desk.ask(name) for name in ("g.example", "d.example", "o.example")] == ["block matrix", "block name", "block order"]


def test_zone_stands_at_the_place_of_a_rule_by_name_of_its_level(tmp_path: Path) -> None:
    """Behind the level's own names, before its switches; an Allow of a lower level does not undo it."""
    lists = {
        "z": zone("z.example", {"a.example": "nxdomain", "b.example": "nxdomain", "v.example": "nxdomain"}),
        "v": category("video", "v.example"),
    }
    desk = make_desk(
        tmp_path, lists=lists, rules={"allow": ["a.example"], "categories": {"video": "allow"}}, profile=profile("TH", allow=["b.example"])
    )
    assert [desk.ask(name) for name in ("a.example", "b.example", "v.example")] == ["pass name", "block rpz", "block rpz"]
    parent = make_desk(
        tmp_path / "p",
        lists={"z": zone("z.example", {"a.example": "nxdomain"}, level="parent"), "l": action("allow", "a.example")},
        profile=profile("TH"),
    )
    assert parent.ask("a.example") == "pass list"


def test_zone_cannot_touch_lines_1_to_4(tmp_path: Path) -> None:
    """Canaries, help, orders, legal categories and good lists are judged before any zone."""
    names = ("canary.example", "help.example", "ordered.example", "scam.example", "good.example")
    desk = make_desk(
        tmp_path,
        lists={
            "z": zone("z.example", dict.fromkeys(names, "drop")),
            "s": category("scam", "scam.example"),
            "g": good("edu", "good.example"),
        },
        orders=[segment(order("1", "ordered.example"))],
    )
    assert [desk.ask(name) for name in names] == ["local canary", "pass help", "block order", "block legal", "pass good"]


def test_zone_of_a_school_applies_where_the_schools_rules_do(tmp_path: Path) -> None:
    """Level and place decide, as for lists."""
    lists = {"z": zone("z.example", {"a.example": "nxdomain"}, level="school")}
    assert make_desk(tmp_path / "a", lists=lists, address=AT_SCHOOL).ask("a.example") == "block rpz"
    assert make_desk(tmp_path / "b", lists=lists, address=AT_HOME).ask("a.example") == "pass default"


@pytest.mark.parametrize(("group", "expected"), [("lab", "block rpz"), ("office", "pass default"), (None, "pass default")])
def test_zone_for_groups_applies_to_their_clients_only(tmp_path: Path, group: str | None, expected: str) -> None:
    """A zone that names groups leaves everyone else alone."""
    desk = make_desk(tmp_path, lists={"z": zone("z.example", {"a.example": "nxdomain"}, groups=["lab"])}, group=group)
    assert desk.ask("a.example") == expected


def test_targets_meet_zones_but_targets_of_zone_data_do_not(tmp_path: Path) -> None:
    """A CNAME into a trigger is blocked, whatever the action; what a zone leads to is judged by our rules alone (review 7)."""
    desk = make_desk(
        tmp_path,
        lists={
            "z": zone(
                "z.example",
                {"bad.example": "drop", "local.example": LOCAL, "cname.example": ("cname", "bad.example"), "pass.example": "passthru"},
            ),
            "g": category("gamb", "bet.example"),
        },
    )
    assert [desk.chain("any.example", name) for name in ("bad.example", "local.example", "pass.example")] == [
        "block rpz",
        "block rpz",
        "pass default",
    ]
    assert desk.chain("cname.example", "bad.example") == "rewrite bad.example"
    assert desk.chain("cname.example", "bet.example") == "block matrix"


def test_response_address_triggers(tmp_path: Path) -> None:
    """An answered address is a trigger, behind what the zone says about the name and behind the level's own allow."""
    bad, fine = bytes((192, 0, 2, 5)), bytes((198, 51, 100, 5))
    lists = {
        "z": zone("z.example", {"response:192.0.2.0/24": "nodata", "spared.example": "passthru", "*.tcp.example": "tcp-only"}),
        "g": good("edu", "good.example"),
    }
    desk = make_desk(tmp_path / "a", lists=lists, profile=profile("TH", allow=["mine.example"]))
    asked = {
        name: desk.chain(name, addresses=(fine, bad))
        for name in ("any.example", "spared.example", "mine.example", "good.example", "help.example")
    }
    assert asked == {
        "any.example": "block rpz",
        "spared.example": "pass default",
        "mine.example": "block rpz",
        "good.example": "pass good",
        "help.example": "pass help",
    }
    assert desk.chain("any.example", addresses=(fine,)) == "pass default"
    assert desk.chain("x.tcp.example", addresses=(bad,)) == "tcp pass default"
    own = make_desk(tmp_path / "b", lists=lists, rules={"allow": ["mine.example"]})
    assert own.chain("mine.example", addresses=(bad,)) == "pass name"


def test_response_address_action_that_is_no_block_becomes_one(tmp_path: Path) -> None:
    """Records, names and silence for an address close the answer."""
    lists = {"z": zone("z.example", {"response:192.0.2.0/24": "drop", "response:198.51.100.0/24": LOCAL}, level="parent")}
    desk = make_desk(tmp_path, lists=lists)
    assert [desk.chain("a.example", addresses=(bytes(address),)) for address in ((192, 0, 2, 1), (198, 51, 100, 1))] == [
        "block rpz",
        "block rpz",
    ]


@pytest.mark.parametrize(("kind", "more"), [("action", {"action": "block"}), ("category", {"category": "video"})])
def test_list_that_may_rewrite_answers_with_its_records(tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    """Where the operator lets a list answer, its records stand as a rule by name of its level; a deny above and lines 1 to 4 come first."""
    lists = {
        "hosts": {"kind": kind, "rules": {"intra.example": LOCAL, "denied.example": LOCAL, "good.example": LOCAL}, **more},
        "g": good("edu", "good.example"),
    }
    desk = make_desk(tmp_path, lists=lists, rules={"deny": ["=denied.example"]})
    verdict = desk.judge("www.intra.example")
    assert isinstance(verdict, Local)
    assert (verdict.reason, verdict.records[0].rdata, verdict.rule and verdict.rule.text) == (
        "list",
        b"\xc0\0\x02\x63",
        "list hosts answer",
    )
    assert [desk.ask("denied.example"), desk.ask("good.example")] == ["block name", "pass good"]
