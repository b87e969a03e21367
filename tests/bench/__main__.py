"""`make bench`: the data plane beside its peers, one core each, the same list, the same queries, one run. See README.md here."""

from __future__ import annotations

import argparse
import datetime
import platform
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from tests.bench import measure, peers, report, workload


def free_port() -> int:
    """A loopback port that nobody holds now, for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def say(text: str = "") -> None:
    """Print a line at once, so that a long run shows where it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """The options of the bench."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--names", type=int, default=1_000_000, help="listed names (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each run (default 4)")
    parser.add_argument("--only", nargs="*", help="servers to run (default: all that are installed)")
    parser.add_argument("--skip-misses", action="store_true")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> list[str]:
    """Start everyone, interleave the rounds, and return the lines of the report."""
    say(f"{options.names:,} names …")
    workload.write_list(folder / "names.txt", options.names)
    workload.write_hits(folder / "hits.txt", options.names)
    workload.write_warm(folder / "warm.txt", folder / "hits.txt")
    started = [source := peers.upstream(folder, free_port())]
    running: dict[str, peers.Peer] = {}
    lines = [
        f"## Measured {datetime.date.today().isoformat()}",
        "",
        f"`make bench` · {options.names:,} names · {options.rounds} interleaved rounds of {options.seconds:g} s · "
        f"{platform.machine()}, one core for each server",
        "",
    ]
    try:
        for name in options.only or peers.available():
            say(f"starting {name} …")
            peer = peers.STARTERS[name](folder, free_port(), source.port, options.names)
            started.append(peer)
            running[name] = peer
            measure.dnsperf(peer.process.pid, peer.port, folder / "warm.txt", 20, once=True)
            measure.dnsperf(peer.process.pid, peer.port, folder / "warm.txt", 20, once=True)
        for kind, mode in (("hits", "udp"), ("hits over TCP", "tcp"), ("misses", "udp")):
            if kind == "misses" and options.skip_misses:
                continue
            runs: dict[str, list[measure.Run]] = {name: [] for name in running if not (name == "floor" and kind != "hits")}
            for round_number in range(options.rounds):
                for position, name in enumerate(runs):
                    peer = running[name]
                    queries = folder / "hits.txt"
                    if kind == "misses":
                        queries = folder / "misses.txt"
                        workload.write_misses(queries, round_number * 100 + position)
                    clients = 50 if mode == "udp" else 8
                    once = kind == "misses"
                    result = measure.dnsperf(peer.process.pid, peer.port, queries, options.seconds, once=once, mode=mode, clients=clients)
                    runs[name].append(result)
                    figures_now = f"{result.rate:,.0f}/s, {result.micros:.2f} µs, lost {result.lost}"
                    say(f"  {kind} {round_number + 1}/{options.rounds} {name}: {figures_now}")
            figures = report.summary(runs)
            lines += [*report.table(kind, figures), "", *report.verdicts(kind, figures), ""]
        lines += ["### Memory and start", "", "| server | MiB (PSS, all processes) | start to first answer, s |", "|---|---|---|"]
        for name, peer in running.items():
            lines.append(f"| {name} | {measure.memory_mib(peer.process.pid):.0f} | {peer.start_seconds:.1f} |")
        if "lachan" in running:
            lines += ["", f"Compiling the list took {running['lachan'].notes['compile_seconds']:.1f} s."]
    finally:
        for peer in started:
            peer.stop()
    return lines


def main() -> int:
    """Run the bench in a folder of its own and print the report."""
    if shutil.which("dnsperf") is None or shutil.which("taskset") is None:
        say("make bench needs dnsperf and taskset: apt install dnsperf util-linux")
        return 1
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="lachan-bench-") as place:
        lines = run(options, Path(place))
    say()
    say("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
