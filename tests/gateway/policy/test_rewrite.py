"""Safe search: which names are answered through another one, for which types, and after which rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.catalogue import read_catalogue
from gateway.policy.model import Block, Rewrite, TcpOnly
from gateway.policy.rewrite import rewrites
from tests.support.catalogue import make_catalogue
from tests.support.generation import category, good, order, profile, segment, zone
from tests.support.judging import make_desk

CATALOGUE = read_catalogue(make_catalogue(), "test", "v")


@pytest.mark.parametrize(
    ("safe_search", "youtube", "expected"),
    [
        (True, "off", {"example.finder.": "safe.finder.example", "example.finder.www.": "safe.finder.example"}),
        (False, "strict", {"example.tube.": "strict.tube.example", "example.tube.www.": "strict.tube.example"}),
        (False, "moderate", {"example.tube.": "moderate.tube.example", "example.tube.www.": "moderate.tube.example"}),
        (False, "off", {}),
    ],
)
def test_rewrites_of_each_choice(safe_search: bool, youtube: str, expected: dict[str, str]) -> None:
    """Engines follow safe search, YouTube its own level."""
    found = rewrites(CATALOGUE, safe_search, youtube)  # type: ignore[arg-type]
    assert {key: rewrite.target for key, rewrite in found.items()} == expected


@pytest.mark.parametrize(
    ("band", "finder", "tube"),
    [
        ("MN", "rewrite safe.finder.example", "rewrite strict.tube.example"),
        ("TH", "rewrite safe.finder.example", "rewrite strict.tube.example"),
        ("PT", "rewrite safe.finder.example", "rewrite moderate.tube.example"),
        ("NL", "pass default", "pass default"),
        ("KH", "rewrite safe.finder.example", "rewrite strict.tube.example"),
    ],
)
def test_band_decides_when_the_profile_is_silent(tmp_path: Path, band: str, finder: str, tube: str) -> None:
    """Safe search and the restricted mode of video by band."""
    desk = make_desk(tmp_path, profile=profile(band, uncategorised="allow"))
    assert [desk.ask("www.finder.example"), desk.ask("tube.example")] == [finder, tube]


def test_profile_decides_over_the_band(tmp_path: Path) -> None:
    """An owner may switch the safe modes either way."""
    off = make_desk(tmp_path / "a", profile=profile("TH", safe_search=False, youtube="off"))
    assert [off.ask("finder.example"), off.ask("tube.example")] == ["pass default", "pass default"]
    on = make_desk(tmp_path / "b", profile=profile("NL", safe_search=True, youtube="moderate"))
    assert [on.ask("finder.example"), on.ask("tube.example")] == ["rewrite safe.finder.example", "rewrite moderate.tube.example"]


def test_only_types_that_lead_to_a_server_and_only_the_name_itself(tmp_path: Path) -> None:
    """Mail and text records of an engine stay as they are; names below it too."""
    desk = make_desk(tmp_path)
    assert {
        qtype for qtype in (1, 2, 5, 6, 15, 16, 28, 33, 64, 65, 255) if desk.ask("finder.example", qtype).startswith("rewrite")
    } == {1, 5, 28, 64, 65, 255}, "A, CNAME, AAAA, SVCB, HTTPS, ANY"
    assert desk.ask("mail.finder.example") == "pass default"


def test_safe_search_applies_after_every_allow_below_line_3(tmp_path: Path) -> None:
    """An allowed or good engine is still answered in its safe mode; a blocked one stays blocked (review 6)."""
    allowed = make_desk(tmp_path / "a", lists={"g": good("edu", "finder.example")}, profile=profile("TH", allow=["tube.example"]))
    assert [allowed.ask("finder.example"), allowed.ask("tube.example")] == ["rewrite safe.finder.example", "rewrite strict.tube.example"]
    verdict = allowed.judge("tube.example")
    assert isinstance(verdict, Rewrite)
    assert [grant.level for grant in verdict.grants] == ["parent"]
    blocked = make_desk(
        tmp_path / "b",
        lists={"s": category("scam", "finder.example")},
        profile=profile("TH", deny=["tube.example"]),
        orders=[segment(order("1", "www.tube.example"))],
    )
    assert [blocked.ask(name) for name in ("finder.example", "tube.example", "www.tube.example")] == [
        "block legal",
        "block name",
        "block order",
    ]


def test_safe_search_behind_tcp_only_keeps_both(tmp_path: Path) -> None:
    """A zone that asks for TCP leaves the safe mode in place."""
    desk = make_desk(tmp_path, lists={"z": zone("z.example", {"finder.example": "tcp-only"})})
    verdict = desk.judge("finder.example")
    assert isinstance(verdict, TcpOnly)
    assert isinstance(verdict.then, Rewrite)
    assert desk.ask("finder.example", 16) == "tcp pass default"


def test_target_of_the_chain_is_still_judged(tmp_path: Path) -> None:
    """What the safe name leads to can be closed by lines 1 to 3 and by rules that nothing allowed."""
    desk = make_desk(tmp_path, lists={"s": category("scam", "bad.example"), "a": category("ads", "ads.example")})
    assert [desk.chain("finder.example", name) for name in ("bad.example", "ads.example", "fine.example")] == [
        "block legal",
        "block matrix",
        "rewrite safe.finder.example",
    ]


def test_rewrite_says_which_engine_and_is_explained(tmp_path: Path) -> None:
    """Counted as rewritten by engine; the rule that let the name pass is among those that lost."""
    decision = make_desk(tmp_path, profile=profile("TH", allow=["finder.example"])).explain("finder.example")
    assert isinstance(decision.verdict, Rewrite)
    assert (decision.verdict.engine, decision.verdict.addresses, decision.verdict.rule and decision.verdict.rule.text) == (
        "finder",
        ("192.0.2.10",),
        "safe search finder",
    )
    assert decision.lost[0].text == "allow finder.example"
    assert not isinstance(decision.verdict, Block)
