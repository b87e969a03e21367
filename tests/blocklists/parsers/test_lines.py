"""Bytes of a list file to lines, whatever wrote the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocklists.parsers import Harvest, Options, domains, rpz
from blocklists.parsers.lines import HOPELESS, MAX_LINE, read_lines
from blocklists.rejections import Reason


def _read(path: Path, data: bytes) -> tuple[list[str], Harvest]:
    path.write_bytes(data)
    harvest = Harvest()
    return [line.strip() for line in read_lines(path, harvest)], harvest


@pytest.mark.parametrize(
    "data",
    [
        b"a.example\nb.example\n",
        b"a.example\nb.example",
        b"a.example\r\nb.example\r\n",
        b"a.example\rb.example\r",
        b"\xef\xbb\xbfa.example\nb.example\n",
        "\ufeffa.example\nb.example\n".encode("utf-16-le"),
        "\ufeffa.example\r\nb.example\r\n".encode("utf-16-be"),
    ],
)
def test_lines_of_every_encoding_and_line_end_are_the_same(tmp_path: Path, data: bytes) -> None:
    """A list written on any system reads the same."""
    lines, _ = _read(tmp_path / "list", data)
    assert [line for line in lines if line] == ["a.example", "b.example"]


def test_lines_with_bytes_that_are_not_utf8_are_kept_apart(tmp_path: Path) -> None:
    """A broken byte spoils its own line only, visibly."""
    lines, _ = _read(tmp_path / "list", b"a.example\nbr\xffken.example\nb.example\n")
    assert lines == ["a.example", "br\ufffdken.example", "b.example"]


@pytest.mark.parametrize("size", [MAX_LINE + 1, 300_000, 1_000_000])
def test_line_longer_than_the_cap_is_counted_once_and_numbers_stay(tmp_path: Path, size: int) -> None:
    """A line without end costs no memory, is reported with its number, and the lines behind it keep theirs."""
    lines, harvest = _read(tmp_path / "list", b"a.example\n" + b"x" * size + b"\nb.example\n")
    assert lines == ["a.example", "", "b.example"]
    assert harvest.rejected == {Reason.LINE_TOO_LONG: 1}
    assert harvest.examples[Reason.LINE_TOO_LONG][0].line == 2
    assert harvest.lines == 3


def test_file_of_one_endless_line_is_one_rejection(tmp_path: Path) -> None:
    """A file that never ends a line gives one rejection and no names."""
    lines, harvest = _read(tmp_path / "list", b"x" * 600_000)
    assert (lines, harvest.rejected, harvest.lines) == ([], {Reason.LINE_TOO_LONG: 1}, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2000))
def test_lines_of_any_bytes_raise_nothing(tmp_path: Path, data: bytes) -> None:
    """No bytes make the reader raise, and no line it gives holds a line end."""
    lines, _ = _read(tmp_path / "list", data)
    assert all("\n" not in line for line in lines)


def test_file_of_nothing_but_mistakes_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A hostile file must not keep the preparation busy: after ten thousand mistakes and no entries it is no list."""
    path = tmp_path / "list"
    path.write_text("not a name\n" * 500_000)
    harvest = Harvest()
    domains.parse(read_lines(path, harvest), harvest, Options())
    assert HOPELESS < harvest.errors < 100_000
    path.write_text("@ SOA . . 1 1 1 1 1\n" + "".join(f"n{number} CNAME .\nbroken\n" for number in range(20_000)))
    zone = Harvest()
    rpz.parse(read_lines(path, zone), zone, Options(zone="z.example"))
    assert (zone.errors, zone.entries) == (20_000, 20_000)
