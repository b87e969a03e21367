"""What root wrote into the state directory belongs to the gateway's user again when a command ends. Only `lachan.__main__` imports it.

The state directory of a service is its user's alone, so an operator runs `restore`, `reset-password`, `join` and the like with sudo. A file
that root left there could not be read by the service any more: its pages would not start.
"""

from __future__ import annotations

import contextlib
import os
import stat
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

    with contextlib.suppress(LachanError, OSError):
        folder = state_dir_of(config)
        owner = folder.stat()
        if owner.st_uid == 0:
            return
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = os.path.join(place, name)
                with contextlib.suppress(FileNotFoundError):
                    found = os.lstat(path)
                    is_own = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
                    if found.st_uid == 0 and is_own:
                        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
