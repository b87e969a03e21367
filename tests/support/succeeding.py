"""Two gateways of one state directory, one to take the place of the other, and who asks them meanwhile. For tests only."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import release
from gateway.succession import Succession, take_over
from tests.support.echogateway import EchoGateway, free_port


@contextmanager
def pair(folder: Path, *, workers: tuple[int, int] = (2, 2), **options: Any) -> Iterator[tuple[EchoGateway, EchoGateway]]:
    """A running gateway and one that will take its place, on the same ports and state directory."""
    shared = {"listen": [["127.0.0.1", free_port()]], "metrics": free_port(), "page": free_port(), **options}
    with (
        EchoGateway(folder, workers=workers[0], **shared) as old,
        EchoGateway(folder, workers=workers[1], takes_over=True, **shared) as new,
    ):
        old.start()
        yield old, new


def pid_of(gateway: EchoGateway) -> int:
    assert gateway.process is not None
    return gateway.process.pid


def page(gateway: EchoGateway) -> str:
    """What the further process says."""
    with socket.create_connection(("127.0.0.1", gateway.options["page"]), 5.0) as line:
        return line.recv(100).decode()


class Questions:
    """A question every two milliseconds from a fresh port; never asked again. `slowest` in seconds."""

    def __init__(self, port: int) -> None:
        self.lost = self.asked = 0
        self.slowest = 0.0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Questions:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(0.002):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(5.0)
                self.asked += 1
                began = time.monotonic()
                client.sendto(b"x", ("127.0.0.1", self._port))
                try:
                    client.recv(4096)
                except TimeoutError:
                    self.lost += 1
                self.slowest = max(self.slowest, time.monotonic() - began)


@contextmanager
def silent_successor(old: EchoGateway) -> Iterator[Succession]:
    """Takes everything and says nothing. The line closes at the end of the block, the sockets with it."""
    succession = take_over(old.state_dir)
    assert succession is not None
    try:
        yield succession
    finally:
        succession._line.close()
        for each in succession.sockets:
            each.close()


def told(gateway: EchoGateway) -> dict[str, Any]:
    """The status as the page of numbers has it, which stays where the control socket is somebody else's."""
    return dict(json.loads(gateway.page("/api/v1/status")[1]))


def wait_until_told(gateway: EchoGateway, words: str) -> None:
    gateway.wait(lambda: any(words in fault for fault in told(gateway)["faults"]))


def is_in_force(gateway: EchoGateway, number: int, text: str) -> None:
    """Disk, status, every worker and the page of numbers say the same."""
    assert release.current_number(gateway.state_dir) == number
    assert release.read_file(gateway.state_dir, dict(release.read_manifest(gateway.state_dir).policies)["local"])["text"] == text
    assert gateway.status()["generation"] == number
    answers = [gateway.query() for _ in range(20)]
    assert {(answer["n"], answer["text"]) for answer in answers if answer} == {(number, text)}
    assert None not in answers
