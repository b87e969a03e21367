"""Processor time, memory, dnsperf and h2load: the instruments of the benchmark. Imported by the bench only."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import https

TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE, GENERATOR_CORE = "0", "1"
PROBE = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05probe\x07example\x00\x00\x01\x00\x01"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a generator: queries answered, seconds, server processor seconds, queries lost, busy share of the generator's core."""

    answered: int
    seconds: float
    cpu: float
    lost: int
    generator_busy: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def micros(self) -> float:
        """Server processor time per answered query, in microseconds."""
        return self.cpu * 1e6 / self.answered if self.answered else float("inf")


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        member = queue.pop()
        found.append(member)
        queue += children.get(member, [])
    return found


def cpu_each(pid: int) -> dict[int, float]:
    """User and system time of the process and of each of its descendants, in seconds."""
    found: dict[int, float] = {}
    for member in family(pid):
        try:
            # To the nanosecond where the kernel says so, else in ticks of ten milliseconds.
            threads = [thread.read_text().split()[0] for thread in Path(f"/proc/{member}/task").glob("*/schedstat")]
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        found[member] = sum(map(int, threads)) / 1e9 or (int(fields[11]) + int(fields[12])) / TICK
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its descendants, in seconds."""
    return sum(cpu_each(pid).values())


def wait_until_idle(pid: int, seconds: float = 30.0) -> None:
    """Wait until the server and its descendants have nothing left to do after their start (ours looks through its lists once more in a
    process of its own), so that nobody is charged for it by the answer; at most so long."""
    until = time.monotonic() + seconds
    before = cpu_each(pid)
    while time.monotonic() < until:
        time.sleep(0.5)
        now = cpu_each(pid)
        if now.keys() == before.keys() and sum(now.values()) - sum(before.values()) < 0.02:
            return
        before = now


def memory_mib(pid: int) -> float:
    """Proportional set size of the process and its descendants, in MiB."""
    total = 0
    for member in family(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found.group(1)) if found else 0
    return total / 1024


def wait_for_answer(port: int, query: bytes = PROBE, seconds: float = 90.0) -> float:
    """Ask until an answer comes; return the seconds it took. Raises TimeoutError."""
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.05)
        asker.connect(("127.0.0.1", port))
        while time.monotonic() - start < seconds:
            try:
                asker.send(query)
                asker.recv(4096)
                return time.monotonic() - start
            except OSError:
                time.sleep(0.02)
    raise TimeoutError(f"nobody answers on port {port}")


def dnsperf(
    pid: int, port: int, queries: Path, seconds: float, *, once: bool = False, mode: str = "udp", clients: int = 50, waiting: int = 400
) -> Run:
    """Run dnsperf against one server and account the server's processor time; at most `waiting` questions are without an answer. Loopback
    only, bounded in time."""
    command = ["taskset", "-c", GENERATOR_CORE, "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-m", mode]
    command += ["-c", str(clients), "-q", str(waiting), "-t", "2", "-l", str(seconds)]
    command += ["-n", "1"] if once else []
    before = cpu_seconds(pid)
    usage = os.times()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    after = os.times()
    cpu = cpu_seconds(pid) - before
    completed = re.search(r"Queries completed:\s+(\d+)", done.stdout)
    lost = re.search(r"Queries lost:\s+(\d+)", done.stdout)
    took = re.search(r"Run time \(s\):\s+([\d.]+)", done.stdout)
    if not (completed and took):
        raise RuntimeError(f"dnsperf gave no figures: {done.stdout[-400:]} {done.stderr[-400:]}")
    elapsed = float(took.group(1))
    busy = (after.children_user + after.children_system - usage.children_user - usage.children_system) / elapsed
    return Run(int(completed.group(1)), elapsed, cpu, int(lost.group(1)) if lost else 0, busy)


def h2load(pid: int, port: int, requests: Path, seconds: float, *, clients: int, streams: int) -> Run:
    """Run h2load against one server: GET of the targets in `requests`, `streams` at once on each of `clients` connections. An answer is a
    status of 200 (`https.check` has seen that these are the right ones). Loopback only, bounded in time."""
    command = ["taskset", "-c", GENERATOR_CORE, "h2load", "-D", str(max(1, round(seconds))), "-t", "1", "-c", str(clients)]
    command += ["-m", str(streams), "-B", f"https://127.0.0.1:{port}", "-i", str(requests)]
    before, usage, began = cpu_seconds(pid), os.times(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    elapsed, after = time.monotonic() - began, os.times()
    cpu = cpu_seconds(pid) - before
    answered = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if not (answered and failed):
        raise RuntimeError(f"h2load gave no figures: {done.stdout[-400:]} {done.stderr[-400:]}")
    lost = sum(map(int, answered.groups()[1:])) + int(failed.group(1))
    busy = (after.children_user + after.children_system - usage.children_user - usage.children_system) / elapsed
    return Run(int(answered.group(1)), elapsed, cpu, lost, busy)


def connections(pid: int, port: int, *, is_https: bool = False, number: int = 100) -> float:
    """Server processor milliseconds for one connection over TLS 1.3: a full handshake and one query, by HTTP/2 with `is_https`."""
    context = https.trusting("h2") if is_https else https.trusting()
    before = cpu_seconds(pid)
    for _ in range(number):
        with https.connect(port, context) as stream:
            if is_https:
                https.ask(stream, [https.target("probe.example")])
            else:
                stream.sendall(len(PROBE).to_bytes(2, "big") + PROBE)
                stream.recv(4096)
    return (cpu_seconds(pid) - before) * 1000 / number
