"""`lachan lists`: fetch, compile, show, accept; counts per category, rejected lines by reason. Only `lachan` imports this module."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import release
from gateway.errors import LachanError
from gateway.policy.catalogue import read_catalogue
from lachan.configuration import Configuration, find_file, load
from lachan.preparation import Outcome, look_at_disk, prepare, put_in_force
from lachan.progress import Bars
from lachan.running import state_dir_of

if TYPE_CHECKING:
    from blocklists.report import Report, SourceReport
    from blocklists.waiting import Waiting


class ListsError(LachanError):
    """There is nothing to show or to agree to; one sentence."""


def update(config: Path | None) -> None:
    """Fetch every subscription now, compile, put in force. Raises ListsError for lists of which no new copy could be used."""
    _tell_left_behind(_prepare(load(find_file(config)), "all"))


def compile_now(config: Path | None) -> None:
    """Compile what is on disk and put it in force. Raises ListsError for files that could not be used."""
    configuration = load(find_file(config))
    files = {source.id for source in configuration.lists.lists if source.path is not None}
    _tell_left_behind([source for source in _prepare(configuration, "none") if source.id in files])


def accept(config: Path | None, list_id: str, *, yes: bool) -> None:
    """Say what waits at a list and, when a person agrees (`yes`: has agreed), put it in force. Raises ListsError when there is no such
    list, nothing waits, or nobody can be asked."""
    from blocklists.jobs import accept_held

    configuration = load(find_file(config))
    state_dir = configuration.gateway.state_dir
    found = _waiting(configuration, list_id)
    if not yes:
        if not sys.stdin.isatty():
            raise ListsError(f"nothing was changed: to put this copy in force, say: lachan lists accept {list_id} --yes")
        typer.confirm("Dùng bản này? / Put this copy in force?", abort=True)
    if waiting_now(configuration, list_id) != found or accept_held(state_dir, list_id) is None:
        raise ListsError(f"the waiting copy of '{list_id}' is gone: a newer one has taken its place")
    _prepare(configuration, "none")


def look(config: Path | None, list_id: str) -> None:
    """Say what waits at a list; nothing changes. Raises ListsError when there is no such list or nothing waits."""
    _waiting(load(find_file(config)), list_id)
    typer.echo(f"Chưa có gì thay đổi; đồng ý bằng / nothing has changed; agree with: lachan lists accept {list_id}")


def _waiting(configuration: Configuration, list_id: str) -> Waiting:
    """Find what waits at a list and show it."""
    found = waiting_now(configuration, list_id)
    if found is None:
        held = sorted(name for name, state in _states(configuration.gateway.state_dir).items() if state == "held")
        raise ListsError(f"no copy of '{list_id}' waits for anybody (waiting now: {', '.join(held) or 'none'})")
    console = Console()
    for line in described(list_id, found):
        console.print(Text(line), soft_wrap=True)
    return found


def waiting_now(configuration: Configuration, list_id: str) -> Waiting | None:
    """What waits at a list; None when nothing does. Raises ListsError when there is no such list."""
    from blocklists import catalogue
    from blocklists.sources import from_settings
    from blocklists.waiting import waiting_copy

    sources = {source.id: source for source in from_settings(configuration.lists, catalogue.load())}
    if list_id not in sources:
        raise ListsError(f"there is no list '{list_id[:60]}' (the lists are: {', '.join(sorted(sources)) or 'none'})")
    return waiting_copy(configuration.gateway.state_dir, sources[list_id])


def described(list_id: str, waiting: Waiting) -> list[str]:
    """What waits and why, in both languages."""
    seen = datetime.fromtimestamp(waiting.checked_at, UTC).astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).strftime("%Y-%m-%d %H:%M")
    after, before = _count(waiting.held.entries), _count(waiting.before)
    return [
        f"Bản mới của danh sách {list_id} đang chờ / The new copy of list {list_id} waits:",
        f"  vì sao / why: {waiting.held.vi} / {waiting.held.en}",
        f"  từ / from: {waiting.source} ({seen})",
        f"  số mục / entries: {before} → {after}",
        f"  thêm / added: {_count(waiting.added)}{_examples(waiting.added_names)}",
        f"  bỏ / removed: {_count(waiting.removed)}{_examples(waiting.removed_names)}",
    ]


def _examples(names: tuple[str, ...]) -> str:
    return f" ({', '.join(names)} …)" if names else ""


def _tell_left_behind(sources: list[SourceReport]) -> None:
    """Everything else is in force by now; what is not ends the command with status 1, for scripts."""
    kept = [source.id for source in sources if source.state == "kept"]
    empty = [source.id for source in sources if source.state in ("refused", "missing")]
    told = [f"the last good copy stays in force of: {', '.join(kept)}"] if kept else []
    told += [f"nothing is in force of: {', '.join(empty)}"] if empty else []
    if told:
        raise ListsError("; ".join(told))


def _prepare(configuration: Configuration, fetch: Literal["none", "all"]) -> list[SourceReport]:
    """Prepare, put in force, tell; the configured lists as they came out."""
    look_at_disk(configuration.gateway.state_dir)
    with Bars() as bars:
        outcome = prepare(configuration, fetch, bars)
    number = put_in_force(configuration.gateway.state_dir, outcome.changes, outcome.notes)
    console = Console()
    if outcome.report is not None:
        for table in reported(outcome.report):
            _print(console, table)
    for line in summary(outcome, number):
        console.print(Text(line), soft_wrap=True)
    return [] if outcome.report is None else [source for source in outcome.report.sources if source.configured]


def _print(console: Console, table: Table) -> None:
    """Print a table; as wide as it has to be where no terminal sets a limit, so that a file or a pipe gets every cell whole."""
    if not console.is_terminal:
        console.width = max(console.width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table, soft_wrap=True)


def reported(report: Report) -> list[Table]:
    """The report as tables: the lists, then the categories."""
    lists = Table(
        "danh sách / list",
        "nhóm / category",
        "tên / names",
        "bỏ / rejected",
        "vì sao / why",
        "không tính / not counted",
        title="Danh sách / Lists",
    )
    shipped: Counter[str] = Counter()
    for source in report.sources:
        if not source.configured:
            shipped.update(source.by_category)
            continue
        rejected, noise = split({reason.value: count for reason, count in source.rejected.items()})
        kind = source.category or (f"{source.action} ({source.level})" if source.action else source.kind)
        lists.add_row(
            Text(source.id),
            Text(kind),
            _count(source.entries),
            _count(sum(rejected.values())),
            Text(_reasons(rejected)),
            Text(_reasons(noise)),
        )
    categories = Table("nhóm / category", "tên / names", "có sẵn / shipped", title="Theo nhóm / By category")
    for code, count in report.categories.items():
        categories.add_row(code, _count(count), _count(shipped[code]))
    return [lists, categories] if lists.row_count else [categories]


def summary(outcome: Outcome, number: int) -> list[str]:
    """What is in force now, and what a person should look at."""
    lines = [f"! {note}" for note in outcome.notes]
    if outcome.report is not None:
        held = [source.id for source in outcome.report.sources if source.state == "held"]
        lines += [f"  xem bằng / look at it with: lachan lists show {name}" for name in held]
        lines += [f"  đồng ý bằng / agree with: lachan lists accept {name}" for name in held]
        refusals = sum(len(source.refusals) for source in outcome.report.sources)
        if refusals:
            lines.append(f"{refusals} tên được bảo vệ nên không chặn. / {refusals} protected names are not blocked.")
        orders = outcome.report.orders
        if orders is not None and orders.orders:
            lines.append(f"{orders.orders} quyết định, {orders.enforced} tên. / {orders.orders} orders, {orders.enforced} names.")
        lines.append(f"{_count(outcome.report.keys)} tên trong {outcome.report.seconds:.1f} s. / names in {outcome.report.seconds:.1f} s.")
    changed = "đã áp dụng / in force" if outcome.changes else "không có gì thay đổi / nothing changed"
    return [*lines, f"Bản / generation {number}: {changed}."]


def show(config: Path | None) -> None:
    """Print the lists in force. Raises ListsError when there are none yet."""
    state_dir = state_dir_of(config)
    if release.current_number(state_dir) is None:
        raise ListsError(f"there is no generation in {state_dir} yet: make one with lachan lists compile")
    manifest = release.read_manifest(state_dir)
    header = release.read_index_header(state_dir, manifest.index_dir)
    console = Console()
    _print(console, in_force(header["sources"], _states(state_dir)))
    console.print(f"Bản / generation {manifest.number}: {_count(int(header['keys']))} tên / names.", soft_wrap=True)
    apps = read_catalogue(release.read_file(state_dir, manifest.catalogue), "catalogue", "").services
    unchecked = sorted(one.id for one in apps.values() if not one.verified)
    if unchecked:
        count = f"{len(unchecked)}/{len(apps)}"
        console.print(f"Ứng dụng có địa chỉ chưa kiểm hết / apps with addresses nobody checked yet: {count}.", soft_wrap=True)
        console.print(Text(f"  {', '.join(unchecked)}"), soft_wrap=True)


def in_force(sources: list[dict[str, Any]], states: dict[str, str]) -> Table:  # Any: rows of index.json
    """The rows of an index as a table; `states` are those of the last preparation."""
    heads = (
        "danh sách / list",
        "nhóm / category",
        "tên / names",
        "loại / kind",
        "bỏ / rejected",
        "không tính / not counted",
        "tình trạng / state",
        "nguồn / publisher",
    )
    cells: list[tuple[str, ...]] = []
    for row in sources:
        rejected, noise = split(row["rejected"])
        label = row["category"] or row["action"] or (row["rpz"] or {}).get("zone", "")
        of_source = (row["id"], label, _count(row["entries"]), row["kind"], _reasons(rejected), _reasons(noise))
        cells.append((*of_source, states.get(row["id"], ""), row["publisher"] or ""))
    # What no list has would only squeeze the columns that tell the lists apart.
    shown = [place for place, head in enumerate(heads) if place < 3 or any(line[place] for line in cells)]
    table = Table()
    for place in shown:
        table.add_column(heads[place].replace(" / ", " /\n"), no_wrap=place < 3, justify="right" if place == 2 else "left")
    for line in cells:
        table.add_row(*(Text(line[place]) for place in shown))
    return table


def split(counts: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """What was rejected, and what never was a rule of its own (a repeat, a name its parent covers): most frequent first."""
    from blocklists.rejections import Reason, Weight

    noise = {reason.value for reason in Reason if reason.weight is Weight.NOISE}
    ordered = sorted(counts.items(), key=lambda row: -row[1])
    return {name: count for name, count in ordered if name not in noise}, {name: count for name, count in ordered if name in noise}


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _states(state_dir: Path) -> dict[str, str]:
    try:
        document = json.loads((state_dir / "lists" / "status.json").read_bytes())
        return {str(row["id"]): str(row["state"]) for row in document["lists"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _count(number: int) -> str:
    """A number the Vietnamese way: 1.234.567."""
    return f"{number:,}".replace(",", ".")
