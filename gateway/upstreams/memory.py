"""What the resolver remembers of names that servers would not answer. Imported by `selector` only. No I/O, no clock: monotonic seconds come
as arguments."""

from __future__ import annotations

from typing import Final

from gateway.query import Key, name_in

MOST: Final = 512
"""Names, and zones, that are remembered."""
BLOCK_MEMORY: Final = 300.0
PARDON: Final = 10.0
"""For so long a zone that troubled a server troubles it no further."""


class Refusals:
    """When each name was refused first, by everybody who was asked. A server that limits how often it is asked refuses as well, so only a
    name that is refused again, while others were answered between, is one that the server blocks."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[Key, float] = {}

    def since(self, key: Key, now: float) -> float | None:
        """When this name was refused first, None when it was not, or long ago; from now on it was."""
        first = self._first.get(key)
        if first is not None and now - first < BLOCK_MEMORY:
            return first
        _put(self._first, key, now)
        return None


class Troubles:
    """Zones whose names a server could not answer though another could: many broken names of one zone say nothing about the server."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[bytes, float] = {}

    def is_news(self, key: Key, now: float) -> bool:
        """Whether the zone of this name (its last two labels) troubled nobody lately."""
        zone = zone_of(name_in(key))
        if now - self._last.get(zone, float("-inf")) < PARDON:
            return False
        _put(self._last, zone, now)
        return True


def zone_of(name: bytes) -> bytes:
    """The last two labels of a name in wire form."""
    starts = []
    at = 0
    while at < len(name) and name[at]:
        starts.append(at)
        at += name[at] + 1
    return name[starts[-2] :] if len(starts) > 1 else name


def _put(memory: dict[bytes, float], key: bytes, now: float) -> None:
    memory.pop(key, None)
    if len(memory) >= MOST:
        del memory[next(iter(memory))]
    memory[key] = now
