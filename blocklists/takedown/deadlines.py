"""Clocks of takedown: dated settings with their basis, due times, overdue or not. Pure; anybody may import it.

Hours come from Decree 147/2024/NĐ-CP (articles 23 and 80) and Law 116/2025/QH15 (article 25) as summarised for operators, and from our own
targets; they are service levels that an office may change, never constants of law. Times are stored in UTC and shown in Viet Nam time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")


class DueRule(StrEnum):
    """How a document words its deadline."""

    BEFORE = "before"
    BY = "by"
    WITHIN = "within"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One clock: its name, hours, the basis it stands on, and the first day it applies (newer rows win)."""

    clock: str
    hours: float
    basis: str
    valid_from: date

    @property
    def span(self) -> timedelta:
        """The hours as a length of time."""
        return timedelta(hours=self.hours)


#: The basis of a clock that no document sets; pages say it in the reader's language.
OWN_TARGET = "mục tiêu của đơn vị"
DEFAULTS: tuple[ServiceLevel, ...] = (
    ServiceLevel("order", 24.0, "Nghị định 147/2024/NĐ-CP, Điều 23 và 80", date(2024, 12, 25)),
    ServiceLevel("order_urgent", 6.0, "Luật 116/2025/QH15, Điều 25", date(2026, 7, 1)),
    ServiceLevel("review", 48.0, "Nghị định 147/2024/NĐ-CP", date(2024, 12, 25)),
    ServiceLevel("report_acknowledge", 24.0, OWN_TARGET, date(2024, 1, 1)),
    ServiceLevel("enforce", 1.0, OWN_TARGET, date(2024, 1, 1)),
    ServiceLevel("expiry_warning", 72.0, OWN_TARGET, date(2024, 1, 1)),
    ServiceLevel("platform", 24.0, "Nghị định 147/2024/NĐ-CP, Điều 23", date(2024, 12, 25)),
    ServiceLevel("owner_told", 24.0, OWN_TARGET, date(2024, 1, 1)),
    ServiceLevel("no_end_review", 8760.0, OWN_TARGET, date(2024, 1, 1)),
    ServiceLevel("rollback_confirm", 24.0, OWN_TARGET, date(2024, 1, 1)),
)


@dataclass(frozen=True, slots=True)
class Countdown:
    """How a clock stands: when it is due (UTC), what is left (negative when overdue), and the basis to print beside it."""

    due: datetime
    left: timedelta
    basis: str

    @property
    def overdue(self) -> bool:
        """Whether the due time has come."""
        return self.left <= timedelta(0)


def level(clock: str, on: date, levels: tuple[ServiceLevel, ...] = DEFAULTS) -> ServiceLevel:
    """The service level of a clock on a day. Raises KeyError for an unknown clock."""
    matching = [row for row in levels if row.clock == clock and row.valid_from <= on]
    if not matching:
        matching = [row for row in levels if row.clock == clock]
    if not matching:
        raise KeyError(clock)
    return max(matching, key=lambda row: row.valid_from)


def countdown(clock: str, started: datetime, now: datetime, levels: tuple[ServiceLevel, ...] = DEFAULTS) -> Countdown:
    """How the clock that started at `started` (aware, UTC) stands at `now`."""
    row = level(clock, started.astimezone(VIET_NAM).date(), levels)
    due = started + timedelta(hours=row.hours)
    return Countdown(due, due - now, row.basis)


def due_at(rule: DueRule, day: date | None, started: datetime, hours: float = 0.0) -> datetime | None:
    """The first instant (UTC) that is too late, or None without a deadline.

    "Before 5 November" is over at 00:00 of that day in Viet Nam; "by 5 November" at 00:00 of the next.
    """
    if rule is DueRule.NONE:
        return None
    if rule is DueRule.WITHIN:
        return started + timedelta(hours=hours)
    if day is None:
        return None
    last = day if rule is DueRule.BEFORE else day + timedelta(days=1)
    return datetime.combine(last, time(0), VIET_NAM).astimezone(UTC)


def is_on_time(due: datetime | None, at: datetime) -> bool:
    """Whether something done at `at` was on time."""
    return due is None or at < due
