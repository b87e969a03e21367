"""What an office's server says by itself, without an officer's passphrase: how far a release has come, and which entries have ended.

It is signed by the *online* role, which the officers' signature on the list appoints (a delegation of TUF) and their next one may take
away. The role can do two things only, and gateways see to that. It can hold a release back from a share of the gateways (`stages`), for
fourteen days from when a gateway first saw that release, and never one that the officers marked for everybody at once, nor the oldest that
a list names (`blocklists.turns`). And it can take out entries without an order number (`withdrawn`), but none of the masked category
(`blocklists.withdrawing`). It adds nothing. Where what it says cannot be used, the last word that could be goes on, the gateway tells its
status, its metric and the office so, and a release that came after that word is waited with for one day.

Pure; imported by `blocklists`, `admin`, `lachan` and the tests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.release import canonical_bytes

ROLE: Final = "online"
TARGET: Final = "online.json"
MOST_BYTES: Final = 512 * 1024
MOST_WITHDRAWN: Final = 4096
MOST_STAGED: Final = 64
WHOLE: Final = 10_000
"""All gateways: shares are written in hundredths of a per cent."""
ROOM: Final = 400 * 1024
"""Octets of withdrawn keys that one statement should hold at most; the rest of it takes less than the difference."""
_KEY: Final = re.compile(r"[^\x00-\x20\x7f]{2,512}\.")

Steps = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """`stages`: of a serial, from when on (unix seconds) which share takes it; a serial that is not named is for everybody. `withdrawn`:
    index keys whose entries without an order number are out, each in lists with a serial below the number beside it."""

    stages: Mapping[int, Steps] = field(default_factory=dict)
    withdrawn: tuple[tuple[str, int], ...] = ()

    def to_bytes(self) -> bytes:
        """As it is signed."""
        stages = [[serial, [list(step) for step in steps]] for serial, steps in sorted(self.stages.items())]
        return canonical_bytes({"format": 1, "stages": stages, "withdrawn": [list(row) for row in sorted(self.withdrawn)]})

    def share(self, serial: int, now: float) -> int:
        """Which share of the gateways takes a serial now."""
        steps = self.stages.get(serial)
        return WHOLE if steps is None else max((share for at, share in steps if at <= now), default=0)

    def goal(self, serial: int) -> int:
        """Which share takes it in the end, as far as is said: less than all while somebody has to decide."""
        return self.share(serial, float("inf"))

    def admits(self, serial: int, gateway: str, now: float) -> bool:
        """Whether a gateway takes a serial now. One without an id comes last."""
        return place_of(gateway, serial) < self.share(serial, now)

    def out_of(self, serial: int) -> tuple[str, ...]:
        """The keys whose entries without an order number are out of the list with this serial."""
        return tuple(sorted({key for key, below in self.withdrawn if serial < below}))


def fitting(rows: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """As many withdrawn keys, in their order, as a statement can hold; without any that none could."""
    found: set[tuple[str, int]] = set()
    left = ROOM
    for key, below in rows:
        left -= len(canonical_bytes([key, below])) + 1
        if left < 0 or len(found) == MOST_WITHDRAWN:
            break
        if _KEY.fullmatch(key):
            found.add((key, below))
    return tuple(sorted(found))


def place_of(gateway: str, serial: int) -> int:
    """Where a gateway stands in the order in which a serial goes out, 0 to `WHOLE` - 1: the same everywhere, another one each time."""
    if not gateway:
        return WHOLE - 1
    digest = hashlib.blake2b(f"{serial}:{gateway}".encode(), digest_size=8, person=b"lachan-stage").digest()
    return int.from_bytes(digest, "big") % WHOLE


def read_statement(data: bytes) -> Statement:
    """A statement as `Statement.to_bytes` wrote it. Raises ValueError for anything else."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        document = json.loads(data)
        if document["format"] != 1 or len(document["stages"]) > MOST_STAGED or len(document["withdrawn"]) > MOST_WITHDRAWN:
            raise ValueError("not a statement of format 1")
        stages = {_number(serial): tuple((_number(at), _share(share)) for at, share in steps) for serial, steps in document["stages"]}
        withdrawn = tuple((str(key), _number(below)) for key, below in document["withdrawn"])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a statement: {type(error).__name__}") from None
    if any(len(steps) > MOST_STAGED for steps in stages.values()) or not all(_KEY.fullmatch(key) for key, _ in withdrawn):
        raise ValueError("not a statement of format 1")
    return Statement(stages, withdrawn)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("a number is none")
    return value


def _share(value: object) -> int:
    if _number(value) > WHOLE:
        raise ValueError("a share is more than all")
    return _number(value)
