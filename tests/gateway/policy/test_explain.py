"""A decision in words: one line that decided, one for each that lost, in both languages, safe to print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.policy.explain import describe, explain_lines, verdict_words
from gateway.policy.model import Decision, Drop, Local, Pass, Reason, Rule, RuleOrigin, TcpOnly
from tests.support.generation import action, category, good, order, profile, segment
from tests.support.judging import make_desk

RULE = Rule(RuleOrigin.PARENT, Reason.NAME, "deny *.bad.example", "", "profile p", "abc")


def test_line_says_level_rule_basis_and_version() -> None:
    """Who, what, issued by whom, on what basis, in which version; what there is not is not said."""
    order_rule = Rule(RuleOrigin.SYSTEM, Reason.ORDER, "order 12/QĐ", "điều 1", "orders", "12", issuer="Sở A")
    assert describe(order_rule, "vi") == (
        "cấp: hệ thống · quy tắc: yêu cầu của cơ quan có thẩm quyền (order 12/QĐ) · cơ quan ban hành: Sở A · căn cứ: điều 1 · nguồn: orders"
        " · phiên bản: 12"
    )
    assert "căn cứ" not in describe(replace(order_rule, basis=""), "vi"), "an issuer is no basis"
    assert describe(RULE, "en") == "level: parent · rule: rule by name (deny *.bad.example) · source: profile p · version: abc"


@pytest.mark.parametrize("origin", RuleOrigin)
@pytest.mark.parametrize("kind", Reason)
def test_every_origin_and_reason_has_words_in_both_languages(origin: RuleOrigin, kind: Reason) -> None:
    """No rule is left without words; the two languages differ."""
    rule = Rule(origin, kind, "x")
    assert describe(rule, "vi") != describe(rule, "en")


def test_every_verdict_has_words(tmp_path: Path) -> None:
    """Open, blocked, answered through another name, answered here, dropped, over TCP only."""
    desk = make_desk(tmp_path, lists={"g": category("gamb", "bet.example")})
    found = [verdict_words(desk.judge(name), "vi") for name in ("any.example", "bet.example", "finder.example", "canary.example")]
    assert found == ["MỞ", "CHẶN [gamb]", "TRẢ LỜI QUA safe.finder.example", "TRẢ LỜI TẠI CHỖ"]
    assert [verdict_words(verdict, "en") for verdict in (Drop(RULE), TcpOnly(RULE, Pass()), Local((), Reason.CANARY))] == [
        "NOT ANSWERED",
        "ONLY OVER TCP, OPEN",
        "ANSWERED HERE",
    ]


def test_what_lost_is_told_with_what_decided(tmp_path: Path) -> None:
    """The first line decided; below it every rule that spoke and did not count."""
    desk = make_desk(
        tmp_path,
        lists={"g": category("game", "play.example"), "b": action("block", "play.example"), "e": good("edu", "school.example")},
        rules={"allow": ["=play.example"], "categories": {"game": "block"}},
        profile=profile(
            "TH",
            deny=["play.example", "school.example"],
            categories={"game": "allow"},
            schedule=[{"name": "tối", "effect": {"block": ["game"]}}],
        ),
        orders=[segment(order("1", "ordered.example"))],
    )
    decision = desk.explain("play.example")
    assert decision.verdict.rule is not None
    assert decision.verdict.rule.text == "allow =play.example"
    assert {rule.text for rule in decision.lost} == {
        "list b block",
        "category game block",
        "deny play.example",
        "window tối",
        "category game allow",
        "category game",
    }
    lines = explain_lines(decision, "play.example", "vi")
    assert lines[0].startswith("play.example: MỞ · cấp: đơn vị vận hành · quy tắc: quy tắc theo tên miền (allow =play.example)")
    assert all(line.startswith("  không áp dụng: cấp: ") for line in lines[1:])
    assert [rule.text for rule in desk.explain("school.example").lost] == ["good list edu"]
    assert desk.explain("ordered.example").lost == ()


def test_good_name_tells_which_categories_it_overrode(tmp_path: Path) -> None:
    """A help site on puberty in a list of pornography: both are told, and which one counted."""
    desk = make_desk(tmp_path, lists={"h": good("health", "care.example"), "p": category("porn", "care.example")})
    decision = desk.explain("care.example")
    assert decision.categories == ("health", "porn")
    assert [rule.text for rule in decision.lost] == ["category porn"]


def test_hostile_text_is_printed_harmlessly() -> None:
    """Nothing a stranger wrote moves the cursor or turns the direction of a line."""
    rule = Rule(RuleOrigin.PROVINCE, Reason.LIST, "list \x1b[2J", "tên\u202egnp.exe\n", "x\x07")
    lines = explain_lines(Decision(Pass(rule)), "a\x1b.example", "en")
    assert all(line.isprintable() for line in lines)
    assert "\\u001b[2J" in lines[0]


def test_verdict_without_a_rule_is_still_told() -> None:
    """A verdict of the pipeline's own has no rule."""
    assert explain_lines(Decision(Pass()), "a.example", "en") == ("a.example: OPEN",)
