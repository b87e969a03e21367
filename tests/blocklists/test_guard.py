"""The guard: what nobody may block, who may name platforms, and when a new copy is held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.guard import ALLOW, CATALOGUE, ORDER, RPZ, ChangeLimits, Guard, Origin, judge_change, listed
from blocklists.normalize import key_of_name
from blocklists.parsers import Match
from blocklists.rejections import Reason

CATALOGUE_DOCUMENT: dict[str, Any] = {
    "help": ["help.example.vn"],
    "infrastructure": [{"name": "time.facebook.com", "match": "exact"}, {"name": "ntp.example.net", "match": "both"}],
    "platforms": ["facebook.com", "docs.google.com", "weebly.com"],
    "extras": {"platform_tenants": ["pages.example.net"]},
    "protected": [{"name": "bank.example.vn", "match": "both"}, {"name": "press.example.vn", "match": "exact"}],
}
GUARD = Guard.of(CATALOGUE_DOCUMENT, ["dns.quad9.net"])
LOCKED = listed("H", None)
DELEGABLE = listed("D", None)
OWNER = listed(None, "block")


def _reason(name: str, origin: Origin, match: Match = Match.BOTH) -> Reason | None:
    refusal = GUARD.judge(key_of_name(name), match, origin)
    return refusal.reason if refusal else None


@pytest.mark.parametrize("origin", [LOCKED, DELEGABLE, OWNER, ORDER, RPZ, CATALOGUE, ALLOW])
@pytest.mark.parametrize("name", ["vn", "com.vn", "hanoi.vn", "co.uk", "localhost"])
def test_public_suffix_is_refused_to_everybody(name: str, origin: Origin) -> None:
    """A registry's suffix is taken from nobody, not even as an allow: either would move a whole country."""
    assert _reason(name, origin) is Reason.PUBLIC_SUFFIX


@pytest.mark.parametrize("origin", [LOCKED, DELEGABLE, OWNER, ORDER, RPZ, CATALOGUE])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("help.example.vn", Reason.HELP_NAME),
        ("www.help.example.vn", Reason.HELP_NAME),
        ("time.facebook.com", Reason.INFRASTRUCTURE),
        ("a.ntp.example.net", Reason.INFRASTRUCTURE),
        ("dns.quad9.net", Reason.OWN_NAME),
    ],
)
def test_help_infrastructure_and_own_servers_are_refused_to_everybody(name: str, reason: Reason, origin: Origin) -> None:
    """A child's way to help, the clock and the resolver behind us stay open whoever lists them."""
    assert _reason(name, origin) is reason


@pytest.mark.parametrize("name", ["help.example.vn", "time.facebook.com", "dns.quad9.net", "facebook.com", "bank.example.vn"])
def test_allow_entries_may_name_what_is_protected(name: str) -> None:
    """Opening what is open harms nobody."""
    assert _reason(name, ALLOW) is None


@pytest.mark.parametrize("name", ["facebook.com", "www.facebook.com", "m.facebook.com", "google.com", "pages.example.net"])
def test_platform_is_refused_to_orders_and_locked_categories_only(name: str) -> None:
    """A platform, what covers it and its faces stay open to orders and tiers L and H; switches and owners may close it."""
    assert [_reason(name, origin) for origin in (LOCKED, listed("L", None), ORDER)] == [Reason.SHARED_PLATFORM] * 3
    assert [_reason(name, origin) for origin in (DELEGABLE, OWNER, RPZ, CATALOGUE)] == [None] * 4


def test_name_below_a_platform_may_be_listed_but_not_ordered() -> None:
    """One page of a page maker can be in a list of porn; an order for part of a platform needs a person, save for tenants' own names."""
    assert _reason("bad.weebly.com", LOCKED) is None
    assert _reason("bad.weebly.com", ORDER) is Reason.SHARED_PLATFORM
    assert _reason("bad.pages.example.net", ORDER) is None
    assert _reason("bad.github.io", ORDER) is None


def test_shared_suffix_is_refused_as_a_whole_where_platforms_are() -> None:
    """`github.io` is many owners' suffix: tiers L, H and orders cannot close it, one name below it they can."""
    assert [_reason("github.io", origin) for origin in (LOCKED, ORDER)] == [Reason.SHARED_SUFFIX] * 2
    assert _reason("github.io", DELEGABLE) is None and _reason("bad.github.io", LOCKED) is None


@pytest.mark.parametrize("name", ["bank.example.vn", "www.bank.example.vn", "press.example.vn", "example.vn"])
def test_protected_group_is_refused_to_orders_and_locked_categories(name: str) -> None:
    """A typo must not take a bank off the air."""
    assert [_reason(name, origin) for origin in (LOCKED, ORDER)] == [Reason.PROTECTED] * 2
    assert _reason(name, DELEGABLE) is None


def test_match_decides_what_an_entry_would_hit() -> None:
    """An exact entry above a protected name misses it; a below-only entry misses the name it stands on."""
    assert _reason("example.vn", LOCKED, Match.EXACT) is None
    assert _reason("google.com", ORDER, Match.EXACT) is None
    assert _reason("time.facebook.com", RPZ, Match.BELOW) is None
    assert _reason("dns.quad9.net", RPZ, Match.BELOW) is None
    assert _reason("help.example.vn", RPZ, Match.BELOW) is Reason.HELP_NAME


def test_name_above_an_own_server_makes_a_hole_in_lists_and_is_refused_to_orders() -> None:
    """`quad9.net` in a list stays in force for everything but our own upstream; an order or zone cannot carry such a hole."""
    assert _reason("quad9.net", LOCKED) is None
    assert GUARD.holes(["net.quad9."], Match.BOTH) == ["net.quad9.dns."]
    assert GUARD.holes(["net.quad9."], Match.EXACT) == [] == GUARD.holes(["net.other."], Match.BOTH)
    assert [_reason("quad9.net", origin) for origin in (ORDER, RPZ)] == [Reason.OWN_NAME] * 2


def test_second_approver_is_asked_for_state_schools_and_protected_groups() -> None:
    """Hosts under gov.vn and edu.vn, and protected groups, are never one person's decision."""
    names = ["a.gov.vn", "thpt.a.edu.vn", "bank.example.vn", "www.bank.example.vn", "press.example.vn", "example.vn"]
    assert all(GUARD.needs_second_approver(key_of_name(name)) for name in names)
    assert not GUARD.needs_second_approver(key_of_name("bad.example.com"))


def test_refusal_says_which_protected_name_it_would_hit() -> None:
    """The person who reads the report learns why, in both languages."""
    refusal = GUARD.judge(key_of_name("google.com"), Match.BOTH, ORDER)
    assert refusal is not None
    assert (refusal.name, refusal.because) == ("google.com", "docs.google.com")
    assert "docs.google.com" in refusal.vi and "docs.google.com" in refusal.en


NAMES = st.lists(
    st.sampled_from(
        ["a", "www", "m", "facebook", "google", "docs", "time", "help", "example", "bank", "press", "quad9", "dns", "github", "ck"]
    ),
    min_size=0,
    max_size=3,
).flatmap(lambda labels: st.sampled_from(["vn", "com", "net", "io", "ck", "com.vn"]).map(lambda last: ".".join([*labels, last])))


@given(
    names=st.lists(NAMES, max_size=40),
    match=st.sampled_from(Match),
    origin=st.sampled_from([LOCKED, DELEGABLE, OWNER, ORDER, RPZ, CATALOGUE, ALLOW]),
)
def test_sweep_finds_what_judging_each_name_finds(names: list[str], match: Match, origin: Origin) -> None:
    """The quick pass over a whole list refuses exactly what judging name by name refuses."""
    keys = sorted({key_of_name(name) for name in names})
    expected = [refusal for key in keys if (refusal := GUARD.judge(key, match, origin))]
    if origin.is_order:
        # orders are few and judged one by one; the sweep must at least find everything a list would be refused
        assert {refusal.key for refusal in GUARD.sweep(keys, match, origin)} <= {refusal.key for refusal in expected}
    else:
        assert GUARD.sweep(keys, match, origin) == expected


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (None, 1_000_000, False),
        (0, 10, False),
        (10, 100, False),
        (499, 100, False),
        (1000, 1500, False),
        (1000, 1501, True),
        (1000, 500, False),
        (1000, 499, True),
        (1000, 0, True),
        (3, 0, True),
        (0, 100_000, True),
        (100_000, 115_999, False),
        (100_000, 116_000, True),
    ],
)
def test_sudden_change_is_held_for_a_person(before: int | None, after: int, held: bool) -> None:
    """A list that grows or shrinks at a stroke is not what it was; the last good copy stays until a person looks."""
    hold = judge_change(before, after, ChangeLimits())
    assert (hold is not None) == held
    if hold:
        assert "entries" in hold.en
        assert hold.vi
