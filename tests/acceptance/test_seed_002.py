"""Seed 002, a province's letter: what DNS can and cannot enforce, a category nobody below opens, and warnings that block nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.office import open_office
from admin.officebulletins import NewBulletin, add_bulletin
from blocklists.takedown import tables
from blocklists.takedown.model import Actor, Capacity
from gateway.policy.explain import explain_lines
from tests.support.generation import category, order, profile, segment
from tests.support.judging import AT_SCHOOL, make_desk
from tests.support.office import OfficeGateway, Officers, officer
from tests.support.shippedcatalogue import load

LETTER = """ỦY BAN NHÂN DÂN TỈNH LAI CHÂU
Số:       /UBND-VX          Lai Châu, ngày   tháng 8 năm 2024
V/v biện pháp phòng, chống xâm hại trẻ em trên môi trường mạng
trong thời hạn 7 ngày:
xau-mot.example
www.xau-hai.example
https://www.facebook.com/watch?v=123
https://www.facebook.com/groups/nhom-xau
103.21.244.7
"""


async def test_a_list_is_split_into_what_dns_enforces_and_what_it_cannot(
    app: ASGIApp, services: Services, officers: Officers, office_gateway: OfficeGateway
) -> None:
    """One domain and one host enforced, an address and a group on a platform handed on, an IP refused; the blank number stays blank."""
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh Lai Châu"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    async with services.database.read() as connection:
        found = await connection.execute(
            select(tables.items.c.verdict, tables.items.c.as_written).where(tables.items.c.tenant_id == officers.tenant)
        )
        rows = [tuple(row) for row in found]
        order = (await connection.execute(select(tables.orders).where(tables.orders.c.tenant_id == officers.tenant))).mappings().one()
    await one.close()
    await two.close()
    assert sorted(verdict for verdict, _ in rows) == ["ip_only", "shared_platform", "shared_platform", "yes", "yes"]
    assert office_gateway.enforced() == {"example.xau-mot.", "example.xau-hai.www."}
    assert not any("nhom-xau" in kept or "watch" in kept for _, kept in rows)
    assert (order["number"], order["issued_day"], order["symbol"].strip()) == (None, None, "/UBND-VX")


def test_a_family_cannot_open_what_the_law_locks(tmp_path: Path) -> None:
    """An allow of the school and of the parent, for a locked category and for a name of an order, changes nothing; explain names the
    document that locks it."""
    names = ["bet.example", "ordered.example"]
    desk = make_desk(
        tmp_path,
        lists={"bet": category("gamb", "bet.example")},
        profile=profile("TH", allow=names, categories={"gamb": "allow"}),
        school={"allow": names},
        orders=[segment(order("3008/KH-UBND", "ordered.example", number="3008/KH-UBND"))],
        catalogue=load(),
        address=AT_SCHOOL,
    )
    assert desk.ask("bet.example").startswith("block")
    assert desk.ask("ordered.example") == "block order"
    assert "3008/KH-UBND" in explain_lines(desk.explain("ordered.example"), "ordered.example")[0]


async def test_a_warning_about_a_site_blocks_nothing(
    services: Services, officers: Officers, office_gateway: OfficeGateway, now: datetime
) -> None:
    """An advisory is words on a page; the list of orders stays as it is."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        ends = now + timedelta(days=7)
        fresh = NewBulletin("advisory", "Không phù hợp", "", "412/QĐ-SVHTTDL", ends, host="khong-phu-hop.example")
        await add_bulletin(connection, office, Actor(officers.approver, Capacity.APPROVER), fresh, now)
    assert (await services.office.duty.settle()).serial == 0
    assert office_gateway.orders is None
