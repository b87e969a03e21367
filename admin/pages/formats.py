"""Dates, times and numbers as people in Viet Nam read and write them (and as English readers do), always in the place's own time zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal

from admin.pages.words import Words


@dataclass(frozen=True)
class Formats:
    """Formats of one page: its words, the time zone of its place, and the moment it shows."""

    words: Words
    zone: str
    now: datetime

    def number(self, value: int) -> str:
        """1.234 in Vietnamese, 1,234 in English."""
        return format_decimal(value, locale=self.words.locale)

    def clock(self, moment: datetime) -> str:
        """19:30."""
        return f"{self.local(moment):%H:%M}"

    def clock12(self, moment: datetime) -> str:
        """7:30, whatever half of the day; 0:30 after midnight, 12:30 after noon."""
        here = self.local(moment)
        return f"{here.hour if here.hour <= 12 else here.hour - 12}:{here:%M}"

    def day(self, moment: datetime | date) -> str:
        """Today, yesterday, tomorrow, or thứ Hai, 12/10/2026."""
        here = self.local(moment).date() if isinstance(moment, datetime) else moment
        gap = (here - self.local(self.now).date()).days
        near = {0: self.words.gettext("today"), 1: self.words.gettext("tomorrow"), -1: self.words.gettext("yesterday")}
        if gap in near:
            return near[gap]
        if self.words.language == "vi":
            weekday = format_date(here, "EEEE", locale="vi")  # "Thứ Hai"; in the middle of a sentence "thứ Hai"
            return f"{weekday[0].lower()}{weekday[1:]}, {here:%d/%m/%Y}"
        return format_skeleton("yMMMEd", here, locale=self.words.locale)

    def days(self, first: date, last: date) -> str:
        """21/12/2026, or 21/12/2026 – 23/12/2026, days included; as fields for dates are typed, in both languages."""
        return f"{first:%d/%m/%Y}" if first == last else f"{first:%d/%m/%Y} – {last:%d/%m/%Y}"

    def moment(self, moment: datetime) -> str:
        """19:30 today, or 19:30 thứ Hai, 12/10/2026."""
        return self.words.gettext("{clock} {day}").format(clock=self.clock(moment), day=self.day(moment))

    def until(self, moment: datetime) -> str:
        """The time alone when it is today or the coming night, else with its day."""
        near = moment - self.now < timedelta(hours=18)
        return self.clock(moment) if near else self.moment(moment)

    def left(self, moment: datetime) -> str:
        """How long until then: 43 phút, 2 giờ 5 phút, 3 ngày."""
        return self.span(moment - self.now)

    def ago(self, moment: datetime) -> str:
        """How long since then; under a minute is "just now"."""
        gap = self.now - moment
        if gap < timedelta(minutes=1):
            return self.words.gettext("just now")
        return self.words.gettext("{time} ago").format(time=self.span(gap, up=False))

    def span(self, gap: timedelta, *, up: bool = True) -> str:
        """A length of time in at most two units; minutes are rounded up for what is to come, down for what is past."""
        seconds = max(0, int(gap.total_seconds()))
        minutes = (seconds + 59) // 60 if up else seconds // 60
        ngettext: Callable[[str, str, int], str] = self.words.ngettext
        if minutes < 60:
            return ngettext("{n} minute", "{n} minutes", minutes).format(n=minutes)
        hours, rest = divmod(minutes, 60)
        if hours < 24:
            text = ngettext("{n} hour", "{n} hours", hours).format(n=hours)
            return f"{text} {ngettext('{n} minute', '{n} minutes', rest).format(n=rest)}" if rest else text
        days = hours // 24
        return ngettext("{n} day", "{n} days", days).format(n=days)

    def machine(self, moment: datetime) -> str:
        """ISO 8601 for `<time datetime>`."""
        return self.local(moment).isoformat(timespec="seconds")

    def local(self, moment: datetime) -> datetime:
        """A moment on the clock of the place."""
        return moment.astimezone(ZoneInfo(self.zone))
