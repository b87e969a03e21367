"""Further processes of the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence

from gateway import extras as module
from gateway.children import ForkingLoop
from gateway.extras import Extra, ExtraProcess, Extras
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
