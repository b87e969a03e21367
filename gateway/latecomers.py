"""Endpoints that cannot be opened when the gateway starts (the pages, the metrics, DoT, DoH, DoQ, one of several plain ones): somebody else
has the port, or the address is not there yet. Names are answered meanwhile, it is said, and they are tried again. Only the supervisor
imports this module.

Whoever starts the program by hand is told at once instead (`is_patient` is False): a port that is taken ends the start with one sentence.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gateway.errors import StartError
from gateway.privileges import CAP_NET_BIND_SERVICE, give_up_rights
from gateway.settings import Endpoint
from gateway.sockets import ListeningSockets, open_missing

RETRY_SECONDS = 3.0
LATE = (
    "CHƯA MỞ ĐƯỢC {setting}, sẽ thử lại vài giây một lần, DNS vẫn trả lời / {setting} is not open yet, tried again every few seconds"
    " and DNS answers meanwhile: {reason}"
)
_LOWEST_FREE_PORT = 1024
_Opened = TypeVar("_Opened")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """Endpoints that one process needs together. `sockets` grows in their order and ends with those of `behind`, opened elsewhere."""

    setting: str
    missing: list[Endpoint]
    behind: Sequence[socket.socket] = ()
    sockets: list[socket.socket] = field(default_factory=list)
    reason: str = ""
    """Why it is late; empty when everything is open."""
    opens: Callable[[Endpoint], None] | None = None
    """Opens an endpoint for the workers, whose sockets are kept elsewhere."""

    def close(self) -> None:
        """Close what is open (this process only)."""
        for each in self.sockets:
            each.close()


class Latecomers:
    """Opens places, and knows those that wait. `opening` opens one endpoint and raises StartError."""

    def __init__(self, opening: Callable[[Endpoint, str], socket.socket], *, is_patient: bool) -> None:
        self._opening = opening
        self._is_patient = is_patient
        self.late: list[Place] = []

    def open(self, setting: str, endpoints: Sequence[Endpoint], behind: Sequence[socket.socket] = ()) -> Place:
        """A place with its sockets, or one that is late. Raises StartError where nobody waits; nothing of it is left open then."""
        place = Place(setting, list(endpoints), behind)
        try:
            self._try(place)
        except StartError as error:
            if not self._is_patient:
                place.close()
                raise
            self._wait(place, str(error))
        return place

    def add(self, sockets: ListeningSockets) -> None:
        """What the workers miss is late, too."""
        for setting, endpoint, reason in sockets.missing:
            self._wait(Place(setting, [endpoint], opens=partial(open_missing, sockets, setting)), reason)

    def is_late(self, setting: str) -> bool:
        """Whether anything of this setting is not open yet."""
        return any(place.setting == setting for place in self.late)

    def give_up_rights(self) -> None:
        """Of the rights of a start only those stay that a low port which is late still needs."""
        is_low = any(each.port < _LOWEST_FREE_PORT for place in self.late for each in place.missing)
        give_up_rights(frozenset({CAP_NET_BIND_SERVICE}) if is_low else frozenset())

    async def arrivals(self) -> AsyncIterator[Place]:
        """Each late place as soon as it is open; ends when none is late any more."""
        while self.late:
            await asyncio.sleep(RETRY_SECONDS)
            for place in tuple(self.late):
                try:
                    self._try(place)
                except (StartError, OSError) as error:
                    place.reason = str(error)
                    continue
                place.reason = ""
                self.late.remove(place)
                self.give_up_rights()
                log.warning("open now", extra={"event": "listen.open", "setting": place.setting})
                yield place

    def sentences(self) -> list[str]:
        """What is late and why, for whoever asks how the gateway is."""
        return [LATE.format(setting=place.setting, reason=place.reason) for place in self.late]

    def _wait(self, place: Place, reason: str) -> None:
        place.reason = reason
        self.late.append(place)
        log.warning("not open yet", extra={"event": "listen.late", "setting": place.setting, "reason": reason})

    def _try(self, place: Place) -> None:
        while place.missing:
            if place.opens is not None:
                place.opens(place.missing[0])
            else:
                place.sockets.append(self._opening(place.missing[0], place.setting))
            place.missing.pop(0)
        place.sockets.extend(place.behind)


def open_by(moment: float, opening: Callable[[], _Opened]) -> _Opened:
    """Open something, again and again until this moment (monotonic seconds). Raises StartError."""
    while True:
        try:
            return opening()
        except StartError:
            if time.monotonic() >= moment:
                raise
            time.sleep(0.1)
