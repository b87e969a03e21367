"""What root wrote into the state directory belongs to the gateway's user again when a command ends, or at the start. Imported by
`lachan.__main__` and `lachan.run`.

The state directory of a service is its user's alone, so an operator runs `restore`, `reset-password`, `join` and the like with sudo. A file
that root left there could not be read by the service any more: its pages would not start. That user may put links in the place of folders
and files there at any moment, so nothing is changed by its path: each folder is walked and each file changed as what was opened and looked
at.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.errors import LachanError

_CONFIG: Final = "lachan.config"


def _note(context: typer.Context, config: Path | None) -> Path | None:
    context.meta[_CONFIG] = config
    return config


# `readable` would have typer refuse a file in words of its own, with status 2.
ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", readable=False, callback=_note, help="tệp cấu hình / configuration file")
]
"""The configuration that a command is about."""


def hand_back_at_end(context: typer.Context) -> None:
    """What follows every command that has a configuration."""
    if _CONFIG in context.meta:
        hand_back(context.meta[_CONFIG])


def hand_back(config: Path | None) -> None:
    """Give root's files in the state directory of this configuration to the directory's owner; nothing when root owns it, or for anybody
    but root. Files with several names are left: one of them may be somewhere else."""
    if os.geteuid() != 0:
        return
    from lachan.running import state_dir_of

    with contextlib.suppress(LachanError, OSError), opened(state_dir_of(config)) as folder:
        owner = os.fstat(folder)
        if owner.st_uid != 0:
            give(folder, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A folder, by its descriptor. Raises OSError."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def give(folder: int, user: int, group: int) -> None:
    """Give root's folders and files below an open folder to a user; files with several names are left. Raises OSError."""
    for _, folders, files, place in os.fwalk(".", dir_fd=folder):
        for name in (*folders, *files):
            try:
                _give_one(name, place, user, group)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):  # gone meanwhile, or a link now
                    raise


def _give_one(name: str, place: int, user: int, group: int) -> None:
    if not _is_roots(os.stat(name, dir_fd=place, follow_symlinks=False)):
        return
    number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    try:
        if _is_roots(os.fstat(number)):
            os.fchown(number, user, group)
    finally:
        os.close(number)


def _is_roots(found: os.stat_result) -> bool:
    return found.st_uid == 0 and (stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1))
