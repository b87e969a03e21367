"""Windows of the week: when an overlay is in force. Pure functions of a moment; any package may import this module.

A window is read on the wall clock of its time zone: `21:00` to `06:00` means every minute at which a clock on the wall there shows a
time in between, also when daylight saving time repeats or skips an hour. The day of `from` owns the night: a Friday window over midnight
holds on Saturday morning. `24:00` ends a day. Dates are inclusive and count for the owning day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.policy.model import NEVER
from gateway.policy.reading import Reading

DEFAULT_ZONE: Final = "Asia/Ho_Chi_Minh"
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1440
_EVERY_DAY: Final = frozenset(range(7))
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_LONGEST_SEARCH: Final = 40


@dataclass(frozen=True, slots=True)
class Effect:
    """What a window does: `offline` closes everything, `block` closes `codes`, `only` closes everything but `codes`."""

    kind: Literal["offline", "block", "only"]
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Window:
    """One row of a schedule.

    `start` and `end` are minutes of the owning day; `end` beyond 1440 reaches into the next. `zone` None means that of the place.
    """

    name: str
    days: frozenset[int]
    dates: tuple[tuple[date, date], ...]
    start: int
    end: int
    zone: str | None
    effect: Effect

    def owns(self, day: date) -> bool:
        """Whether the window begins on this day."""
        if day.weekday() not in self.days:
            return False
        return not self.dates or any(first <= day <= last for first, last in self.dates)

    def is_active(self, now: float, default_zone: str = DEFAULT_ZONE) -> bool:
        """Whether the window is in force at `now` (unix seconds)."""
        local = datetime.fromtimestamp(now, zone_of(self.zone or default_zone))
        minutes = local.hour * 60 + local.minute
        if self.start <= minutes < self.end and self.owns(local.date()):
            return True
        return minutes < self.end - DAY_MINUTES and self.owns(local.date() - timedelta(days=1))


def active(windows: Iterable[Window], now: float, default_zone: str = DEFAULT_ZONE) -> tuple[Window, ...]:
    """The windows in force at `now` (unix seconds), in their order."""
    return tuple(window for window in windows if window.is_active(now, default_zone))


def next_boundary(windows: Sequence[Window], now: float, default_zone: str = DEFAULT_ZONE) -> float:
    """A moment after `now` up to which no window begins or ends; at most about a day ahead, `NEVER` without windows (unix seconds)."""
    nearest = NEVER
    edges: dict[str, set[int]] = {}
    for window in windows:
        edges.setdefault(window.zone or default_zone, {0}).update((window.start % DAY_MINUTES, window.end % DAY_MINUTES))
    for name, minutes in edges.items():
        nearest = min(nearest, _next_edge(zone_of(name), minutes, now))
    return nearest


def inactive_from(windows: Sequence[Window], now: float, default_zone: str = DEFAULT_ZONE) -> float | None:
    """The first moment from `now` on at which none of the windows is in force; None when there is none within some weeks (unix seconds)."""
    moment = now
    for _ in range(_LONGEST_SEARCH):
        if not active(windows, moment, default_zone):
            return moment
        moment = next_boundary(windows, moment, default_zone)
    return None


def parse_window(value: object, path: str, reading: Reading, codes: frozenset[str] | None = None) -> Window | None:
    """One row of a schedule; None, with its mistakes reported, when it is not one. `codes` are the known categories, None: any."""
    before = len(reading.mistakes)
    row = reading.table(value, path, _KEYS, ("effect",))
    name = reading.text(row.get("name", "schedule"), f"{path}.name")
    days = frozenset(_day(day, f"{path}.days[{n}]", reading) for n, day in enumerate(reading.rows(row.get("days"), f"{path}.days")))
    dates = tuple(_span(span, f"{path}.dates[{n}]", reading) for n, span in enumerate(reading.rows(row.get("dates"), f"{path}.dates")))
    start = _minutes(row.get("from", "00:00"), f"{path}.from", reading)
    end = _minutes(row.get("to", "24:00"), f"{path}.to", reading, last=True)
    zone = reading.optional_text(row.get("time_zone"), f"{path}.time_zone")
    if zone is not None and not is_zone(zone):
        reading.fault(f"{path}.time_zone", "is not a time zone", f"write a name such as {DEFAULT_ZONE}")
    effect = parse_effect(row.get("effect"), f"{path}.effect", reading, codes) if "effect" in row else None
    if start == end and len(reading.mistakes) == before:
        reading.fault(f"{path}.to", "is the same as from", "write 00:00 to 24:00 for a whole day")
    if effect is None or len(reading.mistakes) != before:
        return None
    return Window(name, days or _EVERY_DAY, dates, start, end if end > start else end + DAY_MINUTES, zone, effect)


def parse_effect(value: object, path: str, reading: Reading, codes: frozenset[str] | None = None) -> Effect | None:
    """The effect of a window: `offline`, `{"block": [codes]}` or `{"only": [codes]}`."""
    if value == "offline":
        return Effect("offline")
    if isinstance(value, dict) and len(value) == 1:
        for kind in ("block", "only"):
            if kind in value:
                named = reading.texts(value[kind], f"{path}.{kind}")
                if not named:
                    reading.fault(f"{path}.{kind}", "names no category")
                for number, code in enumerate(named):
                    if codes is not None and code not in codes:
                        reading.fault(f"{path}.{kind}[{number}]", "is not a category")
                return Effect("block" if kind == "block" else "only", frozenset(named))
    reading.fault(path, "must be offline, {block: [categories]} or {only: [categories]}")
    return None


def is_zone(name: str) -> bool:
    """Whether this is the name of a time zone we know."""
    try:
        zone_of(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


_KEYS: Final = frozenset({"name", "days", "dates", "from", "to", "time_zone", "effect"})


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The time zone of this name. Viet Nam has no daylight saving time, so its zone needs no zone database. Raises as ZoneInfo does."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name == DEFAULT_ZONE:
            return timezone(timedelta(hours=7), DEFAULT_ZONE)
        raise


def _next_edge(zone: tzinfo, minutes: set[int], now: float) -> float:
    here = datetime.fromtimestamp(now, zone)
    nearest = NEVER
    for ahead in (0, 1, 2):  # today's edges, tomorrow's, and one more day where a day is longer than its clock
        day = here.date() + timedelta(days=ahead)
        for minute in minutes:
            for fold in (0, 1):
                moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, fold=fold, tzinfo=zone).timestamp()
                if now < moment < nearest:
                    nearest = moment
        if nearest < NEVER:
            break
    return _offset_change(zone, here.utcoffset(), now, nearest)


def _offset_change(zone: tzinfo, offset: timedelta | None, now: float, limit: float) -> float:
    """The moment in (now, limit] at which the offset of the zone changes, else `limit`: the wall clock jumps there."""
    if datetime.fromtimestamp(limit, zone).utcoffset() == offset:
        return limit
    low, high = int(now), int(limit)
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return float(high)


def _day(value: object, path: str, reading: Reading) -> int:
    if value in DAYS:
        return DAYS.index(str(value))
    reading.fault(path, f"must be one of {', '.join(DAYS)}")
    return 0


def _span(value: object, path: str, reading: Reading) -> tuple[date, date]:
    row = reading.table(value, path, ("from", "to"), ("from", "to"))
    first = _date(row.get("from"), f"{path}.from", reading)
    last = _date(row.get("to"), f"{path}.to", reading)
    if last < first:
        reading.fault(f"{path}.to", "is before from")
    return first, last


def _date(value: object, path: str, reading: Reading) -> date:
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    reading.fault(path, "must be a date", "write it as 2026-09-01")
    return date.max


def _minutes(value: object, path: str, reading: Reading, *, last: bool = False) -> int:
    if isinstance(value, str):
        if last and value == "24:00":
            return DAY_MINUTES
        if found := _CLOCK.fullmatch(value):
            return int(found[1]) * 60 + int(found[2])
    reading.fault(path, "must be a time of day", "write it as 21:00")
    return 0
