"""A DoH connection without a socket, for tests of what speaks HTTP on it: octets in, octets and questions out."""

from __future__ import annotations

from collections.abc import Callable

from gateway.listeners.http import Ask, Refusal, Target, read_target


class Owner:
    """What `http1` and `http2` see of their connection. `asked` are the requests; `answer` says at once what each gets, None for later."""

    def __init__(self, answer: Callable[[Ask], bytes | None] = lambda ask: ask.message) -> None:
        self.answer = answer
        self.asked: list[tuple[int, Ask | Refusal]] = []
        self.sent: list[bytes] = []
        self.refused: list[str] = []
        self.blocks: dict[tuple[int, int], bytes] = {}
        self.time = 100.0
        self.is_closed = False
        self.turns = 0
        self.speaker: object = None
        self._later: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def send(self, data: bytes) -> None:
        if data:
            self.sent.append(data)

    def take(self) -> bytes:
        """Everything sent since the last call."""
        sent, self.sent = self.sent, []
        return b"".join(sent)

    def read_target(self, path: bytes) -> Target | None:
        return read_target(path.decode("ascii", "replace"), "/dns-query")

    def ask(self, stream: int, ask: Ask | Refusal) -> None:
        self.asked.append((stream, ask))
        if isinstance(ask, Refusal):
            self.speaker.respond(stream, ask.status, [], b"")  # type: ignore[attr-defined]
        elif (reply := self.answer(ask)) is not None:
            self.speaker.respond(stream, 200, [], reply)  # type: ignore[attr-defined]

    def later(self, work: Callable[[], None]) -> None:
        self._later.append(work)

    def turn(self) -> None:
        """The loop comes round."""
        work, self._later = self._later, []
        for each in work:
            each()

    def go_on(self) -> None:
        self.turns += 1

    def close(self) -> None:
        self.is_closed = True

    def refuse(self, budget: str) -> None:
        self.refused.append(budget)
