"""The life of one worker process: its loop, its line to the supervisor, the switch of generations, harvests, pauses, the end.

What a worker does with queries is a `DataPlane`, put together in `gateway.worker`; this module knows no DNS. Only `worker` imports it.

The switch: `stage` loads the next generation beside the one in force (in a thread, so that queries go on); when the shared word reaches
its epoch, `follow` puts it in force. The data plane reads the word after each receive and calls `follow` itself when it changed, so that no
datagram is judged by an older generation than one some other worker already used. A worker that finds a word it has nothing staged for
ends itself; the supervisor starts the next one with the right generation.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Protocol

from gateway.activity import Activity, Device
from gateway.channel import Channel, Fields
from gateway.clock import POLL_SECONDS
from gateway.crew import Loaded, WorkerStart
from gateway.errors import ControlError
from gateway.metrics import LOOP_DELAY_SECONDS, PAUSE_SECONDS, QUERIES, Counters
from gateway.pauses import CHECK_SECONDS, Collector
from gateway.settings import GatewaySettings
from gateway.sockets import Listening
from gateway.switch import unpack_settings

log = logging.getLogger(__name__)

EX_TEMPFAIL = 75  # the exit status of a worker that cannot follow the shared word
STANDBY_SECONDS = 0.005
HARVEST_SECONDS = 1.0
HAND_OVER_SECONDS = 5.0
MOST_DEVICES_TOLD = 20_000
STAGING_SWITCH_INTERVAL = 0.001  # the loading thread gives way to queries this often (seconds)


class DataPlane(Protocol):
    """What a worker does with queries. All methods but `load` are called on the loop."""

    def open(self, listening: list[Listening]) -> None:
        """Begin to read from these sockets."""

    def load(self, number: int, settings: GatewaySettings) -> object:
        """A generation ready to be put in force under these settings. Called in a thread; touches nothing in force. GenerationError."""

    def put_in_force(self, staged: object) -> None:
        """Judge by this from now on."""

    def flush(self, key: str | None) -> int:
        """Forget upstream answers of one name (index key) or of all; how many."""

    def clock_moved(self) -> None:
        """The wall clock was moved by the test clock: policies must be resolved anew."""

    def count(self) -> None:
        """Bring the counters and gauges up to date, before a harvest."""

    def host_name(self, address: bytes) -> str:
        """What the device at a packed address calls itself, empty when nobody knows."""

    def mac_of(self, address: bytes) -> str | None:
        """The hardware address behind a packed address now, None when nobody knows."""

    def asked(self, names: list[str]) -> Fields:
        """How often registered names were asked for, as far as this worker counted."""

    async def weigh(self) -> Fields:
        """How much the busiest clients of this worker asked since the last time."""

    def report(self) -> Fields:
        """Health of upstreams and the like, for the status document."""

    async def drain(self, seconds: float) -> None:
        """Read nothing more, answer what is under way, at most this long, close everything."""


Build = Callable[[WorkerStart, Counters, Activity, Callable[[], None]], DataPlane]


class WorkerLoop:
    """One worker, from fork to exit."""

    def __init__(self, start: WorkerStart, build: Build) -> None:
        self._start = start
        self._build = build
        self._counters = Counters()
        self._activity = Activity(start.secret[:16])
        self._epoch = start.target.epoch
        self._generation: Loaded = start.target.snapshot
        self._number = start.target.number
        self._settings = start.target.settings
        self._staged: tuple[int, int, GatewaySettings, object] | None = None
        self._queries = 0
        self._harvested = time.monotonic()
        self._ending: asyncio.Future[float]

    async def main(self) -> int:
        """Serve until told to stop or until the supervisor is gone; the exit status."""
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._end, 2.0)
        self._plane = self._build(self._start, self._counters, self._activity, self.follow)
        channel = await Channel.open(self._start.line, self._answer, self._listen)
        channel.closed.add_done_callback(lambda _: self._end(0.0))  # an orphan would go on with a policy nobody can change
        self._channel = channel
        collector = Collector(lambda seconds: self._counters.observe(PAUSE_SECONDS, (), seconds), time.monotonic())
        collector.start()
        channel.tell("ready", epoch=self._epoch, number=self._number, pid=os.getpid())
        while self._start.word.value < self._epoch and not self._ending.done():  # noqa: ASYNC110 - another process writes the word
            await asyncio.sleep(STANDBY_SECONDS)
        self.follow()
        if not self._ending.done():
            self._plane.open(self._start.listening)
        timers = [
            loop.create_task(work)
            for work in (
                _every(HARVEST_SECONDS, self._harvest),
                _every(HAND_OVER_SECONDS, self._hand_over),
                _every(POLL_SECONDS, self._look),
                _every(CHECK_SECONDS, lambda: collector.step(time.monotonic(), self._queries)),
            )
        ]
        patience = await self._ending
        if not channel.closed.done():
            await self._plane.drain(patience)
            self._harvest()
            self._hand_over()
        for timer in timers:
            timer.cancel()
        channel.close()
        await asyncio.sleep(0)
        return 0

    def follow(self) -> None:
        """Put in force what the shared word says, if that is something new."""
        wanted = self._start.word.value
        if wanted == self._epoch:
            return
        staged = self._staged
        if staged is None or staged[0] != wanted:
            log.error("nothing staged for the generation in force", extra={"event": "worker.left_behind", "worker": self._start.index})
            logging.shutdown()
            os._exit(EX_TEMPFAIL)
        self._staged = None
        self._epoch, self._number, self._settings, loaded = staged
        try:
            self._plane.put_in_force(loaded)
        except Exception:
            log.exception("the switch failed half way", extra={"event": "worker.switch", "worker": self._start.index})
            logging.shutdown()
            os._exit(EX_TEMPFAIL)

    def _end(self, patience: float) -> None:
        if not self._ending.done():
            self._ending.set_result(patience)

    def _listen(self, event: str, fields: Fields) -> None:
        if event == "stop":
            self._end(float(fields.get("seconds", 0.0)))
        elif event == "unstage" and self._staged is not None and self._staged[0] == fields.get("epoch"):
            self._staged = None

    async def _answer(self, do: str, fields: Fields) -> Fields:
        answers: dict[str, Callable[[Fields], Awaitable[Fields]]] = {
            "stage": self._stage,
            "switch": self._switch,
            "flush": self._flush,
            "devices": self._devices,
            "recent_blocks": self._recent_blocks,
            "probe": self._probe,
            "asked": self._asked,
            "homes": self._homes,
            "weigh": self._weigh,
        }
        answer = answers.get(do)
        if answer is None:
            raise ControlError("unknown", f"workers know no {do!r}")
        return await answer(fields)

    async def _stage(self, fields: Fields) -> Fields:
        epoch, number = int(fields["epoch"]), int(fields["number"])
        packed = fields.get("settings")
        settings = unpack_settings(packed) if packed else self._settings
        before = sys.getswitchinterval()
        sys.setswitchinterval(STAGING_SWITCH_INTERVAL)
        try:
            loaded = await asyncio.to_thread(self._plane.load, number, settings)
        finally:
            sys.setswitchinterval(before)
        self._staged = (epoch, number, settings, loaded)
        return {"epoch": epoch}

    async def _switch(self, fields: Fields) -> Fields:
        self.follow()
        if self._epoch != int(fields["epoch"]):
            raise ControlError("left_behind", "nothing staged for this epoch")
        return {"epoch": self._epoch, "number": self._number}

    async def _flush(self, fields: Fields) -> Fields:
        key = fields.get("key")
        return {"entries": self._plane.flush(None if key is None else str(key))}

    async def _devices(self, fields: Fields) -> Fields:
        """Everybody, those of one tenant, or what is known of the device at one address, also under its other addresses."""
        devices = self._activity.devices(fields.get("tenant"))
        if fields.get("address"):
            ours = self._addresses_of(str(fields["address"]))
            devices = [device for device in devices if device.address in ours and not device.is_behind]
        return {"devices": [self._row(device) for device in devices[-MOST_DEVICES_TOLD:]]}

    def _row(self, device: Device) -> Fields:
        return {
            "address": str(ip_address(device.address)),
            "behind": device.is_behind,
            "by_token": device.is_by_token,
            "mac": device.mac or self._plane.mac_of(device.address),
            "name": "" if device.client else self._plane.host_name(device.address),
            "client": device.client,
            "tenant": device.tenant,
            "profile": device.profile,
            "first_seen": device.first_seen,
            "last_seen": device.last_seen,
        }

    def _addresses_of(self, text: str) -> set[bytes]:
        """This address and the others of the same device, where the link tells its hardware address."""
        address = ip_address(text).packed
        mac = self._plane.mac_of(address)
        return {address} if mac is None else {address, *self._activity.addresses_of(mac)}

    async def _recent_blocks(self, fields: Fields) -> Fields:
        """What was refused at an address, with who was seen there: the supervisor knows from all workers who it is now."""
        now = self._start.clock.now()
        addresses = self._addresses_of(str(fields["address"]))
        here = self._activity.lately_at(addresses, now)
        clients = {device.client for device in here}
        blocks = [
            {**row, "client": client}
            for client in clients
            for address in addresses
            for row in self._activity.recent_blocks(address, now, client)
        ]
        return {"blocks": blocks, "devices": [self._row(device) for device in here]}

    async def _probe(self, fields: Fields) -> Fields:
        return {"probe": self._activity.probe(str(fields["nonce"]), self._start.clock.now())}

    async def _asked(self, fields: Fields) -> Fields:
        return self._plane.asked([str(name) for name in fields["names"]])

    async def _weigh(self, _: Fields) -> Fields:
        return await self._plane.weigh()

    async def _homes(self, _: Fields) -> Fields:
        return {"homes": [[tenant, client, str(ip_address(address)), at] for tenant, client, address, at in self._activity.homes()]}

    def _look(self) -> None:
        """Ten times a second: a word that changed while nobody asked, a test clock that moved."""
        self.follow()
        if self._start.clock.poll():
            self._plane.clock_moved()

    def _harvest(self) -> None:
        now = time.monotonic()
        self._counters.observe(LOOP_DELAY_SECONDS, (), max(0.0, now - self._harvested - HARVEST_SECONDS))
        self._harvested = now
        self._plane.count()
        rows = self._counters.harvest()
        self._queries = sum(int(str(row[2])) for row in rows if row[0] == QUERIES.name)
        self._channel.tell("counters", rows=rows, report=self._plane.report())

    def _hand_over(self) -> None:
        self._activity.expire(self._start.clock.now())
        self._channel.tell("activity", **self._activity.harvest())


async def _every(seconds: float, work: Callable[[], None]) -> None:
    """Call `work` again and again; one that fails is logged and tried again, the worker lives on."""
    while True:
        await asyncio.sleep(seconds)
        try:
            work()
        except Exception:
            log.exception("timer failed", extra={"event": "worker.timer"})
