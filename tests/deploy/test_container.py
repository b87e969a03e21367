"""The container file, read as an auditor would; `test_image.py` builds it and runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lachan.configuration import load

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
LINES = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def instructions(word: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(word + " ")]


def test_container_is_not_root_and_needs_no_right() -> None:
    """A numeric user, ports above 1023, nothing fetched by ADD, one volume for the state."""
    assert instructions("USER") == ["65053:65053"]
    assert instructions("ADD") == []
    assert instructions("VOLUME") == ["/var/lib/lachan"]
    ports = {int(port) for text in instructions("EXPOSE") for port in re.findall(r"(\d+)/", text)}
    assert min(ports) > 1023
    assert "readyz" in instructions("HEALTHCHECK")[0]


def test_container_copies_what_exists() -> None:
    """Every COPY names something of this tree."""
    for text in instructions("COPY"):
        if text.startswith("--from"):
            continue
        *sources, _ = text.split()
        assert all((DEPLOY.parent / source).exists() for source in sources), text


def test_configuration_in_the_container_is_valid_and_fits_its_ports() -> None:
    """`check` accepts it; it listens where the file exposes."""
    configuration = load(DEPLOY / "container" / "lachan.yaml", require_files=False)
    assert {endpoint.port for endpoint in configuration.gateway.dns.listen} == {5300}
    assert configuration.gateway.metrics is not None
    assert configuration.gateway.metrics.port == 9153
    assert configuration.admin is not None
    assert str(configuration.admin.listen) == "0.0.0.0:8080", "an address of the container's own is reached by nobody outside"
    assert configuration.admin.url == "http://127.0.0.1:8080", "where the host shows it"


def test_compose_keeps_the_container_closed() -> None:
    """Read-only, no capability, no new rights, pages and metrics on the host's loopback only."""
    service = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text(encoding="utf-8"))["services"]["lachan"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [port for port in service["ports"] if not port.startswith("53:")] == ["127.0.0.1:8080:8080", "127.0.0.1:9153:9153"]


ENGINE = """
import os, pathlib, sys
folder, words = pathlib.Path(os.environ["ENGINE_FOLDER"]), sys.argv[1:]
with (folder / "said").open("a") as file:
    print(*words, file=file)
running = folder / "running"
running.mkdir(exist_ok=True)
if words[0] == "run" and "check" in words:
    sys.exit(os.environ.get("CHECK", "0") != "0")
if words[0] == "run":
    name = words[words.index("--name") + 1]
    assert not (running / name).exists(), "a name twice"
    (running / name).write_text("program" if "--label" in words else "net")
elif words[0] == "ps":
    kind = "program" if "label=" in " ".join(words) else "net"
    print(*(each.name for each in running.iterdir() if each.read_text() == kind), sep="\\n")
elif words[0] == "logs":
    print("a traceback" if os.environ.get("BROKEN") else '{"event": "start.ready"}')
elif words[0] == "exec":
    assert words[2:6] == ["python", "-m", "lachan.answering", "/etc/lachan/lachan.yaml"]
    status = os.environ.get("PAGES", "0")
    print("the pages do not run" if status != "0" else "")
    sys.exit(int(status))
elif words[0] == "inspect":
    print(os.environ.get("BROKEN", "0"))
elif words[0] == "rm":
    (running / words[-1]).unlink(missing_ok=True)
"""


class Engine:
    """A container engine that only remembers what it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = folder / "engine.py"
        self._program.write_text(ENGINE)
        (folder / "running").mkdir()

    def script(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        variables = {**os.environ, "ENGINE_FOLDER": str(self.folder), "LACHAN_ENGINE": f"{sys.executable} {self._program}", **environment}
        command = ["sh", str(DEPLOY / "container" / "lachan.sh"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables, check=False)

    def said(self) -> list[str]:
        """What it was told so far."""
        return (self.folder / "said").read_text().splitlines()

    def running(self) -> set[str]:
        """The containers there are."""
        return {each.name for each in (self.folder / "running").iterdir()}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """One that has nothing yet."""
    return Engine(tmp_path)


def program_of(engine: Engine) -> str:
    """The one container beside that of the network."""
    (program,) = engine.running() - {"lachan-net"}
    return program


def test_script_opens_ports_on_one_container_and_runs_the_program_in_its_network(engine: Engine) -> None:
    """The first run: both closed as the file beside says, only the network's container has ports."""
    done = engine.script("up", "image:1")
    assert done.returncode == 0, done.stderr
    program = program_of(engine)
    net, run = (line for line in engine.said() if line.startswith("run -d"))
    for line in (net, run):
        assert "--read-only --cap-drop=all --security-opt=no-new-privileges" in line
    assert "-p 53:5300/udp" in net
    assert "-p" not in run.split()
    assert f"--name {program}" in run
    assert "--network container:lachan-net" in run
    assert run.endswith("image:1 run -c /etc/lachan/lachan.yaml --take-over")


def test_script_removes_the_old_program_only_after_the_new_one_answers(engine: Engine) -> None:
    """An upgrade leaves the network alone."""
    engine.script("up", "image:1")
    (engine.folder / "running" / program_of(engine)).rename(engine.folder / "running" / "lachan-old")
    before = len(engine.said())
    done = engine.script("up", "image:2")
    assert done.returncode == 0, done.stderr
    said = [line.split()[0] + " " + line.split()[-1] for line in engine.said()[before:]]
    assert "rm lachan-net" not in said
    program = program_of(engine)
    assert program != "lachan-old"
    assert said.index(f"logs {program}") < said.index("rm lachan-old")


def test_script_keeps_the_old_program_when_the_new_one_fails(engine: Engine) -> None:
    """It says so, and takes only the new one away."""
    engine.script("up", "image:1")
    (engine.folder / "running" / program_of(engine)).rename(engine.folder / "running" / "lachan-old")
    done = engine.script("up", "image:2", BROKEN="3")
    assert done.returncode == 1
    assert "the old one goes on answering: lachan-old" in done.stderr
    assert "a traceback" in done.stderr
    assert engine.running() == {"lachan-net", "lachan-old"}


@pytest.mark.parametrize(("told", "code"), [("0", 0), ("1", 0), ("2", 1)])
def test_an_upgrade_whose_pages_do_not_come_up_is_no_success(engine: Engine, told: str, code: int) -> None:
    """A change of the database that does not go through: names are answered by the new one, and how to go back is said. An older image,
    which cannot tell (1), is not blamed."""
    engine.script("up", "image:1")
    (engine.folder / "running" / program_of(engine)).rename(engine.folder / "running" / "lachan-old")
    done = engine.script("up", "image:2", PAGES=told)
    assert done.returncode == code, done.stderr
    assert ("is running" in done.stdout) is (code == 0)
    assert ("the pages do not run" in done.stderr and "back to the image before" in done.stderr) is (code == 1)
    assert "lachan-old" not in engine.running() and program_of(engine)


def test_script_changes_nothing_when_the_configuration_has_mistakes(engine: Engine) -> None:
    """`check` of the new image comes first."""
    done = engine.script("up", CHECK="1")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert engine.running() == set()


def test_script_removes_what_it_made(engine: Engine) -> None:
    """`remove` keeps the state, `purge` does not."""
    engine.script("up")
    assert engine.script("remove").returncode == 0
    assert engine.running() == set()
    assert not any(line.startswith("volume") for line in engine.said())
    assert engine.script("purge").returncode == 0
    assert "volume rm lachan" in engine.said()
    assert engine.script("what").returncode == 2
