"""Giving our place to a successor (`succession`), taking everything up again when nothing comes of it. Only the supervisor imports this.

Whatever the successor does, our workers answer until somebody else's do: they are never stopped because it says nothing, because somebody
else has the lock of the state directory, or because a step here fails. What is not as it should be is told: by the status page, which
stays ours until the successor answers, and in the log, again and again.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.control import ControlServer, ask
from gateway.errors import ControlError, LachanError, StartError
from gateway.extras import Extras
from gateway.standing import Standing
from gateway.statelock import StateLock
from gateway.statuspage import StatusServer
from gateway.succession import give, has_given_up, hear_done, hear_go
from gateway.switch import Generations

REMIND_SECONDS = 60.0
"""How often the log is told that we still wait."""
QUICK_TRIES = 50
QUICK_PAUSE = 0.1
PAUSE = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Leaving:
    """What belongs to the place that is given away. `sockets`: whatever is listened on."""

    state_dir: Path
    lock: StateLock
    standing: Standing
    generations: Generations
    control: ControlServer
    pages: StatusServer | None
    extras: Extras
    sockets: Sequence[socket.socket]

    async def leave(self, line: socket.socket) -> bool:
        """Hand everything over; True once somebody else answers in our place, False when we have it again. The caller sees to it that
        nothing is put in force meanwhile."""
        with line:
            if not await hear_go(line) or has_given_up(line):
                return False
            self.standing.phase = "leaving"
            log.info("handing over", extra={"event": "leave.begin"})
            try:
                await self.extras.stop()
                await self.control.stop()
                self.lock.close()
                await give(line, self.sockets)
                if await self._wait(line):
                    log.info("handed over", extra={"event": "leave.done"})
                    await self._end_pages()
                    return True
            except Exception as error:
                log.exception("handing over failed", extra={"event": "leave.broken", "reason": str(error)})
        return await self._take_up_again()

    async def _wait(self, line: socket.socket) -> bool:
        """Whether the successor came to answer: as long as it neither says so nor ends, we wait."""
        began = time.monotonic()
        hearing = asyncio.ensure_future(hear_done(line))
        try:
            while not (await asyncio.wait([hearing], timeout=REMIND_SECONDS))[0]:
                waited = round(time.monotonic() - began)
                self.standing.trouble = (
                    f"the new gateway has not answered for {waited} s: this one goes on answering names, with the policy of before; its "
                    "pages and jobs wait. If nothing comes of it, end the new one"
                )
                log.error("the new gateway does not answer", extra={"event": "leave.waiting", "seconds": waited})
            return hearing.result()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            self.standing.trouble = ""

    async def _take_up_again(self) -> bool:
        """Be what we were; True when another gateway answers in our place after all."""
        reason = "the new gateway ended before it answered: this one goes on"
        log.error(reason, extra={"event": "leave.failed"})
        if not await self._lock_again():
            await self._end_pages()
            return True
        told = -REMIND_SECONDS
        while (trouble := await self._show_again()) is not None:
            self.standing.trouble = trouble
            if time.monotonic() - told >= REMIND_SECONDS:
                told = time.monotonic()
                log.error("not taken up again yet", extra={"event": "leave.stuck", "reason": trouble})
            await asyncio.sleep(PAUSE)
        self.standing.trouble = ""
        self.extras.start()
        self.standing.phase = "running"
        self.standing.notes = (*self.standing.notes, reason)
        log.info("taken up again", extra={"event": "leave.again"})
        return False

    async def _lock_again(self) -> bool:
        """Have the state directory again, however long that takes; False when another gateway that answers everything we do has it."""
        tries, told = 0, -REMIND_SECONDS
        while True:
            try:
                self.lock.take()
                return True
            except StartError as error:
                self.standing.trouble = f"{error}; this gateway goes on answering names, with the policy of before; its pages and jobs wait"
                tries += 1
                if tries < QUICK_TRIES:
                    await asyncio.sleep(QUICK_PAUSE)
                    continue
                if await self._is_replaced():
                    log.error("another gateway answers here", extra={"event": "leave.replaced", "reason": str(error)})
                    return False
                if time.monotonic() - told >= REMIND_SECONDS:
                    told = time.monotonic()
                    log.error("somebody else has the state directory", extra={"event": "leave.locked_out", "reason": str(error)})
                await asyncio.sleep(PAUSE)

    async def _is_replaced(self) -> bool:
        """Whether a gateway of this state directory answers at every address of ours (sockets of a service manager are shared)."""
        try:
            status = await ask(self.state_dir, {"do": "status"}, 2.0)
            theirs = {(row["transport"], row["address"]) for row in status["listen"]}
        except (ControlError, KeyError, TypeError):
            return False
        ours = {(kind, str(endpoint)) for kind, endpoint in self.standing.sockets.endpoints()}
        return status.get("state") == "ready" and ours <= theirs

    async def _show_again(self) -> str | None:
        """Say on disk what is in force, and answer on the control socket; why that does not work, None when it does."""
        try:
            self.generations.write_down()
            if not self.control.is_open:
                await self.control.start()
        except (LachanError, OSError) as error:
            return f"{error}; this gateway goes on answering names, with the policy of before; its pages and jobs wait"
        return None

    async def _end_pages(self) -> None:
        if self.pages is not None:
            await self.pages.stop()
