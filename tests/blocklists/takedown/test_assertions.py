"""The shipped assertions hold with the shipped catalogue, and an order that breaks one is found by name and age."""

from __future__ import annotations

from pathlib import Path

from blocklists.takedown.assertions import BANDS, AssertionCheck, candidate, shipped
from blocklists.takedown.model import Match
from tests.support.generation import category, make_generation
from tests.support.shippedcatalogue import load

CHILDREN = ("TH", "CS", "PT")


def test_the_shipped_set_is_large_enough_and_holds(tmp_path: Path) -> None:
    """At least forty lines over five bands, and every one is true of the product as it is shipped."""
    assert len({(one.name, one.category, one.must) for one in shipped()}) >= 40
    assert {one.band for one in shipped()} == set(BANDS)
    check = AssertionCheck(make_generation(tmp_path, catalogue=load()))
    assert check.broken_by(candidate([("bad.example", Match.BOTH)], "12/QĐ", ())) == ()


def test_an_order_that_closes_what_must_stay_open_is_found(tmp_path: Path) -> None:
    """Blocking an encyclopedia breaks it for the bands of the order and for nobody else; its dates do not hide it."""
    check = AssertionCheck(make_generation(tmp_path, catalogue=load()))
    segment = candidate([("wikipedia.org", Match.BOTH)], "12/QĐ", ())
    segment["orders"][0] |= {"from": "2099-01-01", "until": "2099-02-01", "no_end": False}
    broken = check.broken_by(segment)
    assert {(one.assertion.name, one.assertion.band.value, one.order) for one in broken} == {
        (name, band, "12/QĐ") for name in ("wikipedia.org", "vi.wikipedia.org") for band in CHILDREN
    }
    assert "NL" in {one.assertion.band.value for one in check.broken_by(candidate([("wikipedia.org", Match.EXACT)], "1/QĐ", ("NL",)))}


def test_a_list_in_force_counts_too(tmp_path: Path) -> None:
    """The lines are about what people meet, whatever closes it."""
    check = AssertionCheck(make_generation(tmp_path, catalogue=load(), lists={"x": category("scam", "github.com")}))
    assert {one.assertion.name for one in check.broken_by({"format": 1, "orders": [], "entries": []})} == {"github.com"}


def test_before_the_first_generation_nothing_is_known(tmp_path: Path) -> None:
    """A machine that never prepared its lists has nothing to judge by."""
    assert AssertionCheck(tmp_path).broken_by({"format": 1, "orders": [], "entries": []}) == ()
