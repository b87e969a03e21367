"""The real program for tests: a settings text in, a running `lachan run` out, on ephemeral ports with a state directory of its own.

    with RunningUpstream({("example.com", "A"): ["192.0.2.1"]}) as upstream, Gateway(tmp_path, settings, upstream=upstream.port) as gateway:
        reply = gateway.ask("example.com")

`{folder}`, `{metrics}` (a port) and every keyword given are filled into the text. `dns.listen` should use port 0.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dns.edns
import dns.message
import dns.query
import pytest

from gateway.control import ask_now
from gateway.errors import ControlError
from tests.support.echogateway import free_port
from tests.support.prepared import lay_out
from tests.support.upstream import ScriptedUpstream

READY_SECONDS = 180.0
STOPPED_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]


class Gateway:
    """One running program. `port` is the first DNS port, `log` the file with everything it wrote. The shipped lists are compiled already
    (tests/support/prepared.py)."""

    def __init__(
        self, folder: Path, text: str, *, command: str = "run", environment: Mapping[str, str] | None = None, **fields: object
    ) -> None:
        self.folder = folder
        self.path = folder / "lachan.yaml"
        self.log = folder / "gateway.log"
        self.metrics = free_port()
        self.port = 0
        self._fields = {"folder": folder, "metrics": self.metrics, **fields}
        self._command = command
        self._is_prepared = command in ("run", "gateway")
        self._environment = {**os.environ, "LACHAN_LOG_FORMAT": "json", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.write(text)

    # Life

    def write(self, text: str) -> None:
        """Write the configuration file; `{name}` is filled in for the known names only, so that YAML's own braces stay."""
        for name, value in self._fields.items():
            text = text.replace("{" + name + "}", str(value))
        self.path.write_text(text, encoding="utf-8")

    def start(self) -> Self:
        """Start the program and wait until every worker answers. Raises AssertionError with its log when it ends before."""
        if self._is_prepared:
            lay_out(self.path)
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "lachan", self._command, "-c", str(self.path)]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_until_ready()
        except AssertionError:
            self.kill()
            raise
        listen = self.status()["listen"]
        self.port = int(next(row["address"] for row in listen if row["transport"] == "udp").rpartition(":")[2])
        return self

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the status says ready."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the gateway ended with status {self._process.returncode}:\n{self.written()}")
            try:
                if self.status()["state"] == "ready":
                    return
            except ControlError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the gateway was not ready within {seconds:g} s:\n{self.written()}")

    def kill(self) -> None:
        """End what is left of a program that did not come up."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOPPED_SECONDS)

    def stop(self) -> int:
        """Ask the program to end; its exit status. It is killed when it does not."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPPED_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
                raise AssertionError(f"the gateway did not stop:\n{self.written()}") from None
        return process.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            sys.stderr.write(self.written()[-8000:])
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def written(self) -> str:
        """Everything the program wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    # Questions

    def ask(
        self, name: str, qtype: str = "A", *, source: str | None = None, tcp: bool = False, seconds: float = 5.0
    ) -> dns.message.Message:
        """Ask the gateway over UDP (or TCP) with EDNS, from `source` when given."""
        question = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
        send = dns.query.tcp if tcp else dns.query.udp
        return send(question, "127.0.0.1", seconds, self.port, source=source)

    def addresses(self, name: str, qtype: str = "A", *, source: str | None = None) -> list[str]:
        """The record texts of the asked type in the answer, sorted."""
        reply = self.ask(name, qtype, source=source)
        return sorted(str(rdata) for rrset in reply.answer for rdata in rrset if rrset.rdtype == reply.question[0].rdtype)

    def dig(self, *arguments: str) -> str:
        """Run the real dig against the gateway; skip (a failure in the full run) where it is not installed."""
        if shutil.which("dig") is None:
            pytest.skip("dig is not installed")
        command = ["dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+timeout=5", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout

    # The running program

    def status(self) -> dict[str, Any]:
        """The status document. Raises ControlError while nobody answers."""
        return ask_now(self.folder / "var", {"do": "status"}, 10.0)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples whose labels contain these; 0 when there are none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as response:
            text = response.read().decode()
        total = 0.0
        for line in text.splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if all(found.get(label) == value for label, value in labels.items()):
                    total += float(match[3])
        return total

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of a page on the metrics address."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def command(self, *arguments: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run `lachan ARGUMENTS -c FILE` beside the running program."""
        return run_command(*arguments, "-c", str(self.path), seconds=seconds, environment=self._environment)


def run_command(
    *arguments: str, seconds: float = 60.0, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `lachan ARGUMENTS` as a person does."""
    command = [sys.executable, "-m", "lachan", *arguments]
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    merged = {**os.environ, **(environment or {}), "PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, env=merged, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False
    )


def ede_codes(reply: dns.message.Message) -> list[int]:
    """The extended DNS errors of a reply."""
    return [int(option.code) for option in reply.options if isinstance(option, dns.edns.EDEOption)]


class RunningUpstream:
    """A scripted upstream on a thread of its own, for tests that are not coroutines."""

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str]] | None = None, *, upstream: ScriptedUpstream | None = None) -> None:
        self.script = upstream or ScriptedUpstream(records)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port of UDP and TCP."""
        return self.script.port

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def start(self) -> None:
        """Open the sockets (again)."""
        asyncio.run_coroutine_threadsafe(self.script.start(), self._loop).result(30)

    def stop(self) -> None:
        """Close the sockets: the upstream is gone."""
        asyncio.run_coroutine_threadsafe(self.script.stop(), self._loop).result(30)
