"""What root's commands write belongs to the user of the service."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
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
        await migrate(database, state)
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


#: Swaps one part of the state directory for a link at the n-th system call that Python tells of, for each n, as its user may at any moment.
RACE = """
import os, shutil, sys
from pathlib import Path
import lachan.running
from gateway.settings import DnsSettings, GatewaySettings, UpstreamSettings
from lachan.ownership import hand_back
from lachan.run import give_state_dir

base, command, what, user = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
state, victim = base / "state", base / "victim"
lachan.running.state_dir_of = lambda config: state
dns = DnsSettings(listen=(), workers=1, allow_from=(), user="nobody", name="x")
settings = GatewaySettings(state_dir=state, dns=dns, upstreams=UpstreamSettings(servers=(), strategy="x", routes={}, timeout=1), policy={})
left = None


def swap():
    if what == "top":
        state.rename(base / "aside")
        state.symlink_to(victim)
    elif what == "folder":
        (state / "backups").rename(base / "aside")
        (state / "backups").symlink_to(victim)
    else:
        (state / "backups/shadow").unlink()
        (os.link if what == "hard link" else os.symlink)(victim / "shadow", state / "backups/shadow")


def hook(event, arguments):
    global left
    if left is not None and event in ("open", "os.scandir", "os.listdir", "os.chown"):
        left -= 1
        if left == 0:
            left = None
            swap()


sys.addaudithook(hook)
moment, swapped = 0, True
while swapped:
    moment += 1
    for folder in (state / "backups", victim):
        folder.mkdir(parents=True)
        for name in ("shadow", "zz"):
            (folder / name).write_text("root's")
    if command == "hand_back":
        os.chown(state, user, user)
    left = moment
    hand_back(None) if command == "hand_back" else give_state_dir(settings)
    swapped, left = left is None, None
    if {path.stat().st_uid for path in (victim, *victim.iterdir())} != {0}:
        sys.exit(f"owner of a file elsewhere, swapped at {moment}")
    for each in base.iterdir():
        each.unlink() if each.is_symlink() else shutil.rmtree(each)
print(moment)
"""


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("hand_back", "top"),
        *((command, what) for command in ("hand_back", "give_state_dir") for what in ("folder", "hard link", "soft link")),
    ],
)
def test_a_part_that_is_swapped_for_a_link_meanwhile_leads_nowhere_else(tmp_path: Path, command: str, what: str) -> None:
    """Whoever took over the service's account gets no file of root's outside, at whatever moment they swap it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tmp_path.chmod(0o755)
    words = [sys.executable, "-c", RACE, str(tmp_path), command, what, str(NOBODY.pw_uid)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5, "it was swapped at several moments, and once not at all"
