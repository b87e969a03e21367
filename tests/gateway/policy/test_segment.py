"""A mapped segment says what its JSON says."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import release
from gateway.errors import GenerationError
from gateway.policy import segment as module
from gateway.policy.model import Band
from gateway.policy.overlay import Overlay, SmallLayer
from gateway.policy.segment import MappedLayer, open_layer, write_mapped
from tests.blocklists.takedown.test_segments import IDS, KEYS, segments
from tests.support.generation import order, segment

CHILD = frozenset({Band.TH})
NOW = 1_790_000_000.0


def opened(state_dir: Path, document: dict[str, object]) -> MappedLayer:
    """The mapped form of a document."""
    name = release.write_file(state_dir, document)
    write_mapped(state_dir, name, document)
    return MappedLayer(state_dir, name)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(segments(), st.booleans()), max_size=5))
def test_mapped_and_held_segments_enforce_the_same(parts: list[tuple[dict[str, object], bool]]) -> None:
    """Whichever of them are mapped, in whichever order: the same entries, the same answers."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGE", 0)
        held = Overlay([(str(number), part) for number, (part, _) in enumerate(parts)])
        layers = [opened(Path(folder), part) if mapped else SmallLayer([("x", part)]) for part, mapped in parts]
        mixed = Overlay(layers=layers)
        assert mixed.entries() == held.entries()
        for key in (*KEYS, "example.a.www.x.", "other.", "exampl."):
            one, two = ({row.id for row in overlay.at(NOW).find(key, CHILD)} for overlay in (held, mixed))
            assert one == two <= set(IDS)
            if one:
                assert mixed.at(NOW).may_touch(key)


def test_boundaries_and_scopes_come_from_a_mapped_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view of a mapped segment ends where an order begins or ends, and knows for whom orders are."""
    monkeypatch.setattr(module, "LARGE", 0)
    dates = {"from": "2026-03-01T00:00:00Z", "until": "2026-03-10T00:00:00Z", "no_end": False}
    made = Overlay(layers=[opened(tmp_path, segment(order("1", "a.example", scope={"places": ["12"], "organisations": []}, **dates)))])
    first, last = 1_772_323_200.0, 1_773_100_800.0
    assert [(made.at(now).since, made.at(now).valid_until) for now in (first, last - 1)] == [(first, last), (first, last)]
    view = made.at(first)
    assert [len(view.find("example.a.", CHILD, view.scopes_at(place, ""))) for place in ("12.1", "44")] == [1, 0]
    assert made.at(last).find("example.a.", CHILD, view.scopes_at("12", "")) == []
    assert made.at(first).identity != made.at(last).identity


def test_large_segment_is_mapped_and_a_damaged_map_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small segments stay in memory; of a large one whose map was damaged the JSON decides."""
    document = segment(order("1", "a.example", "b.example"))
    name = release.write_file(tmp_path, document)
    assert isinstance(open_layer(tmp_path, name), SmallLayer)
    monkeypatch.setattr(module, "LARGE", 2)
    layer = open_layer(tmp_path, name)
    assert isinstance(layer, MappedLayer) and layer.size == 2
    rows = tmp_path / release.SEGMENTS / name[:64] / "rows.bin"
    rows.write_bytes(rows.read_bytes()[:-1] + b"\x07")
    with pytest.raises(GenerationError):
        MappedLayer(tmp_path, name)
    assert [row.id for row in Overlay(layers=[open_layer(tmp_path, name)]).at(NOW).find("example.a.", CHILD)] == ["1"]


def test_prune_takes_maps_nobody_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map goes with its segment."""
    monkeypatch.setattr(module, "LARGE", 0)
    opened(tmp_path, segment(order("1", "a.example")))
    release.prune(tmp_path, 4e9)
    assert list((tmp_path / release.SEGMENTS).iterdir()) == []
