"""Putting a generation in force on all workers at once, or on none. Lives in the supervisor; nobody else imports this module.

The order: write the manifest, load it here, have every worker stage it, make it the one the next start loads, write the shared word,
hear every worker confirm. Any failure before the word leaves everything as it was (design §8: last good).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copyreg
import io
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway import release
from gateway.clock import WallClock
from gateway.crew import Crew, Loaded, Target
from gateway.errors import GenerationError, LachanError
from gateway.metrics import RELOAD_OK, RELOADS
from gateway.settings import GatewaySettings
from gateway.sharedword import SharedWord
from gateway.standin import StandIn, stand_in, write_again
from gateway.totals import Totals

log = logging.getLogger(__name__)

Load = Callable[[Path, int, Loaded | None], Loaded]

CHANGES = frozenset({"index", "catalogue", "orders", "policies"})
NEEDS_RESTART = ("dns", "dot", "doh", "doq", "metrics", "state_dir")  # of `dns`: listen, workers and user only


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last attempt to change what is in force. `at` is wall time in unix seconds; `error` empty when it succeeded."""

    at: float
    outcome: str
    generation: int
    error: str = ""
    where: str = ""


class Generations:
    """Which generation is in force, and the only way to change it."""

    def __init__(self, state_dir: Path, load: Load, word: SharedWord, clock: WallClock, totals: Totals) -> None:
        self.target: Target | None = None
        self.last: Attempt | None = None
        self.switched_at = 0.0
        self.stood_in: StandIn | None = None
        """What was damaged at the start; forgotten when a person asks for a reload that goes well."""
        self.refused: LachanError | None = None
        """Why the settings in force are not those written; whatever is put in force meanwhile is not all that somebody wanted."""
        self.on_switch: list[Callable[[Target], None]] = []
        self._state_dir = state_dir
        self._load = load
        self._word = word
        self._clock = clock
        self._totals = totals
        self._one_at_a_time = asyncio.Lock()
        self._disputes: tuple[Any, ...] = ()  # Any: disputes of the snapshot

    def look_at_disk(self) -> StandIn | None:
        """Before the first generation is loaded: let the newest whole one stand in for a damaged one, and note that. Raises OSError."""
        self.stood_in = stand_in(self._state_dir)
        if self.stood_in is not None:
            self.refuse(self.stood_in.error)
            log.error(
                "the generation in force is damaged, another one stands in",
                extra={"event": "generation.stands_in", "generation": self.stood_in.number, "reason": str(self.stood_in.error)},
            )
        return self.stood_in

    def mend_disk(self) -> None:
        """Write again what the disk lost of the generation in force, so that the next start finds it. Raises OSError."""
        manifest = self.target.snapshot.manifest if self.target is not None else None
        if manifest is not None and (error := write_again(self._state_dir, manifest)) is not None:
            log.error(
                "damaged files written again", extra={"event": "generation.mended", "generation": manifest.number, "reason": str(error)}
            )

    def load_first(self, changes: Mapping[str, Any] | None, settings: GatewaySettings, *, is_tried_first: bool = False) -> Target:
        """Commit what was prepared (if anything), load what is in force, before any worker runs. Raises GenerationError.

        When the prepared generation cannot be used and an older one can, the older one is loaded and the failure noted. `is_tried_first`:
        somebody still answers with the older one, so the next start loads that until `write_down`.
        """
        before = release.current_number(self._state_dir)
        snapshot: Loaded | None = None
        checked = _checked(changes) if changes else None
        if checked and before is not None and self._is_same(checked, before):
            checked = None
        if checked:
            try:
                number = release.write_generation(self._state_dir, checked, self._clock.now())
                snapshot = self._load(self._state_dir, number, None)
                if not is_tried_first:
                    release.put_in_force(self._state_dir, number)
            except (LachanError, OSError) as error:
                if before is None:
                    raise
                self.refuse(error)
        if snapshot is None:
            if before is None:
                raise GenerationError("current", "there is no generation yet and nothing was prepared")
            snapshot = self._load(self._state_dir, before, None)
        self.target = Target(self._word.value, snapshot, settings)
        self.switched_at = self._clock.now()
        if self.last is None:
            self._note("applied" if checked else "unchanged")
        self._announce()
        return self.target

    def write_down(self) -> None:
        """Have the next start load what the workers answer with, whatever is written now. Raises OSError."""
        assert self.target is not None
        with contextlib.suppress(GenerationError):
            if release.current_number(self._state_dir) == self.target.number:
                return
        release.put_in_force(self._state_dir, self.target.number)

    async def apply(self, crew: Crew, changes: Mapping[str, Any] | None, settings: GatewaySettings | None = None) -> int:
        """Put changes (files already in place) and settings in force on every worker; the number then in force.

        Raises GenerationError, ControlError or OSError; then the old generation stays in force everywhere.
        """
        async with self._one_at_a_time:
            try:
                self.mend_disk()
                return await self._apply(crew, changes, settings)
            except (LachanError, OSError) as error:
                self.refuse(error)
                raise

    def at_rest(self) -> asyncio.Lock:
        """While it is held, nothing is put in force, and nothing is half way."""
        return self._one_at_a_time

    async def forget(self, tenant: str) -> int:
        """Remove what older generations said about a tenant; how many files went. What is in force stays."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(release.forget_tenant, self._state_dir, tenant)

    def refuse(self, error: Exception) -> None:
        """Note a failed attempt; the old generation stays."""
        number = self.target.number if self.target is not None else 0
        where = str(getattr(error, "where", ""))
        self.last = Attempt(self._clock.now(), "refused", number, str(error), where)
        self._totals.add(RELOADS, ("refused",))
        self._totals.set(RELOAD_OK, (), 0)
        log.error(
            "change refused, the old generation stays", extra={"event": "generation.refused", "generation": number, "reason": str(error)}
        )

    async def _apply(self, crew: Crew, changes: Mapping[str, Any] | None, settings: GatewaySettings | None) -> int:
        old = self.target
        assert old is not None
        checked = _checked(changes) if changes else None
        if checked and self._is_same(checked, old.number):
            checked = None
        new_settings = settings if settings is not None and workers_part(settings) != workers_part(old.settings) else None
        if not checked and new_settings is None:
            self.target = crew.target = replace(old, settings=settings or old.settings)
            self._note("unchanged")
            return old.number
        snapshot = old.snapshot
        if checked:
            number = release.write_generation(self._state_dir, checked, self._clock.now())
            snapshot = self._load(self._state_dir, number, old.snapshot)
        target = Target(self._word.value + 1, snapshot, settings or old.settings)
        started = time.monotonic()
        await crew.stage(target, pack_settings(target.settings) if new_settings is not None else None)
        if checked:
            try:
                release.put_in_force(self._state_dir, target.number)
            except OSError:
                await crew.unstage(target)
                raise
        self._word.set(target.epoch)
        self.target = target
        self.switched_at = self._clock.now()
        await crew.confirm(target)
        if new_settings is not None and needs_new_workers(old.settings, new_settings):
            await crew.renew()
        self._note("applied")
        self._announce()
        took = round(time.monotonic() - started, 3)
        log.info("generation in force", extra={"event": "generation.switched", "generation": target.number, "seconds": took})
        try:
            release.prune(self._state_dir, time.time())
        except (LachanError, OSError) as error:
            log.warning("old generations not removed", extra={"event": "generation.prune", "reason": str(error)})
        return target.number

    def _is_same(self, changes: release.Changes, number: int) -> bool:
        """Whether these changes change nothing about generation `number`."""
        try:
            manifest = release.read_manifest(self._state_dir, number)
        except GenerationError:
            return False
        policies, orders = dict(manifest.policies), manifest.orders
        if changes.get("index") not in (None, manifest.index_dir) or changes.get("catalogue") not in (None, manifest.catalogue):
            return False
        if any(policies.get(tenant) != name for tenant, name in changes.get("policies", {}).items()):
            return False
        if "orders" not in changes:
            return True
        wanted = changes["orders"]
        if wanted is None or orders is None:
            return wanted is None and orders is None
        return release.orders_of(wanted) == orders

    def _note(self, outcome: str) -> None:
        number = self.target.number if self.target is not None else 0
        self.last = Attempt(self._clock.now(), outcome, number)
        self._totals.add(RELOADS, (outcome,))
        self._totals.set(RELOAD_OK, (), int(self.stood_in is None and self.refused is None))

    def _announce(self) -> None:
        assert self.target is not None
        disputes = tuple(self.target.snapshot.disputes)
        if disputes and disputes != self._disputes:
            extra = {"event": "claims.disputed", "claims": len(disputes), "first": ", ".join(disputes[0].owners)}
            log.warning("networks or devices are claimed twice, or outside their site: the strictest band holds there", extra=extra)
        self._disputes = disputes
        for listener in self.on_switch:
            listener(self.target)


def workers_part(settings: GatewaySettings) -> GatewaySettings:
    """The settings without what workers never look at."""
    return replace(settings, policy=MappingProxyType({}), other_sections=MappingProxyType({}), source=None)


def needs_new_workers(old: GatewaySettings, new: GatewaySettings) -> bool:
    """Whether something changed that a worker only looks at when it begins."""
    if (old.dns.allow_from, old.dns.link) != (new.dns.allow_from, new.dns.link):
        return True
    return any(getattr(old, name) != getattr(new, name) for name in ("limits", "rate_limit", "proxy_protocol", "tls"))


def pack_settings(settings: GatewaySettings) -> str:
    """Settings as text for the line to a worker (a child of this very process, so a pickle is safe there)."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    table: dict[type, Callable[[Any], Any]] = {**copyreg.dispatch_table, MappingProxyType: _reduce_mapping}
    pickler.dispatch_table = table
    pickler.dump(workers_part(settings))
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def unpack_settings(text: str) -> GatewaySettings:
    """The worker's end of `pack_settings`."""
    settings = pickle.loads(base64.b64decode(text))
    assert isinstance(settings, GatewaySettings)
    return settings


def _reduce_mapping(mapping: MappingProxyType[Any, Any]) -> tuple[object, ...]:
    return _restore_mapping, (dict(mapping),)


def _restore_mapping(content: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(content)


def _checked(changes: Mapping[str, Any]) -> release.Changes:
    unknown = sorted(set(changes) - CHANGES)
    if unknown:
        raise GenerationError("changes", f"unknown part {unknown[0]!r}")
    try:
        checked: release.Changes = {}
        for part in ("index", "catalogue"):
            if changes.get(part) is not None:
                checked[part] = str(changes[part])
        if "orders" in changes:
            orders = changes["orders"]
            checked["orders"] = None
            if orders is not None:
                segments = [str(name) for name in orders["segments"]]
                serial, origin, root = int(orders["serial"]), str(orders["origin"]), str(orders.get("root", ""))
                checked["orders"] = {"serial": serial, "segments": segments, "origin": origin, "root": root}
        if changes.get("policies") is not None:
            checked["policies"] = {str(tenant): None if name is None else str(name) for tenant, name in dict(changes["policies"]).items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GenerationError("changes", "not in the form of a change") from None
    return checked


def merge_settings(old: GatewaySettings, new: GatewaySettings | None) -> tuple[GatewaySettings, tuple[str, ...]]:
    """The settings to go on with, and a sentence for each change that waits for a restart."""
    if new is None:
        return old, ()
    late = [f"dns.{name}" for name in ("listen", "workers", "user") if getattr(new.dns, name) != getattr(old.dns, name)]
    late += [name for name in NEEDS_RESTART if name != "dns" and getattr(new, name) != getattr(old, name)]
    kept = {name: getattr(old, name) for name in NEEDS_RESTART if name != "dns"}
    dns = replace(new.dns, **{name: getattr(old.dns, name) for name in ("listen", "workers", "user")})
    merged = replace(new, dns=dns, **kept)
    assert {each.name for each in fields(new)} >= set(NEEDS_RESTART)
    return merged, tuple(
        f"{name} đã thay đổi: có hiệu lực sau khi khởi động lại / {name} has changed: it takes effect after a restart" for name in late
    )
