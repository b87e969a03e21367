"""How queries come in and replies go out: one file per kind of socket, all with the same face. The worker opens them; nothing else imports
them.

A listener turns octets into (message, `Origin`) and hands them to its `Front`, the pipeline. It keeps no policy and judges nothing. After
each receive, before anything is answered, it calls `Front.begin`, so that no reply mixes two generations. `batch` and `udp` serve datagrams
(`batch` where the system has recvmmsg), `stream` serves TCP and TLS.

To add a kind: a file with a class that satisfies `Listener`, opened by the worker's composition.

RFC 1035 §4.2, 5358, 6891 §6.2.3 (never fragment on purpose), 7766, 9210, 9715.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from gateway.answers import Entry
from gateway.clients import Record
from gateway.query import Origin

if TYPE_CHECKING:
    from gateway.plain import Late, PlainAsk


class Pending(enum.Enum):
    """The reply is not ready; it goes to `Origin.send` later."""

    PENDING = "pending"


PENDING = Pending.PENDING


class Front(Protocol):
    """What a listener gives queries to. Nothing here raises for any message."""

    def begin(self) -> int:
        """Called after each receive: follow the shared word, cross schedule boundaries. The monotonic second, for `Entry.second`."""

    def touch(self, record: Record, entry: Entry, raw: bytes, second: int) -> bytes | None:
        """A hit that was not rendered this second, or that has to be noted: the reply behind its id; None when the entry is no longer
        good.
        """

    def ask_plain(self, raw: bytes, record: Record, listener: Late) -> PlainAsk | None:
        """Ask the upstreams for an ordinary query (behind its id) of a client that has paid for it; the listener adds its id and handle.
        None for every other query: `answer_now` has it then.
        """

    def answer_now(self, data: bytes, origin: Origin) -> bytes | Pending | None:
        """The reply to a message, None for silence, PENDING when it comes later."""


class Listener(Protocol):
    """One socket that is being served."""

    def open(self) -> None:
        """Begin to read."""

    def stop(self) -> None:
        """Read nothing more; what is under way is still answered."""

    def close(self) -> None:
        """Close everything at once."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way (asked after `stop`)."""
