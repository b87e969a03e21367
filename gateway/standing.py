"""How the gateway stands, as one document: for `lachan status`, `/api/v1/status`, `/readyz` and the gauges. Lives in the supervisor.

The document holds numbers, addresses of our own and of upstreams, ids of lists and processes; never a client or a name that was asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any, Literal

from gateway.certificatewatch import CertificateState, CertificateWatch
from gateway.clock import WallClock
from gateway.crew import Crew, Target
from gateway.extras import Extras
from gateway.following import CODES, describe, read_state
from gateway.links import own_networks
from gateway.metrics import (
    CERTIFICATE_END,
    CERTIFICATE_REFUSED,
    DISPUTED,
    GENERATION,
    LIST_ENTRIES,
    LIST_UPDATED,
    OFFICE_ENFORCEMENT,
    OFFICE_GATEWAYS,
    OFFICE_HELD,
    OFFICE_JOURNAL,
    OFFICE_KEPT,
    OFFICE_SHARE,
    OFFICE_UNSIGNED,
    ORDER_SERIAL,
    RELEASE_CHECKED,
    RELEASE_FAILURE,
    RELEASE_IN_FORCE,
    WALL_TIME,
    WORKER_UP,
    ZONE_CHECKED,
    ZONE_EXPIRED,
    ZONE_FAILURE,
    ZONE_SERIAL,
)
from gateway.officestatus import STATES, read_office
from gateway.outages import OutageWatch
from gateway.policy.claims import find_unserved, text_of
from gateway.policy.tenant import Network, TenantPolicy
from gateway.selfsearch import FOUND as SELF_FOUND
from gateway.servers import FALLBACK_USED
from gateway.settings import DnsSettings
from gateway.sockets import ListeningSockets
from gateway.switch import Generations
from gateway.totals import Totals
from gateway.vitals import is_writable, weigh
from gateway.zones import CODES as ZONE_CODES
from gateway.zones import describe as describe_zone
from gateway.zones import read_zones

State = Literal["starting", "ready", "degraded", "leaving", "stopping"]
Document = dict[str, Any]  # Any: JSON values
NOT_WRITABLE = (
    "{folder} KHÔNG GHI ĐƯỢC (đĩa đầy?): không thay đổi nào được lưu, quy tắc đang có vẫn giữ / cannot be written (disk full?): no change"
    " is kept, what is in force stays"
)
DOWN = "tiến trình {name} không chạy, đang được khởi động lại / process {name} is down and is started again and again"
NO_UPSTREAM = (
    "KHÔNG MÁY CHỦ DNS NGOÀI NÀO TRẢ LỜI: chỉ mở được tên vừa dùng gần đây; việc chặn không đổi / NO upstream answers: only names used"
    " lately resolve; blocking is unchanged"
)
DISPUTE = (
    "{what} ghi ở hai nơi ({owners}): máy ở đó theo quy tắc chặt nhất, cho tới khi mỗi mạng chỉ ghi ở một nơi / {what} is claimed twice"
    " ({owners}): devices there have the strictest rules until each network is written once"
)
OUTSIDE = (
    "{what} của {owners} nằm ngoài mạng của nơi ấy: máy ở đó theo quy tắc chặt nhất, cho tới khi sửa / {what} of {owners} lies outside its"
    " own site: devices there have the strictest rules until it is mended"
)
MOST_DISPUTES = 5
UNSERVED = (
    "{what} của {owner} nằm ngoài dns.allow_from: máy ở đó KHÔNG được trả lời; người coi tệp cấu hình ghi vào mục dns, rồi lachan reload"
    " / is outside dns.allow_from: devices there get NO answer; whoever keeps the settings file writes into its section dns, then lachan"
    " reload: {line}"
)
NO_LIST = "CHƯA CÓ danh sách nào của cơ quan / NO list of the office that is followed is in force"
OTHER_LIST = "; giữ nguyên bản {serial} của cơ quan trước / list {serial} of the office before stays in force"


@dataclass(slots=True)
class Standing:
    """Everything the document is made from."""

    clock: WallClock
    totals: Totals
    generations: Generations
    sockets: ListeningSockets
    crew: Crew
    extras: Extras
    supervisor_pid: int
    started: float
    phase: Literal["starting", "running", "leaving", "stopping"] = "starting"
    notes: tuple[str, ...] = ()
    of_lists: tuple[str, ...] = ()
    """What the last preparation of the lists had to say, whoever asked for it."""
    trouble: str = ""
    """Why we are not done with leaving."""
    watch: CertificateWatch = field(default_factory=CertificateWatch)
    outage: OutageWatch = field(default_factory=OutageWatch)
    late: Callable[[], list[str]] = list
    """What could not be opened yet, a sentence each."""

    _told: tuple[Target, tuple[IPv6Network, ...], tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        self.generations.on_switch.append(self._look_at_files)

    def state(self) -> State:
        """`ready` when every worker serves the generation in force."""
        if self.phase != "running":
            return self.phase
        return "degraded" if self.faults() else "ready"

    def faults(self) -> list[str]:
        """Why the gateway is not ready; empty when it is."""
        if self.phase != "running":
            return [self.phase, *([self.trouble] if self.trouble else [])]
        target = self.generations.target
        faults = [f"worker {each.index} does not answer" for each in self.crew.workers if not each.is_ready.is_set()]
        faults += [
            f"worker {each.index} has generation {each.number}"
            for each in self.crew.workers
            if each.is_ready.is_set() and target is not None and each.number != target.number
        ]
        return faults

    def document(self) -> Document:
        """The whole of it."""
        target, last = self.generations.target, self.generations.last
        return {
            "version": program_version(),
            "state": self.state(),
            "faults": self.faults(),
            "generation": target.number if target else None,
            "generation_in_force_since": _iso(self.generations.switched_at) if target else None,
            "order_serial": target.snapshot.order_serial if target else None,
            "follow": self.follow(),
            "zones": self.zones(),
            "certificate": state.describe(time.time()) if (state := self.certificate()) is not None else None,
            "pid": self.supervisor_pid,
            "uptime": round(time.monotonic() - self.started, 1),
            "clock": {"now": _iso(self.clock.now()), "test": self.clock.is_test},
            "listen": [{"transport": kind, "address": str(endpoint)} for kind, endpoint in self.sockets.endpoints()],
            "workers": [
                {
                    "index": each.index,
                    "pid": each.pid,
                    "ready": each.is_ready.is_set(),
                    "generation": each.number or None,
                    "restarts": each.restarts,
                    "uptime": round(time.monotonic() - each.started, 1) if each.pid else 0,
                }
                for each in self.crew.workers
            ],
            "lists": self.lists(),
            "upstreams": merge_upstreams(each.report.get("upstreams", ()) for each in self.crew.workers),
            "processes": [
                {
                    "name": each.process.name,
                    "pid": each.pid,
                    "restarts": each.restarts,
                    "silent": each.is_silent,
                    "at_work": each.is_at_work,
                }
                for each in self.extras.extras
            ],
            "last_change": None
            if last is None
            else {"at": _iso(last.at), "outcome": last.outcome, "generation": last.generation, "error": last.error, "where": last.where},
            "allow_from": [str(one) for one in target.settings.dns.allow_from] if target else [],
            "allow_words": target.settings.dns.allowed_words if target else [],
            "link": [str(one) for one in own_networks()] if target and target.settings.dns.link else [],
            "notes": [*self.notes, *self.of_lists, *self.lacks()],
            "config": str(target.settings.source) if target and target.settings.source else None,
        }

    def look_at_upstreams(self, now: float) -> None:
        """Notice that no upstream answers, or that one does again; once a second. `now` in monotonic seconds."""
        self.outage.look([each.report.get("upstreams", ()) for each in self.crew.workers], now)

    def lacks(self) -> list[str]:
        """What is missing although the gateway is ready: names resolve, so its clients stay; a person should look."""
        target = self.generations.target
        if target is None:
            return []
        folder = target.settings.state_dir
        state = read_state(folder)
        found = [str(self.generations.stood_in)] if self.generations.stood_in is not None else []
        if self.outage.is_out:
            found.append(NO_UPSTREAM)
        if state is not None and not state.serial:
            found.append(NO_LIST + (OTHER_LIST.format(serial=state.other) if state.other else ""))
        if not is_writable(folder):
            found.append(NOT_WRITABLE.format(folder=folder))
        ourselves = sorted({str(server) for each in self.crew.workers for server in each.report.get("ourselves", ())})
        found += [SELF_FOUND.format(server=server) for server in ourselves]
        upstreams = target.settings.upstreams
        if upstreams.origin == "fallback" or (upstreams.origin == "system" and len(ourselves) == len(upstreams.servers)):
            found.append(FALLBACK_USED)
        if (certificate := self.certificate()) is not None:
            found += certificate.sentences(time.time())
        found += describe_disputes(target.snapshot.disputes)
        found += [*self._unserved(target), *self.late()]
        return found + [DOWN.format(name=each.process.name) for each in self.extras.extras if each.restarts and not each.is_at_work]

    def _unserved(self, target: Target) -> tuple[str, ...]:
        """Networks that somebody wrote and that may not ask; worked out once for a generation under its settings, and again when this
        machine's links have other networks."""
        link = own_networks() if target.settings.dns.link else ()
        if self._told is None or self._told[0] is not target or self._told[1] != link:
            policies = getattr(target.snapshot, "tenants", {}).values()
            self._told = (target, link, tuple(describe_unserved(policies, target.settings.dns)))
        return self._told[2]

    def certificate(self) -> CertificateState | None:
        """How the certificate of the encrypted listeners stands; None when there is none."""
        target = self.generations.target
        return self.watch.look(target.settings.tls) if target is not None else None

    def _look_at_files(self, target: Target) -> None:
        """Know the certificate from the first moment on, so that its end is known when its files break later."""
        self.watch.look(target.settings.tls)

    def follow(self) -> Document | None:
        """How the list office is followed; None when none is."""
        target = self.generations.target
        state = read_state(target.settings.state_dir) if target is not None else None
        return describe(state, self.clock.now()) if state is not None else None

    def zones(self) -> list[Document]:
        """How each zone that is taken from a primary stands."""
        target = self.generations.target
        now = self.clock.now()
        return [describe_zone(state, now) for state in read_zones(target.settings.state_dir)] if target is not None else []

    def lists(self) -> list[Document]:
        """One row per list of the index, with what its preparation wrote about it."""
        target = self.generations.target
        if target is None:
            return []
        known = list_states(target.settings.state_dir)
        for zone in read_zones(target.settings.state_dir):
            if (row := known.get(f"rpz:{zone.name}")) is not None:  # what its primary says is newer than its preparation
                row["checked_at"] = zone.good_at
                row["problem"] = {"vi": zone.problem, "en": zone.problem} if zone.code else row.get("problem")
        return [list_row(source, known.get(str(source.id), {}), self.clock.now()) for source in target.snapshot.sources]

    def refresh_gauges(self) -> None:
        """Bring the gauges up to date, just before somebody reads them."""
        workers = self.crew.workers
        self.totals.replace(GENERATION, {(str(each.index),): float(each.number) for each in workers if each.is_ready.is_set()})
        self.totals.set(WALL_TIME, (), time.time())
        self.totals.replace(WORKER_UP, {(str(each.index),): float(each.is_ready.is_set()) for each in workers})
        target = self.generations.target
        if target is not None:
            rows = self.lists()
            entries: dict[tuple[str, ...], float] = {}
            for row in rows:
                key = (row["id"], row["category"] or "")
                entries[key] = entries.get(key, 0) + row["entries"]
            self.totals.replace(LIST_ENTRIES, entries)
            updated: dict[tuple[str, ...], float] = {(row["id"], row["category"] or ""): row["updated"] for row in rows if row["updated"]}
            self.totals.replace(LIST_UPDATED, updated)
            self.totals.set(DISPUTED, (), len(target.snapshot.disputes))
            self.totals.set(ORDER_SERIAL, (), target.snapshot.order_serial)
            state = read_state(target.settings.state_dir)
            self.totals.replace(RELEASE_CHECKED, {(): float(state.good_at)} if state is not None else {})
            self.totals.replace(RELEASE_IN_FORCE, {(): float(state.serial > 0)} if state is not None else {})
            certificate = self.certificate()
            ends = certificate.ends_at if certificate is not None else 0.0
            self.totals.replace(CERTIFICATE_END, {(): ends} if ends else {})
            self.totals.replace(CERTIFICATE_REFUSED, {(): float(bool(certificate.refused))} if certificate is not None else {})
            self._refresh_office(target.settings.state_dir)
            self._refresh_zones(target.settings.state_dir)
            self.totals.replace(RELEASE_FAILURE, {(code,): float(code == state.code) for code in CODES} if state is not None else {})
        processes = {"supervisor": self.supervisor_pid}
        processes |= {f"worker {each.index}": each.pid for each in workers if each.pid}
        processes |= {each.process.name: each.pid for each in self.extras.extras if each.pid}
        weigh(self.totals, processes)

    def _refresh_zones(self, state_dir: Path) -> None:
        zones, now = read_zones(state_dir), self.clock.now()
        self.totals.replace(ZONE_SERIAL, {(zone.name,): float(zone.serial) for zone in zones if zone.good_at})
        self.totals.replace(ZONE_CHECKED, {(zone.name,): float(zone.good_at) for zone in zones})
        self.totals.replace(ZONE_EXPIRED, {(zone.name,): float(zone.is_expired(now)) for zone in zones})
        self.totals.replace(ZONE_FAILURE, {(zone.name, code): float(code == zone.code) for zone in zones for code in ZONE_CODES})

    def _refresh_office(self, state_dir: Path) -> None:
        """The numbers of a list office on this machine; none where there is no office."""
        office = read_office(state_dir)
        if office is None:
            return
        self.totals.replace(OFFICE_GATEWAYS, {(state,): float(getattr(office, state)) for state in STATES})
        self.totals.replace(OFFICE_ENFORCEMENT, {("middle",): float(office.middle), ("slowest",): float(office.slowest)})
        self.totals.set(OFFICE_UNSIGNED, (), office.unsigned)
        self.totals.set(OFFICE_JOURNAL, (), office.journal_alarm)
        self.totals.set(OFFICE_HELD, (), office.held)
        self.totals.set(OFFICE_SHARE, (), office.share / 100)
        self.totals.set(OFFICE_KEPT, (), office.withdrawals_kept)


def list_row(source: Any, state: Document, now: float) -> Document:  # Any: a metadata row of the snapshot
    """One list of the index. `updated`: when its newest copy was last found good (unix seconds), None for lists that are part of the
    program; `age` in seconds; `state` and `problem` as its preparation wrote them."""
    updated = int(state.get("checked_at" if state.get("state") == "fresh" else "fetched_at") or 0)
    return {
        "id": str(source.id),
        "category": source.category,
        "title": str(getattr(source, "title", "")),
        "entries": int(source.entries),
        "state": state.get("state"),
        "problem": state.get("problem"),
        "updated": updated or None,
        "age": max(0, round(now - updated)) if updated else None,
    }


def describe_disputes(disputes: Sequence[Any]) -> list[str]:  # Any: disputes of the snapshot
    """Claims on addresses that cannot hold, a sentence each; the rest is counted."""
    found = []
    for one in disputes[:MOST_DISPUTES]:
        words = OUTSIDE if one.is_outside else DISPUTE
        found.append(words.format(what=one.what or "một máy (a device)", owners=", ".join(one.owners)))
    more = len(disputes) - len(found)
    return [*found, *([f"và {more} chỗ như vậy nữa / and {more} more like these"] if more else [])]


def describe_unserved(policies: Iterable[TenantPolicy], dns: DnsSettings) -> list[str]:
    """Networks of policies that `dns.allow_from` refuses, a sentence each with the line that mends it; an address of one client is not
    named, and the rest is counted."""
    allowed = [Network(one.network_address.packed, one.prefixlen) for one in (*dns.allow_from, *(own_networks() if dns.link else ()))]
    found = [(network, f"{policy.tenant} {owner}") for policy in policies for network, owner in find_unserved(policy, allowed)]
    told = []
    for network, owner in found[:MOST_DISPUTES]:
        what = text_of(network) if network.length < len(network.address) * 8 else ""
        line = dns.line_with(what) if what else "allow_from: […]"
        told.append(UNSERVED.format(what=what or "một máy (a device)", owner=owner, line=line))
    more = len(found) - len(told)
    return [*told, *([f"và {more} chỗ như vậy nữa / and {more} more like these"] if more else [])]


def list_states(state_dir: Path) -> dict[str, Document]:
    """What the last preparation wrote about each configured list (`lists/status.json`), by id; empty when there is nothing to read."""
    try:
        document = json.loads((state_dir / "lists" / "status.json").read_bytes())
        return {str(row["id"]): dict(row) for row in document["lists"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


_NOTHING_YET: Document = {"workers": 0, "healthy": 0, "rtt": 0.0, "asked": 0, "answered": 0, "failed": 0, "fault": "", "detail": ""}


def merge_upstreams(reports: Iterable[Iterable[Document]]) -> list[Document]:
    """One row per upstream over all workers: how many hold it for healthy, the mean of their smoothed round trip times in milliseconds, and
    why nothing comes from it where that is so (`fault`, `detail`)."""
    merged: dict[str, Document] = {}
    for report in reports:
        for row in report:
            into = merged.setdefault(str(row["upstream"]), {"upstream": str(row["upstream"]), **_NOTHING_YET})
            into["workers"] += 1
            into["healthy"] += 1 if row.get("up") else 0
            into["rtt"] += float(row.get("rtt", 0.0))
            into["asked"] += int(row.get("asked", 0))
            into["answered"] += int(row.get("answered", 0))
            into["failed"] += int(row.get("failed", 0))
            into["fault"], into["detail"] = (row["fault"], row["detail"]) if row.get("fault") else (into["fault"], into["detail"])
    for into in merged.values():
        into["rtt"] = round(into["rtt"] / into["workers"], 1)
        into["up"] = into["healthy"] > 0
    return sorted(merged.values(), key=lambda row: str(row["upstream"]))


def program_version() -> str:
    """The version of the installed program."""
    try:
        return version("lachan")
    except PackageNotFoundError:
        return "unknown"


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
