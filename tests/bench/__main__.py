"""`make bench`: the data plane beside its peers, one core each, the same list, the same queries, one run. See README.md here."""

from __future__ import annotations

import argparse
import datetime
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import https, measure, peers, readme, report, whole, workload

KINDS: Final = {
    "udp": ("hits", "udp", 400),
    "tcp": ("hits over TCP", "tcp", 400),
    "tls": ("hits over TLS", "dot", 400),
    "tls1": ("hits over TLS, one at a time", "dot", 8),
    "https": ("hits over HTTPS", "doh", 400),
    "https1": ("hits over HTTPS, one at a time", "doh", 8),
    "misses": ("misses", "udp", 400),
    "mixed": ("mixed", "udp", 400),
}
"""What is asked, by its word on the command line: the name in the report, the transport, and how many questions wait for their answers.
Eight connections over TCP, TLS and HTTPS, so 50 or one on each."""


def say(text: str = "") -> None:
    """Print a line at once, so that a long run shows where it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """The options of the bench."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--names", type=int, default=1_000_000, help="listed names (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each run (default 2)")
    parser.add_argument("--peers", action="store_true", help="only ours beside its peers")
    parser.add_argument("--only", nargs="*", choices=peers.STARTERS, help="servers to run (default: all that are installed)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="loads to run (default: all)")
    parser.add_argument("--growth", action="store_true", help="only our own cost against list size and profiles")
    parser.add_argument("--people", action="store_true", help="only the pages: a change until all workers obey, with many families")
    parser.add_argument("--families", type=int, default=1000, help="with --people (default 1,000)")
    parser.add_argument("--presses", type=int, default=50, help="with --people: families that press twice (default 50)")
    parser.add_argument("--rate", type=int, default=5000, help="with --people: questions a second meanwhile (default 5,000)")
    parser.add_argument("--whole", action="store_true", help="only ours as a whole: memory, many profiles, changes under load, two workers")
    parser.add_argument("--publish", action="store_true", help="only the office: a publish of one entry, and gateways that follow")
    parser.add_argument("--polling", action="store_true", help="only the office: simulated gateways that ask for news")
    parser.add_argument("--zones", action="store_true", help="only a category of the lists as a policy zone, --names of them")
    parser.add_argument("--gateways", type=int, default=2000, help="with --polling (default 2,000)")
    parser.add_argument("--receipts", type=int, nargs="?", const=40_000, help="only the office: receipts of so many gateways (40,000)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="with --publish: entries in force")
    parser.add_argument("--most", type=int, default=5_000_000, help="with --growth: the largest list")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> tuple[list[str], list[str]]:
    """Start everyone, interleave the rounds, and return the lines of the report and the table of the README."""
    say(f"{options.names:,} names …")
    workload.write_list(folder / "names.txt", options.names)
    workload.write_hits(folder / "hits.txt", options.names)
    workload.write_warm(folder / "warm.txt", folder / "hits.txt")
    https.write_targets(folder / "targets.txt", folder / "hits.txt")
    started = [source := peers.upstream(folder, peers.free_port())]
    running: dict[str, peers.Peer] = {}
    measured: dict[str, dict[str, dict[str, float]]] = {}
    lines = [
        f"## Measured {datetime.date.today().isoformat()}",
        "",
        f"`make bench` · {options.names:,} names · {options.rounds} interleaved rounds of {options.seconds:g} s · "
        f"{platform.machine()}, one core for each server",
        "",
        *report.python(),
        "",
    ]
    try:
        for name in options.only or peers.available():
            say(f"starting {name} …")
            peer = peers.STARTERS[name](folder, peers.free_port(), source.port, options.names)
            started.append(peer)
            running[name] = peer
            measure.dnsperf(peer.process.pid, peer.port, folder / "warm.txt", 20, once=True)
            measure.dnsperf(peer.process.pid, peer.port, folder / "warm.txt", 20, once=True)
            if "doh" in peer.encrypted:
                https.check(peer.encrypted["doh"], folder / "hits.txt")
        for kind, mode, waiting in (KINDS[word] for word in options.kinds):
            if mode == "doh" and shutil.which("h2load") is None:
                say("hits over HTTPS need h2load and are left out: apt install nghttp2-client")
                continue
            able = [name for name, peer in running.items() if mode in ("udp", "tcp") or mode in peer.encrypted]
            runs: dict[str, list[measure.Run]] = {name: [] for name in able if name not in peers.FLOORS or kind == "hits"}
            if not runs:
                continue  # none of these servers speaks it
            for round_number in range(options.rounds):
                for position, name in enumerate(runs):
                    peer = running[name]
                    queries = folder / "hits.txt"
                    if kind in ("misses", "mixed"):
                        queries = folder / f"{kind}.txt"
                        part = round_number * 100 + position + (50 if kind == "mixed" else 0)
                        workload.write_misses(queries, part)
                        if kind == "mixed":
                            workload.mix(queries, folder / "hits.txt", every=5)
                    clients = 50 if mode == "udp" else 8
                    once = kind in ("misses", "mixed")
                    pid, port = peer.process.pid, peer.encrypted.get(mode, peer.port)
                    if mode == "doh":
                        streams = waiting // clients
                        result = measure.h2load(pid, port, folder / "targets.txt", options.seconds, clients=clients, streams=streams)
                    else:
                        result = measure.dnsperf(
                            pid, port, queries, options.seconds, once=once, mode=mode, clients=clients, waiting=waiting
                        )
                    runs[name].append(result)
                    figures_now = f"{result.rate:,.0f}/s, {result.micros:.2f} µs, lost {result.lost}"
                    say(f"  {kind} {round_number + 1}/{options.rounds} {name}: {figures_now}")
            measured[kind] = figures = report.summary(runs)
            lines += [*report.table(kind, figures), "", *report.verdicts(kind, figures), ""]
        more = {"bộ nhớ / memory, MiB": {name: f"{measure.memory_mib(peer.process.pid):.0f}" for name, peer in running.items()}}
        more["khởi động / start, s"] = {name: f"{peer.start_seconds:.1f}" for name, peer in running.items()}
        for kind, mode, words in (("https", "doh", "HTTPS"), ("tls", "dot", "TLS")):
            if kind in options.kinds:
                # What one connection costs a server: a full handshake, one query, the end.
                costs = {name: connection_cost(peer, mode) for name, peer in running.items() if mode in peer.encrypted}
                more = {f"một kết nối {words} / one {words} connection, CPU ms": costs, **more}
        if "lachan" in running:
            more["biên dịch / compile, s"] = {"lachan": f"{running['lachan'].notes['compile_seconds']:.1f}"}
    finally:
        for peer in started:
            peer.stop()
    return lines, readme.peers_table(measured, more)


def connection_cost(peer: peers.Peer, mode: str) -> str:
    """Processor milliseconds of one connection, the median of three times a hundred."""
    port = peer.encrypted[mode]
    return f"{median(measure.connections(peer.process.pid, port, is_https=mode == 'doh') for _ in range(3)):.2f}"


def grow(options: argparse.Namespace, folder: Path) -> list[str]:
    """Our own cost against the number of listed names and of profiles: hits, memory, start, compilation."""
    lines = [*readme.GROWTH_HEAD]
    source = peers.upstream(folder, peers.free_port())
    try:
        for names, profiles in ((10_000, 1), (100_000, 1), (1_000_000, 1), (options.most, 1), (100_000, 100), (100_000, 10_000)):
            place = folder / f"{names}-{profiles}"
            place.mkdir(exist_ok=True)
            workload.write_list(place / "names.txt", names)
            workload.write_hits(place / "hits.txt", min(names, 1_000_000))
            workload.write_warm(place / "warm.txt", place / "hits.txt")
            peer = peers.ours(place, peers.free_port(), source.port, names, profiles)
            try:
                for _ in range(2):
                    measure.dnsperf(peer.process.pid, peer.port, place / "warm.txt", 20, once=True)
                runs = [measure.dnsperf(peer.process.pid, peer.port, place / "hits.txt", options.seconds) for _ in range(options.rounds)]
                memory = measure.memory_mib(peer.process.pid)
            finally:
                peer.stop()
            compiled = peer.notes["compile_seconds"]
            figures = f"{median(run.micros for run in runs):.2f} | {memory:.0f} | {peer.start_seconds:.1f} | {compiled:.1f}"
            lines.append(f"| {names:,} | {profiles:,} | {figures} |")
            say(lines[-1])
    finally:
        source.stop()
    return lines


def main() -> int:
    """Run the bench in a folder of its own and print the report."""
    if shutil.which("dnsperf") is None or shutil.which("taskset") is None:
        say("make bench needs dnsperf and taskset: apt install dnsperf util-linux")
        return 1
    options = arguments()
    say("\n".join(report.python()))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lachan-bench-") as place:
        folder = Path(place)
        parts = ("peers", "growth", "whole", "people", "publish", "polling", "zones", "receipts")
        is_all = not any(getattr(options, part) for part in parts)
        lines: list[str] = []
        tables: list[list[str]] = []
        if options.peers or is_all:
            lines, table = run(options, folder)
            tables.append(table)
        if options.growth or is_all:
            tables.append(grow(options, folder))
        if options.whole or is_all:
            said, table = whole.run(folder, options.names, options.rounds, options.seconds, say)
            lines += said
            tables.append(table)
        if options.people:
            from tests.bench import people

            lines += people.run(folder, options.families, options.presses, options.rate)
        if options.publish:
            from tests.bench import publish

            lines += publish.run(options.sizes, folder, say)
        if options.polling:
            from tests.bench import polling

            lines += polling.run(options.gateways, folder, say)
        if options.receipts:
            from tests.bench import receipts

            lines += receipts.run(options.receipts, max(options.seconds, 60.0), folder, say)
        if options.zones:
            from tests.bench import categories

            lines += categories.run(options.names, folder, say)
    say("\n".join(["", *lines]))
    if tables:
        say(f"\n## README ({datetime.date.today().isoformat()}; {(time.monotonic() - began) / 60:.0f} min)")
        for table in tables:
            say("\n".join(["", *table]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
