"""Walks through an installation from beginning to end, as root of a throw-away machine (see test_install). Prints what it saw as JSON.

`python3 installation.py SOURCE WHEEL BROKEN_WHEEL WHEEL_WITHOUT_PAGES`.
Only the standard library: it runs with the system's own Python. For tests only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SOURCE = sys.argv[1]
SYSTEMCTL = '#!/bin/sh\nexec /usr/bin/python3 {source}/tests/support/minisystemd.py systemctl "$@"\n'
QUESTION = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x06health\x06lachan\x08internal\0" + struct.pack(">HH", 1, 1)


def install(*arguments: str, source: str = SOURCE, **environment: str) -> dict[str, Any]:
    options = {"LACHAN_PIP_OPTIONS": "--no-deps --no-index", **environment}
    done = subprocess.run(
        ["sh", f"{source}/deploy/install.sh", *arguments], capture_output=True, text=True, env={**os.environ, **options}, check=False
    )
    return {"code": done.returncode, "text": done.stdout + done.stderr}


def ask(host: str = "127.0.0.1", seconds: float = 2.0) -> int:
    """The response code of our own health name, -1 without an answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        try:
            client.sendto(QUESTION, (host, 53))
            return client.recv(512)[3] & 15
        except OSError:
            return -1


def another_source() -> str:
    """A source tree whose unit starts the program with an option that the release in force does not know."""
    folder = Path("/tmp/another")
    shutil.copytree(f"{SOURCE}/deploy", folder / "deploy")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(f"{SOURCE}/{name}", folder)
    unit = folder / "deploy/systemd/lachan.service"
    unit.write_text(unit.read_text().replace(" --take-over\n", " --take-over --of-tomorrow\n"))
    return str(folder)


class Asking:
    """Somebody who asks all the time, with one retry after two seconds."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {"first": 0, "second": 0, "never": 0}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            tried = next((number for number in ("first", "second") if ask(seconds=5.0) == 0), "never")
            self.answers[tried] += 1
            time.sleep(0.01)


def facts() -> dict[str, Any]:
    """What is on the machine now."""
    unit = Path("/etc/systemd/system/lachan.service")
    app, etc, state = Path("/opt/lachan"), Path("/etc/lachan/lachan.yaml"), Path("/var/lib/lachan")
    status = subprocess.run(["sh", "-c", "lachan status --json"], capture_output=True, text=True, check=False, cwd="/")
    try:
        document = json.loads(status.stdout)
    except ValueError:
        document = {}
    pid = document.get("pid")
    proc = Path(f"/proc/{pid}/status").read_text() if pid and Path(f"/proc/{pid}").exists() else ""
    return {
        "app": app.exists(),
        "releases": sorted(path.name for path in (app / "releases").iterdir()) if app.exists() else [],
        "current": os.readlink(app / "current") if (app / "current").is_symlink() else "",
        "config": etc.read_text() if etc.exists() else "",
        "config_mode": oct(etc.stat().st_mode & 0o777) if etc.exists() else "",
        "state": state.exists(),
        "state_owner": state.owner() if state.exists() else "",
        "marker": (state / "marker").exists(),
        "units": sorted(path.name for path in Path("/etc/systemd/system").glob("lachan*")),
        "starts": re.findall("^ExecStart=(.*)", (unit.read_text() if unit.exists() else ""), re.MULTILINE),
        "command": os.path.lexists("/usr/local/bin/lachan"),
        "account": subprocess.run(["getent", "passwd", "lachan"], capture_output=True, check=False).returncode == 0,
        "answers": [ask(), ask("::1")],
        "generation": document.get("generation"),
        "pid": pid,
        "pages": any(row["name"] == "admin" and row["at_work"] for row in document.get("processes", ())),
        "user": next((line for line in proc.splitlines() if line.startswith("Uid:")), ""),
        "rights": next((line for line in proc.splitlines() if line.startswith("CapEff:")), ""),
    }


def main() -> dict[str, Any]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)  # this machine, as the router hands it out
    Path("/etc/resolv.conf").unlink(missing_ok=True)
    Path("/etc/resolv.conf").write_text("nameserver 192.0.2.7\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    Path("/usr/local/sbin/systemctl").write_text(SYSTEMCTL.format(source=SOURCE))
    os.chmod("/usr/local/sbin/systemctl", 0o755)
    manager = subprocess.Popen(["/usr/bin/python3", f"{SOURCE}/tests/support/minisystemd.py", "serve"])
    seen: dict[str, Any] = {}
    try:
        while not Path("/run/minisystemd.sock").exists():
            time.sleep(0.02)
        wheel, broken, no_pages = (["--wheel", file] for file in sys.argv[2:5])
        seen["install"] = install(*wheel)
        seen["installed"] = facts()
        Path("/var/lib/lachan/marker").touch()
        with Asking() as asking:
            seen["upgrade"] = install(*wheel)
        seen["asked"] = asking.answers
        seen["upgraded"] = facts()
        config = Path("/etc/lachan/lachan.yaml")
        good = config.read_text()
        config.write_text(good + "nonsense: 1\n")
        seen["mistake"] = install(*wheel)
        seen["after_mistake"] = facts()
        config.write_text(good)
        seen["broken"] = install(*broken, source=another_source(), LACHAN_READY_SECONDS="20")
        seen["after_broken"] = facts()
        seen["no_pages"] = install(*no_pages)
        seen["after_no_pages"] = facts()
        Path("/run/minisystemd.deaf").touch()
        seen["left"] = install(*wheel, LACHAN_READY_SECONDS="3")
        seen["after_left"] = facts()
        Path("/run/minisystemd.deaf").unlink()
        seen["remove"] = install("--remove")
        seen["removed"] = facts()
        seen["purge"] = install("--purge")
        seen["purged"] = facts()
        seen["calls"] = Path("/run/minisystemd.calls").read_text().splitlines()
        seen["log"] = Path("/run/lachan.log").read_text()[-4000:]
    finally:
        manager.terminate()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
