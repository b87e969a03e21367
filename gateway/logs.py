"""Logs of the data plane: one JSON object a line on standard error, lower case, one event name each, no query names, no client addresses.

A record is made with `log.info("words", extra={"event": "part.what", …})`; the extras become fields. `set_up` is called once by the
composition; any package may import this module.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import IO

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN_PACKAGES = ("gateway", "blocklists", "admin", "lachan")
_MOST_TEXT = 2000
_ABOUT_A_CLIENT = frozenset({"socket.send() raised exception.", "SSL connection is closed"})


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Control characters cannot break the line, long texts are cut."""

    def format(self, record: logging.LogRecord) -> str:
        """logging's callback."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": _cut(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name not in _OWN and name not in fields:
                fields[name] = value if isinstance(value, int | float | bool | None) else _cut(str(value))
        fields["pid"] = record.process
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = _cut(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False, default=str)


class PlainFormatter(logging.Formatter):
    """A record as a line for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """logging's callback."""
        extras = " ".join(
            f"{name}={_cut(str(value))!s}"
            for name, value in record.__dict__.items()
            if name not in _OWN and name != "event" and value != ""
        )
        line = f"{record.levelname.lower():7} {record.getMessage()}{'  ' + extras if extras else ''}"
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in line)


def set_up(stream: IO[str] | None = None, *, form: str | None = None, level: str | None = None) -> None:
    """Send every log record of the program to `stream` (standard error).

    `form`: `json`, `text`, or None for `LACHAN_LOG_FORMAT` and else text on a terminal, JSON anywhere else. `level`: None for
    `LACHAN_LOG_LEVEL` and else `info`; it is for our own packages. Libraries speak from `warning` on: at `debug` a database's driver would
    write down each value that is stored.
    """
    stream = stream or sys.stderr
    form = form or os.environ.get("LACHAN_LOG_FORMAT") or ("text" if stream.isatty() else "json")
    level = level or os.environ.get("LACHAN_LOG_LEVEL") or "info"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter() if form == "text" else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    number = getattr(logging, level.upper(), logging.INFO)
    root.setLevel(max(number, logging.WARNING))
    for name in _OWN_PACKAGES:
        logging.getLogger(name).setLevel(number)
    logging.getLogger("asyncio").addFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Not what asyncio says for each write to a client that broke off: anybody could fill the disk with it."""
    return record.msg not in _ABOUT_A_CLIENT


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…"
