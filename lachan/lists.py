"""`lachan lists`: fetch, compile, show; counts per category, rejected lines by reason. Only `lachan` imports this module."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import release
from gateway.errors import LachanError
from lachan.configuration import find_file, load
from lachan.preparation import Outcome, prepare, put_in_force
from lachan.progress import Bars
from lachan.running import state_dir_of

if TYPE_CHECKING:
    from blocklists.report import Report


class ListsError(LachanError):
    """There is nothing to show yet; one sentence."""


def update(config: Path | None) -> None:
    """Fetch every subscription now, compile, put in force."""
    _prepare(config, "all")


def compile_now(config: Path | None) -> None:
    """Compile what is on disk and put it in force."""
    _prepare(config, "none")


def _prepare(config: Path | None, fetch: Literal["none", "all"]) -> None:
    configuration = load(find_file(config))
    with Bars() as bars:
        outcome = prepare(configuration, fetch, bars)
    number = put_in_force(configuration.gateway.state_dir, outcome.changes)
    console = Console()
    if outcome.report is not None:
        for table in reported(outcome.report):
            console.print(table, soft_wrap=True)
    for line in summary(outcome, number):
        console.print(Text(line), soft_wrap=True)


def reported(report: Report) -> list[Table]:
    """The report as tables: the lists, then the categories."""
    lists = Table("danh sách / list", "nhóm / category", "tên / names", "bỏ / rejected", "vì sao / why", title="Danh sách / Lists")
    shipped: Counter[str] = Counter()
    for source in report.sources:
        if not source.configured:
            shipped.update(source.by_category)
            continue
        rejected = sum(source.rejected.values())
        reasons = ", ".join(f"{reason.value} {count}" for reason, count in sorted(source.rejected.items(), key=lambda row: -row[1]))
        kind = source.category or (f"{source.action} ({source.level})" if source.action else source.kind)
        lists.add_row(Text(source.id), Text(kind), _count(source.entries), _count(rejected), Text(reasons))
    categories = Table("nhóm / category", "tên / names", "có sẵn / shipped", title="Theo nhóm / By category")
    for code, count in report.categories.items():
        categories.add_row(code, _count(count), _count(shipped[code]))
    return [lists, categories] if lists.row_count else [categories]


def summary(outcome: Outcome, number: int) -> list[str]:
    """What is in force now, and what a person should look at."""
    lines = [f"! {note}" for note in outcome.notes]
    if outcome.report is not None:
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
    console.print(in_force(header["sources"], _states(state_dir)), soft_wrap=True)
    console.print(f"Bản / generation {manifest.number}: {_count(int(header['keys']))} tên / names.", soft_wrap=True)


def in_force(sources: list[dict[str, Any]], states: dict[str, str]) -> Table:  # Any: rows of index.json
    """The rows of an index as a table; `states` are those of the last preparation."""
    table = Table(
        "danh sách / list", "loại / kind", "nhóm / category", "tên / names", "bỏ / rejected", "tình trạng / state", "nguồn / publisher"
    )
    for row in sources:
        rejected = ", ".join(f"{reason} {count}" for reason, count in sorted(row["rejected"].items(), key=lambda pair: -pair[1]))
        label = row["category"] or row["action"] or (row["rpz"] or {}).get("zone", "")
        table.add_row(
            Text(row["id"]),
            row["kind"],
            Text(label),
            _count(row["entries"]),
            Text(rejected),
            states.get(row["id"], ""),
            Text(row["publisher"] or ""),
        )
    return table


def _states(state_dir: Path) -> dict[str, str]:
    try:
        document = json.loads((state_dir / "lists" / "status.json").read_bytes())
        return {str(row["id"]): str(row["state"]) for row in document["lists"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _count(number: int) -> str:
    """A number the Vietnamese way: 1.234.567."""
    return f"{number:,}".replace(",", ".")
