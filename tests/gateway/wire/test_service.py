"""SVCB and HTTPS record data, judged by dnspython."""

from __future__ import annotations

import dns.rdata
import pytest

from gateway.errors import UpstreamError
from gateway.wire.service import MAX_PARAMETERS, read_service


def wire(text: str) -> bytes:
    """Record data from its text."""
    return dns.rdata.from_text("IN", "HTTPS", text).to_wire()


def read(rdata: bytes) -> tuple[bytes, list[bytes]]:
    """The target and the address hints, read out of the middle of a message."""
    addresses: list[bytes] = []
    target = read_service(b"before" + rdata + b"behind", 6, 6 + len(rdata), addresses)
    return target, addresses


@pytest.mark.parametrize(
    ("text", "target", "addresses"),
    [
        ("1 .", b"\0", []),
        ("0 pool.example.", b"\4pool\7example\0", []),
        ("16 POOL.example. alpn=h2,h3 port=8443", b"\4pool\7example\0", []),
        ("1 . ipv4hint=192.0.2.1,192.0.2.2", b"\0", [b"\xc0\0\2\1", b"\xc0\0\2\2"]),
        ("1 . alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1", b"\0", [b"\xc0\0\2\1", b" \1\r\xb8" + bytes(11) + b"\1"]),
    ],
)
def test_target_and_hints_are_read(text: str, target: bytes, addresses: list[bytes]) -> None:
    """A browser would go to the target or to the hinted addresses, so both are judged."""
    assert (target, addresses) == read(wire(text))


@pytest.mark.parametrize(
    "rdata",
    [
        b"",
        b"\0\1",
        b"\0\1\xc0\0",  # a compressed target
        b"\0\1\5short",  # the target goes on behind the record
        b"\0\1\0\0",  # half a parameter
        b"\0\1\0\0\4\0\3abc",  # an address of three octets
        b"\0\1\0\0\4\0\0",  # no address at all
        b"\0\1\0\0\6\0\4abcd",
        b"\0\1\0\0\1\0\5h2",  # longer than the record
        b"\0\1\0\0\3\0\2\0\1\0\1\0\3\2h2",  # not in ascending order
        b"\0\1\0\0\3\0\2\0\1\0\3\0\2\0\1",  # twice
        b"\0\1\0" + b"".join(key.to_bytes(2, "big") + b"\0\0" for key in range(10, 11 + MAX_PARAMETERS)),
    ],
)
def test_malformed_record_is_refused(rdata: bytes) -> None:
    """What a browser might read differently from us is not passed on."""
    with pytest.raises(UpstreamError):
        read(rdata)


def test_as_many_parameters_as_the_bound_are_read() -> None:
    """The bound itself is allowed."""
    rdata = b"\0\1\0" + b"".join(key.to_bytes(2, "big") + b"\0\0" for key in range(10, 10 + MAX_PARAMETERS))
    assert read(rdata) == (b"\0", [])


@pytest.mark.parametrize("text", ["1 pool.example. alpn=h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1", "1 . alpn=h3 port=853"])
def test_every_cut_of_a_record_is_refused_or_whole(text: str) -> None:
    """A record cut anywhere raises our error or is a shorter record that dnspython accepts too."""
    rdata = wire(text)
    refused = 0
    for end in range(len(rdata)):
        try:
            read(rdata[:end])
        except UpstreamError:
            refused += 1
            continue
        dns.rdata.from_wire("IN", "HTTPS", rdata, 0, end)
    assert 3 <= refused < len(rdata)
