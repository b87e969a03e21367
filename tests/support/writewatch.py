"""Watches what runs while a write transaction is open: stretching a password, a PIN or a code there would hold up everybody who writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

from sqlalchemy.ext.asyncio import AsyncConnection

from admin import historybox
from admin.passwords import Passwords
from blocklists.database import Database

_writes: ContextVar[bool] = ContextVar("writes", default=False)


@contextmanager
def nothing_slow_inside_writes(database: Database) -> Iterator[None]:
    """Fails a test that stretches a secret inside a write transaction of this database."""
    write = database.write

    @asynccontextmanager
    async def watched() -> AsyncIterator[AsyncConnection]:
        async with write() as connection:
            _writes.set(True)
            try:
                yield connection
            finally:
                _writes.set(False)

    def outside(act: Callable[..., Any]) -> Callable[..., Any]:  # Any: whatever it is, it is handed on
        def guarded(*given: Any, **named: Any) -> Any:
            assert not _writes.get(), f"{act.__qualname__} inside a write transaction"
            return act(*given, **named)

        return guarded

    with (
        patch.object(database, "write", watched),
        patch.object(historybox, "_stretch", outside(historybox._stretch)),
        patch.object(Passwords, "hash", outside(Passwords.hash)),
        patch.object(Passwords, "verify", outside(Passwords.verify)),
    ):
        yield
