"""Headers of the PROXY protocol: what front ends write is read back, what nobody writes is turned down, and no octets raise."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxyprotocol import (
    FIXED,
    MOST,
    SIGNATURE,
    FrontEnds,
    Header,
    header_size,
    may_begin,
    parse_header,
    parse_stream_header,
    stream_header_size,
)
from tests.support.proxyheader import local_header, packed, proxy_header

V4 = proxy_header("192.0.2.7", "192.0.2.1", port=4711)
addresses = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: tuple(str(IPv4Address(one)) for one in pair)),
    st.tuples(st.integers(2**96, 2**128 - 1), st.integers(2**96, 2**128 - 1)).map(
        lambda pair: tuple(str(IPv6Address(one)) for one in pair)
    ),
)


@given(addresses, st.integers(1, 65535), st.booleans(), st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True), st.binary(max_size=60))
def test_header_of_a_front_end_is_read_back(pair: tuple[str, str], port: int, is_stream: bool, token: str, rest: bytes) -> None:
    """Whatever addresses, port, token and whatever stands behind it."""
    written = proxy_header(*pair, port=port, is_stream=is_stream, other="padding", token=token, name=f"{token}.dns.example")
    header = parse_header(written + rest)
    assert header == Header(len(written), packed(pair[0]), port, packed(pair[1]), f"{token}.dns.example", token)


@given(st.binary(max_size=80), st.booleans())
def test_no_octets_raise(data: bytes, with_signature: bool) -> None:
    """A header or None, never longer than what there is."""
    data = SIGNATURE + data if with_signature else data
    header = parse_header(data)
    assert header is None or FIXED <= header.size <= len(data)


@given(st.integers(0, len(V4) - 1), st.integers(0, 255))
def test_changed_octet_is_read_or_turned_down(at: int, value: int) -> None:
    """Half of the header is addresses, where any octet means something; elsewhere it is turned down."""
    changed = bytearray(V4)
    changed[at] = value
    header = parse_header(bytes(changed))
    if at < FIXED and value != V4[at] and at not in (13, 15):
        assert header is None or header.peer is None
    elif at >= FIXED:
        assert header is not None and header.size == len(V4)


@given(addresses, st.integers(0, 65535), st.binary(max_size=60))
def test_line_of_version_1_is_read_back(pair: tuple[str, str], port: int, rest: bytes) -> None:
    """Whatever addresses and port, and whatever stands behind it; cut anywhere it is incomplete."""
    family = "TCP6" if ":" in pair[0] else "TCP4"
    written = f"PROXY {family} {pair[0]} {pair[1]} {port} 53\r\n".encode()
    assert parse_stream_header(written + rest) == Header(len(written), packed(pair[0]), port, packed(pair[1]))
    for cut in range(len(written)):
        assert may_begin(written[:cut]) and stream_header_size(written[:cut]) == 0 and parse_stream_header(written[:cut]) is None


@given(st.binary(max_size=130), st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 "]))
def test_no_octets_of_a_connection_raise(data: bytes, beginning: bytes) -> None:
    """A size that is there, a wait for more, or broken; long lines are not waited for."""
    data = beginning + data
    size = stream_header_size(data)
    assert size is None or 0 <= size <= len(data)
    assert not (data.startswith(b"PROXY ") and len(data) >= 107 and size == 0)
    header = parse_stream_header(data)
    assert header is None or header.size == size


@pytest.mark.parametrize("size", range(len(V4)))
def test_header_that_is_cut_is_none(size: int) -> None:
    """Every shorter beginning of a header is incomplete."""
    assert parse_header(V4[:size]) is None


def test_front_end_that_speaks_for_itself_has_no_client() -> None:
    """LOCAL: the connection's own addresses stand."""
    assert parse_header(local_header() + b"rest") == Header(16)


def test_address_of_ipv4_inside_ipv6_is_ipv4() -> None:
    """A front end that listens on :: tells IPv4 clients so; they are the same clients."""
    header = parse_header(proxy_header("::ffff:192.0.2.7", "::ffff:192.0.2.1"))
    assert header is not None
    assert (header.peer, header.local) == (packed("192.0.2.7"), packed("192.0.2.1"))


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 53\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(12),
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
        SIGNATURE + b"\x21\x11\x00\x0e" + bytes(12) + b"\xe0\x00",
        SIGNATURE + b"\x21\x11\x00\x0f" + bytes(12) + b"\xe0\x00\x01",
    ],
)
def test_what_is_no_header_of_version_2_is_none(data: bytes) -> None:
    """Version 1, other versions and commands, too short, Unix sockets, fields that do not fit."""
    assert parse_header(data) is None


def test_header_that_is_too_long_is_not_waited_for() -> None:
    """A front end that announces more than we read is turned down at once."""
    assert header_size(SIGNATURE + b"\x21\x11\xff\xff") is None
    assert header_size(SIGNATURE + b"\x21\x11" + (MOST - FIXED).to_bytes(2, "big")) == MOST


def test_front_ends_are_told_by_their_networks() -> None:
    """IPv4 and IPv6 apart."""
    front_ends = FrontEnds([ip_network("10.0.0.0/24"), ip_network("2001:db8::1/128")])
    assert front_ends.holds(packed("10.0.0.9")) and front_ends.holds(packed("2001:db8::1"))
    assert not front_ends.holds(packed("10.0.1.9")) and not front_ends.holds(packed("2001:db8::2"))


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ({"token": "k3j9"}, "k3j9"),
        ({"name": "k3j9.dns.example"}, "k3j9"),
        ({"name": "K3J9.DNS.example"}, "k3j9"),
        ({"name": "k3j9.dns.example", "token": "m2p8"}, "m2p8"),
        ({"name": "dns.example"}, None),
        ({"name": "a.b.dns.example"}, None),
        ({"name": "k3j9.other.example"}, None),
        ({"token": "../etc"}, None),
        ({}, None),
    ],
)
def test_token_is_in_its_field_or_in_the_server_name(fields: dict[str, str], token: str | None) -> None:
    """One label in front of our own name; what is no token is none."""
    header = parse_header(proxy_header("192.0.2.7", "192.0.2.1", **fields))
    assert header is not None
    assert FrontEnds([], "dns.example").token_of(header) == token
