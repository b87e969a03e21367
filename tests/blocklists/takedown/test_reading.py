"""Addresses in text: those that are meant are found with their line, prose is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.takedown.reading import MAX_LINE, find_addresses, find_in_cells, has_endless_word

ENDINGS = frozenset({"com", "net", "vn", "xxx", "club"})


def found(text: str) -> list[tuple[int, str]]:
    """Line and text of every address."""
    return [(one.line, one.text) for one in find_addresses(text, ENDINGS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chặn trang bad.net ngay", [(1, "bad.net")]),
        ("chặn 789.club, (bad.net)", [(1, "789.club"), (1, "bad.net")]),
        ("điện thoại 0213.3876.xxx", []),
        ("mức phạt 15.000.000 đồng, ngày 01.02.2024", []),
        ("thư gửi a.b@bad.net nhé", []),
        ("Tp.HCM, TT.TT, v.v", []),
        ("1. bad.net\n2) worse.net\n• third.net", [(1, "bad.net"), (2, "worse.net"), (3, "third.net")]),
        ("bad..net", [(1, "bad..net")]),
        ("6. nha-cai,com\nchặn nha-cai,com và x;net", [(1, "nha-cai,com"), (2, "nha-cai,com"), (2, "x;net")]),
        ("bad.net,worse.net\nchặn bad.net;worse.net,", [(1, "bad.net"), (1, "worse.net"), (2, "bad.net"), (2, "worse.net")]),
        ("Lai Châu,Sơn La; 1,5 triệu", []),
        ("", []),
    ],
)
def test_addresses_are_told_from_prose(text: str, expected: list[tuple[int, str]]) -> None:
    """What is meant as an address is found, what only has dots is not; a line of its own always counts."""
    assert found(text) == expected


def test_cells_are_read_like_lines_but_numbers_are_not_rows() -> None:
    """In a table a cell counts only when it holds an address."""
    rows = [["STT", "Tên", "Ghi chú"], [1, "bad.net", "v1.2"], [None, "xem worse.net", "15.000"]]
    assert [(one.line, one.text) for one in find_in_cells(rows, ENDINGS)] == [(2, "bad.net"), (3, "worse.net")]


def test_a_mistyped_name_in_a_cell_is_a_row() -> None:
    """It is told as one that cannot be read, as in a letter."""
    assert [one.text for one in find_in_cells([["1", "nha-cai,com"], ["1,5", "a, b"]], ENDINGS)] == ["nha-cai,com"]


def test_a_word_without_end_is_known() -> None:
    """One letter more than is read of it, at any place; long lines of words are none."""
    word = "a" * MAX_LINE
    assert not has_endless_word(f"{word} {word},{word}")
    assert has_endless_word(f"x {word}b y")
    assert not has_endless_word(f"{word} " * 2000)


def test_many_lines_are_read_to_the_last() -> None:
    """A list has no number of lines at which the rest falls away."""
    assert sum(1 for _ in find_addresses("a.vn\n" * 200_050, ENDINGS)) == 200_050


@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    """No text raises, and lines are counted from 1."""
    assert all(line >= 1 for line, _ in found(text))


@given(st.integers(0, 40), st.sampled_from([" ", ", ", ";", "\t"]))
def test_no_name_of_a_long_paragraph_is_lost_or_cut(before: int, between: str) -> None:
    """A paragraph is one line, whatever its length, in a letter and in a cell; an endless word is no address, a long path costs nothing."""
    names = [f"trang-xau-so-{number}.com.vn" for number in range(600)]
    text = "x" * before + " " + between.join(names)
    assert len(text) > 2 * MAX_LINE
    assert [one.text for one in find_addresses(text, ENDINGS)] == names
    assert [one.text for one in find_in_cells([[text]], ENDINGS)] == names
    assert [one.text for one in find_addresses("a" * (MAX_LINE - 4) + ".com.vn b.com.vn", ENDINGS)] == ["b.com.vn"]
    long_path = "https://c.com.vn/" + "p" * 2 * MAX_LINE
    assert [one.text[:17] for one in find_addresses(f"xem {long_path} nhé", ENDINGS)] == ["https://c.com.vn/"]
