"""New devices and whose they are."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from admin.audit import VISITOR, Act
from admin.dependencies import Services
from admin.onboarding import add_phone, load_phone
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> Visitor:
    """A parent at the page of devices, with one new tablet in the house."""
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.77", now, mac="3c:22:fb:00:00:77", tenant=family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    await visitor.get("/devices")
    return visitor


async def test_new_device_is_given_to_a_child_by_its_mac(parent: Visitor, family: Family) -> None:
    """One choice and it is Bi's, kept by what stays with the device."""
    assert "Mới: giao cho ai?" in parent.text
    await parent.submit("/devices", {"owner": family.bi.id, "label": "Máy bảng"})
    assert "Máy bảng" in parent.text
    assert "3c:22:fb:00:00:77" in parent.text
    assert "Mới: giao cho ai?" not in parent.text


async def test_giving_it_to_an_adult_needs_the_password(parent: Visitor, family: Family, clock: Clock) -> None:
    """A child with the parent's open phone cannot free its own tablet."""
    clock.forward(minutes=15)
    response = await parent.submit("/devices", {"owner": family.adults.id})
    assert response.status_code == 401
    await parent.submit("/devices", {"_password": PASSWORD})
    assert "Máy của Người lớn" in parent.text
    assert "Mới: giao cho ai?" not in parent.text


@pytest.mark.parametrize("owner", ["adults", "na"])
async def test_new_device_of_a_page_left_open_stays_with_the_strictest(parent: Visitor, family: Family, clock: Clock, owner: str) -> None:
    """A phone that took a new address is nobody's; the parent's open page does not give it to the adults or to the elder child."""
    clock.forward(minutes=15)
    await parent.get("/devices")
    if owner == "adults":
        assert "Máy của người lớn" in parent.text
        response = await parent.submit("/devices", button=("adults", family.adults.id))
    else:
        response = await parent.submit("/devices", {"owner": family.na.id})
    assert response.status_code == 401
    await parent.submit("/devices", {"_password": PASSWORD})
    assert "Mới: giao cho ai?" not in parent.text


async def test_device_moves_and_is_forgotten(parent: Visitor, family: Family, clock: Clock) -> None:
    """Handing a phone down, renaming it, forgetting it: whatever takes a child's phone out of the child's hours asks for the password."""
    clock.forward(minutes=15)
    action = f"/devices/{family.na_phone}"
    assert (await parent.submit(action, {"owner": family.bi.id, "label": "Máy cũ của Na"})).status_code == 401
    await parent.submit(action, {"_password": PASSWORD})
    assert parent.response.status_code == 200
    assert "Máy cũ của Na" in parent.text
    clock.forward(minutes=15)
    assert (await parent.submit(action, {"owner": family.na.id})).status_code == 401
    await parent.get("/devices")
    assert (await parent.submit(f"{action}/forget")).status_code == 401
    await parent.submit(f"{action}/forget", {"_password": PASSWORD})
    assert parent.response.url.path == "/devices"
    assert "Máy cũ của Na" not in parent.text


@pytest.mark.parametrize(
    ("address", "words"), [("192.168.1.31", "đã là của một người khác"), ("điện thoại", "Xin ghi một địa chỉ"), ("", "Xin điền chỗ này.")]
)
async def test_address_by_hand_is_checked(parent: Visitor, family: Family, address: str, words: str) -> None:
    """A taken address and nonsense are told beside the field."""
    form = next(form for form in parent.forms if form.action == "/devices" and ("seen", "1") not in form.fields)
    fields = dict(form.fields) | {"address": address, "owner": family.bi.id, "label": "x"}
    response = await parent.post("/devices", fields)
    assert response.status_code == 422
    assert words in parent.text


async def test_device_given_to_nobody_is_told_in_its_own_card(parent: Visitor, family: Family) -> None:
    """Beside the choice that was left out, not below all devices; the cursor is in it."""
    form = next(form for form in parent.forms if form.action == "/devices" and ("seen", "1") in form.fields)
    response = await parent.post("/devices", dict(form.fields) | {"owner": "", "label": "x"})
    assert response.status_code == 422
    card = response.text.partition('<form class="card" method="post" action="/devices">')[2].partition("</form>")[0]
    assert "Xin chọn một mục." in card and response.text.count("Xin chọn một mục.") == 1
    assert re.search(r'<select id="owner-1"[^>]* aria-invalid="true"[^>]* autofocus', card)


async def test_nothing_is_given_to_guests(parent: Visitor, family: Family) -> None:
    """Guests are those whom nobody named; a device cannot be theirs."""
    token = dict(next(form for form in parent.forms if form.action == f"/devices/{family.bi_phone}").fields)["_form"]
    response = await parent.post(f"/devices/{family.bi_phone}", {"_form": token, "owner": family.guests.id, "label": "x"})
    assert response.status_code == 422


async def test_one_address_for_everybody_is_explained(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """When the router asks for all, the page says so with the remedy."""
    gateway.see("192.168.1.1", now, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/devices")
    assert "Mọi câu hỏi đến từ một địa chỉ" in visitor.text


async def test_phone_with_a_made_up_mac_is_told(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """A private Wi-Fi address is explained before it makes the phone new again."""
    gateway.see("192.168.1.78", now, mac="da:22:fb:00:00:78", tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/devices")
    assert "địa chỉ Wi-Fi riêng tư" in visitor.text


async def test_phone_with_many_ipv6_addresses_is_one_card(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Two temporary addresses and one of IPv4 are one new device, named once; behind a router the network stands for it, and the page says
    what that means."""
    for address in ("192.168.1.79", "2001:db8:1::aaaa", "2001:db8:1::bbbb"):
        gateway.see(address, now, mac="3c:22:fb:00:00:79", tenant=family.tenant)
    for address in ("2001:db8:9::aaaa", "2001:db8:9::bbbb"):
        gateway.see(address, now, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    await visitor.get("/devices")
    new = [form for form in visitor.forms if ("seen", "1") in form.fields]
    assert [dict(form.fields)["address"] for form in new] == ["192.168.1.79", "2001:db8:9::aaaa"]
    assert "thêm 2 địa chỉ của cùng máy này" in visitor.text
    assert "đứng sau một bộ định tuyến" in visitor.text
    for number, label in enumerate(("Máy bảng", "Máy xa")):
        await visitor.post("/devices", dict(new[number].fields) | {"owner": family.bi.id, "label": label})
        await visitor.get("/devices")
    assert "Mới: giao cho ai?" not in visitor.text
    assert "3c:22:fb:00:00:79" in visitor.text and "2001:db8:9::/64" in visitor.text


async def test_network_behind_a_router_is_given_to_no_adult(
    visitor: Visitor, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """The mother's phone asks from behind a router; so may the child's: the network would free both, and the page says what to do."""
    gateway.see("2001:db8:9::aaaa", now, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    await visitor.get("/devices")
    response = await visitor.submit("/devices", {"owner": family.adults.id})
    assert response.status_code == 422 and "Cả một mạng không thể là của người lớn" in visitor.text
    await visitor.submit("/devices", {"owner": family.na.id, "label": "Máy xa"})
    action = next(form.action for form in visitor.forms if ("label", "Máy xa") in form.fields)
    response = await visitor.submit(action, {"owner": family.adults.id})
    assert response.status_code == 422 and "Cả một mạng không thể là của người lớn" in visitor.text


async def test_private_names_stay_on_the_sheets(visitor: Visitor, family: Family, services: Services, gateway: ScriptedGateway) -> None:
    """The page of devices leads to a phone's sheet and does not show its private name."""
    async with services.database.write() as connection:
        phone = await add_phone(connection, Act(family.tenant, VISITOR, services.now()), family.bi.id, "Máy đi học")
        token = (await load_phone(connection, family.tenant, phone)).token
    await visitor.sign_in("me", PASSWORD, kept=True)
    await visitor.get("/devices")
    assert token not in visitor.response.text and f"/phones/{phone}" in visitor.links
    await visitor.get(f"/phones/{phone}")
    assert token in visitor.response.text
