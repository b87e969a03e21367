"""The picture of a week: seven rows, one for each day, coloured where hours hold. Shapes only; the same hours stand in words beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from babel.dates import get_day_names

from admin.pages.words import Words
from admin.values import HoursEffect

LEFT, TOP, ROW, GAP, WIDTH = 26, 17, 16, 5, 240
_CLASSES = {HoursEffect.REST: "rest", HoursEffect.STUDY: "study", HoursEffect.OFFLINE: "off", None: "free"}


@dataclass(frozen=True, slots=True)
class Block:
    """One coloured stretch of a day."""

    x: int
    y: int
    width: int
    kind: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word or an hour beside the picture."""

    x: int
    y: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class WeekGrid:
    """Everything a template draws. `now_x`, `now_y` mark this moment; None when another week is shown."""

    width: int
    height: int
    row: int
    blocks: tuple[Block, ...]
    labels: tuple[Label, ...]
    now_x: int | None
    now_y: int | None


def draw_week(grid: Sequence[Sequence[HoursEffect | None]], words: Words, here: datetime) -> WeekGrid:
    """The picture of a painted week (`admin.hours.paint_week`, quarters of an hour); `here` is now on the clock of the place."""
    blocks: list[Block] = []
    labels: list[Label] = []
    for day, row in enumerate(grid):
        y = TOP + day * (ROW + GAP)
        labels.append(Label(LEFT - 6, y + ROW - 4, short_day(day, words), "end"))
        start = 0
        for at in range(1, len(row) + 1):
            if at == len(row) or row[at] != row[start]:
                scale = WIDTH / len(row)
                x = LEFT + round(start * scale)
                blocks.append(Block(x, y, LEFT + round(at * scale) - x, _CLASSES[row[start]]))
                start = at
    for hour in (0, 6, 12, 18, 24):
        labels.append(Label(LEFT + round(hour * WIDTH / 24), TOP - 5, str(hour), "middle"))
    minutes = here.hour * 60 + here.minute
    return WeekGrid(
        width=LEFT + WIDTH + 8,
        height=TOP + 7 * (ROW + GAP),
        row=ROW,
        blocks=tuple(blocks),
        labels=tuple(labels),
        now_x=LEFT + round(minutes * WIDTH / 1440),
        now_y=TOP + here.weekday() * (ROW + GAP),
    )


def short_day(day: int, words: Words) -> str:
    """T2 … CN, Mon … Sun."""
    if words.language == "vi":
        return ("T2", "T3", "T4", "T5", "T6", "T7", "CN")[day]
    return str(get_day_names("abbreviated", "stand-alone", words.locale)[day])[:2]


def monday_of(day: date) -> date:
    """The Monday of a day's week."""
    return day - timedelta(days=day.weekday())
