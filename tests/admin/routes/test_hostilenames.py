"""Hostile names, everywhere at once: whatever a person can name is markup, and every page shows it as text.

And the journal of all of it holds none of these words.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import select, update

from admin.app import create_app, create_page_app
from admin.audit import Act, by_account
from admin.dates import add_dates
from admin.dependencies import Services
from admin.devices import assign_device, list_devices, move_device, read_match
from admin.forms import Form
from admin.hosting import make_join_code
from admin.names import add_name
from admin.passwords import Passwords
from admin.permissions import Scope
from admin.profiles import change_profile, list_profiles
from admin.requests import Asked, ask
from admin.sessions import create_token
from admin.setup import NewChild, Owner, Plan, make_tenant
from admin.tenants import create_account, grant_role
from admin.values import DatesKind, NameEffect, RequestReason
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, Role, journal, organisations
from gateway.policy.model import Band
from tests.admin.test_app import routes_of
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import WORDS, Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

#: Forty letters at most, as a nickname may have: ends an attribute, ends an element, begins one that runs; a template's braces; a formula.
HOSTILE = "=zq1\"'></title><svg onload=x>{{7*7}}%s"
TAG = re.compile(r"<svg onload|zq1\"|zq1&#34;'|</title><svg|zq1[^<]*49", re.IGNORECASE)
HOST = "zq1.example"


def clean(text: str) -> str:
    """What the form of a page makes of it before it is stored: nothing is taken away that could be seen."""
    return Form({"label": [text]}).text("label", 60)


async def plant(services: Services, family: Family, act: Act, gateway: ScriptedGateway) -> str:
    """Every name of the family; the code of the child's request."""
    now = act.now
    async with services.database.write() as connection:
        here = organisations.c.id == family.tenant
        await connection.execute(update(organisations).where(here).values(name=HOSTILE))
        for profile in await list_profiles(connection, family.tenant):
            await change_profile(connection, act, profile, replace(profile, label=HOSTILE))
        for device in await list_devices(connection, family.tenant):
            await move_device(connection, act, device, device.profile_id, HOSTILE)
        await add_name(connection, act, family.bi.id, NameEffect.DENY, HOST)
        await add_dates(connection, act, DatesKind.EXAM, HOSTILE, date(2026, 11, 2), date(2026, 11, 3))
        await create_token(connection, family.tenant, family.account, HOSTILE, frozenset({Scope.READ}), now, now + timedelta(days=9))
        other = await create_account(connection, "ba-zq1", HOSTILE, "x", "vi", now)
        await grant_role(connection, act, other, Role.PARENT)
        asked = Asked(family.bi.id, f"ask.{HOST}", RequestReason.OTHER, HOSTILE, family.bi.band)
        code = (await ask(connection, family.tenant, asked, now)).code
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant, name=HOSTILE)
    gateway.see("192.168.1.66", now, mac="3c:22:fb:00:00:66", tenant=family.tenant, name=HOSTILE)
    gateway.block("192.168.1.31", f"block.{HOST}", "game", now)
    return code


async def school(services: Services, now: datetime) -> OrganisationId:
    """A school whose class, teacher's laptop, sheet and name are as hostile."""
    owner = Owner("truong", await Passwords().hash(PASSWORD), "vi")
    children = (NewChild(HOSTILE, Band.TH),)
    plan = Plan(OrganisationKind.SCHOOL, owner, children, (), ("192.168.2.0/24",), messenger=False, words=replace(WORDS, tenant=HOSTILE))
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        act = Act(made.tenant, by_account(made.account, Role.SCHOOL_ADMIN), now)
        await make_join_code(connection, act, HOSTILE, 9)
        (adults,) = [one for one in await list_profiles(connection, made.tenant) if one.band is Band.NL]
        match = read_match("192.168.2.9")
        assert match is not None
        await assign_device(connection, act, adults.id, HOSTILE, (match,))
    await services.applier.settle(made.tenant)
    return made.tenant


async def walk(browser: Visitor, app: object, ids: dict[str, str], more: tuple[str, ...] = ()) -> dict[str, str]:
    """Every page this browser may open, by its path."""
    found = {}
    paths = [
        re.sub(r"{(\w+)(:\w+)?}", lambda one: ids.get(one[1], "-"), route.path)
        for route in routes_of(app)
        if "GET" in (route.methods or ())
    ]
    for path in sorted({*paths, *more}):
        if path.startswith(("/static", "/backup", "/manifest", "/setup")):
            continue
        response = await browser.get(path)
        assert response.status_code < 500, path
        if "html" in response.headers.get("content-type", ""):
            found[path] = response.text
    return found


async def test_whatever_people_name_is_text_on_every_page(services: Services, family: Family, act: Act, gateway: ScriptedGateway) -> None:
    """A parent's, a school's and a child's pages: nothing of a name becomes markup, a template or a way out of an attribute."""
    assert clean(HOSTILE) == HOSTILE  # the form itself lets it through: nothing relies on it
    code = await plant(services, family, act, gateway)
    await school(services, act.now)
    app, page_app = create_app(services), create_page_app(services)
    parent, head = Visitor(app), Visitor(app, address="192.168.2.10")
    bi = Visitor(page_app, address="192.168.1.31", origin="http://lachan.internal")
    await parent.sign_in("me", PASSWORD)
    await head.sign_in("truong", PASSWORD)
    ids = {"profile": family.bi.id, "device": family.bi_phone, "code": code, "topic": "scam", "name": "phu-huynh", "box": "viettel"}
    async with services.database.read() as connection:
        tenants = (await connection.execute(select(organisations.c.id, organisations.c.kind))).all()
        (place,) = [one.id for one in tenants if one.kind == OrganisationKind.SCHOOL]
        classes = [one.id for one in await list_profiles(connection, OrganisationId(place))]
    pages = await walk(parent, app, ids, (f"/profiles/{family.bi.id}/names?name={HOST}", "/journal"))
    pages |= {f"school {path}": text for path, text in (await walk(head, app, {**ids, "profile": classes[0]})).items()}
    pages |= {f"child {path}": text for path, text in (await walk(bi, page_app, ids, (f"/ask?host={HOST}",))).items()}
    for browser in (parent, head, bi):
        await browser.close()
    assert [path for path, text in pages.items() if TAG.search(text)] == []
    shown = {path for path, text in pages.items() if "zq1" in text}
    expected = {"/", "/devices", "/requests", "/people", "/tokens", "/dates", f"/profiles/{family.bi.id}", "school /", "child /why"}
    assert expected <= shown, sorted(expected - shown)
    assert len(shown) >= 20, sorted(shown)


async def test_no_word_of_anybody_is_in_the_journal(services: Services, family: Family, act: Act, gateway: ScriptedGateway) -> None:
    """Labels, hosts, notes, addresses, sign-in names: the rows have ids and digests, for every column of every tenant."""
    await plant(services, family, act, gateway)
    await school(services, act.now)
    async with services.database.read() as connection:
        rows = [tuple(row) for row in await connection.execute(select(journal).execution_options(**EVERY_TENANT))]
    assert len(rows) >= 20
    text = repr(rows)
    # Each word has a sign that no random id has (0, 1, i, l, o are left out of them).
    for word in ("zq1", "onload", "192.168.", "3c:22:fb", "Nhà mình", "truong", HOST):
        assert word not in text, word
