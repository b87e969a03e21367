"""What root's commands write belongs to the user of the service."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin.migrate import migrate
from blocklists.database import open_database
from lachan.ownership import hand_back

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The configuration of a service with a database; its state directory is another user's."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path, state = tmp_path / "lachan.yaml", tmp_path / "var"
    path.write_text(f'state_dir: {state}\nadmin: {{listen: "127.0.0.1:0"}}\n')
    state.mkdir()

    async def make() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{state}/lachan.db")
        await migrate(database, state, datetime.now(UTC))
        await database.close()

    asyncio.run(make())
    for one in (state, *state.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)
    return path


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in folder.rglob("*")}


def test_restore_by_root_leaves_nothing_that_the_service_cannot_read(service: Path, tmp_path: Path) -> None:
    """`sudo lachan backup` and `restore`: every file in the state directory is the service's; the backup itself is root's."""
    for words in (["backup", str(tmp_path / "one.backup")], ["restore", str(tmp_path / "one.backup"), "--yes"]):
        command = [sys.executable, "-m", "lachan", words[0], "-c", str(service), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert list((tmp_path / "var").glob("lachan-before-restore-*.db"))
    assert owners(tmp_path / "var") == {NOBODY.pw_uid}
    assert (tmp_path / "one.backup").stat().st_uid == 0


def test_a_file_with_another_name_elsewhere_is_left(service: Path, tmp_path: Path) -> None:
    """Whoever may write the state directory gets nothing else by it: links are not followed."""
    (tmp_path / "secret").write_text("x")
    os.link(tmp_path / "secret", tmp_path / "var/link")
    (tmp_path / "var/symbolic").symlink_to(tmp_path / "secret")
    hand_back(service)
    assert (tmp_path / "secret").stat().st_uid == 0
