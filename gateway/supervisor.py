"""The supervisor: owns the sockets, starts and restarts workers, puts generations in force. The composition calls `run`.

    run(settings, prepare, extra_processes=()) -> exit code

* `prepare(occasion)` is a coroutine the composition gives, called once at the start (before any worker answers), again when what it gave
  was only good enough to begin with, and for every reload (SIGHUP, `reload` on the control socket). It brings files in place and returns
  what to commit, or raises `SettingsError` (or any `LachanError`): then the last good generation stays and the reason is reported.
* `extra_processes` are further children: started after the workers answer, watched, restarted with back-off; their death never
  touches DNS.

The order of a start: become the user of the settings, keeping the right to low ports; lock the state directory; open every socket; give
up the rights; prepare and load a generation; start the workers; only then is anything answered. `run` must be called in a process without
threads (workers are forked) and without a running event loop. It returns when SIGTERM or SIGINT has been obeyed and everything is
drained; it raises `StartError` when the gateway cannot start. With `take_over` it takes the place of the gateway that runs with this state
directory, if one does (`gateway.succession`). Only the composition and `gateway.__main__` import this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.channel import Fields
from gateway.children import ForkingLoop
from gateway.clock import POLL_SECONDS, JumpWatch, WallClock
from gateway.control import ControlServer
from gateway.crew import Crew, Target, WorkerBody
from gateway.errors import GenerationError, LachanError, StartError
from gateway.extras import Extra, ExtraProcess, Extras, quic_process
from gateway.extras import Pulse as Pulse
from gateway.handover import Handover
from gateway.latecomers import Latecomers, open_by
from gateway.leaving import Leaving
from gateway.metrics import BUILD, CLOCK_TEST, GENERATION_CREATED, ORDER_UPDATED, RECEIVE_BUFFER, START_TIME
from gateway.notify import ServiceNotifier, passed_sockets
from gateway.privileges import switch_user
from gateway.requests import control_requests
from gateway.resting import rest, would_be_started_again
from gateway.servers import as_the_system_asks
from gateway.settings import Endpoint, GatewaySettings
from gateway.sharedword import SharedWord
from gateway.sockets import ListeningSockets, bind, open_sockets, take
from gateway.standing import Standing, program_version
from gateway.statelock import StateLock, make_state_dir
from gateway.statuspage import Page, StatusServer, json_page, text_page
from gateway.succession import Succession, meet, take_over
from gateway.switch import Generations, Load, merge_settings
from gateway.totals import Totals
from gateway.vitals import DropWatch, take_pulse

__all__ = ["ExtraProcess", "Occasion", "Prepare", "Prepared", "run"]

log = logging.getLogger(__name__)

Occasion = Literal["start", "stand-in", "again", "reload"]
DRAIN_SECONDS = 5.0
LEFTOVER_SECONDS = 10.0
"""How long a gateway that wanted another's place waits for ports that the other's processes hold after its sudden end."""
PULSE_SECONDS = 10.0
REMINDER_SECONDS = 60.0
RESOLVERS_SECONDS = 3.0
"""Between two looks at whom the system asks, where the file names nobody."""
ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` found.

    `changes`: what to commit (`index`, `catalogue`, `orders`, `policies`, as `gateway.release.write_generation` takes them), None when
    the generation in force is still right. `settings`: the settings as the file has them now, None when unchanged; what can change
    without a restart is put in force together with the generation. `notes`: sentences for the person who asked; `of_lists`: those about
    lists, until somebody prepares them again. `processes`: further
    children that a reload brought, without sockets of their own; those that run already stay as they are. `is_provisional`: good enough to
    answer with at once, to be followed by a reload. `refused`: why the settings in force are not those written. `in_force` is called then.
    """

    changes: Mapping[str, Any] | None = None  # Any: the parts of a change, checked when it is committed
    settings: GatewaySettings | None = None
    notes: tuple[str, ...] = ()
    of_lists: tuple[str, ...] = ()
    processes: tuple[ExtraProcess, ...] = ()
    is_provisional: bool = False
    refused: LachanError | None = None
    in_force: Callable[[], None] = lambda: None


Prepare = Callable[[Occasion], Awaitable[Prepared]]


def run(
    settings: GatewaySettings,
    prepare: Prepare,
    extra_processes: Sequence[ExtraProcess] = (),
    *,
    takes_over: bool = False,
    waits_for_ports: bool = False,
    body: WorkerBody | None = None,
    load: Load | None = None,
) -> int:
    """Run the gateway until it is told to stop or another takes its place; the exit status. `takes_over`: take the place of the one that
    runs with this state directory, if there is one. `waits_for_ports`: what cannot be opened comes later instead of ending the
    start, if one plain endpoint is open. `body` and `load` replace the worker in tests."""
    if body is None or load is None:
        from gateway.demand import suffix_list
        from gateway.worker import load_snapshot, run_worker

        suffix_list()  # read once, shared by every worker
        body, load = body or run_worker, load or load_snapshot
    notifier = ServiceNotifier(os.environ)
    passed: list[socket.socket] = passed_sockets(os.environ, os.getpid())
    make_state_dir(settings)
    switch_user(settings.dns.user)
    succession = take_over(settings.state_dir) if takes_over else None
    if succession is not None:
        passed = [*passed, *succession.sockets]
    with StateLock(settings.state_dir) as lock:
        processes = [*extra_processes, *quic_process(settings)]
        endpoints = [*((settings.metrics,) if settings.metrics else ()), *(each for process in processes for each in process.listen)]
        taken = {each: one for each in endpoints if (one := take(passed, socket.SOCK_STREAM, each)) is not None}
        # Where the one before ended in the middle, its processes hold their ports for another moment.
        patience = time.monotonic() + (LEFTOVER_SECONDS if takes_over and not passed else 0.0)
        may_close = succession is None or waits_for_ports
        is_patient = waits_for_ports
        sockets = open_by(
            patience, lambda: open_sockets(settings, settings.dns.workers, passed, may_close=may_close, is_patient=is_patient)
        )
        opened: list[Extra] = []

        def open_stream(endpoint: Endpoint, setting: str) -> socket.socket:
            return taken.pop(endpoint, None) or open_by(patience, lambda: bind(endpoint, socket.SOCK_STREAM, setting, share=False))

        late = Latecomers(open_stream, is_patient=is_patient)
        metrics: list[socket.socket] = []
        try:
            late.add(sockets)
            metrics = late.open("metrics.listen", [settings.metrics]).sockets if settings.metrics else []
            for process in processes:
                place = late.open(process.setting, process.listen, [each.socket for each in sockets.quic] if process.takes_quic else [])
                is_late = bool(place.reason) or (process.takes_quic and late.is_late("doq.listen"))
                opened.append(Extra(process, place.sockets, is_late=is_late))
            late.give_up_rights()
            if os.geteuid() == 0:
                log.warning("running as root: set dns.user", extra={"event": "start.root"})
            clock = WallClock.from_environment(os.environ)
            forking = ForkingLoop()
            supervisor = Supervisor(
                settings, prepare, notifier, lock, sockets, metrics, late, clock, forking, opened, body, load, succession
            )
            status = forking.run(supervisor.main())
        finally:
            sockets.close()
            for each in (*metrics, *(stream for extra in opened for stream in extra.sockets)):
                each.close()
    return rest(notifier, settings.state_dir) if supervisor.rests else status


class Supervisor:
    """One running gateway."""

    def __init__(
        self,
        settings: GatewaySettings,
        prepare: Prepare,
        notifier: ServiceNotifier,
        lock: StateLock,
        sockets: ListeningSockets,
        metrics: list[socket.socket],
        late: Latecomers,
        clock: WallClock,
        forking: ForkingLoop,
        extras: Sequence[Extra],
        body: WorkerBody,
        load: Load,
        succession: Succession | None,
    ) -> None:
        self._succession = succession
        self.is_succeeded = self.rests = False
        self._lock = lock
        self._settings = settings
        self._prepare = prepare
        self._notifier = notifier
        self._is_kept = would_be_started_again(notifier)
        self._sockets = sockets
        self._metrics = metrics
        self._late = late
        self._clock = clock
        self._forking = forking
        self._extra_list = extras
        self._body = body
        self._load = load
        self._word = SharedWord(1)
        self._totals = Totals()
        self._handover = Handover(int(time.time() * 1000))
        self._order_serial = -1

    async def main(self) -> int:
        """From here to the end of the program."""
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._background: set[asyncio.Task[object]] = set()
        self._generations = Generations(self._settings.state_dir, self._load, self._word, self._clock, self._totals)
        self._generations.on_switch.append(self._note_target)
        self._crew = Crew(
            self._forking, self._body, self._sockets, self._word, self._clock, self._totals, secrets.token_bytes(32), self._heard
        )
        self._extras = Extras(self._forking, self._totals, self._extra_list)
        self._standing = Standing(
            self._clock, self._totals, self._generations, self._sockets, self._crew, self._extras, os.getpid(), time.monotonic()
        )
        self._standing.late = self._late.sentences
        requests = control_requests(self._standing, self._generations, self._crew, self._handover, self.reload, self._hand_over)
        self._control = ControlServer(self._settings.state_dir, requests)
        self._status_pages = StatusServer(self._metrics[0], self._pages()) if self._metrics else None
        self._set_constants()
        self._catch_signals()
        await self._show()
        try:
            starting = asyncio.ensure_future(self._start())
            stopping = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            await stopping
        finally:
            self._standing.phase = "stopping"
            self.rests = self.is_succeeded and self._is_kept
            if not self.rests:
                self._notifier.stopping()
            for task in self._background:
                task.cancel()
            await asyncio.gather(self._extras.stop(), self._crew.stop(DRAIN_SECONDS))
            await self._hide()
            log.info("stopped", extra={"event": "stop.done"})
            # The loop's end gives signals their old meaning: one that comes again must not make of this an ending by force.
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        return 0

    async def reload(self, occasion: Occasion = "reload") -> Fields:
        """Read everything again and put it in force; the old state stays when anything is wrong (raises the reason)."""
        async with self._reloading:
            self._notifier.reloading()
            try:
                try:
                    self._generations.mend_disk()
                    prepared = await self._prepare(occasion)
                except Exception as error:
                    self._generations.refuse(error)
                    raise
                settings, late = merge_settings(self._settings, prepared.settings)
                if occasion == "reload":
                    self._generations.stood_in = self._generations.refused = None
                number = await self._generations.apply(self._crew, prepared.changes, settings)
                if (settings.tls, settings.limits) != (self._settings.tls, self._settings.limits):
                    self._extras.renew_quic(settings)
                self._settings = settings
                self._standing.notes, self._standing.of_lists = (*prepared.notes, *late), prepared.of_lists
                for process in prepared.processes:
                    self._extras.add(process)
                prepared.in_force()
                return {"generation": number, "notes": [*self._standing.notes, *self._standing.of_lists]}
            finally:
                self._notifier.ready(self._summary())

    async def _show(self) -> None:
        """Answer on the control socket, and on the metrics address unless the gateway before us still does."""
        await self._control.start()
        if self._succession is not None:
            self._standing.notes = ("the gateway before this one answers until this one does",)
        elif self._status_pages is not None:
            await self._status_pages.start()

    async def _hide(self) -> None:
        if self._status_pages is not None:
            await self._status_pages.stop()
        await self._control.stop()

    def _hand_over(self) -> None:
        """Begin to give our place to the gateway that asked. Raises ControlError when nobody waits for it."""
        self._in_background(self._leave(meet(self._settings.state_dir)))

    async def _leave(self, line: socket.socket) -> None:
        """Hand the sockets over; the workers answer until the successor's do."""
        async with self._reloading, self._generations.at_rest():
            leaving = Leaving(
                self._settings.state_dir,
                self._lock,
                self._standing,
                self._generations,
                self._control,
                self._status_pages,
                self._extras,
                self._every_socket(),
            )
            if await leaving.leave(line):
                self.is_succeeded = True
                self._stop.set()

    def _every_socket(self) -> list[socket.socket]:
        """Whatever is listened on: names, QUIC and its relay, metrics, pages."""
        relay = self._sockets.relay
        found = [each.socket for each in self._sockets.all()]
        found += [each for extra in self._extra_list for each in extra.sockets if each not in found]
        return [*found, *self._metrics, *([relay] if relay is not None else [])]

    async def _start(self) -> None:
        is_taking_over = self._succession is not None
        prepared = await self._prepare_start()
        settings, late = merge_settings(self._settings, prepared.settings)
        try:
            try:
                target = self._generations.load_first(prepared.changes, settings, is_tried_first=is_taking_over)
            except Exception:  # whatever an older program left that this one cannot use
                if not prepared.is_provisional:
                    raise
                prepared = await self._prepare("again")
                settings, late = merge_settings(self._settings, prepared.settings)
                target = self._generations.load_first(prepared.changes, settings, is_tried_first=is_taking_over)
        except (GenerationError, OSError) as error:
            raise StartError(f"no usable generation in {settings.state_dir}: {error}: run `lachan lists compile` to build one") from None
        self._settings = settings
        self._standing.notes, self._standing.of_lists = (*prepared.notes, *late), prepared.of_lists
        if prepared.refused is not None:
            self._generations.refused = prepared.refused
            self._generations.refuse(prepared.refused)
        self._in_background(self._tick())
        await self._crew.start(target)
        if self._succession is not None:
            await self._succeed(self._succession)
        self._standing.phase = "running"
        self._extras.start()
        self._in_background(self._take_in())
        self._in_background(self._follow_system())
        self._notifier.ready(self._summary())
        prepared.in_force()
        log.info(
            "answering", extra={"event": "start.ready", "generation": target.number, "workers": len(self._crew.workers), "pid": os.getpid()}
        )
        if prepared.is_provisional:
            self._in_background(self._reload_by_signal("again"))

    async def _take_in(self) -> None:
        """Start what waited for an endpoint as soon as it is open."""
        async for place in self._late.arrivals():
            async with self._reloading:
                if place.sockets is self._metrics:
                    self._status_pages = StatusServer(place.sockets[0], self._pages())
                    await self._status_pages.start()
                if place.opens is not None:
                    await self._crew.renew()
                if place.setting == "doq.listen" and not self._late.is_late(place.setting):
                    self._extras.take_in_quic([each.socket for each in self._sockets.quic])
                self._extras.take_in(place.sockets)

    async def _follow_system(self) -> None:
        """Where the file names nobody, ask whom the system asks: another network, or one that was not there at the start."""
        while True:
            await asyncio.sleep(RESOLVERS_SECONDS)
            if (seen := as_the_system_asks(self._settings)) is self._settings:
                continue
            async with self._reloading:
                if (settings := as_the_system_asks(self._settings)).upstreams == seen.upstreams and settings is not self._settings:
                    log.warning("the system asks others now", extra={"event": "upstreams.system"})
                    with contextlib.suppress(LachanError, OSError):  # noted and logged where it happened
                        await self._generations.apply(self._crew, None, settings)
                        self._settings = settings

    async def _succeed(self, succession: Succession) -> None:
        """Our workers answer: from here on the place is ours, on disk and for whoever asks how we are."""
        try:
            self._generations.write_down()
        except OSError as error:
            raise StartError(f"cannot say in {self._settings.state_dir} what is in force: {error}: the gateway before goes on") from None
        await succession.done()
        if self._status_pages is not None:
            await self._status_pages.start()

    async def _prepare_start(self) -> Prepared:
        """What the composition prepared; when that fails and an older generation is there, that one (last good)."""
        try:
            other = self._generations.look_at_disk()
        except OSError as error:
            raise StartError(f"state_dir: cannot write to {self._settings.state_dir}: {error.strerror}") from None
        is_first = not (self._settings.state_dir / "current").exists()
        try:
            return await self._prepare("stand-in" if other is not None and other.number is not None else "start")
        except (LachanError, OSError) as error:
            if is_first:
                raise StartError(str(error)) from None
            self._generations.refuse(error)
            return Prepared(notes=(str(error),))
        except Exception as error:
            log.exception("preparing failed", extra={"event": "prepare.failed"})
            if is_first:
                raise StartError(f"preparing failed ({type(error).__name__}: {error}): the log above says where") from None
            self._generations.refuse(error)
            return Prepared(notes=(f"{type(error).__name__}: {error}",))

    async def _tick(self) -> None:
        """The supervisor's own pulse."""
        jumps, drops = JumpWatch(), DropWatch(self._sockets)
        next_second = next_pulse = next_reminder = 0.0
        while True:
            self._clock.poll()
            now = time.monotonic()
            if now >= next_second:
                next_second = now + min(1.0, self._notifier.watchdog_seconds / 3 or 1.0)
                self._crew.check_silence(now)
                self._extras.check_silence(now)
                self._standing.look_at_upstreams(now)
                self._notifier.alive()
            if self._clock.is_test and now >= next_reminder:
                next_reminder = now + REMINDER_SECONDS
                log.warning("the test clock moves every schedule", extra={"event": "clock.test", "offset": round(self._clock.offset, 3)})
            if now >= next_pulse:
                next_pulse = now + PULSE_SECONDS
                try:
                    self._totals.take_marks({}, now)
                    take_pulse(self._totals, self._settings.state_dir, jumps, drops)
                    self._generations.mend_disk()
                except Exception:  # numbers are never worth the watchdog
                    log.exception("pulse failed", extra={"event": "pulse.failed"})
            await asyncio.sleep(POLL_SECONDS if self._clock.is_test else 0.5)

    def _heard(self, worker: int, event: str, told: Fields) -> None:
        """What workers tell beside counters."""
        if event == "activity":
            self._totals.take_marks(told.get("marks", {}), time.monotonic())
            self._handover.take(told.get("counts", []), told.get("names", []), int(told.get("dropped", 0)))
        else:
            log.warning("unknown message", extra={"event": "worker.unknown", "worker": worker, "told": event})

    def _note_target(self, target: Target) -> None:
        self._totals.set(GENERATION_CREATED, (), target.created_at or self._generations.switched_at)
        if target.snapshot.order_serial != self._order_serial:
            is_start = self._order_serial < 0
            self._order_serial = target.snapshot.order_serial
            since = target.created_at if is_start else self._generations.switched_at
            self._totals.set(ORDER_UPDATED, (), since or self._generations.switched_at)

    def _set_constants(self) -> None:
        self._totals.set(BUILD, (program_version(),), 1)
        self._totals.set(START_TIME, (), time.time())
        self._totals.set(RECEIVE_BUFFER, (), self._sockets.receive_bytes)
        self._totals.set(CLOCK_TEST, (), int(self._clock.is_test))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._in_background(self._reload_by_signal()))

    async def _reload_by_signal(self, occasion: Occasion = "reload") -> None:
        if self._standing.phase == "running":
            try:
                await self.reload(occasion)
            except (LachanError, OSError):
                return  # noted and logged where it happened
            except Exception:
                log.exception("reload failed", extra={"event": "reload.failed"})

    def _in_background(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _pages(self) -> dict[str, Callable[[], Awaitable[Page]]]:
        async def metrics() -> Page:
            self._standing.refresh_gauges()
            return Page(200, "text/plain; version=0.0.4; charset=utf-8", self._totals.expose())

        async def health() -> Page:
            return text_page(200, "ok")

        async def ready() -> Page:
            faults = self._standing.faults()
            return text_page(503, "\n".join(faults)) if faults else text_page(200, "\n".join(["ready", *self._standing.lacks()]))

        async def status() -> Page:
            return json_page(200, self._standing.document())

        return {"/metrics": metrics, "/healthz": health, "/readyz": ready, "/api/v1/status": status}

    def _summary(self) -> str:
        target = self._generations.target
        return f"generation {target.number if target else '-'}, {len(self._crew.workers)} workers, {self._standing.state()}"
