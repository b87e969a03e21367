"""Giving up root: another user id, and only the two capabilities that opening sockets needs, for as long as it takes.

The user id goes first and the sockets are bound after it, because the kernel lets only sockets of one user share a port
(SO_REUSEPORT), and workers may be replaced later. Linux only (capabilities(7), prctl(2)); elsewhere a program started as root keeps
the classic order and says so. Only the supervisor and what it is made of (`children`, `latecomers`) import
this module.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
import sys

from gateway.errors import StartError

CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12  # SO_RCVBUFFORCE

_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


def switch_user(name: str | None) -> bool:
    """Become `name`, keeping the rights to bind low ports and to size buffers; True when the user id changed.

    Nothing happens when `name` is None or already the user. Raises StartError when the switch is not possible.
    """
    if name is None:
        return False
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StartError(f"dns.user: there is no user {name!r} on this machine: create it, or remove the setting") from None
    if os.geteuid() == entry.pw_uid:
        return False
    if os.geteuid() != 0:
        raise StartError(f"dns.user: only root can become {name!r}: start with sudo, or remove the setting")
    if sys.platform != "linux":
        raise StartError("dns.user works on Linux only: remove the setting")
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups(os.getgrouplist(name, entry.pw_gid))
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _prctl(_PR_SET_KEEPCAPS, 0)
    kept = frozenset({CAP_NET_BIND_SERVICE, CAP_NET_ADMIN})
    try:
        keep_capabilities(kept)
    except OSError:  # a container may hold fewer rights than root usually has
        keep_capabilities(kept & capabilities())
    os.environ["HOME"] = entry.pw_dir
    if not os.access(os.__file__, os.R_OK):
        raise StartError(
            f"dns.user: {name!r} may not read Python in {sys.base_prefix}: install Python for all users (apt install python3), "
            "or remove the setting"
        )
    return True


def keep_capabilities(kept: frozenset[int]) -> None:
    """Hold exactly these capabilities, none inheritable; OSError when one of them is not ours to keep."""
    if sys.platform != "linux":
        return
    mask = sum(1 << number for number in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(struct.pack("=IIIIII", low, low, 0, high, high, 0))
    if _libc().capset(header, sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def capabilities() -> frozenset[int]:
    """The capabilities this process may use (its permitted set)."""
    if sys.platform != "linux":
        return frozenset()
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(24)
    if _libc().capget(header, sets) != 0:
        return frozenset()
    _, low, _, _, high, _ = struct.unpack("=IIIIII", sets.raw[:24])
    mask = low | high << 32
    return frozenset(number for number in range(64) if mask >> number & 1)


def give_up_rights(kept: frozenset[int] = frozenset()) -> None:
    """After the sockets are open: no capability but `kept` is left, and none can be won back through a program file."""
    if sys.platform != "linux" or os.geteuid() == 0:
        return
    keep_capabilities(kept & capabilities() if kept else kept)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise StartError(f"the system refused to change the rights of this process: {os.strerror(number)}")
