"""sd_notify and socket activation."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.notify import ServiceNotifier, passed_sockets
from tests.support.echogateway import EchoGateway


class Manager:
    """The listening end of a service manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def hear(self) -> str:
        return self.socket.recv(4096).decode()

    def hear_until(self, word: str) -> str:
        while True:
            text = self.hear()
            if word in text:
                return text


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    """A service manager."""
    return Manager(tmp_path / "notify")


def test_notifier_without_a_manager_is_silent() -> None:
    """Outside systemd nothing happens."""
    notifier = ServiceNotifier({})
    notifier.ready("fine")
    assert not notifier.is_on
    assert notifier.watchdog_seconds == 0


def test_notifier_reads_the_watchdog_interval_and_takes_the_variables_out(manager: Manager) -> None:
    """Children must not believe that they are the service."""
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = ServiceNotifier(environment)
    assert environment == {}
    assert notifier.watchdog_seconds == 3.0
    notifier.reloading()
    assert manager.hear().startswith("RELOADING=1\nMONOTONIC_USEC=")
    manager.socket.close()


def test_manager_that_does_not_read_holds_up_nothing(manager: Manager) -> None:
    """A full queue at the other end costs a moment, not the gateway."""
    notifier = ServiceNotifier({"NOTIFY_SOCKET": str(manager.path)})
    started = time.monotonic()
    for _ in range(2000):
        notifier.alive()
    notifier.ready("full")
    assert time.monotonic() - started < 5
    manager.socket.close()


def test_gateway_tells_its_life(tmp_path: Path, manager: Manager) -> None:
    """READY only when every worker answers, WATCHDOG while it lives, RELOADING and READY around a reload, STOPPING at the end."""
    with EchoGateway(tmp_path, workers=1) as gateway:
        gateway.start({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1500000"})
        assert "STATUS=generation 1, 1 workers, ready" in manager.hear_until("READY=1")
        manager.hear_until("WATCHDOG=1")
        gateway.want(text="next")
        gateway.ask("reload")
        manager.hear_until("RELOADING=1")
        assert "generation 2" in manager.hear_until("READY=1")
        gateway.stop()
        manager.hear_until("STOPPING=1")
    manager.socket.close()


def test_passed_sockets_of_another_process_are_not_taken() -> None:
    """LISTEN_PID must name us; the variables go either way."""
    environment = {"LISTEN_FDS": "2", "LISTEN_PID": "1", "LISTEN_FDNAMES": "a:b"}
    assert passed_sockets(environment, os.getpid()) == []
    assert environment == {}


def test_socket_activation_keeps_queries_over_a_restart(tmp_path: Path) -> None:
    """Sockets that the manager holds: a query sent while no gateway runs is answered by the next one."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        tcp.bind(("127.0.0.1", 0))  # TCP first: its ports are the ones that are taken
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        tcp.listen()
        client.settimeout(10)
        starter = "import os,sys;os.dup2(int(sys.argv[1]),50);os.dup2(int(sys.argv[2]),51);os.dup2(50,3);os.dup2(51,4);" + (
            "os.environ.update(LISTEN_FDS='2',LISTEN_PID=str(os.getpid()));os.execv(sys.executable,[sys.executable,*sys.argv[3:]])"
        )
        for number in range(2):
            client.sendto(b"early", ("127.0.0.1", port))
            gateway = EchoGateway(tmp_path, workers=2, listen=[["127.0.0.1", port]])
            command = ["-m", "tests.support.echogateway", __import__("json").dumps(gateway.options)]
            with (tmp_path / "log").open("a") as log:
                gateway.process = subprocess.Popen(
                    [sys.executable, "-c", starter, str(udp.fileno()), str(tcp.fileno()), *command],
                    pass_fds=[udp.fileno(), tcp.fileno()],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    cwd=Path(__file__).parents[2],
                )
            assert b'"echo": "early"' in client.recv(4096), number
            assert gateway.stop() == 0, gateway.log_text()
