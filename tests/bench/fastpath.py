"""A rough measurement of the path of a query alone: one worker without a supervisor, in one process, on loopback.

    python -m tests.bench.fastpath [--names 1000000] [--seconds 3] [--only hits|misses|tcp] [--profile FILE]

Prints processor time per query, kernel included, for hits (30 % blocked, 70 % from an upstream's answer), names never seen, and hits over
TCP, beside
the C floor. `make bench` compares with other resolvers; this shows what a change of the hot path costs. Needs dnsperf and a C compiler.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway.settings import CacheSettings
from tests.bench import measure, peers, workload
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.upstream import ScriptedUpstream


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve(folder: Path, names: int, upstream_port: int, port: int) -> None:
    """Be the worker until told to stop."""
    upstream = ScriptedUpstream()
    upstream.port = upstream_port
    listed = [workload.listed_name(number) for number in range(names)]
    worker = OneWorker(
        folder,
        upstream,
        lists={"bench": category("gamb", *listed)},
        profiles=[profile("TH", "child")],
        changes={"cache": CacheSettings(entries=500_000, bytes=1 << 30)},
        port=port,
    )
    del listed
    async with worker:
        gc.collect()
        gc.freeze()
        gc.disable()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


def child(options: argparse.Namespace) -> int:
    """The measured process."""
    work = serve(Path(options.folder), options.names, options.upstream, options.port)
    if not options.profile:
        asyncio.run(work)
        return 0
    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, work)
    with open(options.profile, "w") as out:
        pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(45)
    return 0


def show(name: str, run: measure.Run) -> None:
    """One line of the report."""
    print(  # noqa: T201
        f"{name:<18} {run.micros:6.2f} µs/query  {run.rate:9.0f} q/s  lost {run.lost}  generator {run.generator_busy:4.0%}", flush=True
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--profile", default="")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        return child(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queries = folder / "hits.txt"
        workload.write_hits(queries, options.names)
        workload.write_warm(folder / "warm.txt", queries)
        workload.write_misses(folder / "misses.txt", 0)
        upstream = peers.upstream(folder, free_port())
        port = free_port()
        command = ["taskset", "-c", measure.SERVER_CORE, sys.executable, "-m", "tests.bench.fastpath", "--folder", str(folder / "state")]
        command += ["--names", str(options.names), "--upstream", str(upstream.port), "--port", str(port), "--profile", options.profile]
        worker = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        try:
            print(f"ready after {measure.wait_for_answer(port):.1f} s", flush=True)  # noqa: T201
            if not options.only:
                floor = peers.floor(folder, free_port(), upstream.port, 0)
                show("C floor", measure.dnsperf(floor.process.pid, floor.port, queries, options.seconds))
                floor.stop()
            if options.only in ("", "hits", "tcp"):
                for mode in ("udp", "tcp"):
                    for _ in range(2):
                        measure.dnsperf(worker.pid, port, folder / "warm.txt", 20.0, once=True, mode=mode)
            if options.only in ("", "hits"):
                for number in range(3):
                    show(f"hits {number}", measure.dnsperf(worker.pid, port, queries, options.seconds))
            if options.only in ("", "tcp"):
                show("hits over TCP", measure.dnsperf(worker.pid, port, queries, options.seconds, mode="tcp", clients=10))
            if options.only in ("", "misses"):
                show("misses", measure.dnsperf(worker.pid, port, folder / "misses.txt", options.seconds))
            print(f"memory {measure.memory_mib(worker.pid):.0f} MiB", flush=True)  # noqa: T201
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
            upstream.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
