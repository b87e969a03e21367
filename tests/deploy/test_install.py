"""The installer on a throw-away machine: an overlay of this one, with its own network and a `systemctl` that runs the real units."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "blocklists", "admin", "lachan")
MACHINE = """
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs tmpfs "$1/root/tmp"
cp "$2"/*.whl "$1/root/tmp/"
for folder in "$3" "$4"; do
    mkdir -p "$1/root$folder"
    mount --bind "$folder" "$1/root$folder"
    mount -o remount,bind,ro "$1/root$folder"
done
rm -rf "$1/root/etc/lachan" "$1/root/var/lib/lachan" "$1/root/opt/lachan"
exec chroot "$1/root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH="$4" LANG=C.UTF-8 \
    /usr/bin/python3 "$3/tests/support/installation.py" "$3" \
    /tmp/lachan-0.1.0-py3-none-any.whl /tmp/lachan-0.1.1-py3-none-any.whl /tmp/lachan-0.1.2-py3-none-any.whl
"""
NO_START = {"gateway/worker.py": b"raise RuntimeError('a release that does not start')\n"}
NO_CHANGE = {
    "admin/migrate.py": (ROOT / "admin/migrate.py").read_bytes().replace(b"SCHEMA_NUMBER = ", b"SCHEMA_NUMBER = 1000 + "),
    "admin/migrations/env.py": b"raise RuntimeError('a change of the schema that does not go through')\n",
}
pytestmark = [pytest.mark.full, pytest.mark.slow]


def make_wheel(folder: Path, version: str, spoilt: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """A wheel of this tree, without a build tool (the tests have no network to fetch one)."""
    info = f"lachan-{version}.dist-info"
    files: dict[str, bytes] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                files[str(path.relative_to(ROOT))] = path.read_bytes()
    files |= spoilt
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: lachan\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nlachan = lachan.__main__:main\n"
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for name, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(folder / f"lachan-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the walk through install, upgrade, mistakes, removal saw."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    folder = tmp_path_factory.mktemp("machine")
    make_wheel(folder, "0.1.0")
    make_wheel(folder, "0.1.1", NO_START)
    make_wheel(folder, "0.1.2", NO_CHANGE)
    base = folder / "base"
    base.mkdir()
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", MACHINE, "sh"]
    done = subprocess.run(
        [*command, str(base), str(folder), str(ROOT), sysconfig.get_path("purelib")],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield json.loads(done.stdout)


def test_one_command_installs_a_gateway_that_answers(seen: dict[str, Any]) -> None:
    """After one command port 53 answers on both families, as the account lachan, with no right left."""
    facts = seen["installed"]
    assert seen["install"]["code"] == 0, seen["install"]["text"]
    assert facts["answers"] == [0, 0], seen["log"]
    assert facts["units"] == ["lachan.service", "lachan.socket"]
    assert (facts["state_owner"], facts["config_mode"]) == ("lachan", "0o640")
    assert facts["user"].split()[1] != "0"
    assert facts["rights"].split()[1].strip("0") == ""
    assert "daemon-reload" in seen["calls"]
    servers = yaml.safe_load(facts["config"])["upstreams"]["servers"]
    assert servers == ["udp://192.0.2.53", "udp://[2001:db8::53]"], "not this machine itself"
    said = seen["install"]["text"]
    assert "NHƯNG" in said and "CHƯA TÊN MIỀN NÀO PHÂN GIẢI ĐƯỢC" in said and "NO NAME RESOLVES YET" in said, "nobody answers there"
    assert "is running" not in said and "sudo lachan setup-link" in said


def test_upgrade_keeps_state_and_keeps_answering(seen: dict[str, Any]) -> None:
    """The second run upgrades: the generation and the state stay, and nobody who asks meanwhile goes without an answer."""
    assert seen["upgrade"]["code"] == 0, seen["upgrade"]["text"]
    before, after = seen["installed"], seen["upgraded"]
    assert after["marker"] is True
    assert after["generation"] == before["generation"]
    assert after["pid"] != before["pid"]
    assert after["current"] != before["current"]
    assert after["config"] == before["config"]
    assert seen["asked"]["never"] == 0
    assert seen["asked"]["second"] <= 1
    assert seen["asked"]["first"] > 50


def test_configuration_with_a_mistake_changes_nothing(seen: dict[str, Any]) -> None:
    """The mistake is named, the running gateway is not touched."""
    assert seen["mistake"]["code"] == 1
    assert "nonsense" in seen["mistake"]["text"]
    assert seen["after_mistake"]["pid"] == seen["upgraded"]["pid"]
    assert seen["after_mistake"]["releases"] == seen["upgraded"]["releases"]


def test_release_that_does_not_start_is_taken_back(seen: dict[str, Any]) -> None:
    """The old release answers again, started as it wants to be and not as the new one's unit says, and the person is told."""
    assert seen["broken"]["code"] == 1
    assert "đã quay về bản cũ" in seen["broken"]["text"]
    assert seen["after_broken"]["current"] == seen["upgraded"]["current"]
    assert seen["after_broken"]["starts"] == seen["upgraded"]["starts"]
    assert seen["after_broken"]["answers"] == [0, 0]


def test_release_whose_pages_do_not_come_up_is_taken_back(seen: dict[str, Any]) -> None:
    """It answers names, but cannot change the schema of the database: its pages end again and again. No success, and said as it is."""
    text = seen["no_pages"]["text"]
    assert seen["no_pages"]["code"] == 1, text
    assert "đã quay về bản cũ" in text and "các trang không chạy / names are answered, but the pages do not run" in text
    assert "is running" not in text and "is installed" not in text
    after = seen["after_no_pages"]
    assert (after["current"], after["releases"]) == (seen["upgraded"]["current"], seen["upgraded"]["releases"])
    assert after["answers"] == [0, 0] and after["pages"]


def test_a_manager_that_leaves_the_old_program_running_is_noticed(seen: dict[str, Any]) -> None:
    """What answers is looked at, not only that something does: the new release is never said to run while the old one answers."""
    text = seen["left"]["text"]
    assert seen["left"]["code"] == 1, text
    assert f"another program answers: {seen['upgraded']['current']}/bin/python" in text and "is running" not in text
    assert seen["after_left"]["current"] == seen["upgraded"]["current"]
    assert seen["after_left"]["answers"] == [0, 0]


def test_removal_is_clean_and_keeps_what_people_made(seen: dict[str, Any]) -> None:
    """Program, units and command go; configuration and state stay until `--purge`."""
    removed, purged = seen["removed"], seen["purged"]
    assert (removed["app"], removed["units"], removed["command"], removed["answers"]) == (False, [], False, [-1, -1])
    assert removed["state"] and removed["marker"] and removed["config"] == seen["installed"]["config"]
    assert (purged["app"], purged["state"], purged["config"], purged["account"], purged["units"]) == (False, False, "", False, [])


def test_removal_says_what_to_do_before_and_after(seen: dict[str, Any]) -> None:
    """First of all, that the router must not go on handing out this machine; then how the rest is removed: the script itself is gone."""
    text = seen["remove"]["text"]
    assert seen["remove"]["code"] == 0, text
    reminders = (
        "Bộ phát Wi-Fi hoặc máy chủ DHCP còn ghi DNS là máy này?",
        "Does the router or DHCP server still hand out this machine as DNS?",
    )
    assert all(-1 < text.find(each) < text.index("Đã gỡ chương trình. / The program is removed.") for each in reminders), text
    assert "sudo rm -rf /etc/lachan /var/lib/lachan && sudo userdel lachan" in text
    assert "--purge" not in text


def test_installer_says_everything_in_both_languages() -> None:
    """Usage and errors are Vietnamese and English."""
    done = subprocess.run(["sh", str(ROOT / "deploy" / "install.sh"), "--help"], capture_output=True, text=True, check=True)
    assert "gỡ tất cả / remove everything" in done.stdout
    done = subprocess.run(["sh", str(ROOT / "deploy" / "install.sh"), "--nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
