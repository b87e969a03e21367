"""One gateway takes the place of another: real processes and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import release
from gateway.control import SOCKET_NAME, ControlServer, Request
from gateway.errors import StartError
from gateway.statelock import StateLock
from gateway.succession import PATH_NAME, Succession, meet, take_over
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


@pytest.mark.parametrize("workers", [(2, 2), (2, 1), (1, 3)], ids=["as many", "fewer", "more"])
def test_new_gateway_takes_the_place_and_no_question_is_lost(tmp_path: Path, workers: tuple[int, int]) -> None:
    """Every question is answered at the first try, whatever the number of workers; the old one ends; the pages are the new one's."""
    with pair(tmp_path, workers=workers) as (old, new):
        port = old.port
        with Questions(port) as questions:
            time.sleep(0.2)
            new.start(wait=False)
            new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
            assert old.process is not None
            assert old.process.wait(15) == 0
            time.sleep(0.2)
        assert questions.asked > 50
        assert questions.lost == 0
        assert questions.slowest < 1.0
        answering = {worker["pid"] for worker in new.status()["workers"]}
        assert {new.query()["pid"] for _ in range(40)} <= answering  # type: ignore[index]
        assert page(new)
        assert new.page("/readyz")[0] == 200
        assert not (old.state_dir / PATH_NAME).exists()
        assert (old.state_dir / "supervisor.lock").read_text().strip() == str(pid_of(new))


def test_place_of_nobody_is_an_ordinary_start(tmp_path: Path) -> None:
    """Where no gateway runs, `takes_over` changes nothing."""
    with EchoGateway(tmp_path, takes_over=True) as gateway:
        assert gateway.start().query()


def test_gateway_goes_on_when_its_successor_cannot_start(tmp_path: Path) -> None:
    """A new one whose workers do not start ends; the old one answered all the time, has its pages again, and can be reloaded."""
    with pair(tmp_path) as (old, new):
        before, port = old.status()["workers"], old.port
        old.want(text="broken", worker={"0": "fail", "1": "fail"})
        with Questions(port) as questions:
            new.start(wait=False)
            assert new.process is not None
            assert new.process.wait(30) == 1
            old.wait(lambda: old.status()["state"] == "ready")
        assert questions.lost == 0
        assert questions.slowest < 1.0
        assert [worker["pid"] for worker in old.status()["workers"]] == [worker["pid"] for worker in before], "nobody had to start again"
        assert "ended before it answered" in old.status()["notes"][-1]
        assert page(old)
        with urllib.request.urlopen(f"http://127.0.0.1:{old.options['metrics']}/metrics", timeout=5) as reply:
            assert reply.status == 200
        old.want(text="second")
        old.ask("reload")
        assert old.query()["text"] == "second"  # type: ignore[index]


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


def test_silent_successor_stops_nobody(tmp_path: Path) -> None:
    """However long it says nothing, names are answered and the status says why the pages wait; when it ends, all is as before."""
    with pair(tmp_path, patience={"leaving.REMIND_SECONDS": 0.3}) as (old, _):
        port = old.port
        with Questions(port) as questions:
            with silent_successor(old):
                wait_until_told(old, "has not answered for")
                assert told(old)["state"] == "leaving"
                assert old.page("/readyz")[0] == 503
                time.sleep(1.0)
                assert old.query(port=port)
            old.wait(lambda: old.status()["state"] == "ready")
        assert questions.lost == 0
        assert old.status()["faults"] == []
        assert any(row.get("event") == "leave.waiting" for row in old.log())
        assert page(old)
        old.want(text="second")
        old.ask("reload")
        is_in_force(old, 2, "second")


def test_lock_that_somebody_else_holds_stops_nobody(tmp_path: Path) -> None:
    """The successor is gone and its lock is not: names are answered, it is told who has the lock, and it is taken once it is free."""
    with pair(tmp_path, patience={"leaving.QUICK_TRIES": 5}) as (old, _):
        port = old.port
        with Questions(port) as questions:
            with silent_successor(old):
                lock = StateLock(old.state_dir)
            wait_until_told(old, f"another gateway (pid {os.getpid()})")
            old.wait(lambda: any(row.get("event") == "leave.locked_out" for row in old.log()))  # after the quick tries
            assert old.query(port=port)
            assert told(old)["state"] == "leaving"
            lock.close()
            old.wait(lambda: old.status()["state"] == "ready")
        assert questions.lost == 0
        assert page(old)


def test_control_socket_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    """Something lies where it belongs: names are answered, it is told, and the rest comes back once it is gone."""
    with pair(tmp_path) as (old, _):
        port, place = old.port, old.state_dir / SOCKET_NAME
        with Questions(port) as questions:
            with silent_successor(old):
                place.mkdir()
            wait_until_told(old, "cannot open")
            assert old.query(port=port)
            place.rmdir()
            old.wait(lambda: old.status()["state"] == "ready")
        assert questions.lost == 0
        assert page(old)


def test_generation_on_disk_is_what_workers_answer_with_after_each_ending(tmp_path: Path) -> None:
    """The successor dies before its workers run, or after it said on disk that it is in force, or stays silent, or comes to answer."""
    with pair(tmp_path) as (old, new):
        is_in_force(old, 1, "first")
        old.want(text="broken", worker={"0": "fail", "1": "fail"})
        new.start(wait=False)
        assert new.process is not None
        while new.process.poll() is None:
            assert release.current_number(old.state_dir) == 1, "until its workers answer, the next start loads what is answered with"
            time.sleep(0.005)
        old.wait(lambda: old.status()["state"] == "ready")
        is_in_force(old, 1, "first")
        old.want(text="second")
        with silent_successor(old):  # died between its last two steps
            changes = {"policies": {"local": release.write_file(old.state_dir, {"text": "second"})}}
            assert release.commit_generation(old.state_dir, changes, time.time()) > 1
        old.wait(lambda: old.status()["state"] == "ready")
        is_in_force(old, 1, "first")
        new.stop()
        new.start(wait=False)
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        is_in_force(new, int(new.status()["generation"]), "second")


def test_old_gateway_killed_in_between_leaves_the_new_one_answering(tmp_path: Path) -> None:
    """Once it has the sockets it needs the old one for nothing."""
    with pair(tmp_path) as (old, new):
        old.want(text="second")
        port = old.port
        new.start(wait=False)
        old.wait(lambda: told(old)["state"] == "leaving")
        assert old.process is not None
        old.process.kill()
        old.process.wait()
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        assert new.query(port=port)
        is_in_force(new, 2, "second")
        assert new.page("/readyz")[0] == 200


async def test_old_gateway_killed_before_it_gave_anything_means_an_ordinary_start(tmp_path: Path) -> None:
    """Nobody is left to answer: whoever wanted the place starts as the only one."""

    async def hand_over(_: Any) -> dict[str, Any]:
        meet(tmp_path).close()
        return {}

    server = ControlServer(tmp_path, {"hand_over": Request(hand_over, 5.0)})
    await server.start()
    try:
        assert await asyncio.to_thread(take_over, tmp_path) is None
        with StateLock(tmp_path), pytest.raises(StartError, match="did not hand over"):
            await asyncio.to_thread(take_over, tmp_path)
    finally:
        await server.stop()


def test_service_that_gave_its_place_away_rests_and_is_there_when_needed(tmp_path: Path) -> None:
    """A manager would start it again, and again: it stays, feeds the watchdog, is no failure, and ends when nobody answers any more."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        pair(tmp_path, patience={"resting.ABSENCE_SECONDS": 1.5}) as (old, new),
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        old.stop()
        old.start({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"})
        assert old.process is not None
        new.start(wait=False)
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        while b"idle" not in (heard := manager.recv(4096)):
            assert b"STOPPING" not in heard
        time.sleep(3.0)  # longer than nobody may be away
        old.process.send_signal(signal.SIGHUP)
        assert old.process.poll() is None
        manager.setblocking(False)
        fed = []
        with pytest.raises(BlockingIOError):
            while True:
                fed.append(manager.recv(4096))
        assert set(fed) == {b"WATCHDOG=1"}
        assert len(fed) >= 3
        assert new.query()
        new.stop()
        assert old.process.wait(15) == 1, "whoever started it does so again"


def test_service_that_gave_its_place_away_is_stopped_like_any(tmp_path: Path) -> None:
    """`systemctl stop` and `restart`: it goes at once, the other one stays."""
    with pair(tmp_path) as (old, new):
        old.stop()
        old.start({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
        new.start(wait=False)
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        old.wait(lambda: "leave.idle" in old.log_text())
        assert old.stop() == 0
        assert new.query()


def test_container_with_an_init_process_rests_too(tmp_path: Path) -> None:
    """`--init`: the engine's process has number 1, and ends with ours; the container would be started again and take the place back."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    with pair(tmp_path) as (old, new):
        old.stop()
        inside = 'trap \'kill "$child"\' TERM; "$@" & child=$!; while kill -0 "$child" 2>/dev/null; do wait "$child"; done'
        old.interpreter = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "init", sys.executable)
        old.start()
        new.start(wait=False)
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        old.wait(lambda: "leave.idle" in old.log_text())
        time.sleep(1.0)
        assert old.process is not None
        assert old.process.poll() is None
        old.process.kill()


def test_hand_over_without_anybody_waiting_changes_nothing(tmp_path: Path) -> None:
    """Whoever asks must wait at the agreed place."""
    with pair(tmp_path) as (old, _):
        with pytest.raises(Exception, match="nobody waits"):
            old.ask("hand_over")
        assert old.status()["state"] == "ready"


async def test_gateway_of_an_older_version_is_named(tmp_path: Path) -> None:
    """It does not know the request: stop it first."""
    server = ControlServer(tmp_path, {})
    await server.start()
    try:
        with pytest.raises(StartError, match="stop it first"):
            await asyncio.to_thread(take_over, tmp_path)
    finally:
        await server.stop()
    assert not (tmp_path / PATH_NAME).exists()
