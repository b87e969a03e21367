"""A name of the masked category goes the whole road; afterwards it stands in no page, answer, log line, journal row, metric or export."""

from __future__ import annotations

import json
import logging
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.types import ASGIApp

from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.office import open_office
from admin.officefeed import ListFeed, Outlet
from admin.officereads import find_entries
from admin.permissions import Scope
from admin.sessions import create_token
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.policyzone import PolicyZone
from blocklists.tables import AccountId
from blocklists.takedown import store
from blocklists.takedown.masking import names_key, reveal
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.store import Office
from blocklists.xfr import Feed, TransferServer
from gateway.policy.masked import is_masked, mask
from gateway.release import read_manifest
from tests.admin.conftest import make_services
from tests.admin.test_app import routes_of
from tests.admin.test_officeduty import approve
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
    shown = []
    for action in [form.action for form in one.forms if form.action.endswith("/open")]:
        await one.submit(action)
        shown.append(one.text)
    assert [NAME in page for page in shown].count(True) == 1, "the assigned verifier reads each name in one answer of its own"
    await one.submit(f"{path}/verify")
    assert MARK not in one.text
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    return path


def files_below(*folders: Path) -> list[Path]:
    """Every file on the disk."""
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


async def office_of(database: Database, officers: Officers) -> Office:
    """The office of the officers."""
    async with database.read() as connection:
        return await open_office(connection, officers.tenant)


async def test_names_of_an_older_database_are_masked(
    services: Services, settings: AdminSettings, database: Database, officers: Officers, office_gateway: OfficeGateway, now: datetime,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A database or a backup from before masks: at the first turn the names are masked, go on being enforced, and can be lifted."""
    await approve(services, officers, NAME)
    await services.office.duty.settle()
    async with database.write() as connection:
        for table in ("orders", "entries"):
            await connection.execute(text(f"UPDATE takedown_{table} SET category = 'csam'"))
    await back_up(database, tmp_path, tmp_path / "old.zip", now)
    duty = make_services(settings, database, lambda: now.timestamp(), services.pages).office.duty
    await duty.settle()
    assert office_gateway.enforced() == {mask("example.trang-cam-tuyet-doi.")}
    async with database.read() as connection:
        rows = [str(row) for table in ("items", "entries") for row in await connection.execute(text(f"SELECT * FROM takedown_{table}"))]
        (item,) = (await connection.execute(text("SELECT as_written FROM takedown_items"))).scalars()
    assert rows and MARK not in "".join(rows)
    assert reveal(item, names_key(settings.state_dir)) == NAME
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        (entry,) = await find_entries(connection, office, "", "in_force")
        actor = Actor(officers.approver, Capacity.APPROVER)
        await store.move_entry(connection, office, entry["id"], "lift", actor, now, "nhầm")
    await duty.settle()
    assert office_gateway.enforced() == set()
    await restore(database, settings.state_dir, tmp_path / "old.zip", now)
    async with database.read() as connection:
        (host,) = (await connection.execute(text("SELECT host FROM takedown_entries"))).scalars()
    assert is_masked(host)


async def test_a_masked_name_is_nowhere(
    app: ASGIApp, services: Services, settings: AdminSettings, database: Database, officers: Officers, office_gateway: OfficeGateway,
    now: datetime, caplog: pytest.LogCaptureFixture, tmp_path: Path,
) -> None:  # fmt: skip
    """Listed and enforced, it is found by no eye that has no duty to see it."""
    caplog.set_level(logging.DEBUG)
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    path = await publish(one, two)
    assert office_gateway.enforced() == {mask("example.trang-cam-tuyet-doi.")}
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
    assert holding == set(), "it stands in no row either"
    # What lies on the disk, what gateways and other servers fetch, and a backup: without the key of names none of them tells it.
    await back_up(database, tmp_path, tmp_path / "copy.zip", now)
    with zipfile.ZipFile(tmp_path / "copy.zip") as archive:
        assert MARK.encode() not in archive.read("lachan.db")
        (tmp_path / "from-backup.db").write_bytes(archive.read("lachan.db"))
    zone = PolicyZone("rpz.lachan.example")
    feed = ListFeed(TransferServer(Feed(zones={zone.origin: zone})), [Outlet(zone)])
    await feed.follow(database, await office_of(database, officers), now)
    assert (zone.serial, len(zone)) == (1000, 0), "whoever transfers a zone reads its names, so this one is not in it"
    files = files_below(tmp_path, settings.state_dir)
    assert any(one.parent.name == "files" for one in files)
    assert [one.name for one in files if MARK.encode() in one.read_bytes()] == []
    assert path.startswith("/office/orders/")
    for browser in (one, two, program, stranger):
        await browser.close()
