"""The list as a policy zone: rules per match, serials, differences that give the same zone as the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.policyzone import Entry, PolicyZone

ENTRY = st.tuples(st.sampled_from([f"example.n{n}." for n in range(12)]), st.sampled_from([0, 1, 2]))


def owners(zone: PolicyZone) -> list[str]:
    """The owner names of the rules, without apex records."""
    return sorted(rrset.name.to_text() for rrset in zone.whole() if rrset.name != zone.origin)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (0, ["*.bad.example.rpz.test.", "bad.example.rpz.test."]),
        (1, ["bad.example.rpz.test."]),
        (2, ["*.bad.example.rpz.test."]),
    ],
)
def test_each_match_has_its_rules(match: int, expected: list[str]) -> None:
    """A suffix entry blocks the name and what is below, an exact one the name, the third only what is below."""
    assert owners(PolicyZone("rpz.test", 1, [("example.bad.", match)])) == expected


def test_serial_must_be_newer() -> None:
    """A zone never goes back or stands still under a new version; serials wrap as RFC 1982 says."""
    zone = PolicyZone("rpz.test", 5)
    for stale in (5, 4):
        with pytest.raises(ValueError, match="does not follow"):
            zone.advance(stale, [], [])
    PolicyZone("rpz.test", 2**32 - 1).advance(1, [], [])


def test_name_too_long_for_the_zone_is_left_out() -> None:
    """A name that would pass 255 octets under the zone is not offered; the others are."""
    long = ".".join(["a" * 62] * 4) + "."
    assert owners(PolicyZone("rpz.test", 1, [(long, 1), ("example.bad.", 1)])) == ["bad.example.rpz.test."]


@given(st.lists(st.tuples(st.lists(ENTRY, max_size=4), st.lists(ENTRY, max_size=4)), max_size=8))
def test_applying_differences_equals_the_whole(steps: list[tuple[list[Entry], list[Entry]]]) -> None:
    """A secondary that applies every difference holds what a secondary that took the whole zone holds."""
    zone = PolicyZone("rpz.test", 1, [("example.start.", 0)])
    held = set(owners(zone))
    for number, (removed, added) in enumerate(steps):
        zone.advance(number + 2, removed, added)
    sections = list(zone.since(1) or [])
    adding = True
    for rrset in sections[1:-1]:
        if rrset.name == zone.origin:
            adding = not adding
        elif adding:
            held.add(rrset.name.to_text())
        else:
            held.discard(rrset.name.to_text())
    assert sorted(held) == owners(zone)


def test_a_name_of_two_orders_leaves_with_the_last() -> None:
    """Lifting one of two orders about a name keeps the name blocked."""
    zone = PolicyZone("rpz.test", 1, [("example.bad.", 0)])
    zone.advance(2, [], [("example.bad.", 0)])
    zone.advance(3, [("example.bad.", 0)], [])
    assert owners(zone) == ["*.bad.example.rpz.test.", "bad.example.rpz.test."]
    zone.advance(4, [("example.bad.", 0)], [])
    assert owners(zone) == []


def test_unknown_serial_has_no_difference() -> None:
    """A secondary that is too old, or ahead, gets the whole zone."""
    assert PolicyZone("rpz.test", 7).since(3) is None
