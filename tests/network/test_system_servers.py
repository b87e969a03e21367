"""A gateway whose file names no upstream asks whom the system asks: a network that comes after the start, another one, a router known
by its link-local address."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from gateway.control import ask_now
from gateway.errors import ControlError
from tests.support.gateway import ROOT
from tests.support.namespaces import HousedUpstream, Machine, Networks, require
from tests.support.scripts import Asked, Script, truncated
from tests.support.upstream import ScriptedUpstream

OWN, OTHER = "192.168.77.2", "192.168.77.3"
LINK_LOCAL = "fe80::77%eth0"
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:5300"], workers: 2}
profiles: [{id: a, band: NL}]
"""


class Router(ScriptedUpstream):
    """Cuts the answer for one name short over UDP."""

    def handle(self, asked: Asked) -> Script:
        return truncated(asked) if asked.transport == "udp" and asked.qname == "w1.example" else super().handle(asked)


def resolver_at(host: str, *addresses: str) -> ScriptedUpstream:
    """A router that answers."""
    script = Router({(f"w{number}.example", "A"): list(addresses) for number in range(60)}, host=host)
    script.port = 53
    return script


@pytest.mark.full
def test_resolvers_of_the_system_are_followed(tmp_path: Path) -> None:
    """None at the start (Quad9 stands in, and is out of reach here), then a router by its link-local address, then another network's; one
    that goes away changes nothing."""
    require("dig")
    resolv, log = tmp_path / "resolv.conf", tmp_path / "log"
    resolv.write_text("# no network yet\n")
    (tmp_path / "lachan.yaml").write_text(SETTINGS.replace("{folder}", str(tmp_path)), encoding="utf-8")
    with Networks() as networks:
        home = networks.switch("home")
        machine = networks.machine("host", home, f"{OWN}/24")
        router, other = networks.machine("router", home, "192.168.77.1/24"), networks.machine("other", home, f"{OTHER}/24")
        router.ip("addr", "flush", "dev", "eth0", "scope", "link")
        router.ip("addr", "add", "fe80::77/64", "dev", "eth0", "nodad")
        first = resolver_at("::", "192.0.2.80")
        with (
            HousedUpstream(router, upstream=first),
            HousedUpstream(other, upstream=resolver_at(OTHER, "192.0.2.81")),
        ):
            hide = f"mount --bind {resolv} /etc/resolv.conf; exec {sys.executable} -m lachan run -c {tmp_path}/lachan.yaml"
            machine.start("unshare", "-m", "sh", "-c", hide, log=log, folder=ROOT, environment={"LACHAN_LOG_FORMAT": "json"})
            assert upstreams_become(tmp_path, ["udp://149.112.112.112:53", "udp://9.9.9.9:53"])
            resolv.write_text(f"nameserver {LINK_LOCAL}\n")
            assert upstreams_become(tmp_path, [f"udp://[{LINK_LOCAL}]:53"]), log.read_text()
            assert answers(machine, range(1)) == answers(machine, range(1, 2)) == answers(machine, range(2, 20)) == {"192.0.2.80"}
            resolv.write_text(f"nameserver {OTHER}\n")
            assert upstreams_become(tmp_path, [f"udp://{OTHER}:53"]), log.read_text()
            assert answers(machine, range(20, 40)) == {"192.0.2.81"}
            resolv.write_text("")
            time.sleep(5)
            assert answers(machine, range(40, 60)) == {"192.0.2.81"}
            assert log.read_text().count("upstreams.system") == 2


def answers(machine: Machine, numbers: range) -> set[str]:
    """What these names are answered with."""
    return {each for number in numbers for each in machine.addresses(f"w{number}.example", "-p", "5300", server="127.0.0.1")}


def upstreams_become(folder: Path, wanted: list[str], seconds: float = 30.0) -> bool:
    """Whether these are the upstreams of both workers soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            rows = ask_now(folder / "var", {"do": "status"}, 5.0)["upstreams"]
        except (ControlError, KeyError):
            rows = []
        if sorted(row["upstream"] for row in rows) == wanted and all(row["workers"] == 2 for row in rows):
            return True
        time.sleep(0.2)
    return False
