"""What the supervisor can see of the machine: disk, clock, memory, receive buffers. Nobody else imports this module.

Everything here may fail on some system; a value that cannot be had is left out, never guessed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.clock import JumpWatch, is_synchronised
from gateway.holders import socket_rows
from gateway.metrics import CLOCK_JUMPS, CLOCK_SYNCHRONISED, DISK_FREE, DISK_SIZE, MEMORY, RECEIVE_DROPS, STATE_WRITABLE, WALL_TIME
from gateway.sockets import ListeningSockets
from gateway.totals import Totals

log = logging.getLogger(__name__)


class DropWatch:
    """Datagrams lost to full receive buffers since the start, from /proc/net/udp: the sockets live as long as the supervisor."""

    def __init__(self, sockets: ListeningSockets) -> None:
        self._inodes = {os.fstat(each.socket.fileno()).st_ino for each in sockets.all() if each.is_datagram}
        self._before = self._read()

    def new_drops(self) -> int:
        """Drops since the last call."""
        now = self._read()
        new, self._before = max(0, now - self._before), now
        return new

    def _read(self) -> int:
        return sum(row.drops for row in socket_rows("udp") if row.inode in self._inodes)


def take_pulse(totals: Totals, state_dir: Path, jumps: JumpWatch, drops: DropWatch) -> None:
    """Once every few seconds: disk, clock, drops."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(state_dir)
        totals.set(DISK_FREE, (), disk.f_bavail * disk.f_frsize)
        totals.set(DISK_SIZE, (), disk.f_blocks * disk.f_frsize)
    totals.set(STATE_WRITABLE, (), 1 if is_writable(state_dir) else 0)
    totals.set(WALL_TIME, (), time.time())
    step = jumps.check()
    if step:
        totals.add(CLOCK_JUMPS)
        log.warning("the clock jumped; schedules follow it", extra={"event": "clock.jump", "seconds": round(step, 1)})
    synchronised = is_synchronised()
    if synchronised is not None:
        totals.set(CLOCK_SYNCHRONISED, (), 1 if synchronised else 0)
    totals.add(RECEIVE_DROPS, (), drops.new_drops())


def weigh(totals: Totals, processes: Mapping[str, int]) -> None:
    """Memory of each process (name → pid), read when somebody asks for the metrics."""
    totals.replace(MEMORY, {(name,): float(size) for name, pid in processes.items() if (size := memory_of(pid))})


def memory_of(pid: int) -> int:
    """Proportional memory of a process in bytes; its resident memory where the kernel does not tell; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return 0


def is_writable(folder: Path) -> bool:
    """Whether a small file can be written there and reaches the disk."""
    probe = folder / ".writable"
    try:
        try:
            with probe.open("wb") as file:
                file.write(b"lachan\n" * 64)
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        return False
    return True
