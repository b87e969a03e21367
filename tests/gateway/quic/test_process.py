"""The lines of the QUIC process, to workers that come and go. The whole process is walked in `tests/test_quic.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.quic.process import Lines
from gateway.quic.relay import Relayed, pack_reply, read_request, take_frames

CLIENT = b"\x7f\0\0\1"


async def test_queries_wait_for_their_own_reply_and_are_given_up_with_the_worker(tmp_path: Path) -> None:
    """Replies in any order; without a worker, or when it dies, there is none and the next worker is found."""
    path = tmp_path / "doq.sock"
    writers: list[asyncio.StreamWriter] = []

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A worker that answers two queries in the other order and is silent for `dies`."""
        writers.append(writer)
        held: list[bytes] = []
        buffer = bytearray()
        while data := await reader.read(65_536):
            buffer += data
            for frame in take_frames(buffer):
                request = read_request(frame)
                assert isinstance(request, Relayed)
                if request.message != b"dies":
                    held.insert(0, pack_reply(request.id, request.message.upper()))
            if len(held) == 2:
                writer.write(b"".join(held))
                held.clear()
        writer.close()

    lines = Lines(path, 1, asyncio.get_running_loop())
    given: list[bytes] = []
    assert lines.ask(0, CLIENT, 1, "", b"", b"nobody", given.append) == 0 and given == [b""]
    keeper = asyncio.create_task(lines.keep())

    async def until(number: int) -> list[bytes]:
        """What was given once there is this much of it."""
        async with asyncio.timeout(5):
            while len(given) < number:  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0.01)
        return given

    async with await asyncio.start_unix_server(work, path):
        async with asyncio.timeout(5):
            while not writers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        given.clear()
        for message in (b"first", b"second"):
            assert lines.ask(0, CLIENT, 1, "token", b"", message, given.append)
        assert await until(2) == [b"SECOND", b"FIRST"]
        forgotten = lines.ask(0, CLIENT, 1, "", b"", b"dies", given.append)
        lines.forget(forgotten)
        lines.ask(0, CLIENT, 1, "", b"", b"dies", given.append)
        writers[0].transport.abort()
        assert await until(3) == [b"SECOND", b"FIRST", b""]
        assert lines.waiting == 0
        async with asyncio.timeout(5):
            while len(writers) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for message in (b"third", b"fourth"):
            lines.ask(0, CLIENT, 1, "", b"", message, given.append)
        assert await until(5) == [b"SECOND", b"FIRST", b"", b"FOURTH", b"THIRD"]
        keeper.cancel()
        writers[1].transport.abort()
        await asyncio.sleep(0.05)
