"""Which program holds a port, from /proc, so that an error can name it. Any package may import this module.

Linux only; elsewhere, and for programs of other users, the answer is None.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

Protocol = Literal["udp", "tcp"]

_TCP_LISTEN = "0A"
_REMEDIES = {
    "systemd-resolve": "write DNSStubListener=no under [Resolve] in /etc/systemd/resolved.conf and run: systemctl restart systemd-resolved",
    "dnsmasq": "stop it (systemctl disable --now dnsmasq), or give it port=0 so that it only does DHCP",
    "named": "stop it: systemctl disable --now named",
    "unbound": "stop it: systemctl disable --now unbound",
    "connmand": "start it with --nodnsproxy",
    "lachan": "another Lá Chắn runs already; see it with: lachan status",
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A running program that has a port open."""

    pid: int
    program: str

    @property
    def remedy(self) -> str:
        """What to do about it, in one sentence."""
        for known, remedy in _REMEDIES.items():
            if self.program.startswith(known):
                return remedy
        return f"stop it (pid {self.pid}), or choose another port"


def holder_of(protocol: Protocol, port: int, host: str = "", proc: Path = Path("/proc")) -> Holder | None:
    """The program that has `port` open, None when it cannot be told; with `host` the one that is in the way of this address: it has the
    address itself or all of them, not another one (systemd-resolved on 127.0.0.53 holds up nobody on the local network).
    """
    inodes = {row.inode for row in socket_rows(protocol, proc) if row.port == port and _meet(row.local, host)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(os.readlink(entry / "fd" / number) in wanted for number in os.listdir(entry / "fd")):
                return Holder(int(entry.name), _program(entry))
        except OSError:  # gone, or another user's
            continue
    return None


@dataclass(frozen=True, slots=True)
class SocketRow:
    """One line of /proc/net: `drops` counts datagrams lost to a full receive buffer (UDP only), `local` is the address as it stands."""

    port: int
    inode: int
    drops: int
    local: str = ""


def socket_rows(protocol: Protocol, proc: Path = Path("/proc")) -> Iterator[SocketRow]:
    """Bound UDP sockets, or listening TCP sockets, of this network namespace."""
    for family in ("", "6"):
        try:
            lines = (proc / "net" / f"{protocol}{family}").read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or (protocol == "tcp" and fields[3] != _TCP_LISTEN):
                continue
            drops = int(fields[12]) if protocol == "udp" and len(fields) > 12 else 0
            local, _, port = fields[1].rpartition(":")
            yield SocketRow(int(port, 16), int(fields[9]), drops, local)


def _address(text: str) -> str:
    """An address of /proc/net: words of four octets in the machine's order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    found = ip_address(raw)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _meet(local: str, wanted: str) -> bool:
    everything = ("", "0.0.0.0", "::")
    held = "" if wanted in everything else _address(local)
    return held in everything or held == str(ip_address(wanted.partition("%")[0]))


def _program(entry: Path) -> str:
    try:
        arguments = (entry / "cmdline").read_bytes().split(b"\0")
        name = (entry / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "?"
    if any(re.search(rb"(^|/)lachan$", argument) for argument in arguments[:3]) or b"lachan" in arguments[:4]:
        return "lachan"
    return name
