"""`python -m lachan.answering FILE RELEASE SECONDS`: whether what answers is the program in that folder, and whether its pages run, too.

The installer asks it after a change of the program, and goes back when the answer is no; nothing imports this module. Exit status 0: all of
it; 1: that release does not answer; 2: it answers names, and its pages do not run. Anything but 0 is said in one line.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import typer

from gateway.errors import ControlError, SettingsError
from lachan.control import Reply, ask
from lachan.running import state_dir_of

NO_ANSWER: Final = "bản này không trả lời / this release does not answer"
ANOTHER: Final = "chương trình khác đang trả lời / another program answers: {program} (pid {pid})"
NO_PAGES: Final = "tên miền được trả lời, nhưng các trang không chạy / names are answered, but the pages do not run"
MOST_STARTS: Final = 4
"""A process that ended so often before it did any work will not do it the next time."""
PORT_SECONDS: Final = 10.0
"""So long pages may be without a process that was ever started: their port may come free, or be somebody else's."""


def judge(config: Path, release: Path, seconds: float) -> str:
    """Wait until that release answers and its pages run; why not, when the time is over or it is clear before. Empty: all is well."""
    begun = time.monotonic()
    while True:
        problem, is_final = _look(config, release, time.monotonic() - begun)
        if not problem or is_final or time.monotonic() - begun >= seconds:
            return problem
        time.sleep(0.1)


def _look(config: Path, release: Path, waited: float) -> tuple[str, bool]:
    """What is wrong now, and whether waiting will not mend it."""
    try:
        reply = ask(state_dir_of(config), {"do": "status"}, 10.0)
    except (ControlError, SettingsError):
        return NO_ANSWER, False
    if reply.get("state") != "ready":
        return NO_ANSWER, False
    pid = int(reply.get("pid") or 0)
    program = program_of(pid)
    if not Path(program).is_relative_to(release):
        return ANOTHER.format(program=program or "?", pid=pid), False
    pages = next((row for row in reply.get("processes", ()) if row["name"] == "admin"), None)
    if pages is None or is_at_work(pages):
        return "", True
    never = not pages["restarts"] and not pages["pid"] and waited > PORT_SECONDS
    return NO_PAGES, never or int(pages["restarts"]) >= MOST_STARTS


def is_at_work(process: Reply) -> bool:
    """Whether a process of the status does its work; an older program only says whether there is one."""
    return bool(process.get("at_work", process["pid"]))


def program_of(pid: int) -> str:
    """The interpreter that a process was started with, which lies in the folder of its release; empty where nobody knows."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except (OSError, ValueError):
        return ""


if __name__ == "__main__":
    said = judge(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
    if said:
        typer.echo(said)
    sys.exit(0 if not said else 2 if said == NO_PAGES else 1)
