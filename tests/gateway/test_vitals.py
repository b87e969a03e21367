"""What the supervisor sees of the machine."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from gateway import vitals
from gateway.clock import JumpWatch
from gateway.metrics import CLOCK_JUMPS, DISK_FREE, DISK_SIZE, MEMORY, RECEIVE_DROPS, STATE_WRITABLE, WALL_TIME
from gateway.settings import Endpoint
from gateway.sockets import Listening, ListeningSockets
from gateway.totals import Totals
from gateway.vitals import DropWatch, is_writable, memory_of, take_pulse, weigh


def test_pulse_fills_the_gauges(tmp_path: Path) -> None:
    """Disk, clock and writability are there after one pulse."""
    totals = Totals()
    take_pulse(totals, tmp_path, JumpWatch(), DropWatch(ListeningSockets([])))
    assert 0 < totals.value(DISK_FREE) <= totals.value(DISK_SIZE)
    assert totals.value(STATE_WRITABLE) == 1
    assert totals.value(WALL_TIME) == pytest.approx(time.time(), abs=2)
    assert totals.value(CLOCK_JUMPS) == 0


def test_lost_datagrams_are_counted() -> None:
    """What the kernel drops on a full buffer of one of our sockets is counted, on others not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        ours.bind(("127.0.0.1", 0))
        watch = DropWatch(ListeningSockets([[Listening("udp", Endpoint("127.0.0.1", 0), ours)]]))
        for _ in range(50):
            client.sendto(b"x" * 200, ours.getsockname())
        assert watch.new_drops() > 10
        assert watch.new_drops() == 0
        totals = Totals()
        take_pulse(totals, Path("/"), JumpWatch(), watch)
        assert totals.value(RECEIVE_DROPS) == 0


def test_memory_of_processes_is_weighed() -> None:
    """A living process has memory, a gone one has no series."""
    totals = Totals()
    weigh(totals, {"supervisor": os.getpid(), "gone": 2**22 + 1})
    assert totals.value(MEMORY, ("supervisor",)) > 5_000_000
    assert 'process="gone"' not in totals.expose().decode()
    assert memory_of(2**22 + 1) == 0


def test_full_disk_is_told(tmp_path: Path) -> None:
    """A directory that takes no file is not writable; the probe leaves nothing behind."""
    assert is_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not is_writable(tmp_path / "missing")


def test_synchronisation_is_a_fact_or_unknown() -> None:
    """The kernel says yes or no, or may not be asked; never an exception."""
    assert vitals.is_synchronised() in (True, False, None)
