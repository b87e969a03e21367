"""The real gateway under a control plane of the test's own: for figures that come from queries which were sent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from admin.link import GatewayLink
from tests.support.gateway import Gateway, RunningUpstream

SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1, name: lachan.internal}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
"""


NAMES = ("scratch.mit.edu", "www.tongdai111.vn", "www.vnexpress.net", "quiet.example", "www.roblox.com", "www.facebook.com")


#: A test that counts real queries needs the day it began in for so long at most.
LONGEST = 40


def clear_of_midnight(zone: str = "Asia/Ho_Chi_Minh") -> None:
    """Figures are sums of a day of the place's own clock: a test that would run over the turn of the day begins after it."""
    here = datetime.now(ZoneInfo(zone))
    left = 86_400 - (here.hour * 3600 + here.minute * 60 + here.second)
    if left <= LONGEST:
        time.sleep(left + 0.1)


@contextmanager
def live_gateway(folder: Path) -> Iterator[Gateway]:
    """The real gateway with an upstream that knows a few names; its state lies in `folder/var`. Never over midnight in Viet Nam."""
    folder.mkdir()
    with (
        RunningUpstream({(name, "A"): ["192.0.2.80"] for name in NAMES}) as upstream,
        Gateway(folder, SETTINGS, upstream=upstream.port) as running,
    ):
        clear_of_midnight()
        yield running


def workers_of(running: Gateway) -> list[int]:
    """The processes that the supervisor started."""
    return [int(pid) for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="ascii").split()]


async def counted(running: Gateway, link: GatewayLink) -> list[dict[str, object]]:
    """What the workers counted: a worker that is told to end hands over first, and all of it only when it is gone."""
    ending = workers_of(running)
    for pid in ending:
        os.kill(pid, signal.SIGTERM)
    for _ in range(200):
        if not set(ending) & set(workers_of(running)):
            break
        await asyncio.sleep(0.05)
    for _ in range(200):
        await asyncio.sleep(0.05)
        if batches := await link.activity(0):
            return [dict(batch) for batch in batches]
    raise AssertionError("nothing was handed over")
