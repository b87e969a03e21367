"""A worker's line to the process that takes zones: whose notices go there, what comes back, and what a flood or a dead process costs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.listeners import PENDING
from gateway.notices import MOST_WAITING, SOCKET, NoticeLine, pack_notice, read_notice
from gateway.query import Origin, Transport

PRIMARY, STRANGER = bytes((192, 0, 2, 53)), bytes((192, 0, 2, 54))
NOTICE = b"\x12\x34\x24\0\0\1\0\0\0\0\0\0\3rpz\7example\0\0\6\0\1"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of the process that takes zones."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / SOCKET))
        listening.listen()
        listening.settimeout(5)
        yield listening


def origin(peer: bytes, told: list[bytes | None]) -> Origin:
    """Where a message came from; what is sent back is noted."""
    scope = cast(Any, None)  # Any: nothing here looks at the scope
    return Origin(Transport.UDP, peer, 53, scope, peer, send=lambda _, reply: told.append(reply))


def line_to(folder: Path) -> NoticeLine:
    """A line that hears one primary."""
    line = NoticeLine(folder, asyncio.get_running_loop())
    line.know(["192.0.2.53", "2001:db8::53"])
    return line


async def test_only_notices_of_primaries_are_heard(tmp_path: Path) -> None:
    """Neither another operation of a primary nor a notice of somebody else."""
    line = line_to(tmp_path)
    told: list[bytes | None] = []
    assert line.hears(NOTICE, origin(PRIMARY, told))
    assert line.hears(NOTICE, origin(bytes.fromhex("20010db8000000000000000000000053"), told))
    assert not line.hears(NOTICE, origin(STRANGER, told))
    assert not line.hears(NOTICE[:2] + b"\x28" + NOTICE[3:], origin(PRIMARY, told))
    assert not line.hears(b"\0\0", origin(PRIMARY, told))
    assert line.take(NOTICE, origin(PRIMARY, told)) is None, "no process: silence, so that the primary says it again"


async def test_reply_of_the_process_goes_to_who_asked(process: socket.socket, tmp_path: Path) -> None:
    """Replies may come in any order; a process that ends leaves silence, and the next one is found."""
    line, first, second = line_to(tmp_path), cast(list[bytes | None], []), cast(list[bytes | None], [])
    assert line.take(NOTICE, origin(PRIMARY, first)) is PENDING
    assert line.take(NOTICE + b"x", origin(PRIMARY, second)) is PENDING
    there, _ = process.accept()
    asked = [read_notice(there.recv(8192)) for _ in range(2)]
    assert [(peer, message) for _, peer, message in asked] == [(PRIMARY, NOTICE), (PRIMARY, NOTICE + b"x")]
    there.send(asked[1][0].to_bytes(4) + b"two")
    there.send(asked[0][0].to_bytes(4) + b"one")
    await asyncio.sleep(0.05)
    assert (first, second) == ([b"one"], [b"two"])
    assert line.take(NOTICE, origin(PRIMARY, first)) is PENDING
    there.close()
    await asyncio.sleep(0.05)
    assert first == [b"one", None]
    assert line.take(NOTICE, origin(PRIMARY, second)) is PENDING
    line.close()
    assert second == [b"two", None]


async def test_flood_from_a_forged_address_is_bounded(process: socket.socket, tmp_path: Path) -> None:
    """A worker hands on so many in a second and waits for so many, however many come."""
    line, told = line_to(tmp_path), cast(list[bytes | None], [])
    taken = sum(line.take(NOTICE, origin(PRIMARY, told)) is PENDING for _ in range(1000))
    assert 0 < taken <= MOST_WAITING
    line.close()


@pytest.mark.parametrize("packet", [b"", b"\0\0\0\1\5", pack_notice(1, b"12345", NOTICE), pack_notice(1, PRIMARY, b"short")])
def test_broken_packet_is_refused(packet: bytes) -> None:
    """What a worker never sends is no notice."""
    with pytest.raises(ValueError, match="no notice"):
        read_notice(packet)
