"""Making a list office: two officers by a document, each with a link of their own; later ones by two officers."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from sqlalchemy import select
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.officedirectives import officers as listed
from admin.settings import AdminSettings
from admin.setup import ensure_token, read_token
from blocklists.database import Database
from blocklists.tables import journal
from tests.admin.conftest import Clock
from tests.support.office import make_officers, officer
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def make_office(visitor: Visitor, settings: AdminSettings) -> list[str]:
    """Take the set-up link and make the office; the paths of the two links."""
    token = ensure_token(settings.state_dir)
    await visitor.get(f"/setup/{token}")
    await visitor.get("/setup-office")
    await visitor.submit("/setup-office", {"name": "Sở Văn hóa", "basis": "15/QĐ-SVHTTDL"})
    return re.findall(r"/join/[\w-]+", visitor.response.text)


async def come(app: ASGIApp, link: str, sign_in: str) -> Visitor:
    """An officer opens their link and makes their account."""
    browser = Visitor(app, "192.168.1.40")
    await browser.get(link)
    fields = {"name": f"Cán bộ {sign_in}", "sign_in": sign_in, "password": PASSWORD, "again": PASSWORD}
    await browser.submit("/join", fields)
    assert "Tài khoản đã tạo xong. Hãy đăng nhập bằng tên và mật khẩu vừa chọn." in browser.text
    return browser


async def test_two_officers_come_by_their_links(app: ASGIApp, visitor: Visitor, settings: AdminSettings) -> None:
    """There is no default password: each officer opens a link once and chooses their own; then the set-up link is closed."""
    links = await make_office(visitor, settings)
    assert len(links) == 2
    assert "mỗi người bật bước thứ hai" in visitor.text
    for link, name in zip(links, ("mot", "hai"), strict=True):
        browser = await come(app, link, name)
        await browser.sign_in(name, PASSWORD)
        await browser.get("/office")
        assert browser.response.status_code == 200
        await browser.close()
    assert read_token(settings.state_dir) is None
    again = Visitor(app)
    assert (await again.get(links[0])).status_code == 404
    await again.close()


async def test_a_lost_link_is_replaced_and_the_old_one_dies(app: ASGIApp, visitor: Visitor, settings: AdminSettings) -> None:
    """Whoever holds the set-up link can make new links until both officers have come."""
    old = await make_office(visitor, settings)
    await visitor.get("/setup-office")
    await visitor.submit("/setup-office", button=("renew", "1"))
    fresh = re.findall(r"/join/[\w-]+", visitor.response.text)
    assert len(fresh) == 2
    assert not set(fresh) & set(old)
    stranger = Visitor(app)
    assert (await stranger.get(old[0])).status_code == 404
    assert (await stranger.get(fresh[0])).status_code == 200
    await stranger.close()


async def test_links_end_after_seven_days(app: ASGIApp, visitor: Visitor, settings: AdminSettings, clock: Clock) -> None:
    """A link that lay in a drawer opens nothing."""
    links = await make_office(visitor, settings)
    clock.forward(days=8)
    assert (await visitor.get(links[0])).status_code == 404


async def test_no_password_is_worked_on_without_a_link(visitor: Visitor, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no link cannot keep the machine busy with hashing."""
    worked: list[str] = []

    async def work(password: str) -> str:
        worked.append(password)
        return "-"

    monkeypatch.setattr(services.door.passwords, "hash", work)
    fields = {"name": "Ai đó", "sign_in": "aido", "password": PASSWORD, "again": PASSWORD}
    assert (await visitor.post("/join", fields)).status_code == 404
    assert worked == []


async def test_set_up_needs_the_one_time_link(visitor: Visitor) -> None:
    """A stranger cannot make an office."""
    assert (await visitor.get("/setup-office")).status_code == 404


async def test_a_further_officer_needs_two_officers(app: ASGIApp, database: Database, now: datetime) -> None:
    """One officer proposes, another agrees; whoever proposed cannot make the link alone."""
    await make_officers(database, now)
    one, two = await officer(app, "verifier"), await officer(app, "approver")
    await one.get("/office/more")
    await one.submit("/office/officers", {"role": "approver", "basis": "20/QĐ-SVHTTDL"})
    assert not [form for form in one.forms if form.action.startswith("/office/officers/")]
    await two.get("/office/more")
    action = next(form.action for form in two.forms if form.action.startswith("/office/officers/"))
    token = dict(one.forms[0].fields)["_form"]
    assert (await one.post(action, {"_form": token})).status_code == 409
    await two.submit(action)
    (link,) = re.findall(r"/join/[\w-]+", two.response.text)
    new = await come(app, link, "moi")
    await new.sign_in("moi", PASSWORD)
    await new.get("/office")
    assert new.response.status_code == 200
    for browser in (one, two, new):
        await browser.close()


async def test_a_role_ends_by_a_document_and_two_officers(app: ASGIApp, database: Database, now: datetime) -> None:
    """One asks, another one agrees; the person is out at once; the journal names both and the document; the last two never end."""
    officers = await make_officers(database, now)
    one, two, three = await officer(app, "verifier"), await officer(app, "approver"), await officer(app, "second")
    async with database.read() as connection:
        held = {row["account_id"]: row["id"] for row in await listed(connection, officers.tenant, now)}
    path, of = "/office/roles/end", {"assignment": held[officers.second]}
    await one.get("/office/more")
    assert (await one.submit(path, of | {"basis": "  "})).status_code == 422
    await one.get("/office/more")
    await one.submit(path, of | {"basis": "31/QĐ-SVHTTDL"})
    assert "chấm dứt khi một cán bộ khác đồng ý" in one.text
    token = dict(one.forms[0].fields)["_form"]
    await one.post(path, {"_form": token, "basis": "32/QĐ-SVHTTDL", **of})
    assert (await three.get("/office")).status_code == 200, "one officer alone ends nothing, also by asking twice"
    await two.get("/office/more")
    assert "Cán bộ verifier" in two.text and "32/QĐ-SVHTTDL" in two.text
    assert ("assignment", held[officers.second]) in next(form for form in two.forms if form.action == path).fields
    await two.submit(path)
    assert "Cán bộ second" not in two.text
    assert (await three.get("/office")).status_code in (403, 404)
    async with database.read() as connection:
        rows = (await connection.execute(select(journal.c.action, journal.c.actor_id, journal.c.basis).order_by(journal.c.seq))).all()
    assert [tuple(row) for row in rows if row.action.startswith("role.end")] == [
        ("role.end_asked", officers.verifier, "31/QĐ-SVHTTDL"),
        ("role.end_asked", officers.verifier, "32/QĐ-SVHTTDL"),
        ("role.ended", officers.approver, "32/QĐ-SVHTTDL"),
    ]
    for last in (officers.verifier, officers.approver):
        await one.get("/office/more")
        await one.submit(path, {"assignment": held[last], "basis": "33/QĐ-SVHTTDL"})
        assert one.response.status_code == 409 and "luôn cần một người xác minh và một người phê duyệt" in one.text
    for browser in (one, two, three):
        await browser.close()
