"""The catalogue that is shipped, and catalogues with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists import catalogue
from blocklists.guard import CATALOGUE, Guard
from blocklists.normalize import key_of_name
from blocklists.parsers import Match
from gateway import release
from gateway.errors import SettingsError
from gateway.policy.catalogue import read_catalogue

MATCHES = {"both": Match.BOTH, "exact": Match.EXACT, "below": Match.BELOW}


def test_shipped_catalogue_loads_and_the_gateway_reads_it() -> None:
    """What we ship has no mistake, has one canonical form, and is what the policy reads."""
    document = catalogue.load()
    assert release.canonical_bytes(document) == release.canonical_bytes(catalogue.load())
    read = read_catalogue(document, "catalogue", "1")
    assert len(read.categories) >= 40 and len(read.services) >= 140
    assert {"order", "dist"} <= read.order_only


def test_shipped_services_name_nothing_that_is_protected() -> None:
    """Switching a service off must not close help, the clock or a registry's suffix."""
    document = catalogue.load()
    guard = Guard.of(document)
    for service in document["services"]:
        for host in service["hosts"]:
            refusal = guard.judge(key_of_name(host["name"]), MATCHES[host["match"]], CATALOGUE)
            assert refusal is None, (service["id"], refusal)


def test_shipped_good_names_are_many_and_help_is_among_the_protected() -> None:
    """State services, banks, hospitals, schools and press are protected: at least three hundred real names."""
    document = catalogue.load()
    assert len(document["protected"]) >= 300
    assert {"tongdai111.vn", "vn-cop.vn"} <= set(document["help"])
    assert {row["good"] for row in document["protected"]} >= {"edu", "health", "gov", None}


CATEGORIES = """\
format: 1
categories:
  - {code: gamb, vi: "cờ bạc", en: gambling, tier: H, order_only: false, sensitive: false}
  - {code: order, vi: "yêu cầu", en: order, tier: L, order_only: true, sensitive: false}
  - {code: edu, vi: "học tập", en: learning, tier: G}
"""
OPEN = '{default: allow, locked: false, mark: "✓"}'
BLOCKED = '{default: block, locked: true, mark: "✕"}'


def _row(code: str, cell: str) -> str:
    return f"  {code}:\n" + "".join(f"    {band}: {OPEN if band == 'NL' else cell}\n" for band in catalogue.BANDS)


GOOD_FILES = {
    "categories.yaml": CATEGORIES,
    "matrix.yaml": "format: 1\nmatrix:\n"
    + _row("gamb", BLOCKED)
    + _row("order", BLOCKED)
    + _row("edu", OPEN)
    + "  uncategorised: {MN: allowlist, TH: allow, CS: allow, PT: allow, NL: allow, KH: allow}\n",
    "services.yaml": """\
format: 1
services:
  - id: bet
    name_vi: Cược
    name_en: Bet
    group: games
    categories: [gamb]
    hosts: [{name: Bet.Example, match: both}, {name: cược.example}]
    verified: true
    source: a page
    as_of: "2026-11-22"
safesearch:
  - {engine: find, names: [find.example], target: safe.find.example, addresses: ["192.0.2.1", "2001:db8::1"]}
canaries: [canary.example.net]
extras: {service_groups: [{id: games}]}
""",
    "names.yaml": """\
format: 1
help: [help.example.vn]
platforms: [platform.example]
infrastructure: [{name: time.example.net, match: exact, use: time}]
protected: [{name: bank.example.vn, group: banks, match: both, good: null, source: x}, {name: nhs.uk, group: h, registry: true, good: edu}]
extras: {platform_tenants: [pages.example]}
""",
}


def _write(folder: Path, changes: dict[str, str]) -> Path:
    for name, text in (GOOD_FILES | changes).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_catalogue_files_are_joined_and_names_made_canonical(tmp_path: Path) -> None:
    """The folder is one catalogue: lists behind one another, sections merged, names in the form gateways use."""
    document = catalogue.load(_write(tmp_path, {}))
    assert [category["code"] for category in document["categories"]] == ["gamb", "order", "edu"]
    assert document["services"][0]["hosts"] == [
        {"name": "bet.example", "match": "both"},
        {"name": "xn--cc-d0a4101a.example", "match": "both"},
    ]
    assert document["extras"] == {"service_groups": [{"id": "games"}], "platform_tenants": ["pages.example"]}
    assert document["infrastructure"] == [{"name": "time.example.net", "match": "exact"}]
    assert document["protected"][0] == {"name": "bank.example.vn", "match": "both", "group": "banks", "good": None}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("categories.yaml", "format: 1", "format: 2", "format: 1"),
        ("categories.yaml", "tier: H", "tier: X", "categories[0].tier"),
        ("categories.yaml", "code: order", "code: gamb", "categories[1].code"),
        ("categories.yaml", ', en: gambling', "", "categories[0].en"),
        ("matrix.yaml", "  edu:", "  nothing:", "no row for category edu"),
        ("matrix.yaml", f"    KH: {BLOCKED}\n", "", "matrix.gamb"),
        ("matrix.yaml", "uncategorised: {MN: allowlist", "uncategorised: {MN: maybe", "uncategorised.MN"),
        ("matrix.yaml", f"  edu:\n    MN: {OPEN}", "  edu:\n    MN: {default: allow, locked: true, mark: x}", "locked"),
        ("matrix.yaml", f"  edu:\n    MN: {OPEN}", f"  edu:\n    MN: {BLOCKED}", "good"),
        ("matrix.yaml", f"  order:\n    MN: {BLOCKED}", f"  order:\n    MN: {OPEN}", "legal"),
        ("services.yaml", "categories: [gamb]", "categories: [order]", "services do not fill order"),
        ("services.yaml", "categories: [gamb]", "categories: [edu]", "services do not fill edu"),
        ("services.yaml", "categories: [gamb]", "categories: [nope]", "nope is no category"),
        ("services.yaml", "group: games", "group: nope", "services[0].group"),
        ("services.yaml", "name: Bet.Example", "name: Bet..Example", "services[0].hosts[0].name"),
        ("services.yaml", "name: Bet.Example", "name: com.vn", "public suffix"),
        ("services.yaml", "match: both", "match: some", "hosts[0].match"),
        ("services.yaml", '"192.0.2.1"', '"192.0.2.999"', "safesearch[0].addresses"),
        ("services.yaml", "verified: true", "verified: perhaps", "services[0].verified"),
        ("names.yaml", "registry: true, ", "", "public suffix"),
        ("names.yaml", "good: edu", "good: gamb", "protected[1].good"),
        ("names.yaml", "help: [help.example.vn]", "help: [help.example.vn/page]", "help[0]"),
        ("names.yaml", "platforms: [platform.example]", "plattforms: [platform.example]", "plattforms"),
        ("names.yaml", "extras: {platform_tenants", "extras: {service_groups: [], platform_tenants", "written in two files"),
        ("names.yaml", "help: [help.example.vn]", "help: help.example.vn", "must be a list"),
    ],
)  # fmt: skip
def test_catalogue_with_a_mistake_is_refused_with_its_place(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    """A catalogue with a mistake is not used, and the message leads to the line."""
    assert old in GOOD_FILES[file]
    with pytest.raises(SettingsError) as caught:
        catalogue.load(_write(tmp_path, {file: GOOD_FILES[file].replace(old, new, 1)}))
    assert any(said in str(mistake) and mistake.path.split(":")[0].endswith(".yaml") for mistake in caught.value.mistakes), caught.value


def test_catalogue_tells_all_mistakes_at_once(tmp_path: Path) -> None:
    """Nobody wants to find mistakes one run at a time; a file that is no YAML hides none in the others."""
    changed = {"services.yaml": GOOD_FILES["services.yaml"].replace("[gamb]", "[nope]"), "broken.yaml": "format: 1\nhelp: [a\n"}
    with pytest.raises(SettingsError) as caught:
        catalogue.load(_write(tmp_path, changed))
    assert {mistake.path.split(":")[0] for mistake in caught.value.mistakes} == {"services.yaml", "broken.yaml"}


def test_catalogue_folder_without_files_is_a_mistake(tmp_path: Path) -> None:
    """An empty folder is not an empty catalogue: filtering by nothing is no filtering."""
    with pytest.raises(SettingsError):
        catalogue.load(tmp_path)
