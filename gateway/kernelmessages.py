"""The kernel's message headers as recvmmsg(2) and sendmmsg(2) take them. Linux. Imported by the batches of listeners and upstreams."""

from __future__ import annotations

import ctypes
import sys
from typing import Final


class Iovec(ctypes.Structure):
    """`struct iovec`: where the octets of a message lie, and how many."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    """`struct msghdr`: address, octets and control messages of one message."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Mmsghdr(ctypes.Structure):
    """`struct mmsghdr`: a message, and the octets the kernel moved for it."""

    _fields_ = (("header", Msghdr), ("length", ctypes.c_uint32))


HEADER: Final = ctypes.sizeof(Mmsghdr)
IOVEC: Final = ctypes.sizeof(Iovec)
WORD: Final = ctypes.sizeof(ctypes.c_size_t)


def has_batches() -> bool:
    """Whether this system has recvmmsg and sendmmsg."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "recvmmsg")
