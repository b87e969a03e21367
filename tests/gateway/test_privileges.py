"""Giving up root."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.privileges import capabilities, give_up_rights, switch_user
from tests.support.echogateway import EchoGateway

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def readable_python() -> str:
    """A Python of this version that another user may read; the one that runs the tests may live in root's home."""
    if Path(os.__file__).stat().st_mode & 0o004 and all(parent.stat().st_mode & 0o001 for parent in Path(os.__file__).parents):
        return sys.executable
    return "/usr/bin/python3"


def in_child(code: str) -> dict[str, object]:
    done = subprocess.run([readable_python(), "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return dict(json.loads(done.stdout))


def test_no_user_or_the_same_user_changes_nothing() -> None:
    """Without the setting, or as that user already, the process stays who it is."""
    assert switch_user(None) is False
    assert switch_user(pwd.getpwuid(os.geteuid()).pw_name) is False


def test_unknown_user_is_one_clear_sentence() -> None:
    """The sentence names the setting and the remedy."""
    with pytest.raises(StartError, match=r"no user 'nobody-here'.*create it, or remove the setting"):
        switch_user("nobody-here")


def test_only_root_can_become_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user is told to start with sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StartError, match="start with sudo"):
        switch_user("root")


@root_only
def test_switched_user_may_bind_low_ports_until_it_gives_up_its_rights() -> None:
    """After the switch: another uid, no groups of root, exactly two capabilities, port 53 can be bound; afterwards nothing is left."""
    seen = in_child(
        "import os,socket,json;from gateway.privileges import *\n"
        "switch_user('nobody'); kept=sorted(capabilities())\n"
        "one=socket.socket(); one.bind(('127.0.0.9',53))\n"
        "def can(port):\n"
        "    try: socket.socket().bind(('127.0.0.9',port)); return True\n"
        "    except PermissionError: return False\n"
        "before=can(54); give_up_rights(); after=can(55)\n"
        "try: os.setuid(0); again=True\n"
        "except PermissionError: again=False\n"
        "print(json.dumps(dict(uid=os.getuid(),groups=os.getgroups(),kept=kept,before=before,after=after,left=sorted(capabilities()),again=again)))"
    )
    nobody = pwd.getpwnam("nobody")
    assert seen["uid"] == nobody.pw_uid
    assert 0 not in seen["groups"]  # type: ignore[operator]
    assert set(seen["kept"]) <= {10, 12}  # type: ignore[call-overload]
    assert 10 in seen["kept"]  # type: ignore[operator]
    assert (seen["before"], seen["after"], seen["left"], seen["again"]) == (True, False, [], False)


@root_only
def test_gateway_started_by_root_serves_a_low_port_as_another_user() -> None:
    """Port 53 of a loopback address, workers and files owned by the user of the settings, no capability anywhere."""
    with (
        tempfile.TemporaryDirectory(prefix="lachan-") as folder,  # pytest's own directories are closed to other users
        EchoGateway(Path(folder), workers=1, user="nobody", listen=[["127.0.0.11", 53]]) as gateway,
    ):
        os.chmod(folder, 0o755)
        gateway.interpreter = (readable_python(),)
        gateway.start({"PYTHONPATH": sysconfig.get_path("purelib")})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(b"x", ("127.0.0.11", 53))
            pid = json.loads(client.recv(4096))["pid"]
        status = Path(f"/proc/{pid}/status").read_text()
        uid = str(pwd.getpwnam("nobody").pw_uid)
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert (gateway.state_dir / "current").owner() == "nobody"


@root_only
def test_python_that_the_user_cannot_read_is_one_clear_sentence() -> None:
    """A Python in root's home would fail at its next import: said at the start instead."""
    seen = in_child(
        "import os,json;from gateway.errors import StartError;from gateway.privileges import switch_user\n"
        "os.access=lambda *_: False\n"
        "try: switch_user('nobody'); text=''\n"
        "except StartError as error: text=str(error)\n"
        "print(json.dumps(dict(text=text)))"
    )
    assert "install Python for all users" in str(seen["text"])


def test_give_up_rights_as_root_is_nothing() -> None:
    """A gateway that stays root keeps what it has (and says so at the start)."""
    before = capabilities()
    if os.geteuid() == 0:
        give_up_rights()
    assert capabilities() == before
