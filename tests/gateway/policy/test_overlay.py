"""Takedown orders: dates, bands, later segments, lifted entries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gateway.errors import GenerationError
from gateway.policy.model import CHILD_BANDS, NEVER, Band
from gateway.policy.overlay import Overlay, Scope
from gateway.wire.name import key_from_text
from tests.support.generation import order, segment

CHILD = frozenset({Band.TH})


def at(text: str) -> float:
    """An ISO moment in unix seconds."""
    return datetime.fromisoformat(text).timestamp()


NOW = at("2026-03-04T12:00:00+07:00")


def bound(overlay: Overlay, name: str, now: float = NOW, bands: frozenset[Band] = CHILD) -> list[str]:
    """The orders that bind a name."""
    return [found.id for found in overlay.at(now).find(key_from_text(name), bands)]


def overlay(*segments: dict[str, Any]) -> Overlay:
    """An overlay of segments in this order."""
    return Overlay((f"s{number}", row) for number, row in enumerate(segments))


def test_order_binds_from_its_first_moment_until_before_its_last() -> None:
    """The end is exclusive; the view says until when it holds."""
    made = overlay(segment(order("1", "a.example", **{"from": "2026-03-01T00:00:00Z", "until": "2026-03-10T00:00:00Z"})))
    first, last = at("2026-03-01T00:00:00Z"), at("2026-03-10T00:00:00Z")
    assert [bound(made, "x.a.example", now) for now in (first - 1, first, last - 1, last)] == [[], ["1"], ["1"], []]
    assert [made.at(now).valid_until for now in (first - 1, first, last)] == [first, last, NEVER]
    assert made.at(first) is made.at(last - 1)
    assert made.at(first - 1).identity == made.at(last).identity == ()


def test_dates_are_days_in_viet_nam_and_the_last_day_counts() -> None:
    """From the first minute of the first day to the last minute of the last."""
    made = overlay(segment(order("1", "a.example", **{"from": "2026-03-04", "until": "2026-03-05"})))
    moments = ("2026-03-03T23:59:59+07:00", "2026-03-04T00:00:00+07:00", "2026-03-05T23:59:59+07:00", "2026-03-06T00:00:00+07:00")
    assert [bound(made, "a.example", at(moment)) for moment in moments] == [[], ["1"], ["1"], []]


@pytest.mark.parametrize(
    ("written", "name", "expected"),
    [
        ("a.example", "a.example", ["1"]),
        ("a.example", "x.a.example", ["1"]),
        ("a.example", "xa.example", []),
        ("=a.example", "a.example", ["1"]),
        ("=a.example", "x.a.example", []),
        ("*.a.example", "a.example", []),
        ("*.a.example", "y.x.a.example", ["1"]),
    ],
)
def test_entry_covers_as_written(written: str, name: str, expected: list[str]) -> None:
    """Name and below, the name alone, or what is below."""
    assert bound(overlay(segment(order("1", written))), name) == expected


def test_order_without_bands_binds_children() -> None:
    """The child bands by default; named bands otherwise."""
    made = overlay(segment(order("1", "a.example"), order("2", "a.example", bands=["NL"])))
    assert bound(made, "a.example", bands=frozenset({Band.NL})) == ["2"]
    assert all(bound(made, "a.example", bands=frozenset({band})) == ["1"] for band in CHILD_BANDS)


def test_longest_name_first_then_the_latest_issued() -> None:
    """The order named first is the most specific, then the newest."""
    made = overlay(
        segment(
            order("old", "a.example", issued_on="2025-01-01"),
            order("new", "a.example", issued_on="2025-06-01"),
            order("long", "x.a.example"),
        )
    )
    assert bound(made, "x.a.example") == ["long", "new", "old"]


def test_later_segment_replaces_an_order_and_its_dates() -> None:
    """An order that comes again is the newer one, also for entries of earlier segments."""
    made = overlay(
        segment(order("1", "a.example", until="2026-03-01T00:00:00Z")),
        segment(order("1", "b.example", until="2026-06-01T00:00:00Z")),
    )
    assert [bound(made, name) for name in ("a.example", "b.example")] == [["1"], ["1"]]


def test_lifted_entries_are_free_and_may_come_back() -> None:
    """One entry, a whole order, and an entry that a later segment brings again."""
    first = segment(order("1", "a.example", "b.example"), order("2", "a.example"))
    assert bound(overlay(first, segment(lifted=[("a.example", "1")])), "a.example") == ["2"]
    assert [bound(overlay(first, segment(lifted=[("", "1")])), name) for name in ("a.example", "b.example")] == [["2"], []]
    again = segment(order("1", "b.example"))
    assert bound(overlay(first, segment(lifted=[("", "1")]), again), "b.example") == ["1"]


def test_same_content_has_the_same_identity() -> None:
    """What is in force decides the identity, so that tables survive a boundary that changes nothing."""
    row = segment(order("1", "a.example"))
    assert overlay(row).at(NOW).identity == overlay(row).at(NOW + 5).identity
    assert overlay(row).at(NOW).identity != overlay(row, segment(order("2", "b.example"))).at(NOW).identity


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"format": 2, "orders": [], "entries": []},
        {"format": 1, "orders": [{}], "entries": []},
        {"format": 1, "orders": [], "entries": [["example.a.", 0, 0]]},
        {"format": 1, "orders": [], "entries": [["a.example", 0, 0]]},
        {**segment(order("1", "a.example")), "entries": [["example.a.", 7, 0]]},
        {**segment(order("1", "a.example")), "lifted": ["example.a."]},
        segment(order("1", "a.example", no_end=False)),
        segment(order("1", "a.example", bands=["XX"])),
        segment(order("1", "a.example", until="2026-03-01T00:00:00")),
        segment(order("1", "a.example", until="soon")),
    ],
)
def test_segment_that_is_none_is_refused_with_its_name(document: object) -> None:
    """A damaged segment refuses the generation; an order has an end or says that it has none."""
    with pytest.raises(GenerationError) as caught:
        Overlay([("s.json", document)])
    assert caught.value.where == "files/s.json"


@pytest.mark.parametrize(
    ("place", "organisation", "covered"),
    [
        ("12", "", True),
        ("12.03385", "", True),
        ("44", "", True),
        ("44", "other", False),
        ("", "other", True),
        ("44", "school", True),
        ("08", "school", True),
        ("1", "other", False),
    ],
)
def test_scope_covers_its_places_its_organisations_and_what_is_not_known(place: str, organisation: str, covered: bool) -> None:
    """Either part widens; a client of whom nobody said where it is, is bound."""
    assert Scope(frozenset({"12"}), frozenset({"school"})).covers(place, organisation) is covered


def test_place_within_and_around_a_commune() -> None:
    """An order for a commune binds the commune and who is known by the province only, not its neighbour."""
    scope = Scope(frozenset({"12.03385"}))
    assert [scope.covers(place, "x") for place in ("12.03385", "12", "12.03390", "08", "")] == [True, True, False, False, True]


def test_order_for_some_binds_only_the_scopes_that_hold() -> None:
    """A narrowed order is found with its scope, and the one for everybody stays beside it."""
    narrow = {"places": ["12"], "organisations": []}
    view = overlay(segment(order("1", "a.example", scope=narrow), order("2", "a.example"))).at(NOW)
    key = key_from_text("a.example")
    assert {row.id for row in view.find(key, CHILD)} == {"2"}
    assert {row.id for row in view.find(key, CHILD, view.scopes_at("12.03385", ""))} == {"1", "2"}
    assert view.scopes_at("44", "x") == frozenset()
