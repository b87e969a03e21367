"""Telling systemd how we are (sd_notify(3)) and taking the sockets it passes (sd_listen_fds(3)).

Outside systemd every function is a quiet no-op. Only the supervisor imports this module.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

FIRST_PASSED = 3
PATIENCE_SECONDS = 0.5
ALIVE = ("WATCHDOG=1",)


class ServiceNotifier:
    """The line to the service manager; silent when there is none."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._path = environment.pop("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _watchdog(environment)

    @property
    def is_on(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._path)

    def send(self, *lines: str) -> None:
        """Send state lines such as `READY=1`. Errors are ignored and a manager that does not read is not waited for for long: it must
        never hold up the gateway."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(0.0 if lines == ALIVE else PATIENCE_SECONDS)
            line.sendto("\n".join(lines).encode(), address)

    def ready(self, status: str) -> None:
        """Everything answers."""
        self.send("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """A new generation is being prepared; `ready` ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self.send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self.send(*ALIVE)


def passed_sockets(environment: MutableMapping[str, str], pid: int) -> list[socket.socket]:
    """Sockets the service manager opened for us, in order; the variables are taken out so that children do not believe in them."""
    count, owner = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or owner != str(pid):
        return []
    sockets = []
    for number in range(FIRST_PASSED, FIRST_PASSED + min(int(count), 1024)):
        os.set_inheritable(number, False)
        sockets.append(socket.socket(fileno=number))
    return sockets


def _watchdog(environment: MutableMapping[str, str]) -> float:
    microseconds, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not microseconds.isdigit() or owner not in ("", str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6
