"""Preparing what gateways enforce: fetch what is due, read every source, guard, compile, read the orders. `lachan` and `admin` import it.

`prepare` puts files in place below the state directory and returns what a generation changes; it commits nothing, because only the
supervisor (or a command while none runs) does. It takes seconds and a lot of memory, so whoever calls it does so in a child process; the
gateway keeps answering from what it has.

| what goes wrong with a source | what is in force |
|---|---|
| it cannot be fetched or read, has too many mistakes, is empty all of a sudden | the last good copy, with the reason |
| it grew or shrank at a stroke (a subscription) | the last good copy; the new one waits for a person |
| it was never had | nothing of it; the report and the status say so |
| the takedown file has a mistake | the orders in force, with the mistakes |
| the catalogue has a mistake | everything stays: it raises |
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from blocklists import catalogue as catalogue_files
from blocklists.catalogue import Json
from blocklists.compile import IndexWriter
from blocklists.copies import Copies, alone, due_at
from blocklists.downloads import Download, Outcome, fetch_all
from blocklists.fetch import Fetcher, FetchLimits, Validators
from blocklists.guard import ChangeLimits, Guard
from blocklists.intake import Arrival, ErrorLimits, Intake
from blocklists.orders import OrdersReport, read_orders
from blocklists.progress import Listener, Progress, silent
from blocklists.report import Problem, Report, SourceReport
from blocklists.settings import BlocklistSettings
from blocklists.sources import Source, from_catalogue, from_seeds, from_settings
from gateway import release
from gateway.errors import FetchError, GenerationError, SettingsError

Fetch = Literal["none", "due", "all"]

STATUS: Final = "status.json"
"""The file below `state_dir/lists` that says how every list is; metrics and pages read it."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a preparation is told. `own_names` are hosts the gateway itself talks to (upstreams, its own names); `now` is unix seconds.

    `catalogue_dir` and `seed_dir` replace the shipped data. The limits have defaults that a person should rarely change.
    """

    settings: BlocklistSettings
    now: float
    own_names: tuple[str, ...] = ()
    catalogue_dir: Path | None = None
    seed_dir: Path | None = None
    errors: ErrorLimits = field(default_factory=ErrorLimits)
    changes: ChangeLimits = field(default_factory=ChangeLimits)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is in place below the state directory, for `release.commit_generation` or the supervisor, and the report for people."""

    changes: release.Changes
    report: Report


def prepare(inputs: Inputs, fetch: Fetch = "none", progress: Listener = silent, fetcher: Fetcher | None = None) -> Prepared:
    """Prepare a generation's lists, catalogue and orders. Raises SettingsError for a broken catalogue, OSError when the disk refuses.

    One process fetches at a time (a second one does without) and one compiles at a time (a second one waits), so that a reload does not
    wait for a slow download.
    """
    started = time.monotonic()
    catalogue = catalogue_files.load(inputs.catalogue_dir)
    configured = from_settings(inputs.settings, catalogue)
    state_dir = inputs.settings.state_dir
    with nullcontext(False) if fetch == "none" else alone(state_dir, "fetch", wait=False) as mine:
        outcomes = _download(inputs, configured, fetch if mine else "none", progress, fetcher)
        with alone(state_dir, "prepare", wait=True):
            arrivals = {item.id: _arrival(Copies(state_dir, item.id), item, outcome) for item, outcome in outcomes}
            prepared = _compile(inputs, catalogue, configured, arrivals, progress)
    prepared.report.seconds = time.monotonic() - started
    return prepared


def guard_of(inputs: Inputs, catalogue: Json) -> Guard:
    """The guard of a preparation: the catalogue, the gateway's own servers, and the servers that lists come from."""
    hosts = [urlsplit(item.url).hostname or "" for item in inputs.settings.lists if item.url]
    return Guard.of(catalogue, [*inputs.own_names, *hosts])


def next_due(settings: BlocklistSettings, now: float) -> float:
    """When the next subscription wants to be fetched (unix seconds, `now` or earlier means at once); infinity without subscriptions."""
    times = [due_at(item.id, Copies(settings.state_dir, item.id).about(), item.refresh) for item in settings.lists if item.url]
    return max(min(times), 0.0) if times else float("inf")


def accept_held(state_dir: Path, list_id: str) -> int | None:
    """Agree to the copy of a list that waits; the next preparation takes it. Returns its entries, None when nothing waits."""
    held = Copies(state_dir, list_id).agree()
    return held.entries if held else None


def prepare_orders(inputs: Inputs, guard: Guard, catalogue: Json, report: Report) -> release.OrdersChange | Literal[False] | None:
    """What becomes of the orders: a new serial when the file says something new, None when the file is gone, False to leave them alone."""
    state_dir = inputs.settings.state_dir
    try:
        current = release.read_manifest(state_dir).orders
    except GenerationError:
        current = None
    path = inputs.settings.orders_file
    if inputs.settings.follow is not None:
        return False  # what is in force stays until the office's first release takes its place
    if path is None:
        return None if current is not None and current.origin == "file" else False
    if current is not None and current.origin != "file":
        report.orders_problem = Problem(
            "cổng lọc này theo cơ quan ký số, nên tệp quyết định không được dùng",
            "this gateway follows a signed office, so the takedown file is not used",
        )
        return False
    try:
        segment, found = read_orders(path, guard, catalogue)
    except SettingsError as error:
        report.orders_problem = Problem(f"tệp quyết định có lỗi, giữ nguyên các quyết định đang có hiệu lực: {error}", str(error))
        report.orders = OrdersReport()
        return False
    report.orders = found
    name = release.write_file(state_dir, segment)
    if current is not None and current.segments == (name,):
        return False
    return release.OrdersChange(serial=(current.serial if current else 0) + 1, segments=[name], origin="file")


def _compile(inputs: Inputs, catalogue: Json, configured: list[Source], arrivals: dict[str, Arrival], progress: Listener) -> Prepared:
    settings = inputs.settings
    guard = guard_of(inputs, catalogue)
    sources = [*from_catalogue(catalogue), *from_seeds(inputs.seed_dir), *configured]
    report = Report()
    writer = IndexWriter()
    intake = Intake(settings.state_dir, guard, catalogue, inputs.now, inputs.errors, inputs.changes)
    own = {source.id for source in configured}
    for done, source in enumerate(sources, 1):
        taken = intake.take(source, arrivals.get(source.id))
        for index, part in enumerate(taken.parts):
            writer.add(part.row, part.batches, taken.counts if index == 0 else {}, part.addresses)
        report.sources.append(replace(taken.report, configured=source.id in own))
        progress(Progress("parse", source.id, done, len(sources)))
    compiled = writer.write(settings.state_dir, lambda done, total: progress(Progress("compile", "", done, total)))
    report.keys = compiled.keys
    changes = release.Changes(index=compiled.name, catalogue=release.write_file(settings.state_dir, catalogue))
    orders = prepare_orders(inputs, guard, catalogue, report)
    if orders is not False:
        changes["orders"] = orders
    _write_status(settings.state_dir, report, inputs.now)
    return Prepared(changes, report)


def _download(
    inputs: Inputs, sources: list[Source], fetch: Fetch, progress: Listener, fetcher: Fetcher | None
) -> list[tuple[Download, Outcome]]:
    """Fetch the subscriptions that want it, each into a file of its own."""
    wanted: list[Download] = []
    for source in sources:
        if source.url is None or fetch == "none":
            continue
        copies = Copies(inputs.settings.state_dir, source.id)
        about = copies.about()
        if fetch == "due" and inputs.now < due_at(source.id, about, source.refresh):
            continue
        copies.folder.mkdir(parents=True, exist_ok=True)
        for stray in copies.folder.glob("candidate*"):
            stray.unlink(missing_ok=True)
        known = about.origin == source.url and copies.good.is_file()
        target = copies.folder / f"candidate.{time.monotonic_ns():x}"
        wanted.append(Download(source.id, source.url, target, about.validators if known else Validators()))
    if not wanted:
        return []
    if fetcher is None:
        cap = inputs.settings.fetch
        fetcher = Fetcher(FetchLimits(max_bytes=cap.max_bytes, allow_private=cap.allow_private))
    count = iter(range(1, len(wanted) + 1))
    outcomes = fetch_all(fetcher, wanted, lambda id_: progress(Progress("fetch", id_, next(count), len(wanted))))
    return [(item, outcomes[item.id]) for item in wanted]


def _arrival(copies: Copies, item: Download, outcome: Outcome) -> Arrival:
    """Put what a fetch brought where the intake looks for it."""
    if isinstance(outcome, FetchError):
        return Arrival(error=outcome)
    about = copies.about()
    if outcome.changed and outcome.digest == about.digest and about.origin == item.url and copies.good.is_file():
        item.target.unlink(missing_ok=True)
        return Arrival(is_good=True, validators=outcome.validators)
    if outcome.changed:
        item.target.replace(copies.candidate)
    return Arrival(changed=outcome.changed, validators=outcome.validators)


def _write_status(state_dir: Path, report: Report, now: float) -> None:
    """Say how every configured list is, for metrics and pages."""
    rows = [_status_of(source) for source in report.sources if source.configured]
    folder = state_dir / "lists"
    folder.mkdir(parents=True, exist_ok=True)
    document = {"format": 1, "prepared_at": int(now), "keys": report.keys, "lists": rows}
    release.replace_file(folder / STATUS, release.canonical_bytes(document))


def _status_of(source: SourceReport) -> Json:
    problem = source.problem
    return {
        "id": source.id,
        "category": source.category,
        "state": source.state,
        "entries": source.entries,
        "fetched_at": source.fetched_at,
        "checked_at": source.checked_at,
        "problem": {"vi": problem.vi, "en": problem.en} if problem else None,
    }
