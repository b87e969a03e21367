"""Reasons: every one has words in both languages and a weight."""

from __future__ import annotations

import pytest

from blocklists.rejections import Reason, Rejection, Weight


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words_and_weight(reason: Reason) -> None:
    """A reason without words would leave a person with a code."""
    assert reason.vi and reason.en and reason.vi != reason.en
    assert isinstance(reason.weight, Weight)
    assert not reason.en.endswith(".") and not reason.vi.endswith(".")


def test_rejection_names_place_counting_from_one() -> None:
    """People count from one, and see which letter is meant even when it is invisible."""
    rejection = Rejection(Reason.BAD_CHARACTER, 3, "\u202e")
    assert "(position 4, U+202E)" in rejection.en
    assert "(vị trí 4, U+202E)" in rejection.vi
    assert "(" not in Rejection(Reason.IP_ONLY).vi
