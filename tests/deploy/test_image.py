"""The image built and run by a real engine: not root, nothing to write but the state, upgraded without a lost question, removed.

    LACHAN_TEST_CONTAINER=docker.io/library/python:3.11-slim-bookworm .venv/bin/pytest -n 0 tests/deploy/test_image.py

The value is the base image: any with Python 3.11 and venv. Without it there is nothing to build from; the end of the run says so.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator

import dns.exception
import dns.message
import dns.query
import pytest

from tests.support.echogateway import free_port
from tests.support.gateway import ROOT

BASE = os.environ.get("LACHAN_TEST_CONTAINER", "")
ENGINE = os.environ.get("LACHAN_ENGINE", "podman")
NAME = f"lachan-test-{os.getpid()}"
IMAGE = f"localhost/{NAME}"
SCRIPT = ROOT / "deploy" / "container" / "lachan.sh"

pytestmark = pytest.mark.given("LACHAN_TEST_CONTAINER")


def engine(*words: str, check: bool = True) -> str:
    """Tell the engine something; what it says."""
    done = subprocess.run([*shlex.split(ENGINE), *words], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"
    return done.stdout.strip()


class Container:
    """`lachan.sh` with names and ports of the test's own."""

    def __init__(self) -> None:
        # Below the ports that sockets are given by themselves: one of those may be taken for UDP at any moment.
        self.port, self.metrics = 20_000 + os.getpid() % 10_000, free_port()
        ports = f"-p 127.0.0.1:{self.port}:5300/udp -p 127.0.0.1:{self.port}:5300/tcp -p 127.0.0.1:{self.metrics}:9153"
        self._environment = {**os.environ, "LACHAN_ENGINE": ENGINE, "LACHAN_NAME": NAME, "LACHAN_PORTS": ports}

    def script(self, *words: str) -> str:
        """Run the script; what it says."""
        done = subprocess.run(["sh", str(SCRIPT), *words], env=self._environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def programs(self) -> list[str]:
        """The containers of the program, without that of the network."""
        return engine("ps", "--filter", f"label=lachan.program={NAME}", "--format", "{{.Names}}").split()

    def inside(self, *words: str, check: bool = True) -> str:
        """Run something in the program's container."""
        [program] = self.programs()
        return engine("exec", program, *words, check=check)

    def addresses(self, name: str, tcp: bool = False) -> list[str]:
        """What a device is answered."""
        send = dns.query.tcp if tcp else dns.query.udp
        reply = send(dns.message.make_query(name, "A"), "127.0.0.1", 2.0, self.port)
        return [str(rdata) for rrset in reply.answer for rdata in rrset]


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    """Two images of different versions, nothing running yet; everything is removed at the end."""
    options = shlex.split(os.environ.get("LACHAN_TEST_BUILD", ""))
    build = ("build", *options, "--build-arg", f"BASE={BASE}", "-f", "deploy/container/Containerfile")
    engine(*build, "-t", f"{IMAGE}:1", ".")
    engine(*build, "--label", "version=2", "-t", f"{IMAGE}:2", ".")
    try:
        yield Container()
    finally:
        subprocess.run(["sh", str(SCRIPT), "purge"], env={**os.environ, "LACHAN_ENGINE": ENGINE, "LACHAN_NAME": NAME}, check=False)
        engine("rmi", "-f", f"{IMAGE}:1", f"{IMAGE}:2", check=False)


def test_container_answers_without_any_right(container: Container) -> None:
    """An unlisted device gets the strictest rules over UDP and TCP; the process is nobody special and can write its state only."""
    assert "is running" in container.script("up", f"{IMAGE}:1")
    assert container.addresses("facebook.com") == container.addresses("facebook.com", tcp=True) == ["0.0.0.0"]
    assert container.addresses("www.google.com")[-1] == "216.239.38.120"
    status = dict(line.split(":", 1) for line in container.inside("cat", "/proc/1/status").splitlines() if ":" in line)
    assert status["Uid"].split() == ["65053"] * 4 and int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    for place in ("/x", "/etc/lachan/x", "/opt/lachan/x"):
        assert container.inside("sh", "-c", f"touch {place} 2>&1 || echo refused", check=False).endswith("refused"), place
    container.inside("touch", "/var/lib/lachan/x")
    assert "Running and ready" in container.inside("lachan", "status", "-c", "/etc/lachan/lachan.yaml")


def test_upgrade_loses_no_question_and_keeps_the_state(container: Container) -> None:
    """A question every 20 ms, asked once: each is answered while another image takes over; what was in the volume is there."""
    [before] = container.programs()
    stop, lost, answered = threading.Event(), [], []

    def ask() -> None:
        while not stop.wait(0.02):
            try:
                answered.append(container.addresses("facebook.com"))
            except (dns.exception.DNSException, OSError) as error:
                lost.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        container.script("up", f"{IMAGE}:2")
        time.sleep(1)
    finally:
        stop.set()
        asking.join()
    [after] = container.programs()
    assert after != before and engine("inspect", "-f", '{{index .Config.Labels "version"}}', after) == "2"
    assert lost == [] and len(answered) > 50
    assert {tuple(each) for each in answered} == {("0.0.0.0",)}
    assert "/var/lib/lachan/x" in container.inside("ls", "/var/lib/lachan/x")


def test_removal_keeps_the_state_until_it_is_purged(container: Container) -> None:
    """`remove` leaves the volume, `purge` nothing."""
    container.script("remove")
    assert container.programs() == [] and NAME not in engine("ps", "-a", "--format", "{{.Names}}")
    assert NAME in engine("volume", "ls", "--format", "{{.Name}}").split()
    container.script("purge")
    assert NAME not in engine("volume", "ls", "--format", "{{.Name}}").split()
