"""The pages on the local network: an own certificate that fits, kept while it does, and never against what the file says."""

from __future__ import annotations

import dataclasses
import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

from admin.settings import AdminSettings
from gateway.settings import DnsSettings, Endpoint, GatewaySettings, TlsSettings, UpstreamSettings
from lachan.lanpages import PORT, make_certificate, open_pages

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def settings(folder: Path, listen: Endpoint) -> AdminSettings:
    """Settings of the control plane with this listen address."""
    dns = DnsSettings((Endpoint("127.0.0.1", 53),), 1, (ip_network("127.0.0.0/8"),), None, "lachan.internal")
    gateway = GatewaySettings(state_dir=folder, dns=dns, upstreams=UpstreamSettings((), "fastest", {}, 2.0), policy={})
    return AdminSettings(listen=listen, database="sqlite+aiosqlite://", state_dir=folder, gateway=gateway)


def test_pages_move_to_the_network_over_tls(tmp_path: Path) -> None:
    """Pages meant for this machine alone are opened on the LAN address, encrypted, with a key nobody else reads."""
    opened = open_pages(settings(tmp_path, Endpoint("127.0.0.1", 8080)), "127.0.0.9", NOW)
    assert opened.listen == Endpoint("127.0.0.9", PORT)
    assert opened.tls is not None
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(opened.tls.certificate, opened.tls.key)
    assert stat.S_IMODE(opened.tls.key.stat().st_mode) == 0o600


def test_what_the_file_says_stays(tmp_path: Path) -> None:
    """An address the person chose is not moved."""
    chosen = settings(tmp_path, Endpoint("192.168.1.2", 443))
    assert open_pages(chosen, "192.168.1.9", NOW) == chosen
    page = dataclasses.replace(settings(tmp_path, Endpoint("127.0.0.1", 8080)), block_page=Endpoint("127.0.0.8", 8088))
    assert open_pages(page, "127.0.0.9", NOW).block_page == Endpoint("127.0.0.8", 8088)


def _content(tls: TlsSettings) -> bytes:
    return tls.certificate.read_bytes()


def test_certificate_is_kept_until_it_no_longer_fits(tmp_path: Path) -> None:
    """The same certificate serves again, so that browsers ask once; a new address or a near end makes a new one."""
    first = _content(make_certificate(tmp_path, "192.168.1.2", "lachan.internal", NOW))
    assert _content(make_certificate(tmp_path, "192.168.1.2", "lachan.internal", NOW + timedelta(days=300))) == first
    moved = _content(make_certificate(tmp_path, "192.168.1.3", "lachan.internal", NOW))
    assert moved != first
    assert _content(make_certificate(tmp_path, "192.168.1.3", "lachan.internal", NOW + timedelta(days=380))) != moved
