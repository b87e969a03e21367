"""`make bench BENCH="--polling"`: simulated gateways that ask a list office every five minutes: bytes a day, requests, processor time.

Every gateway is the product's own round of following with its own metadata. They ask one after the other, as their jitter spreads them over
five minutes; the server is Python's static file server in a process of its own, an upper bound for any web server or CDN.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from blocklists.follower import BoundedFetcher, follow
from tests.bench.peers import free_port
from tests.support.publisher import Publisher

ROUNDS_A_DAY = 24 * 60 // 5
SCHOOLS = 40_000
HEADERS = 450
"""Bytes of headers and TCP of one request both ways, counted by hand."""


class _Counting(BoundedFetcher):
    requests = 0

    def _fetch(self, url: str):  # type: ignore[no-untyped-def]  # as the one above it
        self.requests += 1
        return super()._fetch(url)


def run(gateways: int, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Three rounds of each: the first, one without news, one with news of one name. The lines of the report."""
    office = Publisher(folder / "office")
    large = office.segment(*(f"n{number}.example" for number in range(10_000)))
    office.publish_segments(1, large)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(office.folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [f"| {gateways:,} gateways | bytes | requests | server, ms | gateway, ms |", "|---|---|---|---|---|"]
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(server, url)
        held: list[set[str]] = [set() for _ in range(gateways)]
        quiet = 0.0
        for name, serial in (("the first round, 10,000 names", 0), ("a round without news", 1), ("a round with one name more", 1)):
            if name.endswith("more"):
                office.publish_segments(2, large, office.segment("fresh.example"))
            say(f"{name} …")
            received = requests = 0
            before, began = _processor(server.pid), time.process_time()
            for number in range(gateways):
                fetcher = _Counting()
                found = follow(folder / f"gateway-{number}", url, office.root, serial, fetcher, held=held[number].__contains__)
                if found is not None:
                    held[number] |= found.fresh.keys()
                received += fetcher.received
                requests += fetcher.requests
            spent, own = _processor(server.pid) - before, time.process_time() - began
            each = (received / gateways, requests / gateways, spent / gateways * 1000, own / gateways * 1000)
            lines.append(f"| {name} | {each[0]:,.0f} | {each[1]:.1f} | {each[2]:.2f} | {each[3]:.0f} |")
            if name.endswith("news"):
                quiet = each[0] + each[1] * HEADERS
                rate = SCHOOLS * each[1] / 300
                load = SCHOOLS * each[2] / 1000 / 300
    finally:
        server.terminate()
        server.wait()
    day = quiet * ROUNDS_A_DAY
    lines.append("")
    lines.append(
        f"a day without news, with {HEADERS} bytes of headers a request: {day / 1000:,.0f} kB a gateway; {SCHOOLS:,} schools: "
        f"{rate:,.0f} requests/s, {SCHOOLS * quiet / 300 / 1000:,.0f} kB/s, {load:.2f} cores of this server"
    )
    return lines


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(200):
        try:
            next(iter(BoundedFetcher().fetch(f"{url}/metadata/timestamp.json")))
        except Exception:  # not up yet
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the file server did not start ({server.poll()})")


def _processor(pid: int) -> float:
    """Seconds of processor time a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
