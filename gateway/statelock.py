"""One gateway for one state directory. Any package may import this module.

Whoever commits generations holds the lock: the supervisor for as long as it runs, a preparing command while none does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from types import TracebackType

from gateway.errors import StartError
from gateway.settings import GatewaySettings

LOCK_NAME = "supervisor.lock"


class StateLock:
    """The lock of a state directory; released by `close`, at the end of the process at the latest."""

    def __init__(self, state_dir: Path) -> None:
        """Take the lock; raises StartError when somebody else has it or the directory cannot be used."""
        self._state_dir = state_dir
        self._file = -1
        self.take()

    def take(self) -> None:
        """Take it again after `close`; raises StartError."""
        state_dir, path = self._state_dir, self._state_dir / LOCK_NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"state_dir: cannot write to {state_dir}: {error.strerror}: give it to the gateway's user (chown), or choose another"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            self.close()
            raise StartError(
                f"state_dir: another gateway (pid {pid or 'unknown'}) uses {state_dir}: stop it (see `lachan status`), or choose another"
            ) from None
        with contextlib.suppress(OSError):  # a full disk: the number is only for people
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def close(self) -> None:
        """Let the next one in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def make_state_dir(settings: GatewaySettings) -> None:
    """Make the state directory, owned by the gateway's user, while we still may. Raises StartError."""
    folder: Path = settings.state_dir
    if folder.is_dir():
        return
    try:
        folder.mkdir(parents=True, mode=0o700)
        if settings.dns.user is not None and os.geteuid() == 0 and sys.platform == "linux":
            import pwd

            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(settings.dns.user)
                os.chown(folder, entry.pw_uid, entry.pw_gid)
    except OSError as error:
        raise StartError(f"state_dir: cannot make {folder}: {error.strerror}: make it, or choose another") from None
