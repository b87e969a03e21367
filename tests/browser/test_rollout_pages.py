"""Chromium at what an office sees of stages, of gateways elsewhere and of keys: phone and desk, both languages, light and dark; axe."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser
from sqlalchemy import insert, select

from admin.audit import Act, by_account
from admin.office import open_office
from admin.officedirectives import officers as listed
from admin.officeendings import end_officer
from admin.officetables import gateways, rollouts
from blocklists.online import place_of
from blocklists.receipts import public_of
from blocklists.tables import Role, new_id
from blocklists.takedown import tables
from tests.browser.conftest import DESK, PHONE, Place
from tests.browser.test_joining_pages import Looker
from tests.support.office import make_officers
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full
NAMES = (
    "Trường Tiểu học Sùng Phài",
    "Trường THCS Tân Phong",
    "Xã Bản Bo",
    "Trường Mầm non Hoa Ban",
    "Trường THPT Than Uyên",
    "Xã Mường So",
)


async def fill(place: Place) -> None:
    """An office with a key, versions in stages of which one is held, gateways in every state, and a role that somebody wants ended."""
    database, now = place.services.database, place.now
    people = await make_officers(database, now)
    act = Act(people.tenant, by_account(people.approver, Role.APPROVER), now)
    async with database.read() as connection:
        office = await open_office(connection, people.tenant)
        last = (await listed(connection, people.tenant, now))[-1]["id"]
    await place.services.office.signing.make_key(office, act, people.approver, "mây tím cưỡi trâu")
    await end_officer(database, act, place.settings.state_dir, last, "31/QĐ-SVHTTDL")
    start = int(now.timestamp()) - 1800
    steps = json.dumps([[start, 3500], [start + 1200, 6000], [start + 3000, 10_000]])
    async with database.write() as connection:
        for serial in range(1, 5):
            await connection.execute(
                insert(tables.versions).values(
                    serial=serial, tenant_id=people.tenant, created_at=now - timedelta(minutes=30 * (5 - serial)), entries=40, added=1,
                    removed=0, segment="-", is_base=0, chain="", digest="0" * 64, previous_digest="", journal_seq=0, applied_at=now,
                )
            )  # fmt: skip
        states = {1: ("passed", ""), 2: ("done", ""), 3: ("held", "against"), 4: ("held", "before")}
        for serial, (state, cause) in states.items():
            values = {"base": serial - 1, "steps": steps, "started_at": now - timedelta(minutes=30), "state": state, "cause": cause}
            held = {"held_at": now - timedelta(minutes=20) if state == "held" else None}
            await connection.execute(insert(rollouts).values(id=new_id(), tenant_id=people.tenant, serial=serial, **values, **held))
        for number, name in enumerate(NAMES):
            identity = f"gateway-{number}"
            is_first = place_of(identity, 3) < 3500
            said = {"serial": 2, "fault": ("disk", "key")[number % 2]} if is_first else {"serial": 2 if number % 2 else 1}
            await connection.execute(
                insert(gateways).values(
                    id=identity, tenant_id=people.tenant, label=name, ticket_hash=identity.encode().ljust(32), ticket_ends_at=now,
                    created_by=people.approver, created_at=now, joined_at=now, public=public_of(Ed25519PrivateKey.generate()),
                    seen_at=now - timedelta(minutes=3), in_force_at=now - timedelta(hours=2), version="0.1.0", counter=1,
                    **({"fault": ""} | said),
                )
            )  # fmt: skip
        assert (await connection.execute(select(rollouts.c.id).where(rollouts.c.tenant_id == people.tenant))).all()


@pytest.mark.parametrize(("size", "language"), [("phone", "vi"), ("desk", "en")])
def test_stages_gateways_and_keys_are_looked_at(chromium: Browser, place: Place, size: str, language: str) -> None:
    """A version that is held says why, what stays and who decides; every page fits and axe finds nothing."""
    place.run(lambda: fill(place))
    viewport: Any = PHONE if size == "phone" else DESK
    context = chromium.new_context(viewport=viewport, locale="vi-VN" if language == "vi" else "en-GB", bypass_csp=True)
    desk = Looker(context.new_page(), size, language)
    page = desk.page
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", "approver")
    page.fill("#password", PASSWORD)
    with page.expect_navigation():
        page.click("main form button")
    if language == "en":
        with page.expect_navigation():
            page.click("footer button[value=en]")
    for path in ("rollout", "gateways", "signing", "more"):
        page.goto(f"{place.address}/office/{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        desk.look(f"office-{path}")
        if path == "rollout":
            words = ("Tự dừng lúc", "báo trục trặc") if language == "vi" else ("Held back by itself", "report trouble")
            assert all(each in page.inner_text("main") for each in words)
    context.close()
    assert desk.found == {}
