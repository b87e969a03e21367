"""The fingerprint on paper: there when the pages' certificate is the machine's own, and nowhere else."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio

from admin.app import create_app
from admin.commands import show_link
from admin.dependencies import Services
from admin.owncertificate import own_fingerprint, terminal_lines, warning_ahead
from admin.settings import AdminSettings
from admin.setup import ensure_token
from gateway.settings import Endpoint, TlsSettings
from tests.support.certificates import Authority
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import make_family
from tests.support.listserver import make_certificate
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

WARNING = "Kết nối không riêng tư"


@pytest.fixture
def own(services: Services, tmp_path: Path) -> AdminSettings:
    """Settings with a certificate that vouches for itself, as `make run LAN=1` makes one."""
    made = make_certificate(tmp_path, "192.168.1.2")
    return replace(services.settings, listen=Endpoint("192.168.1.2", 8443), tls=TlsSettings(made.chain, made.key))


def test_certificate_of_ones_own_is_told_from_others(services: Services, own: AdminSettings, tmp_path: Path) -> None:
    """Nothing is said of an authority's, of plain HTTP, of a front end's certificate, and of a file that cannot be read."""
    assert own.tls is not None
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(own.tls.certificate.read_text())).hexdigest().upper()
    assert own_fingerprint(own).replace(" ", "") == digest
    vouched = Authority(tmp_path).vouch("office.example")
    assert not own_fingerprint(replace(own, tls=TlsSettings(vouched.certificate, vouched.key)))
    assert not own_fingerprint(services.settings)
    assert not own_fingerprint(replace(own, url="http://office.example"))
    assert not own_fingerprint(replace(own, trusted_proxies=(ip_network("10.0.0.1/32"),)))
    own.tls.certificate.write_text("x")
    assert not own_fingerprint(own)


async def test_terminal_says_it_too(services: Services, own: AdminSettings) -> None:
    """Below the one-time link, in both languages; nothing over plain HTTP."""
    ensure_token(own.state_dir)
    assert await warning_ahead(own) in show_link(own) and "chỉ đi tiếp khi" in show_link(own)
    assert terminal_lines(services.settings) == "" and "\n" not in show_link(services.settings)


async def _recovery(browser: Visitor) -> None:
    await browser.get("/recovery")
    await browser.submit("/recovery")


async def _invitation(browser: Visitor) -> None:
    await browser.get("/people")
    await browser.submit("/people", {"last": ""})


async def _phone(browser: Visitor) -> None:
    profile = next(link for link in browser.links if link.startswith("/profiles/"))
    await browser.get(f"{profile}/phones/new")
    await browser.submit(f"{profile}/phones", {"label": "máy xanh"})


WAYS = {"recovery": _recovery, "invitation": _invitation, "phone": _phone}


@pytest_asyncio.fixture
async def parent(services: Services, own: AdminSettings) -> AsyncIterator[Visitor]:
    """A parent at pages with such a certificate."""
    here = replace(services, settings=own)
    await make_family(here)
    browser = Visitor(create_app(here))
    await browser.sign_in("me", PASSWORD)
    yield browser
    await browser.close()


@pytest.mark.parametrize("way", WAYS)
async def test_sheets_prepare_for_the_warning(parent: Visitor, own: AdminSettings, way: str) -> None:
    """What will be seen, what to compare it with, and to stop at such words elsewhere."""
    walk: Callable[[Visitor], Awaitable[None]] = WAYS[way]
    await walk(parent)
    assert WARNING in parent.text, parent.text
    assert own_fingerprint(own) in parent.text
    assert "Ở trang khác, thấy vậy thì dừng lại" in parent.text


async def test_posters_of_a_school_do_so_too(services: Services, own: AdminSettings, gateway: ScriptedGateway) -> None:
    """The picture for teachers' phones and the sheet for families, with the way to a certificate that nobody is warned of."""
    browser = Visitor(create_app(replace(services, settings=own)))
    await browser.get(f"/setup/{ensure_token(own.state_dir)}")
    await browser.submit("/setup", {"place": "school"}, ("go", "1"))
    await browser.submit("/setup", {"classes": "3A"}, ("go", "1"))
    await browser.submit("/setup", {}, ("go", "1"))
    await browser.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    for path, action, fields in (("/staff", "/staff", {}), ("/families", "/families/codes", {"label": "Trường mẫu"})):
        await browser.get(path)
        await browser.submit(action, fields)
        assert WARNING in browser.text and own_fingerprint(own) in browser.text, path
        assert "/guide/van-hanh#m3" in browser.links
    await browser.close()
