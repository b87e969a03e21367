"""The starter lists as data: valid names, a source for each, nothing that must stay open, nothing where nothing may be."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

import blocklists
from blocklists.guard import ORDER, Guard
from blocklists.normalize import Host, normalize_host
from blocklists.parsers import Match
from gateway.wire.name import covering_keys, key_from_text
from gateway.yamlfile import read
from tests.support.shippedcatalogue import load

SEED = Path(blocklists.__file__).parent / "seed"
LISTS = sorted(path.relative_to(SEED).as_posix() for path in SEED.rglob("*.txt") if path.parent.name != "licences")
SHARE_ALIKE = "CC BY-SA 4.0"

# At least so many names before any download, over all lists of the category.
LEAST = {
    "porn": 20_000,
    "gamb": 3_500,
    "scam": 4_000,
    "malware": 2_500,
    "drug": 500,
    "pirate": 2_000,
    "dating": 5_000,
    "crypto": 1_000,
    "ads": 1_500,
    "bypass": 5_000,
    "encdns": 2_500,
    "game": 4_000,
    "search": 100,
    "vape": 30,
}
EMPTY = ("csam", "terror", "self", "groom", "order", "dist", "edu", "health", "gov", "help")


@cache
def _catalogue() -> dict[str, Any]:
    return load()


@cache
def _names(relative: str) -> dict[str, str]:
    """Names of a list and the source each was written under."""
    found: dict[str, str] = {}
    source = ""
    for line in (SEED / relative).read_text(encoding="utf-8").splitlines():
        if line.startswith("# source: "):
            source = line.removeprefix("# source: ")
        elif line and not line.startswith("#"):
            assert line not in found, f"{relative}: {line} twice"
            found[line] = source
    return found


def _about(relative: str) -> dict[str, Any]:
    value: dict[str, Any] = read((SEED / relative).with_suffix(".yaml")).value
    return value


@pytest.mark.parametrize("relative", LISTS)
def test_every_name_is_a_host_name(relative: str) -> None:
    """Each line is one host name in the form a machine compares, so that none is lost at the first start."""
    for name in _names(relative):
        assert key_from_text(name), name
        host = normalize_host(name)
        assert isinstance(host, Host) and host.name == name, name


@pytest.mark.parametrize("relative", LISTS)
def test_nothing_that_must_stay_open(relative: str) -> None:
    """No starter name is a suffix, help, infrastructure, a protected name or a shared platform, or would close one."""
    guard = Guard.of(_catalogue())
    assert [name for name in _names(relative) if guard.judge(key_from_text(name), Match.BOTH, ORDER)] == []


@pytest.mark.parametrize("relative", LISTS)
def test_no_service_of_another_category(relative: str) -> None:
    """A starter list never closes a service that the matrix judges under another category: a betting list must not close a game shop."""
    category = _about(relative)["category"]
    strangers = {
        key_from_text(host["name"]): row["id"]
        for row in _catalogue()["services"]
        if category not in row["categories"]
        for host in row["hosts"]
    }
    keys = {key_from_text(name) for name in _names(relative)}
    assert {strangers[key] for key in strangers for above in covering_keys(key) if above in keys} == set()


@pytest.mark.parametrize("relative", LISTS)
def test_no_name_below_another(relative: str) -> None:
    """A name that its own list already covers is left out."""
    keys = {key_from_text(name) for name in _names(relative)}
    assert [key for key in keys if any(above in keys for above in covering_keys(key)[:-1])] == []


@pytest.mark.parametrize("relative", LISTS)
def test_description_matches_the_list(relative: str) -> None:
    """The description names the category, a licence, and for every name a source whose count is right."""
    about = _about(relative)
    names = _names(relative)
    assert about["category"] in {row["code"] for row in _catalogue()["categories"]}
    assert about["title"]["vi"] and about["title"]["en"] and about["note"] and about["licence"]
    assert about["entries"] == len(names)
    assert {row["id"]: row["entries"] for row in about["sources"] if row["entries"]} == {
        source: list(names.values()).count(source) for source in names.values()
    }
    for row in about["sources"]:
        assert row["publisher"] and row["repository"] and row["file"] and row["licence"] and row["list_date"]


def test_share_alike_stays_apart() -> None:
    """Names under a share-alike licence live in a folder of their own, and only they do."""
    for relative in LISTS:
        licences = {row["licence"] for row in _about(relative)["sources"]}
        assert (SHARE_ALIKE in licences) == relative.startswith("ut1/"), relative
        assert SHARE_ALIKE not in licences or licences == {SHARE_ALIKE}
    assert SHARE_ALIKE in (SEED / "licences" / "NOTICE").read_text(encoding="utf-8")


@pytest.mark.parametrize("category", EMPTY)
def test_categories_that_ship_nothing(category: str) -> None:
    """A directory of abuse is never shipped, orders come from orders, and good names live in the catalogue."""
    assert [relative for relative in LISTS if _about(relative)["category"] == category] == []


@pytest.mark.parametrize(("category", "least"), LEAST.items())
def test_enough_names_before_any_download(category: str, least: int) -> None:
    """Filtering means something on a machine that never fetched a list."""
    assert sum(len(_names(relative)) for relative in LISTS if _about(relative)["category"] == category) >= least


def test_coverage_tells_the_truth() -> None:
    """The table of what ships names every category, counts right, and gives a reason where nothing ships."""
    coverage = read(SEED / "coverage.yaml").value["coverage"]
    assert set(coverage) == {row["code"] for row in _catalogue()["categories"]}
    for code, row in coverage.items():
        lists = [relative for relative in LISTS if _about(relative)["category"] == code]
        assert sorted(row["lists"]) == lists, code
        assert row["names"] == sum(len(_names(relative)) for relative in lists), code
        assert row["lists"] or row["note"], code


def test_the_folder_stays_small() -> None:
    """The starter lists weigh at most two megabytes."""
    assert sum(path.stat().st_size for path in SEED.rglob("*") if path.is_file()) <= 2 * 1024 * 1024


@pytest.mark.parametrize("name", ["bet365.com", "1xbet.com", "pornhub.com", "xvideos.com", "dns.google"])
def test_names_everybody_expects(name: str) -> None:
    """What a parent tries first is there."""
    found = {listed for relative in LISTS for listed in _names(relative)}
    assert any(".".join(name.split(".")[cut:]) in found for cut in range(name.count(".")))
