"""A shared phone, through the pages: borrowed with the PIN, back by itself, a request answered on the same screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin.app import create_app, create_page_app
from admin.audit import Act, By, by_account
from admin.dependencies import Services
from admin.hours import Hours, set_hours
from admin.names import list_names
from admin.notices import Message
from admin.onboarding import add_phone
from admin.overrides import list_overrides
from admin.policyfile import cut, read_rows
from admin.values import Days, HoursEffect
from blocklists.tables import Role
from gateway.settings import EncryptedSettings, Endpoint, TlsSettings
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_school
from tests.support.visitor import Visitor

PIN = "4071"


@pytest.fixture
async def parent(visitor: Visitor, family: Family) -> Visitor:
    """The mother, on her own phone."""
    await visitor.sign_in("me", PASSWORD)
    return visitor


@pytest.fixture
async def shared(
    app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway, lists: Path, now: datetime
) -> AsyncIterator[Visitor]:
    """The phone that Bi and the mother share, known as Bi's."""
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    browser = Visitor(app, address="192.168.1.31")
    yield browser
    await browser.close()


async def set_pin(parent: Visitor) -> None:
    await parent.get("/pin")
    await parent.submit("/pin", {"pin": PIN})
    assert "Đã đặt mã PIN" in parent.text


async def lent(services: Services, family: Family) -> dict[str, object]:
    """What the gateway is told about Bi's phone."""
    async with services.database.read() as connection:
        rows = await read_rows(connection, family.tenant, services.now())
    document = cut(rows, services.shelves.current(), ())
    [client] = [row for row in document["clients"] if row["id"] == family.bi_phone]
    return dict(client.get("lent", {}))


async def test_phone_is_borrowed_and_comes_back(parent: Visitor, shared: Visitor, services: Services, family: Family, clock: Clock) -> None:
    """Half an hour with the right PIN, an absolute end in the policy file, and nothing more to do."""
    await shared.get("/adult")
    assert "Chưa có mã PIN" in shared.text and "đang dùng máy" not in shared.text and not shared.has_form("/adult?lang=vi")
    await set_pin(parent)
    await shared.get("/adult")
    wrong = await shared.submit("/adult?lang=vi", {"pin": "1111"}, ("span", "30m"))
    assert wrong.status_code == 401 and "Mã PIN chưa đúng" in shared.text and await lent(services, family) == {}
    await shared.submit("/adult?lang=vi", {"pin": PIN}, ("span", "30m"))
    assert "Đến 20:00" in shared.text and "Người lớn đang dùng máy này" in shared.text
    told = await lent(services, family)
    assert told["until"] == "2026-10-12T13:00:00Z"
    await parent.get("/devices")
    assert "người lớn đang dùng đến 20:00" in parent.text
    for page in ("/", f"/profiles/{family.bi.id}"):  # what the phone asks now is not Bi's
        await parent.get(page)
        assert "người lớn đang dùng đến 20:00" in parent.text and "dùng mạng vừa xong" not in parent.text
        assert parent.has_form(f"/devices/{family.bi_phone}/back")
    clock.forward(minutes=31)
    assert await lent(services, family) == {}
    await shared.get("/adult")
    assert shared.has_form("/adult?lang=vi")


async def test_phone_is_given_back_early_from_either_side(parent: Visitor, shared: Visitor, services: Services, family: Family) -> None:
    """Giving back tightens: no PIN, no password."""
    await set_pin(parent)
    for _ in range(2):
        await shared.get("/adult")
        await shared.submit("/adult?lang=vi", {"pin": PIN}, ("span", "60m"))
        assert await lent(services, family)
        if shared.has_form("/adult/back") and _ == 0:
            await shared.submit("/adult/back")
        else:
            await parent.get("/devices")
            form = next(form for form in parent.forms if form.action == f"/devices/{family.bi_phone}/back")
            pressed = f"/profiles/{family.bi.id}"
            await parent.post(form.action, dict(form.fields), {"Referer": f"{parent.origin}{pressed}"})
            assert parent.response.url.path == pressed, "where it was pressed"
        assert await lent(services, family) == {}


async def test_request_is_answered_on_the_same_screen(parent: Visitor, shared: Visitor, services: Services, family: Family) -> None:
    """Bi asks, the mother takes the phone, types the PIN, and hands it back open for an hour."""
    await set_pin(parent)
    await shared.get("/ask?host=play.example")
    await shared.submit(shared.forms[0].action, {"reason": "lesson"})
    code = shared.response.url.path.rsplit("/", 1)[1]
    link = next(link for link in shared.links if "/here" in link)
    await shared.get(link)
    refused = await shared.submit(f"/answer/{code}/here?lang=vi", {"pin": "2222"}, ("decision", "1h"))
    assert refused.status_code == 401
    await shared.submit(f"/answer/{code}/here?lang=vi", {"pin": PIN}, ("decision", "1h"))
    assert "Được, đến" in shared.text or "20:30" in shared.text
    await parent.get("/journal")
    assert "người có mã PIN" in parent.text
    assert (await shared.get(f"/answer/{code}/here")).status_code == 404, "answered once"


async def test_an_answer_on_the_same_screen_ends_where_the_rest_time_begins(
    parent: Visitor, shared: Visitor, services: Services, family: Family
) -> None:
    """The whole day is until bedtime here, too, unless the adult ticked that it goes on."""
    rows = (Hours(Days.EVERY, "20:00", "06:00", HoursEffect.OFFLINE),)
    async with services.database.write() as connection:
        await set_hours(connection, Act(family.tenant, by_account(family.account, Role.PARENT), services.now()), family.bi.id, rows)
    await set_pin(parent)
    for host, typed in (("play.example", {}), ("www.tiktok.com", {"through": "1"})):
        await shared.get(f"/ask?host={host}")
        await shared.submit(shared.forms[0].action, {"reason": "lesson"})
        code = shared.response.url.path.rsplit("/", 1)[1]
        await shared.get(f"/answer/{code}/here?lang=vi")
        await shared.submit(f"/answer/{code}/here?lang=vi", {"pin": PIN, **typed}, ("decision", "today"))
    async with services.database.read() as connection:
        ends = {act.targets[0][1]: act.ends_at - services.now() for act in await list_overrides(connection, family.tenant, services.now())}
    assert ends == {"play.example": timedelta(minutes=30), "www.tiktok.com": timedelta(hours=4, minutes=30)}


async def test_one_phone_of_a_family_is_borrowed_away_from_home(
    parent: Visitor, app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """A family without a machine shares one phone, known by its private name behind a provider: the PIN lends it. Two phones there:
    nobody could say which, so neither is lent."""
    await set_pin(parent)
    await services.applier.settle(family.tenant)
    gateway.see("203.0.113.7", now, client=family.bi_phone, tenant=family.tenant, by_token=True)
    browser = Visitor(app, address="203.0.113.7")
    await browser.get("/adult")
    await browser.submit("/adult?lang=vi", {"pin": PIN}, ("span", "30m"))
    assert await lent(services, family)
    await browser.submit("/adult/back")
    assert not await lent(services, family)
    gateway.see("203.0.113.7", now, client=family.na_phone, tenant=family.tenant, by_token=True)
    await browser.get("/adult")
    assert not browser.has_form("/adult?lang=vi")
    await browser.close()


async def test_strangers_guesses_keep_no_parent_out(
    parent: Visitor, shared: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Somebody behind the address where Bi's phone was seen guesses PINs, and waits. The mother at home does not; nor does Bi's phone out
    there, once it showed which phone it is. Whoever reads of the guesses reads that it may have been a stranger."""
    tls, dot = TlsSettings(Path("c"), Path("k"), "dns.example.net"), EncryptedSettings((Endpoint("192.0.2.1", 853),))
    reached = replace(services.settings.gateway, tls=tls, dot=dot)
    app = create_app(replace(services, settings=replace(services.settings, gateway=reached)))
    await set_pin(parent)
    async with services.database.write() as connection:
        act = Act(family.tenant, By(family.account, "guardian"), now)
        phone = await add_phone(connection, act, family.na.id, "máy xanh")
    await services.applier.settle(family.tenant)
    gateway.see("203.0.113.7", now, client=phone, tenant=family.tenant, by_token=True)
    stranger, own = Visitor(app, address="203.0.113.7"), Visitor(app, address="203.0.113.7")
    await stranger.get("/adult")
    for guess in ("1112", "1113", "1114", "1115", "1116", "1117"):
        await stranger.submit("/adult?lang=vi", {"pin": guess}, ("span", "30m"))
    assert stranger.response.status_code == 429 and "Cho biết đây là máy nào" in stranger.text
    await shared.get("/adult")
    await shared.submit("/adult?lang=vi", {"pin": PIN}, ("span", "30m"))
    assert "Người lớn đang dùng máy này" in shared.text, shared.text
    await own.get(next(link for link in stranger.links if link.startswith("/own")))
    found = re.search(r"http://check-([0-9a-f]{24})\.lachan\.internal", own.response.text)
    assert found
    gateway.probes[found[1]] = {"client": phone, "address": "203.0.113.7", "transport": "dot", "profile": family.na.id}
    await own.get("/own/look?to=adult&lang=vi&n=1")
    assert own.response.url.path == "/adult"
    await own.submit("/adult?lang=vi", {"pin": PIN}, ("span", "30m"))
    assert "Người lớn đang dùng máy này" in own.text, own.text
    await parent.get("/")
    assert "có thể là người lạ" in parent.text
    for one in (stranger, own):
        await one.close()


async def test_pin_opens_nothing_for_good(parent: Visitor, shared: Visitor, services: Services, family: Family) -> None:
    """The page offers a while, today or no; what it does not offer is not taken either."""
    await set_pin(parent)
    await shared.get("/ask?host=play.example")
    await shared.submit("/ask?lang=vi", {"reason": "lesson"})
    code = shared.response.url.path.rpartition("/")[2]
    response = await shared.post(f"/answer/{code}/here?lang=vi", {"pin": PIN, "decision": "always"})
    assert response.status_code == 404
    async with services.database.read() as connection:
        assert await list_names(connection, family.tenant, family.bi.id) == []


async def test_guesses_slow_down_wherever_they_come_from(parent: Visitor, shared: Visitor, app: ASGIApp) -> None:
    """Five slips, then waiting; the right PIN has to wait as well."""
    await set_pin(parent)
    await shared.get("/adult")
    for guess in ("1112", "1113", "1114", "1115", "1116"):
        await shared.submit("/adult?lang=vi", {"pin": guess}, ("span", "30m"))
    waiting = await shared.submit("/adult?lang=vi", {"pin": PIN}, ("span", "30m"))
    assert waiting.status_code == 429 and "Xin chờ" in shared.text


async def test_parents_read_of_guesses_and_can_always_tighten(
    parent: Visitor, shared: Visitor, services: Services, family: Family, clock: Clock
) -> None:
    """Five wrong PINs: one message where a family wants one, a line on the home page and in the journal, without a child or a device. The
    parent meanwhile switches the internet off and gives the device back without any PIN; a new PIN ends the line."""
    sent: list[str] = []

    def announce(tenant: str, choices: object, message: Message, at: datetime, *, is_urgent: bool = False) -> bool:
        sent.append(f"{message.subject} {message.text}")
        return is_urgent

    services.post.announce = announce  # type: ignore[method-assign,assignment]  # what would be sent
    await set_pin(parent)
    await shared.get("/adult")
    for guess in ("1112", "1113", "1114", "1115", "1116", "1117"):
        await shared.submit("/adult?lang=vi", {"pin": guess}, ("span", "30m"))
    assert len(sent) == 1 and "Bi" not in sent[0] and "/pin" in sent[0]
    await parent.get("/")
    assert "Có 5 lần nhập sai mã PIN trên máy dùng chung" in parent.text
    await parent.get("/journal")
    assert "Nhiều lần nhập sai mã PIN" in parent.text
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/off", button=("until", "1h"))
    assert "Đã tắt mạng đến" in parent.text
    assert (await shared.post("/adult/back", {})).status_code in (200, 303)
    await set_pin(parent)
    await parent.get("/")
    assert "nhập sai mã PIN" not in parent.text


async def test_pin_is_kept_out_of_easy_ones_and_asks_for_the_password(parent: Visitor, clock: Clock) -> None:
    """1234 and 0000 are guessed first; setting a PIN hands something out, so a page left open cannot."""
    await parent.get("/pin")
    for easy in ("1234", "8765", "0000", "12", "123456789", "12a4", "١٢٣٤"):
        assert (await parent.submit("/pin", {"pin": easy})).status_code == 422
    clock.forward(minutes=11)
    await parent.get("/pin")
    assert (await parent.submit("/pin", {"pin": PIN})).status_code == 401


async def test_stranger_and_the_page_behind_blocked_names_have_no_pin_form(
    parent: Visitor, app: ASGIApp, services: Services, shared: Visitor
) -> None:
    """An unknown device can borrow nothing; behind blocked names there is only a link to the pages for adults."""
    await set_pin(parent)
    stranger = Visitor(app, "192.168.1.77")
    await stranger.get("/adult")
    assert not any("/adult" in form.action for form in stranger.forms)
    await stranger.post("/adult", {"pin": PIN, "span": "60m"})
    assert "không biết đang cầm máy nào" in stranger.text
    await stranger.close()
    behind = Visitor(create_page_app(services), "192.168.1.31", origin="http://lachan.internal")
    await behind.get("/why", headers={"Host": "lachan.internal"})
    link = next(link for link in behind.links if "/adult" in link)
    assert link.startswith("http://127.0.0.1:8080/adult")
    assert (await behind.post("/adult", {"pin": PIN, "span": "60m"}, headers={"Host": "lachan.internal"})).status_code in (403, 404)
    await behind.close()


async def test_a_pupil_reads_nothing_of_parents_phones(services: Services, app: ASGIApp, gateway: ScriptedGateway, now: datetime) -> None:
    """At a school no PIN lends a device: the page says how teachers do it, and sends nobody to a parent's phone."""
    school = await make_school(services.database, now, "A", None)
    gateway.see("192.168.1.55", now, tenant=school.tenant)
    pupil = Visitor(app, address="192.168.1.55")
    await pupil.get("/adult")
    assert "Ở trường không ai mượn máy bằng mã PIN" in pupil.text and "ba mẹ" not in pupil.text
    await pupil.close()
