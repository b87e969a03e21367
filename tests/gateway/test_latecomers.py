"""Somebody else has the port of the pages or of the metrics when the gateway starts: the real program, real sockets, real questions."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.latecomers import Latecomers
from gateway.settings import Endpoint
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.nineandadult import ADULT, RECORDS, SETTINGS, prepare

OPEN = ["192.0.2.20"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(RECORDS) as running:
        yield running


def taken() -> socket.socket:
    """A port of another program."""
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    return other


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until it is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Whether a page comes from this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as line:
            line.settimeout(5)
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return line.recv(16).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


def test_service_answers_names_while_its_other_ports_are_taken(upstream: RunningUpstream, tmp_path: Path) -> None:
    """After a reboot another service was quicker; later it goes away."""
    prepare(tmp_path)
    with taken() as pages, taken() as numbers:
        page_port, number_port = pages.getsockname()[1], numbers.getsockname()[1]
        text = SETTINGS.replace("127.0.0.1:{metrics}", f"127.0.0.1:{number_port}") + f'admin: {{listen: "127.0.0.1:{page_port}"}}\n'
        kept = {"LACHAN_LAST_GOOD": str(tmp_path / "var" / "settings.last-good")}
        with Gateway(tmp_path, text, upstream=upstream.port, environment=kept) as running:
            assert running.addresses("open.example", source=ADULT) == OPEN
            said = running.command("status").stdout
            assert (
                f"admin.listen: 127.0.0.1:{page_port} (TCP) is taken by" in said
                and f"metrics.listen: 127.0.0.1:{number_port} (TCP) is taken by" in said
            )
            assert "listen.late" in running.written()
            assert running.status()["processes"] == [{"name": "admin", "pid": None, "restarts": 0, "silent": False, "at_work": False}]
            assert running.command("reload").returncode == 0 and "admin.listen" in running.command("status").stdout
            pages.close()
            wait_for(lambda: answers(page_port))
            assert "admin.listen" not in running.command("status").stdout
            numbers.close()
            wait_for(lambda: answers(number_port))
            assert "is taken by" not in running.command("status").stdout
            assert running.addresses("open.example", source=ADULT) == OPEN
            assert running.stop() == 0


@pytest.mark.parametrize("which", ["admin", "metrics"])
def test_start_by_hand_is_refused_with_one_sentence(which: str, upstream: RunningUpstream, tmp_path: Path) -> None:
    """Somebody sits there and reads."""
    prepare(tmp_path)
    with taken() as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        text = SETTINGS.replace("127.0.0.1:{metrics}", address) if which == "metrics" else SETTINGS + f'admin: {{listen: "{address}"}}\n'
        with pytest.raises(AssertionError, match=f"ended with status 1:(.|\n)*{which}.listen: {address} .TCP. "):
            Gateway(tmp_path, text, upstream=upstream.port).start()


def test_place_is_whole_or_closed() -> None:
    """One of two endpoints cannot be had."""
    opened: list[socket.socket] = []

    def opening(endpoint: Endpoint, setting: str) -> socket.socket:
        if endpoint.port == 1:
            raise StartError(f"{setting}: {endpoint} is taken")
        opened.append(socket.socket())
        return opened[-1]

    both = (Endpoint("127.0.0.1", free_port()), Endpoint("127.0.0.1", 1))
    with pytest.raises(StartError):
        Latecomers(opening, is_patient=False).open("page", both)
    assert opened.pop().fileno() == -1
    patient = Latecomers(opening, is_patient=True)
    place = patient.open("page", both)
    assert place.sockets == opened and place.missing == [both[1]] and "page: 127.0.0.1:1 is taken" in patient.sentences()[0]
    place.close()
