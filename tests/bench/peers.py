"""How each server of the benchmark is configured and started. Imported by the bench only.

Every server gets the same list, forwards to the same upstream, keeps a cache that holds the whole workload, uses one thread or worker,
and has its rate limits switched off.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import measure, workload

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Peer:
    """A running server: its name, port, first process, and the seconds from start to the first answer."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    start_seconds: float
    log: Path
    notes: dict[str, float] = field(default_factory=dict)
    encrypted: dict[str, int] = field(default_factory=dict)
    """Ports of DNS over TLS and HTTPS, by dnsperf's names of them; empty where the server has none."""

    def stop(self) -> None:
        """End the server that this bench started."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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


Starter = Callable[[Path, int, int, int], Peer]


def launch(name: str, command: list[str], port: int, folder: Path, core: str = measure.SERVER_CORE) -> Peer:
    """Start a server pinned to its core and wait for its first answer."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        around = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=around)
    try:
        seconds = measure.wait_for_answer(port)
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}") from None
    measure.wait_until_idle(process.pid)
    return Peer(name, port, process, seconds, log)


def compile_program(folder: Path, name: str) -> Path | None:
    """Compile a C program of this folder, or None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = folder / name
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(Path(__file__).with_name(f"{name}.c"))], check=True)
    return program


def upstream(folder: Path, port: int) -> Peer:
    """The upstream of everyone: the C answerer."""
    program = compile_program(folder, "limit")
    if program is None:
        raise RuntimeError("the bench needs a C compiler for its upstream: apt install gcc")
    return launch("upstream", [str(program), str(port), "answer"], port, folder, measure.GENERATOR_CORE)


def floor(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """The C program that flips one bit."""
    return launch("floor", [str(folder / "limit"), str(port), "flip"], port, folder)


def python_floor(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """The two look-ups in Python, and nothing else (`limit.py`)."""
    return launch("python", [sys.executable, "-m", "tests.bench.limit", str(port)], port, folder)


FLOORS = ("floor", "python")
"""Programs that answer nothing of their own; they are asked for known names over UDP only."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """One certificate and key for every server (P-256, as ACME clients make them by default)."""
    made = folder / "bench-cert.pem", folder / "bench-key.pem"
    if not made[0].exists():
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=dns.example", "-addext", "subjectAltName=DNS:dns.example,IP:127.0.0.1"]
        subprocess.run([*command, "-out", str(made[0]), "-keyout", str(made[1])], check=True, capture_output=True)
    return made


def dnsdist(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """dnsdist with a suffix set and a packet cache, reading datagrams by the batch as we do (it does not by itself)."""
    cert, key = certificate(folder)
    dot, doh = free_port(), free_port()
    (folder / "dnsdist.conf").write_text(f"""
setUDPMultipleMessagesVectorSize(64)
setLocal("127.0.0.1:{port}", {{maxInFlight=1000}})
addTLSLocal("127.0.0.1:{dot}", "{cert}", "{key}", {{maxInFlight=1000}})
addDOHLocal("127.0.0.1:{doh}", "{cert}", "{key}", "/dns-query")
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
    peer = launch("dnsdist", ["dnsdist", "-C", str(folder / "dnsdist.conf"), "--supervised", "--disable-syslog"], port, folder)
    peer.encrypted = {"dot": dot, "doh": doh}
    return peer


def unbound(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """Unbound with a response policy zone."""
    zone = policy_zone(folder, names)
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


def policy_zone(folder: Path, names: int) -> Path:
    """The list as a response policy zone."""
    zone = folder / "names.rpz"
    if not zone.exists():
        workload.write_rpz(zone, names)
    return zone


def recursor(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """PowerDNS Recursor with a response policy zone."""
    (folder / "recursor").mkdir(exist_ok=True)
    (folder / "recursor.lua").write_text(f'rpzFile("{policy_zone(folder, names)}", {{policyName="bench"}})\n')
    command = ["pdns_recursor", f"--config-dir={folder}/recursor", f"--socket-dir={folder}/recursor", "--daemon=no", "--threads=1"]
    command += [f"--local-address=127.0.0.1:{port}", f"--forward-zones-recurse=.=127.0.0.1:{upstream_port}", "--dnssec=off", "--quiet=yes"]
    command += [f"--lua-config-file={folder}/recursor.lua", "--max-cache-entries=500000", "--security-poll-suffix=", "--disable-syslog=yes"]
    command += ["--dont-query=", "--max-mthreads=4096", "--setuid=", "--setgid=", "--max-tcp-per-client=0"]
    return launch("recursor", command, port, folder)


def bind(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """BIND with a response policy zone."""
    (folder / "named.conf").write_text(f"""
options {{
  directory "{folder}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-recursion {{ 127.0.0.0/8; }}; forward only; forwarders {{ 127.0.0.1 port {upstream_port}; }};
  dnssec-validation no; empty-zones-enable no; max-cache-size 512m; tcp-clients 1000; recursive-clients 10000;
  response-policy {{ zone "bench.rpz"; }};
}};
controls {{ }};
zone "bench.rpz" {{ type primary; file "{policy_zone(folder, names)}"; allow-query {{ none; }}; }};
""")
    return launch("bind", ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")], port, folder)


def dnsmasq(folder: Path, port: int, upstream_port: int, names: int) -> Peer:
    """dnsmasq with one line for each name."""
    listed = folder / "dnsmasq.names"
    with listed.open("w") as out:
        out.writelines(f"address=/{workload.listed_name(number)}/0.0.0.0\n" for number in range(names))
    command = ["dnsmasq", "-k", "--conf-file=/dev/null", f"--servers-file={listed}", f"--port={port}", "--listen-address=127.0.0.1"]
    command += ["--bind-interfaces", "--no-resolv", f"--server=127.0.0.1#{upstream_port}", "--cache-size=10000", "--dns-forward-max=4000"]
    return launch("dnsmasq", [*command, "--user=root", "--no-hosts", f"--conf-file={listed}"], port, folder)


def ours(
    folder: Path, port: int, upstream_port: int, names: int, profiles: int = 1, *, workers: int = 1, core: str = measure.SERVER_CORE,
    admin: int = 0,
) -> Peer:  # fmt: skip
    """Lá Chắn DNS: a primary-school profile, the list as gambling names; with the admin pages when `admin` is a port for them.

    With more `profiles` each has a client of its own (127.100.0.1 and up) and five names of its own; 127.0.0.1 is the first one's.
    """
    settings = folder / "lachan.yaml"
    cert, key = certificate(folder)
    dot, doh = free_port(), free_port()
    more = "".join(
        f"  - {{id: p{number}, band: TH, deny: [{', '.join(f'n{number}-{each}.personal.example' for each in range(5))}]}}\n"
        for number in range(1, profiles)
    )
    clients = "".join(
        f"  - {{id: c{number}, profile: p{number}, match: [127.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}]}}\n"
        for number in range(1, profiles)
    )
    settings.write_text(f"""
state_dir: {folder}/state
dns: {{listen: ["127.0.0.1:{port}"], workers: {workers}}}
upstreams: {{servers: ["udp://127.0.0.1:{upstream_port}"]}}
cache: {{entries: 500000}}
rate_limit: {{per_client: 0}}
tls: {{certificate: {cert}, key: {key}, name: dns.example}}
dot: {{listen: ["127.0.0.1:{dot}"]}}
doh: {{listen: ["127.0.0.1:{doh}"]}}
limits: {{tcp_per_client: 1000}}
{f'admin: {{listen: "127.0.0.1:{admin}"}}' if admin else ""}
lists: [{{id: bench, category: gamb, path: {folder}/names.txt, format: domains}}]
profiles:
  - {{id: child, band: TH}}
{more}clients:
  - {{id: here, profile: child, match: [127.0.0.1]}}
{clients}default_profile: child
""")
    command = [sys.executable, "-m", "lachan"]
    began = time.monotonic()
    subprocess.run([*command, "lists", "compile", "-c", str(settings)], check=True, capture_output=True, cwd=folder)
    compiled = time.monotonic() - began
    peer = launch("lachan", [*command, "run" if admin else "gateway", "-c", str(settings)], port, folder, core)
    peer.notes["compile_seconds"] = compiled
    peer.encrypted = {"dot": dot, "doh": doh}
    return peer


STARTERS: dict[str, Starter] = {
    "floor": floor,
    "python": python_floor,
    "lachan": ours,
    "dnsdist": dnsdist,
    "unbound": unbound,
    "recursor": recursor,
    "bind": bind,
    "dnsmasq": dnsmasq,
}
_PROGRAMS = {"recursor": "pdns_recursor", "bind": "named"}


def available() -> list[str]:
    """The servers that this machine can run."""
    return [name for name in STARTERS if name in (*FLOORS, "lachan") or shutil.which(_PROGRAMS.get(name, name))]
