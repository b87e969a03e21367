"""A machine whose router hands out the machine itself as DNS: it is never its own upstream, and that no name resolves is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import ROOT
from tests.support.namespaces import Machine, Networks, require

pytestmark = pytest.mark.full

FIRST, SECOND, SIX, ROUTER = "192.168.77.2", "192.168.77.3", "fd77::2", "192.168.77.1"
READ = """
import sys
from pathlib import Path
from gateway.servers import system_servers
from gateway.settings import Endpoint
print(*(server.address for server in system_servers([Endpoint(host, 53) for host in sys.argv[2:]], [Path(sys.argv[1])])))
"""
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["0.0.0.0:53", "[::]:53"], workers: 1}
upstreams: {servers: ["udp://192.168.77.1"]}
profiles: [{id: a, band: TH}]
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of the home, with two addresses of one network and one of IPv6."""
    require()
    with Networks() as networks:
        yield networks.machine("gateway", networks.switch("home"), f"{FIRST}/24", f"{SECOND}/24", f"{SIX}/64")


@pytest.mark.parametrize("is_any_allowed", [False, True], ids=["usual", "addresses of others may be used"])
def test_system_servers_leave_out_every_address_of_this_machine(machine: Machine, is_any_allowed: bool, tmp_path: Path) -> None:
    """By whatever address it is called, over both families; a stranger is never taken for ourselves, not even where the system lets a
    program use addresses that the machine has not."""
    if is_any_allowed:
        machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind; echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind")
    more = [] if is_any_allowed else [SECOND, "::1"]
    names = [FIRST, SIX, "127.0.0.53", *more, ROUTER, "fd77::1"]
    file = tmp_path / "resolv.conf"
    file.write_text("".join(f"nameserver {name}\n" for name in names))
    read = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", READ, str(file))
    assert machine.run(*read, "0.0.0.0", "::").split() == [ROUTER, "fd77::1"]
    assert machine.run(*read, FIRST).split() == [name for name in names if name != FIRST]


def test_own_address_that_a_person_wrote_is_refused(machine: Machine, tmp_path: Path) -> None:
    """At check, in both languages, with what to write instead; for a domain of its own, too."""
    for written in (f'servers: ["udp://{FIRST}"]', f'servers: ["tcp://[{SIX}]"]', f'routes: {{lan.example: ["udp://{SECOND}"]}}'):
        config = tmp_path / "lachan.yaml"
        text = SETTINGS.replace("{folder}", str(tmp_path)).replace('servers: ["udp://192.168.77.1"]', written)
        config.write_text(text, encoding="utf-8")
        done = lachan(machine, "check", config)
        assert done.returncode == 1, written
        assert "is this gateway's own address" in done.stderr and "địa chỉ của chính cổng lọc này" in done.stderr


def test_nobody_but_itself_means_the_last_resort_and_it_is_said(machine: Machine, tmp_path: Path) -> None:
    """Without servers in the file, and only ourselves in the system's: Quad9, named by check."""
    (tmp_path / "resolv.conf").write_text(f"nameserver {FIRST}\n")
    config = tmp_path / "lachan.yaml"
    config.write_text(SETTINGS.replace("{folder}", str(tmp_path)).replace("upstreams:", "#"), encoding="utf-8")
    hide = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf; exec {sys.executable} -m lachan"
    for command, words in ((f"check -c {config}", "Quad9 (Thụy Sĩ) được hỏi"), (f"config show -c {config}", "udp://9.9.9.9")):
        done = run_in(machine, "unshare", "-m", "sh", "-c", f"{hide} {command}")
        assert done.returncode == 0 and words in done.stdout, done.stdout + done.stderr


def lachan(machine: Machine, command: str, config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A command of the program on that machine."""
    return run_in(machine, sys.executable, "-m", "lachan", command, "-c", str(config), *more)


def run_in(machine: Machine, *command: str) -> subprocess.CompletedProcess[str]:
    """A program on that machine, whatever its exit status."""
    whole = ["ip", "netns", "exec", machine.name, *command]
    return subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
