"""Further children of the supervisor (the pages, the QUIC process): started, watched, restarted with back-off.

Their death never touches DNS. One that is alive and does nothing is noticed by its pulse: told first, ended and started anew later.

Only the supervisor imports this module.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.children import Child, ForkingLoop, describe_exit
from gateway.metrics import PROCESS_RESTARTS, PROCESS_UP
from gateway.settings import Endpoint, GatewaySettings
from gateway.sockets import RELAY_NAME
from gateway.totals import Totals

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
LIVED_SECONDS = 60.0
SILENT_SECONDS = 30.0
"""Without a beat for so long a process does not do its work, and that is said."""
GIVEN_UP_SECONDS = 120.0
"""After so long it is ended, so that the next one may."""
_MOMENT = struct.Struct("d")


class Pulse:
    """The beat of one further process, in memory that it shares with the supervisor: made before the fork, written by the child's loop."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _MOMENT.size)

    def beat(self) -> None:
        """The loop of the child goes round."""
        _MOMENT.pack_into(self._memory, 0, time.monotonic())

    def stop(self) -> None:
        """There is no child, or one that has only just begun."""
        _MOMENT.pack_into(self._memory, 0, 0.0)

    @property
    def has_beaten(self) -> bool:
        """Whether there was a beat since the child began."""
        return bool(_MOMENT.unpack_from(self._memory)[0])

    def silence(self, now: float) -> float:
        """Seconds since the last beat; 0.0 before the first one: a process may take its time to start."""
        (last,) = _MOMENT.unpack_from(self._memory)
        return now - float(last) if last else 0.0


@dataclass(frozen=True, slots=True)
class ExtraProcess:
    """A further child.

    `run` is called in a fresh fork (no event loop, default signals, no inherited descriptors but 0-2 and the sockets of `listen`) and may
    import what it likes or exec; its return value is the exit status. SIGTERM asks it to stop and SIGKILL follows after `stop_seconds`.
    `listen`: TCP endpoints that the supervisor binds with its rights and hands over, listening, in order; connections that come while the
    process is down wait in the kernel. `setting` is the key a person would change when an endpoint is taken.
    """

    name: str
    run: Callable[[Sequence[socket.socket]], int | None]
    listen: tuple[Endpoint, ...] = ()
    stop_seconds: float = 10.0
    setting: str = "listen"
    takes_quic: bool = False
    """Whether it terminates QUIC: the datagram sockets of `doq.listen` follow those of `listen`."""
    pulse: Pulse | None = None
    """Where its loop beats about once a second; None for a process that has no loop."""


@dataclass(slots=True)
class Extra:
    """One place for a further process and whoever fills it."""

    process: ExtraProcess
    sockets: list[socket.socket]
    child: Child | None = None
    restarts: int = 0
    is_silent: bool = False
    is_late: bool = False
    """Whether its sockets are not all open yet: it starts once they are."""
    is_leaving: bool = False
    """Whether it was told to end, for the next one to begin under other settings."""
    keeper: asyncio.Task[None] | None = field(default=None)

    @property
    def pid(self) -> int | None:
        """Process id, None while it is down."""
        return self.child.pid if self.child is not None and not self.child.ended.done() else None

    @property
    def is_at_work(self) -> bool:
        """Whether it runs and, where it has a loop, its loop has gone round since it was started."""
        pulse = self.process.pulse
        return self.pid is not None and not self.is_silent and (pulse is None or pulse.has_beaten)


class Extras:
    """All further processes."""

    def __init__(self, forking: ForkingLoop, totals: Totals, extras: Sequence[Extra]) -> None:
        self.extras = list(extras)
        self._forking = forking
        self._totals = totals
        self._is_stopping = False

    def start(self) -> None:
        """Start all of them that are not late, also after `stop`; returns at once."""
        self._is_stopping = False
        for extra in self.extras:
            self._totals.add(PROCESS_RESTARTS, (extra.process.name,), 0)
            if extra.is_late:
                self._totals.set(PROCESS_UP, (extra.process.name,), 0)
            else:
                extra.keeper = asyncio.create_task(self._keep(extra))

    def take_in(self, sockets: Sequence[socket.socket]) -> None:
        """The late one that has these sockets is late no more: start it."""
        for extra in self.extras:
            if extra.is_late and extra.sockets is sockets:
                extra.is_late = False
                extra.keeper = asyncio.create_task(self._keep(extra))

    def take_in_quic(self, sockets: Sequence[socket.socket]) -> None:
        """The process that terminates QUIC has all its sockets."""
        for extra in self.extras:
            if extra.is_late and extra.process.takes_quic:
                extra.sockets[:] = sockets
                self.take_in(extra.sockets)

    def renew_quic(self, settings: GatewaySettings) -> None:
        """The process that terminates QUIC begins anew under these settings; what comes meanwhile waits in its sockets."""
        for extra in self.extras:
            if extra.process.takes_quic and settings.tls is not None:
                [extra.process] = quic_process(settings)
                if extra.child is not None and extra.pid is not None:
                    extra.is_leaving = True
                    extra.child.signal(signal.SIGTERM)

    def add(self, process: ExtraProcess) -> None:
        """Start one more, which has no sockets, unless one of this name is there already."""
        if self._is_stopping or any(extra.process.name == process.name for extra in self.extras):
            return
        extra = Extra(process, [])
        self.extras.append(extra)
        self._totals.add(PROCESS_RESTARTS, (process.name,), 0)
        extra.keeper = asyncio.create_task(self._keep(extra))

    def check_silence(self, now: float) -> None:
        """Tell of processes that do not beat any more, and end those that have been silent for long; `now` in monotonic seconds."""
        for extra in self.extras:
            if extra.process.pulse is None or extra.child is None or extra.pid is None:
                continue
            silence, name = extra.process.pulse.silence(now), extra.process.name
            if silence > SILENT_SECONDS and not extra.is_silent:
                log.error("process does not answer", extra={"event": "process.silent", "child": name, "seconds": round(silence)})
            elif extra.is_silent and silence <= SILENT_SECONDS:
                log.warning("process answers again", extra={"event": "process.back", "child": name})
            if extra.is_silent is not (silence > SILENT_SECONDS):
                extra.is_silent = not extra.is_silent
                self._totals.set(PROCESS_UP, (name,), 0 if extra.is_silent else 1)
            if silence > GIVEN_UP_SECONDS:
                extra.child.signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask all of them to stop and wait until they have."""
        self._is_stopping = True
        await asyncio.gather(*(extra.child.stop(extra.process.stop_seconds) for extra in self.extras if extra.child is not None))
        keepers = [extra.keeper for extra in self.extras if extra.keeper is not None]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for extra in self.extras:
            self._totals.set(PROCESS_UP, (extra.process.name,), 0)

    async def _keep(self, extra: Extra) -> None:
        name, pause = extra.process.name, 0.0
        keep = [each.fileno() for each in extra.sockets]
        while not self._is_stopping:
            started = time.monotonic()
            extra.is_silent = False
            if extra.process.pulse is not None:
                extra.process.pulse.stop()
            try:
                extra.child = await self._forking.fork(name, lambda: extra.process.run(extra.sockets), keep)
                self._totals.set(PROCESS_UP, (name,), 1)
                how = describe_exit(await asyncio.shield(extra.child.ended))
            except Exception as error:  # whatever it is, the process is tried again
                log.exception("process not started", extra={"event": "process.failed", "child": name})
                how = str(error)
            self._totals.set(PROCESS_UP, (name,), 0)
            if self._is_stopping:
                return
            if extra.is_leaving:
                extra.is_leaving = False
                continue
            extra.restarts += 1
            self._totals.add(PROCESS_RESTARTS, (name,))
            pause = FIRST_PAUSE if time.monotonic() - started >= LIVED_SECONDS else min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            log.error("process ended", extra={"event": "process.ended", "child": name, "how": how, "again_in": pause})
            await asyncio.sleep(pause)


def quic_process(settings: GatewaySettings) -> list[ExtraProcess]:
    """The process that terminates QUIC, where the settings want it."""
    if settings.doq is None:
        return []

    def serve(sockets: Sequence[socket.socket]) -> int:
        from gateway.quic.process import run

        return run(settings, settings.state_dir / RELAY_NAME, sockets)

    return [ExtraProcess("doq", serve, takes_quic=True, stop_seconds=5.0)]
