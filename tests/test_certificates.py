"""A certificate for `*.dns.example` by ACME and DNS-01: certbot asks a test authority (pebble) as the guide in deploy/certificates.md says,
and the gateway takes a renewal over on every encrypted transport while connections under way go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import dns.message
import httpx
import pytest
from cryptography import x509

from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import ROOT, Gateway, RunningUpstream
from tests.support.upstream import Asked, Script, ScriptedUpstream, reply_to, wire

pytestmark = pytest.mark.full

NAME, TOKEN = "dns.example", "k7m2p-x9w4q-3r8t5"
OPEN = ["192.0.2.80"]
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 2}
tls: {certificate: {live}/fullchain.pem, key: {live}/privkey.pem, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
doh: {listen: ["127.0.0.1:0"]}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: me, band: NL}]
clients: [{id: may-me, profile: me, match: ["token:k7m2p-x9w4q-3r8t5"]}]
"""
HOOK = """#!/bin/sh
echo "$CERTBOT_VALIDATION" >> {txt}
"""


class Zone(ScriptedUpstream):
    """The zone that the provider of the name keeps: the challenges that certbot's hook writes."""

    def __init__(self, txt: Path) -> None:
        super().__init__()
        self.txt = txt

    def handle(self, asked: Asked) -> Script:
        """Every challenge written so far."""
        if asked.qname.lower() == f"_acme-challenge.{NAME}" and asked.qtype == "TXT" and self.txt.exists():
            lines = self.txt.read_text(encoding="ascii").split()
            return wire(reply_to(asked, *(f'_acme-challenge.{NAME}. 1 IN TXT "{line}"' for line in lines)))
        return super().handle(asked)


@dataclass
class Acme:
    """Certbot with an authority that hands out certificates to whoever controls the zone."""

    folder: Path
    directory: str
    trust: Path

    @property
    def live(self) -> Path:
        """Where certbot keeps the certificate in force: links into its archive."""
        return self.folder / "letsencrypt" / "live" / NAME

    def run(self, *arguments: str) -> None:
        """Certbot, as a person calls it."""
        place = self.folder / "letsencrypt"
        folders = ("--config-dir", str(place), "--work-dir", str(place / "work"), "--logs-dir", str(place / "logs"))
        at_once = ("--no-random-sleep-on-renew",) if arguments[0] == "renew" else ()
        command = ["certbot", *arguments, *folders, *at_once, "--server", self.directory, "--non-interactive"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "REQUESTS_CA_BUNDLE": str(self.trust)}
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def serial(self) -> int:
        """The number of the certificate in force."""
        return x509.load_pem_x509_certificate((self.live / "fullchain.pem").read_bytes()).serial_number


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme]:
    """A certificate for the name and all below it, by the command of the guide."""
    for program in ("pebble", "certbot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("acme")
    authority = Authority(folder)
    own = authority.vouch("localhost", "127.0.0.1")
    port = free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{free_port()}", "certificate": str(own.certificate),
        "privateKey": str(own.key), "httpPort": free_port(), "tlsPort": free_port(),
    }  # fmt: skip
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}), encoding="ascii")
    hook = folder / "hook.sh"
    hook.write_text(HOOK.replace("{txt}", str(folder / "txt")), encoding="ascii")
    hook.chmod(0o755)
    with RunningUpstream(upstream=Zone(folder / "txt")) as zone, (folder / "pebble.log").open("wb") as log:
        fast = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        command = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{zone.port}"]
        pebble = subprocess.Popen(command, stdout=log, stderr=log, env=fast)
        try:
            directory = f"https://127.0.0.1:{port}/dir"
            trust = ssl.create_default_context(cafile=str(authority.file))
            for _ in range(200):
                try:
                    httpx.get(directory, verify=trust, trust_env=False)
                    break
                except httpx.TransportError:
                    assert pebble.poll() is None, (folder / "pebble.log").read_text(encoding="utf-8")
            made = Acme(folder, directory, authority.file)
            words = guide_command()
            words[words.index("--manual-auth-hook") + 1] = str(hook)
            made.run(*words, "--agree-tos", "--register-unsafely-without-email")
            yield made
        finally:
            pebble.terminate()
            pebble.wait(10)


def guide_command() -> list[str]:
    """The words of the guide's command for certbot."""
    text = (ROOT / "deploy" / "certificates.md").read_text(encoding="utf-8")
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith("certbot certonly"))
    return line.replace("dns.example.net", NAME).split()[1:]


def question(number: int) -> bytes:
    """A query for a name nobody asked yet."""
    return dns.message.make_query(f"n{number}.example", "A", id=0, use_edns=0).to_wire()


async def test_renewed_certificate_is_taken_over_and_nobody_is_cut_off(acme: Acme) -> None:
    """The link in `live/` is switched by certbot's renewal: within seconds new connections over DoT, DoH and DoQ are shown the new
    certificate, and the three that were open before are asked and answered as before."""
    with RunningUpstream({(f"n{number}.example", "A"): OPEN for number in range(40)}) as upstream:
        folder = acme.folder / "gateway"
        folder.mkdir()
        with Gateway(folder, SETTINGS, upstream=upstream.port, live=acme.live) as gateway:
            ports = {row["transport"]: int(row["address"].rpartition(":")[2]) for row in gateway.status()["listen"]}
            blind = ssl.create_default_context()
            blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # the authority makes its root anew each time it starts
            async with AsyncExitStack() as stack:
                name = f"{TOKEN}.{NAME}"
                reader, writer = await asyncio.open_connection("127.0.0.1", ports["dot"], ssl=blind, server_hostname=name)
                stack.callback(writer.close)
                web = await stack.enter_async_context(httpx.AsyncClient(http2=True, verify=blind, trust_env=False, timeout=10))
                quic = await stack.enter_async_context(quicclient.dial(ports["doq"], None, name))

                async def ask_all(number: int) -> list[list[str]]:
                    query = question(number)
                    writer.write(len(query).to_bytes(2, "big") + query)
                    size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), 10), "big")
                    url = f"https://127.0.0.1:{ports['doh']}/dns-query/{TOKEN}"
                    over_web = await web.post(url, content=query, headers={"content-type": "application/dns-message"})
                    replies = [await reader.readexactly(size), over_web.content, await quic.ask(query) or b""]
                    return [[str(rdata) for rrset in dns.message.from_wire(one).answer for rdata in rrset] for one in replies]

                assert await ask_all(0) == [OPEN] * 3
                before = acme.serial()
                assert await shown(ports, blind) == {before}
                await asyncio.to_thread(acme.run, "renew", "--force-renewal")
                after = acme.serial()
                assert after != before
                for number in range(1, 39):
                    assert await ask_all(number) == [OPEN] * 3
                    if await shown(ports, blind) == {after}:
                        break
                    await asyncio.sleep(0.5)
                assert await shown(ports, blind) == {after}
                assert await ask_all(39) == [OPEN] * 3
                assert quic.closed_with is None and not reader.at_eof()


async def shown(ports: dict[str, int], blind: ssl.SSLContext) -> set[int]:
    """The numbers of the certificates that new connections are shown: two of each kind, for there are two workers."""
    found = set()
    for transport in ("dot", "doh", "dot", "doh"):
        _, writer = await asyncio.open_connection("127.0.0.1", ports[transport], ssl=blind, server_hostname=NAME)
        found.add(x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True)).serial_number)
        writer.close()
    async with quicclient.dial(ports["doq"], None, NAME) as quic:
        certificate = quic._quic.tls._peer_certificate  # aioquic tells it nowhere else
        assert certificate is not None
        found.add(certificate.serial_number)
    return found
