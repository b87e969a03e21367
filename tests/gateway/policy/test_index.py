"""The compiled lists: look-ups agree with a plain set of names, damage is refused, the map is shared."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import release
from gateway.errors import GenerationError
from gateway.policy import index as module
from gateway.policy.index import UNLISTED, AddressTriggers, ListIndex
from gateway.policy.model import Level
from gateway.wire.name import key_from_text
from tests.support import plainrules
from tests.support.generation import action, category, good, write_index, zone
from tests.support.strategies import hosts


def open_index(state_dir: Path, lists: dict[str, Any]) -> ListIndex:
    """An index of these lists."""
    return ListIndex(state_dir, write_index(state_dir, lists))


def listed(index: ListIndex, name: str) -> list[str]:
    """The categories of a name."""
    return sorted(index.listing(index.lookup(key_from_text(name))).categories)


WRITTEN = st.lists(st.tuples(st.sampled_from(["", "=", "*.", "@@", "@@=", "@@*."]), hosts).map("".join), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(WRITTEN, WRITTEN), st.lists(hosts, min_size=1, max_size=6), st.data())
def test_lookup_agrees_with_a_plain_set_of_names(
    tmp_path: Path, written: tuple[list[str], list[str]], others: list[str], data: st.DataObject
) -> None:
    """For any lists and any name the categories found are those that comparing labels finds, exceptions undone per list."""
    rows = {code: category(code, *sorted(set(names))) for code, names in zip(("gamb", "porn"), written, strict=True)}
    index = open_index(tmp_path, rows)
    near = [name.lstrip("@=*.") for names in written for name in names]
    for name in [*others, *near, *(f"{data.draw(hosts)}.{name}" for name in near[:4])]:
        if len(name) > 200:
            continue
        labels = plainrules.split(name)
        expected = [
            code
            for code, row in rows.items()
            if any(plainrules.covers(rule, labels) for rule in row["names"]) and not plainrules.is_undone(row, labels)
        ]
        assert listed(index, name) == expected, name


def test_label_with_a_dot_inside_is_not_its_parent(tmp_path: Path) -> None:
    """`x.bad` in one label is not below the zone `bad` (review 20)."""
    index = open_index(tmp_path, {"g": category("gamb", "bad")})
    assert [listed(index, name) for name in ("x.bad", "x\\.bad", "x\\046bad")] == [["gamb"], [], []]


def test_listing_keeps_what_each_kind_of_source_says(tmp_path: Path) -> None:
    """Categories, action lists, zones and good lists stay apart; the longest listed name comes last."""
    index = open_index(
        tmp_path,
        {
            "c": category("game", "a.example", title="Trò chơi"),
            "b": action("block", "a.example", level="school"),
            "a": action("allow", "=x.a.example"),
            "z": zone("z.example", {"x.a.example": "nxdomain", "*.a.example": ("cname", "w.example.")}, level="parent", groups=["lab"]),
            "e": good("edu", "*.a.example"),
        },
    )
    codes = index.lookup(key_from_text("x.a.example"))
    found = index.listing(codes)
    assert {code: source.title for code, source in found.categories.items()} == {"game": "Trò chơi"}
    assert [(hit.place, hit.exact, hit.entry.source.id, hit.entry.source.allows) for hit in found.actions] == [
        (0, False, "b", False),
        (1, True, "a", True),
    ]
    assert [(hit.exact, hit.entry.action.kind, hit.entry.action.target) for hit in found.zones if hit.entry.action] == [
        (False, "cname", "w.example"),
        (True, "nxdomain", ""),
    ]
    assert found.good is not None and found.good.category == "edu"
    assert index.lengths(key_from_text("x.a.example")) == (len("example.a."), len("example.a.x."))
    assert index.listing(codes) is found
    zone_source = index.sources[3]
    assert (zone_source.level, zone_source.zone and zone_source.zone.groups) == (Level.PARENT, {"lab"})
    assert index.listing(index.lookup(key_from_text("example"))) is UNLISTED


def test_list_of_a_good_category_becomes_its_owners_allow(tmp_path: Path) -> None:
    """Only the signed catalogue fills good categories; a configured list counts as names that its level allows (review 6)."""
    index = open_index(tmp_path, {"m": category("health", "a.example", level="school")})
    source = index.sources[0]
    assert (source.kind, source.allows, source.level) == ("action", True, Level.SCHOOL)
    found = index.listing(index.lookup(key_from_text("a.example")))
    assert (found.good, list(found.categories), len(found.actions)) == (None, [], 1)


def test_empty_index_opens(tmp_path: Path) -> None:
    """No list at all is an index too."""
    index = open_index(tmp_path, {})
    assert (index.lookup("example.a."), index.keys, listed(index, "a.example")) == ((), 0, [])


def test_many_sets_take_wider_records(tmp_path: Path) -> None:
    """With more sets than two octets can number, the header says four and look-ups still agree."""
    header_name = write_index(tmp_path, {"g": category("gamb", "a.example", "b.example")})
    folder = tmp_path / "index" / header_name
    header = json.loads((folder / "index.json").read_bytes())
    records = struct.unpack("<2H", (folder / "records.bin").read_bytes())
    wide = struct.pack("<2I", *records)
    name = rewrite(tmp_path, header, {"names.marisa": (folder / "names.marisa").read_bytes(), "records.bin": wide}, width=4)
    assert listed(ListIndex(tmp_path, name), "x.a.example") == ["gamb"]


def rewrite(state_dir: Path, header: dict[str, Any], files: dict[str, bytes], **changes: Any) -> str:
    """An index folder with a changed header and right digests; its name."""
    import hashlib

    changed = {**header, **changes, "digests": {part: hashlib.sha256(data).hexdigest() for part, data in files.items()}}
    data = release.canonical_bytes(changed)
    folder = state_dir / "index" / release.index_name(data)
    folder.mkdir(exist_ok=True)
    for part, content in {**files, "index.json": data}.items():
        (folder / part).write_bytes(content)
    return folder.name


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 3},
        {"width": 3},
        {"keys": 5},
        {"keys": 0},
        {"sources": [{}]},
        {"sources": [{"id": "x", "kind": "odd", "entries": 0}]},
        {"actions": [{"kind": "odd"}]},
        {"actions": [{"kind": "local", "data": None}]},
        {"addresses": [{"trigger": "client-ip", "network": "x", "source": 0, "action": 0}]},
        {"addresses": [{"trigger": "ns-ip", "network": "::/0", "source": 0, "action": 0}]},
    ],
)
def test_index_with_a_broken_header_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A header that does not fit is refused with its folder, whatever is wrong."""
    name = write_index(tmp_path, {"g": category("gamb", "a.example")})
    folder = tmp_path / "index" / name
    files = {part: (folder / part).read_bytes() for part in ("names.marisa", "records.bin")}
    broken = rewrite(tmp_path, json.loads((folder / "index.json").read_bytes()), files, **changes)
    with pytest.raises(GenerationError) as caught:
        ListIndex(tmp_path, broken)
    assert caught.value.where == f"index/{broken}"


@pytest.mark.parametrize("part", ["names.marisa", "records.bin"])
def test_index_whose_parts_are_not_what_they_seem_is_refused(tmp_path: Path, part: str) -> None:
    """A trie that is none and records of half a number have right digests and are refused all the same."""
    name = write_index(tmp_path, {"g": category("gamb", "a.example")})
    folder = tmp_path / "index" / name
    files = {piece: (folder / piece).read_bytes() for piece in ("names.marisa", "records.bin")} | {part: b"odd"}
    broken = rewrite(tmp_path, json.loads((folder / "index.json").read_bytes()), files)
    with pytest.raises(GenerationError) as caught:
        ListIndex(tmp_path, broken)
    assert part in caught.value.where


def test_records_are_read_on_a_machine_of_the_other_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are little-endian on disk; elsewhere they are swapped while reading."""
    name = write_index(tmp_path, {"g": category("gamb", "a.example"), "p": category("porn", "b.example")})
    path = tmp_path / "index" / name / "records.bin"
    before = list(module._map_records(path, 2, "x"))
    monkeypatch.setattr(sys, "byteorder", "big")
    swapped = list(module._map_records(path, 2, "x"))
    assert [number >> 8 | (number & 0xFF) << 8 for number in swapped] == before


def test_combinations_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was worked out is forgotten when there is too much of it, and worked out again."""
    monkeypatch.setattr(module, "_MOST_LISTINGS", 2)
    index = open_index(tmp_path, {code: category(code, f"{code}.example") for code in ("gamb", "porn", "drug")})
    for _ in range(2):
        assert [listed(index, f"{code}.example") for code in ("gamb", "porn", "drug")] == [["gamb"], ["porn"], ["drug"]]


def test_address_triggers_take_the_longest_prefix_of_each_zone() -> None:
    """Per zone the longest prefix; zones in their order; families apart."""
    rows = [
        {"trigger": "client-ip", "network": "10.0.0.0/8", "source": 1, "action": 1},
        {"trigger": "client-ip", "network": "10.1.0.0/16", "source": 1, "action": 2},
        {"trigger": "client-ip", "network": "10.0.0.0/8", "source": 0, "action": 3},
        {"trigger": "response-ip", "network": "2001:db8::/32", "source": 0, "action": 4},
    ]
    found = AddressTriggers(rows)
    assert bool(found) and not AddressTriggers([])
    assert found.of_client(bytes((10, 1, 2, 3))) == ((0, 3), (1, 2))
    assert found.of_client(bytes((10, 2, 2, 3))) == ((0, 3), (1, 1))
    assert found.of_client(bytes((11, 2, 2, 3))) == ()
    assert found.of_response(b"\x20\x01\x0d\xb8" + bytes(12)) == ((0, 4),)
    assert found.of_response(bytes((10, 1, 2, 3))) == ()
