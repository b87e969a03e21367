"""What is read in a child's note: distress comes first, personal things are hinted at."""

from __future__ import annotations

import pytest

from admin.asking import Hint, fold, hints_for, is_distressed


@pytest.mark.parametrize(
    "note",
    [
        "em muốn chết",
        "EM MUON CHET",
        "con không muốn sống nữa",
        "có người bắt gửi ảnh nóng",
        "bị đánh ở nhà",
        "bạn ấy rạch tay",
        "chú ấy sờ mó em",
        "someone threatens me, help me",
        "i want to die",
        "em bi\u0323 e\u0301p",
    ],
)
def test_words_of_distress_are_understood(note: str) -> None:
    """With or without diacritics, in either language: help is shown first."""
    assert is_distressed(note)


@pytest.mark.parametrize(
    "note", ["", "em cần làm bài tập toán", "trang này bị chặn nhầm", "xem phim hoạt hình", "đánh máy chữ", "I need this for class"]
)
def test_ordinary_notes_are_not(note: str) -> None:
    """An ordinary wish goes its ordinary way."""
    assert not is_distressed(note)


@pytest.mark.parametrize(
    ("note", "hints"),
    [
        ("gọi em số 0912 345 678", [Hint.PHONE]),
        ("+84912345678", [Hint.PHONE]),
        ("viết cho em: an@example.com", [Hint.MAIL]),
        ("em học lớp 7B", [Hint.SCHOOL_CLASS]),
        ("em tên là Nguyễn Văn An", [Hint.NAME]),
        ("bài 12 trang 34", []),
        ("năm 2026", []),
    ],
)
def test_hints_for_what_is_better_left_out(note: str, hints: list[Hint]) -> None:
    """A phone number, a mail address, a class, a full name: the page asks to leave them out."""
    assert hints_for(note) == hints


def test_fold_is_for_finding_only() -> None:
    """Diacritics, case and punctuation are folded away."""
    assert fold("Đừng  LO, nhé!") == "dung lo nhe"
