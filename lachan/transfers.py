"""Zones taken from primaries: when each is due, the transfers, and putting what they brought in force. Only `lachan` imports this module.

`follow_zones_for_ever` is a process of its own that sleeps nearly always: a zone is asked for at the start, when its SOA record says so,
soon after a failure (RFC 1035 §3.3.13), and when its primary says that it has changed (`lachan.notices`). Each round is a child, `lachan
zone refresh`, so that the memory of a large zone is given back. Whatever goes wrong, the rules in force stay, and `gateway.zones` says why.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer

from blocklists.secondary import Bounds, PullError, pull
from blocklists.zonesettings import RpzSettings
from gateway.clock import WallClock
from gateway.errors import LachanError
from gateway.zones import FIRST_RETRY, ZoneState, forget_others, read_zone, write_zone
from lachan.configuration import Configuration, find_file
from lachan.lastgood import load_or_last_good
from lachan.notices import Notices, NoticeServer, key_of
from lachan.preparation import prepare, prepare_quickly, put_in_force
from lachan.refreshing import LOOK, reason_in, version_of

log = logging.getLogger(__name__)

SECONDS = 900.0
"""The longest that one transfer may take."""
AT_ONCE = 4
PAUSE = 1.0
"""Seconds between two rounds, however often primaries say that something has changed."""
FIRST_WAIT = 2.0
LONGEST_ROUND = 1800.0


class ZoneError(LachanError):
    """There is no zone that could be taken, or one could not; one sentence."""


def taken(configuration: Configuration) -> tuple[RpzSettings, ...]:
    """The zones of the configuration that are taken from a primary."""
    return tuple(zone for zone in configuration.lists.rpz if zone.primary is not None)


def refresh(config: Path | None, names: Sequence[str], *, quiet: bool) -> None:
    """`lachan zone refresh`: take these zones (none named: all) now and put them in force. Raises ZoneError when one was not taken."""
    configuration, _ = load_or_last_good(find_file(config))
    zones = taken(configuration)
    unknown = sorted(set(names) - {zone.name for zone in zones})
    if unknown or not zones:
        known = ", ".join(zone.name for zone in zones) or "none"
        raise ZoneError(f"no zone {', '.join(unknown)[:200] or 'at all'} is taken from a primary (rpz[].primary in the file: {known})")
    states = take_zones(configuration, [zone for zone in zones if not names or zone.name in names])
    for state in () if quiet else states:
        typer.echo(describe_zone(state))
    failed = [state for state in states if state.code]
    if failed and not quiet:
        raise ZoneError("; ".join(f"{state.name}: {state.problem}" for state in failed))


def describe_zone(state: ZoneState) -> str:
    """One line in both languages."""
    if state.code:
        return f"{state.name}: giữ bản {state.serial or '-'} / keeps serial {state.serial or '-'} ({state.code})"
    return f"{state.name}: số / serial {state.serial}"


def take_zones(configuration: Configuration, zones: Sequence[RpzSettings]) -> list[ZoneState]:
    """Transfer zones side by side, leave their states, and put in force what is new. Raises LachanError or OSError when that fails."""
    from blocklists.copies import alone

    state_dir, clock = configuration.gateway.state_dir, WallClock.from_environment(os.environ)
    state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    bounds = Bounds(SECONDS, configuration.lists.fetch.max_bytes, configuration.lists.fetch.max_records)
    with alone(state_dir, "zones", wait=True), ThreadPoolExecutor(AT_ONCE) as pool:
        forget_others(state_dir, {zone.file for zone in taken(configuration)})
        states = list(pool.map(lambda zone: _take(zone, state_dir, bounds, clock.now()), zones))
        for zone, state in zip(zones, states, strict=True):
            write_zone(state_dir, zone.file, state)
        try:
            _enforce(configuration)
        except (LachanError, OSError) as error:
            for zone, state in zip(zones, states, strict=True):
                write_zone(state_dir, zone.file, state.after_failure("apply", str(error), clock.now()))
            raise
    return states


def _take(zone: RpzSettings, state_dir: Path, bounds: Bounds, now: float) -> ZoneState:
    assert zone.primary is not None
    state = read_zone(state_dir, zone.file)
    if state is None or (state.primary != str(zone.primary)) or not zone.file.is_file():
        state = ZoneState(zone.name, str(zone.primary))
    try:
        copy = pull(zone.primary.address, zone.name, zone.file, key_of(zone.primary), bounds, zone.primary.tls)
    except PullError as error:
        return state.after_failure(error.code, str(error), now)
    times = (copy.refresh, copy.retry, copy.expire)
    return state.after_success(copy.serial, times, copy.records if copy.changed else None, now)


def _enforce(configuration: Configuration) -> None:
    """Compile and switch, unless what is in force comes from exactly these files."""
    if prepare_quickly(configuration) is None:
        outcome = prepare(configuration, "none")
        put_in_force(configuration.gateway.state_dir, outcome.changes, outcome.notes)


def follow_zones_for_ever(path: Path) -> int:
    """Round after round. Ends only by a signal."""
    asyncio.run(ZoneFollower(path).main())
    return 0


class ZoneFollower:
    """Decides when which zone is taken, and hears the primaries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.noticed: set[str] = set()
        self.news = asyncio.Event()
        self.notices = Notices(self._note)
        self.codes: dict[str, str] = {}
        self._clock = WallClock.from_environment(os.environ)
        self._never_asked = True

    async def main(self) -> None:
        """From here to the end of the process."""
        server: NoticeServer | None = None
        try:
            version, configuration = version_of(self.path), self._load()
            wait = random.uniform(0, FIRST_WAIT)
            while True:
                if configuration is not None and server is None:
                    server = NoticeServer(configuration.gateway.state_dir, self.notices, asyncio.get_running_loop())
                    server.open()
                await self._sleep(wait)
                if version_of(self.path) != version:
                    version, configuration = version_of(self.path), self._load() or configuration
                wait = LOOK
                if configuration is not None and (due := self._due(configuration)):
                    await self._round(due)
                    self._tell(configuration)
                    wait = PAUSE
        finally:
            if server is not None:
                server.close()

    def _note(self, name: str) -> None:
        self.noticed.add(name)
        self.news.set()

    def _load(self) -> Configuration | None:
        """What the file says now; None while it has a mistake: what was known before stays, as in the running gateway."""
        try:
            configuration, _ = load_or_last_good(self.path)
        except LachanError:
            return None
        self.notices.know(taken(configuration))
        return configuration

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but wake when a primary says that something has changed."""
        if seconds <= PAUSE:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return

    def _due(self, configuration: Configuration) -> list[str]:
        """The zones to take now; at the start all of them, since a notice may have been missed."""
        self._clock.poll()
        now, state_dir, due = self._clock.now(), configuration.gateway.state_dir, []
        for zone in taken(configuration):
            state = read_zone(state_dir, zone.file)
            asked = state is not None and state.primary == str(zone.primary)
            if self._never_asked or zone.name in self.noticed or not asked or is_due(state, now):
                due.append(zone.name)
        self.noticed.clear()
        self.news.clear()
        self._never_asked = False
        return due

    async def _round(self, names: Collection[str]) -> None:
        command = [sys.executable, "-m", "lachan", "zone", "refresh", "--quiet", "-c", str(self.path), *names]
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
        try:
            async with asyncio.timeout(LONGEST_ROUND):
                _, told = await child.communicate()
        except TimeoutError:
            told = b"the round took too long"
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            log.warning("zones could not be put in force", extra={"event": "zones.failed", "reason": reason_in(told)})
            await asyncio.sleep(FIRST_RETRY)

    def _tell(self, configuration: Configuration) -> None:
        """Log a zone that is not taken any more, or is again; only a change is logged."""
        for zone in taken(configuration):
            state = read_zone(configuration.gateway.state_dir, zone.file)
            code = state.code if state is not None else ""
            before = self.codes.get(zone.name, "")
            if state is not None and code and code != before:
                log.warning(
                    "a zone is not taken, its last copy stays",
                    extra={"event": "zone.failed", "zone": zone.name, "code": code, "reason": state.problem},
                )
            elif before and not code:
                log.info("a zone is taken again", extra={"event": "zone.restored", "zone": zone.name})
            self.codes[zone.name] = code


def is_due(state: ZoneState | None, now: float) -> bool:
    """Whether a zone is to be asked for; also when the clock was set back behind the last time it was."""
    return state is None or now >= state.due_at() or now < state.checked_at - FIRST_RETRY
