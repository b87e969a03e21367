"""Which certificates phones refuse, and the sentence about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.certificatetrust import Doubt, doubt_of, doubt_told
from gateway.settings import TlsSettings
from lachan.certificate import write

NOW = datetime(2026, 11, 28, 5, tzinfo=UTC)
NAMES = ("dns.example", "*.dns.example")
CA_USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


class PublicAuthority:
    """An authority as the public ones are: a root, an intermediate, leaves for servers."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._ca(f"{name} root", f"{name} root", self.root_key, self.root_key)
        self.between = self._ca(f"{name} R3", f"{name} root", self.key, self.root_key)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.root.public_bytes(Encoding.PEM))

    def _ca(self, name: str, issuer: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        start = NOW - timedelta(days=100)
        builder = x509.CertificateBuilder(_name(issuer), _name(name), key.public_key(), 7, start, NOW + timedelta(days=900))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(CA_USAGE, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        return builder.sign(by, hashes.SHA256())

    def vouch(self, *names: str, ends: datetime = NOW + timedelta(days=60)) -> TlsSettings:
        """A chain for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(self.between.subject, _name(names[0]), key.public_key(), 8, NOW - timedelta(days=30), ends)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        leaf = builder.sign(self.key, hashes.SHA256())
        path = self.folder / "fullchain.pem"
        path.write_bytes(leaf.public_bytes(Encoding.PEM) + self.between.public_bytes(Encoding.PEM))
        return TlsSettings(path, self.folder / "no-key-is-read", "dns.example")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def test_a_chain_to_a_known_authority_is_taken(tmp_path: Path) -> None:
    """Also on the day after its end, which is another fault and told elsewhere; and where this machine has no list of authorities."""
    public = PublicAuthority(tmp_path, "public")
    assert doubt_of(public.vouch(*NAMES), NOW, public.file) == ""
    assert doubt_of(public.vouch(*NAMES, ends=NOW - timedelta(days=1)), NOW, public.file) == ""
    assert doubt_of(public.vouch(*NAMES), NOW, tmp_path / "none.pem") == ""


def test_what_phones_refuse_is_known_with_its_reason(tmp_path: Path) -> None:
    """Signed by itself, by an authority of one's own, or without the names of the phones."""
    public, private = PublicAuthority(tmp_path, "public"), PublicAuthority(tmp_path, "private")
    certificate, key = write("dns.example", ["192.0.2.1"], tmp_path / "own")
    assert doubt_of(TlsSettings(certificate, key, "dns.example"), NOW, public.file) == "own"
    assert doubt_of(private.vouch(*NAMES), NOW, public.file) == "unknown"
    assert doubt_of(private.vouch(*NAMES), NOW) == "unknown", "by the list of this machine"
    assert doubt_of(public.vouch("dns.example"), NOW, public.file) == "names", "Android asks under a name for each phone"
    assert doubt_of(public.vouch("other.example", "*.other.example"), NOW, public.file) == "names"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nbad\n-----END CERTIFICATE-----\n", None])
def test_files_that_cannot_be_read_are_told_elsewhere(content: bytes | None, tmp_path: Path) -> None:
    """No word about who signed what nobody can read."""
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_bytes(content)
    assert doubt_of(TlsSettings(path, tmp_path / "key.pem", "dns.example"), NOW) == ""


@pytest.mark.parametrize(("doubt", "words"), [("own", "nó tự ký"), ("unknown", "knows no authority"), ("names", "*.dns.example"), ("", "")])
def test_the_sentence_says_what_happens_and_what_to_do(doubt: Doubt, words: str) -> None:
    """In both languages, with the document to read."""
    told = doubt_told(TlsSettings(Path("c"), Path("k"), "dns.example"), doubt)
    assert words in told
    assert not doubt or ("mất mạng" in told and "has no Internet" in told and "deploy/certificates.md" in told)
