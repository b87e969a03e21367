"""Further processes of the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

import pytest

from gateway import extras as module
from gateway.children import ForkingLoop
from gateway.extras import Extra, ExtraProcess, Extras, Pulse
from gateway.metrics import PROCESS_RESTARTS, PROCESS_UP
from gateway.totals import Totals


def test_process_that_keeps_ending_is_tried_ever_less_often() -> None:
    """Restarts slow down and are counted; stopping ends the tries."""
    forking, totals = ForkingLoop(), Totals()
    extra = Extra(ExtraProcess("pages", lambda sockets: 3), [])
    extras = Extras(forking, totals, [extra])

    async def main() -> int:
        extras.start()
        await asyncio.sleep(1.3)
        seen = extra.restarts
        await extras.stop()
        return seen

    assert 2 <= forking.run(main()) <= 4
    assert totals.value(PROCESS_RESTARTS, ("pages",)) == extra.restarts
    assert totals.value(PROCESS_UP, ("pages",)) == 0


def test_stop_asks_and_waits() -> None:
    """SIGTERM reaches the process, its own handler runs, the sockets were handed over listening."""
    forking, totals = ForkingLoop(), Totals()
    reader, writer = os.pipe()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    os.set_inheritable(writer, True)

    def body(sockets: Sequence[socket.socket]) -> int:
        def end(number: int, frame: object) -> None:
            raise SystemExit(0)

        signal.signal(signal.SIGTERM, end)
        sockets[0].setblocking(True)
        connection, _ = sockets[0].accept()
        connection.sendall(b"here")
        time.sleep(30)
        return 1

    extra = Extra(ExtraProcess("pages", body), [listener])
    extras = Extras(forking, totals, [extra])

    async def main() -> int:
        extras.start()
        stream, out = await asyncio.open_connection(*listener.getsockname())
        assert await stream.read(4) == b"here"
        assert extra.pid is not None
        await extras.stop()
        out.close()
        assert extra.child is not None
        return extra.child.ended.result()

    started = time.monotonic()
    assert forking.run(main()) == 0
    assert time.monotonic() - started < module.ExtraProcess("x", body).stop_seconds
    for number in (reader, writer):
        os.close(number)
    listener.close()


def test_process_that_does_nothing_is_told_ended_and_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped by somebody, or stuck in its own loop: up is 0 while it is silent, and in the end another one does the work."""
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(module, "GIVEN_UP_SECONDS", 1.0)
    forking, totals = ForkingLoop(), Totals()
    pulse = Pulse()

    def body(_: Sequence[socket.socket]) -> int:
        while True:
            pulse.beat()
            time.sleep(0.05)

    extra = Extra(ExtraProcess("pages", body, pulse=pulse), [])
    extras = Extras(forking, totals, [extra])

    async def becomes(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not holds():
                extras.check_silence(time.monotonic())
                await asyncio.sleep(0.05)

    def is_up() -> bool:
        return totals.value(PROCESS_UP, ("pages",)) == 1

    async def main() -> None:
        extras.start()
        await becomes(lambda: is_up() and pulse.silence(time.monotonic()) > 0)
        first = extra.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await becomes(lambda: extra.is_silent and not is_up())
        os.kill(first, signal.SIGCONT)
        await becomes(lambda: not extra.is_silent and is_up())
        os.kill(first, signal.SIGSTOP)
        await becomes(lambda: extra.pid not in (first, None) and is_up() and pulse.silence(time.monotonic()) > 0)
        assert not extra.is_silent
        await extras.stop()

    forking.run(main())
    assert totals.value(PROCESS_RESTARTS, ("pages",)) == 1
