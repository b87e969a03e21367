"""`make bench BENCH="--people"`: how fast a press on a page holds on every worker with many families, and what it costs the resolver.

The real program (two workers, admin) with a database filled through the product's own functions: families of eight children, adults and
guests, a device for each, every family at a network of its own. A parent presses "no internet" and ends it again, in family after family,
while dnsperf asks at a steady rate; the clock stops when every worker answers by the new rule. Before that every device asked once, as
they do at home, so that the gateway remembers thousands of them. Afterwards the pages are read.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.message
import dns.rcode
import httpx

from admin.app import open_services
from admin.devices import Match
from admin.sessions import open_session
from admin.setup import NewChild, NewDevice, Owner, Plan, Words, make_tenant
from admin.values import DeviceMatch
from blocklists.tables import AccountId, OrganisationKind
from gateway.policy.model import Band
from lachan.configuration import load
from tests.bench.measure import family
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream

CHILDREN = 8
BANDS = (Band.TH, Band.TH, Band.CS, Band.CS, Band.CS, Band.PT, Band.PT, Band.MN)
WORDS = Words("Nhà {n}", "Nhà", "Người lớn", "Khách", "Máy của {name}", "Mạng của {name}")
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 2, name: lachan.internal}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
rate_limit: {per_client: 0}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
"""
NAME = "free.example"
#: Sockets that ask: with this many, both workers are among those that answer.
ASKERS = 16
#: Families that are written in one transaction while the database is filled.
TOGETHER = 50


@dataclass(frozen=True, slots=True)
class Home:
    """One family: a signed-in parent and the first child's address."""

    cookie: str
    address: str


def address_of(number: int, child: int) -> str:
    """The address of a child's device; every family has a /24 of loopback."""
    return f"127.{1 + number // 250}.{number % 250}.{10 + child}"


async def fill(path: Path, families: int, every: int) -> list[Home]:
    """Families in an empty database; every so many of them get a session."""
    settings = load(path).admin
    assert settings is not None
    services = await open_services(settings, time.time)
    homes: list[Home] = []
    plans: list[tuple[int, Plan]] = []
    now = datetime.now(UTC)
    children = tuple(NewChild(f"Con {place + 1}", band) for place, band in enumerate(BANDS[:CHILDREN]))
    for number in range(families):
        devices = [NewDevice(Match(DeviceMatch.ADDRESS, address_of(number, child)), child) for child in range(CHILDREN)]
        network = address_of(number, 0).rpartition(".")[0] + ".0/24"
        owner = Owner(f"parent{number}", "x", "vi")
        plan = Plan(OrganisationKind.FAMILY, owner, children, tuple(devices), (network,), False, WORDS)
        plans.append((number, plan))
    for first in range(0, families, TOGETHER):
        async with services.database.write() as connection:
            for number, plan in plans[first : first + TOGETHER]:
                made = await make_tenant(connection, plan, services.shelves.current(), now)
                if number % every == 0:
                    secret = await open_session(connection, AccountId(made.account), now, kept=True, browser="bench")
                    homes.append(Home(secret, address_of(number, 0)))
    await services.database.close()
    return homes


class Asker:
    """Many sockets of one address: every worker gets some of them."""

    def __init__(self, address: str, port: int) -> None:
        self.sockets = []
        for _ in range(ASKERS):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((address, 0))
            one.connect(("127.0.0.1", port))
            one.settimeout(2)
            self.sockets.append(one)
        self.question = dns.message.make_query(NAME, "A").to_wire()

    def until(self, is_open: bool) -> None:
        """Ask until every socket is answered by the wanted rule."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if all(self._is_open(one) is is_open for one in self.sockets):
                return
        raise AssertionError("a change was not enforced within 20 seconds")

    def _is_open(self, one: socket.socket) -> bool:
        one.send(self.question)
        reply = dns.message.from_wire(one.recv(4096))
        return any(rdata.to_text() == "192.0.2.80" for rrset in reply.answer for rdata in rrset)

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def wake(port: int, families: int) -> None:
    """One question from every child's device: the gateway has met them all."""
    question = dns.message.make_query(NAME, "A").to_wire()
    for number in range(families):
        for child in range(CHILDREN):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.bind((address_of(number, child), 0))
                one.settimeout(2)
                one.sendto(question, ("127.0.0.1", port))
                one.recv(4096)


def press(origin: str, home: Home, port: int) -> list[float]:
    """No internet, and an end to it: seconds from each press until every worker obeys."""
    asker, took = Asker(home.address, port), []
    with httpx.Client(base_url=origin, cookies={"lachan": home.cookie}, headers={"Origin": origin}, timeout=30) as http:
        child = re.findall(r'href="(/profiles/\w{24})"', http.get("/").text)[0]
        for is_open in (False, True):
            page = http.get(child).text
            token = re.findall(r'name="_form" value="(\w+)"', page)[0]
            end = re.findall(r'action="([^"]*/end)"', page)
            started = time.monotonic()
            if is_open:
                reply = http.post(end[0], data={"_form": token})
            else:
                reply = http.post(f"{child}/off", data={"_form": token, "until": "30m"})
            assert reply.status_code == 303, f"{reply.status_code}: {reply.text[:2000]}"
            asker.until(is_open)
            took.append(time.monotonic() - started)
    asker.close()
    return took


def read_pages(origin: str, homes: list[Home]) -> dict[str, list[float]]:
    """Milliseconds of each page, family after family."""
    took: dict[str, list[float]] = {}
    for home in homes:
        with httpx.Client(base_url=origin, cookies={"lachan": home.cookie}, timeout=30) as http:
            child = re.findall(r'href="(/profiles/\w{24})"', http.get("/").text)[0]
            parts = ("", "/hours", "/apps", "/names", "/settings")
            for path in ("/", "/devices", "/requests", "/more", "/journal", *(child + part for part in parts)):
                started = time.monotonic()
                reply = http.get(path)
                assert reply.status_code == 200, f"{path}: {reply.status_code}"
                name = path.replace(child, "/profiles/…")
                took.setdefault(name, []).append((time.monotonic() - started) * 1000)
    return took


def pss(pid: int) -> float:
    """Proportional set size of one process, in MiB."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def at(values: list[float], share: float) -> float:
    """A percentile: of the values, the one at that share of their order."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def run(folder: Path, families: int, presses: int, rate: int) -> list[str]:
    """Fill, start, press under load, read pages; the lines of the report."""
    with RunningUpstream({(NAME, "A"): ["192.0.2.80"]}) as upstream:
        gateway = Gateway(folder, SETTINGS, upstream=upstream.port, admin=free_port())
        began = time.monotonic()
        homes = asyncio.run(fill(gateway.path, families, max(1, families // presses)))
        filled, began = time.monotonic() - began, time.monotonic()
        with gateway:
            database = sqlite3.connect(folder / "var" / "lachan.db")
            pending = "SELECT count(*) FROM policies WHERE applied_revision < revision"
            while database.execute(pending).fetchone()[0]:
                assert time.monotonic() - began < 600, f"not everything was applied:\n{gateway.written()[-3000:]}"
                time.sleep(0.2)
            database.close()
            applied = time.monotonic() - began
            origin = f"http://127.0.0.1:{gateway._fields['admin']}"
            admin = next(int(row["pid"]) for row in gateway.status()["processes"] if row["name"] == "admin")
            wake(gateway.port, families)
            press(origin, homes[-1], gateway.port)  # everything imported and cached once
            questions = folder / "questions.txt"
            questions.write_text(f"{NAME} A\n", encoding="ascii")
            seconds = 4 * presses
            where = ["-s", "127.0.0.1", "-p", str(gateway.port), "-d", str(questions)]
            command = ["dnsperf", *where, "-Q", str(rate), "-l", str(seconds), "-t", "5"]
            load_ = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            took = [one for home in homes[:presses] for one in press(origin, home, gateway.port)]
            load_.send_signal(2)  # dnsperf ends in order and reports
            report = load_.communicate(timeout=30)[0]
            pages = read_pages(origin, homes[:20])
            memory = pss(admin)
            workers = [pss(pid) for pid in family(gateway.pid) if pid not in (admin, gateway.pid)]
    return lines_of(families, rate, filled, applied, took, report, pages, memory, workers)


def lines_of(
    families: int,
    rate: int,
    filled: float,
    applied: float,
    took: list[float],
    report: str,
    pages: dict[str, list[float]],
    memory: float,
    workers: list[float],
) -> list[str]:
    """The report."""
    sent = int(re.findall(r"Queries sent:\s+(\d+)", report)[0])
    lost = int(re.findall(r"Queries lost:\s+(\d+)", report)[0])
    slowest = float(re.findall(r"Average Latency \(s\):.*max ([\d.]+)", report)[0])
    every = [one for times in pages.values() for one in times]
    return [
        f"### People: {families:,} families, {families * (CHILDREN + 2):,} profiles",
        "",
        f"Filled in {filled:.0f} s; all applied {applied:.1f} s after the start.",
        "",
        "| what | median | p99 | worst | goal |",
        "|---|---|---|---|---|",
        f"| press to all workers, s ({len(took)} presses) | {at(took, 0.5):.2f} | {at(took, 0.99):.2f} | {max(took):.2f} | p99 1 |",
        f"| a page, ms ({len(every)} reads) | {at(every, 0.5):.0f} | {at(every, 0.99):.0f} | {max(every):.0f} | 100 |",
        f"| answers meanwhile, at {rate:,} a second | | | {slowest * 1000:.0f} ms | none lost: {lost} of {sent:,} |",
        f"| admin process, MiB | | | {memory:.0f} | 150 |",
        f"| workers and supervisor, MiB | | | {sum(workers):.0f} | |",
        "",
        "| page | median, ms | worst, ms |",
        "|---|---|---|",
        *(f"| {name} | {at(times, 0.5):.0f} | {max(times):.0f} |" for name, times in pages.items()),
    ]
