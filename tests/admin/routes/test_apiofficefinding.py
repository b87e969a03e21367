"""Finding for programs: lists are brought in, searches tell how far they are; nothing is blocked."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from blocklists.takedown import candidates
from tests.admin.routes.test_apioffice import gateway, program
from tests.support.office import LETTER, OfficeGateway, Officers, stored_password

__all__ = ["gateway"]


async def test_a_list_of_others_becomes_candidates(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """Its names wait with their source; brought again they add nothing; what is protected, a person's name and a huge list are refused."""
    one = await program(app, database, officers.tenant, officers.verifier, now)
    wanted = {"source": "Danh sách A", "category": "gamb", "text": "ca-do-1.example\nhttps://ca-do-2.example/\nfacebook.com"}
    first, again = [await one.post("/lists", json=wanted) for _ in range(2)]
    both = {"names": 3, "left": 0, "guarded": 1}
    assert (first.json(), again.json()) == (both | {"added": 2, "known": 0}, both | {"added": 0, "known": 2})
    waiting = (await one.get("/candidates")).json()["items"]
    assert [(row["name"], row["source"]) for row in waiting] == [("ca-do-1.example", "Danh sách A"), ("ca-do-2.example", "Danh sách A")]
    assert (await one.post("/lists", json={**wanted, "text": "không có gì"})).json()["error"]["fields"] == [
        {"field": "text", "code": "no_address"}
    ]
    assert (await one.post("/lists", json={**wanted, "source": "gọi 0912345678"})).json()["error"]["code"] == "personal_data"
    assert (await one.post("/lists", json={**wanted, "category": "csam"})).status_code == 422
    assert (await one.post("/lists", json={**wanted, "text": "x" * 1_000_001})).status_code == 422
    huge = json.dumps({**wanted, "text": "x" * 5_000_000})
    assert (await one.post("/lists", content=huge, headers={"Content-Type": "application/json"})).status_code == 413
    assert (await one.get("/entries")).json()["items"] == []
    await one.aclose()


async def test_what_did_not_fit_is_counted_and_taken_the_next_time(
    app: ASGIApp, database: Database, officers: Officers, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More names than the queue takes at once: the answer says how many are left, and the same list brings them."""
    monkeypatch.setattr(candidates, "MOST_AT_ONCE", 2)
    one = await program(app, database, officers.tenant, officers.verifier, now)
    wanted = {"source": "Danh sách A", "category": "gamb", "text": "\n".join(f"ca-do-{n}.example" for n in range(5))}
    told = [(await one.post("/lists", json=wanted)).json() for _ in range(3)]
    assert [(each["added"], each["left"]) for each in told] == [(2, 3), (2, 1), (1, 0)]
    await one.aclose()


async def test_a_search_is_begun_and_followed(
    app: ASGIApp, services: Services, database: Database, officers: Officers, gateway: OfficeGateway, now: datetime
) -> None:
    """202 with an address that tells how far it is; names reported twice come out; another office sees nothing of it."""
    stored = await stored_password()
    async with database.write() as connection:
        other = await create_organisation(connection, OrganisationKind.OFFICE, "Đơn vị khác", "vi", now)
        account = await create_account(connection, "other", "Cán bộ khác", stored, "vi", now)
        await grant_role(connection, Act(other, MACHINE, now), account, Role.VERIFIER)
    one = await program(app, database, officers.tenant, officers.verifier, now)
    stranger = await program(app, database, other, account, now)
    await one.post("/orders", json={"text": LETTER})
    begun = await one.post("/scans")
    assert begun.status_code == 202, begun.text
    scan = services.office.finder.of(officers.tenant, now)[0]
    assert scan.task is not None
    await scan.task
    said = (await one.get(f"/scans/{begun.json()['id']}")).json()
    assert (said["state"], said["added"]) == ("done", 0)
    assert [row["id"] for row in (await one.get("/scans")).json()["items"]] == [scan.id]
    assert (await stranger.get(f"/scans/{scan.id}")).status_code == 404
    assert (await stranger.get("/scans")).json()["items"] == []
    for client in (one, stranger):
        await client.aclose()
