"""Names: wire form, keys and text agree with each other and with dnspython."""

from __future__ import annotations

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidName
from gateway.wire import name

labels = st.binary(min_size=1, max_size=20)
names = st.lists(labels, max_size=8).map(lambda parts: b"".join(bytes((len(part),)) + part for part in parts) + b"\0")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("www.example.com", "com.example.www."),
        ("WWW.Example.COM.", "com.example.www."),
        (".", ""),
        ("com", "com."),
        ("_dns.resolver.arpa", "arpa.resolver._dns."),
        ("a\\.b.example", "example.a\\046b."),
        ("a\\046b.example", "example.a\\046b."),
        ("sp ace.example", "example.sp\\032ace."),
        ("*.example", "example.\\042."),
        ("a\\\\b.example", "example.a\\092b."),
    ],
)
def test_key_from_text_is_reversed_lower_case_and_escaped(text: str, key: str) -> None:
    """A name in text becomes the key under which lists index it."""
    assert name.key_from_text(text) == key
    assert name.wire_of(key) == name.wire_from_text(text)


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a" * 64, ".".join(["a" * 63] * 4), "bắc.example", "a\\", "a\\999"])
def test_key_from_text_refuses_what_is_no_name(text: str) -> None:
    """Text that is not a domain name is refused by a typed error."""
    with pytest.raises(InvalidName):
        name.key_from_text(text)


def test_dot_inside_a_label_never_matches_the_parent() -> None:
    """A label that holds a dot is not covered by the zone it spells (RFC 1035 allows any octet)."""
    wire = b"\x05x.bad\x03com\0"
    assert not name.key_of(wire).startswith(name.key_from_text("bad.com"))


@given(names)
def test_wire_key_text_agree(wire: bytes) -> None:
    """Wire to key to wire loses nothing but letter case, and dnspython reads the text as the same name."""
    lower, end = name.read_qname(wire, 0)
    if len(wire) > 255:
        assert end == name.MALFORMED
        return
    assert end == len(wire)
    key = name.key_of(lower)
    assert name.wire_of(key) == lower
    assert key.isascii()
    assert key.isprintable() or not key
    assert dns.name.from_text(name.text_of(key)).to_wire() == lower
    assert name.count_labels(lower) == len(name.covering_keys(key))
    assert name.read_name(wire, 0) == (lower, end)
    assert name.skip_name(wire, 0) == end


@given(names, names)
def test_prefix_of_a_key_is_exactly_a_suffix_of_the_name(wire: bytes, zone: bytes) -> None:
    """A key is a prefix of another exactly when its name covers the other."""
    for upper in (zone, name.parent_of(wire)):
        if len(wire) > 255 or len(upper) > 255:
            continue
        below = dns.name.from_wire(wire.lower(), 0)[0].is_subdomain(dns.name.from_wire(upper.lower(), 0)[0])
        assert name.is_subdomain(wire.lower(), upper.lower()) is below
        assert name.key_of(wire.lower()).startswith(name.key_of(upper.lower())) is below


def test_covering_keys_lists_shortest_first() -> None:
    """Every covering name is listed once, the root left out."""
    assert name.covering_keys("com.example.www.") == ["com.", "com.example.", "com.example.www."]
    assert name.covering_keys("") == []


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"\x03ab", 0),
        (b"\x01a", 0),
        (b"\x40" + b"a" * 64 + b"\0", 0),
        (b"\x80a\0", 0),
        (b"\xc0", 0),
        (bytes(12) + b"\xc0\x0c", 12),
        (bytes(12) + b"\xc0\x0e\xc0\x0c", 12),
        (bytes(12) + b"\x01a\xc0\x0c", 12),
        (bytes(4) + b"\x01a\0" + bytes(8) + b"\xc0\x04", 15),
        (b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 3 + b"\0", 0),
    ],
)
def test_read_name_refuses_loops_forward_pointers_and_overlong_names(data: bytes, offset: int) -> None:
    """Every malformed name of RFC 9267 is refused without an exception."""
    assert name.read_name(data, offset) == (b"", name.MALFORMED)


def test_read_name_bounds_the_pointers_it_follows() -> None:
    """A chain of pointers longer than the budget is malformed, a short one is a name."""
    chain = bytes(12) + b"\x01a\0"
    offsets = [12]
    for _ in range(40):
        offsets.append(len(chain))
        chain += b"\xc0" + bytes((offsets[-2],))
    assert name.read_name(chain, offsets[5]) == (b"\x01a\0", offsets[5] + 2)
    assert name.read_name(chain, offsets[40])[1] == name.MALFORMED


@given(st.binary(max_size=300), st.integers(0, 300))
def test_readers_never_raise(data: bytes, offset: int) -> None:
    """No bytes make a reader raise or claim an end outside the data."""
    for read in (name.read_name, name.read_qname):
        wire, end = read(data, offset)
        assert end == name.MALFORMED or offset < end <= len(data)
        if end != name.MALFORMED:
            assert 1 <= len(wire) <= 255
            assert name.wire_of(name.key_of(wire)) == wire
    assert name.skip_name(data, offset) <= len(data)


def test_root_is_its_own_parent() -> None:
    """Walking up ends at the root."""
    assert name.parent_of(b"\x01a\0") == b"\0"
    assert name.parent_of(b"\0") == b"\0"
