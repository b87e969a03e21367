"""What was made stricter since a backup: a department's closures are kept, the rest is named by kind and place."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from admin.audit import MACHINE, Act, by_account
from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.devices import Match, assign_device, load_device, move_device
from admin.names import add_name
from admin.office import open_office
from admin.officetighten import release_schools, rules_at, rules_in, tighten_schools
from admin.overrides import start_override
from admin.profiles import change_profile
from admin.schoolmoves import find_move, move
from admin.stricter import Gone
from admin.switches import set_switch
from admin.tenants import read_place, set_place
from admin.values import DeviceMatch, NameEffect, OverrideKind, SwitchKind, SwitchState
from blocklists.database import open_database
from blocklists.tables import OrganisationKind, Role
from gateway.policy.model import Band
from lachan.people import weaker
from tests.admin.test_officeschools import body
from tests.support.family import Family
from tests.support.office import Officers
from tests.support.people import make_person

DOCUMENT, LIFTED = "12/QĐ-SGDĐT", "15/QĐ-SGDĐT"


async def test_what_a_department_closed_since_stays_closed(services: Services, officers: Officers, now: datetime, tmp_path: Path) -> None:
    """A school that comes back with an older state has the closure of today, and the place that it is in; one lifted since stays lifted."""
    database = services.database
    agency = await body(database, officers, now, "12")
    act, shelf = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now), services.shelves.current()
    one = await make_person(database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await set_place(connection, Act(one.tenant, MACHINE, now), "11")
        lifted, _ = await tighten_schools(connection, act, office, agency, "social", DOCUMENT, shelf)
    path = tmp_path / "one.backup"
    await back_up(database, path.parent, path, now)
    async with database.write() as connection:
        await set_place(connection, Act(one.tenant, MACHINE, now), "12")
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, shelf)
        await release_schools(connection, act, office, agency, lifted, LIFTED)
    done = await restore(database, services.settings.state_dir, path, now + timedelta(hours=1))
    assert (done.again.closures, done.gone) == (1, ())
    async with database.read() as connection:
        assert [one.category for one in await rules_at(connection, "12")] == ["game"]
        assert await read_place(connection, one.tenant) == "12"


async def test_an_older_state_does_not_end_it(services: Services, officers: Officers, now: datetime, tmp_path: Path) -> None:
    """A backup from before the move, put back within the day: the school is where it said, and held as it was."""
    database, folder = services.database, services.settings.state_dir
    one = await make_person(database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    agency = await body(database, officers, now, "12")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now)
    async with database.write() as connection:
        await set_place(connection, Act(one.tenant, MACHINE, now), "12")
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, services.shelves.current())
    await back_up(database, tmp_path, tmp_path / "one.backup", now)
    async with database.write() as connection:
        await move(connection, Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now), OrganisationKind.SCHOOL, "11")
    await restore(database, folder, tmp_path / "one.backup", now + timedelta(hours=1))
    async with database.read() as connection:
        held = await find_move(connection, one.tenant)
        assert held is not None and (held.place, held.until) == ("12", now + timedelta(hours=24))
        assert await read_place(connection, one.tenant) == "11"
        assert [rule.category for rule in await rules_in(connection, one.tenant, "11")] == ["game"]


async def test_what_a_family_made_stricter_is_named(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """By kind, with numbers alone: never a name, never which child. What was opened since is not counted, and goes back all the same."""
    database = services.database
    async with database.write() as connection:
        tablet = await assign_device(connection, act, family.adults.id, "Máy bảng", [Match(DeviceMatch.ADDRESS, "192.168.1.70")])
    path = tmp_path / "one.backup"
    await back_up(database, path.parent, path, act.now)
    async with database.write() as connection:
        await add_name(connection, act, family.na.id, NameEffect.DENY, "xau.example")
        await add_name(connection, act, family.na.id, NameEffect.ALLOW, "tot.example")
        await set_switch(connection, act, family.na.id, SwitchKind.CATEGORY, "game", SwitchState.BLOCK)
        await start_override(connection, act, family.na.id, OverrideKind.OFF, act.now + timedelta(hours=5), [])
        await change_profile(connection, act, family.na, replace(family.na, band=Band.CS, safe_search=True))
        await move_device(connection, act, await load_device(connection, family.tenant, tablet), family.bi.id, "Máy bảng")
    done = await restore(database, services.settings.state_dir, path, act.now + timedelta(hours=1))
    assert done.gone == tuple(Gone(kind, 1, (), 1) for kind in ("names", "switches", "off", "ages", "search", "devices"))
    told = "\n".join(weaker(done.gone))
    assert "1 tên trang đã chặn" in told and "gia đình" in told and "xau" not in told and "Na" not in told.split()
    again = await restore(database, services.settings.state_dir, path, act.now + timedelta(hours=2))
    assert again.gone == () and weaker(again.gone) == []


async def test_where_the_database_was_lost_nobody_can_say(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Nothing to compare with: that is said, in place of silence."""
    path = tmp_path / "one.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    fresh = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}")
    done = await restore(fresh, services.settings.state_dir, path, act.now + timedelta(hours=1))
    await fresh.close()
    assert done.gone is None and "đã mất" in weaker(None)[0]


def test_nothing_gone_is_nothing_told() -> None:
    """A place is named by its kind: schools by name, families by number."""
    (head, line) = weaker((Gone("hours", 3, ("Trường A",), 2),))
    assert "chặt hơn" in head and line == "  3 khung giờ nghỉ, giờ học / hours of rest and study (Trường A, 2 gia đình / families)"
