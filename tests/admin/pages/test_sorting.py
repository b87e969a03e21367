"""The Vietnamese alphabet: the order of a dictionary, and numbers by their size."""

from __future__ import annotations

import random
import unicodedata

import pytest

from admin.pages.sorting import vietnamese_order


@pytest.mark.parametrize(
    "words",
    [
        ["An Giang", "Bắc Ninh", "Cà Mau", "Cao Bằng", "Cần Thơ", "Đà Nẵng", "Đắk Lắk", "Điện Biên", "Đồng Nai", "Gia Lai"],
        ["ma", "mà", "mả", "mã", "má", "mạ", "măng", "mận", "me", "mê"],
        ["1A", "2A", "2B", "10 Toán", "10A", "12A"],
        ["Chồi 1", "Chồi 2", "Lá 1", "Lá 10", "Mầm 1"],
    ],
)
def test_order_of_the_alphabet(words: list[str]) -> None:
    """However they were shuffled, composed or not, in capitals or not."""
    shuffled = [unicodedata.normalize(random.choice(("NFC", "NFD")), word) for word in words]
    random.shuffle(shuffled)
    assert [unicodedata.normalize("NFC", word) for word in sorted(shuffled, key=vietnamese_order)] == words
