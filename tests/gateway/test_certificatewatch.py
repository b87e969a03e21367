"""The end of the certificate is told before phones lose their names: sentences, numbers, and the real program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from gateway.certificatewatch import CertificateState, CertificateWatch, end_of
from gateway.settings import TlsSettings
from tests.support.certificates import Authority, ServerCertificate
from tests.support.gateway import ROOT, Gateway

DAY = 86_400.0
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1}
tls: {certificate: {folder}/cert.pem, key: {folder}/key.pem, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.9"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: a, band: NL}]
"""


def put(folder: Path, vouched: ServerCertificate) -> TlsSettings:
    """The files as an ACME client puts them: renamed into place."""
    for source, name in ((vouched.certificate, "cert.pem"), (vouched.key, "key.pem")):
        fresh = folder / f"{name}.new"
        fresh.write_bytes(source.read_bytes())
        os.replace(fresh, folder / name)
    return TlsSettings(folder / "cert.pem", folder / "key.pem", "dns.example")


@pytest.mark.parametrize(
    ("days", "standing", "words"),
    [
        (15, "good", ()),
        (13, "soon", ("chứng chỉ hết hạn ngày", "Private DNS lose every name", "no restart is needed")),
        (-1, "ended", ("CHỨNG CHỈ ĐÃ HẾT HẠN", "THE CERTIFICATE ENDED")),
    ],
)
def test_end_is_told_a_fortnight_before(days: float, standing: str, words: tuple[str, ...]) -> None:
    """Nothing while there is time; then what phones lose and the remedy, in both languages."""
    state = CertificateState(1_000_000_000 + days * DAY)
    told = state.sentences(1_000_000_000)
    assert len(told) == bool(words) and all(word in told[0] for word in words)
    assert state.describe(1_000_000_000)["standing"] == standing


def test_files_that_do_not_fit_are_told_until_they_do(tmp_path: Path) -> None:
    """The end stays that of the certificate that is served; a right pair ends the trouble."""
    authority = Authority(tmp_path)
    tls, watch = put(tmp_path, authority.vouch("dns.example")), CertificateWatch()
    first = watch.look(tls)
    assert first is not None and not first.refused and first.ends_at == end_of(tls.certificate)
    other = authority.vouch("dns.example", is_expired=True)
    tls.certificate.write_bytes(other.certificate.read_bytes())
    for _ in range(2):
        broken = watch.look(tls)
        assert broken is not None and "cannot be used together" in broken.refused and broken.ends_at == first.ends_at
    assert "the one before is still served, until" in broken.sentences(time.time())[0]
    tls.key.write_bytes(other.key.read_bytes())
    mended = watch.look(tls)
    assert mended is not None and not mended.refused and mended.ends_at < time.time()
    assert watch.look(None) is None


def test_certificate_that_ended_is_told_everywhere(tmp_path: Path) -> None:
    """The real program: check, status, metrics and the page for readiness name it, and a renewal that failed, until it goes well."""
    authority = Authority(tmp_path)
    tls = put(tmp_path, authority.vouch("dns.example", is_expired=True))
    with Gateway(tmp_path, SETTINGS) as gateway:
        checked = command("check", gateway.path)
        assert checked.returncode == 0 and "! tls.certificate: CHỨNG CHỈ ĐÃ HẾT HẠN" in checked.stdout
        shown = command("status", gateway.path)
        assert "THE CERTIFICATE ENDED" in shown.stdout and "phones with Private DNS lose every name" in shown.stdout
        assert "THE CERTIFICATE ENDED" in page(gateway, "readyz")
        assert number(gateway, "not_after_timestamp_seconds") == end_of(tls.certificate) and not number(gateway, "refused")
        tls.key.write_bytes(authority.vouch("dns.example").key.read_bytes())
        assert number(gateway, "refused") == 1
        assert "the certificate files on the disk cannot be used" in command("status", gateway.path).stdout
        put(tmp_path, authority.vouch("dns.example"))
        assert number(gateway, "refused") == 0 and number(gateway, "not_after_timestamp_seconds") > time.time() + 20 * DAY
        assert gateway.status()["certificate"]["standing"] == "good" and "ertificate" not in command("status", gateway.path).stdout


def page(gateway: Gateway, name: str) -> str:
    """One of the pages on the metrics address."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics}/{name}", timeout=10) as reply:
        return str(reply.read(), "utf-8")


def number(gateway: Gateway, name: str) -> float:
    """A gauge of the certificate."""
    found = re.search(rf"^lachan_certificate_{name} (\S+)$", page(gateway, "metrics"), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def command(name: str, config: Path) -> subprocess.CompletedProcess[str]:
    """A command of the program, as a person calls it."""
    return subprocess.run([sys.executable, "-m", "lachan", name, "-c", str(config)], cwd=ROOT, capture_output=True, text=True, check=False)
