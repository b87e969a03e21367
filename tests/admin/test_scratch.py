"""No copy of the database outlives its maker, even one that is killed: with real processes and a real SIGKILL."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from admin.app import open_services
from admin.audit import Act
from admin.dependencies import Services
from admin.keptbackups import FOLDER, find_backup, keep_backup, list_backups
from admin.routes.profiles import erase_everywhere
from admin.scratch import clear, scratch
from tests.admin.conftest import Clock
from tests.admin.test_erased import holding
from tests.support.family import Family

#: What a process does until it is killed, in the middle of the named function.
KILLED = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from admin.backup import restore
from admin.keptbackups import erase_in_kept, keep_backup
from blocklists.database import Database, open_database

what, where, state, tenant, child = sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:6]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

module, _, name = where.rpartition(".")
setattr(Database if module == "Database" else import_module(module), name, die)

async def main():
    database = await open_database(f"sqlite+aiosqlite:///{state}/lachan.db")
    if what == "keep":
        await keep_backup(database, state, datetime.now(UTC))
    elif what == "restore":
        await restore(database, state, next((state / "backups").glob("*.backup")), datetime.now(UTC))
    else:
        erase_in_kept(state, tenant, child)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("keep", "admin.backup.forget_histories"),
        ("keep", "os.fsync"),
        ("restore", "admin.backup.forget_histories"),
        ("restore", "Database.take_over"),
        ("erase", "admin.keptbackups.pack"),
    ],
)
async def test_what_a_killed_program_left_is_gone_at_the_next_start(
    services: Services, family: Family, act: Act, tmp_path: Path, clock: Clock, what: str, where: str
) -> None:
    """Killed while it backs up, puts back or erases: after a start and an erasing, no file has the child's address any more."""
    state = services.settings.state_dir
    kept = await keep_backup(services.database, state, act.now)
    run_until_killed(what, where, str(state), family.tenant, family.bi.id)
    assert list(state.rglob(".lachan-*")), "something was under way"
    again = await open_services(services.settings, clock)
    await again.database.close()
    assert not list(state.rglob(".lachan-*"))
    await erase_everywhere(services, act, family.bi.id)
    assert list_backups(state) == [find_backup(state, kept.id)]
    assert [path.name for path in (state / FOLDER).iterdir()] == [f"{kept.id}.backup"]
    assert holding(tmp_path, b"192.168.1.31") == []


def run_until_killed(*words: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


async def test_an_erasing_meets_what_a_killed_command_left(services: Services, family: Family, act: Act) -> None:
    """The program ran on, and a command beside it was killed: its copy goes with the child; one that is made now stays."""
    state = services.settings.state_dir
    left = state / ".lachan-restore-abcd1234"
    left.mkdir()
    (left / "lachan.db").write_bytes(b"192.168.1.31")
    with scratch(state, "backup") as place:
        (place / "lachan.db").touch()
        await erase_everywhere(services, act, family.bi.id)
        assert (place / "lachan.db").exists() and not left.exists()
    assert not place.exists()


def test_the_next_backup_clears_its_own_folder(tmp_path: Path) -> None:
    """`lachan backup` writes where its user is; links and files of others with such a name are left alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / ".lachan-backup-link").symlink_to(tmp_path / "mine")
    (tmp_path / ".lachan-backup-old").mkdir()
    (tmp_path / ".lachan-backup-old/lachan.db").touch()
    with scratch(tmp_path, "backup") as place:
        assert {path.name for path in tmp_path.iterdir()} == {"mine", ".lachan-backup-link", place.name}
        assert place.stat().st_mode & 0o777 == 0o700
        clear(tmp_path)
        assert place.exists()
    clear(tmp_path / "nowhere")


async def test_files_of_the_page_of_an_earlier_version_go(services: Services, clock: Clock) -> None:
    """A download or an upload that a restart cut off."""
    left = services.settings.state_dir / ".0123456789abcdef.backup"
    left.write_bytes(b"everybody")
    again = await open_services(services.settings, lambda: clock() + timedelta(hours=1).total_seconds())
    await again.database.close()
    assert not left.exists()


def test_what_a_killed_command_of_root_left_the_service_can_take_away() -> None:
    """`sudo lachan restore` was killed: the folder is in the service's directory, and so is its owner."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as state:
        os.chown(state, nobody.pw_uid, nobody.pw_gid)
        if (root := os.fork()) == 0:
            with scratch(Path(state), "restore") as place:
                (place / "lachan.db").touch(0o600)
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(root, 0)
        (left,) = Path(state).iterdir()
        if (service := os.fork()) == 0:
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            clear(Path(state))
            os._exit(0)
        os.waitpid(service, 0)
        assert not left.exists()
