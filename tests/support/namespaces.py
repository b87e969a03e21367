"""Network namespaces for tests: machines of their own, joined by wires and switches, with nothing of the outside in them. Linux, as root.

    with Networks() as networks:
        home = networks.switch("home")
        gateway = networks.machine("gateway", home, "10.77.0.1/24")
        tablet = networks.machine("tablet", home, "10.77.0.20/24", mac="02:00:00:00:00:01")
        print(tablet.run("dig", "@10.77.0.1", "www.example.com"))

Everything is made inside namespaces that belong to the test, and is gone when the block ends, whatever happened: programs started by
`Machine.start` are ended, namespaces deleted, links with them. For tests only.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.gateway import ROOT, Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream

_numbers = itertools.count(1)
_RECORD = re.compile(r"^\S+\s+\d+\s+IN\s+(\S+)\s+(.+)$")


def require(*programs: str) -> None:
    """Skip (a failure in the full run) where namespaces or one of these programs cannot be had, and say which."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("network namespaces need Linux and root")
    missing = [program for program in ("ip", *programs) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    probe = f"lachan-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, timeout=10, check=False)
    if made.returncode:
        pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, timeout=10, check=False)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout


class Machine:
    """One namespace with its own addresses, routes, firewall and neighbour table. `name` is that of the namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._started: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", name)
        self.ip("link", "set", "lo", "up")
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries")

    def ip(self, *arguments: str) -> str:
        """Run `ip` on this machine."""
        return _ip("-n", self.name, *arguments)

    def run(self, *command: str, seconds: float = 20.0, check: bool = True, text: str | None = None) -> str:
        """Run a program on this machine; what it printed. `text` goes to its standard input."""
        whole = ["ip", "netns", "exec", self.name, *command]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=seconds, check=False, input=text)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str, log: Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program on this machine that runs until the end of the test; what it prints goes to `log`."""
        whole = ["ip", "netns", "exec", self.name, *command]
        merged = {**os.environ, **(environment or {})}
        with log.open("ab") as out:
            process = subprocess.Popen(whole, cwd=folder, env=merged, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._started.append(process)
        return process

    def dig(self, name: str, *arguments: str, server: str = "10.77.0.1", source: str | None = None) -> str:
        """Ask with the real dig; everything it prints."""
        bound = ("-b", source) if source else ()
        return self.run("dig", *bound, f"@{server}", name, "+tries=1", "+timeout=4", *arguments, check=False)

    def addresses(self, name: str, *arguments: str, server: str = "10.77.0.1", source: str | None = None) -> list[str]:
        """The addresses dig prints for a name, sorted."""
        return records(self.dig(name, *arguments, server=server, source=source), "A", "AAAA")

    def close(self) -> None:
        """End what was started and delete the namespace."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(5)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, timeout=10, check=False)


class Switch:
    """A local network: a bridge in a namespace of its own."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        machine.ip("link", "set", "bridge", "up")


class Networks:
    """Every machine and switch of one test."""

    def __init__(self) -> None:
        self._prefix = f"lachan-{os.getpid()}-{next(_numbers)}"
        self._machines: list[Machine] = []

    def switch(self, name: str) -> Switch:
        """A local network."""
        return Switch(self._add(name))

    def machine(self, name: str, switch: Switch, *addresses: str, mac: str = "", gateway: str = "") -> Machine:
        """A machine at a switch, with addresses in prefix form and a default route when `gateway` is given."""
        machine = self._add(name)
        self.plug(machine, switch, *addresses, mac=mac)
        if gateway:
            machine.ip("route", "add", "default", "via", gateway)
        return machine

    def plug(self, machine: Machine, switch: Switch, *addresses: str, mac: str = "", link: str = "eth0") -> None:
        """Join a machine to a switch by a further link."""
        port = f"port{next(_numbers)}"
        with_mac = ("address", mac) if mac else ()
        machine.ip("link", "add", link, *with_mac, "type", "veth", "peer", "name", port, "netns", switch.machine.name)
        switch.machine.ip("link", "set", port, "master", "bridge", "up")
        for address in addresses:
            machine.ip("address", "add", address, "dev", link, *(("nodad",) if ":" in address else ()))
        machine.ip("link", "set", link, "up")

    def _add(self, name: str) -> Machine:
        machine = Machine(f"{self._prefix}-{name}")
        self._machines.append(machine)
        return machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.ExitStack() as stack:  # one that fails keeps none of the others
            for machine in self._machines:
                stack.callback(machine.close)


class HousedGateway(Gateway):
    """The real program on a machine of the test. `machine` must have the addresses it listens on."""

    def __init__(
        self, machine: Machine, folder: Path, text: str, *, environment: Mapping[str, str] | None = None, **fields: object
    ) -> None:
        super().__init__(folder, text, command="run", environment=environment, **fields)
        self.machine = machine

    def start(self) -> Self:
        """Start the program and wait until every worker answers."""
        command = [sys.executable, "-m", "lachan", self._command, "-c", str(self.path)]
        self._process = self.machine.start(*command, log=self.log, environment=self._environment)
        self.wait_until_ready()
        return self


class HousedUpstream(RunningUpstream):
    """A scripted upstream on a machine of the test: its thread moves over before it opens its sockets."""

    def __init__(
        self,
        machine: Machine,
        answers: Mapping[tuple[str, str], Sequence[str]] | None = None,
        *,
        upstream: ScriptedUpstream | None = None,
    ) -> None:
        super().__init__(answers, upstream=upstream)
        self._thread = threading.Thread(target=self._live_at, args=(machine.name,), daemon=True)

    def _live_at(self, namespace: str) -> None:
        move_to(namespace)
        self._loop.run_forever()


def move_to(namespace: str) -> None:
    """Move the calling thread into a namespace; sockets it opens from now on belong there."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, 0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)


def records(printed: str, *types: str) -> list[str]:
    """The record data of these types in what dig or kdig printed, sorted."""
    found = [match for line in printed.splitlines() if (match := _RECORD.match(line))]
    return sorted(match[2].strip() for match in found if match[1] in types)
