"""The supervisor: owns the sockets, starts and restarts workers, puts generations in force. The composition calls `run`.

    run(settings, prepare, extra_processes=()) -> exit code

* `prepare(occasion)` is a coroutine the composition gives. It is called once at the start (before any worker answers) and for every
  reload (SIGHUP, `reload` on the control socket). It brings files in place and returns what to commit, or raises `SettingsError`
  (or any `LachanError`): then the last good generation stays and the reason is reported.
* `extra_processes` are further children: started after the workers answer, watched, restarted with back-off; their death never
  touches DNS.

`run` must be called in a process without threads (workers are forked) and without a running event loop. It returns when SIGTERM or
SIGINT has been obeyed and everything is drained; it raises `StartError` when the gateway cannot start. Only the composition and
`gateway.__main__` import this module.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import StartError
from gateway.settings import Endpoint, GatewaySettings

Occasion = Literal["start", "reload"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` found.

    `changes`: what to commit (`index`, `catalogue`, `orders`, `policies`, as `gateway.release.commit_generation` takes them), None when
    the generation in force is still right. `settings`: the settings as the file has them now, None when unchanged; what can change
    without a restart is put in force together with the generation. `notes`: sentences for the person who asked.
    """

    changes: Mapping[str, Any] | None = None
    settings: GatewaySettings | None = None
    notes: tuple[str, ...] = ()


Prepare = Callable[[Occasion], Awaitable[Prepared]]


@dataclass(frozen=True, slots=True)
class ExtraProcess:
    """A further child. `run` is called in a fresh fork (no event loop, default signals, no inherited descriptors but 0-2 and the
    sockets of `listen`) and may import what it likes or exec; its return value is the exit status. SIGTERM asks it to stop and SIGKILL
    follows after `stop_seconds`. `listen`: TCP endpoints that the supervisor binds with its rights and hands over, listening, in order."""

    name: str
    run: Callable[[Sequence[socket.socket]], int | None]
    listen: tuple[Endpoint, ...] = field(default=())
    stop_seconds: float = 10.0


def run(settings: GatewaySettings, prepare: Prepare, extra_processes: Sequence[ExtraProcess] = ()) -> int:
    """Run the gateway until it is told to stop; the exit status of the program."""
    raise StartError("the supervisor is not built yet")
