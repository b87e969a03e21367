"""Certificates that nobody vouches for. That of the pages, when the machine made it: a browser warns, and what it shows can be compared
with paper. That of DNS over TLS and HTTPS, when phones refuse it (`phones_doubt`): a phone that is set to it has no Internet.

Every sheet, poster and link that leads to such pages carries the certificate's fingerprint and says what to do; nothing is said where an
authority vouches for it. Imported by routes, by the terminal's words (`admin.process`, `admin.commands`) and by `lachan`.
"""

from __future__ import annotations

import asyncio
import textwrap
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from admin.settings import AdminSettings
from admin.setup import public_url
from gateway.certificatetrust import Doubt, doubt_of
from gateway.settings import GatewaySettings


def own_fingerprint(settings: AdminSettings) -> str:
    """SHA-256 of the certificate of these pages when no authority signed it, in groups of four digits; empty otherwise. Reads its file.
    Behind a front end it is that one's certificate that counts, and nothing is said."""
    if settings.tls is None or settings.trusted_proxies or not public_url(settings).startswith("https:"):
        return ""
    try:
        leaf = x509.load_pem_x509_certificate(settings.tls.certificate.read_bytes())
    except (OSError, ValueError):  # being replaced, or unreadable: nothing is known of it
        return ""
    if leaf.issuer != leaf.subject:
        return ""
    return " ".join(textwrap.wrap(leaf.fingerprint(hashes.SHA256()).hex().upper(), 4))


async def warning_ahead(settings: AdminSettings) -> str:
    """The fingerprint that a browser's warning will show at these pages; empty when it will not warn."""
    return await asyncio.to_thread(own_fingerprint, settings)


async def phones_doubt(gateway: GatewaySettings, now: datetime) -> Doubt:
    """Why phones refuse the certificate under which they would ask this gateway; empty when they do not, or it has none."""
    return await asyncio.to_thread(doubt_of, gateway.tls, now) if gateway.tls is not None else ""


def terminal_lines(settings: AdminSettings) -> str:
    """What stands below a link in a terminal; empty when the browser will not warn."""
    own = own_fingerprint(settings)
    if not own:
        return ""
    return (
        "Trình duyệt sẽ hỏi về chứng chỉ; chỉ đi tiếp khi dấu vân tay SHA-256 đúng là / the browser asks about the certificate; go on\n"
        f"only when its SHA-256 fingerprint is:\n  {own}\n"
    )
