"""A name of the masked category goes the whole road; afterwards it stands in no page, answer, log line, journal row, metric or export."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.permissions import Scope
from admin.sessions import create_token
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.tables import AccountId
from gateway.release import read_manifest
from tests.admin.test_app import routes_of
from tests.support.office import OfficeGateway, Officers, officer
from tests.support.visitor import Visitor

NAME = "trang-cam-tuyet-doi.example"
OURS = ("admin", "blocklists", "gateway", "lachan", "uvicorn")
MARK = "trang-cam-tuyet-doi"
LETTER = f"""SỞ VĂN HÓA, THỂ THAO VÀ DU LỊCH
Số: 7/QĐ-SVHTTDL
Lai Châu, ngày 05 tháng 10 năm 2026
đề nghị ngăn chặn đến hết ngày 31 tháng 12 năm 2026:
1. hxxps://{NAME}
2. https://trang-nho-khac.example/bai-xau
"""


async def publish(one: Visitor, two: Visitor) -> str:
    """The whole road of the document, by two people; its path."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "csam"})
    # The letter was pasted by the person who reads this answer; the page itself does not print the name.
    assert MARK not in one.text
    await one.submit("/office/orders")
    path = one.response.url.path
    form = next(form for form in one.forms if ("decision", "leave") in form.buttons)
    await one.submit(form.action, {"reason": f"như {NAME}"}, ("decision", "leave"))
    assert MARK not in one.text
    await one.submit(form.action, {"reason": "một trang nhỏ"}, ("decision", "leave"))
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    return path


async def test_a_masked_name_is_nowhere(
    app: ASGIApp, services: Services, settings: AdminSettings, database: Database, officers: Officers, office_gateway: OfficeGateway,
    now: datetime, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Listed and enforced, it is found by no eye that has no duty to see it."""
    caplog.set_level(logging.DEBUG)
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    path = await publish(one, two)
    assert office_gateway.enforced() == {"example.trang-cam-tuyet-doi."}
    async with database.write() as connection:
        ids = {
            kind: (await connection.execute(text(f"SELECT id FROM takedown_{table}"))).scalars().all()
            for kind, table in (("entry_id", "entries"), ("order_id", "orders"))
        }
        account = AccountId(officers.approver)
        scopes = frozenset({Scope.READ, Scope.LIST})
        _, secret = await create_token(connection, officers.tenant, account, "x", scopes, now, now + timedelta(days=1))
    program, stranger = Visitor(app, "192.168.1.50"), Visitor(app, "192.168.1.51")
    program.http.headers["Authorization"] = f"Bearer {secret}"
    seen = 0
    for route in routes_of(app):
        if "GET" not in (route.methods or ()):
            continue
        address = route.path.replace("{entry_id}", ids["entry_id"][0]).replace("{order_id}", ids["order_id"][0])
        address = address.replace("{serial}", "1").replace("{kind}", "order").replace("{case_id}", ids["order_id"][0])
        if "{" in address:
            continue
        for browser in (one, two, stranger):
            answer = await browser.http.get(address, follow_redirects=True)
            assert MARK not in answer.text, address
            seen += answer.status_code == 200
        answer = await program.http.get(f"/api/v1{address}")
        assert MARK not in answer.text, address
    assert seen > 60
    for query in (f"/office/entries?q={NAME}", "/office/entries?q=cam", "/office/entries?q=7/Q", "/office/cases"):
        assert MARK not in (await two.http.get(query)).text.replace(f'value="{NAME}"', "")
    # The public look-up repeats what was typed and says nothing that it does not say of a name that is not listed.
    listed = (await stranger.http.get(f"/transparency/lookup?name={NAME}")).text
    other = (await stranger.http.get("/transparency/lookup?name=khong-co-trong.example")).text
    assert listed.replace(NAME, "X") == other.replace("khong-co-trong.example", "X")
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM journal"))).mappings().all()
        holding = {
            table
            for (table,) in (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))).all()
            if MARK in json.dumps([str(row) for row in (await connection.execute(text(f"SELECT * FROM {table}"))).all()])
        }
    assert rows
    assert not any(MARK in str(dict(row)) for row in rows)
    ours = [record.getMessage() + str(vars(record)) for record in caplog.records if record.name.startswith(OURS)]
    assert not [line for line in ours if MARK in line]
    assert MARK not in json.dumps(read_manifest(settings.state_dir).to_json(), default=str)
    # It stands where it is worked with, and nowhere else: the row of the document and the entry.
    assert holding == {"takedown_items", "takedown_entries"}
    assert path.startswith("/office/orders/")
    for browser in (one, two, program, stranger):
        await browser.close()
