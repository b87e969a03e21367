"""The shared word between processes."""

from __future__ import annotations

import os
import time

import pytest

from gateway.sharedword import SharedWord


def test_child_sees_what_the_parent_writes() -> None:
    """A forked process reads the new number without any message."""
    word = SharedWord(1)
    pid = os.fork()
    if pid == 0:
        deadline = time.monotonic() + 5
        while word.cells[0] != 2**40 and time.monotonic() < deadline:
            time.sleep(0.001)
        os._exit(0 if word.value == 2**40 else 1)
    word.set(2**40)
    assert os.waitpid(pid, 0)[1] == 0
    word.close()


def test_word_never_goes_back() -> None:
    """A smaller number is refused."""
    word = SharedWord(5)
    with pytest.raises(ValueError):
        word.set(4)
    assert word.value == 5
    word.close()
