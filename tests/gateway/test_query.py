"""The values that travel."""

from __future__ import annotations

import pytest

from gateway.clients import Scope
from gateway.query import ENCRYPTED, STREAMS, Edns, Origin, Query, Transport


@pytest.mark.parametrize(
    ("flags", "edns", "expected"),
    [
        (0x0100, None, (True, False, False, False)),
        (0x0000, None, (False, False, False, False)),
        (0x0030, None, (False, True, True, False)),
        (0x0100, Edns(1232, do=True), (True, False, True, True)),
        (0x0100, Edns(1232), (True, False, False, False)),
    ],
)
def test_flags_are_read_from_the_header(flags: int, edns: Edns | None, expected: tuple[bool, bool, bool, bool]) -> None:
    """RD, CD, the wish for AD and DO come from header and OPT."""
    query = Query(1, flags, b"\0", "", 1, b"\0\0\1\0\1", edns)
    assert (query.rd, query.cd, query.wants_ad, query.do) == expected


def test_origin_defaults() -> None:
    """A bare origin has neither local address nor token, and no token of its budget was taken."""
    scope = Scope("127.0.0.1:53", Transport.UDP, None)
    origin = Origin(Transport.UDP, bytes(4), 53, scope, b"source")
    assert (origin.scope, origin.source) == (scope, b"source")
    assert (origin.local, origin.token, origin.send, origin.record) == (None, None, None, None)


def test_transport_sets() -> None:
    """Encrypted transports are streams, and only UDP is none."""
    assert ENCRYPTED < STREAMS
    assert set(Transport) - STREAMS == {Transport.UDP}
