"""Datagrams one by one: the same service where the system has no recvmmsg."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from gateway.listeners.udp import DatagramListener
from tests.support.client import Datagrams, answers, ask, exchange, is_silent
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

OPEN = {("www.example.com", "A"): ["198.51.100.1"]}


async def test_new_cached_and_finished_answers(tmp_path: Path) -> None:
    """Every path of a query works, in any order of ids."""
    lists = {"bets": category("gamb", "bet.example")}
    async with (
        ScriptedUpstream(OPEN) as upstream,
        OneWorker(tmp_path, upstream, lists=lists, profiles=[profile("TH", "kid")], datagrams=DatagramListener) as worker,
    ):
        for _ in range(4):
            assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]
            assert answers(await ask(worker.server, "bet.example")) == ["0.0.0.0"]
        assert upstream.count() == 1
        assert worker.metric("lachan_queries", "udp", "A") == 8


async def test_malformed_and_silent(tmp_path: Path) -> None:
    """Malformed queries get their code, what is no query gets nothing."""
    async with OneWorker(tmp_path, datagrams=DatagramListener) as worker:
        assert dns.message.from_wire(await exchange(worker.server, b"\x12\x34\x01\0\0\1\0\0\0\0\0\0")).rcode() == dns.rcode.FORMERR
        assert await is_silent(worker.server, b"\x12\x34\x81\x80" + bytes(8))
        assert await is_silent(worker.server, b"")


async def test_stop_lets_late_replies_out(tmp_path: Path) -> None:
    """After `stop` what was asked before is still answered."""

    class Slow(ScriptedUpstream):
        def handle(self, asked: Asked) -> Any:
            return [Say(addresses(asked, "198.51.100.1"), after=0.15)]

    async with Slow() as upstream, OneWorker(tmp_path, upstream, datagrams=DatagramListener) as worker:
        waiting = asyncio.create_task(ask(worker.server, "www.example.com"))
        await asyncio.sleep(0.05)
        worker.datagrams.stop()
        assert not worker.datagrams.is_idle
        assert answers(await waiting) == ["198.51.100.1"]
        assert worker.datagrams.is_idle


async def test_socket_errors_are_counted(tmp_path: Path) -> None:
    """What the system would not receive or send is counted and ends nothing."""

    class Broken:
        def __init__(self, real: Any) -> None:
            self._real = real
            self.is_broken = True

        def recvfrom(self, size: int) -> Any:
            if self.is_broken:
                self.is_broken = False
                raise ConnectionRefusedError
            return self._real.recvfrom(size)

        def sendto(self, data: bytes, address: Any) -> int:
            raise BlockingIOError if data[0] & 1 else OSError("no way there")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    async with OneWorker(tmp_path, datagrams=DatagramListener) as worker, Datagrams(worker.server) as client:
        worker.datagrams._sock = Broken(worker.datagrams._sock)
        for number in (0x0000, 0x0100):
            client.send(dns.message.make_query("localhost", "A", id=number).to_wire())
        await asyncio.sleep(0.05)
        rows = {(name, *labels): number for name, labels, number in worker.counters.harvest()}
        assert rows["lachan_receive_errors",] == 1
        assert rows["lachan_send_errors", "full"] == 1
        assert rows["lachan_send_errors", "unreachable"] == 1
        with pytest.raises(TimeoutError):
            await ask(worker.server, "localhost", seconds=0.05)
