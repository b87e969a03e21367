"""What an approval would touch, before it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.officepreview import preview
from blocklists.takedown.model import Match
from tests.support.generation import category, good, make_generation

CATALOGUE = {
    "services": [
        {"id": "momo", "name_vi": "Ví MoMo", "hosts": [{"name": "momo.vn", "match": "both"}, {"name": "api.momo.vn", "match": "exact"}]},
        {"id": "shopee", "name_vi": "Shopee", "hosts": [{"name": "shopee.vn", "match": "both"}]},
    ]
}


@pytest.mark.parametrize(
    ("host", "match", "touched"),
    [
        ("momo.vn", Match.BOTH, ["api.momo.vn", "momo.vn"]),
        ("momo.vn", Match.EXACT, ["momo.vn"]),
        ("momo.vn", Match.BELOW, ["api.momo.vn"]),
        ("xmomo.vn", Match.BOTH, []),
    ],
)
def test_services_that_lose_a_host_are_named(host: str, match: Match, touched: list[str], tmp_path: Path) -> None:
    """Only hosts that the entry really covers count."""
    found = preview([(host, match)], CATALOGUE, tmp_path)
    assert sorted(one.detail for one in found.services) == touched


@pytest.mark.parametrize("host", ["shopee88.example", "88shopee.example", "shoopee.example", "shope.example"])
def test_lookalikes_are_pointed_out(host: str, tmp_path: Path) -> None:
    """A brand with digits or one sign off stands out."""
    assert [one.what for one in preview([(host, Match.BOTH)], CATALOGUE, tmp_path).lookalikes] == ["Shopee"]


def test_without_data_it_is_not_known(tmp_path: Path) -> None:
    """No generation, no claim."""
    assert not preview([("bad.example", Match.BOTH)], CATALOGUE, tmp_path).known


def test_lists_that_hold_a_name_are_named(tmp_path: Path) -> None:
    """A name of the good list, or of a list in force, is told before it is blocked."""
    make_generation(tmp_path, lists={"bets": category("gamb", "bet.example"), "good": good("edu", "school.example")})
    found = preview([("bet.example", Match.BOTH), ("www.school.example", Match.EXACT)], CATALOGUE, tmp_path)
    assert found.known
    assert [(one.host, one.what) for one in found.listed] == [("bet.example", "gamb"), ("www.school.example", "edu")]
