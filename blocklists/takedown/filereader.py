"""Office files read in a process of their own, with bounds on processor time, memory and the clock: a hostile file costs a few seconds of
one process that can write nothing, and the office goes on.

`read_apart` starts it and is what `admin` calls, off the event loop; `main` is the process (`python -m blocklists.takedown.filereader`):
the file on its standard input, the rows and what was not read as JSON on its standard output. Only plain text is read in place: the
parsers of mail and tables take time out of all proportion for some small files.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import astuple
from typing import Final

from blocklists.takedown.filetext import FileText, Unread, UnreadableFile
from blocklists.takedown.officefiles import MAX_BYTES, read_file

PROCESSOR_SECONDS: Final = 60
LONGEST_SECONDS: Final = 120.0
MEMORY: Final = 1024 * 1024 * 1024
MOST_OUTPUT: Final = 256 * 1024 * 1024
_SIGNS: Final = (b"%PDF", b"PK\x03\x04")
_PARSED: Final = ("csv", "eml", "htm", "html")


def read_apart(name: str, content: bytes, *, seconds: float = LONGEST_SECONDS, memory: int = MEMORY) -> FileText:
    """The rows of cells in a file, and what was not read of it. Raises UnreadableFile, also for one that takes too much memory or time."""
    ending = name.rpartition(".")[2].lower()[:8]
    if len(content) > MAX_BYTES or (content[:4] not in _SIGNS and ending not in _PARSED):
        return read_file(name, content)
    command = [sys.executable, "-m", "blocklists.takedown.filereader", ending, str(memory)]
    modules = os.pathsep.join(part for part in sys.path if part)
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": modules, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=seconds, env=environment)
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError, OSError) as error:
        raise _too_heavy() from error
    if "fault" in answer:
        raise UnreadableFile(*answer["fault"])
    if "rows" not in answer:
        raise _too_heavy()
    return FileText([[str(cell) for cell in row] for row in answer["rows"]], [Unread(*map(str, part)) for part in answer["unread"]])


def main() -> int:
    """Read one file and say what stands in it."""
    ending, memory = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found = read_file(f"file.{ending}", sys.stdin.buffer.read(MAX_BYTES + 1))
        written = json.dumps({"rows": found.rows, "unread": [astuple(part) for part in found.unread]})
    except UnreadableFile as error:
        written = json.dumps({"fault": [error.code, error.vi, error.en]})
    except MemoryError:
        return 1
    if len(written) > MOST_OUTPUT:
        return 1
    sys.stdout.write(written)
    return 0


def _too_heavy() -> UnreadableFile:
    return UnreadableFile(
        "too_heavy",
        "Đọc tệp này tốn quá nhiều bộ nhớ hoặc thời gian: hãy dán danh sách vào ô bên dưới.",
        "Reading this file takes too much memory or time: paste the list into the box below.",
    )


if __name__ == "__main__":
    raise SystemExit(main())
