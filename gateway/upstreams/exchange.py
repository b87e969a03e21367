"""One question on its way to the upstreams, and the message that carries it. Imported by this package only.

RFC 6891 (our own OPT, never the client's), 7830 and 8467 (padding towards encrypted upstreams), 5625 (the name goes out as it was asked).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from gateway.query import Answer, Key, Query, name_in
from gateway.wire.constants import UDP_SIZE, Rcode

if TYPE_CHECKING:
    from gateway.upstreams import Evidence, Upstream, UpstreamFailure

OnDone = Callable[["Answer | UpstreamFailure"], None]
OnSlow = Callable[[], None]

HEADERS: Final = tuple(flags + b"\0\1\0\0\0\0\0\1" for flags in (b"\x01\x00", b"\x01\x10"))
"""Behind the id: RD (and CD), one question, one additional record."""
BARE_HEADERS: Final = tuple(flags + b"\0\1\0\0\0\0\0\0" for flags in (b"\x01\x00", b"\x01\x10"))
OPTS: Final = tuple(b"\0\0\x29" + UDP_SIZE.to_bytes(2, "big") + b"\0\0" + flags + b"\0\0" for flags in (b"\0\0", b"\x80\0"))
_PADDED_OPTS: Final = tuple(opt[:-2] for opt in OPTS)
_PADDING_BLOCK: Final = 128
"""RFC 8467 §4.1: block length of padded queries."""


NO_EDNS: Final = Answer(Rcode.FORMERR, False, b"", 0, 0, (), (), ())
"""What a server of before EDNS means by a header alone."""


def is_plain_decline(data: bytes) -> bool:
    """Whether a message is a response of twelve octets, without the question, that says FORMERR or NOTIMP: how servers of RFC 1035 take an
    OPT record (RFC 6891 §7)."""
    return len(data) == 12 and data[2] & 0xF8 == 0x80 and data[3] & 0x0F in (Rcode.FORMERR, Rcode.NOTIMP) and not any(data[4:])


def query_of(key: Key) -> Query:
    """The question of a key, as a plain query of our own."""
    name, qtype = name_in(key), key[-5:-3]
    return Query(0, 0x0100, name, "", int.from_bytes(qtype, "big"), name + qtype + b"\0\1", None)


class Taker(Protocol):
    """Who answers plain questions."""

    def take(self, ask: Any, data: bytes, now: float) -> bool:  # Any: the kind of question that is its own
        """Answer a question with a message that has its id and came where it was sent, from a server that is up; False when it takes an
        exchange to understand it, or whether it matches."""


class Plain(Protocol):
    """A question of one client that is an exchange only when something out of the ordinary happens to it (`gateway.plain`)."""

    @property
    def is_finished(self) -> bool: ...
    @property
    def path(self) -> Taker | None: ...

    key: Key
    question: bytes
    tail: bytes
    started: float
    upstream: Upstream

    def whole(self) -> Exchange:
        """The exchange it is from now on."""


class Exchange:
    """One question under way, whoever waits for it. Owned by the resolver; upstreams read `question`, `tail`, `do`, `is_finished`.

    `question` is what the next attempt sends: first in the letter case of the client, later in lower case, for servers that fold it.
    """

    __slots__ = ("cd", "decliners", "do", "done", "errors", "evidence", "group", "is_bare", "is_finished", "is_lingering", "is_parked",
                 "is_wanted", "key", "open", "question", "sends", "slow", "started", "tail", "tried", "waiters")  # fmt: skip

    def __init__(self, key: Key, query: Query, group: int, started: float, done: OnDone | None) -> None:
        self.key = key
        self.question = question = query.question
        self.do = do = query.do
        self.cd = cd = query.cd
        self.group = group
        self.tail = HEADERS[cd] + question + OPTS[do]
        """The message behind its id."""
        self.started = started
        self.done: OnDone | None = done
        self.waiters: list[OnDone] | None = None
        self.slow: list[OnSlow] | None = None
        self.sends = 0
        self.open = 0
        self.is_bare = False
        self.is_finished = False
        self.is_lingering = False
        self.is_parked = False
        self.is_wanted = False
        self.errors: tuple[tuple[int, str], ...] = ()
        self.tried: tuple[Upstream, ...] = ()
        self.decliners: tuple[Upstream, ...] = ()
        self.evidence: tuple[Evidence, ...] = ()

    def join(self, on_done: OnDone, most: int) -> bool:
        """Have one more wait for the same answer; False when `most` wait behind the first already."""
        if self.done is None:
            self.done = on_done
        elif self.waiters is None:
            self.waiters = [on_done]
        elif len(self.waiters) < most:
            self.waiters.append(on_done)
        else:
            return False
        return True

    path: ClassVar[None] = None
    """Whole questions are answered by their resolver."""

    def whole(self) -> Exchange:
        """Itself."""
        return self

    def fold(self) -> None:
        """Write the next attempt in lower case."""
        lower = name_in(self.key) + self.question[-4:]
        if lower != self.question:
            self.question = lower
            self._compose()

    def drop_edns(self) -> None:
        """Write the next attempt without OPT, for a server that does not know EDNS (RFC 6891 §7)."""
        self.is_bare = True
        self._compose()

    def _compose(self) -> None:
        self.tail = BARE_HEADERS[self.cd] + self.question if self.is_bare else HEADERS[self.cd] + self.question + OPTS[self.do]

    def padded(self) -> bytes:
        """The message behind its id, padded to whole blocks of 128 octets: for encrypted upstreams."""
        if self.is_bare:
            return self.tail
        head = HEADERS[self.cd] + self.question + _PADDED_OPTS[self.do]
        fill = -(2 + len(head) + 2 + 4) % _PADDING_BLOCK
        return head + (fill + 4).to_bytes(2, "big") + b"\0\x0c" + fill.to_bytes(2, "big") + bytes(fill)

    def finish(self) -> None:
        """Let go of everything but what a late answer needs; the exchange stays registered at sockets for a moment."""
        self.is_finished = True
        self.done = None
        self.waiters = None
        self.slow = None
        self.tail = b""
        self.tried = self.decliners = self.evidence = ()
