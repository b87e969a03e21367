"""Progress bars: one for each stage, gone when the work is done."""

from __future__ import annotations

import io

from rich.console import Console

from blocklists.progress import Progress
from lachan.progress import STAGES, Bars


def test_each_stage_has_its_bar_in_both_languages() -> None:
    """A person sees what takes so long."""
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, width=120)) as bars:
        for stage in ("fetch", "parse", "compile"):
            for done in (1, 2):
                bars(Progress(stage, "a-list", done, 2))
    for words in STAGES.values():
        assert " / " in words
    assert "reading lists" in out.getvalue()


def test_nothing_is_drawn_without_a_step() -> None:
    """A quick command stays quiet."""
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True)):
        pass
    assert out.getvalue() == ""
