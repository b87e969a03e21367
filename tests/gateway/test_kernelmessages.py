"""The layout of the kernel's headers, judged by the kernel: two datagrams go out by one call and come in by one call."""

from __future__ import annotations

import ctypes
import socket
import sys

import pytest

from gateway.kernelmessages import HEADER, IOVEC, Iovec, Mmsghdr, has_batches


def test_linux_has_batches() -> None:
    """The two calls are there on every Linux this program runs on."""
    assert has_batches() == (sys.platform == "linux")


@pytest.mark.skipif(not has_batches(), reason="needs recvmmsg")
def test_the_kernel_reads_and_fills_the_headers() -> None:
    """Two messages by `sendmmsg`, the same two by `recvmmsg`; the array steps by the size of one header."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        for call, sock, texts in ((libc.sendmmsg, one, (b"ab", b"cde")), (libc.recvmmsg, other, (bytes(8), bytes(8)))):
            buffers = [ctypes.create_string_buffer(text, len(text)) for text in texts]
            headers, iovecs = (Mmsghdr * 2)(), (Iovec * 2)()
            for slot, buffer in enumerate(buffers):
                iovecs[slot].base, iovecs[slot].length = ctypes.addressof(buffer), len(buffer)
                headers[slot].header.iov, headers[slot].header.iov_count = ctypes.addressof(iovecs[slot]), 1
            assert (ctypes.sizeof(headers), ctypes.sizeof(iovecs)) == (2 * HEADER, 2 * IOVEC)
            assert call(sock.fileno(), headers, 2, 0, *((None,) if call is libc.recvmmsg else ())) == 2
            assert [headers[slot].length for slot in range(2)] == [2, 3]
    assert [buffer.raw[:length] for buffer, length in zip(buffers, (2, 3), strict=True)] == [b"ab", b"cde"]
