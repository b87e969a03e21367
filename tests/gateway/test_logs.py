"""Log lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
from collections.abc import Iterator

import pytest

from gateway import logs


@pytest.fixture(autouse=True)
def keep_root() -> Iterator[None]:
    """The root logger as it was."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    loggers = [root, *map(logging.getLogger, ("gateway", "blocklists", "admin", "lachan", "asyncio"))]
    levels = [each.level for each in loggers]
    yield
    root.handlers[:] = handlers
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


def written(form: str, *arguments: object, **extra: object) -> str:
    stream = io.StringIO()
    logs.set_up(stream, form=form, level="info")
    logging.getLogger("gateway.part").warning(*arguments, extra=extra)  # type: ignore[arg-type]
    return stream.getvalue()


def test_json_line_has_time_level_event_and_fields() -> None:
    """One object a line; extras are fields; numbers stay numbers."""
    line = json.loads(written("json", "worker ended", event="worker.ended", worker=1, how="killed by SIGKILL"))
    assert line["time"].endswith("Z")
    assert (line["level"], line["event"], line["message"], line["worker"], line["how"]) == (
        "warning",
        "worker.ended",
        "worker ended",
        1,
        "killed by SIGKILL",
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_hostile_text_stays_on_its_line(form: str) -> None:
    """Line ends, escape sequences and bells of others cannot forge or colour a line; long text is cut."""
    text = written(form, "bad %s", 'x\n{"level":"info"}\x1b[31m\x07', event="e", reason="y\r\n" * 5000)
    assert text.count("\n") == 1 or form == "text"
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text) < 9000


async def test_client_that_broke_off_fills_no_log() -> None:
    """asyncio has a line for each write to a connection that is gone; other warnings of it are written."""
    stream = io.StringIO()
    logs.set_up(stream, form="json", level="info")
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    theirs.close()
    for _ in range(20):
        transport.write(b"reply")
    transport.abort()
    logging.getLogger("asyncio").warning("something else")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["something else"]


def test_exceptions_are_logged_whole() -> None:
    """A crash keeps its traceback, inside the same record."""
    stream = io.StringIO()
    logs.set_up(stream, form="json")
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    line = json.loads(stream.getvalue())
    assert "RuntimeError: on purpose" in line["exception"]


def test_level_and_form_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """LACHAN_LOG_LEVEL and LACHAN_LOG_FORMAT decide where nothing else does."""
    monkeypatch.setenv("LACHAN_LOG_LEVEL", "error")
    monkeypatch.setenv("LACHAN_LOG_FORMAT", "json")
    stream = io.StringIO()
    logs.set_up(stream)
    logging.getLogger("x").warning("quiet")
    logging.getLogger("x").error("loud")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize(("level", "own", "library"), [("debug", True, False), ("info", False, False), ("error", False, False)])
def test_level_is_for_our_own_packages(level: str, own: bool, library: bool) -> None:
    """At debug a database's driver would write down names of children, hashes and keys: libraries speak from warning on."""
    stream = io.StringIO()
    logs.set_up(stream, form="json", level=level)
    for name in ("gateway.part", "admin.part", "blocklists.part", "lachan.part"):
        logging.getLogger(name).debug("ours")
    for name in ("aiosqlite", "sqlalchemy.engine", "asyncpg", "hpack", "httpx", "asyncio", "alembic.runtime"):
        logging.getLogger(name).debug("theirs")
        logging.getLogger(name).info("theirs")
    assert ("ours" in stream.getvalue(), "theirs" in stream.getvalue()) == (own, library)
    logging.getLogger("aiosqlite").warning("theirs")
    assert ("theirs" in stream.getvalue()) == (level != "error")
