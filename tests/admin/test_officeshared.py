"""What several bodies share, and how small counts are told."""

from __future__ import annotations

from admin.officeshared import Voice, told


def test_small_counts_are_not_told() -> None:
    """Nought and five are told, what lies between is not."""
    assert [told(count) for count in (0, 1, 4, 5, 12)] == [0, None, None, 5, 12]


def test_who_speaks_for_nobody_writes_no_note() -> None:
    """An auditor has no voice on a case."""
    assert [voice.may_note for voice in (Voice(None, is_office=True), Voice("a", is_office=False), Voice(None, is_office=False))] == [
        True, True, False,
    ]  # fmt: skip
