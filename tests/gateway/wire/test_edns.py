"""EDNS options of replies; those of queries are tested with the queries."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest

from gateway.wire import edns
from gateway.wire.constants import Ede


def read(record: bytes) -> dns.message.Message:
    """A header and this OPT record as dnspython reads them."""
    return dns.message.from_wire(bytes(11) + b"\1" + record)


@pytest.mark.parametrize("do", [False, True])
def test_plain_record(do: bool) -> None:
    """Our size, version 0, the DO bit, no option."""
    message = read(edns.opt_record(do))
    assert (message.edns, message.payload, bool(message.ednsflags & 0x8000), message.options) == (0, 1232, do, ())


def test_options_are_readable() -> None:
    """Extended error, keepalive and unknown options arrive as written."""
    message = read(edns.opt_record(options=edns.ede_option(Ede.FILTERED, "x") + edns.keepalive_option(10) + edns.option(4242, b"v")))
    assert [int(option.otype) for option in message.options] == [15, 11, 4242]
    assert message.options[1].to_wire() == b"\0\x64"


@pytest.mark.parametrize(
    ("size", "limit", "total"), [(100, 65535, 468), (464, 65535, 468), (465, 65535, 936), (600, 700, 700), (697, 700, 697)]
)
def test_padding_reaches_the_block_or_the_limit(size: int, limit: int, total: int) -> None:
    """A padded message ends on a block, or on the limit, and is never longer."""
    assert size + len(edns.padding_option(size, limit)) == total


@pytest.mark.parametrize("count", [edns.MAX_OPTIONS, edns.MAX_OPTIONS + 1])
def test_number_of_options_is_bounded(count: int) -> None:
    """As many options as we read are fine, one more is malformed."""
    data = edns.option(4242, b"") * count
    assert (edns.read_options(data, 0, len(data), 1232, False, False) is None) is (count > edns.MAX_OPTIONS)
