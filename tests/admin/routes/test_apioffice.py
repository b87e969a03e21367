"""The list office for programs: the same road, by the same functions, one token for each person."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp

from admin import officeintake
from admin.permissions import Scope
from admin.sessions import create_token
from blocklists.database import Database
from blocklists.tables import AccountId, OrganisationId
from tests.support.office import LETTER, OfficeGateway, Officers


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def program(app: ASGIApp, database: Database, tenant: OrganisationId, account: AccountId, now: datetime) -> httpx.AsyncClient:
    """A program that speaks for one officer."""
    async with database.write() as connection:
        scopes = frozenset({Scope.READ, Scope.LIST})
        _, token = await create_token(connection, tenant, account, "chương trình", scopes, now, now + timedelta(days=1))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8080/api/v1/office", headers={"Authorization": f"Bearer {token}"}
    )


async def test_programs_take_the_same_road(
    app: ASGIApp, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """Register, decide, verify with one token; approve with another; in force when the answer comes; then lifted."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    made = await one.post("/orders", json={"text": LETTER}, headers={"Idempotency-Key": "a"})
    assert made.status_code == 201, made.text
    assert (await one.post("/orders", json={"text": LETTER}, headers={"Idempotency-Key": "a"})).json()["id"] == made.json()["id"]
    order = made.json()
    path = f"/orders/{order['id']}"
    asked = next(item for item in order["items"] if item["verdict"] == "needs_decision")
    assert (await one.post(f"{path}/steps", json={"step": "verify"})).json()["error"]["code"] == "items_open"
    await one.post(f"{path}/items/{asked['id']}", json={"decision": "leave"})
    assert (await one.post(f"{path}/steps", json={"step": "verify"})).json()["state"] == "verified"
    assert (await one.post(f"{path}/steps", json={"step": "approve"})).status_code == 403
    assert (await two.post(f"{path}/steps", json={"step": "approve"})).json()["state"] == "approved"
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh.", "example.game-doi-the."}
    entries = (await two.get("/entries", params={"q": "game-doi-the.example"})).json()["items"]
    assert [entry["state"] for entry in entries] == ["active"]
    lifted = await two.post(f"/entries/{entries[0]['id']}/lift", json={"reason": "đã dọn sạch"})
    assert lifted.json()["state"] == "lifted"
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh."}
    versions = (await two.get("/versions")).json()
    assert [row["serial"] for row in versions["items"]] == [2, 1]
    assert versions["gateway"] == {"serial": 2, "in_force": 2, "problem": ""}
    for client in (one, two):
        await client.aclose()


async def test_a_program_is_refused_too_many_rows(
    app: ASGIApp, database: Database, officers: Officers, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bound as at the page."""
    monkeypatch.setattr(officeintake, "MOST_ROWS", 3)
    one = await program(app, database, officers.tenant, officers.verifier, now)
    refused = await one.post("/orders", json={"text": LETTER})
    assert refused.status_code == 422
    assert refused.json()["error"]["fields"] == [{"field": "text", "code": "too_many_addresses"}]
    await one.aclose()


async def test_a_program_is_told_what_was_not_read(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """A string without end is not read, and the answer says so; a letter that was read whole has nothing to say."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    whole = await one.post("/orders", json={"text": LETTER})
    assert (whole.status_code, whole.json()["unread"]) == (201, [])
    cut = await one.post("/orders", json={"text": LETTER + "a.example|" * 500})
    assert [part["code"] for part in cut.json()["unread"]] == ["long_word"]
    assert "4,096" in cut.json()["unread"][0]["words"]
    await one.aclose()


async def test_a_program_is_told_of_the_same_document_and_a_date_of_a_later_day_is_refused(
    app: ASGIApp, database: Database, officers: Officers, now: datetime
) -> None:
    """As at the page: a second registration names the first; sent again under its key, it is not a second one."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    first = (await one.post("/orders", json={"text": LETTER}, headers={"Idempotency-Key": "a"})).json()
    assert first["same_as"] is None
    assert (await one.post("/orders", json={"text": LETTER}, headers={"Idempotency-Key": "a"})).json()["same_as"] is None
    assert (await one.post("/orders", json={"text": LETTER})).json()["same_as"] == first["id"]
    assert (await one.post("/orders", json={"text": LETTER, "symbol": "413/QĐ-SVHTTDL"})).json()["same_as"] is None
    later = (now + timedelta(days=400)).date()
    letter = f"Số: 9/CAT-PV\nngày {later:%d tháng %m năm %Y}\nmot.example\n"
    told = [{"field": "issued_on", "code": "issued_later"}]
    refused = await one.post("/orders", json={"text": letter, "issuer": "Công an tỉnh"})
    assert (refused.status_code, refused.json()["error"]["fields"]) == (422, told)
    refused = await one.post("/orders", json={"text": LETTER, "issued_on": later.isoformat()})
    assert (refused.status_code, refused.json()["error"]["fields"]) == (422, told)
    mended = await one.post("/orders", json={"text": letter, "issuer": "Công an tỉnh", "issued_on": now.date().isoformat()})
    assert mended.status_code == 201, mended.text
    await one.aclose()


async def test_masked_names_are_in_no_answer(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """A program sees an opaque id where a person would have to open the name."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    made = await one.post("/orders", json={"text": "Số: 5/CAT-PV\nhidden-name.example\n", "category": "csam", "issuer": "Công an tỉnh"})
    listed = await one.get(f"/orders/{made.json()['id']}")
    await one.aclose()
    assert "hidden-name" not in made.text + listed.text


async def test_pages_of_entries_follow_each_other(
    app: ASGIApp, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """A long list is read page by page, each entry once."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    names = "\n".join(f"n{number}.example" for number in range(7))
    order = (await one.post("/orders", json={"text": f"Số: 5/QĐ-UBND\n{names}\n", "issuer": "UBND tỉnh"})).json()
    await one.post(f"/orders/{order['id']}/steps", json={"step": "verify"})
    await two.post(f"/orders/{order['id']}/steps", json={"step": "approve"})
    seen: list[str] = []
    after = ""
    while True:
        page = (await one.get("/entries", params={"limit": 3, **({"after": after} if after else {})})).json()
        seen += [entry["name"] for entry in page["items"]]
        after = page["next"]
        if not after:
            break
    assert sorted(seen) == sorted(names.split())
    for client in (one, two):
        await client.aclose()
