"""What a person is told about a copy that waits."""

from __future__ import annotations

from pathlib import Path

from blocklists.copies import About, Copies, HeldCopy
from blocklists.sources import Source
from blocklists.waiting import waiting_copy

SOURCE = Source("far", "category", "gamb", format="auto", url="https://lists.example/l")


def _copies(state_dir: Path, held: HeldCopy | None) -> Copies:
    copies = Copies(state_dir, "far")
    copies.folder.mkdir(parents=True)
    copies.note(About(origin="https://lists.example/l", entries=3, checked_at=1_767_225_600, held=held))
    return copies


def test_waiting_copy_says_why_and_what_comes_and_goes(tmp_path: Path) -> None:
    """The reason, the counts, and the first names of each kind; exceptions are not counted as names."""
    copies = _copies(tmp_path, HeldCopy("d", 8, "vì sao", "why"))
    copies.good.write_text("a.example\nb.example\nc.example\n")
    copies.held.write_text("b.example\n" + "".join(f"n{number}.example\n" for number in range(7)))
    found = waiting_copy(tmp_path, SOURCE)
    assert found is not None
    assert (found.held.en, found.source, found.checked_at) == ("why", "https://lists.example/l", 1_767_225_600)
    assert (found.before, found.added, found.removed) == (3, 7, 2)
    assert found.added_names == tuple(f"n{number}.example" for number in range(5))
    assert found.removed_names == ("a.example", "c.example")


def test_nothing_waits_without_a_held_copy(tmp_path: Path) -> None:
    """Neither for a list that is fine nor for one whose held file is gone."""
    assert waiting_copy(tmp_path / "none", SOURCE) is None
    _copies(tmp_path, HeldCopy("d", 8, "vì sao", "why"))
    assert waiting_copy(tmp_path, SOURCE) is None


def test_held_copy_without_a_good_one_is_all_new(tmp_path: Path) -> None:
    """A good copy that was lost leaves nothing to compare with."""
    _copies(tmp_path, HeldCopy("d", 1, "vì sao", "why")).held.write_text("||a.example^\n@@||b.a.example^\n")
    found = waiting_copy(tmp_path, SOURCE)
    assert found is not None and (found.added, found.removed, found.added_names) == (1, 0, ("a.example",))
