"""Seed 000, a district's letter on crimes against children: bulletins, referral to the police, reports routed by directive, overdue."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.office import open_office
from admin.officebulletins import NewBulletin, add_bulletin, bulletins_for
from admin.officedirectives import add_directive, directives_in_force, move_focal_point
from admin.officepublic import report
from admin.tenants import create_organisation
from blocklists.tables import OrganisationKind
from blocklists.takedown import cases, tables
from blocklists.takedown.deadlines import countdown
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.workflow import TransitionRefused
from tests.support.office import Officers, officer


def actor(officers: Officers) -> Actor:
    return Actor(officers.approver, Capacity.APPROVER)


async def test_a_bulletin_shows_in_its_commune_and_not_in_another_province(services: Services, officers: Officers, now: datetime) -> None:
    """A bulletin that cites 2915/CAT-ANND reaches the schools of the commune it is for, and ends by itself."""
    async with services.database.write() as connection:
        schools = {}
        for place in ("08.00706", "08.00715", "12.03385"):
            school = await create_organisation(connection, OrganisationKind.SCHOOL, f"Trường {place}", "vi", now)
            await connection.execute(text("UPDATE organisations SET place_code = :place WHERE id = :id"), {"place": place, "id": school})
            schools[place] = school
        office = await open_office(connection, officers.tenant)
        ends = now + timedelta(days=30)
        for place in ("08.00706", "08"):
            fresh = NewBulletin("bulletin", f"Phương thức, thủ đoạn {place}", "", "2915/CAT-ANND", ends, place)
            await add_bulletin(connection, office, actor(officers), fresh, now)
        seen = {place: len(await bulletins_for(connection, school, now)) for place, school in schools.items()}
        later = [await bulletins_for(connection, school, ends) for school in schools.values()]
    assert seen == {"08.00706": 2, "08.00715": 1, "12.03385": 0}
    assert later == [[], [], []]


async def test_a_referred_case_is_a_pointer_that_nobody_edits(services: Services, officers: Officers, app: ASGIApp, now: datetime) -> None:
    """After the referral the page shows the code, the time and the office; host and note are gone, and no step is left."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        told = cases.NewReport("web", "harmful", "parent", "bet.example", "gamb", "trang có cá độ")
        await cases.receive_report(connection, office, told, now)
        (case,) = (await connection.execute(select(tables.reports.c.id).where(tables.reports.c.tenant_id == office.tenant))).scalars()
        await cases.move_report(connection, office, case, "triage", actor(officers), now)
        with pytest.raises(TransitionRefused, match="which office"):
            await cases.move_report(connection, office, case, "refer", actor(officers), now, reason="tội phạm")
        await cases.move_report(connection, office, case, "refer", actor(officers), now, reason="tội phạm", referred_to="Công an tỉnh")
        for verb in ("triage", "reject", "merge", "start", "refer", "close"):
            with pytest.raises(TransitionRefused):
                await cases.move_report(connection, office, case, verb, actor(officers), now, reason="x", referred_to="y")
        row = (await connection.execute(select(tables.reports).where(tables.reports.c.tenant_id == office.tenant))).mappings().one()
    assert (row["host"], row["note"], row["category"], row["reason"]) == (None, "", "", "")
    browser = await officer(app, "approver")
    await browser.get(f"/office/reports/{case}")
    await browser.close()
    assert row["referral_code"] in browser.text
    assert "Công an tỉnh" in browser.text
    assert "bet.example" not in browser.text
    assert [form.action for form in browser.forms if "/office/reports/" in form.action] == []


async def test_reports_follow_the_focal_point_of_their_day(services: Services, officers: Officers, now: datetime) -> None:
    """The standing office changes in data: the next report goes to the new one, those of before keep the old one."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        common = {"title": "Tình hình tội phạm xâm hại trẻ em", "lead": "UBND huyện"}
        symbol = "2881/UBND - LĐT BXH"
        made = await add_directive(connection, office, actor(officers), now, symbol=symbol, focal_point="Phòng LĐTBXH", **common)
        await report(connection, office, "one.example", "groom", "public", "", now)
        await move_focal_point(connection, office, actor(officers), made, "Phòng Văn hóa - Xã hội", now)
        await report(connection, office, "two.example", "groom", "public", "", now + timedelta(minutes=1))
        (held,) = await directives_in_force(connection, office, now)
        rows = await connection.execute(
            select(tables.reports.c.host, tables.reports.c.routed_to).where(tables.reports.c.tenant_id == office.tenant)
        )
    assert {row.host: row.routed_to for row in rows} == {"one.example": "Phòng LĐTBXH", "two.example": "Phòng Văn hóa - Xã hội"}
    assert held["symbol"] == symbol
    assert parse_symbol(symbol).bodies == ("UBND", "LĐTBXH")


def test_a_report_is_overdue_at_the_right_minute_in_viet_nam() -> None:
    """Received at 08:00 on the 24th, it is late at 08:00 on the 25th in Viet Nam and not a second before."""
    received = datetime.fromisoformat("2023-11-24T08:00:00+07:00")
    assert not countdown("report_acknowledge", received, datetime.fromisoformat("2023-11-25T07:59:59+07:00")).overdue
    assert countdown("report_acknowledge", received, datetime.fromisoformat("2023-11-25T01:00:00+00:00")).overdue
