"""The service and socket units."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICE = DEPLOY / "systemd" / "lachan.service"
SOCKET = DEPLOY / "systemd" / "lachan.socket"


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.full
def test_exposure_is_low_in_the_eyes_of_systemd(tmp_path: Path) -> None:
    """systemd's own score of the sandbox: at most 2.0 of 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(SERVICE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.full
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """No unknown key, no wrong section (the program itself need not be installed here)."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = SERVICE.read_text(encoding="utf-8").replace("/opt/lachan/current/bin/lachan", "/bin/true")
    (tmp_path / "lachan.service").write_text(text, encoding="utf-8")
    shutil.copy(SOCKET, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "lachan.service"), str(tmp_path / "lachan.socket")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "lachan." in line and "man:" not in line]
    assert complaints == []


def test_sockets_are_those_of_the_installed_configuration() -> None:
    """Every address of `dns.listen` is held by the socket unit, UDP and TCP; otherwise both would want the port."""
    text = (DEPLOY / "installed.yaml").read_text(encoding="utf-8").replace("@SERVERS@", "")
    listen = yaml.safe_load(text)["dns"]["listen"]
    assert sorted(values(SOCKET, "ListenDatagram")) == sorted(values(SOCKET, "ListenStream")) == sorted(listen)
    assert values(SOCKET, "BindIPv6Only") == ["ipv6-only"]


def test_service_is_never_given_up_and_leaves_no_orphans() -> None:
    """It restarts for ever, is watched, and ends with all its processes."""
    assert values(SERVICE, "StartLimitIntervalSec") == ["0"]
    assert values(SERVICE, "Restart") == ["always"]
    assert values(SERVICE, "Type") == ["notify"]
    assert values(SERVICE, "KillMode") == ["mixed"]
    assert int(values(SERVICE, "WatchdogSec")[0]) >= 15
    assert values(SERVICE, "User") == ["lachan"]
    assert values(SERVICE, "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
