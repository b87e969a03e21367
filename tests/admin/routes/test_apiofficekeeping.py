"""What an office works with, for programs: bodies and their successors, clocks, directives, letters that were sent, notes of one's body."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.office import open_office
from admin.officepublic import report
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role, journal
from blocklists.takedown import tables
from tests.admin.routes.test_apioffice import gateway, program
from tests.support.office import LETTER, OfficeGateway, Officers, stored_password

__all__ = ["gateway"]


async def test_bodies_are_dated_data(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """Kept, charged with something, renamed, ended with a successor: each day has its own answer, and a page shows the same."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    fresh = {"name": "Sở Văn hóa, Thể thao và Du lịch", "kind": "department", "place": "Lai Châu", "valid_from": "2020-01-01"}
    assert (await one.post("/agencies", json=fresh)).json()["error"]["code"] == "forbidden", "a verifier keeps none"
    assert (await two.post("/agencies", json={**fresh, "place": "Nơi Nào"})).json()["error"]["field"] == "place"
    made = (await two.post("/agencies", json=fresh)).json()
    assert (made["place"], made["valid_until"], made["roles"]) == ("12", None, [])
    path = f"/agencies/{made['id']}"
    charged = await two.post(f"{path}/roles", json={"role": "list_owner", "on": "2026-01-01", "basis": "15/QĐ-UBND"})
    assert charged.json()["roles"] == [{"role": "list_owner", "basis": "15/QĐ-UBND"}]
    tag = (await two.get(path)).headers["etag"]
    renamed = await two.post(f"{path}/rename", json={"on": "2026-03-01", "name": "Sở Văn hóa"}, headers={"If-Match": tag})
    assert renamed.status_code == 201 and renamed.json()["roles"][0]["role"] == "list_owner", renamed.text
    stale = await two.post(f"{path}/end", json={"on": "2026-02-01"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    refused = await two.post(f"{path}/end", json={"on": "2026-03-01"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "agency_days"), "it ended when it was renamed"
    before = (await one.get("/agencies", params={"on": "2026-02-28"})).json()["items"]
    after = (await one.get("/agencies", params={"on": "2026-03-01"})).json()["items"]
    assert ([row["name"] for row in before], [row["name"] for row in after]) == ([fresh["name"]], ["Sở Văn hóa"])
    assert (await one.get("/agencies?on=0")).json()["error"]["fields"] == [{"field": "query.on", "code": "value_error"}], "no day"
    (gone,) = (await one.get("/agencies", params={"gone": True})).json()["items"]
    assert gone["successors"] == [renamed.json()["id"]] and gone["valid_until"] == "2026-03-01"
    itself = await two.post(f"/agencies/{renamed.json()['id']}/end", json={"on": "2027-01-01", "successors": [renamed.json()["id"]]})
    assert itself.json()["error"]["code"] == "agency_itself"
    for client in (one, two):
        await client.aclose()


async def test_another_offices_things_are_not_there(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """Whoever works in another place has no office, and cannot name a body or a directive of this one."""
    stored = await stored_password()
    async with database.write() as connection:
        other = await create_organisation(connection, OrganisationKind.OFFICE, "Đơn vị khác", "vi", now)
        account = await create_account(connection, "other", "Cán bộ khác", stored, "vi", now)
        await grant_role(connection, Act(other, MACHINE, now), account, Role.APPROVER)
    two = await program(app, database, officers.tenant, officers.approver, now)
    stranger = await program(app, database, other, account, now)
    body = (await two.post("/agencies", json={"name": "Sở Y tế"})).json()["id"]
    text = {"symbol": "8/CT-UBND", "title": "Bảo vệ trẻ em", "lead": "Sở Y tế", "focal_point": "Sở Y tế"}
    directive = (await two.post("/directives", json=text)).json()["id"]
    end = {"on": "2027-01-01", "successors": []}
    asked = [
        await stranger.get(f"/agencies/{body}"),
        await stranger.post(f"/agencies/{body}/end", json=end),
        await stranger.post(f"/agencies/{body}/rename", json={"on": "2027-01-01", "name": "x"}),
        await stranger.post(f"/agencies/{body}/roles", json={"role": "education", "on": "2027-01-01", "basis": "1/QĐ-X"}),
        await stranger.get(f"/directives/{directive}"),
        await stranger.post(f"/directives/{directive}/end"),
    ]
    assert [one.status_code for one in asked] == [404] * len(asked)
    assert (await stranger.get("/agencies")).json()["items"] == (await stranger.get("/directives")).json()["items"] == []
    for client in (two, stranger):
        await client.aclose()


async def test_clocks_are_set_from_a_day_on(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """By a document, never for days that have been; what began keeps the clock it had."""
    two = await program(app, database, officers.tenant, officers.approver, now)
    today, later = now.date(), (now + timedelta(days=9)).date().isoformat()
    wanted = {"hours": 12, "basis": "7/QĐ-UBND", "starts": later}
    tag = (await two.get("/clocks/order")).headers["etag"]
    said = await two.put("/clocks/order", json=wanted, headers={"If-Match": tag})
    assert (said.json()["hours"], said.json()["later"]) == (24.0, [{"hours": 12.0, "basis": "7/QĐ-UBND", "starts": later}])
    assert (await two.put("/clocks/order", json=wanted, headers={"If-Match": tag})).status_code == 412
    assert (await two.put("/clocks/order", json=wanted)).json()["error"]["code"] == "clock_twice"
    past = {**wanted, "starts": (today - timedelta(days=2)).isoformat()}
    assert (await two.put("/clocks/order", json=past)).json()["error"]["code"] == "clock_past"
    assert (await two.put("/clocks/order", json={**wanted, "basis": "gọi 0912345678"})).json()["error"]["code"] == "personal_data"
    assert {one["clock"] for one in (await two.get("/clocks")).json()["items"]} >= {"order", "review", "enforce"}
    await two.aclose()


async def test_directives_route_reports_until_they_end(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """One per topic; a report goes where the directive of its topic says, and to the office when none is left."""
    two = await program(app, database, officers.tenant, officers.approver, now)
    text = {"symbol": "8/CT-UBND", "title": "Cờ bạc", "lead": "Công an tỉnh", "focal_point": "Công an tỉnh", "topic": "gamb"}
    assert (await two.post("/directives", json={**text, "symbol": "không số"})).json()["error"]["fields"] == [
        {"field": "symbol", "code": "symbol_form"}
    ]
    first = (await two.post("/directives", json=text)).json()
    second = (await two.post("/directives", json={**text, "symbol": "9/CT-UBND", "focal_point": "PA05"})).json()
    assert [one["id"] for one in (await two.get("/directives")).json()["items"]] == [second["id"]], "the one before ended"
    assert (await two.post(f"/directives/{first['id']}/end")).status_code == 404
    async with database.write() as connection:
        await report(connection, await open_office(connection, officers.tenant), "a.example", "gamb", "public", "", now)
    assert (await two.post(f"/directives/{second['id']}/end")).status_code == 204
    async with database.write() as connection:
        await report(connection, await open_office(connection, officers.tenant), "b.example", "gamb", "public", "", now)
    assert sorted(one["goes_to"] for one in (await two.get("/reports")).json()["items"]) == ["", "PA05"]
    async with database.read() as connection:
        rows = (await connection.execute(select(journal.c.action).where(journal.c.object_kind == "takedown_directive"))).scalars()
        assert list(rows)[-1] == "takedown.directive.end"
    await two.aclose()


async def test_letters_that_were_sent_are_noted(
    app: ASGIApp, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """To whom an address on a platform went and what came of it; how the owner of a state site was told; each once, in the journal."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    three = await program(app, database, officers.tenant, officers.second, now)
    text = {"text": LETTER + "7. truong-hoc.edu.vn\n", "valid_until": (now + timedelta(days=5)).date().isoformat()}
    order = (await one.post("/orders", json=text)).json()
    path = f"/orders/{order['id']}"
    item = next(row for row in order["items"] if row["platform"])
    assert (await one.post(f"{path}/items/{item['id']}/forward", json={"outcome": "removed"})).json()["error"]["code"] == "not_sent"
    assert (await one.post(f"{path}/items/{item['id']}/forward", json={})).json()["error"]["code"] == "reason_missing"
    tag = (await one.get(path)).headers["etag"]
    sent = await one.post(f"{path}/items/{item['id']}/forward", json={"sent_to": "Facebook Việt Nam"}, headers={"If-Match": tag})
    row = next(row for row in sent.json()["items"] if row["id"] == item["id"])
    assert (row["forwarded_to"], row["outcome"]) == ("Facebook Việt Nam", None) and row["forwarded_at"]
    again = await one.post(f"{path}/items/{item['id']}/forward", json={"outcome": "removed"}, headers={"If-Match": tag})
    assert again.status_code == 412
    await one.post(f"{path}/items/{item['id']}/forward", json={"outcome": "removed"})
    plain = next(row for row in order["items"] if not row["platform"])
    assert (await one.post(f"{path}/items/{plain['id']}/forward", json={"sent_to": "x"})).status_code == 404
    for asked in [row for row in order["items"] if row["verdict"] == "needs_decision"]:
        await one.post(f"{path}/items/{asked['id']}", json={"decision": "leave"})
    assert (await one.post(f"{path}/steps", json={"step": "verify"})).status_code == 200
    assert (await two.post(f"{path}/steps", json={"step": "approve"})).json()["state"] == "awaiting_second"
    last = await three.post(f"{path}/steps", json={"step": "second"})
    assert last.status_code == 200, last.text
    entries = {row["name"]: row["id"] for row in (await one.get("/entries")).json()["items"]}
    assert (await one.post(f"/entries/{entries['game-doi-the.example']}/owner", json={"how": "x"})).status_code == 409
    told = await one.post(f"/entries/{entries['truong-hoc.edu.vn']}/owner", json={"how": "công văn 9/SVHTTDL"})
    assert (told.json()["is_state"], told.json()["owner_told_how"]) == (True, "công văn 9/SVHTTDL")
    twice = await one.post(f"/entries/{entries['truong-hoc.edu.vn']}/owner", json={"how": "x"})
    assert twice.json()["error"]["code"] == "owner_told"
    for client in (one, two, three):
        await client.aclose()


async def test_each_body_reads_and_writes_its_own_notes(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """The office and the police note on one case; neither sees the other's words; who speaks for no body has none."""
    stored = await stored_password()
    two = await program(app, database, officers.tenant, officers.approver, now)
    body = (await two.post("/agencies", json={"name": "Công an tỉnh", "kind": "police"})).json()["id"]
    accounts = []
    async with database.write() as connection:
        for name, agency in (("police", body), ("nobody", None)):
            account = await create_account(connection, name, name, stored, "vi", now)
            await grant_role(connection, Act(officers.tenant, MACHINE, now), account, Role.POLICE_LIAISON, agency=agency)
            accounts.append(account)
        code = await report(connection, await open_office(connection, officers.tenant), "a.example", "gamb", "public", "", now)
        mine = (tables.reports.c.code == code, tables.reports.c.tenant_id == officers.tenant)
        case = (await connection.execute(select(tables.reports.c.id).where(*mine))).scalar_one()
    police, nobody = [await program(app, database, officers.tenant, account, now) for account in accounts]
    path = f"/cases/report/{case}"
    assert (await police.post(f"{path}/notes", json={"text": "gọi 0912345678"})).json()["error"]["code"] == "personal_data"
    made, twice = [await police.post(f"{path}/notes", json={"text": "đang xác minh"}, headers={"Idempotency-Key": "a"}) for _ in range(2)]
    assert made.status_code == 201 and made.json() == twice.json()
    assert (await two.post(f"{path}/notes", json={"text": "chờ công an"})).status_code == 201
    said = [[note["text"] for note in (await one.get(path)).json()["notes"]] for one in (police, two)]
    assert said == [["đang xác minh"], ["chờ công an"]]
    assert (await nobody.get(path)).json()["notes"] is None
    assert (await nobody.post(f"{path}/notes", json={"text": "x"})).status_code == 404
    assert (await police.get(f"/cases/letter/{case}")).status_code == 404
    assert (await police.get("/agencies")).status_code == 403, "a liaison has the cases, not the office"
    for client in (two, police, nobody):
        await client.aclose()
