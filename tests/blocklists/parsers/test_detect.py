"""Which format a file has, and that every parser takes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.parsers import Options
from blocklists.parsers.detect import FORMATS, detect, parse_file


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "domains"),
        ("# only\n# comments\n", "domains"),
        ("a.example\nb.example\n", "domains"),
        ("192.0.2.1\n192.0.2.2\na.example\n", "domains"),
        ("*.a.example\n.b.example\n", "domains"),
        ("# Title\n127.0.0.1 localhost\n0.0.0.0 a.example\n0.0.0.0 b.example\n", "hosts"),
        (":: a.example\n::1 b.example\n", "hosts"),
        ("! Title\n||a.example^\n||b.example^\n", "adblock"),
        ("[Adblock Plus 2.0]\na.example\n", "adblock"),
        ("a.example##.ad\n@@||b.example^\n", "adblock"),
        ("$TTL 300\n@ SOA . . 1 1 1 1 1\n", "rpz"),
        ("@ IN SOA ns. admin. 1 1 1 1 1\nbad.example CNAME .\n", "rpz"),
        ("*.bad.example 60 IN A 192.0.2.1\nbad.example AAAA ::1\n", "rpz"),
        ("a.example\nnot a name\nnot a name\n", "domains"),
        ("name,category\na.example,gamb\n", "csv"),
        ("Tên miền;Nhóm\na.example;gamb\n", "csv"),
        ("a.example,gamb\nb.example,gamb\n", "csv"),
    ],
)
def test_detect_tells_formats_by_their_looks(text: str, name: str) -> None:
    """The format is what most lines look like; comments and stray lines do not decide."""
    assert detect(text.split("\n")) == name
    assert name in FORMATS


@given(st.lists(st.text(max_size=60), max_size=20))
def test_detect_any_text_names_a_format(lines: list[str]) -> None:
    """Whatever is in a file, some parser gets it."""
    assert detect(lines) in FORMATS


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(data=st.binary(max_size=600))
def test_every_parser_takes_any_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes) -> None:
    """No bytes make any parser raise; every key found is lower case and ends in a dot."""
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(data)
    used, harvest = parse_file(path, name, Options(zone="rpz.example", categories={"gamb": True}))
    assert used == name
    assert all(key.endswith(".") and key == key.lower() and key.isascii() for keys in harvest.buckets.values() for key in keys)


def test_parse_file_with_a_byte_order_mark_keeps_the_first_name(tmp_path: Path) -> None:
    """A byte-order mark must not cost the first entry."""
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbf||a.example^\r\n||b.example^\r\n")
    used, harvest = parse_file(path, "auto", Options())
    assert (used, harvest.entries, dict(harvest.rejected)) == ("adblock", 2, {})
