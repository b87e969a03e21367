"""The frames between the QUIC process and the workers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quic.relay import LONGEST, Counts, Relayed, pack_counts, pack_query, pack_reply, read_reply, read_request, take_frames

ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
QUERIES = st.builds(
    Relayed,
    st.integers(0, 0xFFFFFFF0),
    st.integers(0, 255),
    ADDRESSES,
    st.integers(0, 65_535),
    ADDRESSES | st.just(b""),
    st.text("abcdefghjkmnpqrstuvwxyz23456789-", max_size=63),
    st.binary(max_size=4096),
)
COUNTS = st.builds(Counts, *[st.integers(0, 0xFFFFFFFF)] * 4)


@given(st.lists(QUERIES | COUNTS, max_size=6), st.integers(1, 700))
def test_whatever_is_sent_arrives_in_any_pieces(sent: list[Relayed | Counts], size: int) -> None:
    """Frames come out whole and in order, however the stream was cut."""
    stream = b"".join(pack_query(each) if isinstance(each, Relayed) else pack_counts(each) for each in sent)
    buffer, arrived = bytearray(), []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        arrived += [read_request(frame) for frame in take_frames(buffer)]
    assert arrived == sent and not buffer


@given(st.integers(0, 0xFFFFFFF0), st.binary(max_size=65_535))
def test_replies_too(ident: int, reply: bytes) -> None:
    """An empty one says that there is none."""
    [frame] = take_frames(bytearray(pack_reply(ident, reply)))
    assert read_reply(frame) == (ident, reply)


@given(st.binary(max_size=200))
def test_anything_else_is_a_value_error(junk: bytes) -> None:
    """Nothing but ValueError (or a token that is not ASCII, which is one); what is read is packed the same again."""
    with contextlib.suppress(ValueError):
        read_request(junk)
    with contextlib.suppress(ValueError):
        assert list(take_frames(bytearray(pack_reply(*read_reply(junk))))) == [junk]


def test_frame_that_is_too_long_is_not_waited_for() -> None:
    """A broken length must not make the process collect octets for ever."""
    with pytest.raises(ValueError, match="too long"):
        list(take_frames(bytearray((LONGEST + 1).to_bytes(4, "big"))))
