"""Levels, specificity and targets: line 7 of the judgement and the items of its review, and what a verdict carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.model import Block, Level, Pass
from tests.support.generation import action, category, good, order, profile, segment
from tests.support.judging import AT_HOME, AT_SCHOOL, make_desk

GAMES = {"g": category("game", "play.example")}


# line 7 and review 1


def test_line_7_any_block_stands_and_lower_levels_only_tighten(tmp_path: Path) -> None:
    """A Block of the province stands against an Allow of the parent; a parent may close what the province leaves open."""
    desk = make_desk(tmp_path, rules={"deny": ["a.example"]}, profile=profile("PT", allow=["a.example"], deny=["b.example"]))
    assert [desk.ask("a.example"), desk.ask("b.example")] == ["block name", "block name"]
    verdict = desk.judge("a.example")
    assert isinstance(verdict, Block)
    assert (verdict.rule.origin, verdict.ede) == ("province", 15)


def test_review_1_allow_cancels_the_matrix_or_owners_below_never_a_lock(tmp_path: Path) -> None:
    """An Allow by name of the province opens a changeable cell and undoes a parent's deny; it opens no locked cell."""
    desk = make_desk(
        tmp_path,
        lists={**GAMES, "p": category("porn", "locked.example")},
        rules={"allow": ["play.example", "locked.example", "denied.example"]},
        profile=profile("TH", deny=["denied.example"]),
    )
    assert [desk.ask(name) for name in ("play.example", "locked.example", "denied.example")] == ["pass name", "block matrix", "pass name"]


def test_review_1_a_standing_allow_above_does_not_undo_what_comes_earlier_in_the_order(tmp_path: Path) -> None:
    """A switch or name allowed above does not undo a parent's bedtime, nor a switch above a parent's name; a teacher's window does."""
    until = "2026-03-04T13:00:00+07:00"
    window = {"id": "w", "kind": "window", "from": "2026-03-04T12:00:00+07:00", "until": until, "categories": ["video"]}
    lists = {"v": category("video", "v.example"), "n": category("video", "n.example")}
    bedtime = profile("PT", schedule=[{"name": "ngủ", "effect": "offline"}])
    above = {"categories": {"video": "allow"}, "allow": ["n.example"]}
    desk = make_desk(tmp_path / "a", lists=lists, rules=above, profile=bedtime)
    assert [desk.ask("v.example"), desk.ask("n.example")] == ["block offline", "block offline"]
    desk = make_desk(tmp_path / "b", lists=lists, rules=above, profile=profile("PT", deny=["v.example", "n.example"]))
    assert [desk.ask("v.example"), desk.ask("n.example")] == ["block name", "pass name"]
    desk = make_desk(tmp_path / "c", lists=lists, school={"overrides": [window]}, profile=bedtime, address=AT_SCHOOL)
    assert [desk.ask("v.example"), desk.ask("v.example", at=until)] == ["pass override", "block offline"]


def test_review_1_school_rules_apply_at_school_or_under_a_schools_profile(tmp_path: Path) -> None:
    """A school's deny and its lists follow the place or the profile's owner, and nobody else."""
    lists = {"l": action("block", "listed.example", level="school")}
    school = {"deny": ["denied.example"]}

    def asked(folder: str, address: bytes, **row: object) -> list[str]:
        desk = make_desk(tmp_path / folder, lists=lists, school=school, profile=profile("PT", **row), address=address)
        return [desk.ask("denied.example"), desk.ask("listed.example")]

    assert asked("a", AT_SCHOOL) == ["block name", "block list"]
    assert asked("b", AT_HOME) == ["pass default", "pass default"]
    assert asked("c", AT_HOME, owner="school", site="school") == ["block name", "block list"]
    assert asked("d", AT_HOME, owner="school") == ["pass default", "block list"]


@pytest.mark.parametrize("level", ["province", "parent"])
def test_lists_of_province_and_parent_apply_everywhere(tmp_path: Path, level: str) -> None:
    """A list with an action speaks for its level, with the EDE of that level, at every site."""
    for address in (AT_SCHOOL, AT_HOME):
        desk = make_desk(tmp_path / str(address[1]), lists={"l": action("block", "x.example", level=level)}, address=address)
        verdict = desk.judge("x.example")
        assert isinstance(verdict, Block)
        assert (verdict.reason, verdict.rule.source, verdict.ede) == ("list", "l", 15 if level == "province" else 17)


# review 2 and 3


@pytest.mark.parametrize(
    ("allow", "deny", "name", "expected"),
    [
        (["=a.example"], ["a.example"], "a.example", "pass name"),
        (["=a.example"], ["a.example"], "x.a.example", "block name"),
        (["example"], ["a.example"], "a.example", "block name"),
        (["x.a.example"], ["a.example"], "y.x.a.example", "pass name"),
        (["a.example"], ["a.example"], "a.example", "pass name"),
        (["/a/"], ["a.example"], "a.example", "block name"),
        (["/^a\\./"], ["/a/"], "a.example", "pass name"),
        ([], ["*.a.example"], "a.example", "pass default"),
        ([], ["*.a.example"], "x.a.example", "block name"),
        ([], ["/^bad[0-9]+\\.example$/"], "bad42.example", "block name"),
        ([], ["/^bad[0-9]+\\.example$/"], "bad42.example.net", "pass default"),
    ],
)
def test_review_2_specificity_within_one_owner(tmp_path: Path, allow: list[str], deny: list[str], name: str, expected: str) -> None:
    """Exact beats suffix, longer suffix beats shorter, suffix beats expression, allow wins a tie."""
    assert make_desk(tmp_path, profile=profile("PT", allow=allow, deny=deny)).ask(name) == expected


def test_review_2_lists_with_an_action_rank_among_their_owners_names(tmp_path: Path) -> None:
    """An allow list of the province with the longer name beats its block list, and the other way round."""
    lists = {"b": action("block", "a.example", "y.ok.example"), "a": action("allow", "ok.a.example", "ok.example")}
    desk = make_desk(tmp_path, lists=lists)
    assert [desk.ask(name) for name in ("ok.a.example", "z.a.example", "y.ok.example", "ok.example")] == [
        "pass list",
        "block list",
        "block list",
        "pass list",
    ]


def test_review_2_categories_accumulate_and_the_strictest_decides(tmp_path: Path) -> None:
    """A longer listed name drops no category of a shorter one; an allowed category opens no other."""
    lists = {"v": category("video", "=tv.site.example"), "g": category("gamb", "site.example"), "a": category("ads", "tv.site.example")}
    desk = make_desk(tmp_path, lists=lists, profile=profile("PT", categories={"ads": "allow", "video": "allow"}))
    verdict = desk.judge("tv.site.example")
    assert isinstance(verdict, Block)
    assert (verdict.category, desk.explain("tv.site.example").categories) == ("gamb", ("ads", "gamb", "video"))


def test_review_6_exceptions_act_inside_their_own_list(tmp_path: Path) -> None:
    """`@@` of one list undoes its own entries; the same name stays blocked by another."""
    one = make_desk(tmp_path / "a", lists={"g": category("gamb", "bet.example", "@@ok.bet.example")})
    assert [one.ask("bet.example"), one.ask("www.ok.bet.example")] == ["block matrix", "pass default"]
    two = make_desk(
        tmp_path / "b",
        lists={"g": category("gamb", "bet.example", "@@ok.bet.example"), "h": category("gamb", "ok.bet.example")},
    )
    assert two.ask("ok.bet.example") == "block matrix"


# review 5: targets


def test_review_5_target_can_only_add_a_block(tmp_path: Path) -> None:
    """A CNAME into a blocked name is blocked; into a good or help name it opens nothing."""
    desk = make_desk(
        tmp_path,
        lists={"g": category("gamb", "bet.example"), "e": good("edu", "edu.example")},
        profile=profile("TH", deny=["closed.example"]),
    )
    assert desk.chain("any.example", "cdn.bet.example") == "block matrix"
    assert desk.chain("any.example", "fine.example", "closed.example") == "block name"
    assert desk.chain("any.example", "fine.example") == "pass default"
    assert desk.chain("closed.example", "edu.example", "help.example") == "block name"
    assert desk.chain("any.example", "edu.example", "help.example") == "pass default"


def test_review_5_allow_of_the_query_name_covers_what_it_could_cancel(tmp_path: Path) -> None:
    """A parent's allow covers changeable categories of the chain, not locks, not lines 1 to 3, not a deny of its own or from above."""
    desk = make_desk(
        tmp_path,
        lists={"a": category("ads", "ads.example"), "p": category("porn", "porn.example"), "s": category("scam", "scam.example")},
        rules={"deny": ["province.example"]},
        profile=profile("TH", allow=["mine.example"], deny=["denied.example"], categories={"social": "block"}),
        orders=[segment(order("1", "ordered.example"))],
    )
    expected = {
        "ads.example": "pass name",
        "porn.example": "block matrix",
        "scam.example": "block legal",
        "ordered.example": "block order",
        "province.example": "block name",
        "denied.example": "block name",
        "talk.example": "pass name",
    }
    assert {target: desk.chain("mine.example", target) for target in expected} == expected
    assert desk.chain("other.example", "ads.example") == "block matrix"


def test_review_5_category_allow_covers_its_own_category_only(tmp_path: Path) -> None:
    """Games allowed: a chain into another game is open, a chain into advertising is not."""
    lists = {"g": category("game", "play.example", "cdn.example"), "a": category("ads", "ads.example")}
    desk = make_desk(tmp_path, lists=lists, profile=profile("TH", categories={"game": "allow"}))
    assert [desk.chain("play.example", "cdn.example"), desk.chain("play.example", "ads.example")] == ["pass switch", "block matrix"]


def test_review_5_good_and_help_names_keep_their_chain(tmp_path: Path) -> None:
    """A good name is not closed by categories of its targets, only by lines 1 to 3 or a parent's name; help is never closed."""
    desk = make_desk(
        tmp_path,
        lists={"e": good("edu", "edu.example"), "p": category("porn", "cdn.example"), "s": category("scam", "scam.example")},
        profile=profile("TH", deny=["denied.example"]),
    )
    assert [desk.chain("edu.example", target) for target in ("cdn.example", "scam.example", "denied.example")] == [
        "pass good",
        "block legal",
        "block name",
    ]
    assert [desk.chain("help.example", target) for target in ("cdn.example", "scam.example", "denied.example")] == ["pass help"] * 3


def test_review_5_allow_list_only_judges_the_query_name_alone(tmp_path: Path) -> None:
    """Where only allowed names are open, their targets need not be listed; nor while an exam or bedtime lets a name pass."""
    desk = make_desk(
        tmp_path,
        lists={"v": category("video", "v.example")},
        profile=profile("MN", allow=["mine.example"], schedule=[{"name": "thi", "effect": {"only": ["video"]}}]),
    )
    assert [desk.chain("mine.example", "cdn.example"), desk.chain("v.example", "cdn.example")] == ["pass name", "pass default"]


# what a verdict carries


def test_pass_ttl_is_short_where_an_owner_may_switch(tmp_path: Path) -> None:
    """Sixty seconds where an owner may switch the category or did, three hundred otherwise (review 15)."""
    desk = make_desk(tmp_path, lists={"v": category("video", "v.example")}, profile=profile("CS", allow=["mine.example"]))
    found = {
        name: verdict.ttl_max for name in ("v.example", "mine.example", "any.example") if isinstance(verdict := desk.judge(name), Pass)
    }
    assert found == {"v.example": 60, "mine.example": 60, "any.example": 300}


def test_pass_says_at_which_level_it_was_opened(tmp_path: Path) -> None:
    """The highest level whose Allow opened the name; none when nothing had to open it."""
    desk = make_desk(tmp_path, rules={"allow": ["a.example"]}, profile=profile("TH", allow=["a.example", "b.example"]))
    found = [verdict.allowed_at for name in ("a.example", "b.example", "c.example") if isinstance(verdict := desk.judge(name), Pass)]
    assert found == [Level.PROVINCE, Level.PARENT, None]


def test_block_settings_of_the_profile_give_the_ttl(tmp_path: Path) -> None:
    """The TTL of a policy block is the profile's; the mode is left to the profile."""
    desk = make_desk(tmp_path, lists=GAMES, profile=profile("TH", block={"mode": "nxdomain", "ttl": 33}))
    verdict = desk.judge("play.example")
    assert isinstance(verdict, Block)
    assert (verdict.ttl, verdict.mode, desk.policy().block.mode) == (33, None, "nxdomain")
