"""The catalogue file: read as a whole, refused when it is not one, closed where it is silent about a legal category."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import GenerationError
from gateway.policy.catalogue import CLOSED, OPEN, BandDefaults, Catalogue, Cell, read_catalogue
from gateway.policy.model import Band
from gateway.policy.names import Coverage
from tests.support.catalogue import BANDS, cells, make_catalogue, tiers
from tests.support.shippedcatalogue import load


def read(**changes: Any) -> Catalogue:
    """A catalogue with changed members."""
    return read_catalogue(make_catalogue(**changes), "files/x.json", "v1")


def test_catalogue_is_read() -> None:
    """Tiers, hosts, safe search, canaries and open names come out by key."""
    found = read()
    assert (found.version, found.codes, found.order_only) == ("v1", frozenset(tiers()), {"order", "dist"})
    assert (found.is_delegable("game"), found.is_delegable("porn"), found.is_delegable("none")) == (True, False, False)
    assert [(coverage, service.id) for coverage, service in found.hosts["example.shared."]] == [(Coverage.BOTH, "talk")]
    assert found.safe_search[0].keys == {"example.finder.", "example.finder.www."}
    assert (found.canaries, found.canary_labels) == ({"example.canary."}, {"_probe"})
    assert (dict(found.help), dict(found.infrastructure)) == (
        {"example.help.": Coverage.BOTH},
        {"example.time.": Coverage.EXACT, "example.status.": Coverage.BOTH},
    )
    assert found.services["talk"].categories == {"chat", "social"}
    assert found.defaults[Band.PT] == BandDefaults(True, "moderate", True)


@pytest.mark.parametrize("band", BANDS)
def test_cell_says_default_lock_and_safe_mode(band: str) -> None:
    """Every cell of the file, and allow-list-only for preschool."""
    found = read()
    for code, row in cells().items():
        cell = found.cell(code, Band(band))
        assert (cell.blocked, cell.locked, cell.safe) == (
            row[band]["default"] == "block",
            row[band]["locked"],
            row[band]["default"] == "safe",
        )
    assert found.cell("uncategorised", Band(band)).blocked is (band == "MN")


def test_cell_that_is_missing_is_closed_for_a_legal_category_and_open_for_others() -> None:
    """A catalogue that forgets a legal category does not open it."""
    matrix = {code: row for code, row in make_catalogue()["matrix"].items() if code not in ("csam", "game")}
    found = read(matrix=matrix)
    assert [found.cell(code, Band.NL) for code in ("csam", "game", "unknown")] == [CLOSED, OPEN, OPEN]


def test_stricter_cell() -> None:
    """Locked block, then block, then safe mode, then open."""
    locked, blocked, safe = CLOSED, Cell(True, False, False, "×"), Cell(False, False, True, "F")
    ranks = [locked, blocked, safe, OPEN]
    for place, cell in enumerate(ranks):
        for other in ranks[place:]:
            assert (cell.stricter(other), other.stricter(cell)) == (cell, cell)


def test_stricter_defaults() -> None:
    """The stricter of each setting, one by one."""
    assert BandDefaults(False, "moderate", True).stricter(BandDefaults(True, "off", False)) == BandDefaults(True, "moderate", True)


def test_defaults_without_extras_are_those_of_a_child() -> None:
    """A catalogue that says nothing about settings keeps children safe and leaves adults alone."""
    found = read(extras={})
    assert found.defaults[Band.TH] == BandDefaults(True, "strict", True)
    assert found.defaults[Band.NL] == BandDefaults(False, "off", False)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"format": 2},
        {"format": 1},
        make_catalogue(categories=[{"code": "x", "vi": "x", "en": "x", "tier": "Z"}]),
        make_catalogue(matrix={"game": {"XX": {"default": "allow"}}}),
        make_catalogue(matrix={"game": {"TH": {"default": "maybe"}}}),
        make_catalogue(matrix={"game": {"TH": "maybe"}}),
        make_catalogue(matrix={"game": {"TH": 5}}),
        make_catalogue(help=["not..a.name"]),
        make_catalogue(infrastructure=[{"name": "a.example", "match": "around"}]),
        make_catalogue(infrastructure=[5]),
        make_catalogue(services=[{"id": "x"}]),
        make_catalogue(safesearch=[{"engine": "x", "names": ["a.example"], "target": "b.example", "youtube": "hard"}]),
        make_catalogue(extras={"band_defaults": {"youtube": {"TH": "hard"}}}),
    ],
)
def test_catalogue_that_is_none_is_refused_with_its_path(document: object) -> None:
    """A broken catalogue is never half used."""
    with pytest.raises(GenerationError) as caught:
        read_catalogue(document, "files/x.json", "v1")
    assert caught.value.where == "files/x.json"


def test_catalogue_of_these_tests_has_the_shipped_matrix() -> None:
    """Defaults and locks of every cell are those of the product, and the product's catalogue is read without fault."""
    shipped = read_catalogue(load(), "shipped", "v1")
    found = read()
    assert shipped.codes == found.codes
    for code in (*found.codes, "uncategorised"):
        for band in Band:
            ours, theirs = found.cell(code, band), shipped.cell(code, band)
            assert (ours.blocked, ours.locked, ours.safe) == (theirs.blocked, theirs.locked, theirs.safe), (code, band)
    assert {code: shipped.tier(code) for code in shipped.codes} == tiers()
    assert dict(shipped.defaults) == dict(found.defaults)
