"""The compiler of the index: read back by the gateway, compared with plain Python, the same bytes every time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocklists.compile import IndexWriter, Shape, SourceRow
from blocklists.parsers import Action, AddressTrigger, Match
from gateway import release
from gateway.policy.index import ListIndex
from gateway.policy.names import Coverage
from gateway.wire.name import covering_keys

GAMB = SourceRow("bet", "category", "gamb", title="Cờ bạc")
PORN = SourceRow("adult", "category", "porn")
ZONE = SourceRow("rpz:z", "rpz", rpz={"zone": "z.example", "policy": "given", "groups": ["school"]})


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_compiled_index_is_read_back_by_the_gateway(tmp_path: Path) -> None:
    """What goes in comes out: sources with their words, entries with match, exception and action."""
    writer = IndexWriter()
    local = Action("local", records=((1, 60, "c0000201"),))
    writer.add(GAMB, {Shape(): ["example.bet."], Shape(Match.EXACT, True): ["example.bet.www."]}, {"ip_only": 3, "duplicate": 0})
    writer.add(PORN, {Shape(): ["example.bet.", "example.adult."], Shape(Match.BELOW): ["example.bet."]})
    writer.add(
        ZONE, {Shape(Match.EXACT, False, local): ["example.rpz."]}, addresses={AddressTrigger("client-ip", "192.0.2.0/24"): Action("drop")}
    )
    compiled = writer.write(tmp_path)
    index = ListIndex(tmp_path, compiled.name)
    assert (compiled.keys, compiled.entries) == (4, [1, 3, 2])
    assert [(source.id, source.category, source.entries) for source in index.sources] == [
        ("bet", "gamb", 1), ("adult", "porn", 3), ("rpz:z", None, 2)
    ]  # fmt: skip
    assert index.sources[0].row["rejected"] == {"ip_only": 3}
    assert index.sources[2].zone is not None and index.sources[2].zone.groups == {"school"}
    assert set(index.listing(index.lookup("example.bet.a.")).categories) == {"gamb", "porn"}
    assert set(index.listing(index.lookup("example.bet.www.")).categories) == {"porn"}
    assert set(index.listing(index.lookup("example.adult.")).categories) == {"porn"}
    assert index.lookup("example.other.") == ()
    hit = index.listing(index.lookup("example.rpz.")).zones[0]
    assert hit.entry.action is not None and hit.entry.action.records == ((1, 60, bytes([192, 0, 2, 1])),)
    assert index.addresses.of_client(bytes([192, 0, 2, 7])) == ((2, 1),)


def test_compiled_index_without_entries_is_an_index(tmp_path: Path) -> None:
    """A gateway without any list still has an index that says nothing."""
    compiled = IndexWriter().write(tmp_path)
    assert ListIndex(tmp_path, compiled.name).lookup("example.bet.") == ()


def test_same_input_gives_the_same_bytes_and_the_folder_is_kept(tmp_path: Path) -> None:
    """The folder's name is its content, so compiling the same again writes nothing new."""
    names = []
    for folder in ("one", "two", "one"):
        writer = IndexWriter()
        writer.add(GAMB, {Shape(Match.EXACT): ["example.a."], Shape(): ["example.b.", "example.c."]})
        writer.add(PORN, {Shape(): ["example.c."]})
        names.append(writer.write(tmp_path / folder).name)
    assert len(set(names)) == 1
    one, two = (_bytes_of(tmp_path / folder / "index" / names[0]) for folder in ("one", "two"))
    assert one == two and sorted(one) == sorted([release.INDEX_NAMES, release.INDEX_RECORDS, release.INDEX_HEADER])
    assert os.listdir(tmp_path / "one" / "index") == [names[0]]


def test_broken_folder_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    """A folder that a crash left half-written is not taken for whole because its name is right."""
    writer = IndexWriter()
    writer.add(GAMB, {Shape(): ["example.a."]})
    name = writer.write(tmp_path).name
    (tmp_path / "index" / name / release.INDEX_RECORDS).write_bytes(b"")
    again = IndexWriter()
    again.add(GAMB, {Shape(): ["example.a."]})
    assert again.write(tmp_path).name == name
    release.verify_index(tmp_path, name)


def test_failed_compilation_leaves_nothing_behind(tmp_path: Path) -> None:
    """When writing fails half-way no folder is left that looks like an index."""

    def fail(done: int, total: int) -> None:
        raise OSError("no space")

    writer = IndexWriter()
    writer.add(GAMB, {Shape(): ["example.a."]})
    with pytest.raises(OSError, match="no space"):
        writer.write(tmp_path, fail)
    assert list((tmp_path / "index").iterdir()) == []


def test_many_different_sets_use_wide_records(tmp_path: Path) -> None:
    """More than 65,536 combinations of entries need four octets a key; the header says so and the gateway reads them."""
    writer = IndexWriter()
    count = 70_000
    for number in range(17):
        row = SourceRow(f"s{number}", "category", "gamb")
        writer.add(row, {Shape(): [f"example.n{key:06d}." for key in range(1, count + 1) if key >> number & 1]})
    compiled = writer.write(tmp_path)
    assert compiled.sets == count
    index = ListIndex(tmp_path, compiled.name)
    assert release.read_index_header(tmp_path, compiled.name)["width"] == 4
    for key in (1, 65_535, 65_536, count):
        entries = index.entries(index.lookup(f"example.n{key:06d}.")[0] >> 1)
        assert {entry.source.number for entry in entries} == {number for number in range(17) if key >> number & 1}


KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda labels: "".join(f"{label}." for label in labels))
SHAPES = st.builds(lambda match, exception: Shape(match, exception), st.sampled_from(Match), st.booleans())
SOURCES = st.lists(st.dictionaries(SHAPES, st.frozensets(KEYS, max_size=8), max_size=4), max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources=SOURCES, asked=KEYS)
def test_index_says_what_plain_sets_say(tmp_path: Path, sources: list[dict[Shape, frozenset[str]]], asked: str) -> None:
    """For any sources and any name, the index finds exactly the entries that a walk over plain sets finds."""
    writer = IndexWriter()
    for number, shapes in enumerate(sources):
        writer.add(SourceRow(f"s{number}", "category", f"c{number}"), {shape: sorted(keys) for shape, keys in shapes.items()})
    compiled = writer.write(tmp_path)
    index = ListIndex(tmp_path, compiled.name)
    found = {
        (entry.source.number, place, int(entry.coverage), entry.exception)
        for place, code in zip(index.lengths(asked), index.lookup(asked), strict=True)
        for entry in index.entries(code >> 1)
    }
    expected = {
        (number, len(key), int(shape.match), shape.exception)
        for number, shapes in enumerate(sources)
        for shape, keys in shapes.items()
        for key in covering_keys(asked)
        if key in keys
    }
    assert found == expected
    assert all(Coverage(coverage) for _, _, coverage, _ in found if coverage)
    shutil.rmtree(tmp_path / "index")
