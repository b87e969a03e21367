"""What a pipeline finds around it in its worker: one value instead of nine parameters. Made by the worker, read by the pipeline."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.activity import Activity
from gateway.clients import Neighbours
from gateway.clock import WallClock
from gateway.demand import Demand
from gateway.metrics import Counters
from gateway.notices import NoticeLine
from gateway.sharedword import SharedWord
from gateway.weights import Weights
from gateway.wire.cookie import CookieJar


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`follow` is called when `word` has changed, and puts the generation it stands for in force (`Pipeline.put_in_force`) before it
    returns.

    `real_time` is the clock of cookies (unix seconds, never a test clock); `neighbours` is given where clients are known by hardware
    addresses.
    """

    counters: Counters
    activity: Activity
    clock: WallClock
    word: SharedWord
    follow: Callable[[], None]
    cookies: CookieJar
    loop: asyncio.AbstractEventLoop
    neighbours: Neighbours | None = None
    notices: NoticeLine | None = None
    real_time: Callable[[], float] = time.time
    demand: Demand = field(default_factory=lambda: Demand(os.urandom(16)))
    weights: Weights = field(default_factory=lambda: Weights(os.urandom(16)))
