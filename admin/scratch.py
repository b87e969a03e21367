"""Folders in which copies of the database are made: private, for a moment, and gone afterwards even where the program was killed meanwhile.

Such a copy holds every child of the machine, and no erasing would meet it. Whoever makes one holds a lock on its folder, which ends with
the process, however that ends; `clear` takes away what nobody holds. Root's commands make theirs in the service's directory, which is who
has to clear it: such a folder is its owner's. Used by `admin.backup`, `admin.keptbackups` and the page of backups.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_KINDS = ("backup", "restore", "erase")


@contextlib.contextmanager
def scratch(folder: Path, kind: str) -> Iterator[Path]:
    """A new folder below `folder`, for one of `_KINDS`; what a killed maker left there goes first. Raises OSError."""
    assert kind in _KINDS
    clear(folder)
    with contextlib.ExitStack() as held:
        while True:
            made = tempfile.TemporaryDirectory(dir=folder, prefix=f".lachan-{kind}-", ignore_cleanup_errors=True)
            place = Path(held.enter_context(made))
            with contextlib.suppress(FileNotFoundError):
                held.callback(os.close, lock := os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.geteuid() == 0:
                    os.fchown(lock, (owner := folder.stat()).st_uid, owner.st_gid)
            if place.exists():  # else somebody cleared between the two lines
                break
        yield place


def clear(folder: Path) -> None:
    """Take away what killed makers left below a folder; what somebody makes now stays, and what is not ours to remove."""
    for kind in _KINDS:
        for place in folder.glob(f".lachan-{kind}-*"):
            with contextlib.suppress(OSError):
                lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(place)
                finally:
                    os.close(lock)
