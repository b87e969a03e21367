"""Hosts files: sinks block, foreign addresses are refused unless the operator agreed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blocklists.normalize import name_of_key
from blocklists.parsers import PLAIN, Action, Bucket, Harvest, Options, hosts
from blocklists.rejections import Reason
from gateway.wire.name import key_from_text


def _parse(text: str, options: Options | None = None) -> Harvest:
    harvest = Harvest()
    hosts.parse(text.split("\n"), harvest, options or Options())
    return harvest


def test_hosts_lines_with_sink_addresses_give_names() -> None:
    """Every address that stands for no host blocks the names behind it; several names and comments may follow."""
    harvest = _parse(
        "# Title: A list\n127.0.0.1 localhost localhost.localdomain\n127.0.0.1 localhost.localdomain\n"
        "::1 localhost ip6-localhost\n0.0.0.0 a.example\n127.0.0.1\tb.example c.example # inline\n"
        "0.0.0.0   D.Example\n:: e.example\n::1 f.example\n0 g.example\n0.0.0.0 0.0.0.0\n0.0.0.0 tiền.vn\n"
        "! comment\n; comment\n// comment\n"
    )
    names = ["example.a.", "example.b.", "example.c.", "example.d.", "example.e.", "example.f.", "example.g.", "vn.xn--tin-hkz."]
    assert {PLAIN: names} == harvest.buckets
    assert harvest.rejected == {Reason.LOCAL_NAME: 6}
    assert harvest.errors == 0 and harvest.facts == {"title": "A list"}


def test_hosts_line_with_foreign_address_is_refused_by_default() -> None:
    """A list must not send people to somebody's address unless the operator said yes."""
    harvest = _parse("203.0.113.5 bank.example www.bank.example\n0.0.0.0 a.example")
    assert harvest.buckets == {PLAIN: ["example.a."]}
    assert harvest.rejected == {Reason.FOREIGN_ADDRESS: 2}
    assert harvest.examples[Reason.FOREIGN_ADDRESS][0].text == "203.0.113.5 bank.example"


def test_hosts_line_with_foreign_address_gives_its_answer_when_agreed() -> None:
    """With the operator's yes the address is what the name is answered with."""
    harvest = _parse("203.0.113.5 a.example\n2001:db8::1 b.example", Options(rewrites="answers"))
    four, six = Action("local", records=((1, 60, "cb007105"),)), Action("local", records=((28, 60, "20010db8" + "0" * 23 + "1"),))
    assert harvest.buckets == {PLAIN: [], Bucket(action=four): ["example.a."], Bucket(action=six): ["example.b."]}


def test_hosts_line_with_foreign_address_gives_its_name_to_a_category_when_agreed() -> None:
    """In a list of a category the matrix answers, so only the name counts."""
    assert _parse("203.0.113.5 a.example", Options(rewrites="names")).buckets == {PLAIN: ["example.a."]}


def test_hosts_junk_is_counted_with_reasons_and_line_numbers() -> None:
    """Each line that gives nothing says why and where."""
    harvest = _parse("0.0.0.0 a..b\n0.0.0.0 10.0.0.1\n<html><body>\nnot a line at all\nplain.example\n0.0.0.0 x y@z.example\n10.0.0.1")
    assert harvest.buckets == {PLAIN: ["example.plain.", "x."]}
    assert harvest.rejected == {
        Reason.EMPTY_LABEL: 1,
        Reason.IP_ONLY: 2,
        Reason.BAD_CHARACTER: 1,
        Reason.NOT_A_RULE: 1,
        Reason.EMAIL: 1,
    }
    assert [example.line for example in harvest.examples[Reason.IP_ONLY]] == [2, 7]


def test_hosts_examples_are_bounded_and_printable() -> None:
    """A hostile line neither fills the report nor reaches the terminal as it is."""
    harvest = _parse("\n".join(["0.0.0.0 \x1b[31mred\u202e" + "x" * 500] * 50))
    examples = [example for examples in harvest.examples.values() for example in examples]
    assert 0 < len(examples) <= 6
    assert all(example.text.isprintable() and len(example.text) < 120 for example in examples)


@given(st.text(max_size=400))
def test_hosts_any_text_raises_nothing(text: str) -> None:
    """No line makes the parser raise, and whatever it takes for a name is one."""
    harvest = _parse(text)
    for key in (key for keys in harvest.buckets.values() for key in keys):
        assert key_from_text(name_of_key(key)) == key
