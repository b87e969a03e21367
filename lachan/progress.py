"""Progress bars of list preparation, on standard error. Only `lachan` imports this module."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from blocklists.progress import Progress as Step

STAGES = {
    "fetch": "Tải danh sách / fetching lists",
    "parse": "Đọc danh sách / reading lists",
    "compile": "Biên dịch / compiling",
}


class Bars:
    """One bar for each stage, made when the stage begins. Called with each step; it draws until the last stage is done."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[source]}"),
        )
        console = console or Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_interactive)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if step.stage not in self._tasks:
            self._progress.start()
            self._tasks[step.stage] = self._progress.add_task(STAGES[step.stage], total=step.total, source="")
        self._progress.update(self._tasks[step.stage], completed=step.done, total=step.total, source=step.source[:40])
        if step.stage == "compile" and step.done >= step.total:
            self._progress.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._tasks:
            self._progress.stop()
