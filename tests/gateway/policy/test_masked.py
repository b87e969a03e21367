"""Names that stand in no file are blocked all the same, and lifted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.policy.masked import MaskedTable, is_masked, mask
from gateway.policy.model import CHILD_BANDS
from gateway.policy.overlay import Overlay
from gateway.wire.name import key_from_text
from tests.support.generation import profile
from tests.support.oneworker import OneWorker
from tests.support.upstream import ScriptedUpstream

KEY = key_from_text("bad.example")


def test_a_mask_is_no_name_and_tells_none() -> None:
    """It cannot be asked for, and holds nothing of the name."""
    assert is_masked(mask(KEY)) and mask(KEY).endswith(".") and "bad" not in mask(KEY)
    assert mask(KEY) == mask(KEY) != mask("example.bae.")


def test_a_table_finds_what_is_listed_under_either() -> None:
    """A key, its mask, both; nothing for the mask itself that a client might ask for, nothing for strangers."""
    table = MaskedTable({mask(KEY): (1,), "example.open.": (2,), "example.both.": (3,), mask("example.both."): (4,)})
    assert (table.get(KEY), table.get("example.open."), table.get("example.both.")) == ((1,), (2,), (3, 4))
    assert KEY in table and "example.none." not in table and table.get("example.none.") is None
    assert table.get("example.none.") is None, "the second time from memory"


def segment(*keys: str, lifted: list[list[str]] | None = None) -> dict[str, Any]:
    """One order of the masked category."""
    row = {"id": "o1", "number": "7", "issuer": "", "category": "csam", "from": "2026-01-01", "until": None, "no_end": True}
    return {"format": 1, "orders": [row], "entries": [[key, 0, 0] for key in keys], "lifted": lifted or []}


def test_a_lift_by_mask_also_lifts_what_stood_in_clear() -> None:
    """A version from before names were masked listed the name itself."""
    overlay = Overlay([("a", segment(KEY, "example.other.")), ("b", segment(lifted=[[mask(KEY), "o1"]]))])
    assert [key for key, _ in overlay.entries()] == ["example.other."]
    view = overlay.at(1_790_000_000.0)
    assert not view.find(KEY, CHILD_BANDS) and view.find("example.other.", CHILD_BANDS)


def read_all(folder: Path) -> bytes:
    """Every byte on the disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_masked_name_is_blocked_among_its_open_neighbours(tmp_path: Path) -> None:
    """Whatever was asked before, with everything below it and nothing beside it; no file of the gateway tells it."""
    rows = [segment(mask(KEY))]
    names = [f"n{number}.example" for number in range(30)]
    hosts = {(name, "A"): ["192.0.2.1"] for name in [*names, "xbad.example", "bad.example", "www.bad.example"]}
    async with ScriptedUpstream(hosts) as upstream, OneWorker(tmp_path, upstream, profiles=[profile("TH", "child")], orders=rows) as worker:
        for name in names:
            assert str((await worker.ask(name)).answer[0][0]) == "192.0.2.1"
        for name in ("bad.example", "www.bad.example", "a.b.bad.example"):
            assert str((await worker.ask(name)).answer[0][0]) == "0.0.0.0", name
        assert str((await worker.ask("xbad.example")).answer[0][0]) == "192.0.2.1"
    everything = read_all(tmp_path)
    assert b"csam" in everything and b"bad." not in everything and b".bad" not in everything


async def test_a_masked_name_is_blocked_where_its_neighbours_are_judged_at_once(tmp_path: Path) -> None:
    """Names below one host are open without being judged one by one: the masked one among them is blocked all the same, and back again."""
    below = [f"n{number}.host.example" for number in range(12)]
    hosts = {(name, "A"): ["192.0.2.1"] for name in [*below, "bad.host.example", "www.bad.host.example"]}
    rows = [segment(mask("example.host.bad."))]
    async with ScriptedUpstream(hosts) as upstream, OneWorker(tmp_path, upstream, profiles=[profile("TH", "child")], orders=rows) as worker:
        for name in below[:6]:
            assert str((await worker.ask(name)).answer[0][0]) == "192.0.2.1"
        asked = len(upstream.asked)
        for name in ("bad.host.example", "www.bad.host.example"):
            assert str((await worker.ask(name)).answer[0][0]) == "0.0.0.0", name
        assert len(upstream.asked) == asked
        for name in below[6:]:
            assert str((await worker.ask(name)).answer[0][0]) == "192.0.2.1"
