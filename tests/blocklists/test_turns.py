"""Whose turn it is: the rule alone, and the file in which a gateway keeps the server's last good word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from blocklists.online import WHOLE, Statement
from blocklists.turns import FILE, PATIENCE, UNHEARD, Word, choose, read_word, write_word

HELD = Statement({9: ((0, 0),), 8: ((0, 0),)})


@dataclass(frozen=True)
class One:
    """A list that is named."""

    serial: int
    at_once: bool = False


@pytest.mark.parametrize(
    ("lists", "enforced", "taken"),
    [
        ("9 8 7", 7, 7),  # held back
        ("9 8 7", 0, 7),  # the oldest is for whoever has less
        ("9 8", 7, 8),
        ("9", 7, 9),
        ("9 8 6", 7, None),  # what is in force is not named: it stays
        ("9 8! 7", 7, 8),  # for everybody at once, and not the newest
        ("9! 8 7", 7, 9),
        ("9 8 7", 9, 9),
        ("9 8 7", 10, None),
    ],
)
def test_what_is_taken_while_the_server_holds_everything_back(lists: str, enforced: int, taken: int | None) -> None:
    """See the rule in the module; `!` is for everybody at once."""
    named = [One(int(one.rstrip("!")), one.endswith("!")) for one in lists.split()]
    word = Word().after(HELD, [one.serial for one in named], 1000.0)
    for by_hand in (False, True):
        found = choose(named, enforced, word, "g1", 1000.0, by_hand=by_hand)
        assert (found.serial if found is not None else None) == taken


def test_patience_counts_from_when_a_release_was_first_seen() -> None:
    """Not anew with each round, nor from a clock that went back; what was never heard of is waited with for less."""
    named = [One(9), One(8)]
    word = Word().after(HELD, [8], 0.0).after(HELD, [9, 8], 500.0).after(HELD, [9, 8], 900.0)
    assert word.seen == {9: 500, 8: 0} and word.heard == 9
    assert not word.is_over(9, 499 + PATIENCE) and word.is_over(9, 500 + PATIENCE)
    assert word.after(HELD, [9], 100.0).seen == {9: 100}
    unheard = word.after(None, [10, 9], 1000.0)
    assert (unheard.statement, unheard.heard) == (HELD, 9)
    assert not unheard.is_over(10, 999 + UNHEARD) and unheard.is_over(10, 1000 + UNHEARD) and not unheard.is_over(9, 1000 + UNHEARD)
    assert choose([One(10), *named], 8, unheard, "g1", 1000.0 + UNHEARD, by_hand=False) == One(10)


def test_stages_of_the_last_good_word_come_at_their_time() -> None:
    """A word that is broken now takes back nothing of what was said."""
    word = Word().after(Statement({9: ((100, 0), (200, WHOLE))}), [9, 8], 100.0).after(None, [9, 8], 150.0)
    assert choose([One(9), One(8)], 8, word, "g1", 199.0, by_hand=False) == One(8)
    assert choose([One(9), One(8)], 8, word, "g1", 200.0, by_hand=False) == One(9)


def test_word_is_kept_and_one_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """The same comes back; nothing is written twice; damage is as if nothing had been heard."""
    word = Word(Statement({9: ((100, 500),)}, (("example.bad.", 9),)), 9, {9: 100, 8: 50})
    write_word(tmp_path, word)
    assert read_word(tmp_path) == word
    stamp = (tmp_path / FILE).stat().st_mtime_ns
    write_word(tmp_path, word)
    assert (tmp_path / FILE).stat().st_mtime_ns == stamp
    for text in ("", "{}", "[", '{"format":1,"heard":"x","seen":[],"statement":{}}', "[" * 100_000):
        (tmp_path / FILE).write_text(text)
        assert read_word(tmp_path) == Word()
