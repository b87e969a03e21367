"""Comma-separated lists with and without headers, in the columns offices use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.normalize import name_of_key
from blocklists.parsers import PLAIN, Bucket, Harvest, Match, Options, csv
from blocklists.rejections import Reason
from gateway.wire.name import key_from_text

OPTIONS = Options(categories={"gamb": True, "porn": True, "order": False})


def _parse(text: str) -> Harvest:
    harvest = Harvest()
    csv.parse(text.split("\n"), harvest, OPTIONS)
    return harvest


@pytest.mark.parametrize(
    "text",
    [
        "a.example,gamb\nb.example,\nc.example",
        "a.example;gamb\nb.example;\nc.example",
        "a.example\tgamb\nb.example\nc.example",
        '"a.example","gamb"\r\n"b.example",""\r\n"c.example"\r\n',
        "name,category\na.example,gamb\nb.example,\nc.example",
        "STT,Tên miền,Nhóm\n1,a.example,gamb\n2,b.example,\n3,c.example,",
        "# comment\ndomain,code,match\na.example,GAMB,both\nb.example,,\nc.example,,",
    ],
)
def test_csv_rows_give_names_with_their_category(text: str) -> None:
    """Any separator, quoting and header order; a row without category takes that of its source."""
    harvest = _parse(text)
    assert harvest.buckets == {Bucket("gamb"): ["example.a."], PLAIN: ["example.b.", "example.c."]}
    assert not harvest.rejected


def test_csv_match_column_narrows_an_entry() -> None:
    """An entry may say that it means the name alone, or only what is below."""
    assert _parse("a.example,gamb,exact\nb.example,,below").buckets == {
        Bucket("gamb", match=Match.EXACT): ["example.a."],
        Bucket(match=Match.BELOW): ["example.b."],
    }


def test_csv_rows_that_give_nothing_say_why() -> None:
    """Unknown and closed categories, broken quoting and bad names are counted apart."""
    harvest = _parse('a.example,nope\nb.example,order\n"c.example\nd..example,gamb\n192.0.2.1,gamb\ne.example,gamb,sometimes')
    assert harvest.entries == 0
    assert harvest.rejected == {
        Reason.UNKNOWN_CATEGORY: 1,
        Reason.CLOSED_CATEGORY: 1,
        Reason.NOT_A_RULE: 2,
        Reason.EMPTY_LABEL: 1,
        Reason.IP_ONLY: 1,
    }


@given(st.lists(st.text(max_size=60), max_size=10))
def test_csv_any_text_raises_nothing(lines: list[str]) -> None:
    """No row makes the parser raise, and whatever it takes for a name is one."""
    harvest = Harvest()
    csv.parse(lines, harvest, OPTIONS)
    for key in (key for keys in harvest.buckets.values() for key in keys):
        assert key_from_text(name_of_key(key)) == key
