"""How far a preparation has come. Anyone may import this module; the progress bar is the command line's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["fetch", "parse", "compile"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step done: `source` is the list being worked on ("" while compiling), `done` of `total` lists or keys."""

    stage: Stage
    source: str
    done: int
    total: int


Listener = Callable[[Progress], None]
"""Hears of every step; it must be quick and must not raise."""


def silent(progress: Progress) -> None:
    """Hear nothing."""
