"""The office's road for programs: inbox, reviews, signing, gateways and their codes, stages, numbers, what the public reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act, by_account
from admin.dependencies import Services
from admin.emergency import break_glass
from admin.office import open_office
from admin.officepublic import ask_again
from admin.officetables import rollouts
from admin.permissions import Scope
from admin.sessions import create_token
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.pairing import parse_code
from blocklists.tables import OrganisationKind, Role, journal
from tests.admin.routes.test_apioffice import gateway, program
from tests.admin.routes.test_officegateways import Far
from tests.support.office import LETTER, OfficeGateway, Officers
from tests.support.people import make_person
from tests.support.visitor import Visitor

__all__ = ["gateway"]

PASSPHRASE = "bốn từ không liên quan"


@pytest.fixture
async def machines(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> AsyncIterator[httpx.AsyncClient]:
    """A program with an approver's key for gateways."""
    async with database.write() as connection:
        scopes = frozenset({Scope.READ, Scope.MACHINES})
        _, token = await create_token(connection, officers.tenant, officers.approver, "cổng", scopes, now, now + timedelta(days=1))
    base, headers = "http://127.0.0.1:8080/api/v1/office", {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        yield client


async def begin_signing(services: Services, officers: Officers, now: datetime) -> None:
    """The approver's key, by the passphrase that a person types at the page."""
    async with services.database.read() as connection:
        office = await open_office(connection, officers.tenant)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    await services.office.signing.make_key(office, act, officers.approver, PASSPHRASE)


async def test_a_code_is_told_once_and_joins_one_gateway(
    app: ASGIApp, services: Services, machines: httpx.AsyncClient, officers: Officers, now: datetime, tmp_path: Path
) -> None:
    """Not before the list is signed; told in the first answer only; the gateway joins with it, is listed, and is taken away."""
    assert (await machines.post("/gateways", json={"label": "Trường A"})).json()["error"]["code"] == "not_signed"
    await begin_signing(services, officers, now)
    made, twice = [await machines.post("/gateways", json={"label": "Trường A"}, headers={"Idempotency-Key": "a"}) for _ in range(2)]
    assert (made.status_code, twice.status_code, twice.json()["join_code"]) == (201, 201, None)
    assert made.json()["id"] == twice.json()["id"]
    other = await machines.post("/gateways", json={"label": "Trường B"}, headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_used")
    path = f"/gateways/{made.json()['id']}"
    browser = Visitor(app, "192.168.1.40")
    far = Far(browser, tmp_path / "far", parse_code(made.json()["join_code"]))
    assert await far.join() == 200
    listed = await machines.get("/gateways")
    assert [(one["label"], one["state"]) for one in listed.json()["items"]] == [("Trường A", "quiet")]
    assert "join_code" not in listed.text and far.code.ticket not in listed.text
    stale = await machines.delete(path, headers={"If-Match": '"old"'})
    assert stale.status_code == 412
    tag = (await machines.get(path)).headers["etag"]
    assert (await machines.delete(path, headers={"If-Match": tag})).status_code == 204
    assert ((await machines.get(path)).status_code, (await machines.delete(path)).status_code) == (404, 404)
    async with services.database.read() as connection:
        rows = await connection.execute(select(journal.c.action).where(journal.c.object_id == made.json()["id"]))
        assert [row.rpartition(".")[2] for row in rows.scalars()] == ["invited", "joined", "retired"]
    await browser.close()


async def test_a_key_for_the_list_joins_no_gateway(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """Reading sealed names begins with a code: the key has to be made for that."""
    two = await program(app, database, officers.tenant, officers.approver, now)
    refused = [await two.post("/gateways", json={"label": "x"}), await two.delete(f"/gateways/{'x' * 24}")]
    assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(403, "scope")] * 2
    too_large = await two.post("/gateways", content=b'{"label": "' + b"x" * 70_000 + b'"}', headers={"Content-Type": "application/json"})
    assert too_large.status_code == 413
    await two.aclose()


async def test_a_release_is_held_by_a_program_and_let_go_by_a_person(
    app: ASGIApp, database: Database, officers: Officers, now: datetime
) -> None:
    """Holding keeps what is enforced; going on is refused with the page where a person decides; nothing of it is changed."""
    two = await program(app, database, officers.tenant, officers.approver, now)
    values = {"steps": "[[0, 500], [4000000000, 10000]]", "started_at": now, "state": "going", "cause": "", "held_at": None}
    async with database.write() as connection:
        await connection.execute(insert(rollouts).values(id="r" * 24, tenant_id=officers.tenant, serial=7, base=6, **values))
    rule = {"is_on": True, "first_share": 40, "second_share": 30, "second_after": 20, "all_after": 60}
    wrong = await two.put("/rollout/rule", json=rule)
    assert wrong.json()["error"]["fields"] == [{"field": "second_share", "code": "stage_share"}]
    assert (await two.put("/rollout/rule", json={**rule, "second_share": 60})).status_code == 200
    assert (await two.post("/rollout/8/hold")).status_code == 404
    assert (await two.post("/rollout/7/on", json={"reason": "x"})).status_code == 404, "nothing is held"
    tag = (await two.get("/rollout")).headers["etag"]
    assert (await two.post("/rollout/7/hold", headers={"If-Match": tag})).status_code == 204
    shown = (await two.get("/rollout")).json()
    assert [(one["state"], one["cause"]) for one in shown["items"]] == [("held", "person")]
    assert shown["rule"]["second_share"] == 60
    refused = await two.post("/rollout/7/on", json={"reason": "đã hỏi các trường"})
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        {"code": "person_needed", "field": None, "page": "/office/rollout"},
    )
    assert (await two.get("/rollout")).json()["items"][0]["state"] == "held"
    assert (await two.post("/rollout/7/hold", headers={"If-Match": tag})).status_code == 412
    held = {"steps": "[[0, 500], [4000000000, 10000]]", "started_at": now, "state": "held", "held_at": now}
    async with database.write() as connection:
        for serial, cause in ((8, "before"), (9, "person"), (10, "before")):
            row = {"id": f"{serial:024}", "tenant_id": officers.tenant, "serial": serial, "base": serial - 1, "cause": cause}
            await connection.execute(insert(rollouts).values(**row, **held))
    shown = (await two.get("/rollout")).json()
    said = {one["serial"]: (one["waits_for"], one["brings_along"]) for one in shown["items"]}
    assert said == {7: (None, [8]), 8: (7, []), 9: (7, []), 10: (7, [])}
    await two.aclose()


async def test_what_waits_is_read(
    app: ASGIApp, services: Services, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """Inbox, one review, signing without a secret, receipts, proposals."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    order = (await one.post("/orders", json={"text": LETTER})).json()
    assert (await one.get("/inbox")).json()["orders"] == 1
    asked = next(item for item in order["items"] if item["verdict"] == "needs_decision")
    await one.post(f"/orders/{order['id']}/items/{asked['id']}", json={"decision": "leave"})
    await one.post(f"/orders/{order['id']}/steps", json={"step": "verify"})
    await two.post(f"/orders/{order['id']}/steps", json={"step": "approve"})
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await ask_again(connection, office, "game-doi-the.example", "mistake", "", now)
    (review,) = (await one.get("/reviews")).json()["items"]
    detail = (await one.get(f"/reviews/{review['id']}")).json()
    assert (detail["review"]["name"], detail["symbol"], detail["steps"]) == ("game-doi-the.example", "412/QĐ-SVHTTDL", [])
    third = await program(app, database, officers.tenant, officers.second, now)
    assert (await third.get(f"/reviews/{review['id']}")).json()["steps"] == ["take"], "whoever took no part"
    assert (await one.get(f"/reviews/{'x' * 24}")).status_code == 404
    inbox = (await one.get("/inbox")).json()
    assert (inbox["orders"], inbox["reviews"], inbox["looked_in_by"]) == (0, 1, [])
    await begin_signing(services, officers, now)
    signing = await one.get("/signing")
    assert [(key["account"], key["role"], key["admitted"]) for key in signing.json()["keys"]] == [(officers.approver, "approver", True)]
    assert signing.json()["begun"] and signing.json()["ends_at"] and not {"box", "passphrase", "name"} & set(signing.json()["keys"][0])
    assert [row["id"] for row in (await one.get("/receipts")).json()["items"]] == ["local"]
    assert (await one.get("/proposals")).json()["items"] == []
    for client in (one, two, third):
        await client.aclose()


async def test_no_key_reads_who_looked_into_a_place(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """An auditor reads at the page by which document an operator looked into a family; a key of the auditor's has no scope for it."""
    host = await make_person(database, now, "vanhanh", OrganisationKind.OPERATOR, Role.OPERATOR)
    await make_person(database, now, "nha", OrganisationKind.FAMILY, Role.FIRST_PARENT)
    async with database.write() as connection:
        auditor = await create_account(connection, "kiemtoan", "Kiểm toán", "x", "vi", now)
        await grant_role(connection, Act(officers.tenant, MACHINE, now), auditor, Role.AUDITOR, basis="1/QĐ")
        await break_glass(connection, Act(host.tenant, by_account(host.account, Role.OPERATOR), now), "nha", "77/QĐ-UBND", 4)
    key = await program(app, database, officers.tenant, auditor, now)
    inbox = await key.get("/inbox")
    assert (inbox.status_code, inbox.json()["looked_in_by"]) == (200, [])
    await key.aclose()


async def test_what_the_public_reads_is_read_with_a_key(
    app: ASGIApp, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """Counts and one site at a time; a masked name is answered like one that is not listed; many questions are slowed down."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    two = await program(app, database, officers.tenant, officers.approver, now)
    three = await program(app, database, officers.tenant, officers.second, now)
    for text, category in ((LETTER, "order"), ("Số: 5/CAT-PV\nhidden-name.example\n", "csam")):
        order = (await one.post("/orders", json={"text": text, "category": category, "issuer": "Công an tỉnh"})).json()
        for item in order["items"]:
            if item["verdict"] == "needs_decision":
                await one.post(f"/orders/{order['id']}/items/{item['id']}", json={"decision": "leave"})
        await one.post(f"/orders/{order['id']}/steps", json={"step": "verify"})
        await two.post(f"/orders/{order['id']}/steps", json={"step": "approve"})
        await three.post(f"/orders/{order['id']}/steps", json={"step": "second"})
    shown = await one.get("/lookup", params={"name": "https://www.game-doi-the.example/x"})
    assert (shown.json()["listed"], shown.json()["symbol"]) == (True, "412/QĐ-SVHTTDL")
    hidden, nobody = [(await one.get("/lookup", params={"name": name})).json() for name in ("hidden-name.example", "nobody.example")]
    assert {**hidden, "name": ""} == {**nobody, "name": ""} and not hidden["listed"]
    overview = await one.get("/transparency")
    assert "game-doi-the" not in overview.text and "hidden-name" not in overview.text
    assert "412/QĐ-SVHTTDL" in {row["symbol"] for row in overview.json()["documents"]}
    assert {row["code"]: row["count"] for row in (await one.get("/figures")).json()["in_force"]}["order"] is None, "fewer than five"
    assert (await one.get("/lookup", params={"name": "!!"})).json()["error"]["field"] == "name"
    codes = {(await one.get("/lookup", params={"name": "nobody.example"})).status_code for _ in range(40)}
    assert codes == {200, 429}
    for client in (one, two, three):
        await client.aclose()
