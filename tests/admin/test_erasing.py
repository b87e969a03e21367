"""Erasing one child: every table that holds something of theirs is looked at, and nobody else's rows are touched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act
from admin.dependencies import Services
from admin.erasing import erase_profile, note_erased, read_erased
from admin.history import make_box, start_history, store_names
from admin.hours import Hours, set_hours
from admin.names import add_name
from admin.overrides import start_override
from admin.requests import Asked, ask
from admin.sharing import SPANS, lend
from admin.switches import set_switch
from admin.tables import daily_totals
from admin.values import (
    Days,
    DeviceId,
    HoursEffect,
    NameEffect,
    OverrideKind,
    RequestReason,
    SwitchKind,
    SwitchState,
    TargetKind,
)
from blocklists.tables import EVERY_TENANT, metadata
from gateway.policy.model import Band
from tests.support.family import Family

MARK = "dau-vet-rieng"


async def test_no_table_keeps_a_word(services: Services, family: Family, act: Act) -> None:
    """A word planted in everything a parent can write about a child is nowhere afterwards; the sister's rows are as they were."""
    name = f"{MARK}.example"
    boxes = {one.id: (await make_box())[0] for one in (family.bi, family.na)}
    async with services.database.write() as connection:
        for profile in (family.bi, family.na):
            await add_name(connection, act, profile.id, NameEffect.DENY, name)
            await set_switch(connection, act, profile.id, SwitchKind.CATEGORY, "game", SwitchState.BLOCK)
            await set_hours(connection, act, profile.id, [Hours(Days.SCHOOL, "21:00", "06:00", HoursEffect.REST)])
            until = act.now + timedelta(hours=1)
            await start_override(connection, act, profile.id, OverrideKind.EXCEPTION, until, [(TargetKind.NAME, name)])
            await ask(connection, family.tenant, Asked(profile.id, name, RequestReason.OTHER, MARK, Band.TH), act.now)
            row = {"tenant_id": family.tenant, "profile_id": profile.id, "day": "2026-10-12", "answered": 5, "blocked": 1}
            await connection.execute(insert(daily_totals).values(row))
        for profile in (family.bi, family.na):
            await start_history(connection, act, profile, 7, True, "vi", boxes[profile.id])
            minute = int(act.now.timestamp()) // 60 * 60
            await store_names(connection, [{"names": [[minute, family.tenant, profile.id, name, 1]]}])
        await lend(connection, act, DeviceId(family.bi_phone), family.adults.id, SPANS["30m"])
        before = await rows_of(connection, family.na.id)
        await erase_profile(connection, act, family.bi.id)
        after = await rows_of(connection, family.na.id)
        assert before == after
        assert await rows_of(connection, family.bi.id) <= {"profiles", "devices", "history_consents"}, "random ids stay"
        words = await every_text(connection, without=(family.na.id,))
    assert MARK not in words and "192.168.1.31" not in words


async def rows_of(connection: AsyncConnection, profile: str) -> set[str]:
    """The tables that have a row of this profile."""
    found = set()
    for table in metadata.tables.values():
        if "profile_id" in table.c or table.name == "profiles":
            column = table.c.get("profile_id", table.c.get("id"))
            counted = select(func.count()).select_from(table).where(column == profile).execution_options(**EVERY_TENANT)
            if (await connection.execute(counted)).scalar_one():
                found.add(table.name)
    return found


async def every_text(connection: AsyncConnection, without: tuple[str, ...]) -> str:
    """Everything in the database but the rows of some profiles, as one text."""
    parts = []
    for table in metadata.tables.values():
        for row in (await connection.execute(select(table).execution_options(**EVERY_TENANT))).all():
            if not any(one in map(str, row) for one in without) and table.name != "override_targets":
                parts.append(" ".join(map(str, row)))
    return "\n".join(parts)


def test_ids_are_kept_for_older_backups(tmp_path: Path, family: Family) -> None:
    """One line each, only ids; a file that was cut short is read as far as it goes."""
    note_erased(tmp_path, family.tenant, family.bi.id)
    note_erased(tmp_path, family.tenant, family.na.id)
    assert list(read_erased(tmp_path)) == [(family.tenant, family.bi.id), (family.tenant, family.na.id)]
    (tmp_path / "erased.ids").write_text(f"{family.tenant} {family.bi.id}\nhalf")
    assert list(read_erased(tmp_path)) == [(family.tenant, family.bi.id)]
    assert list(read_erased(tmp_path / "none")) == []
