"""Certificates that vouch for themselves; and `lachan certificate`, which makes one for a first try of DNS over TLS, HTTPS and QUIC. Only
`lachan` imports this module.

Phones and browsers refuse it unless somebody tells them to trust it; `kdig` and `curl` can be told. An ACME certificate takes its place
later: the same two files, replaced while the gateway runs (deploy/certificates.md).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import Mistake, SettingsError

HOLDS: Final = timedelta(days=90)
CERTIFICATE, KEY = "cert.pem", "key.pem"


def write(name: str, addresses: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Write a certificate for `name`, every name one label below it, and these addresses, with its key (mode 0600). Files that are there
    stay. Raises SettingsError when an option cannot be used."""
    subjects: list[x509.GeneralName] = []
    try:
        plain = name.rstrip(".").lower()
        if not plain.isascii() or "." not in plain or plain.startswith(("*", ".")):
            raise ValueError
        subjects += [x509.DNSName(plain), x509.DNSName(f"*.{plain}")]
    except ValueError:
        raise SettingsError([Mistake("--name", f"{name!r} is no name of a host", "for example --name dns.example.net")]) from None
    for text in addresses:
        try:
            subjects.append(x509.IPAddress(ip_address(text)))
        except ValueError:
            raise SettingsError([Mistake("--address", f"{text!r} is not an IP address", "for example 192.168.1.2")]) from None
    certificate, key = folder / CERTIFICATE, folder / KEY
    for path in (certificate, key):
        if path.exists():
            raise SettingsError([Mistake("--folder", f"{path} is there already", "move it away, or choose another folder")])
    chain, secret = make(plain, subjects, HOLDS, datetime.now(UTC))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        put(key, secret, 0o600)
        put(certificate, chain, 0o644)
    except OSError as error:
        raise SettingsError([Mistake("--folder", f"{folder} cannot be written: {error.strerror}")]) from None
    return certificate, key


def make(who: str, subjects: Sequence[x509.GeneralName], life: timedelta, now: datetime) -> tuple[bytes, bytes]:
    """A certificate that vouches for itself, and its key, as PEM; valid from an hour ago, for clocks that go wrong."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who[:64])])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + life)
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    chain = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def put(path: Path, content: bytes, mode: int) -> None:
    """A whole file or none, with this mode from its first octet on."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
