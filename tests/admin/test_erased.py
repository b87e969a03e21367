"""What is left on the disk after a child was erased: nothing, with the real gateway beside."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from admin.app import create_app
from admin.audit import Act, by_account
from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.names import add_name
from admin.profiles import change_profile, list_profiles
from admin.requests import Asked, ask
from admin.switches import set_switch
from admin.tables import daily_totals
from admin.totals import collect
from admin.values import (
    DeviceMatch,
    NameEffect,
    RequestReason,
    SwitchKind,
    SwitchState,
)
from blocklists.tables import Role
from gateway.policy.model import Band
from gateway.release import read_manifest
from gateway.release import verify as verify_generation
from tests.admin.test_totals import SCAM
from tests.support.family import Family, make_family
from tests.support.gateway import Gateway
from tests.support.livegateway import counted
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_nothing_of_a_child_is_left_on_the_disk(live: Services, tmp_path: Path, gateway_running: Gateway) -> None:
    """Label, address, site and note of a child, through the real gateway: after one press no file holds them, not the database, its log, an
    older generation or a copy beside it; a backup made before loses them when it is put back. So do the figures its queries made."""
    family = await make_family(live, "127.0")
    marks = [b"ZiZiRieng", b"zizi-rieng.example", b"ghi-chu-rieng", b"127.0.7.77"]
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), live.now())
    async with live.database.write() as connection:
        child = (await list_profiles(connection, family.tenant))[0]
        await change_profile(connection, act, child, replace(child, label="ZiZiRieng"))
        await add_name(connection, act, child.id, NameEffect.DENY, "zizi-rieng.example")
        await assign_device(connection, act, child.id, "Máy ZiZiRieng", [Match(DeviceMatch.ADDRESS, "127.0.7.77")])
        asked = Asked(child.id, "zizi-rieng.example", RequestReason.OTHER, "ghi-chu-rieng", Band.TH)
        await ask(connection, family.tenant, asked, live.now())
    await live.applier.settle(family.tenant)
    async with live.database.write() as connection:
        await set_switch(connection, act, child.id, SwitchKind.CATEGORY, "game", SwitchState.BLOCK)
    await live.applier.settle(family.tenant)
    for source in ("127.0.7.77", "127.0.1.32"):
        await asyncio.to_thread(gateway_running.ask, "zizi-rieng.example" if source.endswith("77") else SCAM, source=source)
    await asyncio.sleep(1.5)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, live.now())
    assert await counted_for(live, family) == {child.id: 1, family.na.id: 1}
    state = live.settings.state_dir
    await live.database.copy_to(state / "lachan-before-schema-1.db")
    await back_up(live.database, live.settings.state_dir, tmp_path / "old.backup", live.now())
    assert all(holding(tmp_path, mark) for mark in marks), "the test looks where something is"

    browser = Visitor(create_app(live), "192.168.1.20")
    await browser.sign_in("me", PASSWORD)
    await browser.get(f"/profiles/{child.id}/settings")
    await browser.submit(f"/profiles/{child.id}/erase")
    await browser.submit(f"/profiles/{child.id}/erase")  # it asks once more, with the child's name
    await browser.close()
    (tmp_path / "old.backup").rename(tmp_path / "old.away")
    assert {mark: holding(tmp_path, mark) for mark in marks} == {mark: [] for mark in marks}
    assert await counted_for(live, family) == {family.na.id: 1}, "the sister keeps hers"
    in_force = read_manifest(state)
    verify_generation(state, in_force)

    await restore(live.database, state, tmp_path / "old.away", live.now())
    await live.applier.reconcile()
    assert await counted_for(live, family) == {family.na.id: 1}
    assert {mark: holding(tmp_path, mark) for mark in marks} == {mark: [] for mark in marks}


async def counted_for(live: Services, family: Family) -> dict[str, int]:
    """What is stored as blocked, by profile, on any day."""
    async with live.database.read() as connection:
        rows = await connection.execute(select(daily_totals).where(daily_totals.c.tenant_id == family.tenant))
        return {row.profile_id: row.blocked for row in rows if row.blocked}


def holding(folder: Path, mark: bytes) -> list[str]:
    """The files that hold a text; a packed backup is not one of them."""
    return [path.name for path in folder.rglob("*") if path.is_file() and mark in path.read_bytes()]
