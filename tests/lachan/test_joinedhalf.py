"""Joining another office is cut off, by a full disk or by kill -9, at each of its writes: the office before is followed on, or the new one
is, and nothing in between."""

from __future__ import annotations

import errno
import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from blocklists.joined import read_joined
from blocklists.joining import JoinError, join
from blocklists.pairing import JoinCode, fingerprint_of
from lachan.following import take_round
from tests.lachan.test_anotheroffice import follows, settings, standing
from tests.support.publisher import Publisher, serve

__all__ = ["standing"]


def takes(state_dir: Path) -> tuple[str, int]:
    """A round by whatever stands on the disk: what went wrong, and the serial in force of the office that is followed."""
    state, _ = take_round(settings(state_dir), commit=True)
    return state.code, state.serial


def full() -> None:
    """The disk has no room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed() -> None:
    """The power is gone."""
    os.kill(os.getpid(), signal.SIGKILL)


def cut_off(act: Callable[[], object], stop: Callable[[], None], at: int) -> bool:
    """Do something in a process of its own in which the write of number `at` does not come about; whether it went through whole."""
    child = os.fork()
    if child == 0:
        replace, count = os.replace, itertools.count(1)

        def stopping(*given: str, **named: int) -> None:
            if next(count) == at:
                stop()
            replace(*given, **named)

        os.replace = stopping  # type: ignore[assignment]
        try:
            act()
        except JoinError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("stop", [full, killed])
def test_joining_that_is_cut_off_leaves_one_office_or_the_other(tmp_path: Path, standing: Path, stop: Callable[[], None]) -> None:
    """After each of the writes: the lists of the office that stands on the disk still come in."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    one.publish(5, "bad.example")
    two.publish(3, "worse.example")
    with serve(one.folder) as first, serve(two.folder) as second:
        assert follows(standing, one, first) == ("", 5, 0)
        code = JoinCode(second, fingerprint_of(two.root))
        for at in range(1, 12):
            went_through = cut_off(lambda: join(standing, code), stop, at)
            joined = read_joined(standing)
            assert joined is not None
            if went_through or joined.url == second:
                break
            assert joined.url == first
            one.publish(5 + at, "bad.example")
            assert takes(standing) == ("", 5 + at), f"cut off at write {at}"
        assert 1 < at < 11
        assert takes(standing) == ("", 3)


def test_what_an_older_version_left_is_followed_and_mended(tmp_path: Path, standing: Path) -> None:
    """It kept every office's root under one name: that goes on as it is; where another office's stands there, or none, the right one is
    fetched again and believed by its fingerprint alone."""
    one, two = Publisher(tmp_path / "one"), Publisher(tmp_path / "two")
    one.publish(5, "bad.example")
    with serve(one.folder) as first:
        assert follows(standing, one, first) == ("", 5, 0)
        old = standing / "follow/root.json"
        for path in (standing / "follow").glob("root*"):
            path.unlink()
        old.write_bytes(one.root)
        one.publish(6, "bad.example")
        assert takes(standing) == ("", 6)
        assert [path.name for path in (standing / "follow").glob("root*")] == ["root.json"]
        one.publish(7, "bad.example")
        old.write_bytes(two.root)
        first_root = one.folder / "metadata/1.root.json"
        first_root.write_bytes(two.root)
        assert takes(standing) == ("root", 6)
        first_root.write_bytes(one.root)
        assert takes(standing) == ("", 7)
        for path in (standing / "follow").glob("root*"):
            path.unlink()
        one.publish(8, "bad.example")
        assert takes(standing) == ("", 8)
