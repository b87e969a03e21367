"""A class's timetable: lessons on each weekday as somebody types them, and as rows of hours.

    T2-T6 7:00-7:45 7:50-8:35 9:00-9:45
    T7 7:00-9:30

In lessons games and videos rest, or only learning is open. Breaks are like lessons unless the school opens them; a longer gap, such as
noon, is free. Lessons hold on no holiday and in no summer (`admin.hours`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from admin.forms import read_clock
from admin.hours import Hours
from admin.values import WEEKDAYS, Days, HoursEffect

#: Minutes between two lessons that still are a break.
LONGEST_BREAK = 30

_NAMES = {
    **{f"t{number}": day for number, day in zip(range(2, 8), WEEKDAYS, strict=False)},
    "cn": Days.SUN,
    **{day.value: day for day in WEEKDAYS},
}
_SPAN = re.compile(r"(\d{1,2}(?:[:hg.]\d{0,2})?)\s*[-–]\s*(\d{1,2}(?:[:hg.]\d{0,2})?)")
_DAYS = re.compile(r"([a-zA-Z]{1,3}\d?)(?:\s*[-–]\s*([a-zA-Z]{1,3}\d?))?")


@dataclass
class Timetable:
    """Lessons by weekday, as minutes from midnight; `faults` are the lines that could not be read."""

    lessons: dict[Days, list[tuple[int, int]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many lessons there are in the week."""
        return sum(map(len, self.lessons.values()))


def read_timetable(text: str) -> Timetable:
    """The lines somebody typed. A later line for the same day adds to it."""
    found = Timetable()
    for line in text.splitlines():
        if not line.strip():
            continue
        days, spans = _read_line(line.strip())
        if not days or not spans:
            found.faults.append(line.strip())
        for day in days if spans else ():
            found.lessons[day] = sorted({*found.lessons.get(day, []), *spans})
    return found


def rows_of(timetable: Timetable, effect: HoursEffect, *, breaks_open: bool) -> list[Hours]:
    """The rows for a class: one for each lesson, or one for each half of a day where breaks are like lessons."""
    rows = []
    for day in WEEKDAYS:
        spans = timetable.lessons.get(day, [])
        for start, end in spans if breaks_open else _joined(spans):
            rows.append(Hours(day, _clock(start), _clock(end), effect))
    return rows


def write_timetable(rows: Sequence[Hours], names: Mapping[Days, str]) -> str:
    """The weekday rows as lines, days with the same lessons together; `names` are the days in the reader's language."""
    by_day = {day: tuple((row.starts, row.ends) for row in rows if row.days is day) for day in WEEKDAYS}
    lines: list[str] = []
    place = 0
    while place < len(WEEKDAYS):
        spans, last = by_day[WEEKDAYS[place]], place
        while last + 1 < len(WEEKDAYS) and by_day[WEEKDAYS[last + 1]] == spans:
            last += 1
        if spans:
            days = names[WEEKDAYS[place]] if last == place else f"{names[WEEKDAYS[place]]}-{names[WEEKDAYS[last]]}"
            lines.append(" ".join([days, *(f"{start}-{end}" for start, end in spans)]))
        place = last + 1
    return "\n".join(lines)


def day_names(language: str) -> dict[Days, str]:
    """How weekdays are written to a reader; every form written here is read in every language."""
    return (
        {day: f"T{place + 2}" if place < 6 else "CN" for place, day in enumerate(WEEKDAYS)}
        if language == "vi"
        else {day: day.value.title() for day in WEEKDAYS}
    )


def _read_line(line: str) -> tuple[list[Days], list[tuple[int, int]]]:
    first = re.search(r"\s\d", line)
    if first is None:
        return [], []
    heads, rest = line[: first.start()], line[first.start() :]
    days: list[Days] = []
    for part in re.split(r"[,;\s]+", heads.strip()):
        match = _DAYS.fullmatch(part)
        start = _NAMES.get(match[1].lower()) if match else None
        end = _NAMES.get(match[2].lower()) if match and match[2] else start
        if start is None or end is None or WEEKDAYS.index(end) < WEEKDAYS.index(start):
            return [], []
        days += WEEKDAYS[WEEKDAYS.index(start) : WEEKDAYS.index(end) + 1]
    spans: list[tuple[int, int]] = []
    if _SPAN.sub("", rest).strip(" ,;"):
        return [], []
    for begin, stop in _SPAN.findall(rest):
        clocks = [read_clock(one if len(one) > 2 else f"{one}:00") for one in (begin, stop)]
        if None in clocks:
            return [], []
        minutes = [int(str(one)[:2]) * 60 + int(str(one)[3:]) for one in clocks]
        if minutes[0] >= minutes[1]:
            return [], []
        spans.append((minutes[0], minutes[1]))
    return days, spans


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= LONGEST_BREAK:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
