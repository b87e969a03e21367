"""A version of a long list: counts are whole, rows are bounded, and an old one is found."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert
from starlette.types import ASGIApp

from admin import officeversions
from admin.office import open_office
from admin.officeversions import read_version
from blocklists.database import Database
from blocklists.tables import new_id
from blocklists.takedown import tables
from tests.admin.routes.test_apioffice import program
from tests.support.office import OfficeGateway, Officers, officer
from tests.support.visitor import Visitor


async def fill(database: Database, officers: Officers, now: datetime, entries: int) -> None:
    """Two versions; the second brought so many entries, and of the first one left with it."""
    async with database.write() as connection:
        for serial in (1, 2):
            row = {"serial": serial, "tenant_id": officers.tenant, "created_at": now, "entries": entries, "added": entries, "removed": 0}
            row |= {"segment": "x", "is_base": 0, "digest": f"d{serial}", "previous_digest": "", "journal_seq": serial}
            await connection.execute(insert(tables.versions).values(row))
        report = {"id": new_id(), "tenant_id": officers.tenant, "code": "ABCDEFGH", "received_at": now, "channel": "web"}
        report |= {"category": "gamb", "host": "x.example", "kind": "harmful", "reporter_kind": "parent", "note": "", "routed_to": ""}
        await connection.execute(insert(tables.reports).values(report | {"state": "closed"}))
        entry = {"tenant_id": officers.tenant, "report_id": report["id"], "match": "both", "category": "gamb", "valid_from": now}
        entry |= {"valid_until": now + timedelta(days=7), "no_end": 0, "provisional_since": now, "state": "active", "serial_in": 2}
        entry |= {"first_serial": 2, "verified_by": officers.verifier, "approved_by": officers.approver, "approved_at": now}
        rows = [entry | {"id": new_id(), "host": f"site-{number:06}.example", "serial_out": None} for number in range(entries)]
        rows.append(entry | {"id": new_id(), "host": "di.example", "serial_in": 1, "first_serial": 1, "serial_out": 2, "state": "lifted"})
        await connection.execute(insert(tables.entries), rows)


async def test_a_long_list_is_counted_and_bounded(
    database: Database, officers: Officers, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came, left and would be dropped: how many, and the first by name; of the newest nothing is dropped; another number is none."""
    await fill(database, officers, now, 25)
    monkeypatch.setattr(officeversions, "MOST_SHOWN", 10)
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
        newest, first = [await read_version(connection, office, serial) for serial in (2, 1)]
        assert await read_version(connection, office, 3) is None
    assert newest is not None and first is not None
    assert (newest.came.count, [row["host"] for row in newest.came.rows][:2], len(newest.came.rows)) == (
        25, ["site-000000.example", "site-000001.example"], 10,
    )  # fmt: skip
    assert (newest.left.count, newest.drops.count, first.came.count) == (1, 0, 1)
    assert (first.drops.count, len(first.drops.rows)) == (25, 10)


async def test_a_number_that_no_version_can_have_is_none(
    app: ASGIApp, database: Database, officers: Officers, office_gateway: OfficeGateway, now: datetime
) -> None:
    """Typed into the address: told, never a fault of the program; the journal takes no such number, either."""
    key = await program(app, database, officers.tenant, officers.approver, now)
    browser: Visitor = await officer(app, "approver")
    for number in (2**31, 10**20):
        assert (await key.get(f"/versions/{number}")).status_code == 422
        for path in (f"/office/releases/{number}", f"/journal?before={number}"):
            assert (await browser.get(path)).status_code == 422, path
        await browser.get("/office/rollout")
        token = {"_form": next(value for form in browser.forms for name, value in form.fields if name == "_form"), "reason": "x"}
        for path in (f"/office/releases/{number}/return", f"/office/rollout/{number}/hold", f"/office/rollout/{number}/on"):
            assert (await browser.post(path, token)).status_code == 422, path
    await key.aclose()
    await browser.close()


async def test_page_and_api_tell_the_counts(
    app: ASGIApp, database: Database, officers: Officers, office_gateway: OfficeGateway, now: datetime
) -> None:
    """The rest of what a page shows is a number; the API's answer stays small."""
    await fill(database, officers, now, 1200)
    key = await program(app, database, officers.tenant, officers.approver, now)
    told = (await key.get("/versions/1")).json()
    assert (told["return_drops_count"], len(told["return_drops"]), told["came_count"]) == (1200, 1000, 1)
    await key.aclose()
    browser: Visitor = await officer(app, "approver")
    await browser.get("/office/releases/1")
    assert "1.200 mục" in browser.text and "và 1.150 dòng nữa" in browser.text
    await browser.get("/office/releases/2")
    assert "và 200 dòng nữa" in browser.text
    await browser.close()
