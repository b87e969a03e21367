"""The section that offers the list to other resolvers: every mistake is named before anything listens."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from admin.officeform import CATEGORIES
from admin.rpzsettings import Audience, ListCategory, ZoneCategory
from blocklists.categoryzone import Offer
from gateway.policy.model import Band
from tests.admin.test_settings import read
from tests.support.shippedcatalogue import load

HEAD = 'admin: {listen: "127.0.0.1:8080"}\n'


def test_a_whole_section_is_read(tmp_path: Path) -> None:
    """Zone, key from its file, networks and secondaries."""
    (tmp_path / "isp.key").write_text("MDEyMzQ1Njc4OWFiY2RlZg==\n")
    text = (
        HEAD + 'rpz_out:\n  listen: "127.0.0.1:5399"\n  zone: rpz.lachan.example\n'
        '  keys: [{name: isp-a, secret_file: isp.key, zones: [rpz.lachan.example]}]\n'
        "  open_to: [127.0.0.0/8]\n  secondaries: [{address: 192.0.2.53, key: isp-a}]\n"
    )
    settings, mistakes = read(text, tmp_path)
    assert mistakes == []
    assert settings is not None
    assert settings.rpz_out is not None
    assert settings.rpz_out.keys[0].secret == b"0123456789abcdef"
    assert settings.rpz_out.secondaries[0].port == 53
    assert settings.rpz_out.scopes == (("isp-a", frozenset({"rpz.lachan.example"})),)
    assert settings.rpz_out.zones == (("rpz.lachan.example", Audience()),)


def test_each_zone_says_whom_it_is_for(tmp_path: Path) -> None:
    """Children unless it says otherwise; more zones beside the first."""
    text = HEAD + (
        'rpz_out:\n  listen: "127.0.0.1:5399"\n  zone: rpz.lachan.example\n  open_to: [127.0.0.0/8]\n  bands: [MN, TH, CS, PT, NL, KH]\n'
        '  zones: [{zone: b.example, place: "12"}, {zone: c.example, organisation: s1, bands: [TH], categories: [scam]}]\n'
    )
    settings, mistakes = read(text, tmp_path)
    assert mistakes == [] and settings is not None and settings.rpz_out is not None
    assert settings.rpz_out.zones == (
        ("rpz.lachan.example", Audience(frozenset(Band))),
        ("b.example", Audience(place="12")),
        ("c.example", Audience(frozenset({Band.TH}), organisation="s1", categories=frozenset({"scam"}))),
    )


@pytest.mark.parametrize(
    ("audience", "places", "organisations", "bands", "bound"),
    [
        (Audience(), "", "", "", True),
        (Audience(), None, None, None, True),
        (Audience(), "", "", "MN,TH,CS,PT,NL,KH", True),
        (Audience(), "", "", "TH", False),
        (Audience(frozenset({Band.TH})), "", "", "TH,CS", True),
        (Audience(frozenset(Band)), "", "", "", False),
        (Audience(frozenset(Band)), "", "", "MN,TH,CS,PT,NL,KH", True),
        (Audience(), "12", "", "", False),
        (Audience(place="12"), "12", "", "", True),
        (Audience(place="12"), "08,12", "", "", True),
        (Audience(place="12"), "1", "", "", False),
        (Audience(place="12"), "12.03385", "", "", False),
        (Audience(place="12.03385"), "12", "", "", True),
        (Audience(place="12"), "08", "", "", False),
        (Audience(place="12"), "", "s1", "", False),
        (Audience(organisation="s1"), "", "s1,s2", "", True),
        (Audience(organisation="s3"), "12", "s1,s2", "", False),
    ],
)
def test_a_zone_holds_what_binds_everybody_it_is_for(
    audience: Audience, places: str | None, organisations: str | None, bands: str | None, bound: bool
) -> None:
    """A narrowed order never blocks somebody it is not for: not in the rest of a province, not at another age."""
    assert audience.is_bound(places, organisations, bands) is bound


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "nobody could have the zone"),
        ("  keys: [{name: a, secret_file: none.key}]\n", "cannot be read"),
        ("  keys: [{name: a, secret_file: bad.key}]\n", "does not hold base64"),
        ("  keys: [{name: a, secret_file: short.key}]\n", "fewer than 16 bytes"),
        ("  open_to: [127.0.0.0/8]\n  zones: [{zone: rpz.lachan.example}]\n", "another zone has this name"),
        ("  open_to: [127.0.0.0/8]\n  zones: [{zone: a.example, bands: []}]\n", "for nobody"),
        ("  open_to: [127.0.0.0/8]\n  bands: [XX]\n", "rpz_out.bands"),
        ("  open_to: [127.0.0.0/8]\n  categories: [csam]\n", "rpz_out.categories"),
        ("  open_to: [127.0.0.0/8]\n  category_zones: [csam]\n", "rpz_out.category_zones"),
        ("  open_to: [127.0.0.0/8]\n  category_zones: [dist]\n", "rpz_out.category_zones"),
        ("  open_to: [127.0.0.0/8]\n  category_zones: [porn]\n  zones: [{zone: porn.rpz.lachan.example}]\n", "another zone is called"),
        ("  open_to: [127.0.0.0/8]\n  passing_on: [no-list]\n", "there is no list 'no-list'"),
        ("  keys: [{name: a, secret_file: good.key, zones: [porn.rpz.lachan.example]}]\n", "no zone is called porn.rpz.lachan.example"),
        ("  keys: [{name: a, secret_file: good.key}, {name: A, secret_file: good.key}]\n", "another key has this name"),
        ("  open_to: [127.0.0.0/8]\n  secondaries: [{address: 192.0.2.1, key: b}]\n", "no key of this name"),
    ],
)
def test_mistakes_say_what_to_do(rest: str, said: str, tmp_path: Path) -> None:
    """A zone that nobody or everybody could take is not served."""
    (tmp_path / "bad.key").write_text("không phải base64", encoding="utf-8")
    (tmp_path / "good.key").write_text("MDEyMzQ1Njc4OWFiY2RlZg==\n")
    (tmp_path / "short.key").write_text("YWJj")
    settings, mistakes = read(HEAD + 'rpz_out:\n  listen: "127.0.0.1:5399"\n  zone: rpz.lachan.example\n' + rest, tmp_path)
    assert settings is None
    assert any(said in str(mistake) for mistake in mistakes), [str(mistake) for mistake in mistakes]


def test_a_zone_may_be_for_some_categories() -> None:
    """One zone for each set, for resolvers that want one of them; every category of an order but the masked one."""
    audience = Audience(categories=frozenset({"scam", "malware"}))
    assert audience.is_bound("", "", "", "scam") and not audience.is_bound("", "", "", "gamb")
    assert Audience().is_bound("", "", "", "gamb")
    assert set(get_args(ZoneCategory)) == set(CATEGORIES) - {"csam"}


def test_a_category_of_the_lists_may_be_a_zone(tmp_path: Path) -> None:
    """It is called by its code below the list's zone, is for the same people, and says which lists its operator vouches for."""
    lists = "lists: [{id: mine, category: porn, path: list.txt}]\n"
    text = 'rpz_out:\n  listen: "127.0.0.1:5399"\n  zone: rpz.lachan.example\n  open_to: [127.0.0.0/8]\n  bands: [TH]\n'
    settings, mistakes = read(HEAD + lists + text + "  category_zones: [porn, gamb]\n  passing_on: [mine]\n", tmp_path)
    assert mistakes == [] and settings is not None and settings.rpz_out is not None
    one, two = settings.rpz_out.offers
    assert one == Offer("porn.rpz.lachan.example", "porn", frozenset({Band.TH}), frozenset({"mine"}))
    assert (two.zone, two.category) == ("gamb.rpz.lachan.example", "gamb")


def test_every_category_that_lists_fill_may_be_offered_and_no_other() -> None:
    """Not the masked one, not those of orders alone, not those that open."""
    rows = load()["categories"]
    assert set(get_args(ListCategory)) == {row["code"] for row in rows if row["tier"] != "G" and not row["order_only"]} - {"csam"}
