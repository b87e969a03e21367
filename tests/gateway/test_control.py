"""The control socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import control
from gateway.control import ControlServer, Fields, Request, ask, ask_now
from gateway.errors import ControlError, Mistake, SettingsError


async def echo(fields: Fields) -> Fields:
    return {"heard": fields.get("text")}


async def sleep(_: Fields) -> Fields:
    await asyncio.sleep(30)
    return {}


async def refuse(_: Fields) -> Fields:
    raise SettingsError([Mistake("dns.listen", "not an address", "write 127.0.0.1:53"), Mistake("cache", "unknown")])


async def crash(_: Fields) -> Fields:
    raise RuntimeError("secret detail")


async def full(_: Fields) -> Fields:
    raise OSError(28, "No space left on device", "/var/lib/x")


REQUESTS = {
    "echo": Request(echo, 5),
    "sleep": Request(sleep, 0.05),
    "refuse": Request(refuse, 5),
    "crash": Request(crash, 5),
    "full": Request(full, 5),
}


@pytest.fixture(params=["short", "deep"])
async def folder(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Path]:
    """A state directory with a running server; also one whose path is too long for a socket address."""
    folder = tmp_path if request.param == "short" else tmp_path / ("d" * 100)
    folder.mkdir(exist_ok=True)
    server = ControlServer(folder, REQUESTS)
    await server.start()
    yield folder
    await server.stop()
    assert not (folder / control.SOCKET_NAME).exists()


async def test_ask_with_and_without_a_loop(folder: Path) -> None:
    """Both clients get the answer; the socket is private."""
    assert (await ask(folder, {"do": "echo", "text": "xin chào"}))["heard"] == "xin chào"
    assert (await asyncio.to_thread(ask_now, folder, {"do": "echo", "text": "x"}))["heard"] == "x"
    assert os.stat(folder / control.SOCKET_NAME).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("do", "code", "where"),
    [
        ("refuse", "mistakes", "dns.listen"),
        ("sleep", "timeout", ""),
        ("crash", "internal", ""),
        ("full", "disk", "/var/lib/x"),
        ("nothing", "unknown_request", "do"),
    ],
)
async def test_refusals_have_a_code_and_a_place(tmp_path: Path, do: str, code: str, where: str) -> None:
    """Every failure is an answer with a stable code; details of a crash stay in the log."""
    server = ControlServer(tmp_path, REQUESTS)
    await server.start()
    with pytest.raises(ControlError) as caught:
        await ask(tmp_path, {"do": do})
    assert (caught.value.code, caught.value.where) == (code, where)
    assert "secret" not in str(caught.value)
    await server.stop()


async def test_all_mistakes_are_listed(tmp_path: Path) -> None:
    """A refused file names every mistake, not only the first."""
    server = ControlServer(tmp_path, REQUESTS)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / control.SOCKET_NAME))
    writer.write(b'{"do":"refuse"}\n')
    reply = json.loads(await reader.readline())
    assert [row["path"] for row in reply["error"]["mistakes"]] == ["dns.listen", "cache"]
    for garbage in (b"nonsense\n", b"[1]\n", b'{"do": 5}\n', b"[" * 5000 + b"\n"):
        writer.write(garbage)
        assert json.loads(await reader.readline())["ok"] is False
    writer.write(b'{"do":"echo","text":1}\n')
    assert json.loads(await reader.readline())["heard"] == 1
    writer.close()
    await server.stop()


async def test_long_request_and_many_connections_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size and number are bounded; others go on."""
    monkeypatch.setattr(control, "MOST_REQUEST_BYTES", 1000)
    monkeypatch.setattr(control, "MOST_CONNECTIONS", 3)
    server = ControlServer(tmp_path, REQUESTS)
    await server.start()
    path = str(tmp_path / control.SOCKET_NAME)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * 3000 + b"\n")
    assert json.loads(await reader.readline())["error"]["code"] == "too_long"
    assert await reader.readline() == b""
    writer.close()
    held = [await asyncio.open_unix_connection(path) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(ControlError, match="too many connections"):
        await ask(tmp_path, {"do": "echo"})
    for _, each in held:
        each.close()
    await asyncio.sleep(0.05)
    await ask(tmp_path, {"do": "echo"})
    await server.stop()


async def test_no_gateway_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Nobody listening: code `not_running`, whether the socket is missing or left over."""
    for prepare in (lambda: None, (tmp_path / control.SOCKET_NAME).touch):
        prepare()
        with pytest.raises(ControlError, match="no gateway runs") as caught:
            await ask(tmp_path, {"do": "status"})
        assert caught.value.code == "not_running"


async def test_leftover_socket_is_replaced(tmp_path: Path) -> None:
    """A gateway that was killed leaves its socket; the next one starts."""
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / control.SOCKET_NAME))
    server = ControlServer(tmp_path, REQUESTS)
    await server.start()
    assert (await ask(tmp_path, {"do": "echo"}))["ok"]
    await server.stop()
