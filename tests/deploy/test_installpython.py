"""Functions of the installer: which release it puts in force, and which Python it takes or why none: the script itself, with stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "install.sh"


def play(folder: Path, name: str, status: int) -> Path:
    """A program in PATH that judges itself as a Python would: 3 too old, 4 without venv, 5 not readable by the service's account."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return path


def run(function: str, folder: Path, system: Path) -> subprocess.CompletedProcess[str]:
    """One function of the script, with `system` in the place of /usr/bin."""
    text = (
        SCRIPT.read_text(encoding="utf-8")
        .replace('main "$@"\n', f"{function}\n")
        .replace('"/usr/bin/$candidate"', f'"{system}/$candidate"')
    )
    environment = {"PATH": f"{folder}:/bin:/usr/bin", "LANG": "C.UTF-8"}
    text = text.replace('"/usr/local/bin/$candidate"', '"/nowhere/$candidate"')
    return subprocess.run(["sh", "-c", text], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_another_python_first_in_path_is_passed_over(tmp_path: Path) -> None:
    """Root's PATH leads to one that the account cannot read: the system's own is taken."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        play(tmp_path / "first", name, 5)
    system = play(tmp_path / "system", "python3.11", 0)
    done = run("pick_python", tmp_path / "first", system.parent)
    assert (done.returncode, done.stdout.strip()) == (0, str(system))


def test_each_reason_is_named() -> None:
    """The real judgement, of the Python that runs this test: it is new enough and has venv."""
    done = subprocess.run(
        ["sh", "-c", SCRIPT.read_text(encoding="utf-8").replace('main "$@"\n', f"judge_python {sys.executable}\n")], check=False
    )
    assert done.returncode in (0, 5)  # 5: a Python below somebody's home


@pytest.mark.parametrize(
    ("status", "words"), [(3, "older than 3.11"), (4, "no venv: apt install {name}-venv"), (5, "lachan cannot read"), (9, "does not run")]
)
def test_where_none_can_be_taken_the_real_reason_is_said(tmp_path: Path, status: int, words: str) -> None:
    """Each Python with its own reason, and nothing else blamed."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        play(tmp_path / "first", name, status)
    done = run("lacking", tmp_path / "first", tmp_path / "nothing")
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(lines) == 4, done.stdout
    for name, line in zip(("python3.11", "python3.12", "python3.13", "python3"), lines, strict=True):
        assert words.format(name=name) in line and f"{tmp_path}/first/{name}:" in line, done.stdout
    assert os.path.basename(lines[0].split(":")[0]).startswith("python3")


def test_an_upgrade_after_an_interrupted_one_puts_the_new_release_in_force(tmp_path: Path) -> None:
    """Power was lost between two lines of the last upgrade: the link it left does not lead the next one back to the old program."""
    for name in ("old", "new"):
        shutil.copytree(SCRIPT.parent / "systemd", tmp_path / name / "share/deploy/systemd")
    (tmp_path / "units").mkdir()
    for link in ("current", ".next"):
        (tmp_path / link).symlink_to(tmp_path / "old")
    play(tmp_path / "bin", "systemctl", 0)
    done = run(f'APP="{tmp_path}"; UNITS="{tmp_path}/units"; switch_to "{tmp_path}/new"', tmp_path / "bin", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "current").readlink() == tmp_path / "new"
    assert os.listdir(tmp_path / "old") == ["share"] and not (tmp_path / ".next").is_symlink()


UFW = "#!/bin/sh\nprintf '%s\\n' 'Status: {status}' '' '22/tcp                     ALLOW       Anywhere' {more}\n"
FIREWALLD = '#!/bin/sh\ncase "$*" in *state*) exit {state} ;; *query*) exit {has_dns} ;; esac\n'


@pytest.mark.parametrize(
    ("program", "text", "said"),
    [
        ("ufw", UFW.format(status="active", more=""), "sudo ufw allow 53"),
        ("ufw", UFW.format(status="active", more="'53                         ALLOW       Anywhere'"), ""),
        ("ufw", UFW.format(status="active", more="'53/udp                     ALLOW       10.0.0.0/8'"), ""),
        ("ufw", UFW.format(status="inactive", more=""), ""),
        ("firewall-cmd", FIREWALLD.format(state=0, has_dns=1), "--add-service=dns"),
        ("firewall-cmd", FIREWALLD.format(state=0, has_dns=0), ""),
        ("firewall-cmd", FIREWALLD.format(state=252, has_dns=1), ""),
    ],
)
def test_a_firewall_that_keeps_port_53_shut_is_told_with_the_line(tmp_path: Path, program: str, text: str, said: str) -> None:
    """The usual state of an Ubuntu server: the house would be pointed to a machine that answers itself alone."""
    (tmp_path / program).write_text(text)
    (tmp_path / program).chmod(0o755)
    (tmp_path / "lachan.yaml").write_text('dns:\n  listen: ["0.0.0.0:53", "[::]:53"]\n')
    done = run(f"ETC={tmp_path}\ntell_firewall", tmp_path, tmp_path)
    assert done.returncode == 0 and (said in done.stdout if said else not done.stdout), done.stdout + done.stderr
    (tmp_path / "lachan.yaml").write_text('dns: {listen: ["127.0.0.1:53"]}\n')
    assert run(f"ETC={tmp_path}\ntell_firewall", tmp_path, tmp_path).stdout == ""


@pytest.mark.parametrize("kind", ["stub", "by hand", "elsewhere"])
def test_room_on_port_53_leaves_the_machine_its_own_names(tmp_path: Path, kind: str) -> None:
    """systemd-resolved's stub is switched off where the gateway needs 0.0.0.0:53; whatever named it names the real servers then, and is put
    back by the removal. A configuration that listens elsewhere changes nothing."""
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "systemctl").chmod(0o755)
    resolv, resolved, etc = tmp_path / "resolv.conf", tmp_path / "resolved" / "lachan.conf", tmp_path / "etc"
    etc.mkdir()
    names = f"ETC={etc}\nRESOLV={resolv}\nRESOLVED={resolved}\n"
    (etc / "lachan.yaml").write_text('dns: {listen: ["10.0.0.2:53"]}\n' if kind == "elsewhere" else '  listen: ["0.0.0.0:53", "[::]:53"]\n')
    if kind == "stub":
        resolv.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    else:
        resolv.write_text("search lan\nnameserver 127.0.0.53\n")
    done = run(f"{names}make_room", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert resolved.exists() is (kind != "elsewhere")
    if kind == "elsewhere":
        assert resolv.read_text() == "search lan\nnameserver 127.0.0.53\n"
        return
    assert os.readlink(resolv) == "../run/systemd/resolve/resolv.conf"
    assert run(f"{names}give_room_back", tmp_path, tmp_path).returncode == 0
    assert not resolved.exists() and sorted(path.name for path in etc.iterdir()) == ["lachan.yaml"]
    if kind == "stub":
        assert os.readlink(resolv) == "../run/systemd/resolve/stub-resolv.conf"
    else:
        assert not resolv.is_symlink() and resolv.read_text() == "search lan\nnameserver 127.0.0.53\n"
