"""Progress bars: one for each stage, gone when the work is done."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from blocklists.progress import Progress
from lachan.progress import STAGES, Bars


def test_each_stage_has_its_bar_in_both_languages() -> None:
    """A person sees what takes so long."""
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, force_interactive=True, width=120, _environ={"TERM": "xterm"})) as bars:
        for stage in ("fetch", "parse", "compile"):
            for done in (1, 2):
                bars(Progress(stage, "a-list", done, 2))
    for words in STAGES.values():
        assert " / " in words
    assert "reading lists" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_drawn_without_a_step_or_a_terminal(terminal: bool) -> None:
    """A quick command stays quiet, and so does one whose output goes to a file."""
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=terminal, _environ={"TERM": "xterm"})) as bars:
        if not terminal:
            bars(Progress("compile", "a-list", 2, 2))
    assert out.getvalue() == ""
