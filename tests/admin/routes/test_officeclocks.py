"""Deadlines, renewals and merging through the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.office import open_office
from admin.officepublic import report
from admin.settings import AdminSettings
from blocklists.takedown import tables
from gateway.policy.model import Band
from gateway.policy.overlay import Overlay
from gateway.release import read_file
from gateway.wire.name import key_from_text
from tests.support.office import LETTER, OfficeGateway, Officers, officer


@pytest.fixture
async def gateway(settings: AdminSettings) -> AsyncIterator[OfficeGateway]:
    running = OfficeGateway(settings.state_dir)
    await running.start()
    yield running
    await running.stop()


async def test_a_deadline_is_changed_by_a_document(app: ASGIApp, officers: Officers, now: datetime) -> None:
    """The page names every clock with its basis; a change needs a document and begins today or later."""
    browser = await officer(app, "approver")
    await browser.get("/office/clocks")
    assert "Luật 116/2025/QH15, Điều 25" in browser.text
    assert "mục tiêu của đơn vị" in browser.text
    await browser.submit("/language", button=("language", "en"))
    await browser.get("/office/clocks")
    assert "the office’s own target" in browser.text and "mục tiêu của đơn vị" not in browser.text
    assert "1 hour " in browser.text and "1 hours" not in browser.text
    await browser.submit("/language", button=("language", "vi"))
    await browser.get("/office/clocks")
    fields = {"clock": "review", "hours": "24", "basis": "9/QĐ-UBND", "starts": (now + timedelta(days=3)).date().isoformat()}
    await browser.submit("/office/clocks", fields | {"starts": "2020-01-01"})
    assert "Không đổi thời hạn của việc đã bắt đầu" in browser.text
    await browser.submit("/office/clocks", fields)
    assert "24 giờ · 9/QĐ-UBND" in browser.text
    await browser.close()


async def test_an_entry_is_renewed_and_published_with_its_new_end(
    app: ASGIApp, officers: Officers, gateway: OfficeGateway, services: Services, settings: AdminSettings, now: datetime
) -> None:
    """The approver gives a new end with the document; the name stays in force and the page shows the end."""
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    await one.submit("/office/orders")
    path = one.response.url.path
    form = next(form for form in one.forms if ("decision", "leave") in form.buttons)
    await one.submit(form.action, {"reason": "x"}, ("decision", "leave"))
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    async with services.database.read() as connection:
        table = tables.entries
        found = select(table.c.id).where(table.c.tenant_id == officers.tenant, table.c.host == "game-doi-the.example")
        entry = (await connection.execute(found)).scalar_one()
    await two.get(f"/office/entries/{entry}")
    await two.submit(f"/office/entries/{entry}/renew", {"until": "2026-11-01", "reason": "500/QĐ-SVHTTDL"})
    assert "Ngày mới phải sau ngày cũ" in two.text
    await two.submit(f"/office/entries/{entry}/renew", {"until": "2027-06-30", "reason": "500/QĐ-SVHTTDL"})
    assert "30/06/2027" in two.text
    assert "gia hạn" in two.text
    assert gateway.orders is not None
    overlay = Overlay((name, read_file(settings.state_dir, name)) for name in gateway.orders.segments)
    (order,) = overlay.at((now + timedelta(days=200)).timestamp()).find(key_from_text("game-doi-the.example"), frozenset({Band.TH}))
    assert order.number == "412/QĐ-SVHTTDL"
    await one.close()
    await two.close()


async def test_reports_are_merged_by_a_button(app: ASGIApp, officers: Officers, services: Services, now: datetime) -> None:
    """The page of a report names the others about the same site."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        codes = [await report(connection, office, "bet.example", "gamb", "public", "", now) for _ in range(2)]
        found = await connection.execute(
            select(tables.reports.c.id).where(tables.reports.c.tenant_id == office.tenant, tables.reports.c.code == codes[0])
        )
        one = found.scalar_one()
    browser = await officer(app, "verifier")
    await browser.get(f"/office/reports/{one}")
    assert codes[1] in browser.text
    await browser.submit(f"/office/reports/{one}", button=("step", "triage"))
    await browser.submit(f"/office/reports/{one}", button=("step", "merge"))
    assert "đã gộp" in browser.text
    await browser.close()
