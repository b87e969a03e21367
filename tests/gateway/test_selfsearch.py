"""A gateway behind a published port whose system resolver leads back to it: found by its own answer, left out, and told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration import check_gateway
from gateway.control import ask_now
from gateway.errors import ControlError
from gateway.selfsearch import without
from gateway.servers import FALLBACK, parse_server
from gateway.yamlfile import parse
from tests.support.gateway import ROOT
from tests.support.namespaces import HousedUpstream, Machine, Networks, require
from tests.support.upstream import ScriptedUpstream

HOST, ROUTER = "192.168.77.2", "192.168.77.1"
OPEN = ["192.0.2.80"]
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:5300"], workers: 2}
profiles: [{id: a, band: NL}]
"""
PUBLISHED = """
import socket, threading
outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
outside.bind(("192.168.77.2", 53))
def carry(data, peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.settimeout(5)
        inside.sendto(data, ("127.0.0.1", 5300))
        try:
            outside.sendto(inside.recv(4096), peer)
        except OSError:
            pass
while True:
    threading.Thread(target=carry, args=outside.recvfrom(4096), daemon=True).start()
"""


@pytest.mark.full
@pytest.mark.parametrize(
    ("resolvers", "upstreams"),
    [((HOST, ROUTER), [f"udp://{ROUTER}:53"]), ((HOST,), ["udp://149.112.112.112:53", "udp://9.9.9.9:53"])],
    ids=["and the router", "nobody else"],
)
def test_published_port_that_leads_back_is_left_out(resolvers: tuple[str, ...], upstreams: list[str], tmp_path: Path) -> None:
    """The host's resolver is the gateway's own published port: it is left out, named in status and log, and names resolve by the other one.
    With nobody but itself Quad9 is asked, which is said."""
    require("dig")
    with Networks() as networks:
        home = networks.switch("home")
        machine = networks.machine("host", home, f"{HOST}/24")
        router = networks.machine("router", home, f"{ROUTER}/24")
        script = ScriptedUpstream({("www.example.com", "A"): OPEN}, host=ROUTER)
        script.port = 53
        machine.start(sys.executable, "-c", PUBLISHED, log=tmp_path / "published.log")
        with HousedUpstream(router, upstream=script):
            told = start(machine, tmp_path / "run", *resolvers)
            assert told["upstreams"] == upstreams
            assert any(f"udp://{HOST}:53 của hệ thống là chính cổng lọc này" in note for note in told["notes"])
            assert any("Quad9" in note for note in told["notes"]) is (len(resolvers) == 1)
            if ROUTER in resolvers:
                assert machine.addresses("www.example.com", server=HOST) == OPEN
            assert "upstream.self" in (tmp_path / "run" / "log").read_text()


def start(machine: Machine, folder: Path, *resolvers: str) -> dict[str, list[str]]:
    """The real program where the system names these resolvers; its upstreams and notes, once it has found itself."""
    folder.mkdir()
    (folder / "resolv.conf").write_text("".join(f"nameserver {address}\n" for address in resolvers))
    (folder / "lachan.yaml").write_text(SETTINGS.replace("{folder}", str(folder)), encoding="utf-8")
    hide = f"mount --bind {folder}/resolv.conf /etc/resolv.conf; exec {sys.executable} -m lachan run -c {folder}/lachan.yaml"
    machine.start("unshare", "-m", "sh", "-c", hide, log=folder / "log", folder=ROOT, environment={"LACHAN_LOG_FORMAT": "json"})
    return wait(lambda: state_of(folder / "var"))


def state_of(state_dir: Path) -> dict[str, list[str]] | None:
    """Upstreams and notes as soon as every worker has found itself."""
    try:
        document = ask_now(state_dir, {"do": "status"}, 5.0)
    except ControlError:
        return None
    upstreams = [row["upstream"] for row in document["upstreams"] if row["workers"] == 2]
    is_done = upstreams and len(upstreams) == len(document["upstreams"]) and f"udp://{HOST}:53" not in upstreams
    return {"upstreams": upstreams, "notes": document["notes"]} if is_done else None


def wait(look: Callable[[], dict[str, list[str]] | None]) -> dict[str, list[str]]:
    """Look until there is something to see."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.2)
    raise AssertionError("the gateway did not find itself")


def test_servers_that_a_person_wrote_are_never_left_out() -> None:
    """Only the system's are; when none is left, the last resort stands in."""
    own, other = parse_server("udp://192.0.2.1"), parse_server("udp://192.0.2.2")
    plain, _ = check_gateway(parse("profiles: [{id: a, band: NL}]\nupstreams: {servers: ['udp://192.0.2.1', 'udp://192.0.2.2']}\n", None))
    assert plain is not None
    assert without(plain, frozenset({own})) is plain
    system = replace(plain, upstreams=replace(plain.upstreams, origin="system"))
    assert without(system, frozenset({own})).upstreams.servers == (other,)
    left = without(system, frozenset({own, other})).upstreams
    assert (left.servers, left.origin) == (tuple(map(parse_server, FALLBACK)), "fallback")
