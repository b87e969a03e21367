"""One gateway takes the place of another: real processes and sockets."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.control import ControlServer, Request
from gateway.errors import StartError
from gateway.statelock import StateLock
from gateway.succession import PATH_NAME, meet, take_over
from tests.support.echogateway import EchoGateway, free_port
from tests.support.gateway import ROOT
from tests.support.succeeding import Questions, is_in_force, page, pair, pid_of, told


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


DYING = """
import asyncio, sys, time
from pathlib import Path
from gateway.control import ControlServer, Request
from gateway.statelock import StateLock
from gateway.succession import hear_go, meet

async def main(folder):
    gone = asyncio.Event()
    async def hand_over(_):
        line = meet(folder)
        async def close():
            await hear_go(line)
            line.close()
            gone.set()
        task = asyncio.create_task(close())
        return {}
    server = ControlServer(folder, {"hand_over": Request(hand_over, 5.0)})
    await server.start()
    print("ready", flush=True)
    await gone.wait()
    time.sleep(0.4)  # killed: its files are closed one after the other, the line before the lock

folder = Path(sys.argv[1])
with StateLock(folder):
    asyncio.run(main(folder))
"""


def test_old_gateway_that_is_ending_while_it_gives_means_an_ordinary_start(tmp_path: Path) -> None:
    """Its line closes a moment before the state directory is free: that is no gateway that goes on."""
    with subprocess.Popen([sys.executable, "-c", DYING, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as dying:
        assert dying.stdout is not None and dying.stdout.readline() == "ready\n"
        assert take_over(tmp_path) is None
        StateLock(tmp_path).close()


def test_ports_that_a_dead_gateway_s_workers_still_hold_are_waited_for(tmp_path: Path) -> None:
    """Whoever wants a place starts all the same, a moment later; without that wish a port in use is told at once."""
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as leftover:
        leftover.bind(("127.0.0.1", port))
        with EchoGateway(tmp_path, listen=[["127.0.0.1", port]]) as plain:
            began = time.monotonic()
            plain.start(wait=False)
            assert plain.process is not None and plain.process.wait(20) == 1
            at_once = time.monotonic() - began
        with EchoGateway(tmp_path, listen=[["127.0.0.1", port]], takes_over=True) as gateway:
            gateway.start(wait=False)
            time.sleep(at_once + 0.5)
            assert gateway.process is not None and gateway.process.poll() is None
            leftover.close()
            gateway.wait(lambda: gateway.status()["state"] == "ready")
            assert gateway.query(port=port)


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
