"""What the QUIC process and a worker say to each other over a Unix socket: one frame for a query, one for its reply, one for the counts.

Each frame is its length (four octets) and that many octets. Both ends run the same version under one supervisor. Pure; imported by
`quic.server` and `listeners.relayed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

LONGEST: Final = 70_000
"""Octets of a frame; more ends the line."""
COUNTS: Final = 0xFFFFFFFF
"""The id of a frame that carries `Counts`."""

_LENGTH: Final = Struct(">I")
_QUERY: Final = Struct(">IBBBBH")
_COUNTS: Final = Struct(">IIII")
_ID: Final = Struct(">I")


class Relayed(NamedTuple):
    """A query on its way to a worker. `id` is the QUIC process's own, `endpoint` the place of its listener in `doq.listen`; `peer` and
    `local` are packed addresses, `local` empty where the listener cannot tell."""

    id: int
    endpoint: int
    peer: bytes
    port: int
    local: bytes
    token: str
    message: bytes


class Counts(NamedTuple):
    """How many connections are open, and how many were refused since the last frame, by budget."""

    connections: int
    refused_all: int
    refused_client: int
    refused_slow: int


def pack_query(query: Relayed) -> bytes:
    """A whole frame."""
    token = query.token.encode("ascii")
    head = _QUERY.pack(query.id, query.endpoint, len(query.peer), len(query.local), len(token), query.port)
    return _framed(head + query.peer + query.local + token + query.message)


def pack_counts(counts: Counts) -> bytes:
    """A whole frame."""
    return _framed(_ID.pack(COUNTS) + _COUNTS.pack(*counts))


def pack_reply(ident: int, reply: bytes) -> bytes:
    """A whole frame; an empty reply says that there will be none."""
    return _framed(_ID.pack(ident) + reply)


def read_request(frame: bytes) -> Relayed | Counts:
    """A frame of the QUIC process. Raises ValueError when it is none."""
    if len(frame) < _ID.size:
        raise ValueError("short frame")
    if _ID.unpack_from(frame)[0] == COUNTS:
        if len(frame) != _ID.size + _COUNTS.size:
            raise ValueError("wrong counts")
        return Counts(*_COUNTS.unpack_from(frame, _ID.size))
    if len(frame) < _QUERY.size:
        raise ValueError("short query")
    ident, endpoint, peer_size, local_size, token_size, port = _QUERY.unpack_from(frame)
    local_at = _QUERY.size + peer_size
    token_at = local_at + local_size
    message_at = token_at + token_size
    peer, local = frame[_QUERY.size : local_at], frame[local_at:token_at]
    if message_at > len(frame) or len(peer) not in (4, 16) or len(local) not in (0, 4, 16):
        raise ValueError("wrong addresses")
    return Relayed(ident, endpoint, peer, port, local, frame[token_at:message_at].decode("ascii"), frame[message_at:])


def read_reply(frame: bytes) -> tuple[int, bytes]:
    """A frame of a worker: whose reply, and the reply. Raises ValueError when it is none."""
    if len(frame) < _ID.size:
        raise ValueError("short frame")
    return _ID.unpack_from(frame)[0], frame[_ID.size :]


def take_frames(buffer: bytearray) -> Iterator[bytes]:
    """The whole frames at the start of `buffer`, taken out of it. Raises ValueError when what stands there cannot be one."""
    start = 0
    try:
        while len(buffer) - start >= _LENGTH.size:
            size = _LENGTH.unpack_from(buffer, start)[0]
            if size > LONGEST:
                raise ValueError("frame too long")
            end = start + _LENGTH.size + size
            if end > len(buffer):
                return
            frame = bytes(buffer[start + _LENGTH.size : end])
            start = end
            yield frame
    finally:
        del buffer[:start]


def _framed(frame: bytes) -> bytes:
    return _LENGTH.pack(len(frame)) + frame
