"""Policy zones taken from a real BIND primary: TSIG, NOTIFY, TLS; a primary that is away, cuts, or signs wrongly changes nothing."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest

from blocklists.secondary import PullError, pull
from blocklists.zonesettings import TlsPrimary
from gateway.settings import Endpoint
from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream

SECRET, WRONG = "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ==", "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg=="
REAL = "192.0.2.10"
NAMES = ("bad", "later", "soon", "wrong", "open", "intls", "afterwards")
RECORDS = {(f"{name}.example", "A"): [REAL] for name in NAMES}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
rpz:
  - {name: main.rpz, primary: {address: "127.0.0.1:{primary}", tsig: {name: gateway, secret_file: gateway.key}}}
  - {name: tls.rpz, primary: {address: "127.0.0.1:{secure}", tls: {name: ns1.example, authorities: "{authority}"}}}
profiles: [{id: lon, band: NL}]
default_profile: lon
"""
ZONE = "$TTL 60\n@ SOA ns. admin. 1 3600 600 86400 60\n  NS ns.\n{rules}\n"
NAMED = """
options {{
    directory "{folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify explicit;
    listen-on port {primary} {{ 127.0.0.1; }}; listen-on port {secure} tls local {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
}};
controls {{ }};
tls local {{ cert-file "{certificate}"; key-file "{key}"; }};
key gateway {{ algorithm hmac-sha256; secret "{secret}"; }};
zone main.rpz {{
    type primary; file "main.zone"; journal "main.jnl"; ixfr-from-differences yes; allow-update {{ 127.0.0.1; }};
    allow-transfer {{ key gateway; }}; also-notify {{ 127.0.0.1 port {gateway} key gateway; }}; notify explicit;
}};
zone tls.rpz {{ type primary; file "tls.zone"; allow-transfer port {secure} transport tls {{ 127.0.0.1; }}; }};
"""
pytestmark = [pytest.mark.full, pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")]


class Primary:
    """A real BIND, started and ended as a test needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.secure = free_port(), free_port()
        authority = Authority(folder)
        self.authority, self.vouched = authority.file, authority.vouch("ns1.example")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "main.zone").write_text(ZONE.format(rules="bad.example CNAME ."))
        (folder / "tls.zone").write_text(ZONE.format(rules="intls.example CNAME ."))

    def start(self, gateway: int, secret: str = SECRET) -> None:
        """Run it, telling this port of the gateway."""
        text = NAMED.format(
            folder=self.folder,
            primary=self.port,
            secure=self.secure,
            certificate=self.vouched.certificate,
            key=self.vouched.key,
            secret=secret,
            gateway=gateway,
        )
        (self.folder / "named.conf").write_text(text)
        with (self.folder / "named.log").open("ab") as log:
            command = ["named", "-g", "-n", "1", "-c", str(self.folder / "named.conf")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert until(lambda: self.serial() > 0), self.log()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    def serial(self) -> int:
        """The serial it serves; 0 while it does not."""
        try:
            reply = dns.query.udp(dns.message.make_query("main.rpz", "SOA"), "127.0.0.1", 1, self.port)
            return int(reply.answer[0][0].serial) if reply.answer else 0
        except (OSError, dns.exception.DNSException):
            return 0

    def add(self, name: str) -> int:
        """One more name closed; the new serial."""
        change = dns.update.UpdateMessage("main.rpz")
        change.add(name, 60, "CNAME", ".")
        assert dns.query.tcp(change, "127.0.0.1", 5, self.port).rcode() == dns.rcode.NOERROR, self.log()
        return self.serial()

    def log(self) -> str:
        """The end of what it wrote."""
        return (self.folder / "named.log").read_text(errors="replace")[-4000:]


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds; whether it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return holds()


def is_closed(gateway: Gateway, name: str) -> bool:
    """Whether the gateway says that the name does not exist."""
    reply = gateway.ask(name)
    assert reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    return reply.rcode() == dns.rcode.NXDOMAIN


def zone_of(gateway: Gateway, name: str = "main.rpz") -> dict[str, object]:
    """How the gateway says a zone stands."""
    return next((zone for zone in gateway.status()["zones"] if zone["name"] == name), {})


@contextmanager
def cutting(port: int) -> Iterator[None]:
    """A primary that closes every connection in the middle of its first message."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.2)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    continue
                with connection:
                    connection.settimeout(2)
                    connection.recv(4096)
                    connection.sendall(b"\x40\0half a message")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def notify(port: int, secret: str | None) -> dns.message.Message:
    """What the gateway answers to a notice about the zone, signed with this secret or not at all."""
    notice = dns.message.make_query("main.rpz", "SOA")
    notice.set_opcode(dns.opcode.NOTIFY)
    notice.flags = (notice.flags | dns.flags.AA) & ~dns.flags.RD
    if secret is not None:
        notice.use_tsig(dns.tsig.Key("gateway", secret, "hmac-sha256"))
    return dns.query.udp(notice, "127.0.0.1", 5, port)


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Primary]:
    """BIND, not started yet."""
    folder = tmp_path / "bind"
    folder.mkdir()
    bind = Primary(folder)
    yield bind
    bind.stop()


def test_zone_of_a_real_primary_is_followed_and_kept(tmp_path: Path, primary: Primary) -> None:
    """From a primary that is not there yet to one that is gone: what it says is enforced within seconds, what it cannot prove never."""
    (tmp_path / "gateway.key").write_text(SECRET)
    fields = {"primary": primary.port, "secure": primary.secure, "authority": primary.authority}
    with (
        RunningUpstream(upstream=ScriptedUpstream(RECORDS)) as upstream,
        Gateway(tmp_path, SETTINGS, environment={"COLUMNS": "250"}, upstream=upstream.port, **fields) as gateway,
    ):
        # nobody there: names resolve, and the status says what is missing
        assert until(lambda: zone_of(gateway).get("code") == "unreachable")
        assert not is_closed(gateway, "bad.example") and gateway.metric("lachan_zone_failure", code="unreachable") == 2
        # it starts and tells us (NOTIFY with TSIG)
        primary.start(gateway.port)
        assert until(lambda: is_closed(gateway, "bad.example")), gateway.written() + primary.log()
        assert zone_of(gateway)["code"] is None
        # each change is enforced, by difference, and no query is lost meanwhile
        lost = threading.Event()
        done = threading.Event()

        def ask_on() -> None:
            while not done.is_set():
                try:
                    if not is_closed(gateway, "bad.example"):
                        lost.set()
                except (OSError, dns.exception.DNSException):
                    lost.set()
                time.sleep(0.01)

        asking = threading.Thread(target=ask_on)
        asking.start()
        serial = primary.add("later.example.main.rpz.")
        assert until(lambda: is_closed(gateway, "later.example")), gateway.written() + primary.log()
        done.set()
        asking.join()
        assert not lost.is_set()
        assert zone_of(gateway)["serial"] == serial == gateway.metric("lachan_zone_serial", zone="main.rpz")
        assert "IXFR" in primary.log() and not is_closed(gateway, "open.example")
        # over TLS, known by name
        assert gateway.command("zone", "refresh", "tls.rpz").returncode == 0
        assert until(lambda: is_closed(gateway, "intls.example"))
        # a notice that is not signed, or signed wrongly, is not believed
        assert notify(gateway.port, None).rcode() == dns.rcode.NOTAUTH
        with pytest.raises(dns.tsig.PeerBadSignature):
            notify(gateway.port, WRONG)
        assert notify(gateway.port, SECRET).rcode() == dns.rcode.NOERROR
        # a wrong key: the rules stay, and the reason is said
        primary.stop()
        primary.start(gateway.port, WRONG)
        primary.add("wrong.example.main.rpz.")
        told = gateway.command("zone", "refresh", "main.rpz")
        assert told.returncode == 1 and "do not agree on the key" in told.stderr and "main.rpz: giữ bản" in told.stdout, told
        assert is_closed(gateway, "later.example") and not is_closed(gateway, "wrong.example")
        assert "(key: " in gateway.command("status").stdout
        # a transfer that is cut
        primary.stop()
        with cutting(primary.port):
            assert gateway.command("zone", "refresh", "main.rpz").returncode == 1
        assert zone_of(gateway)["code"] == "cut"
        assert is_closed(gateway, "later.example")
        # a reload, with nobody there, keeps them as well; a primary that is back is believed again
        gateway.write(SETTINGS + "# changed\n")
        assert gateway.command("reload").returncode == 0
        assert is_closed(gateway, "later.example")
        primary.start(gateway.port)
        assert until(lambda: is_closed(gateway, "wrong.example")), gateway.written() + primary.log()
        primary.stop()
        # the copy stays whatever failed, so a start of the whole program with nobody there, and a change of its lists, keep the rules, too
        assert gateway.command("zone", "refresh", "main.rpz").returncode == 1
        gateway.stop()
        (tmp_path / "own.txt").write_text("own.example\n")
        gateway.write(SETTINGS + "lists: [{id: own, category: gamb, path: own.txt}]\n")
        gateway.start()
        assert is_closed(gateway, "later.example") and is_closed(gateway, "wrong.example") and is_closed(gateway, "own.example")
        assert '"event": "zone.failed"' in gateway.written() and '"event": "zone.restored"' in gateway.written()
        assert SECRET not in gateway.written() + gateway.command("config", "show").stdout


def test_pinned_key_of_a_primary(tmp_path: Path, primary: Primary) -> None:
    """Over TLS without an authority: the pin of its key lets the zone in, another pin does not."""
    primary.start(free_port())
    pin = base64.b64decode(primary.vouched.pin)
    source, target = Endpoint("127.0.0.1", primary.secure), tmp_path / "tls.zone"
    assert pull(source, "tls.rpz", target, tls=TlsPrimary(pin=pin)).serial == 1
    before = target.read_bytes()
    for wrong in (TlsPrimary(pin=bytes(32)), TlsPrimary(name="ns1.example"), TlsPrimary("other.example", authorities=primary.authority)):
        with pytest.raises(PullError) as refused:
            pull(source, "tls.rpz", target, tls=wrong)
        assert refused.value.code == "tls" and target.read_bytes() == before
    assert base64.b64encode(pin).decode() not in str(refused.value)
