"""The real program takes the place of the real program: names over every transport, pages, an answer under way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.query
import httpx
import pytest

from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import ROOT, Gateway, RunningUpstream
from tests.support.scripts import Asked, Say, Script
from tests.support.upstream import ScriptedUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:{dns}"], workers: 2}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:{dot}"]}
doh: {listen: ["127.0.0.1:{doh}"]}
doq: {listen: ["127.0.0.1:{dot}"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 5}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{pages}"}
profiles: [{id: be, band: TH}]
default_profile: be
"""
SLOW_SECONDS = 1.5


class Upstream(ScriptedUpstream):
    """Takes its time for one name."""

    def handle(self, asked: Asked) -> Script:
        reply = super().handle(asked)
        if asked.qname.lower() == "slow.example" and isinstance(reply, bytes):
            return [Say(reply, after=SLOW_SECONDS)]
        return reply


class Successor:
    """The program that takes over; its log is of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._log = gateway.folder / "successor.log"
        command = [sys.executable, "-m", "lachan", "run", "-c", str(gateway.path), "--take-over"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self, gateway: Gateway) -> None:
        """Until it answers."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                status = gateway.status()
                if status["pid"] == self.process.pid and status["state"] == "ready":
                    return
            except Exception:  # between the two nobody listens there
                pass
            time.sleep(0.02)
        raise AssertionError(self._log.read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[tuple[Gateway, dict[str, int], Authority]]:
    """A running gateway with everything switched on."""
    authority = Authority(tmp_path)
    made = authority.vouch("dns.example", "127.0.0.1")
    ports = {"dns": free_port(), "dot": free_port(), "doh": free_port(), "pages": free_port()}
    records = {("open.example", "A"): ["198.51.100.20"], ("slow.example", "A"): ["198.51.100.30"]}
    fields = {"certificate": made.certificate, "key": made.key, **ports}
    with RunningUpstream(upstream=Upstream(records)) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port, **fields) as gateway:
        yield gateway, ports, authority


def addresses(reply: dns.message.Message) -> list[str]:
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


def page(port: int) -> int:
    """The status of the front page: 401 asks for an account."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as reply:
        return int(reply.status)
    return 401


class Kept(threading.Thread):
    """A client that keeps its connection, with five questions at once all the time. What is not answered when the connection ends is asked
    once more on a new one (RFC 7766 §6.2.4); what is not answered then either is lost."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.port, self.context = port, context
        self.stop = threading.Event()
        self.asked = self.again = self.resets = self.ends = 0
        self.lost: list[str] = []
        self.line: socket.socket | None = None

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.02):
            waiting = {}
            for _ in range(5):
                number += 1
                name = f"k{number}.example" if number % 3 else "facebook.com"
                waiting[number & 0xFFFF] = dns.message.make_query(name, "A", id=number & 0xFFFF).to_wire()
            self.asked += len(waiting)
            for attempt in range(2):
                self._ask(waiting)
                self.again += 0 if attempt else len(waiting)
                if not waiting:
                    break
            self.lost += [str(each) for each in waiting]
        if self.line is not None:
            self.line.close()

    def _ask(self, waiting: dict[int, bytes]) -> None:
        try:
            if self.line is None:
                plain = socket.create_connection(("127.0.0.1", self.port), 10)
                self.line = self.context.wrap_socket(plain, server_hostname="dns.example") if self.context else plain
            self.line.sendall(b"".join(len(wire).to_bytes(2, "big") + wire for wire in waiting.values()))
            while waiting:
                size = self._exactly(2)
                del waiting[int.from_bytes(self._exactly(int.from_bytes(size, "big"))[:2], "big")]
        except OSError as error:
            self.ends += 1
            self.resets += isinstance(error, ConnectionResetError)
            assert self.line is not None, error
            self.line.close()
            self.line = None

    def _exactly(self, size: int) -> bytes:
        assert self.line is not None
        got = b""
        while len(got) < size:
            part = self.line.recv(size - len(got))
            if not part:
                raise ConnectionAbortedError("the end")
            got += part
        return got


class New(threading.Thread):
    """One question on a new connection, again and again, never asked twice."""

    def __init__(self, ask: Callable[[dns.message.Message], dns.message.Message]) -> None:
        super().__init__()
        self.ask = ask
        self.stop = threading.Event()
        self.asked = 0
        self.lost: list[str] = []

    def run(self) -> None:
        while not self.stop.wait(0.02):
            self.asked += 1
            try:
                self.ask(dns.message.make_query(f"c{self.asked}.example" if self.asked % 3 else "facebook.com", "A"))
            except Exception as error:
                self.lost.append(repr(error))


def test_connections_lose_nothing(house: tuple[Gateway, dict[str, int], Authority]) -> None:
    """New connections of every kind get their answer at the first try; a kept one ends without a reset, and what it had not been answered
    is answered at the second."""
    gateway, ports, authority = house
    context = ssl.create_default_context(cafile=str(authority.file))
    url = f"https://127.0.0.1:{ports['doh']}/dns-query"

    def tls(query: dns.message.Message) -> dns.message.Message:
        return dns.query.tls(query, "127.0.0.1", 20, ports["dot"], ssl_context=context, server_hostname="dns.example")

    def https(query: dns.message.Message) -> dns.message.Message:
        with httpx.Client(http2=True, verify=context, timeout=20) as client:
            reply = client.post(url, content=query.to_wire(), headers={"content-type": "application/dns-message"})
        return dns.message.from_wire(reply.content)

    def https_kept(query: dns.message.Message) -> dns.message.Message:
        reply = keeping.post(url, content=query.to_wire(), headers={"content-type": "application/dns-message"})
        return dns.message.from_wire(reply.content)

    keeping = httpx.Client(http2=True, verify=context, timeout=20)
    kept = {"TCP, kept": Kept(ports["dns"]), "DoT, kept": Kept(ports["dot"], context)}
    fresh = {
        "TCP, new": New(lambda query: dns.query.tcp(query, "127.0.0.1", 20, ports["dns"])),
        "DoT, new": New(tls),
        "DoH, new": New(https),
    }
    doh_kept = New(https_kept)
    everybody = [*kept.values(), *fresh.values(), doh_kept]
    for each in everybody:
        each.start()
    successor = Successor(gateway)
    try:
        successor.wait(gateway)
        assert gateway._process is not None
        assert gateway._process.wait(20) == 0
        time.sleep(0.3)
    finally:
        for each in everybody:
            each.stop.set()
        for each in everybody:
            each.join()
        keeping.close()
        successor.stop()
    measured = {name: (each.asked, len(each.lost), each.again, each.ends, each.resets) for name, each in kept.items()}
    measured |= {name: (each.asked, len(each.lost)) for name, each in {**fresh, "DoH, kept": doh_kept}.items()}
    for name, client in kept.items():
        assert client.lost == [], measured
        assert client.resets == 0, measured
        assert client.ends >= 1, f"{name}: it was on the old one"
        assert client.again <= 5 * client.ends, measured
    for name, one in fresh.items():
        assert one.lost == [], (name, one.lost, measured)
        assert one.asked > 10
    assert len(doh_kept.lost) <= 1, doh_kept.lost  # the library asks nothing twice by itself


def test_nothing_is_lost_on_any_transport(house: tuple[Gateway, dict[str, int], Authority]) -> None:
    """New names and blocked ones go on, an answer under way arrives, then every transport and the pages are the new one's."""
    gateway, ports, authority = house
    query = dns.message.make_query("open.example", "A")
    context = ssl.create_default_context(cafile=str(authority.file))
    lost: list[str] = []
    stop = threading.Event()

    def ask_all_the_time() -> None:
        number = 0
        while not stop.wait(0.005):
            number += 1
            name, send = (f"n{number}.example", dns.query.udp) if number % 2 else ("facebook.com", dns.query.tcp)
            try:
                send(dns.message.make_query(name, "A"), "127.0.0.1", 5, port=ports["dns"])
            except Exception as error:
                lost.append(f"{name}: {error!r}")

    asking = threading.Thread(target=ask_all_the_time)
    asking.start()
    successor = Successor(gateway)
    slow: list[dns.message.Message] = []
    try:
        time.sleep(0.5)  # it is on its way up; the answer will be under way while the place changes
        waiting = threading.Thread(
            target=lambda: slow.append(dns.query.udp(dns.message.make_query("slow.example", "A"), "127.0.0.1", 5, ports["dns"]))
        )
        waiting.start()
        successor.wait(gateway)
        waiting.join()
        assert addresses(slow[0]) == ["198.51.100.30"]
        stop.set()
        asking.join()
        assert lost == []
        assert addresses(dns.query.udp(query, "127.0.0.1", 5, ports["dns"])) == ["198.51.100.20"]
        assert addresses(dns.query.tls(query, "127.0.0.1", 5, ports["dot"], ssl_context=context, server_hostname="dns.example"))
        wire = quicclient.exchange(ports["dot"], authority.file, b"\0\0" + query.to_wire()[2:], "dns.example")
        assert wire is not None
        assert addresses(dns.message.from_wire(wire)) == ["198.51.100.20"]
        assert page(ports["pages"]) == 401
        assert gateway.http("/readyz")[0] == 200
        assert gateway.stop() == 0, "the one before has ended by itself"
        assert addresses(dns.query.udp(query, "127.0.0.1", 5, ports["dns"])) == ["198.51.100.20"]
    finally:
        stop.set()
        asking.join()
        successor.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", ports["dns"]))
