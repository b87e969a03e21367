"""The order of the judgement, one test for each line of the design; what concerns levels is in `test_judgement_levels`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policy.model import Block
from tests.support.catalogue import BANDS, cells, tiers
from tests.support.generation import action, category, good, order, profile, segment, zone
from tests.support.judging import AT_SCHOOL, STRANGER, make_desk

EVERYTHING = {"all": action("block", "help.example", "status.example", "time.example", level="province")}


# line 1 and 2


def test_line_1_canary_is_answered_for_a_child_and_not_for_an_adult(tmp_path: Path) -> None:
    """The names that browsers ask are NXDOMAIN where the profile says so, also when a rule would allow them."""
    child = make_desk(tmp_path / "a", profile=profile("TH", allow=["canary.example"]))
    assert [child.ask(name) for name in ("canary.example", "_probe.any.example", "x.canary.example")] == [
        "local canary",
        "local canary",
        "pass name",
    ]
    assert make_desk(tmp_path / "b", profile=profile("NL")).ask("canary.example") == "pass default"
    assert make_desk(tmp_path / "c", profile=profile("NL", canaries=True)).ask("canary.example") == "local canary"
    assert make_desk(tmp_path / "d", profile=profile("TH", canaries=False)).ask("canary.example") == "pass default"


def test_line_2_help_and_infrastructure_stay_open_against_everything(tmp_path: Path) -> None:
    """No list, order, deny, offline window or zone closes help, the time or certificate status."""
    desk = make_desk(
        tmp_path,
        lists={
            **EVERYTHING,
            "csam": category("csam", "help.example", "status.example", "time.example"),
            "zone": zone("z.example", {"help.example": "drop", "time.example": "nxdomain"}),
        },
        profile=profile(
            "MN",
            deny=["example"],
            schedule=[{"name": "ngủ", "from": "00:00", "to": "24:00", "effect": "offline"}],
            overrides=[{"id": "o", "kind": "off", "from": None, "until": "2027-01-01T00:00:00Z"}],
        ),
        orders=[segment(order("1", "help.example", "status.example", "time.example"))],
    )
    assert [desk.ask(name) for name in ("help.example", "deep.help.example", "time.example", "a.status.example")] == [
        "pass help",
        "pass help",
        "pass infrastructure",
        "pass infrastructure",
    ]
    assert desk.ask("x.time.example").startswith("block")


# line 3


def test_line_3_order_in_force_is_final(tmp_path: Path) -> None:
    """An order blocks against allows of every level, timed openings, good lists and zones."""
    desk = make_desk(
        tmp_path,
        lists={"ok": action("allow", "ordered.example"), "edu": good("edu", "ordered.example")},
        rules={"allow": ["ordered.example"]},
        profile=profile(
            "TH",
            allow=["=ordered.example"],
            overrides=[{"id": "o", "kind": "exception", "from": None, "until": "2027-01-01T00:00:00Z", "names": ["ordered.example"]}],
        ),
        orders=[segment(order("12", "ordered.example"))],
    )
    verdict = desk.judge("www.ordered.example")
    assert isinstance(verdict, Block)
    assert (verdict.reason, verdict.category, verdict.ede, verdict.ttl, verdict.rule.text) == ("order", "order", 16, 60, "order 12/QĐ")


@pytest.mark.parametrize(("bands", "blocked"), [(None, {"MN", "TH", "CS", "PT", "KH"}), (["NL"], {"NL"}), (["TH", "NL"], {"TH", "NL"})])
def test_line_3_order_binds_its_bands_by_default_the_children(tmp_path: Path, bands: list[str] | None, blocked: set[str]) -> None:
    """An order without bands binds the child bands only; one with bands binds those."""
    found = {
        band
        for band in BANDS
        if make_desk(tmp_path / band, profile=profile(band), orders=[segment(order("1", "o.example", bands=bands))]).ask("o.example")
        == "block order"
    }
    assert found == blocked


@pytest.mark.parametrize("code", ["csam", "scam", "malware", "terror"])
def test_line_3_legal_category_is_final_for_everyone(tmp_path: Path, code: str) -> None:
    """A tier L category is blocked for every band, whatever is allowed, with EDE 15."""
    for band in BANDS:
        desk = make_desk(
            tmp_path / band,
            lists={"l": category(code, "bad.example"), "ok": action("allow", "bad.example"), "gov": good("gov", "bad.example")},
            profile=profile(band, allow=["bad.example"], categories={code: "allow"}),
            rules={"allow": ["bad.example"]},
        )
        verdict = desk.judge("bad.example")
        assert isinstance(verdict, Block)
        assert (verdict.reason, verdict.category, verdict.ede, verdict.rule.source) == ("legal", code, 15, "l")


@pytest.mark.parametrize("code", ["order", "dist"])
def test_decency_order_categories_are_never_filled_from_lists(tmp_path: Path, code: str) -> None:
    """`order` and `dist` are filled from numbered orders alone; a list that names them does nothing."""
    desk = make_desk(tmp_path / "list", lists={"l": category(code, "claimed.example")})
    assert desk.ask("claimed.example") == "pass default"
    desk = make_desk(tmp_path / "order", orders=[segment(order("9", "claimed.example", category=code))])
    verdict = desk.judge("claimed.example")
    assert isinstance(verdict, Block)
    assert (verdict.category, verdict.rule.text) == (code, "order 9/QĐ")


# line 4


@pytest.mark.parametrize("code", ["edu", "health", "gov"])
def test_line_4_good_list_opens_whatever_the_categories_say(tmp_path: Path, code: str) -> None:
    """A name in a good list and in locked categories is open, also while everything else is off."""
    desk = make_desk(
        tmp_path,
        lists={"g": good(code, "good.example"), "p": category("porn", "good.example"), "s": category("self", "good.example")},
        profile=profile(
            "MN", categories={"porn": "block"}, schedule=[{"name": "ngủ", "from": "00:00", "to": "24:00", "effect": "offline"}]
        ),
    )
    assert desk.ask("www.good.example") == "pass good"


@pytest.mark.parametrize(
    ("owner", "deny", "expected"),
    [
        ("parent", ["good.example"], "block name"),
        ("school", ["*.good.example"], "block name"),
        ("province", ["good.example"], "pass good"),
        ("parent", ["other.example"], "pass good"),
    ],
)
def test_line_4_only_a_name_that_school_or_parent_wrote_closes_a_good_list(
    tmp_path: Path, owner: str, deny: list[str], expected: str
) -> None:
    """A deny by name of a school or parent closes a good name; the province's does not."""
    desk = make_desk(tmp_path, lists={"g": good("edu", "good.example")}, profile=profile("TH", owner=owner, deny=deny))
    assert desk.ask("www.good.example") == expected


def test_line_4_lists_and_zones_do_not_close_a_good_list(tmp_path: Path) -> None:
    """A list of a parent or a zone is no deny by name."""
    desk = make_desk(
        tmp_path,
        lists={
            "g": good("edu", "good.example"),
            "b": action("block", "good.example", level="parent"),
            "z": zone("z.example", {"good.example": "nxdomain"}, level="parent"),
        },
    )
    assert desk.ask("good.example") == "pass good"


def test_line_4_timed_exception_reopens_what_its_owner_denied(tmp_path: Path) -> None:
    """A parent who denied a good name may open it for an hour."""
    exception = {"id": "e", "kind": "exception", "from": None, "until": "2026-03-04T06:00:00Z", "names": ["good.example"]}
    desk = make_desk(
        tmp_path,
        lists={"g": good("edu", "good.example"), "p": category("porn", "good.example")},
        profile=profile("TH", deny=["good.example"], overrides=[exception]),
    )
    assert desk.ask("good.example", at="2026-03-04T12:59:59+07:00") == "pass good"
    assert desk.ask("good.example", at="2026-03-04T13:00:00+07:00") == "block name"


def test_line_4_name_allowed_above_undoes_the_name_that_closes(tmp_path: Path) -> None:
    """What the province allows by name stays open against a parent's deny, in a good list as elsewhere."""
    desk = make_desk(
        tmp_path,
        lists={"g": good("edu", "good.example")},
        rules={"allow": ["=good.example"]},
        profile=profile("TH", deny=["good.example"]),
    )
    assert [desk.ask("good.example"), desk.ask("www.good.example")] == ["pass good", "block name"]


def test_line_4_configured_list_of_a_good_category_is_its_owners_allow(tmp_path: Path) -> None:
    """Good categories come from the signed catalogue; a configured list opens only what its owner may open (review 6)."""
    lists = {
        "mine": category("edu", "a.example", "b.example"),
        "porn": category("porn", "a.example"),
        "game": category("game", "b.example"),
    }
    desk = make_desk(tmp_path, lists=lists)
    assert [desk.ask("a.example"), desk.ask("b.example")] == ["block matrix", "pass list"]


# line 5


GAMES = {"g": category("game", "play.example")}
NIGHT = {"name": "đêm", "from": "21:00", "to": "06:00", "effect": {"block": ["game"]}}
TONIGHT = "2026-03-04T22:00:00+07:00"


def test_line_5_a_quiet_hour_beats_a_standing_allow_but_not_a_bonus(tmp_path: Path) -> None:
    """Overlay before category switch, timed opening before overlay."""
    bonus = {"id": "b", "kind": "open", "from": None, "until": "2026-03-04T23:00:00+07:00", "categories": ["game"]}
    row = {"categories": {"game": "allow"}, "schedule": [NIGHT]}
    assert make_desk(tmp_path / "a", lists=GAMES, profile=profile("TH", **row)).ask("play.example") == "pass switch"
    assert make_desk(tmp_path / "b", lists=GAMES, profile=profile("TH", **row)).ask("play.example", at=TONIGHT) == "block schedule"
    desk = make_desk(tmp_path / "c", lists=GAMES, profile=profile("TH", overrides=[bonus], **row))
    assert desk.ask("play.example", at=TONIGHT) == "pass override"
    assert desk.ask("play.example", at="2026-03-04T23:00:00+07:00") == "block schedule"


def test_line_5_order_of_one_level(tmp_path: Path) -> None:
    """Override, offline, name, overlay, service, category: each place beats the ones behind it."""
    until = "2027-01-01T00:00:00Z"
    places: list[tuple[str, dict[str, object]]] = [
        ("pass switch", {"categories": {"short": "allow"}}),
        ("block service", {"services": {"clips": "block"}}),
        ("block schedule", {"schedule": [{"name": "w", "effect": {"block": ["short"]}}]}),
        ("pass name", {"allow": ["clips.example"]}),
        ("block offline", {"schedule": [{"name": "w", "effect": {"block": ["short"]}}, {"name": "o", "effect": "offline"}]}),
        ("pass override", {"overrides": [{"id": "o", "kind": "open", "from": None, "until": until, "services": ["clips"]}]}),
    ]
    rules: dict[str, object] = {}
    for number, (expected, more) in enumerate(places):
        rules |= more
        assert make_desk(tmp_path / str(number), profile=profile("TH", **rules)).ask("clips.example") == expected


def test_line_5_the_latest_override_counts_and_off_wins_a_tie(tmp_path: Path) -> None:
    """Who pauses after giving a bonus pauses; who gives a bonus after pausing gives it."""
    until = "2027-01-01T00:00:00Z"
    early, late = "2026-03-04T10:00:00+07:00", "2026-03-04T11:00:00+07:00"

    def asked(off: str | None, given: str | None) -> str:
        overrides = [
            {"id": "off", "kind": "off", "from": off, "until": until},
            {"id": "one", "kind": "exception", "from": given, "until": until, "names": ["x.example"]},
        ]
        return make_desk(tmp_path / f"{off}{given}", profile=profile("TH", overrides=overrides)).ask("x.example")

    assert [asked(early, late), asked(late, early), asked(None, None), asked(late, late)] == [
        "pass override",
        "block override",
        "block override",
        "block override",
    ]


def test_line_5_teachers_window_opens_delegable_categories_only(tmp_path: Path) -> None:
    """A window of the school opens what may be delegated, for its 90 minutes, and nothing of tier H."""
    window = {
        "id": "w",
        "kind": "window",
        "from": "2026-03-04T12:00:00+07:00",
        "until": "2026-03-04T13:30:00+07:00",
        "categories": ["video", "viol"],
    }
    school = {"categories": {"video": "block", "viol": "block"}, "overrides": [window]}
    desk = make_desk(
        tmp_path,
        lists={"v": category("video", "v.example"), "h": category("viol", "h.example"), "both": category("video", "h.example")},
        school=school,
        profile=profile("PT"),
        address=AT_SCHOOL,
    )
    assert desk.ask("v.example") == "pass override"
    assert desk.ask("h.example") == "block switch"
    assert desk.ask("v.example", at="2026-03-04T13:30:00+07:00") == "block switch"


def test_line_5_service_switch_follows_the_longest_host(tmp_path: Path) -> None:
    """A service below the domain of another is switched by itself; blocking one does not break the other."""
    desk = make_desk(tmp_path / "a", profile=profile("NL", services={"songs": "block"}))
    assert [desk.ask(name) for name in ("songs.example", "cdn.songs.shared.example", "shared.example", "talk.example")] == [
        "block service",
        "block service",
        "pass default",
        "pass default",
    ]
    desk = make_desk(tmp_path / "b", profile=profile("NL", services={"talk": "block", "songs": "allow"}))
    assert [desk.ask(name) for name in ("songs.shared.example", "shared.example")] == ["pass service", "block service"]
    desk = make_desk(tmp_path / "c", profile=profile("NL", services={"talk": "block"}))
    assert [desk.ask(name) for name in ("songs.shared.example", "shared.example")] == ["pass default", "block service"]


def test_line_5_only_closes_everything_else_but_names_and_good_lists(tmp_path: Path) -> None:
    """An exam opens the categories it names, the exam's own names, help and good lists."""
    exam = {"name": "thi", "effect": {"only": ["video"]}}
    desk = make_desk(
        tmp_path,
        lists={"v": category("video", "v.example"), "g": category("chat", "c.example"), "e": good("edu", "e.example")},
        profile=profile("PT", allow=["thi.example"], schedule=[exam]),
    )
    asked = [desk.ask(name) for name in ("v.example", "c.example", "any.example", "thi.example", "e.example", "help.example")]
    assert asked == ["pass default", "block schedule", "block schedule", "pass name", "pass good", "pass help"]


# line 6


@pytest.mark.parametrize("band", BANDS)
def test_line_6_matrix_default_and_lock_of_every_cell(tmp_path: Path, band: str) -> None:
    """Every cell of the matrix: blocked or open by default; opened by its owner unless locked; closed by its owner if open."""
    codes = [code for code in cells() if tiers()[code] in "HD" and code != "dist"]
    lists = {code: category(code, f"{code}.example") for code in codes}
    plain = make_desk(tmp_path / "plain", lists=lists, profile=profile(band))
    allowing = make_desk(tmp_path / "allow", lists=lists, profile=profile(band, categories=dict.fromkeys(codes, "allow")))
    blocking = make_desk(tmp_path / "block", lists=lists, profile=profile(band, categories=dict.fromkeys(codes, "block")))
    for code in codes:
        cell = cells()[code][band]
        name = f"www.{code}.example"
        assert plain.ask(name) == ("block matrix" if cell["default"] == "block" else "pass default"), code
        assert allowing.ask(name) == ("block matrix" if cell["locked"] else "pass switch"), code
        assert blocking.ask(name) == "block switch", code


@pytest.mark.parametrize(
    ("band", "setting", "expected"),
    [
        ("MN", None, "block uncategorised"),
        ("MN", "allow", "pass default"),
        ("TH", None, "pass default"),
        ("NL", "block", "block uncategorised"),
    ],
)
def test_line_6_names_in_no_category_follow_the_profile(tmp_path: Path, band: str, setting: str | None, expected: str) -> None:
    """Allow-list only for preschool or where the owner says so; a name allowed there is open."""
    desk = make_desk(tmp_path, profile=profile(band, uncategorised=setting, allow=["mine.example"]))
    assert [desk.ask("nobody.example"), desk.ask("www.mine.example")] == [expected, "pass name"]


def test_line_6_guest_gets_the_stricter_of_its_column_and_the_sites_strictest_band(tmp_path: Path) -> None:
    """KH: per category the stricter of its own column and that of the strictest band served there (review 1)."""
    lists = {
        "v": category("video", "v.example"),
        "g": category("game12", "g.example"),
        "c": category("chat", "c.example"),
        "o": category("game00", "o.example"),
    }
    names = ("v.example", "g.example", "c.example", "o.example", "any.example")
    allow = {"categories": {"game12": "allow", "chat": "allow", "game00": "allow"}}
    column = make_desk(tmp_path / "a", lists=lists, profile=profile("KH", **allow))
    assert [column.ask(name) for name in names] == ["pass default", "pass switch", "pass switch", "pass switch", "pass default"]
    small = make_desk(tmp_path / "b", lists=lists, profile=profile("KH", **allow), bands=["NL", "MN", "TH"], address=AT_SCHOOL)
    assert [small.ask(name) for name in names] == ["pass default", "block matrix", "block matrix", "pass switch", "pass default"]
    adult = make_desk(tmp_path / "c", lists=lists, profile=profile("KH", **allow), bands=["NL"], address=AT_SCHOOL)
    assert [adult.ask(name) for name in names] == [column.ask(name) for name in names]


def test_line_6_stranger_gets_the_strictest_band_of_the_site(tmp_path: Path) -> None:
    """A client that nobody knows is a guest: the column of guests, and at a site the strictest band there, never allow-list only."""
    desk = make_desk(tmp_path, lists=GAMES, bands=["MN", "NL"], address=STRANGER)
    assert (desk.policy().band, desk.ask("play.example"), desk.ask("any.example")) == ("KH", "block matrix", "pass default")
    desk.address = bytes((10, 1, 7, 7))
    assert (desk.policy().band, desk.ask("play.example"), desk.ask("any.example")) == ("KH", "block matrix", "pass default")
