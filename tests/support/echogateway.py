"""A gateway whose workers only say which generation they serve: the real supervisor, real processes and sockets, no DNS.

Run as a program: `python -m tests.support.echogateway OPTIONS_JSON`; `EchoGateway` starts it and talks to it. A datagram is answered with
JSON `{"n": generation, "pid": …, "text": …, "echo": …}`. The file `next.json` beside the state directory says what `prepare` finds.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway import release
from gateway.activity import Activity
from gateway.channel import Fields
from gateway.control import ask_now
from gateway.crew import WorkerStart
from gateway.errors import ControlError, GenerationError, Mistake, SettingsError, StartError
from gateway.logs import set_up
from gateway.metrics import IDENTIFIED, QUERIES, Counters
from gateway.settings import CacheSettings, DnsSettings, Endpoint, GatewaySettings, RateLimit, UpstreamSettings
from gateway.sockets import Listening
from gateway.supervisor import ExtraProcess, Prepared, run
from gateway.workerloop import WorkerLoop


@dataclass(frozen=True)
class Source:
    """A row of list metadata."""

    id: str = "gambling-vn"
    category: str = "gamb"
    entries: int = 3


@dataclass(frozen=True)
class EchoSnapshot:
    """A generation that only knows a text."""

    number: int
    document: Any
    manifest: release.Manifest | None = None
    order_serial: int = 7
    sources: tuple[Source, ...] = (Source(),)
    disputes: tuple[Any, ...] = ()


@dataclass(frozen=True)
class EchoPolicy:
    """The part of a policy that activity looks at."""

    profile_id: str = "p"
    tenant: str = "local"
    site_class: str = "school"
    band: str = "TH"
    activity: str = "off"


def load(state_dir: Path, number: int, _previous: object) -> EchoSnapshot:
    """Read the text of a generation; a document with `bad` does not load."""
    manifest = release.read_manifest(state_dir, number)
    document = release.read_file(state_dir, dict(manifest.policies)["local"])
    if document.get("bad"):
        raise GenerationError(f"generations/{number}.json", "made to fail")
    return EchoSnapshot(number, document, manifest)


class EchoPlane:
    """Answers every datagram with the generation it is judged by."""

    def __init__(self, start: WorkerStart, counters: Counters, activity: Activity, follow: Any) -> None:
        self._start = start
        self._snapshot: Any = start.target.snapshot
        self._settings = start.target.settings
        self._counters = counters
        self._activity = activity
        self._follow = follow
        self._sockets: list[socket.socket] = []

    def open(self, listening: list[Listening]) -> None:
        for each in listening:
            if each.kind == "udp":
                self._sockets.append(each.socket)
                asyncio.get_running_loop().add_reader(each.socket.fileno(), self._read, each.socket)

    def load(self, number: int, settings: GatewaySettings) -> object:
        snapshot = load(self._start.target.settings.state_dir, number, None)
        fate = snapshot.document.get("worker", {}).get(str(self._start.index))
        marker = self._start.target.settings.state_dir.parent / f"failed.{self._start.index}"
        if fate == "fail" or (fate == "fail once" and not marker.exists()):
            marker.touch()
            raise GenerationError("records.bin", "cannot be mapped here")
        if fate == "die once" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return snapshot, settings

    def mac_of(self, address: bytes) -> str | None:
        """Nobody knows."""
        return None

    def asked(self, names: list[str]) -> Fields:
        """Nothing is counted."""
        return {"day": 0, "names": {}}

    async def weigh(self) -> Fields:
        """Nobody is weighed here."""
        return {"clients": {}}

    def host_name(self, address: bytes) -> str:
        return ""

    def put_in_force(self, staged: Any) -> None:
        self._snapshot, self._settings = staged

    def flush(self, key: str | None) -> int:
        return 1 if key is None or key == "com.example." else 0

    def clock_moved(self) -> None:
        pass

    def count(self) -> None:
        pass

    def report(self) -> Fields:
        return {"upstreams": [{"upstream": "udp://192.0.2.1:53", "up": True, "rtt": 4.0, "asked": 2, "answered": 2}]}

    async def drain(self, seconds: float) -> None:
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
            self._read(each)

    def _read(self, one: socket.socket) -> None:
        for _ in range(64):
            try:
                data, peer = one.recvfrom(2048)
            except BlockingIOError:
                return
            self._follow()
            if data == b"hang":
                time.sleep(3600)
            self._counters.add(QUERIES, ("udp", "A"))
            self._counters.add(IDENTIFIED, ("no",))
            self._activity.seen(socket.inet_aton(peer[0]), EchoPolicy(), self._start.clock.now())
            answer = {
                "n": self._snapshot.number,
                "pid": os.getpid(),
                "worker": self._start.index,
                "text": self._snapshot.document.get("text"),
                "echo": data.decode(),
                "ttl": self._settings.cache.client_ttl_max,
                "now": self._start.clock.now(),
            }
            one.sendto(json.dumps(answer).encode(), peer)


def body(start: WorkerStart) -> int:
    """The life of a worker."""
    snapshot: Any = start.target.snapshot
    if snapshot.document.get("worker", {}).get(str(start.index)) == "fail":
        return 1
    loop = WorkerLoop(start, EchoPlane)
    return asyncio.run(loop.main())


def settings_from(options: Any) -> GatewaySettings:
    """Settings of a gateway that needs none."""
    endpoints = tuple(Endpoint(host, port) for host, port in options.get("listen", [["127.0.0.1", 0]]))
    dns = DnsSettings(endpoints, options.get("workers", 2), (ip_network("127.0.0.0/8"),), options.get("user"), "lachan.internal")
    upstreams = UpstreamSettings((), "fastest", MappingProxyType({}), 1.0)
    metrics = Endpoint("127.0.0.1", options["metrics"]) if options.get("metrics") else None
    return GatewaySettings(Path(options["state_dir"]), dns, upstreams, MappingProxyType({}), metrics=metrics)


def put_index(state_dir: Path) -> str:
    """An index folder that verifies."""
    names, records = b"names", b"records"
    header = release.canonical_bytes(
        {"digests": {"names.marisa": hashlib.sha256(names).hexdigest(), "records.bin": hashlib.sha256(records).hexdigest()}}
    )
    folder = state_dir / "index" / release.index_name(header)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("names.marisa", names), ("records.bin", records), ("index.json", header)):
        (folder / name).write_bytes(data)
    return folder.name


def main(options: Any) -> int:
    """The program."""
    set_up(form="json")
    for name, value in options.get("patience", {}).items():
        module, _, constant = name.partition(".")
        setattr(importlib.import_module(f"gateway.{module}"), constant, value)
    settings = settings_from(options)
    wanted = settings.state_dir.parent / "next.json"

    async def prepare(occasion: str) -> Prepared:
        document: Any = json.loads(wanted.read_text()) if wanted.exists() else {"text": "first"}
        if "mistake" in document:
            raise SettingsError([Mistake("dns.listen", document["mistake"])])
        new = None
        if "ttl" in document:
            new = replace(settings, cache=CacheSettings(client_ttl_max=document["ttl"]))
        if "rate" in document:
            new = replace(settings, rate_limit=RateLimit(per_client=document["rate"]))
        if "port" in document:
            new = replace(settings, dns=replace(settings.dns, listen=(Endpoint("127.0.0.1", document["port"]),)))
        name = release.write_file(settings.state_dir, document)
        catalogue = release.write_file(settings.state_dir, {"format": 1})
        return Prepared({"index": put_index(settings.state_dir), "catalogue": catalogue, "policies": {"local": name}}, new)

    def page(sockets: Any) -> int:
        sys.stdout.write(f"page {os.getpid()} {len(sockets)}\n")
        sockets[0].setblocking(True)
        connection, _ = sockets[0].accept()
        connection.sendall(f"{os.getpid()}\n".encode())
        connection.close()
        return 0

    extras = [ExtraProcess("page", page, (Endpoint("127.0.0.1", options["page"]),))] if options.get("page") else []
    try:
        return run(settings, prepare, extras, takes_over=options.get("takes_over", False), body=body, load=load)
    except StartError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


class EchoGateway:
    """Starts the program above and talks to it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.state_dir = folder / "var"
        self.folder = folder
        self.options = {"state_dir": str(self.state_dir), **options}
        self.process: subprocess.Popen[str] | None = None
        self.interpreter: tuple[str, ...] = (sys.executable,)
        """The command that runs a module; words before it may put the process elsewhere."""
        self._log = folder / "log"

    def start(self, environment: dict[str, str] | None = None, wait: bool = True, **popen: Any) -> EchoGateway:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [*self.interpreter, "-m", "tests.support.echogateway", json.dumps(self.options)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environment or {})},
                cwd=Path(__file__).parents[2],
                **popen,
            )
        if wait:
            self.wait(lambda: self.status()["state"] == "ready")
        return self

    def __enter__(self) -> EchoGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.terminate()
        try:
            code = process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self.process = None
        return code

    def log(self) -> list[dict[str, Any]]:
        """Every log record so far."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def log_text(self) -> str:
        return self._log.read_text()

    def wait(self, condition: Any, seconds: float = 60.0) -> None:
        """Until `condition()` is true; what it raises while the gateway starts does not count."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except (ControlError, OSError, AssertionError, KeyError, IndexError):
                pass
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}: {self.log_text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not happen: {self.log_text()}")
            time.sleep(0.02)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        return ask_now(self.state_dir, {"do": do, **fields})

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    @property
    def port(self) -> int:
        rows = [row for row in self.status()["listen"] if row["transport"] == "udp"]
        return int(rows[0]["address"].rpartition(":")[2])

    def want(self, **document: Any) -> None:
        """What the next `prepare` finds."""
        (self.folder / "next.json").write_text(json.dumps(document))

    def query(self, text: str = "x", seconds: float = 1.0, port: int | None = None) -> dict[str, Any] | None:
        """One datagram from a fresh port; None when nothing came back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(seconds)
            client.sendto(text.encode(), ("127.0.0.1", port or self.port))
            try:
                return dict(json.loads(client.recv(4096)))
            except TimeoutError:
                return None

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.options['metrics']}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
