"""Timed acts: an absolute end, the newest wins, and nothing outlives its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from admin.audit import Act
from admin.dependencies import Services
from admin.errors import InvalidInput, NotFound
from admin.overrides import end_override, ends_meant, list_overrides, load_override, read_end, start_override
from admin.values import OverrideKind, TargetKind
from tests.support.family import Family

ZONE = "Asia/Ho_Chi_Minh"
OFF, OPEN, EXCEPTION = OverrideKind.OFF, OverrideKind.OPEN, OverrideKind.EXCEPTION
GAME = (TargetKind.CATEGORY, "game")


async def test_newest_act_wins_and_exceptions_stay(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Going offline ends what was opened; opening ends the offline; a single opened name is neither's business."""
    async with services.database.write() as connection:
        ends = now + timedelta(hours=1)
        await start_override(connection, act, family.bi.id, EXCEPTION, ends, [(TargetKind.NAME, "a.example")])
        await start_override(connection, act, family.bi.id, OPEN, ends, [GAME])
        await start_override(connection, act, family.na.id, OPEN, ends, [GAME])
        await start_override(connection, act, family.bi.id, OFF, ends, [])
        kinds = {one.kind for one in await list_overrides(connection, act.tenant, now) if one.profile_id == family.bi.id}
        assert kinds == {EXCEPTION, OFF}
        await start_override(connection, act, family.bi.id, OPEN, ends, [GAME])
        found = await list_overrides(connection, act.tenant, now)
    assert {one.kind: one.targets for one in found if one.profile_id == family.bi.id} == {
        EXCEPTION: ((TargetKind.NAME, "a.example"),),
        OPEN: (GAME,),
    }
    assert len([one for one in found if one.profile_id == family.na.id]) == 1


async def test_act_ends_by_its_time_or_by_hand(services: Services, family: Family, act: Act, now: datetime) -> None:
    """At its end it is gone without anybody doing anything; before, a press ends it."""
    async with services.database.write() as connection:
        made = await start_override(connection, act, family.bi.id, OFF, now + timedelta(minutes=30), [])
        found = await load_override(connection, act.tenant, made, now)
        assert found.is_active(now + timedelta(minutes=29))
        assert not found.is_active(now + timedelta(minutes=30))
        assert await list_overrides(connection, act.tenant, now + timedelta(minutes=30)) == []
        await end_override(connection, act, found)
        with pytest.raises(NotFound):
            await load_override(connection, act.tenant, made, now)


@pytest.mark.parametrize(
    ("choice", "clock", "expected"),
    [
        ("30m", None, datetime(2026, 10, 12, 13, 0, tzinfo=UTC)),
        ("2h", None, datetime(2026, 10, 12, 14, 30, tzinfo=UTC)),
        ("morning", None, datetime(2026, 10, 12, 23, 0, tzinfo=UTC)),
        ("today", None, datetime(2026, 10, 12, 17, 0, tzinfo=UTC)),
        ("clock", "20:15", datetime(2026, 10, 12, 13, 15, tzinfo=UTC)),
        ("clock", "07:00", datetime(2026, 10, 13, 0, 0, tzinfo=UTC)),
        ("clock", "24:00", datetime(2026, 10, 12, 17, 0, tzinfo=UTC)),
        ("clock", "19:30", datetime(2026, 10, 13, 12, 30, tzinfo=UTC)),
    ],
)
def test_read_end_is_absolute_on_the_clock_of_the_place(now: datetime, choice: str, clock: str | None, expected: datetime) -> None:
    """Half past seven in the evening at home: every choice is a moment, the next time that clock shows it."""
    assert read_end(choice, clock, now, ZONE) == expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("08:00", ["12 20:00", "13 08:00"]),
        ("07:00", ["13 07:00"]),
        ("00:30", ["13 00:30"]),
        ("13:00", ["13 13:00"]),
        ("19:30", ["13 19:30"]),
    ],
)
def test_what_a_passed_time_may_mean(now: datetime, clock: str, expected: list[str]) -> None:
    """At half past seven in the evening: eight may be tonight; seven, and what says afternoon itself, is tomorrow's."""
    assert [f"{end:%d %H:%M}" for end in ends_meant(clock, now, ZONE)] == expected


@pytest.mark.parametrize(
    ("choice", "clock"),
    [
        ("", None),
        ("3d", None),
        ("clock", None),
        ("2026-10-12T12:29:00+00:00", "07:00"),
        ("2026-10-12T21:00:00", None),
        ("2026-10-13T12:31:00+00:00", None),
    ],
)
def test_read_end_refuses_what_is_no_end(now: datetime, choice: str, clock: str | None) -> None:
    """No act without an end."""
    with pytest.raises(InvalidInput):
        read_end(choice, clock, now, ZONE)
