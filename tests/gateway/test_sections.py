"""Sections: value types, messages a person understands, the walk over every key."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.sections import (
    AddressText,
    EndpointText,
    Identifier,
    NameText,
    NetworkText,
    Seconds,
    Section,
    Size,
    Text,
    check,
    key,
    key_names,
    model_at,
    nearest,
    reference,
    without_empty,
)
from gateway.settings import Endpoint
from gateway.yamlfile import parse


class Inner(Section):
    """inner[]"""

    word: Text = key(..., "từ", "word", "a")
    start: Text = key("", "đầu", "start", "b", alias="from")


class Sample(Section):
    """A section with every value type."""

    listen: EndpointText = key(Endpoint("127.0.0.1", 1), "nghe", "listen", '"127.0.0.1:1"')
    nets: list[NetworkText] = key([], "mạng", "nets", "[10.0.0.0/8]")
    address: AddressText = key("127.0.0.1", "địa chỉ", "address", "127.0.0.1")
    wait: Seconds = key(1.0, "chờ", "wait", "1s")
    size: Size = key(1024, "cỡ", "size", "1KiB")
    id: Identifier = key("x", "mã", "id", "x")
    name: NameText = key("a.example", "tên", "name", "a.example")
    flag: bool = key(False, "cờ", "flag", "true")
    count: int = key(1, "số", "count", "1", ge=1, le=9)
    items: list[Inner] = key([], "mục", "items", "[]")


def mistakes(text: str) -> list[str]:
    """What is wrong with a sample section, as text."""
    document = parse(text)
    section, found = check(Sample, document.value, document)
    assert (section is None) == bool(found)
    return [f"{mistake.path.partition(': ')[2]}: {mistake.message} {mistake.remedy}".strip() for mistake in found]


def value(text: str) -> Sample:
    """A sample section that must be sound."""
    document = parse(text)
    section, found = check(Sample, document.value, document)
    assert section is not None, found
    return section


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("250ms", 0.25), ("2", 2), ("1.5s", 1.5)]
)
def test_seconds_take_numbers_and_units(text: str, seconds: float) -> None:
    """Times are written with a unit, or in seconds."""
    assert seconds == value(f"wait: {text}").wait


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("64KiB", 65_536), ("2MiB", 2 << 20), ("1GiB", 1 << 30), ("3M", 3 << 20)])
def test_size_takes_numbers_and_units(text: str, size: int) -> None:
    """Sizes are written with a unit, or in bytes."""
    assert size == value(f"size: {text}").size


@pytest.mark.parametrize(("text", "endpoint"), [("127.0.0.1:53", Endpoint("127.0.0.1", 53)), ('"[::1]:0"', Endpoint("::1", 0))])
def test_endpoint_takes_both_families(text: str, endpoint: Endpoint) -> None:
    """An address with its port, IPv6 in brackets."""
    assert endpoint == value(f"listen: {text}").listen


def test_id_that_looks_like_a_number_is_text() -> None:
    """`007` stays `007`."""
    assert value("id: 007").id == "007"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wait: soon", "wait: must be a time such as 30s, 15m, 24h or 7d"),
        ("wait: true", "wait: must be a time such as 30s, 15m, 24h or 7d"),
        ("size: big", "size: must be a size such as 512KiB or 64MiB"),
        ("listen: localhost:53", "listen: 'localhost' is not an IP address; listen addresses are numbers, such as 127.0.0.1 or 0.0.0.0"),
        ("listen: 53", 'listen: \'53\' is not an address with a port such as "127.0.0.1:5300" or "[::1]:5300"'),
        ("listen: 127.0.0.1:99999", "listen: port 99999 is above 65535"),
        ("nets: [10.0.0.0/99]", "nets[0]: '10.0.0.0/99' is not a network such as 192.168.1.0/24 or fd00::/64"),
        ("address: a", "address: 'a' is not an IP address such as 192.168.1.2"),
        ("id: a b", "id: 'a b' is not an id: letters, digits and . : + - _, 64 at most"),
        ("name: a..b", "name: 'a..b' is not a domain name: an empty label"),
        ("flag: on", "flag: must be true or false"),
        ("count: many", "count: must be a whole number"),
        ("count: true", "count: must be a whole number"),
        ("count: 10", "count: must be at most 9"),
        ("items: {}", "items: must be a list"),
        ("items: [{word: a, form: b}]", "items[0].form: unknown key 'form' did you mean from?"),
        ("items: [{}]", "items[0].word: this key is needed here"),
        ("cuont: 2", "cuont: unknown key 'cuont' did you mean count?"),
        ("[]", "must be a section (key: value)"),
    ],
)
def test_mistake_is_one_plain_sentence_with_its_path(text: str, expected: str) -> None:
    """Every kind of mistake says what would be right."""
    found = mistakes(text)
    assert [expected] == [line.removeprefix(": ") for line in found]


def test_every_mistake_is_reported_at_once() -> None:
    """One look is enough to mend a section."""
    assert len(mistakes("wait: soon\nflag: on\nbogus: 1")) == 3


def test_key_with_nothing_behind_it_has_its_default() -> None:
    """An empty key is the same as no key."""
    assert value("count:\n").count == 1
    assert without_empty({"a": [{"x": None}], "b": 1, "c": None}) == {"a": [{}], "b": 1}


def test_nearest_lists_what_is_known_when_nothing_is_close() -> None:
    """A far-off word is answered with the known ones."""
    assert nearest("bnd", ["id", "band"]) == "did you mean band?"
    assert nearest("zzzzzz", ["id", "band"]) == "known here: band, id"
    assert nearest("zzz", []) == ""


def test_model_at_walks_through_lists_and_stops_at_values() -> None:
    """The section a path leads to is found, so that its keys can be suggested."""
    assert Inner is model_at(Sample, ("items", 0))
    assert Sample is model_at(Sample, ())
    assert None is model_at(Sample, ("count",))
    assert list(key_names(Inner)) == ["word", "from"]


def test_reference_names_every_key_once_with_its_help() -> None:
    """The reference is complete and speaks both languages."""
    rows = {row.path: row for row in reference(Sample)}
    assert {"listen", "items", "items[].word", "items[].from"} <= rows.keys()
    assert (rows["wait"].vi, rows["wait"].en, rows["wait"].default, rows["wait"].example) == ("chờ", "wait", "1", "1s")


@pytest.mark.parametrize("hostile", [{"a\x1b[2J": 1}, {"x" * 5000: 1}])
def test_hostile_key_is_shortened_and_escaped(hostile: dict[str, Any]) -> None:
    """A key cannot write control characters to a terminal."""
    _, found = check(Sample, hostile, parse("a: 1"))
    assert all(part.isprintable() and len(part) < 200 for part in [found[0].message, found[0].remedy])
