"""Devices that nobody has named, in a family: they rest whenever a child of the home rests.

A phone that takes a new random MAC is new again. It has the strictest band, and with these windows it does not leave its child's bedtime
behind either. Nobody's learning hours and nobody's "no internet until…" fall on strangers in full: there games and videos rest, so that an
unnamed laptop of an adult still works. Who has a name has only the hours of its own profile. Pure; imported by `admin.policyfile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from admin.catalogue import Shelf
from admin.hours import Hours, Written, write_effect, write_hours
from admin.overrides import Override
from admin.values import HoursEffect

#: What the names of these windows begin with, so that an explanation tells them from a profile's own.
PREFIX = "unnamed-"
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(hours=24) - _MINUTE
_WEAKENED = {HoursEffect.STUDY: HoursEffect.REST}


def rests_of(children: Iterable[Sequence[Hours]], offs: Iterable[Override], shelf: Shelf, zone: str) -> list[Written]:
    """The windows of a home's unnamed devices: those of each child (with its own pauses), and the minutes in which one is off."""
    found: list[Written] = []
    for rows in children:
        softened = [replace(row, effect=_WEAKENED.get(row.effect, row.effect)) for row in rows]
        found += write_hours(softened, shelf)
    found += [(HoursEffect.REST, _while_off(act, shelf, zone)) for act in offs]
    named = [(effect, {**window, "name": f"{PREFIX}{window['name']}"}) for effect, window in found]
    return [one for place, one in enumerate(named) if one not in named[:place]]


def _while_off(act: Override, shelf: Shelf, zone: str) -> dict[str, object]:
    """The minutes of an act as a window of its one day, never shorter than the act; a day long at most."""
    starts = act.starts_at.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)
    rounded = act.ends_at + _MINUTE - timedelta(microseconds=1)
    ends = min(rounded.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0), starts + _LONGEST)
    day = starts.date().isoformat()
    return {
        "name": "off",
        "days": [],
        "from": f"{starts:%H:%M}",
        "to": f"{ends:%H:%M}",
        "effect": write_effect(HoursEffect.REST, shelf),
        "dates": [{"from": day, "to": day}],
    }
