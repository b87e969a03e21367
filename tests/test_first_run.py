"""`make run` and `make run LAN=1` in network namespaces of their own: what is printed is true, and another machine gets its answer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import ROOT

pytestmark = pytest.mark.full


def run(*command: str, check: bool = True, folder: Path | None = None) -> str:
    """Run a program of the system; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=check).stdout


@pytest.fixture
def home() -> Iterator[tuple[str, str]]:
    """Two namespaces joined by a wire: the gateway's machine (10.77.0.1) and a child's tablet (10.77.0.2)."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("dig") is None:
        pytest.skip("needs root, iproute2 and dig")
    names = (f"lachan-a-{os.getpid()}", f"lachan-b-{os.getpid()}")
    try:
        for index, name in enumerate(names, 1):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            if index == 1:
                run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        run("ip", "-n", names[0], "link", "set", "eth1", "netns", names[1])
        for index, (name, link) in enumerate(zip(names, ("eth0", "eth1"), strict=True), 1):
            run("ip", "-n", name, "address", "add", f"10.77.0.{index}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")
        run("ip", "-n", names[0], "route", "add", "default", "via", "10.77.0.2")
        yield names
    finally:
        for name in names:
            run("ip", "netns", "del", name, check=False)


COMMAND = (sys.executable, "-m", "lachan", "run")


class Program:
    """`lachan run` (or `make run`) in a namespace and a folder; `text` is everything it printed so far."""

    def __init__(
        self, namespace: str, folder: Path, *arguments: str, resolver: Path | None = None, command: tuple[str, ...] = COMMAND
    ) -> None:
        self._log = folder / "output"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("SUDO_USER", None)
        with self._log.open("wb") as log:
            words = ["ip", "netns", "exec", namespace, *command, *arguments]
            if resolver is not None:
                mounted = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
                words[4:4] = ["unshare", "-m", "sh", "-c", mounted, "sh"]
            self.process = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    @property
    def text(self) -> str:
        """The output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, pattern: str, seconds: float = 60.0) -> str:
        """Wait until the output holds this; the output."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.05)
        return self.text

    def stop(self) -> int:
        """End it as Ctrl-C does: everything that the terminal started is told."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(15)


UPSTREAM = """
import asyncio
from tests.support.upstream import ScriptedUpstream
RECORDS = {
    ("facebook.com", "A"): ["192.0.2.10"],
    ("vn-cop.vn", "A"): ["192.0.2.30"],
    ("www.google.com", "A"): ["192.0.2.40"],
    ("forcesafesearch.google.com", "A"): ["216.239.38.120"],
}
async def main():
    upstream = ScriptedUpstream(RECORDS)
    upstream.port = 53
    async with upstream:
        print("open", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def resolver(home: tuple[str, str], tmp_path: Path) -> Iterator[Path]:
    """A resolver on 127.0.0.1:53 of the gateway's machine, and the /etc/resolv.conf that names it, as a system has one."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n", encoding="ascii")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["ip", "netns", "exec", home[0], sys.executable, "-c", UPSTREAM]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield path
        finally:
            process.terminate()


def printed_lines(text: str) -> list[list[str]]:
    """The dig lines of the greeting, as words."""
    return [line.partition("#")[0].split() for line in text.splitlines() if line.strip().startswith("dig ")]


def test_printed_lines_do_what_they_say(home: tuple[str, str], resolver: Path, tmp_path: Path) -> None:
    """Each dig line of the greeting is run as it stands: one blocked, one open, one led to safe search, one open for an adult."""
    program = Program(home[0], tmp_path, "--first", resolver=resolver)
    try:
        text = program.wait_for(r"upstreams\.servers")
        assert "udp://127.0.0.1:53 (this system's own resolver, so nobody new sees them)" in text
        assert "NOTE: no answer from" not in text
        lines = printed_lines(text)
        assert len(lines) == 4
        asked = [run("ip", "netns", "exec", home[0], *line, "+tries=1", "+timeout=4", "+noall", "+answer") for line in lines]
        answers = [[row.split()[0::4] for row in rows.splitlines() if row and not row.startswith(";")] for rows in asked]
        assert answers == [
            [["facebook.com.", "0.0.0.0"]],
            [["vn-cop.vn.", "192.0.2.30"]],
            [["www.google.com.", "forcesafesearch.google.com."], ["forcesafesearch.google.com.", "216.239.38.120"]],
            [["facebook.com.", "192.0.2.10"]],
        ]
        [query] = re.findall(r"\.venv/bin/lachan (query \S+ @\S+)|lachan (query \S+ @\S+)", text)[:1]
        words = next(part for part in query if part).split()
        said = run("ip", "netns", "exec", home[0], sys.executable, "-m", "lachan", *words, folder=tmp_path)
        assert "EDE 17" in said and "0.0.0.0" in said
    finally:
        assert program.stop() == 0, program.text


def test_without_a_network_what_must_be_blocked_is_blocked(home: tuple[str, str], tmp_path: Path) -> None:
    """No resolver answers: the greeting says so; the block and the rewrite stand, the open ones fail with a reason, not with an address."""
    program = Program(home[0], tmp_path, "--first")
    try:
        text = program.wait_for(r"NOTE: no answer from")
        answers = [run("ip", "netns", "exec", home[0], *line, "+tries=1", "+timeout=4") for line in printed_lines(text)]
        assert re.search(r"facebook\.com\.\s+\d+\s+IN\s+A\s+0\.0\.0\.0", answers[0])
        assert "216.239.38.120" in answers[2]
        for failed in (answers[1], answers[3]):
            assert "status: SERVFAIL" in failed and "EDE: 2" in failed and "ANSWER: 0" in failed
        assert (tmp_path / "var" / "lachan.yaml").is_file()
        again = Program(home[0], tmp_path / "var", "--first", "-c", str(tmp_path / "var" / "lachan.yaml"))
        assert again.process.wait(30) == 1
        assert "another gateway" in again.text and "đang chạy ở" not in again.text  # it greets for itself alone
    finally:
        assert program.stop() == 0, program.text


def test_another_machine_of_the_network_is_answered(home: tuple[str, str], tmp_path: Path) -> None:
    """LAN=1: port 53 of the local address, an unknown tablet gets the strictest rules, the router setting is printed."""
    program = Program(home[0], tmp_path, "--lan")
    try:
        text = program.wait_for("set the DNS server to")
        assert "set the DNS server to 10.77.0.1" in text
        for transport in ((), ("+tcp",)):
            answer = run("ip", "netns", "exec", home[1], "dig", "@10.77.0.1", "facebook.com", "+tries=1", *transport)
            assert re.search(r"facebook\.com\.\s+\d+\s+IN\s+A\s+0\.0\.0\.0", answer)
            assert "EDE: 17" in answer
    finally:
        assert program.stop() == 0, program.text


def test_program_that_holds_port_53_is_named(home: tuple[str, str], tmp_path: Path) -> None:
    """One sentence with the remedy, exit status 1, nothing left running."""
    code = "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53)); print('held', flush=True)"
    code += "; sys.stdin.read()"
    command = ["ip", "netns", "exec", home[0], sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        program = Program(home[0], tmp_path, "--lan")
        assert program.process.wait(30) == 1
        holder.stdin.close()
    said = program.text.strip()
    assert len(said.splitlines()) == 1
    assert f"(pid {holder.pid}) holds port 53 of 10.77.0.1" in said


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder as after `make install`: the Makefile, and an environment whose `lachan` is ours."""
    folder = tmp_path / "checkout"
    program = folder / ".venv" / "bin" / "lachan"
    program.parent.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lachan "$@"\n')
    program.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


@pytest.mark.parametrize(("words", "sign", "server"), [((), "NOTE: no answer", ""), (("LAN=1",), "DNS server to 10.77.0.1", "10.77.0.1")])
def test_make_run_does_it(home: tuple[str, str], checkout: Path, words: tuple[str, ...], sign: str, server: str) -> None:
    """The targets people type: on 127.0.0.1 only, or for the network, which the tablet then asks; Ctrl-C ends all of it."""
    program = Program(home[0], checkout, *words, command=("make", "run"))
    try:
        program.wait_for(sign)
        asked = [home[1], "dig", "@10.77.0.1"] if server else [home[0], "dig", "@127.0.0.1", "-p", "5300"]
        answer = run("ip", "netns", "exec", *asked, "facebook.com", "+short", "+tries=1")
        assert answer == "0.0.0.0\n"
        assert (checkout / "var" / "lachan.yaml").is_file()
    finally:
        program.stop()
    assert "Error" not in program.text.replace("Error 130", "") and "Traceback" not in program.text, program.text
    assert not run("ip", "netns", "exec", home[0], "ss", "-Hlnu")


def test_make_without_the_right_python_says_what_to_install(tmp_path: Path) -> None:
    """One sentence in both languages, nothing half made."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        ["make", "run", "PYTHON=python-of-nowhere"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0 and "Python 3.11 or newer is needed, with venv: sudo apt install python-of-nowhere" in done.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("there", "taken", "said"),
    [
        ({"python3": 0, "python3.11": 0, "python3.12": 0}, "python3.11", ""),
        ({"python3": 0, "python3.12": 0}, "python3.12", ""),  # Ubuntu 24.04
        ({"python3": 0, "python3.13": 0}, "python3.13", ""),  # Debian 13
        ({"python3": 0}, "python3", ""),  # newer than we know
        ({"python3": 3, "python3.12": 0}, "python3.12", ""),
        ({"python3": 4, "python3.12": 4}, "", "sudo apt install python3.11 python3.11-venv"),
        ({"python3": 3}, "", "sudo apt install python3.11 python3.11-venv"),  # Ubuntu 22.04 has 3.10
        ({"python3.11": 4}, "", "python3.11 không có venv / has no venv: sudo apt install python3.11-venv"),
    ],
)
def test_make_takes_the_python_that_is_there(tmp_path: Path, there: dict[str, int], taken: str, said: str) -> None:
    """3.11 first, which the tests run with, then a newer one with venv, without a word on the command line; else one sentence. Each
    stand-in is good (0), too old (3), or without venv (4)."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "touch"):
        if (path := shutil.which(name)) is None:
            pytest.skip(f"needs {name}")
        (programs / name).symlink_to(path)
    for name, status in there.items():
        (programs / name).write_text(
            f'#!/bin/sh\nstatus={status}\n[ "$1" = -m ] && {{ echo "$0 makes it"; exit 9; }}\n'
            'case "$2" in *ensurepip*) exit $status ;; *) [ $status != 3 ] ;; esac\n'
        )
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["make", "install", f"SHELL={programs}/sh"], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    if taken:
        assert f"{taken} makes it" in done.stdout, done.stdout + done.stderr
    else:
        assert said in done.stdout and len(done.stdout.splitlines()) == 1 and "makes it" not in done.stdout, done.stdout + done.stderr
