"""Devices that nobody has named, in a family: they rest whenever a child rests, and nothing more than that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.hours import Hours, read_windows, set_hours
from admin.moment import Standing, moment_in
from admin.overrides import Override, end_override, list_overrides, start_override
from admin.policyfile import cut, read_rows
from admin.unnamed import rests_of
from admin.values import Days, HoursEffect, OverrideKind, ProfileId
from blocklists.tables import OrganisationKind
from gateway.policy.schedule import active
from gateway.policy.tenant import parse_policy_file
from tests.support.family import Family

SHELF = read_shipped()
ZONE = "Asia/Ho_Chi_Minh"
HERE = ZoneInfo(ZONE)
NIGHT = Hours(Days.EVERY, "21:00", "06:00", HoursEffect.REST)
LATE = Hours(Days.EVERY, "23:00", "05:00", HoursEffect.OFFLINE)
HOMEWORK = Hours(Days.SCHOOL, "19:00", "20:00", HoursEffect.STUDY)


def off(starts: datetime, ends: datetime) -> Override:
    return Override("o", ProfileId("bi"), OverrideKind.OFF, starts, ends, None, ())


def effects(children: Sequence[Sequence[Hours]], moment: datetime, *offs: Override) -> list[HoursEffect]:
    """What holds for an unnamed device at a moment, as the gateway reads it."""
    windows = read_windows(rests_of(children, offs, SHELF, ZONE))
    return [effect for effect, window in windows if active([window], moment.timestamp(), ZONE)]


def test_every_child_s_night_holds_and_homework_only_rests() -> None:
    """The earliest bed and the eldest's closed line hold for a stranger's device; homework of one child closes games, not the laptop."""
    at = datetime(2026, 10, 12, 19, 30, tzinfo=HERE)  # a Monday
    children = ([NIGHT], [LATE, HOMEWORK])
    assert effects(children, at) == [HoursEffect.REST]
    assert effects(children, at.replace(hour=20, minute=30)) == []
    assert effects(children, at.replace(hour=21, minute=30)) == [HoursEffect.REST]
    assert effects(children, at.replace(hour=23, minute=30)) == [HoursEffect.REST, HoursEffect.OFFLINE]
    assert rests_of([[NIGHT], [NIGHT]], [], SHELF, ZONE) == rests_of([[NIGHT]], [], SHELF, ZONE)


def test_pauses_are_those_of_each_child() -> None:
    """One child has hours for the summer, so its school nights pause then; the other's do not."""
    school = Hours(Days.SCHOOL, "21:00", "06:00", HoursEffect.REST)
    summer = Hours(Days.SUMMER, "22:00", "06:00", HoursEffect.REST)
    first, _ = SHELF.summers[0]
    monday = first + timedelta(days=7 - first.weekday())
    evening = datetime(monday.year, monday.month, monday.day, 21, 30, tzinfo=HERE)
    assert effects([[school, summer]], evening) == []
    assert effects([[school, summer], [school]], evening) == [HoursEffect.REST]


@pytest.mark.parametrize(
    ("starts", "minutes", "inside", "outside"),
    [
        ("15:00:30", 30, ("15:00", "15:30"), ("14:59", "15:31")),
        ("23:30:00", 60, ("23:30", "00:29"), ("23:29", "00:30")),
        ("08:00:00", 1440, ("08:00", "23:59"), ("07:58", "07:59")),
    ],
)
def test_no_internet_for_a_child_rests_a_stranger(starts: str, minutes: int, inside: Sequence[str], outside: Sequence[str]) -> None:
    """While a child is off, games and videos of an unnamed device rest, for those minutes only, over midnight too."""
    begin = datetime.fromisoformat(f"2026-10-12T{starts}").replace(tzinfo=HERE)
    act = off(begin, begin + timedelta(minutes=minutes))

    def at(clock: str) -> datetime:
        moment = datetime.fromisoformat(f"2026-10-12T{clock}").replace(tzinfo=HERE)
        return moment if moment.hour >= 7 else moment + timedelta(days=1)

    assert [effects([], at(clock), act) for clock in inside] == [[HoursEffect.REST]] * len(inside)
    assert [effects([], at(clock), act) for clock in outside] == [[]] * len(outside)


async def test_guests_of_a_family_have_the_windows_of_a_school_none(services: Services, family: Family, act: Act, now: datetime) -> None:
    """The policy file carries them, the gateway's parser takes them; at a school nothing changes."""
    async with services.database.write() as connection:
        await set_hours(connection, act, family.bi.id, [NIGHT])
        await set_hours(connection, act, family.na.id, [])
        await start_override(connection, act, family.na.id, OverrideKind.OFF, now + timedelta(hours=1), [])
        rows = await read_rows(connection, family.tenant, now)
    policy = parse_policy_file(cut(rows, SHELF, ()), SHELF.catalogue)
    guests = policy.profiles[policy.default_profile or ""].rules
    assert [window.name for window in guests.schedule] == ["unnamed-every-rest", "unnamed-off"]
    assert guests.overrides == ()
    assert moment_in(family.guests, rows, SHELF, now).standing is Standing.REST
    assert moment_in(family.adults, rows, SHELF, now + timedelta(hours=4)).standing is Standing.FREE
    assert moment_in(family.guests, rows, SHELF, now + timedelta(hours=4)).standing is Standing.REST
    school = parse_policy_file(cut(replace(rows, kind=OrganisationKind.SCHOOL), SHELF, ()), SHELF.catalogue)
    assert school.profiles[policy.default_profile or ""].rules.schedule == ()
    async with services.database.write() as connection:
        (running,) = await list_overrides(connection, family.tenant, now)
        await end_override(connection, act, running)
        rows = await read_rows(connection, family.tenant, now)
    assert moment_in(family.guests, rows, SHELF, now).standing is Standing.FREE
