"""A gateway that gives its place away answers until somebody else does: real processes and sockets."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from gateway import release
from gateway.control import SOCKET_NAME
from gateway.leaving import Leaving
from gateway.statelock import StateLock
from tests.support.succeeding import Questions, is_in_force, page, pair, pid_of, silent_successor, told, wait_until_told


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


async def test_successor_that_gave_up_before_its_turn_costs_nothing(tmp_path: Path) -> None:
    """It asked during a long reload and did not wait for its end: nothing is put down for it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(b"go")
    theirs.close()
    untouched: Any = None
    leaving = Leaving(tmp_path, untouched, untouched, untouched, untouched, untouched, untouched, ())
    assert await leaving.leave(ours) is False
