"""Seed 003, three agencies that sign a coordination regulation: notes by agency, no content of an investigation, no child, observers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import inspect, select, text
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.office import open_office
from admin.officepublic import report
from admin.permissions import Scope
from admin.routes.api import create_api
from admin.sessions import create_token
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.tables import Role, metadata
from blocklists.takedown import tables
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.model import Actor, Capacity
from tests.admin.test_app import routes_of
from tests.support.office import Officers, officer, stored_password
from tests.support.visitor import ORIGIN, Visitor

BODIES = ("Công an tỉnh", "Sở Y tế", "Sở Văn hóa")


@pytest.fixture
async def bodies(services: Services, officers: Officers, now: datetime) -> dict[str, str]:
    """Three bodies as equals: two speak through liaisons, the third is the office; an auditor and an observer watch."""
    ids: dict[str, str] = {}
    hashed = await stored_password()
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        actor = Actor(officers.approver, Capacity.APPROVER)
        for name in BODIES:
            ids[name] = await add_agency(connection, office, actor, NewAgency(name), now)
        act = Act(officers.tenant, MACHINE, now)
        people = (("police", Role.POLICE_LIAISON, ids["Công an tỉnh"]), ("child", Role.CHILD_LIAISON, ids["Sở Y tế"]))
        for sign_in, role, agency in (*people, ("auditor", Role.AUDITOR, None), ("observer", Role.OBSERVER, None)):
            account = await create_account(connection, sign_in, f"Người {sign_in}", hashed, "vi", now)
            ids[sign_in] = account
            until = now + timedelta(days=90)
            await grant_role(connection, act, account, role, until=until, basis="02/QCPH", agency=agency)
    return ids


@pytest.fixture
async def case(services: Services, officers: Officers, now: datetime) -> str:
    """A report that waits."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await report(connection, office, "one.example", "groom", "public", "", now)
        found = await connection.execute(select(tables.reports.c.id).where(tables.reports.c.tenant_id == office.tenant))
        return str(found.scalar_one())


@pytest.fixture
async def police(app: ASGIApp, bodies: dict[str, str]) -> AsyncIterator[Visitor]:
    browser = await officer(app, "police", "192.168.1.41")
    yield browser
    await browser.close()


async def note(browser: Visitor, case: str, words: str) -> None:
    path = f"/office/cases/report/{case}"
    await browser.get(path)
    await browser.submit(path, {"text": words})


async def test_an_agency_cannot_read_the_notes_of_another(app: ASGIApp, police: Visitor, case: str) -> None:
    """Each reads its own notes, also the office itself; all see state and deadline."""
    child, verifier = await officer(app, "child", "192.168.1.42"), await officer(app, "verifier", "192.168.1.43")
    told = {"police": "đã gọi điện cho nhà mạng", "child": "hẹn họp tổ công tác", "office": "chờ văn bản của bộ"}
    for browser, words in zip((police, child, verifier), told.values(), strict=True):
        await note(browser, case, words)
    for browser, own in zip((police, child, verifier), told.values(), strict=True):
        await browser.get(f"/office/cases/report/{case}")
        assert [words for words in told.values() if words in browser.text] == [own]
        assert "đã tiếp nhận" in browser.text
        assert "còn " in browser.text
    await child.close()
    await verifier.close()


async def test_no_agency_is_administrator_of_another(app: ASGIApp, police: Visitor, case: str, officers: Officers) -> None:
    """A liaison has no door to the list, the people or the versions of the office; its role ends with the assignment."""
    closed = ("/office", "/office/more", "/office/entries", "/office/releases", "/office/agencies", "/journal", f"/office/reports/{case}")
    for path in closed:
        assert (await police.get(path)).status_code == 403, path
    assert (await police.get("/office/cases")).status_code == 200


async def test_a_note_that_looks_like_a_child_is_not_saved_until_edited(police: Visitor, case: str) -> None:
    """A phone number, an identity number or "lớp 7A" is named on the page, the words stay in the field, nothing is stored."""
    for words, found in (("gọi 0912 345 678", "số điện thoại"), ("CCCD 012345678901", "số giấy tờ"), ("cháu lớp 7A", "lớp học")):
        await note(police, case, words)
        assert police.response.status_code == 409
        assert f"có {found}: hãy bỏ đi rồi lưu lại" in police.text
        form = next(form for form in police.forms if form.action.startswith("/office/cases"))
        assert dict(form.fields)["text"] == words
    await note(police, case, "đã trao đổi với nhà trường")
    assert police.response.status_code == 200


async def test_an_observer_sees_numbers_and_no_case(
    app: ASGIApp, services: Services, officers: Officers, bodies: dict[str, str], case: str, now: datetime
) -> None:
    """Counts below five are not told; every route of a case answers 403, on pages and with a token."""
    browser = await officer(app, "observer", "192.168.1.44")
    await browser.get("/")
    assert browser.response.url.path == "/office/figures"
    assert "dưới 5" in browser.text
    assert "one.example" not in browser.text
    cases = [f"/office/cases/report/{case}", "/office/cases", "/office", f"/office/reports/{case}", "/office/entries", "/journal"]
    assert [(await browser.get(path)).status_code for path in cases] == [403] * len(cases)
    await browser.close()
    async with services.database.write() as connection:
        ends = now + timedelta(days=1)
        account = bodies["observer"]
        _, secret = await create_token(connection, officers.tenant, account, "x", frozenset({Scope.READ}), now, ends)  # type: ignore[arg-type]
    program = Visitor(app)
    program.http.headers["Authorization"] = f"Bearer {secret}"
    paths = ("orders", f"orders/{case}", "entries", "reviews", "versions", "reports", f"reports/{case}", "cases", "candidates", "bulletins")
    for path in paths:
        assert (await program.http.get(f"/api/v1/office/{path}")).status_code == 403, path
    await program.close()


async def test_no_field_of_the_api_holds_the_content_of_an_investigation(services: Services) -> None:
    """Every text that the API of the office takes has a bound, letters and lists apart, which are read and dropped; none takes a file."""
    schemas = create_api(services).openapi()
    taken = {
        name
        for path, methods in schemas["paths"].items()
        if path.startswith("/office")
        for method in methods.values()
        for kind, body in method.get("requestBody", {}).get("content", {}).items()
        for name in [body["schema"].get("$ref", "").rpartition("/")[2]]
        if kind == "application/json" or pytest.fail(f"{path} takes {kind}")
    }
    assert taken
    for name in taken:
        for field, schema in schemas["components"]["schemas"][name]["properties"].items():
            for part in schema.get("anyOf", [schema]):
                if part.get("type") == "string" and "format" not in part and "enum" not in part and "const" not in part:
                    longest = part.get("maxLength", 10**9)
                    assert longest <= 2000 or (name, field) in (("OrderIn", "text"), ("ListIn", "text")), (name, field)


async def test_every_form_fails_closed_for_length_and_attachments(
    app: ASGIApp, services: Services, database: Database, officers: Officers, case: str
) -> None:
    """Every form of the office is sent very long texts and a picture: nothing longer than a few lines, and nothing of the picture, is
    in the database afterwards."""
    browser = await officer(app, "approver", "192.168.1.45")
    await browser.get("/office/more")
    token = dict(browser.forms[0].fields)["_form"]
    marker = "dieutra"
    content = f"{marker} " * 20_000
    fields = (
        "text", "reason", "note", "symbol", "title", "lead", "focal_point", "subject", "capacity", "issuer", "appeal", "basis", "name",
        "short", "referred_to", "sent_to", "host", "place", "role", "step", "category", "kind", "decision", "hours", "how",
    )  # fmt: skip
    tried = 0
    for route in routes_of(app):
        if "POST" not in (route.methods or ()) or not route.path.startswith(("/office", "/report")):
            continue
        path = route.path.replace("{kind}", "report").replace("{serial}", "1").replace("{case_id}", case).replace("{report_id}", case)
        path = path.replace("{", "").replace("}", "")
        for files in (None, {"file": ("anh.png", f"\x89PNG {marker}".encode(), "image/png")}):
            sent = dict.fromkeys(fields, content) | {"_form": token}
            answer = await browser.http.post(path, data=sent, files=files, headers={"Origin": ORIGIN})
            assert answer.status_code < 500, (path, answer.status_code)
            if files and route.path != "/office/orders/read":
                assert answer.status_code >= 400, path
            tried += 1
    await browser.close()
    assert tried >= 40
    async with database.read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        for name in names:
            if name.startswith("takedown_"):
                for row in (await connection.execute(text(f"SELECT * FROM {name}"))).mappings():
                    stored = json.dumps([str(value) for value in row.values()])
                    assert "PNG" not in stored
                    assert stored.count(marker) < 300, name
    assert {"takedown_notes", "takedown_reports"} <= set(metadata.tables)
