"""A school's networks: changed on a page; what the gateway does not answer is said with the line to write."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.permissions import Scope
from admin.policyfile import networks_of, read_rows
from admin.profiles import NewProfile, create_profile, create_site
from admin.values import DeviceMatch, ProfileKind
from blocklists.tables import Role
from gateway.policy.model import Band
from tests.admin.routes.test_api import client_for
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, Person, make_school
from tests.support.visitor import Visitor

NO_ANSWER = "Máy ở 113.160.10.0/24 không nhận được câu trả lời nào"


async def open_school(services: Services, now: datetime, network: str = "113.160.10.0/24") -> tuple[Person, str]:
    """A school whose class 3A has a public network; the id of the class."""
    school = await make_school(services.database, now, "Trường A", None)
    act = Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now)
    async with services.database.write() as connection:
        site = await create_site(connection, act, "Trường", "school", ("192.168.0.0/16",))
        shelf = services.shelves.current()
        made = await create_profile(connection, act, site, NewProfile(ProfileKind.CLASS, "3A", Band.TH), shelf)
        await create_profile(connection, act, site, NewProfile(ProfileKind.GUEST, "Khách", Band.KH), shelf)
        await assign_device(connection, act, made, "Phòng 3A", [Match(DeviceMatch.NETWORK, network)])
    return school, made


async def test_pages_say_that_a_class_gets_no_answer_and_what_to_write(
    services: Services, app: ASGIApp, gateway: ScriptedGateway, now: datetime
) -> None:
    """Home, the class, the devices and the networks; once the settings file lets the network ask, nobody says it any more."""
    school, made = await open_school(services, now)
    browser = Visitor(app)
    await browser.sign_in(school.sign_in, PASSWORD)
    for page in ("/", f"/profiles/{made}", "/devices", "/networks"):
        await browser.get(page)
        assert NO_ANSWER in browser.text, page
        assert "allow_from: [192.168.0.0/16, 113.160.10.0/24]" in browser.text
    gateway.status = {"allow_from": ["192.168.0.0/16", "::1/128"], "allow_words": ["192.168.0.0/16", "::1/128", "link"]}
    await services.applier.reconcile()
    await browser.get("/networks")
    assert 'allow_from: [192.168.0.0/16, "::1/128", link, 113.160.10.0/24]' in browser.text, "what stands there stays, as YAML has it"
    gateway.status = {"allow_from": ["192.168.0.0/16", "113.160.0.0/16"]}
    await services.applier.reconcile()
    for page in ("/", f"/profiles/{made}", "/devices", "/networks"):
        await browser.get(page)
        assert "không nhận được câu trả lời nào" not in browser.text, page
    assert "113.160.0.0/16" in browser.text, "whoever may ask today is at the only place"
    await browser.close()


async def test_a_school_changes_its_networks(services: Services, app: ASGIApp, gateway: ScriptedGateway, now: datetime) -> None:
    """One a line; what is none, stands twice or belongs to another place is refused and kept to be mended."""
    school, _ = await open_school(services, now)
    other = await make_school(services.database, now, "Trường B", None)
    async with services.database.write() as connection:
        act = Act(other.tenant, by_account(other.account, Role.SCHOOL_ADMIN), now)
        await create_site(connection, act, "Trường", "school", ("10.2.0.0/16",))
    browser = Visitor(app)
    await browser.sign_in(school.sign_in, PASSWORD)
    for typed, word in (
        ("10.9.0.0/16\nabc", "Xin ghi một dải mạng"),
        ("10.9.0.0/16\n10.9.0.0/16", "hai dòng ghi cùng một mạng"),
        ("10.2.7.0/24", "thuộc một nơi khác"),
        ("", "Xin"),
    ):
        await browser.get("/networks")
        await browser.submit("/networks", {"networks": typed})
        assert browser.response.status_code == 422 and word.lower() in browser.text.lower(), typed
    await browser.get("/networks")
    await browser.submit("/networks", {"networks": "192.168.0.0/16\n10.9.0.0/16"})
    assert "10.9.0.0/16" in browser.text and "allow_from: [192.168.0.0/16, 10.9.0.0/16, 113.160.10.0/24]" in browser.text
    async with services.database.read() as connection:
        rows = await read_rows(connection, school.tenant, now)
    assert networks_of(rows.sites[0], rows) == ("10.9.0.0/16", "113.160.10.0/24", "192.168.0.0/16")
    await browser.close()


async def test_a_neighbour_cannot_freeze_the_rules_of_a_school(
    services: Services, app: ASGIApp, gateway: ScriptedGateway, now: datetime
) -> None:
    """Another school writes a network around this one's class: whose place that is stays as it was written, this school's pages say it, and
    what it changes is enforced."""
    school, made = await open_school(services, now, "10.2.7.0/24")
    other = await make_school(services.database, now, "Trường B", None)
    async with services.database.write() as connection:
        await create_site(
            connection, Act(other.tenant, by_account(other.account, Role.SCHOOL_ADMIN), now), "Trường", "school", ("10.2.0.0/16",)
        )
    browser = Visitor(app)
    await browser.sign_in(school.sign_in, PASSWORD)
    await browser.get(f"/profiles/{made}")
    await browser.submit(f"/profiles/{made}/off", {}, ("until", "1h"))
    assert "Đã có hiệu lực trên cổng lọc" in browser.text
    for page in ("/", f"/profiles/{made}", "/devices", "/networks"):
        await browser.get(page)
        assert "10.2.7.0/24 nằm trong mạng của một nơi khác trên cổng lọc này" in browser.text, page
    await browser.get("/")
    assert "mọi quy tắc đang có hiệu lực" not in browser.text
    await browser.close()


async def test_two_places_of_a_school_never_name_the_same_network(
    services: Services, app: ASGIApp, gateway: ScriptedGateway, now: datetime
) -> None:
    """The gateway would refuse the whole file, and with it every later change; only the form that was sent says so."""
    school, _ = await open_school(services, now)
    async with services.database.write() as connection:
        await create_site(
            connection, Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now), "Cơ sở 2", "school", ("10.7.0.0/16",)
        )
    browser = Visitor(app)
    await browser.sign_in(school.sign_in, PASSWORD)
    await browser.get("/networks")
    second = next(dict(form.fields) for form in browser.forms if ("networks", "10.7.0.0/16") in form.fields)
    response = await browser.post("/networks", second | {"networks": "192.168.0.0/16"})
    assert response.status_code == 422 and "thuộc một nơi khác" in browser.text
    assert [response.text.count(part) for part in ('id="networks-mistake"', "autofocus", "aria-invalid")] == [1, 1, 1]
    assert "192.168.0.0/16" in response.text.partition("aria-invalid")[2].partition("</textarea>")[0], "what was typed stays"
    await browser.post("/networks", second | {"networks": "192.168.5.0/24"})  # a part of it may be the other place
    assert "Đã có hiệu lực trên cổng lọc" in browser.text
    await browser.close()


async def test_a_family_has_no_such_page(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Its place is whatever the gateway serves; a device it adds outside that is told."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/networks")
    assert visitor.response.status_code == 404
    await visitor.get("/devices")
    assert "không nhận được câu trả lời nào" not in visitor.text


async def test_a_class_is_given_no_network_of_another_place(
    services: Services, app: ASGIApp, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Written for a class of A, a network in B's place would never hold while the pages say it does: the form and the API refuse it with a
    sentence, and take what is in nobody's place, or also in one's own."""
    school, made = await open_school(services, now)
    other = await make_school(services.database, now, "Trường B", None)
    async with services.database.write() as connection:
        act = Act(other.tenant, by_account(other.account, Role.SCHOOL_ADMIN), now)
        await create_site(connection, act, "Trường", "school", ("10.2.0.0/16", "192.168.0.0/16"))
    browser = Visitor(app)
    await browser.sign_in(school.sign_in, PASSWORD)
    for network, status in (("10.2.7.0/24", 422), ("10.2.7.9", 422), ("10.9.7.0/24", 200), ("192.168.7.0/24", 200)):
        await browser.get("/devices")
        await browser.submit("/devices", {"address": network, "owner": made, "label": "Phòng"})
        assert (browser.response.status_code, "Mạng này thuộc một nơi khác" in browser.text) == (status, status == 422), network
    await browser.close()
    async with await client_for(app, services, family, Scope.POLICY) as client:
        refused = await client.post("/devices", json={"match": "10.2.8.0/24", "profile": family.bi.id, "label": "Phòng"})
        assert (refused.status_code, refused.json()["error"]["fields"]) == (422, [{"field": "match", "code": "network_elsewhere"}])
