"""`lachan certificate` as a person runs it for a first try: the line for the configuration, and a gateway that answers over TLS by it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.gateway import Gateway, RunningUpstream, run_command
from tests.support.namespaces import records

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
{tls}
dot: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: me, band: NL}]
default_profile: me
"""


def test_certificate_carries_names_and_addresses_and_its_key_is_private(tmp_path: Path) -> None:
    """The name, one label below it for each phone's token, and the addresses; a second run replaces nothing."""
    options = ("certificate", "--name", "dns.example", "--address", "127.0.0.1", "--address", "fd00::2", "--folder", str(tmp_path))
    done = run_command(*options)
    assert done.returncode == 0, done.stderr
    made = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    carried = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert carried.get_values_for_type(x509.DNSName) == ["dns.example", "*.dns.example"]
    assert [str(one) for one in carried.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "fd00::2"]
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    before = (tmp_path / "key.pem").read_bytes()
    again = run_command(*options)
    assert again.returncode == 1 and "is there already" in again.stderr
    assert (tmp_path / "key.pem").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "*.dns.example"), "--name"),
        (("--name", "dns"), "--name"),
        (("--name", "dns.example", "--address", "here"), "--address"),
        (("--name", "dns.example", "--folder", "/proc/nowhere"), "cannot be written"),
    ],
)
def test_option_that_cannot_be_used_is_one_sentence(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """With the place, exit status 1 and no file."""
    folder = () if "--folder" in options else ("--folder", str(tmp_path))
    done = run_command("certificate", *options, *folder)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_gateway_answers_over_tls_with_it(tmp_path: Path) -> None:
    """What the command prints goes into the configuration as it is; kdig, told to trust the file, asks over TLS."""
    if shutil.which("kdig") is None:
        pytest.skip("kdig is not installed")
    line = run_command("certificate", "--name", "dns.example", "--address", "127.0.0.1", "--folder", str(tmp_path)).stdout.strip()
    text = SETTINGS.replace("{tls}", line)
    with (
        RunningUpstream({("open.example", "A"): ["198.51.100.20"]}) as upstream,
        Gateway(tmp_path, text, upstream=upstream.port) as gateway,
    ):
        [port] = [row["address"].rpartition(":")[2] for row in gateway.status()["listen"] if row["transport"] == "dot"]
        command = ["kdig", "@127.0.0.1", "-p", port, f"+tls-ca={tmp_path / 'cert.pem'}", "+tls-hostname=dns.example", "open.example"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert records(done.stdout, "A") == ["198.51.100.20"], done.stdout + done.stderr
