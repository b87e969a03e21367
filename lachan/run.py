"""`lachan run`, `lachan gateway` and `lachan admin`: the composition of the processes. Only `lachan` imports this module.

    supervisor (this process) ── workers            answer names; forked from here
                              ├─ admin              the control plane, when the file has an `admin` section
                              ├─ lists, zones,      fetch subscriptions, take zones from their primaries, follow the list office's
                              │  follow             releases; each when the file names any
                              └─ lachan prepare     once at the start and for each reload: lists and local policy, then it ends

The supervisor never parses a list: the child process hands it the names of finished files.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import logging
import os
import pwd
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import LachanError, Mistake, SettingsError, StartError
from gateway.settings import Endpoint, GatewaySettings
from lachan.configuration import PLACES, Configuration, find_file, load
from lachan.lastgood import describe, is_service, keep, load_or_last_good
from lachan.ownership import give, opened

if TYPE_CHECKING:
    from gateway.supervisor import ExtraProcess, Occasion, Prepared


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of the file: a further address to listen on, the account to continue as."""

    listen: Endpoint | None = None
    user: str | None = None

    def apply(self, settings: GatewaySettings) -> GatewaySettings:
        """The settings as this run has them."""
        dns = settings.dns
        if self.listen is not None and self.listen not in dns.listen:
            dns = dataclasses.replace(dns, listen=(*dns.listen, self.listen))
        if self.user is not None and dns.user is None:
            dns = dataclasses.replace(dns, user=self.user)
        return dataclasses.replace(settings, dns=dns)


def run_all(config: Path | None, *, first: bool, lan: bool, takes_over: bool = False) -> int:
    """Run everything on this machine until told to stop; the exit status. Raises SettingsError or StartError."""
    from lachan.lan import PORT, drop_to, require_lan, sudo_command

    overrides = Overrides()
    if lan:
        overrides = Overrides(Endpoint(require_lan(sudo_command(), takes_over=takes_over), PORT), drop_to())
    path = _first_file(config) if first or lan else find_file(config)
    written, refused = load_or_last_good(path)
    configuration = dataclasses.replace(written, gateway=overrides.apply(written.gateway))
    if overrides.listen is not None and configuration.admin is not None:
        from lachan.lanpages import open_pages

        configuration = dataclasses.replace(configuration, admin=open_pages(configuration.admin, overrides.listen.host, datetime.now(UTC)))
    if first or lan:
        from lachan.greeting import greet_when_ready

        greet_when_ready(configuration, overrides.listen)
    return _supervise(configuration, overrides, refused, with_admin=True, takes_over=takes_over, written=written)


def run_gateway(config: Path | None, *, takes_over: bool = False) -> int:
    """Run the data plane alone; the exit status."""
    configuration, refused = load_or_last_good(find_file(config))
    return _supervise(configuration, Overrides(), refused, with_admin=False, takes_over=takes_over)


def run_admin(config: Path | None) -> int:
    """Run the control plane alone; the exit status. Raises StartError when there is none."""
    configuration = load(find_file(config))
    if configuration.admin is None:
        raise StartError(f'{configuration.path.name} has no admin section: add admin: {{listen: "127.0.0.1:8080"}}')
    if not has_admin():
        raise StartError("the admin pages are not part of this version yet: lachan gateway runs the data plane")
    from admin.process import serve

    set_up_logs()
    give_state_dir(configuration.gateway)
    return int(serve(configuration.admin) or 0)


def has_admin() -> bool:
    """Whether the control plane can be started."""
    return importlib.util.find_spec("admin.process") is not None


def _first_file(config: Path | None) -> Path:
    """The file of a first run: the one named, ./lachan.yaml, or one written for the occasion."""
    from gateway.servers import system_servers
    from lachan.first_run import write_default

    if config is not None:
        return config
    return PLACES[0] if PLACES[0].is_file() else write_default(has_system_resolver=bool(system_servers(())))


def _supervise(
    configuration: Configuration,
    overrides: Overrides,
    refused: SettingsError | None,
    *,
    with_admin: bool,
    takes_over: bool,
    written: Configuration | None = None,
) -> int:
    from gateway import supervisor

    set_up_logs()
    give_state_dir(configuration.gateway)
    extra = [*_listening_to_others(configuration), *(_admin_process(configuration) if with_admin else [])]
    preparer = Preparer(configuration, overrides, written, refused)
    return supervisor.run(configuration.gateway, preparer, extra, takes_over=takes_over, waits_for_ports=is_service())


def _listening_to_others(configuration: Configuration) -> list[ExtraProcess]:
    """The processes that bring what others publish: subscriptions, zones, the list office's releases."""
    return [*_refresh_process(configuration), *_zone_process(configuration), *_follow_process(configuration)]


def _refresh_process(configuration: Configuration) -> list[ExtraProcess]:
    """The process that fetches subscriptions when they are due; only where there are any."""
    from gateway.supervisor import ExtraProcess

    if not any(item.url for item in configuration.lists.lists):
        return []

    def refresh(_: Sequence[socket.socket]) -> int:
        from lachan.refreshing import refresh_for_ever

        return refresh_for_ever(configuration.path)

    return [ExtraProcess("lists", refresh)]


def _zone_process(configuration: Configuration) -> list[ExtraProcess]:
    """The process that takes zones from their primaries; only where there are any."""
    from gateway.supervisor import ExtraProcess

    if not any(zone.primary for zone in configuration.lists.rpz):
        return []

    def follow(_: Sequence[socket.socket]) -> int:
        from lachan.transfers import follow_zones_for_ever

        return follow_zones_for_ever(configuration.path)

    return [ExtraProcess("zones", follow)]


def _follow_process(configuration: Configuration) -> list[ExtraProcess]:
    """The process that follows the list office, where there is one; else what following left is taken away."""
    from gateway.following import forget_state
    from gateway.supervisor import ExtraProcess

    if configuration.lists.follow is None:
        forget_state(configuration.gateway.state_dir)
        return []

    def follow(_: Sequence[socket.socket]) -> int:
        from lachan.following import follow_for_ever

        return follow_for_ever(configuration.path)

    return [ExtraProcess("follow", follow)]


def _admin_process(configuration: Configuration) -> list[ExtraProcess]:
    from gateway.supervisor import ExtraProcess, Pulse

    settings = configuration.admin
    if settings is None or not has_admin():
        return []
    pulse = Pulse()

    def serve(sockets: Sequence[socket.socket]) -> int:
        from admin import process

        return int(process.serve(settings, sockets, pulse.beat) or 0)

    listen = (settings.listen, settings.block_page) if settings.block_page else (settings.listen,)
    return [ExtraProcess("admin", serve, listen, setting="admin.listen", pulse=pulse)]


def set_up_logs() -> None:
    """Logs of the whole program; of migrations and the web server only what goes wrong."""
    from gateway import logs

    logs.set_up()
    for name in ("alembic", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


def give_state_dir(settings: GatewaySettings) -> None:
    """Make the state directory; when root made it and `dns.user` runs the gateway, hand over what is in it. Raises StartError."""
    folder, user = settings.state_dir, settings.dns.user
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if user is None or os.geteuid() != 0:
            return
        with opened(folder) as number:
            if os.fstat(number).st_uid == 0:
                entry = pwd.getpwnam(user)
                give(number, entry.pw_uid, entry.pw_gid)
                os.fchown(number, entry.pw_uid, entry.pw_gid)
    except KeyError:
        raise StartError(f"dns.user: there is no user '{user}' on this machine: create it, or remove the setting") from None
    except OSError as error:
        raise StartError(f"state_dir: {folder} cannot be used ({error.strerror}): choose another") from None


class Preparer:
    """Brings lists and local policy in place; what the supervisor calls at the start and for each reload.

    At a start or a reload whose lists are on disk already nothing is compiled; else a child process does it. After an upgrade of the
    program the lists that the one before prepared answer until they are prepared anew.
    """

    def __init__(
        self,
        configuration: Configuration,
        overrides: Overrides,
        written: Configuration | None = None,
        refused: SettingsError | None = None,
    ) -> None:
        self._configuration = configuration
        self._refused = refused
        """The mistakes of the file, where the last good settings stand in for it."""
        self._written = written or configuration
        """As the file has it, without what the command line adds: what later readings are compared with."""
        self._path = configuration.path
        self._overrides = overrides

    async def __call__(self, occasion: Occasion) -> Prepared:
        """Prepare. Raises SettingsError or StartError; then nothing changes."""
        return await self._reload() if occasion == "reload" else await self._start(occasion)

    async def _start(self, occasion: Occasion) -> Prepared:
        from gateway.supervisor import Prepared
        from lachan.preparation import prepare_policy, prepare_provisionally, prepare_quickly

        orders: Mapping[str, Any] = {}
        found, is_quick = None, False
        if occasion == "start":
            found = prepare_quickly(self._configuration)
            is_quick = found is not None
            if self._configuration.lists.follow is not None:
                orders = await self._catch_up()
            found = found or prepare_provisionally(self._configuration)
        elif occasion == "stand-in":
            found = prepare_policy(self._configuration)
        if found is not None:
            changes, notes = {**found.changes, **orders}, found.notes
        else:
            report = await self._run_child()
            if not report.get("ok"):
                raise _error_of(report)
            changes, notes = {**(report.get("changes") or {}), **orders}, tuple(report.get("notes", ()))
        return Prepared(
            changes or None,
            None,
            (describe(self._refused),) if self._refused is not None else (),
            notes,
            is_provisional=found is not None and not is_quick,
            refused=self._refused,
            in_force=lambda: keep(self._configuration),
        )

    async def _reload(self) -> Prepared:
        from gateway.supervisor import Prepared
        from lachan.preparation import prepare_quickly

        now = load(self._path)
        if (quick := prepare_quickly(now)) is not None:
            changes, notes = dict(quick.changes), quick.notes
        else:
            report = await self._run_child()
            if not report.get("ok"):
                raise _error_of(report)
            now = load(self._path)
            changes, notes = dict(report.get("changes") or {}), tuple(report.get("notes", ()))
        self._refused = None
        late, processes = tuple(late_changes(self._written, now)), tuple(_listening_to_others(now))
        return Prepared(changes or None, self._overrides.apply(now.gateway), late, notes, processes, in_force=lambda: keep(now))

    async def _catch_up(self) -> Mapping[str, Any]:  # Any: JSON written by our own child
        """The office's newest release, if it can be had soon; else the last good one answers, and the job goes on trying."""
        from lachan.following import START_SECONDS

        try:
            async with asyncio.timeout(START_SECONDS):
                report = await self._run_child("follow", "--no-commit")
        except (TimeoutError, StartError):
            return {}
        changes = report.get("changes")
        return changes if isinstance(changes, dict) else {}

    async def _run_child(self, *words: str) -> Mapping[str, Any]:  # Any: JSON written by our own child
        command = [sys.executable, "-m", "lachan", *(words or ("prepare",)), "--report", "-c", str(self._path)]
        child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
        try:
            output, _ = await child.communicate()
        except asyncio.CancelledError:
            child.terminate()
            await child.wait()
            raise
        try:
            report = json.loads(output)
        except ValueError:
            raise StartError(f"preparing the lists ended with status {child.returncode} and no report: see the lines above") from None
        if not isinstance(report, dict):
            raise StartError("preparing the lists gave no report")
        return report


def late_changes(before: Configuration, after: Configuration) -> list[str]:
    """A sentence for each change outside the data plane that waits for a restart."""
    one, two = (each.admin and dataclasses.replace(each.admin, gateway=before.gateway, orders_from="") for each in (before, after))
    if one == two:
        return []
    return ["admin đã thay đổi: có hiệu lực sau khi khởi động lại / admin has changed: it takes effect after a restart"]


def _error_of(report: Mapping[str, Any]) -> LachanError:  # Any: JSON written by our own child
    rows = report.get("mistakes")
    if rows:
        return SettingsError([Mistake(str(row["path"]), str(row["message"]), str(row["remedy"])) for row in rows])
    return StartError(str(report.get("message", "preparing the lists failed")))
