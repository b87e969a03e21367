"""Expected errors in words: the place, the remedy, nothing that a terminal obeys."""

from __future__ import annotations

import errno
import os

import pytest

from gateway.errors import StartError
from lachan.errortext import explain_error, refused_by_system


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "run it with sudo"), (errno.ENOSPC, "make room on the disk")])
def test_what_the_system_refuses_is_told_with_its_remedy(number: int, remedy: str) -> None:
    """A folder of somebody else's, a full disk."""
    refused = refused_by_system(OSError(number, os.strerror(number), "/srv/lachan/x"))
    assert refused is not None
    told = explain_error(refused)
    assert told.startswith(f"lỗi / error: /srv/lachan/x: {os.strerror(number)}: {remedy}")


def test_fault_of_ours_stays_a_fault() -> None:
    """A descriptor that is not open, an error without a place: a bug shows its traceback."""
    assert refused_by_system(OSError(errno.EBADF, "Bad file descriptor", "/x")) is None
    assert refused_by_system(OSError(errno.EACCES, "Permission denied")) is None


def test_error_text_cannot_move_the_cursor() -> None:
    """Control characters of a hostile file name are escaped; several lines stay several lines."""
    assert explain_error(StartError("a\x1b[2Jb\nc")) == "lỗi / error: a\\x1b[2Jb\nc"
