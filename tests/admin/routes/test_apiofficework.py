"""The rest of the office's road for programs: reach, history, differences, reports, candidates, bulletins, returns, renewals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text as sql
from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.office import open_office
from admin.officeendings import end_officer
from admin.officepublic import report
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.tables import Role
from blocklists.takedown import candidates
from blocklists.takedown.candidates import Found
from blocklists.takedown.candidatetables import Origin
from blocklists.takedown.model import Actor, Capacity
from tests.admin.routes.test_apioffice import program
from tests.support.office import LETTER, OfficeGateway, Officers


@pytest.fixture
async def gateway(settings: AdminSettings) -> AsyncIterator[OfficeGateway]:
    running = OfficeGateway(settings.state_dir)
    await running.start()
    yield running
    await running.stop()


async def test_reach_history_difference_renewal_and_return(
    app: ASGIApp, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """What a page shows beside the steps, a program can read; a return waits for a second person."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    three = await program(app, database, officers.tenant, officers.second, now)
    scope = {"bands": ["TH"], "places": ["Lai Châu"], "basis": ["531/KH-UBND ← 830/QĐ-TTg"]}
    assert (await one.post("/orders", json={"text": LETTER, "places": ["Nơi Nào"]})).status_code == 422
    order = (await one.post("/orders", json={"text": LETTER, **scope})).json()
    assert (order["bands"], order["places"], order["basis"]) == (["TH"], ["12"], ["531/KH-UBND", "830/QĐ-TTg"])
    path = f"/orders/{order['id']}"
    reach = (await two.get(f"{path}/preview")).json()
    assert (reach["names"], reach["asked"], reach["must_stay_reachable"]) == (2, [], [])
    asked = next(item for item in order["items"] if item["verdict"] == "needs_decision")
    refused = await one.post(f"{path}/items/{asked['id']}", json={"decision": "leave", "reason": "gọi 0912345678"})
    assert refused.json()["error"]["code"] == "personal_data"
    await one.post(f"{path}/items/{asked['id']}", json={"decision": "leave"})
    await one.post(f"{path}/steps", json={"step": "verify"})
    await two.post(f"{path}/steps", json={"step": "approve"})
    entry = (await two.get("/entries?q=game")).json()["items"][0]
    detail = (await two.get(f"/entries/{entry['id']}")).json()
    assert detail["basis"] == ["531/KH-UBND", "830/QĐ-TTg"]
    assert "lift" in detail["steps"]
    assert {row["name"] for row in (await two.get("/versions/1")).json()["came"]} == {"qua-tang-hoc-sinh.example", "game-doi-the.example"}
    assert (await two.get("/versions/9")).status_code == 404
    first = (await two.get("/versions/1")).json()
    assert (first["came_count"], first["left_count"], first["return_drops_count"], first["return_drops"]) == (2, 0, 0, [])
    last = (now + timedelta(days=200)).date().isoformat()
    renewed = await two.post(f"/entries/{entry['id']}/renew", json={"last_day": last, "reason": "500/QĐ-SVHTTDL"})
    assert renewed.json()["serial_in"] == 2
    await two.post(f"/entries/{entry['id']}/lift", json={"reason": "trang đã sửa"})
    assert (await two.post("/versions/3/return", json={"reason": "x"})).status_code == 404
    text = "Số: 8/QĐ-SVHTTDL\nSỞ VĂN HÓA\nđến hết ngày 31 tháng 12 năm 2026\nmoi-them.example"
    later = (await one.post("/orders", json={"text": text, "issuer": "Sở Văn hóa"})).json()
    await one.post(f"/orders/{later['id']}/steps", json={"step": "verify"})
    await two.post(f"/orders/{later['id']}/steps", json={"step": "approve"})
    made, twice = [await two.post("/versions/1/return", json={"reason": "sai sót"}, headers={"Idempotency-Key": "a"}) for _ in range(2)]
    assert made.status_code == 201 and made.json() == twice.json(), made.text
    assert (await two.post(f"/returns/{made.json()['id']}", json={"step": "confirm"})).status_code == 409
    assert (await three.post(f"/returns/{made.json()['id']}", json={"step": "refuse"})).status_code == 204
    for client in (one, two, three):
        await client.aclose()


async def test_officers_are_listed_and_ended_by_no_key(
    app: ASGIApp, services: Services, database: Database, officers: Officers, now: datetime
) -> None:
    """A program reads who holds which role and what was asked for; a change takes two people at the page."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    rows = (await one.get("/officers")).json()["items"]
    assert [(row["role"], row["basis"], row["end_asked"]) for row in rows] == [
        (role, "15/QĐ-SVHTTDL", None) for role in ("verifier", "approver", "approver")
    ]
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    await end_officer(services.database, act, services.settings.state_dir, rows[2]["id"], "31/QĐ-SVHTTDL")
    rows = (await one.get("/officers")).json()["items"]
    assert [row["end_asked"] for row in rows] == [None, None, "31/QĐ-SVHTTDL"]
    assert (await one.post(f"/officers/{rows[2]['id']}/end", json={})).status_code in (404, 405)
    await one.aclose()


async def test_reports_candidates_and_bulletins(
    app: ASGIApp, services: Services, database: Database, officers: Officers, now: datetime
) -> None:
    """A report moves step by step to its referral; a candidate is refused with a reason; a bulletin is written and taken down."""
    actor = Actor(officers.verifier, Capacity.VERIFIER)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await report(connection, office, "bet.example", "gamb", "public", "", now)
        found = [Found("ca-do.example", "gamb", Origin.LIST, "A", "A")]
        await candidates.add_found(connection, office, found, services.office.guard.current(), actor, now)
        assert (await connection.execute(sql("SELECT count(*) FROM takedown_candidates"))).scalar_one() == 1
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    (waiting,) = (await one.get("/reports")).json()["items"]
    path = f"/reports/{waiting['id']}/steps"
    assert (await one.post(path, json={"step": "fly"})).status_code == 422
    assert (await one.post(path, json={"step": "triage"})).json()["state"] == "triaged"
    told = (await two.get(f"/reports/{waiting['id']}")).json()["history"]
    assert [(step["step"], step["role"]) for step in told] == [("triage", "verifier"), ("receive", "system")]
    referred = (await one.post(path, json={"step": "refer", "reason": "tội phạm", "referred_to": "Công an tỉnh"})).json()
    assert (referred["name"], referred["state"], referred["goes_to"], referred["steps"]) == (None, "referred", "Công an tỉnh", [])
    assert referred["history"] == [], "it is not ours any more"
    assert [case["state"] for case in (await two.get("/cases")).json()["items"]] == ["referred"]
    (candidate,) = (await one.get("/candidates")).json()["items"]
    assert (await one.post(f"/candidates/{candidate['id']}", json={"step": "refuse"})).status_code == 409
    assert (await one.post(f"/candidates/{candidate['id']}", json={"step": "refuse", "reason": "nhầm"})).status_code == 204
    fresh = {"kind": "bulletin", "title": "Phương thức, thủ đoạn", "symbol": "2915/CAT-ANND", "last_day": "2027-01-01"}
    assert (await one.post("/bulletins", json=fresh)).status_code == 403
    made = await two.post("/bulletins", json=fresh)
    assert made.status_code == 201
    assert (await two.post(f"/bulletins/{made.json()['id']}/end")).status_code == 204
    assert (await two.get("/bulletins")).json()["items"] == []
    for client in (one, two):
        await client.aclose()
