"""The list an office signs is what gateways make of its segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blocklists.database import Database
from blocklists.journal import Head
from blocklists.takedown import publishing
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.releasing import content_of, read_content
from blocklists.takedown.store import NewItem
from gateway.policy.overlay import Overlay
from tests.blocklists.takedown.test_store import NOW, OFFICE, approved, database, letter

__all__ = ["database"]
HEAD = Head(7, b"\x01\x02")
IDS = ("o1", "o2", "o3")
KEYS = ("example.", "example.a.", "example.b.", "example.a.www.")


def order(identity: str) -> dict[str, Any]:
    """An order without an end."""
    return {"id": identity, "number": identity, "issuer": "Sở", "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True}


@st.composite
def segments(draw: st.DrawFn) -> dict[str, Any]:
    """One segment: some orders, entries of them, and what left."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    rows = st.tuples(st.sampled_from(KEYS), st.integers(0, 2), st.integers(0, len(ids) - 1)).map(list)
    lifted = st.tuples(st.sampled_from(("", *KEYS)), st.sampled_from(IDS)).map(list)
    return {
        "format": 1,
        "orders": [order(identity) for identity in ids],
        "entries": draw(st.lists(rows, max_size=6)),
        "lifted": draw(st.lists(lifted, max_size=3)),
    }


def bound(overlay: Overlay) -> dict[str, set[tuple[str, int]]]:
    """Every key with the orders that bind it, and how."""
    view = overlay.at(2_000_000_000.0)
    return {key: {(order.id, coverage.value) for coverage, order in rows} for key, rows in view.entries.items()}


@given(st.lists(segments(), max_size=5))
def test_whole_list_enforces_what_the_segments_enforce(parts: list[dict[str, Any]]) -> None:
    """A gateway that has only the signed list blocks exactly what one with every segment blocks."""
    content = content_of(3, HEAD, parts)
    whole = {"format": 1, "orders": content["orders"], "entries": content["entries"], "lifted": []}
    assert bound(Overlay([("whole", whole)])) == bound(Overlay([(str(place), part) for place, part in enumerate(parts)]))
    assert content["entries"] == sorted(content["entries"])
    assert {row["id"] for row in content["orders"]} == {content["orders"][place]["id"] for _, _, place in content["entries"]}


async def test_newest_version_is_read_whole(database: Database, tmp_path: Path) -> None:
    """None before the first version; then all that is in force, with the head of the journal."""
    async with database.read() as connection:
        assert await read_content(connection, OFFICE, tmp_path) is None
    for name in ("b.example", "a.example"):
        await approved(database, letter(NewItem(name, name, Match.BOTH, Enforceability.YES)))
        async with database.write() as connection:
            await publishing.publish(connection, OFFICE, tmp_path, NOW)
    async with database.read() as connection:
        content = await read_content(connection, OFFICE, tmp_path)
    assert content is not None
    assert (content["serial"], [row[0] for row in content["entries"]], len(content["orders"])) == (2, ["example.a.", "example.b."], 2)
    assert content["journal"]["seq"] > 0 and bytes.fromhex(content["journal"]["digest"])
