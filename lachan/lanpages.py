"""`make run LAN=1`: the pages on the local network too, over TLS, with a certificate this machine makes for itself. `lachan` imports it.

A browser warns once about such a certificate; the fingerprint printed beside the link lets a person compare. The explaining page takes port
80 of the same address, where blocked names lead. What the configuration file says about addresses beyond this machine is left as it is.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from admin.settings import AdminSettings
from gateway.settings import Endpoint, TlsSettings
from lachan import certificate
from lachan.lan import try_port

PORT = 8443
EXPLAINING_PORT = 80
LIFE = timedelta(days=397)
_RENEW = timedelta(days=30)


def open_pages(settings: AdminSettings, address: str, now: datetime) -> AdminSettings:
    """The settings with the pages on `address`, unless the file already names another address than this machine's own."""
    if not ip_address(settings.listen.host).is_loopback:
        return settings
    tls = settings.tls or make_certificate(settings.state_dir / "tls", address, settings.gateway.dns.name, now)
    page = settings.block_page
    if page is None and try_port(address, EXPLAINING_PORT) == 0:
        page = Endpoint(address, EXPLAINING_PORT)
    return dataclasses.replace(settings, listen=Endpoint(address, PORT), tls=tls, block_page=page)


def make_certificate(folder: Path, address: str, name: str, now: datetime) -> TlsSettings:
    """A certificate of this machine's own for its address and name; kept while it fits and is not about to end. The key is 0600."""
    tls = TlsSettings(folder / "self.pem", folder / "self.key", name)
    if _fits(tls, address, now):
        return tls
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    chain, key = certificate.make("Lá Chắn", [x509.DNSName(name), x509.IPAddress(ip_address(address))], LIFE, now)
    certificate.put(tls.key, key, 0o600)
    certificate.put(tls.certificate, chain, 0o644)
    return tls


def _fits(tls: TlsSettings, address: str, now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        tls.key.exists() and ip_address(address) in names.get_values_for_type(x509.IPAddress) and found.not_valid_after_utc > now + _RENEW
    )
