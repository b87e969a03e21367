"""Bringing lists, catalogue, orders and the local policy into the state directory, and putting them in force.

`lachan run` does it in a process of its own (`lachan prepare --report`) and commits through its supervisor; `lachan lists` does it itself
and asks the running gateway, or commits when none runs. Only `lachan` imports this module.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gateway import release
from gateway.clock import WallClock
from gateway.errors import ControlError, GenerationError, LachanError, MistakesError, StartError
from gateway.settings import GatewaySettings
from lachan import fingerprint
from lachan.configuration import Configuration, find_file
from lachan.control import ask
from lachan.errortext import refused_by_system
from lachan.lastgood import load_or_last_good

if TYPE_CHECKING:
    from blocklists.progress import Listener
    from blocklists.report import Report

TENANT = "local"
Changes = dict[str, Any]  # Any: the parts of a change, as gateway.release takes them


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a preparation found: what a generation changes (empty: nothing), and the report for people (None when nothing was compiled)."""

    changes: Changes
    report: Report | None = None
    known: tuple[str, ...] = ()
    """The notes of the preparation that made what is on disk, when nothing was compiled."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each problem, in both languages."""
        if self.report is None:
            return self.known
        return tuple(f"{source}: {problem.vi} / {problem.en}" for source, problem in self.report.problems)


def own_names(settings: GatewaySettings) -> tuple[str, ...]:
    """Names the gateway itself depends on; no list may block them."""
    servers = [server.name for server in settings.upstreams.servers]
    servers += [server.name for route in settings.upstreams.routes.values() for server in route]
    return (settings.dns.name, *sorted(set(servers)))


def prepare_quickly(configuration: Configuration) -> Outcome | None:
    """What a start or a reload needs when the index on disk is still right: the local policy only. None when the lists must be prepared."""
    notes = fingerprint.notes_if_current(configuration.lists, own_names(configuration.gateway))
    if notes is None:
        return None
    return Outcome(_only_new(configuration.gateway.state_dir, {"policies": _policies(configuration)}), None, notes)


def prepare_provisionally(configuration: Configuration) -> Outcome | None:
    """What a start after an upgrade of the program may answer with until the lists are prepared anew: the same settings and files, as the
    program before prepared them. None when anything else has changed, too."""
    if not fingerprint.is_only_older(configuration.lists, own_names(configuration.gateway)):
        return None
    return Outcome(_only_new(configuration.gateway.state_dir, {"policies": _policies(configuration)}))


def prepare_policy(configuration: Configuration) -> Outcome:
    """What a start may answer with where an older generation stands in for a damaged one, until everything is prepared anew."""
    return Outcome(_only_new(configuration.gateway.state_dir, {"policies": _policies(configuration)}))


def prepare(configuration: Configuration, fetch: Literal["none", "due", "all"], progress: Listener | None = None) -> Outcome:
    """Prepare everything. Raises LachanError or OSError; then nothing of it is in force."""
    from blocklists.jobs import Inputs
    from blocklists.jobs import prepare as prepare_lists
    from blocklists.progress import silent

    state_dir, names = configuration.gateway.state_dir, own_names(configuration.gateway)
    state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    now = WallClock.from_environment(os.environ).now()
    prepared = prepare_lists(Inputs(configuration.lists, now, names), fetch, progress or silent)
    changes: Changes = {**prepared.changes, "policies": _policies(configuration)}
    outcome = Outcome(_only_new(state_dir, changes), prepared.report)
    if not prepared.report.orders_problem:
        fingerprint.note(configuration.lists, names, str(changes["index"]), str(changes["catalogue"]), outcome.notes)
    return outcome


def look_at_disk(state_dir: Path) -> None:
    """Let the newest whole generation stand in for a damaged one, and say so; a gateway that runs does that itself. Raises OSError."""
    from gateway.standin import fault, stand_in
    from gateway.statelock import StateLock

    if fault(state_dir) is None:
        return
    try:
        lock = StateLock(state_dir)
    except StartError:  # it runs
        return
    with lock:
        found = stand_in(state_dir)
    if found is not None:
        sys.stderr.write(f"! {found}\n")


def put_in_force(state_dir: Path, changes: Changes, notes: tuple[str, ...] | None = None) -> int:
    """Ask the running gateway to switch, or commit when none runs; the number of the generation in force. `notes`: what the preparation of
    the lists had to say, which takes the place of what an earlier one said. Raises LachanError."""
    from gateway.statelock import StateLock

    if not changes and notes is None:
        return release.current_number(state_dir) or 0
    try:
        return int(ask(state_dir, {"do": "apply", "changes": changes} | ({} if notes is None else {"notes": list(notes)}))["generation"])
    except ControlError as error:
        if not changes:
            return release.current_number(state_dir) or 0
        if error.code != "not_running":
            raise
    with StateLock(state_dir):
        return release.commit_generation(state_dir, cast(release.Changes, changes), WallClock.from_environment(os.environ).now())


def command(config: Path | None, *, commit: bool, fetch: bool, report: bool) -> int:
    """`lachan prepare`: with `report`, the outcome is one line of JSON on standard output, also when it failed."""
    try:
        configuration, _ = load_or_last_good(find_file(config), require_files=True)
        if commit:
            look_at_disk(configuration.gateway.state_dir)
        outcome = prepare(configuration, "due" if fetch else "none", _listener())
        if commit:
            put_in_force(configuration.gateway.state_dir, outcome.changes, outcome.notes)
    except (LachanError, OSError) as met:
        error = (refused_by_system(met) or met) if isinstance(met, OSError) else met
        if not report:
            raise StartError(str(error)) from None
        sys.stdout.write(json.dumps(_refusal(error)) + "\n")
        return 1
    if report:
        sys.stdout.write(json.dumps({"ok": True, "changes": outcome.changes, "notes": list(outcome.notes)}) + "\n")
    return 0


def _policies(configuration: Configuration) -> dict[str, str]:
    return {TENANT: release.write_file(configuration.gateway.state_dir, dict(configuration.gateway.policy))}


def _only_new(state_dir: Path, changes: Changes) -> Changes:
    """Leave out what the generation in force already has."""
    try:
        manifest = release.read_manifest(state_dir)
    except GenerationError:
        return changes
    new = dict(changes)
    if new.get("index") == manifest.index_dir:
        del new["index"]
    if new.get("catalogue") == manifest.catalogue:
        del new["catalogue"]
    if "orders" in new and new["orders"] is None and manifest.orders is None:
        del new["orders"]
    policies = {tenant: name for tenant, name in new.pop("policies", {}).items() if dict(manifest.policies).get(tenant) != name}
    return {**new, "policies": policies} if policies else new


def _refusal(error: Exception) -> Mapping[str, object]:
    if isinstance(error, MistakesError):
        rows = [{"path": each.path, "message": each.message, "remedy": each.remedy} for each in error.mistakes]
        return {"ok": False, "mistakes": rows}
    return {"ok": False, "message": str(error)}


def _listener() -> Listener | None:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from lachan.progress import Bars

    return Bars()
