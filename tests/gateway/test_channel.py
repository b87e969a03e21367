"""The line between supervisor and worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.channel import Channel, Fields
from gateway.errors import ControlError, GenerationError


class Ends:
    """Both ends of a channel and what they heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Fields]] = []
        self.left: Channel
        self.right: Channel

    async def answer(self, do: str, fields: Fields) -> Fields:
        if do == "add":
            return {"sum": fields["a"] + fields["b"]}
        if do == "load":
            raise GenerationError("records.bin", "too short")
        if do == "wait":
            await asyncio.sleep(30)
        raise ValueError("no idea")


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """A connected pair."""
    both = Ends()
    first, second = socket.socketpair()
    both.left = await Channel.open(first, both.answer, lambda event, fields: None)
    both.right = await Channel.open(second, both.answer, lambda event, fields: both.heard.append((event, fields)))
    yield both
    both.left.close()
    both.right.close()
    await both.right.closed


async def test_calls_may_overlap_and_find_their_answers(ends: Ends) -> None:
    """Answers belong to their questions, in whatever order."""
    replies = await asyncio.gather(*(ends.left.call("add", 5, a=number, b=1) for number in range(20)))
    assert [reply["sum"] for reply in replies] == list(range(1, 21))


async def test_messages_arrive_in_order_and_large_ones_whole(ends: Ends) -> None:
    """What is told arrives once, in order, also when it is larger than any buffer."""
    for number in range(3):
        ends.left.tell("counters", number=number, load="x" * 300_000)
    await ends.left.call("add", 5, a=1, b=1)
    assert [(event, fields["number"], len(fields["load"])) for event, fields in ends.heard] == [("counters", n, 300_000) for n in range(3)]


@pytest.mark.parametrize(("do", "code", "where"), [("load", "failed", "records.bin"), ("other", "internal", "")])
async def test_errors_of_the_other_side_are_raised_here(ends: Ends, do: str, code: str, where: str) -> None:
    """A refusal arrives as ControlError with its code and place."""
    with pytest.raises(ControlError) as caught:
        await ends.left.call(do, 5)
    assert (caught.value.code, caught.value.where) == (code, where)


async def test_call_without_answer_ends_in_time(ends: Ends) -> None:
    """A silent worker costs the caller no more than its patience."""
    with pytest.raises(ControlError, match=r"within 0[.]05 s"):
        await ends.left.call("wait", 0.05)


async def test_closed_channel_ends_every_call() -> None:
    """When the other side is gone, waiting calls and new ones fail at once."""
    first, second = socket.socketpair()

    async def never(do: str, fields: Fields) -> Fields:
        raise AssertionError

    channel = await Channel.open(first, never, lambda event, fields: None)
    call = asyncio.ensure_future(channel.call("add", 5))
    await asyncio.sleep(0.01)
    second.close()
    with pytest.raises(ControlError, match="has ended"):
        await call
    with pytest.raises(ControlError, match="has ended"):
        await channel.call("add", 5)
    channel.tell("ignored")


async def test_broken_line_closes_the_channel() -> None:
    """Garbage on the line is the end of it, never a guess."""
    first, second = socket.socketpair()

    async def never(do: str, fields: Fields) -> Fields:
        raise AssertionError

    channel = await Channel.open(first, never, lambda event, fields: None)
    second.sendall(b"{nonsense\n")
    await asyncio.wait_for(channel.closed, 5)
    second.close()
