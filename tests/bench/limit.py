"""The floor that Python itself sets: what every program in Python pays for a known name over UDP, and nothing beside it.

    python -m tests.bench.limit PORT

The batches of `gateway.listeners.batch`, laid out alike, one look-up by source and one by what was asked, the reply written over the query.
No event loop, no expiry, no counting, no rate limit, no policy: what lies between this and ours is ours, what lies between the C program
(`limit.c`) and this is Python's. A question seen for the first time gets an address and is kept. Loopback only; ends with its parent.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import sys

from gateway.kernelmessages import HEADER, IOVEC
from gateway.listeners.batch import SLOTS, _Ring

WAIT_FOR_ONE = 0x10000
RECORD = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1"
PR_SET_PDEATHSIG = 1


def serve(sock: socket.socket) -> None:
    """Answer for ever."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    receive, send, fd = libc.recvmmsg, libc.sendmmsg, sock.fileno()
    ring = _Ring(socket.AF_INET, False)
    memory, pointer = ring.memory, ring.pointer
    headers, iovecs = ring.fresh_headers, ring.fresh_iovecs
    iovecs_at, sizes = ring.iovecs_at, ring.sizes
    records: dict[bytes, dict[bytes, bytes]] = {}
    answers: dict[bytes, bytes] = {}
    find = records.get
    dirty = SLOTS
    while True:
        memory[: dirty * HEADER] = headers[: dirty * HEADER]
        memory[iovecs_at : iovecs_at + dirty * IOVEC] = iovecs[: dirty * IOVEC]
        dirty = count = receive(fd, pointer, SLOTS, WAIT_FOR_ONE, None)
        if count <= 0:
            dirty = SLOTS
            continue
        for slot, key, base, length in zip(range(count), ring.keys, ring.bases, ring.lengths[:count].tolist(), strict=False):
            base += 2
            record = find(memory[key])
            raw = memory[base : base + length - 2]
            reply = record.get(raw) if record is not None else None
            if reply is None:
                records.setdefault(memory[key], answers)
                reply = answers[raw] = b"\x81\x80\0\1\0\1\0\0\0\0" + raw[10:] + RECORD
            end = base + len(reply)
            memory[base:end] = reply
            sizes[slot] = end - base + 2
        send(fd, pointer, count, 0)


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        listening.bind(("127.0.0.1", int(sys.argv[1])))
        serve(listening)
