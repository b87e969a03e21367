"""What holds for a profile at this moment and until when, in the words of a card: pure, from its rows and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from admin.catalogue import Shelf
from admin.dates import with_dates
from admin.hours import Hours, read_windows, windows_of
from admin.overrides import LONGEST, Override, Target
from admin.policyfile import TenantRows, written_hours
from admin.profiles import Profile
from admin.values import WEEKDAYS, HoursEffect, OverrideKind
from gateway.policy.model import NEVER
from gateway.policy.schedule import Window, inactive_from, next_boundary


class Standing(StrEnum):
    """What is on for a profile."""

    FREE = "free"
    REST = "rest"
    STUDY = "study"
    OFFLINE = "offline"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Moment:
    """`standing` holds until `until` (None: no end in sight). `by` is the act behind OFF. `opened` are what was opened on top, and until
    when. `next_at` and `next_standing` say what comes next while the profile is free. `rest_at` and `rest_standing` are the next hours
    that begin within a day, whatever holds now: an opening ends there unless somebody said otherwise."""

    standing: Standing
    until: datetime | None = None
    by: Override | None = None
    opened: tuple[Override, ...] = ()
    next_at: datetime | None = None
    next_standing: Standing | None = None
    rest_at: datetime | None = None
    rest_standing: Standing | None = None

    @property
    def opened_targets(self) -> tuple[Target, ...]:
        """Everything that was opened, each once."""
        return tuple(dict.fromkeys(target for override in self.opened for target in override.targets))


_STRICTEST_FIRST = (
    (HoursEffect.OFFLINE, Standing.OFFLINE),
    (HoursEffect.STUDY, Standing.STUDY),
    (HoursEffect.REST, Standing.REST),
)
#: Boundaries looked at to find what comes next: about a week of them.
_AHEAD = 40
_STANDINGS = dict(_STRICTEST_FIRST)


def moment_in(profile: Profile, rows: TenantRows, shelf: Shelf, now: datetime) -> Moment:
    """What holds for a profile of a tenant now; for a family's guests also what its children's hours bring."""
    acts = [act for act in rows.overrides if act.profile_id == profile.id]
    windows = read_windows(written_hours(profile, rows, with_dates(shelf, rows.dates)))
    own = replace(rows, hours={each: _without_lessons(written) for each, written in rows.hours.items()})
    rests = read_windows(written_hours(profile, own, with_dates(shelf, rows.dates)))
    return _with_rest(_moment(windows, acts, now, rows.time_zone), rests, now, rows.time_zone)


def moment_of(rows: Sequence[Hours], acts: Sequence[Override], shelf: Shelf, now: datetime, zone: str) -> Moment:
    """What holds by these hours and acts of one profile now."""
    windows = windows_of(rows, shelf)
    return _with_rest(_moment(windows, acts, now, zone), windows_of(_without_lessons(rows), shelf), now, zone)


def _without_lessons(rows: Sequence[Hours]) -> list[Hours]:
    return [row for row in rows if row.days not in WEEKDAYS]  # a lesson of the timetable is no rest: nothing that was opened ends there


def _with_rest(moment: Moment, windows: Sequence[tuple[HoursEffect, Window]], now: datetime, zone: str) -> Moment:
    every = [window for _, window in windows]
    seconds, last = now.timestamp(), (now + LONGEST).timestamp()
    running = {effect for effect, window in windows if window.is_active(seconds, zone)}
    while (seconds := next_boundary(every, seconds, zone)) <= last:
        active = {effect for effect, window in windows if window.is_active(seconds, zone)}
        begun = active - running  # hours that join those before are one rest with them
        if begun:
            standing = next(_STANDINGS[effect] for effect, _ in _STRICTEST_FIRST if effect in begun)
            return replace(moment, rest_at=datetime.fromtimestamp(seconds, UTC), rest_standing=standing)
        running = active
    return moment


def _moment(windows: Sequence[tuple[HoursEffect, Window]], acts: Sequence[Override], now: datetime, zone: str) -> Moment:
    opened = tuple(act for act in acts if act.is_active(now) and act.kind is not OverrideKind.OFF)
    off = next((act for act in acts if act.is_active(now) and act.kind is OverrideKind.OFF), None)
    if off is not None:
        return Moment(Standing.OFF, off.ends_at, off, opened)
    standing, until = _hours_at(windows, now.timestamp(), zone)
    if standing is not Standing.FREE:
        return Moment(standing, until, None, opened)
    every = [window for _, window in windows]
    seconds = now.timestamp()
    for _ in range(_AHEAD):
        seconds = next_boundary(every, seconds, zone)
        if seconds == NEVER:
            break
        following, _ = _hours_at(windows, seconds, zone)
        if following is not Standing.FREE:
            return Moment(Standing.FREE, None, None, opened, datetime.fromtimestamp(seconds, UTC), following)
    return Moment(Standing.FREE, None, None, opened)


def _hours_at(windows: Sequence[tuple[HoursEffect, Window]], seconds: float, zone: str) -> tuple[Standing, datetime | None]:
    for effect, standing in _STRICTEST_FIRST:
        own = [window for one, window in windows if one is effect]
        if any(window.is_active(seconds, zone) for window in own):
            end = inactive_from(own, seconds, zone)
            return standing, None if end is None else datetime.fromtimestamp(end, UTC)
    return Standing.FREE, None
