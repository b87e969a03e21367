"""The office's server takes out entries without an order number, and never one with a number, nor of the masked category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blocklists.withdrawing import has_number, withdraw
from gateway.policy.masked import mask
from gateway.policy.model import CHILD_BANDS
from gateway.policy.overlay import Layer, Overlay, SmallLayer
from gateway.policy.segment import LARGE, MappedLayer, write_mapped
from gateway.release import write_file

NUMBERED = {"id": "o1", "number": "12/QĐ-STTTT", "issuer": "Sở", "basis": [], "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True}
REPORTED = NUMBERED | {"id": "r1", "number": "", "issuer": "", "category": "gamb"}
MASKED = REPORTED | {"id": "m1", "category": "csam"}
HIDDEN = mask("example.hidden.")
ENTRIES: list[list[Any]] = [
    ["example.both.", 0, 0], ["example.both.", 0, 1], ["example.number.", 0, 0], ["example.report.", 0, 1],
    ["example.masked.", 0, 2], [HIDDEN, 0, 2], ["example.report.www.", 1, 1],
]  # fmt: skip
SEGMENT: dict[str, Any] = {"format": 1, "orders": [NUMBERED, REPORTED, MASKED], "entries": sorted(ENTRIES), "lifted": []}


def layer(document: dict[str, Any], tmp_path: Path, large: bool) -> Layer:
    """The segment in memory, or mapped."""
    if not large:
        return SmallLayer([("a.json", document)])
    filled = document | {"entries": sorted([*document["entries"], *([f"example.n{n:05}.", 0, 0] for n in range(LARGE))])}
    name = write_file(tmp_path, filled)
    write_mapped(tmp_path, name, filled)
    return MappedLayer(tmp_path, name)


@pytest.mark.parametrize("large", [False, True])
def test_only_entries_without_a_number_leave(large: bool, tmp_path: Path) -> None:
    """What a number stands behind stays and is counted; a name with both kinds loses the one; the name below it is another entry."""
    below = layer(SEGMENT, tmp_path, large)
    keys = ["example.both.", "example.number.", "example.report.", "example.masked.", "example.unknown.", HIDDEN, "example.hidden."]
    segment, kept = withdraw([below], keys)
    assert segment == {"format": 1, "orders": [], "entries": [], "lifted": [["example.both.", "r1"], ["example.report.", "r1"]]}
    assert kept == 4
    view = Overlay(layers=[below, SmallLayer([("b.json", segment)])]).at(1_800_000_000.0)
    found = {name: [order.number for order in view.find(name, CHILD_BANDS)] for name in ("example.both.", "example.number.")}
    assert found == {"example.both.": ["12/QĐ-STTTT"], "example.number.": ["12/QĐ-STTTT"]}
    assert view.find("example.report.", CHILD_BANDS) == []
    assert view.find("example.report.www.", CHILD_BANDS) and view.find("example.hidden.", CHILD_BANDS)


def test_number_that_came_later_keeps_the_entry(tmp_path: Path) -> None:
    """The document of an order is the newest one that gateways hold: an entry that got its number is one with a number."""
    later = SmallLayer([("b.json", {"format": 1, "orders": [NUMBERED | {"id": "r1"}], "entries": [], "lifted": []})])
    assert withdraw([layer(SEGMENT, tmp_path, False), later], ["example.report."]) == (None, 1)


def test_what_left_already_is_not_taken_out_again(tmp_path: Path) -> None:
    """Lifted by a later segment, by name or whole: nothing stays and nothing is tried."""
    for lifted in ([["example.report.", "r1"]], [["", "r1"]]):
        gone = SmallLayer([("b.json", {"format": 1, "orders": [], "entries": [], "lifted": lifted})])
        assert withdraw([layer(SEGMENT, tmp_path, False), gone], ["example.report."]) == (None, 0)


@pytest.mark.parametrize(
    ("symbol", "has"),
    [
        ("12/QĐ-STTTT", True),
        ("", False),
        ("/UBND-VX", False),
        ("  /UBND", False),
        ("…/QĐ-A05", False),
        ("QĐ/12", True),
        ("Công điện 05", True),
    ],
)
def test_symbol_left_blank_has_no_number_and_what_cannot_be_told_has_one(symbol: str, has: bool) -> None:
    """Drafts are circulated before the clerk gives them a number; anything else is kept."""
    assert has_number(symbol) is has
