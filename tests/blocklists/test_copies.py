"""The copies of a list on disk, and when it is fetched again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.copies import JITTER, RETRY, About, Copies, HeldCopy, Refused, alone, digest_of, due_at
from blocklists.fetch import Validators

ABOUT = About(
    "https://lists.example/l", "d" * 64, 10, 100, 200, 1, Validators('"1"', "x"), HeldCopy("e" * 64, 20, "vi", "en"), "a", Refused("v", "e")
)


def test_what_is_known_of_a_list_comes_back_as_it_was(tmp_path: Path) -> None:
    """Everything noted is read again, also by the next process."""
    Copies(tmp_path, "l").note(ABOUT)
    assert Copies(tmp_path, "l").about() == ABOUT


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "not json", '{"format": 2}', '{"format": 1, "held": null, "refused": null, "validators": {}, "more": 1}']
)
def test_broken_note_counts_as_nothing_known(tmp_path: Path, text: str) -> None:
    """A note that cannot be read costs a download, never the run."""
    copies = Copies(tmp_path, "l")
    copies.note(ABOUT)
    (copies.folder / "about.json").write_text(text)
    assert copies.about() == About()


@pytest.mark.parametrize("list_id", ["..", ".", "a:b", "rpz:x.example", "đen", "a+b"])
def test_every_id_has_a_folder_of_its_own_below_lists(tmp_path: Path, list_id: str) -> None:
    """An id is never a way out of the folder."""
    folder = Copies(tmp_path, list_id).folder
    assert folder.parent == tmp_path / "lists" and folder.name.startswith("list-") and "/" not in folder.name[5:]


def test_accepted_candidate_becomes_the_good_copy(tmp_path: Path) -> None:
    """The candidate takes the place of the good copy; what waited or was refused is past."""
    copies = Copies(tmp_path, "l")
    copies.note(ABOUT)
    copies.candidate.write_bytes(b"new")
    copies.held.write_bytes(b"held")
    copies.accept(copies.candidate, ABOUT)
    assert copies.good.read_bytes() == b"new" and not copies.candidate.exists() and not copies.held.exists()
    assert copies.about() == replace(ABOUT, held=None, accepted="", refused=None)


def test_file_of_the_operator_is_copied_not_moved(tmp_path: Path) -> None:
    """What the operator wrote stays where it is."""
    copies = Copies(tmp_path, "l")
    own = tmp_path / "own.txt"
    own.write_bytes(b"a.example\n")
    copies.accept(own, About())
    assert own.read_bytes() == copies.good.read_bytes() == b"a.example\n"


def test_held_copy_waits_until_somebody_agrees(tmp_path: Path) -> None:
    """A held copy keeps the good one in place; agreeing marks it for the next preparation."""
    copies = Copies(tmp_path, "l")
    assert copies.agree() is None
    copies.note(About())
    copies.good.write_bytes(b"old")
    copies.candidate.write_bytes(b"new")
    held = HeldCopy(digest_of(copies.candidate), 20, "vi", "en")
    copies.hold(About(), held)
    assert copies.good.read_bytes() == b"old" and copies.held.read_bytes() == b"new"
    assert copies.about().held == held and not copies.about().accepted
    assert copies.agree() == held
    assert copies.about().accepted == held.digest


def test_list_never_fetched_is_due_at_once() -> None:
    """A new subscription is fetched at the first occasion."""
    assert due_at("l", About(), 3600.0) == 0.0


@given(st.text(min_size=1, max_size=20), st.integers(1, 2**31), st.floats(60, 10**6))
def test_next_fetch_is_an_interval_away_with_jitter(list_id: str, checked: int, refresh: float) -> None:
    """The interval is kept within its jitter, and is the same however often it is asked for."""
    about = About(checked_at=checked)
    due = due_at(list_id, about, refresh)
    assert checked + refresh * (1 - JITTER) <= due <= checked + refresh * (1 + JITTER)
    assert due == due_at(list_id, about, refresh)


def test_failed_fetch_is_tried_again_sooner_then_more_rarely() -> None:
    """After a failure the next try comes early, later ones further apart, never later than the list's own interval."""
    waits = [due_at("l", About(checked_at=1000, failures=failures), 86_400.0) - 1000 for failures in range(1, 12)]
    assert RETRY * (1 - JITTER) <= waits[0] <= RETRY * (1 + JITTER)
    assert waits[3] > waits[0] * 4
    assert max(waits) <= 86_400 * (1 + JITTER)


def test_only_one_process_is_at_a_purpose_and_purposes_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A second fetch does without; a compilation does not wait for a download; a place is free again when its holder is done."""
    with (
        alone(tmp_path, "fetch", wait=False) as first,
        alone(tmp_path, "fetch", wait=False) as second,
        alone(tmp_path, "prepare", wait=True) as other,
    ):
        assert (first, second, other) == (True, False, True)
    with alone(tmp_path, "fetch", wait=False) as again:
        assert again
