"""Free text: what must not be stored is refused with the field, what was found and what to do; ordinary office language passes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from blocklists.takedown.freetext import Mark, personal_marks, require_clean
from blocklists.takedown.model import TransitionRefused


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("gọi 0912 345 678 giúp", "phone"),
        ("số +84.912.345.678", "phone"),
        ("CCCD 012345678901", "id_number"),
        ("cháu học lớp 7A", "class"),
        ("lop 10A2 trường X", "class"),
        ("thư me@example.com", "mail"),
        ("em Vừ Thị Mỷ bị lừa", "name"),
        ("học sinh Lò Văn Pao", "name"),
        ("phụ huynh là Nguyễn Văn An", "name"),
        ("cháu sinh ngày 3/4/2015", "birth"),
        ("xem https://bad.example/anh/123", "path"),
        ("bad.example/trang?id=4", "path"),
        ("em Vu\u031b\u0300 Thi\u0323 My\u0309", "name"),
    ],
)
def test_what_must_not_be_stored_is_found(text: str, mark: str) -> None:
    """Composed or decomposed, with spaces or dots."""
    assert mark in personal_marks(text)


@pytest.mark.parametrize(
    "text",
    [
        "V/v ngăn chặn trang thông tin điện tử lừa đảo trẻ em",
        "Thành phố Hồ Chí Minh, theo văn bản 2881/UBND-LĐTBXH ngày 24/11/2023",
        "KT. CHỦ TỊCH, PHÓ CHỦ TỊCH",
        "cả trang lừa đảo, tên miền bad.example",
        "Nghị định 147/2024/NĐ-CP, Điều 23 và 80",
        "Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu",
        "con đường qua cổng trường, 103.21.244.7",
        "https://bad.example",
        "trẻ em lớp lớn tuổi 12",
        "",
    ],
)
def test_language_of_offices_passes(text: str) -> None:
    """No wall against ordinary reasons."""
    assert personal_marks(text) == []


@pytest.mark.parametrize("unit", ["a.", "a", "@", "a@b.", "0 ", "A ", "a-", "://", "lop" + " " * 20])
def test_no_text_keeps_others_waiting(unit: str) -> None:
    """What anybody may send is read at once, whatever it is made of (a stop after 60 s, not a measure)."""
    program = "import sys; from blocklists.takedown.freetext import personal_marks; personal_marks(sys.stdin.read())"
    text = unit * (400_000 // len(unit))
    assert subprocess.run([sys.executable, "-c", program], input=text, text=True, timeout=60, check=False).returncode == 0


def test_refusal_names_field_kind_and_remedy() -> None:
    """A person learns where, what, and what to do, in both languages."""
    with pytest.raises(TransitionRefused) as refused:
        require_clean("gọi 0912345678", "Lý do", "Reason")
    assert refused.value.vi == "Ô “Lý do” có số điện thoại: hãy bỏ đi rồi lưu lại."
    assert refused.value.en == "The field “Reason” holds a telephone number: leave it out and save again."
    assert require_clean(" 0912345678 ", "Gửi", "Sent", {Mark.PHONE}) == "0912345678"
