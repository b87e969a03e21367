"""What one owner has set: switches, names, timed overrides, and the limits of a teacher's window."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.catalogue import read_catalogue
from gateway.policy.model import Level
from gateway.policy.reading import Reading
from gateway.policy.ruleset import NO_RULES, Ruleset, parse_ruleset
from tests.support.catalogue import make_catalogue

WORDS = read_catalogue(make_catalogue(), "test", "v")


def read(row: dict[str, Any], level: Level = Level.SCHOOL) -> tuple[Ruleset, list[str]]:
    """A ruleset and the paths of its mistakes."""
    reading = Reading()
    rules = parse_ruleset(row, "r", level, reading, WORDS)
    return rules, [mistake.path for mistake in reading.mistakes]


def test_empty_ruleset_is_the_shared_one() -> None:
    """Ten thousand profiles without rules cost nothing each."""
    assert read({"id": "p", "allow": [], "categories": {}, "schedule": None})[0] is NO_RULES


def test_ruleset_is_read() -> None:
    """Switches, names, windows and overrides come out as written."""
    rules, mistakes = read(
        {
            "categories": {"game": "allow", "chat": "block"},
            "services": {"tube": "block"},
            "allow": ["a.example"],
            "deny": ["/x/"],
            "schedule": [{"name": "w", "effect": "offline"}],
            "overrides": [
                {"id": "o", "kind": "open", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00Z", "categories": ["game"]},
                {"kind": "off", "until": "2026-01-01T01:00:00Z"},
            ],
        }
    )
    assert mistakes == []
    assert (rules.categories, rules.services, rules.allow, rules.deny) == (
        {"game": False, "chat": True},
        {"tube": True},
        ("a.example",),
        ("/x/",),
    )
    opened, off = rules.overrides
    assert [opened.is_active(opened.until - second) for second in (3601, 3600, 1, 0)] == [False, True, True, False]
    assert (off.id, off.start, off.is_active(0.0)) == ("override", None, True)


def test_dear_expressions_are_refused_with_a_remedy_where_they_are_written() -> None:
    """Singly with their place and text, together at their owner; a generation that holds some from before is loaded all the same."""
    until = "2026-01-01T01:00:00Z"
    dear = "/a.{1,60}b.{1,60}c/"
    row = {"deny": ["/x/", dear], "overrides": [{"kind": "exception", "until": until, "names": ["/(a|b)*a(a|b){30}/"]}]}
    reading = Reading()
    parse_ruleset(row, "profiles[0]", Level.SCHOOL, reading, WORDS)
    assert [mistake.path for mistake in reading.mistakes] == ["profiles[0].deny[1]", "profiles[0].overrides[0].names[0]"]
    assert str(reading.mistakes[0]).startswith(f"profiles[0].deny[1]: {dear} costs too much for every new name: 121 places")
    assert "write names instead" in str(reading.mistakes[0])
    together = read({"deny": ["/a.{1,9}b.{1,8}x/", "/b.{1,9}a.{1,8}x/"], "allow": ["/c.{1,9}d/"]})[1]
    assert together == ["r"]
    loaded = Reading()
    assert parse_ruleset(row, "p", Level.SCHOOL, loaded, None).deny == ("/x/", dear) and not loaded.mistakes


def window(**changes: Any) -> dict[str, Any]:
    """A teacher's window without mistakes, changed."""
    row = {"id": "w", "kind": "window", "from": "2026-01-01T08:00:00Z", "until": "2026-01-01T09:30:00Z", "categories": ["video"]}
    return {key: value for key, value in {**row, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("row", "paths"),
    [
        ({"categories": []}, []),
        ({"categories": ["game"]}, ["r.categories"]),
        ({"categories": {"gmae": "allow"}}, ["r.categories.gmae"]),
        ({"categories": {"game": True}}, ["r.categories.game"]),
        ({"services": {"tub": "block"}}, ["r.services.tub"]),
        ({"services": {"tube": "off"}}, ["r.services.tube"]),
        ({"allow": ["a b", "fine.example"], "deny": ["/(/"]}, ["r.allow[0]", "r.deny[0]"]),
        ({"overrides": [{"id": "o", "kind": "pause", "until": "2026-01-01T00:00:00Z"}]}, ["r.overrides[0].kind"]),
        ({"overrides": [{"id": "o", "kind": "off"}]}, ["r.overrides[0].until"]),
        ({"overrides": [{"id": "o", "kind": "off", "until": None}]}, ["r.overrides[0].until"]),
        ({"overrides": [{"id": "o", "kind": "off", "until": "21:00"}]}, ["r.overrides[0].until"]),
        ({"overrides": [{"id": 5, "kind": "off", "until": "2026-01-01T00:00:00Z"}]}, ["r.overrides[0].id"]),
        (
            {"overrides": [{"id": "o", "kind": "off", "from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]},
            ["r.overrides[0].until"],
        ),
        ({"overrides": [{"id": "o", "kind": "exception", "until": "2026-01-01T00:00:00Z"}]}, ["r.overrides[0].names"]),
        ({"overrides": [{"id": "o", "kind": "open", "until": "2026-01-01T00:00:00Z"}]}, ["r.overrides[0]"]),
        (
            {"overrides": [{"id": "o", "kind": "open", "until": "2026-01-01T00:00:00Z", "categories": ["gmae"]}]},
            ["r.overrides[0].categories.gmae"],
        ),
        ({"overrides": [window()]}, []),
        ({"overrides": [window(until="2026-01-01T09:30:01Z")]}, ["r.overrides[0].until"]),
        ({"overrides": [window(categories=["viol"])]}, ["r.overrides[0].categories"]),
        ({"overrides": [window(categories=None)]}, ["r.overrides[0].categories"]),
        ({"overrides": [window(**{"from": None})]}, ["r.overrides[0].from"]),
        ({"overrides": [window(names=["a.example"])]}, ["r.overrides[0]"]),
    ],
)
def test_ruleset_with_mistakes_names_each_path(row: dict[str, Any], paths: list[str]) -> None:
    """Every mistake has its path; a window lasts ninety minutes at most and opens delegable categories only."""
    assert read(row)[1] == paths


@pytest.mark.parametrize("level", [Level.PROVINCE, Level.PARENT])
def test_window_is_the_schools_only(level: Level) -> None:
    """A parent's bonus is an opening, not a teacher's window."""
    assert read({"overrides": [window()]}, level)[1] == ["r.overrides[0].kind"]
