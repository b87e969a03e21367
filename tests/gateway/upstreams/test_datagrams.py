"""Batches of datagrams on connected sockets, with one system call each and without."""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.upstreams.datagrams import SLOT_SIZE, SLOTS, DatagramRing, PlainRing, Ring, make_ring


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two UDP sockets connected to each other."""
    one, two = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for each in (one, two):
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.connect(two.getsockname())
    two.connect(one.getsockname())
    yield one, two
    one.close()
    two.close()


@pytest.fixture(params=[DatagramRing, PlainRing])
def ring(request: pytest.FixtureRequest) -> Ring:
    """Each kind of ring."""
    made: Ring = request.param()
    return made


Pair = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("count", [1, 2, SLOTS])
def test_batch_arrives_whole_and_in_order(ring: Ring, pair: Pair, count: int) -> None:
    """What is sent as a batch arrives as a batch, unchanged."""
    messages = [bytes([number]) * (12 + number * 7) for number in range(count)]
    assert ring.send(pair[0], messages) == count
    assert ring.receive(pair[1]) == messages


@pytest.mark.parametrize("cuts", [True, False])
def test_neighbours_of_equal_length_arrive_one_by_one(cuts: bool, pair: Pair) -> None:
    """Whether or not the kernel cuts them: every message is a datagram of its own, in order, and the count is that of messages."""
    ring = DatagramRing()
    ring._cuts = cuts
    messages = [bytes([number]) * size for number, size in enumerate([30] * 5 + [31] + [32] * 2 + [60] * 3 + [61])]
    assert ring.send(pair[0], messages) == len(messages)
    assert ring.receive(pair[1]) == messages


def test_kernel_that_cuts_nothing_is_asked_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where large messages are refused, the same batch leaves singly, and so does every later one."""
    ring = DatagramRing()
    send = ring._sendmmsg
    lay = ring._out.lay
    asked: list[bool] = []

    def noted(messages: list[bytes], may_join: bool) -> list[int]:
        asked.append(may_join)
        return lay(messages, may_join)

    def unable(*given: Any) -> int:
        if asked[-1]:
            ctypes.set_errno(errno.EIO)
            return -1
        return int(send(*given))

    monkeypatch.setattr(ring._out, "lay", noted)
    monkeypatch.setattr(ring, "_sendmmsg", unable)
    for _ in range(2):
        assert ring.send(pair[0], [b"x" * 30] * 4) == 4
        assert ring.receive(pair[1]) == [b"x" * 30] * 4
    assert asked == [True, False, False]


def test_ring_serves_both_directions_in_turn(ring: Ring, pair: Pair) -> None:
    """Sending short messages leaves no short slots behind for receiving."""
    for turn in range(5):
        ring.send(pair[0], [b"q" * 20] * (turn * 10 + 2))
        assert len(ring.receive(pair[1])) == turn * 10 + 2
        big = [bytes([turn]) * 1232] * SLOTS
        ring.send(pair[1], big)
        assert ring.receive(pair[0]) == big


def test_more_than_a_batch_waits_for_the_next_call(ring: Ring, pair: Pair) -> None:
    """A call takes at most one batch; the rest waits in the kernel."""
    for _ in range(2):
        ring.send(pair[0], [b"x" * 30] * SLOTS)
    assert [len(ring.receive(pair[1])) for _ in range(2)] == [SLOTS, SLOTS]


def test_longer_batch_than_slots_is_sent_in_part(ring: Ring, pair: Pair) -> None:
    """The number that left is told, so that the caller goes on behind it."""
    assert ring.send(pair[0], [b"x"] * (SLOTS + 5)) == SLOTS


def test_nothing_waiting_is_told_as_such(ring: Ring, pair: Pair) -> None:
    """An empty socket says so at once."""
    with pytest.raises(BlockingIOError):
        ring.receive(pair[0])


def test_refused_port_is_an_error_with_its_number(ring: Ring, pair: Pair) -> None:
    """A closed port is reported as the refusal it is, on sending or receiving."""
    pair[1].close()
    ring.send(pair[0], [b"x"])
    with pytest.raises(ConnectionRefusedError):
        ring.receive(pair[0])
    ring.send(pair[0], [b"x"])
    with pytest.raises(ConnectionRefusedError):
        ring.send(pair[0], [b"y", b"z"])


def test_oversized_message_is_cut_and_marked(ring: Ring, pair: Pair) -> None:
    """A message larger than a slot arrives cut, with its TC bit set, between others that are whole."""
    small = b"\0\1\x81\x80" + bytes(60)
    large = b"\0\2\x81\x80" + bytes(SLOT_SIZE)
    pair[0].send(small)
    pair[0].send(large)
    pair[0].send(small)
    messages = ring.receive(pair[1])
    assert [len(message) for message in messages] == [64, SLOT_SIZE, 64]
    assert [message[2] & 0x02 for message in messages] == [0, 2, 0]


def test_empty_datagram_is_a_message(ring: Ring, pair: Pair) -> None:
    """An empty datagram neither ends a batch nor breaks it."""
    pair[0].send(b"")
    pair[0].send(b"x")
    assert ring.receive(pair[1]) == [b"", b"x"]


def test_ring_fits_the_system() -> None:
    """On Linux the batch calls are used."""
    assert isinstance(make_ring(), DatagramRing | PlainRing)
