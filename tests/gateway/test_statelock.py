"""One gateway for one state directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.statelock import StateLock


def test_second_holder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    """The sentence says who has it; after the first let go, the next may."""
    with StateLock(tmp_path), pytest.raises(StartError, match=rf"another gateway \(pid {os.getpid()}\)"):
        StateLock(tmp_path)
    StateLock(tmp_path).close()


def test_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    """A killed gateway leaves no lock behind."""
    pid = os.fork()
    if pid == 0:
        StateLock(tmp_path)
        os._exit(0)
    os.waitpid(pid, 0)
    with StateLock(tmp_path), pytest.raises(StartError, match=rf"another gateway \(pid {os.getpid()}\)"):
        StateLock(tmp_path)


def test_directory_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    """The sentence names the directory and the remedy."""
    with pytest.raises(StartError, match=r"state_dir: cannot write to .*chown"):
        StateLock(tmp_path / "missing")
