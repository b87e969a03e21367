"""The live check: "protected" only after this browser's own fresh name has reached the gateway."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway) -> Visitor:
    """A parent at the check page."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/check")
    return visitor


def nonce_of(browser: Visitor) -> str:
    return browser.response.url.path.removeprefix("/check/")


async def test_not_protected_before_the_name_arrives(parent: Visitor) -> None:
    """The page asks the browser to ask, reloads itself, and claims nothing."""
    nonce = nonce_of(parent)
    assert "Đang kiểm tra máy này" in parent.text
    assert "Máy này được bảo vệ" not in parent.text
    assert f'src="http://check-{nonce}.lachan.internal/' in parent.response.text
    assert re.search(rf'http-equiv="refresh" content="2;url=/check/{nonce}\?n=1"', parent.response.text)
    assert "img-src 'self' http://*.lachan.internal" in parent.response.headers["content-security-policy"]


async def test_protected_after_it_arrived_and_as_whom(parent: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """The name came from this address, as the adults: now, and only now, it says protected."""
    nonce = nonce_of(parent)
    gateway.probes[nonce] = {
        "address": "192.168.1.20",
        "profile": family.adults.id,
        "client": "x",
        "transport": "udp",
        "generation": 12,
    }
    await parent.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" in parent.text
    assert "bản quy tắc số 12" in parent.text
    assert "Chưa ai nhận máy" in parent.text
    assert "http-equiv" not in parent.response.text


async def test_named_device_is_told_its_profile(parent: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Bi's phone is protected as Bi."""
    nonce = nonce_of(parent)
    gateway.probes[nonce] = {"address": "192.168.1.20", "profile": family.bi.id, "client": family.bi_phone, "generation": 1}
    await parent.get(f"/check/{nonce}")
    assert "với hồ sơ Bi (6–10 tuổi)" in parent.text


async def test_a_profile_named_as_its_age_is_said_once(parent: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Not "Người lớn (Người lớn)", and no word of the wire where the wire is plain."""
    nonce = nonce_of(parent)
    gateway.probes[nonce] = {
        "address": "192.168.1.20",
        "profile": family.adults.id,
        "client": family.bi_phone,
        "transport": "udp",
        "generation": 1,
    }
    await parent.get(f"/check/{nonce}")
    assert "với hồ sơ Người lớn." in parent.text
    assert '<p class="small">DNS</p>' not in parent.response.text
    gateway.probes[nonce]["transport"] = "dot"
    await parent.get(f"/check/{nonce}")
    assert "DNS over TLS" in parent.text


async def test_question_by_way_of_another_machine_protects_nobody_by_name(
    parent: Visitor, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """When the router asks for everybody, or a neighbour's machine asked, the page does not say "protected": it says who asks, and the
    remedy. Another address of this very device, or its own private name from wherever it is, is this device."""
    nonce = nonce_of(parent)
    gateway.see("192.168.1.20", now, mac="02:00:00:00:00:20")
    gateway.see("192.168.1.1", now, mac="02:00:00:00:00:01")
    gateway.see("2001:db8::20", now, mac="02:00:00:00:00:20")
    probe = {"address": "192.168.1.1", "profile": family.guests.id, "client": None, "transport": "udp", "generation": 1}
    gateway.probes[nonce] = probe
    await parent.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" not in parent.text
    assert "Một máy khác đang hỏi thay máy này" in parent.text
    assert "Câu hỏi đến từ 192.168.1.1, còn máy này là 192.168.1.20" in parent.text and "DHCP" in parent.text
    gateway.probes[nonce] = probe | {"address": "2001:db8::20"}
    await parent.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" in parent.text
    gateway.probes[nonce] = probe | {"address": "203.0.113.9", "client": family.bi_phone, "transport": "dot", "profile": family.bi.id}
    await parent.get(f"/check/{nonce}")
    assert "với hồ sơ Bi" in parent.text
    gateway.probes[nonce] = probe | {"address": "203.0.113.9", "transport": "dot"}
    await parent.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" not in parent.text


async def test_the_gateways_own_machine_reaches_itself_by_several_addresses(app: ASGIApp, family: Family, gateway: ScriptedGateway) -> None:
    """A browser on the very machine opens the page by its network address and asks by 127.0.0.1: that is this machine."""
    browser = Visitor(app, address="192.168.1.2", origin="http://192.168.1.2:8080")
    await browser.sign_in("me", PASSWORD)
    await browser.get("/check")
    nonce = nonce_of(browser)
    gateway.probes[nonce] = {"address": "127.0.0.1", "profile": family.adults.id, "client": None, "transport": "udp", "generation": 1}
    await browser.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" in browser.text
    gateway.probes[nonce]["address"] = "192.168.1.31"
    await browser.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" not in browser.text
    await browser.close()


async def test_after_some_tries_it_says_what_helps(parent: Visitor, gateway: ScriptedGateway) -> None:
    """Patience ends with remedies, not with a claim; a dead gateway is named."""
    await parent.get(f"/check/{nonce_of(parent)}?n=5")
    assert "Máy này chưa hỏi qua cổng lọc" in parent.text
    assert "192.168.1.2" in parent.text
    assert "http-equiv" not in parent.response.text
    await gateway.stop()
    await parent.get(f"/check/{nonce_of(parent)}?n=5")
    assert "Chính cổng lọc đang không trả lời" in parent.text


@pytest.mark.parametrize("nonce", ["0" * 24, "abc", "z" * 24, "0" * 64])
async def test_made_up_names_are_not_looked_up(parent: Visitor, nonce: str) -> None:
    """Only names made for this session exist."""
    assert (await parent.get(f"/check/{nonce}")).status_code == 404


async def test_another_browsers_name_is_not_ones_own(
    app: ASGIApp, parent: Visitor, services: Services, now: datetime, gateway: ScriptedGateway
) -> None:
    """Nobody is called protected because somebody else is."""
    await make_person(services.database, now, sign_in="other")
    nonce = nonce_of(parent)
    gateway.probes[nonce] = {"address": "192.168.1.20", "profile": "", "client": None, "generation": 1}
    other = Visitor(app)
    await other.sign_in("other", PASSWORD)
    assert (await other.get(f"/check/{nonce}")).status_code == 404
    await other.close()


async def test_second_resolver_is_noticed(parent: Visitor, gateway: ScriptedGateway, family: Family) -> None:
    """One of four names went elsewhere: after a moment the page does not say "protected" but what to change on the router."""
    await parent.get("/check")
    path = parent.response.url.path
    nonce = path.rpartition("/")[2]
    gateway.probes[nonce] = {"address": "192.168.1.20", "profile": family.bi.id, "client": family.bi_phone, "generation": 1}
    gateway.elsewhere = {f"{nonce}2"}
    await parent.get(f"{path}?n=1")
    assert "Máy này được bảo vệ" not in parent.text
    await parent.get(f"{path}?n=2")
    assert "Máy này được bảo vệ" not in parent.text
    assert "3 trong 4 tên mới" in parent.text and "RDNSS" in parent.text
    gateway.elsewhere = set()
    gateway.probes[f"{nonce}1"] = gateway.probes[nonce] | {"kinds": ["AAAA"]}
    gateway.probes[nonce]["kinds"] = ["A"]
    await parent.get(f"{path}?n=2")
    assert "Máy này được bảo vệ" not in parent.text, "one name came for its IPv4 address, another for its IPv6 one"
    gateway.probes[f"{nonce}1"] = gateway.probes[nonce]
    await parent.get(f"{path}?n=2")
    assert "Máy này được bảo vệ" in parent.text
