"""Segments laid over each other do what they do in a row."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blocklists.takedown.segments import merge
from gateway.policy.masked import mask
from gateway.policy.model import Band
from gateway.policy.names import Coverage
from gateway.policy.overlay import Overlay

IDS = ("o1", "o2", "o3")
KEYS = ("example.", "example.a.", "example.b.", "example.a.www.")
MASKED = mask("example.b.")


def order(identity: str) -> dict[str, Any]:
    """An order without an end."""
    return {"id": identity, "number": identity, "issuer": "Sở", "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True}


@st.composite
def segments(draw: st.DrawFn) -> dict[str, Any]:
    """One segment: some orders, entries of them, and what left."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    rows = st.tuples(st.sampled_from((*KEYS, MASKED)), st.integers(0, 2), st.integers(0, len(ids) - 1)).map(list)
    lifted = st.tuples(st.sampled_from(("", *KEYS, MASKED)), st.sampled_from(IDS)).map(list)
    return {
        "format": 1,
        "orders": [order(identity) for identity in ids],
        "entries": draw(st.lists(rows, max_size=6)),
        "lifted": draw(st.lists(lifted, max_size=3)),
    }


def bound(overlay: Overlay) -> dict[str, set[tuple[str, int]]]:
    """Every key with the orders that bind it, and how."""
    found: dict[str, set[tuple[str, int]]] = {}
    for (key, identity), (coverage, _) in overlay.entries().items():
        found.setdefault(key, set()).add((identity, coverage.value))
    view = overlay.at(2_000_000_000.0)
    for key in KEYS:  # what is asked agrees with what is listed
        asked = {order.id for order in view.find(key, frozenset({Band.TH}))}
        assert asked == {
            identity
            for end in range(1, len(key) + 1)
            if key[end - 1] == "."
            for identity, coverage in (*found.get(key[:end], ()), *(found.get(MASKED, ()) if key[:end] == "example.b." else ()))
            if Coverage(coverage).covers(end == len(key))
        }
    return found


@given(st.lists(segments(), max_size=5), st.integers(0, 5))
def test_merged_segments_enforce_what_they_did_apart(parts: list[dict[str, Any]], place: int) -> None:
    """One segment out of the later ones, or out of all, blocks exactly what they block in a row."""
    apart = bound(Overlay([(str(number), part) for number, part in enumerate(parts)]))
    base = merge(parts, is_base=True)
    assert bound(Overlay([("base", base)])) == apart
    assert {row["id"] for row in base["orders"]} == {base["orders"][place]["id"] for _, _, place in base["entries"]}
    rest = merge(parts[place:], is_base=False)
    assert bound(Overlay([*((str(number), part) for number, part in enumerate(parts[:place])), ("rest", rest)])) == apart
