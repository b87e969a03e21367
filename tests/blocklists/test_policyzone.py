"""The list as a policy zone: rules per match, serials, differences that give the same zone as the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.policyzone import Entry, PolicyZone
from tests.support.zonerecords import answer_of, read_records

KEYS = [f"example.n{n}.{below}" for n in range(4) for below in ("", "a.", "a.b.", "a.b.c.", "a-z.")]
ENTRY = st.tuples(st.sampled_from(KEYS), st.sampled_from([0, 1, 2]))


def names(zone: PolicyZone, records: Iterable[bytes]) -> list[dns.name.Name]:
    """The owner names of records."""
    return [name for name, _, _ in read_records(zone.origin, records)]


def owners(zone: PolicyZone) -> list[str]:
    """The owner names of the rules, without apex records."""
    return sorted(name.to_text() for name in names(zone, zone.whole()) if name != zone.origin)


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
    sections = names(zone, zone.since(1) or [])
    adding = True
    for name in sections[1:-1]:
        if name == zone.origin:
            adding = not adding
        elif adding:
            held.add(name.to_text())
        else:
            held.discard(name.to_text())
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


@given(st.lists(st.tuples(st.lists(ENTRY, max_size=4), st.lists(ENTRY, max_size=4)), max_size=6))
def test_entries_below_each_other_close_what_each_of_them_covers(steps: list[tuple[list[Entry], list[Entry]]]) -> None:
    """However orders about a name and names below it come and leave, a resolver that reads wildcards as RFC 4592 says closes what the
    entries cover: a wildcard does not reach past a name that the zone holds below it."""
    zone = PolicyZone("rpz.test", 1)
    held: Counter[Entry] = Counter()
    for number, (removed, added) in enumerate(steps):
        removed = [entry for entry in removed if held[entry]]
        zone.advance(number + 2, removed, added)
        held.update(added)
        held.subtract(removed)
        held = +held
    rules = {owner.removesuffix(".rpz.test."): "." for owner in owners(zone)}
    for key in KEYS:
        for name in (key, f"{key}other."):
            covered = any(match != (2 if entry == name else 1) for entry, match in held if name.startswith(entry))
            assert (answer_of(rules, ".".join(reversed(name[:-1].split(".")))) == ".") == covered, (name, held, rules)


def test_a_zone_that_moves_on_ends_a_whole_transfer_and_no_difference() -> None:
    """A transfer never mixes two serials: that of the whole zone ends, and is asked for again; differences go on to the serial they began
    with."""
    zone = PolicyZone("rpz.test", 1, [("example.a.", 0), ("example.b.", 0)])
    zone.advance(2, [], [("example.c.", 0)])
    whole, steps = zone.whole(), zone.since(1)
    assert steps is not None
    first = [next(whole) for _ in range(3)]
    zone.advance(3, [("example.b.", 0)], [])
    with pytest.raises(ConnectionAbortedError, match="serial 2"):
        first.extend(whole)
    read = read_records(zone.origin, steps)
    assert [data.split()[2] for _, kind, data in read if kind == "SOA"] == ["2", "1", "2", "2"]
