"""Whether phones accept the certificate of the encrypted listeners: who signed it, and for which names.

Android's Private DNS and Apple's settings files take a certificate of a public authority and nothing else, and a phone that is set to a
server which it does not accept has no Internet at all. So sheets and pages say it before anybody sets a phone, and `lachan check` says it,
too. Pure but for the two files it reads; not for the answer path. The pages and `lachan` import this module.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from gateway.settings import TlsSettings

if TYPE_CHECKING:
    from cryptography import x509

Doubt = Literal["", "own", "unknown", "names"]
"""Why phones refuse it: it vouches for itself, no authority this machine knows signed it, or it is for other names. Empty: they do not."""

_REFUSED: Final = (
    "điện thoại (DNS riêng tư của Android, tệp cài đặt của Apple) KHÔNG nhận chứng chỉ này: {vi}. Máy nào cài lúc này sẽ mất mạng; đừng"
    " phát phiếu cho điện thoại trước khi có chứng chỉ thật / phones (Private DNS of Android, Apple's settings file) do NOT accept"
    " this certificate: {en}. A phone set to it now has no Internet; hand out no phone sheets before there is a real one"
    " (deploy/certificates.md)"
)
_WHY: Final[dict[Doubt, tuple[str, str]]] = {
    "own": ("nó tự ký", "it signed itself"),
    "unknown": ("máy này không biết nơi ký nó", "this machine knows no authority that signed it"),
    "names": ("nó không ghi tên {name} và *.{name}", "it is not for {name} and *.{name}"),
}


def doubt_of(tls: TlsSettings, now: datetime, authorities: Path | None = None) -> Doubt:
    """Why phones refuse this certificate at `now`. `authorities`: a PEM file of those that are trusted, else the system's; where there is
    none, nothing is said of who signed. Nothing is said of files that cannot be read, or of an end: `certificatewatch` tells those."""
    from cryptography import x509  # only where there is a certificate

    try:
        leaf, *above = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
    except (OSError, ValueError):
        return ""
    if leaf.issuer == leaf.subject:
        return "own"
    if tls.name and not {tls.name.lower(), f"*.{tls.name.lower()}"} <= _names_of(leaf):
        return "names"
    return "" if _is_vouched_for(leaf, above, now, authorities) else "unknown"


def doubt_told(tls: TlsSettings, doubt: Doubt) -> str:
    """The sentence of a doubt for a terminal, in both languages; empty without one."""
    if not doubt:
        return ""
    vi, en = (text.format(name=tls.name or "") for text in _WHY[doubt])
    return _REFUSED.format(vi=vi, en=en)


def _names_of(leaf: x509.Certificate) -> set[str]:
    from cryptography import x509

    try:
        subjects = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return {name.lower() for name in subjects.get_values_for_type(x509.DNSName)}


def _is_vouched_for(leaf: x509.Certificate, above: list[x509.Certificate], now: datetime, authorities: Path | None) -> bool:
    """Whether a chain leads to an authority that is trusted here; True where nobody can tell."""
    from cryptography import x509
    from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

    known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        known.load_verify_locations(authorities or ssl.get_default_verify_paths().cafile)
    except (OSError, TypeError):  # a machine without the list of authorities
        return True
    names = sorted(_names_of(leaf))
    issuers = [one.issuer.public_bytes() for one in (leaf, *above)]
    roots = [one for one in known.get_ca_certs(binary_form=True) if any(issuer in one for issuer in issuers)]
    if not roots or not names:
        return not names
    moment = min(now.astimezone(UTC), leaf.not_valid_after_utc - timedelta(seconds=1)).replace(tzinfo=None)
    try:
        store = Store([x509.load_der_x509_certificate(one) for one in roots])
        PolicyBuilder().store(store).time(moment).build_server_verifier(x509.DNSName(names[-1].removeprefix("*."))).verify(leaf, above)
    except (VerificationError, ValueError):
        return False
    return True
