"""TLS towards upstreams: strict, by name or by pinned public key; never opportunistic. Imported by `selector`, `stream`; `servers` reads
pins.

RFC 7858 §4.2 (pins), 8310 §8 (strict profile), 8484, 9325 (TLS 1.2 and above).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
from typing import Final

from gateway.settings import UpstreamAddress

PIN_PATH: Final = "/pin-sha256="
"""How a pin is written: `tls://dns.example/pin-sha256=BASE64@192.0.2.1`."""
CERTIFICATE: Final = "certificate: "
"""How the reason begins where a certificate is not valid."""
PIN: Final = "the public key is not the pinned one"
_ALPN: Final = {"tls": "dot", "https": "h2"}


def read_pin(path: str) -> bytes:
    """The SHA-256 digest of a public key written as the path of a `tls://` upstream; empty without a path. Raises ValueError with a
    sentence."""
    if not path:
        return b""
    if not path.startswith(PIN_PATH):
        raise ValueError(f"the only path of a tls:// server is {PIN_PATH}… (the SHA-256 of its public key in base64)")
    text = path.removeprefix(PIN_PATH).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("the pin is not a SHA-256 digest in base64 (43 characters)")
    return digest


def make_context(address: UpstreamAddress, authorities: str | None = None) -> ssl.SSLContext:
    """The context for one upstream: its certificate must be valid for its name, or its key pinned. `authorities` is a PEM file instead of
    the system's."""
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_ALPN[address.scheme]])
    if address.scheme == "tls" and address.path:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_pinned(connection: ssl.SSLObject | ssl.SSLSocket | None, pin: bytes) -> bool:
    """Whether the server's public key (SubjectPublicKeyInfo) has this SHA-256 digest."""
    certificate = connection.getpeercert(binary_form=True) if connection is not None else None
    if not certificate:
        return False
    # Imported here: only gateways with a pin need it, and it is large.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    return hmac.compare_digest(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest(), pin)
