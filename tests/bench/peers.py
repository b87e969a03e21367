"""How each server of the benchmark is configured and started. Imported by the bench only.

Every server gets the same list, forwards to the same upstream, keeps a cache that holds the whole workload, uses one thread or worker,
and has its rate limits switched off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import measure, workload


@dataclass(slots=True)
class Peer:
    """A running server: its name, port, first process, and the seconds from start to the first answer."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    start_seconds: float
    log: Path
    notes: dict[str, float] = field(default_factory=dict)

    def stop(self) -> None:
        """End the server that this bench started."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


Starter = Callable[[Path, int, int, int], Peer]


def launch(name: str, command: list[str], port: int, folder: Path, core: str = measure.SERVER_CORE) -> Peer:
    """Start a server pinned to its core and wait for its first answer."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        seconds = measure.wait_for_answer(port)
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}") from None
    return Peer(name, port, process, seconds, log)


def compile_floor(folder: Path) -> Path | None:
    """Compile the C floor, or None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = folder / "limit"
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(Path(__file__).with_name("limit.c"))], check=True)
    return program


def upstream(folder: Path, port: int) -> Peer:
    """The upstream of everyone: the C answerer."""
    program = compile_floor(folder)
    if program is None:
        raise RuntimeError("the bench needs a C compiler for its upstream: apt install gcc")
    return launch("upstream", [str(program), str(port), "answer"], port, folder, measure.GENERATOR_CORE)


def floor(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """The C program that flips one bit."""
    return launch("floor", [str(folder / "limit"), str(port), "flip"], port, folder)


def dnsdist(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """dnsdist with a suffix set and a packet cache."""
    (folder / "dnsdist.conf").write_text(f"""
setLocal("127.0.0.1:{port}", {{maxInFlight=1000}})
setACL({{"127.0.0.0/8"}})
newServer({{address="127.0.0.1:{upstream_port}", sockets=16}})
setSecurityPollSuffix("")
setMaxTCPConnectionsPerClient(0)
setMaxTCPQueriesPerConnection(0)
pc = newPacketCache(500000, {{maxTTL=86400, numberOfShards=1}})
getPool(""):setCache(pc)
names = newSuffixMatchNode()
for line in io.lines("names.txt") do names:add(newDNSName(line)) end
addAction(SuffixMatchNodeRule(names), SpoofAction("0.0.0.0", {{ttl=10}}))
""")
    return launch("dnsdist", ["dnsdist", "-C", str(folder / "dnsdist.conf"), "--supervised", "--disable-syslog"], port, folder)


def unbound(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """Unbound with a response policy zone."""
    zone = folder / "names.rpz"
    if not zone.exists():
        workload.write_rpz(zone, names)
    (folder / "unbound.conf").write_text(f"""
server:
  interface: 127.0.0.1@{port}
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  module-config: "respip iterator"
  do-not-query-localhost: no
  msg-cache-size: 256m
  rrset-cache-size: 256m
  outgoing-range: 4096
  num-queries-per-thread: 2048
  incoming-num-tcp: 200
  prefetch: no
  access-control: 127.0.0.0/8 allow
rpz:
  name: bench.rpz
  zonefile: "{zone}"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream_port}
""")
    return launch("unbound", ["unbound", "-d", "-c", str(folder / "unbound.conf")], port, folder)


def ours(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """Lá Chắn DNS: one worker, a primary-school profile, the list as gambling names."""
    settings = folder / "lachan.yaml"
    settings.write_text(f"""
state_dir: {folder}/state
dns: {{listen: ["127.0.0.1:{port}"], workers: 1}}
upstreams: {{servers: ["udp://127.0.0.1:{upstream_port}"]}}
cache: {{entries: 500000}}
rate_limit: {{per_client: 0}}
lists: [{{id: bench, category: gamb, path: {folder}/names.txt, format: domains}}]
profiles: [{{id: child, band: TH}}]
clients: [{{id: here, profile: child, match: [127.0.0.0/8]}}]
default_profile: child
""")
    command = [sys.executable, "-m", "lachan"]
    began = time.monotonic()
    subprocess.run([*command, "lists", "compile", "-c", str(settings)], check=True, capture_output=True, cwd=folder)
    compiled = time.monotonic() - began
    peer = launch("lachan", [*command, "gateway", "-c", str(settings)], port, folder)
    peer.notes["compile_seconds"] = compiled
    return peer


STARTERS: dict[str, Starter] = {"floor": floor, "lachan": ours, "dnsdist": dnsdist, "unbound": unbound}


def available() -> list[str]:
    """The servers that this machine can run."""
    return [name for name in STARTERS if name in ("floor", "lachan") or shutil.which(name)]
