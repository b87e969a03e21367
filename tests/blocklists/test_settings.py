"""Settings of the lists: what belongs together, what lists may never fill."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.settings import BlocklistSettings, BlocklistsFile, FollowSettings, check_lists
from blocklists.zonesettings import RPZ_POLICIES
from gateway.sections import KeyHelp, check, model_at, reference
from gateway.yamlfile import parse

CODES, GOOD = {"gamb", "ads", "edu", "help", "dist", "order"}, {"edu", "help"}
KEYS = list(reference(BlocklistsFile))


def settings_of(text: str, folder: Path) -> BlocklistSettings:
    """Settings of a text that must be sound."""
    found, mistakes = check_lists(parse(text, folder / "lachan.yaml"), folder / "var", CODES, GOOD)
    assert found is not None, mistakes
    return found


def mistakes_of(text: str, folder: Path) -> list[str]:
    """What is wrong, without file and line."""
    found, mistakes = check_lists(parse(text, folder / "lachan.yaml"), folder / "var", CODES, GOOD)
    assert found is None
    return [f"{mistake.path.partition(': ')[2]}: {mistake.message}" for mistake in mistakes]


def test_every_key_of_the_contract_arrives(tmp_path: Path) -> None:
    """Files are found beside the configuration, times are read."""
    for name in ("a.txt", "rpz.zone", "orders.yaml"):
        (tmp_path / name).touch()
    found = settings_of(
        """
lists:
  - {id: a, category: gamb, path: a.txt, format: hosts}
  - {id: b, category: ads, url: "https://lists.example/ads.txt", refresh: 12h}
  - {id: 5, action: allow, level: school, path: a.txt}
rpz: [{name: rpz.example, file: rpz.zone, policy: given, groups: [school]}]
takedown: {file: orders.yaml}
lists_fetch: {max_bytes: 1MiB, max_records: 1000}
""",
        tmp_path,
    )
    assert [item.id for item in found.lists] == ["a", "b", "5"]
    assert tmp_path / "a.txt" == found.lists[0].path
    assert found.lists[1].refresh == 43_200
    assert (found.lists[2].action, found.lists[2].level) == ("allow", "school")
    assert (found.rpz[0].name, found.rpz[0].groups) == ("rpz.example", ("school",))
    assert tmp_path / "orders.yaml" == found.orders_file
    assert found.fetch.max_bytes == 1 << 20
    assert found.fetch.max_records == 1000


def test_followed_office_arrives(tmp_path: Path) -> None:
    """Where its releases are, and the root beside the configuration; there is no takedown file then."""
    (tmp_path / "root.json").touch()
    found = settings_of('takedown: {follow: {url: "https://office.example/", root: root.json}}', tmp_path)
    assert found.follow == FollowSettings("https://office.example/", tmp_path / "root.json")
    assert found.orders_file is None
    (tmp_path / "a.keys").touch()
    found = settings_of('takedown: {follow: {url: "https://office.example/", root: root.json, keys: a.keys}}', tmp_path)
    assert found.follow is not None and found.follow.keys == tmp_path / "a.keys"


def test_every_override_of_a_zone_is_read(tmp_path: Path) -> None:
    """One word, or the name that `cname:` leads to; the order of the zones stays."""
    (tmp_path / "z").touch()
    words = [*RPZ_POLICIES, "cname:Walled.example.", "cname: *.garden.example"]
    text = "rpz:\n" + "".join(f'  - {{name: z{number}.rpz, file: z, policy: "{word}"}}\n' for number, word in enumerate(words))
    found = settings_of(text, tmp_path).rpz
    assert [zone.policy for zone in found] == [*RPZ_POLICIES, "cname", "cname"]
    assert [zone.target for zone in found[-3:]] == ["", "walled.example", "*.garden.example"]
    assert [zone.name for zone in found] == [f"z{number}.rpz" for number in range(len(words))]


def test_no_sections_mean_no_lists(tmp_path: Path) -> None:
    """The shipped lists do not need any."""
    assert BlocklistSettings(tmp_path / "var") == settings_of("", tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lists: [{id: a, category: gamb}]", "lists[0]: a list has either a path or a url"),
        ("lists: [{id: a, url: 'https://a.example/'}]", "lists[0]: a list has either a category or an action"),
        (
            "lists: [{id: a, category: gamb, action: block, url: 'https://a.example/'}]",
            "lists[0]: a list has either a category or an action",
        ),
        ("lists: [{id: a, category: gmb, url: 'https://a.example/'}]", "lists[0].category: there is no category 'gmb'"),
        ("lists: [{id: a, category: dist, path: a}]", "lists[0].category: category 'dist' is filled by numbered orders only"),
        ("lists: [{id: a, category: help, path: a}]", "lists[0].category: category 'help' is not filled by lists"),
        ("lists: [{id: a, category: edu, url: 'https://a.example/'}]", "lists[0].category: category 'edu' is never filled from a url"),
        (
            "lists: [{id: a, category: ads, level: school, url: 'https://a.example/'}]",
            "lists[0].level: level belongs to a list with an action",
        ),
        ("lists: [{id: a, category: ads, url: 'ftp://a.example/'}]", "lists[0].url: 'ftp://a.example/' is not an address such as"),
        ("lists: [{id: a, category: ads, url: 'https://user:secret@a.example/'}]", "lists[0].url: 'https://user:secret@a.example/' is not"),
        ("lists: {a: b}", "lists: must be a list"),
        ("rpz: [{name: a.example, policy: nxdomian}]", "rpz[0].policy: 'nxdomian' is not one of given, disabled, passthru"),
        ("rpz: [{name: a.example, policy: cname}]", "rpz[0].policy: 'cname' is not one of"),
        ("rpz: [{name: a.example, policy: 'cname:a..b'}]", "rpz[0].policy: 'a..b' is not a name to lead to"),
        ("rpz: [{name: a.example}, {name: A.example.}]", "rpz[0]: a zone has either its file or a primary"),
        ("rpz: [{name: a.example, file: z, primary: {address: 192.0.2.1}}]", "rpz[0]: a zone has either its file or a primary"),
        ("takedown: {}", "takedown: orders come from a file or from an office"),
        (
            "takedown: {file: o.yaml, follow: {url: 'https://o.example/', root: r.json}}",
            "takedown: orders come from a file or from an office",
        ),
        ("takedown: {follow: {url: 'https://o.example/', root: r.json}}", "takedown.follow.root: there is no file"),
        ("takedown: {follow: {url: 'o.example', root: r.json}}", "takedown.follow.url: 'o.example' is not an address such as"),
        ("lists_fetch: {max_bytes: much}", "lists_fetch.max_bytes: must be a size such as"),
    ],
)
def test_wrong_list_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    """Each mistake is found before anything is fetched or compiled."""
    assert any(line.startswith(expected) for line in mistakes_of(text, tmp_path)), mistakes_of(text, tmp_path)


def test_missing_file_and_repeated_id_are_found(tmp_path: Path) -> None:
    """Both mistakes are reported, each at its place."""
    found = mistakes_of("lists: [{id: a, category: ads, path: none.txt}, {id: a, category: ads, url: 'https://a.example/'}]", tmp_path)
    assert [f"lists[0].path: there is no file {tmp_path / 'none.txt'}", "lists[1].id: 'a' is used twice"] == found


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_key_has_help_and_an_example_that_is_accepted(key: KeyHelp) -> None:
    """Nobody has to guess what a key means."""
    assert key.vi.endswith(".") and key.en.endswith(".") and key.example
    parts = key.path.replace("[]", "").split(".")
    model = model_at(BlocklistsFile, tuple(parts[:-1]))
    assert model is not None
    document = parse(f"{parts[-1]}: {key.example}")
    _, mistakes = check(model, document.value, document)
    assert not [mistake for mistake in mistakes if mistake.message != "this key is needed here"]
