"""A service or a container whose place was taken: idle, no failure, and there when it is needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway import resting
from tests.support.succeeding import pair, pid_of


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


def test_looking_after_the_successor_changes_nothing_there(tmp_path: Path) -> None:
    """Each `counts` begins a span of `weights` anew: asked every second, the busiest clients are everybody, the office hears noughts."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen(1)

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                asked.append(json.loads(client.recv(4096))["do"])
                client.sendall(b'{"ok":true}\n')

        answering = threading.Thread(target=answer)
        answering.start()
        is_there = resting._is_somebody_there(tmp_path, 5.0)
        answering.join(10)
    assert (is_there, asked) == (True, ["status"])
    assert not resting._is_somebody_there(tmp_path / "nowhere", 1.0)


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


def test_program_started_by_hand_ends_although_its_shell_is_gone(tmp_path: Path) -> None:
    """Its parent is then process 1, as in a container; nobody would start it again, so it does not stay."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    with pair(tmp_path) as (old, new):
        old.stop()
        # The shell that starts it ends a moment later; process 1 of its own namespace goes on.
        inside = '(PATH=$PATH; "$@" & sleep 1) & while :; do sleep 0.1; ps -e -o comm= | grep -q python || exit 0; done'
        old.interpreter = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "init", sys.executable)
        old.start()
        time.sleep(1.5)
        new.start(wait=False)
        new.wait(lambda: new.status()["pid"] == pid_of(new) and new.status()["state"] == "ready")
        assert old.process is not None
        assert old.process.wait(20) == 0
        assert "leave.idle" not in old.log_text()
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
