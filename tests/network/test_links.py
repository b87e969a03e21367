"""A home with the provider's IPv6: the router hands out the gateway's IPv6 address, phones ask from their global one, the prefix changes.

phone 2001:ee0:1:2::1f and 2402:800:9:9::1f ── gateway 192.168.1.2 and 2001:ee0:1:2::2, later 2402:800:9:9::2
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.namespaces import HousedGateway, HousedUpstream, Machine, Networks, require

pytestmark = pytest.mark.full

OLD, NEW = "2001:ee0:1:2::", "2402:800:9:9::"
CHILD = "02:00:00:00:00:01"
RECORDS = {("open.example", "A"): ["198.51.100.20"], ("chess.example", "A"): ["198.51.100.30"]}
SETTINGS = """
state_dir: var
dns: {listen: ["192.168.1.2:53", "[::]:53"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:9153"}
sites:
  - {id: nha, class: home, bands: [TH, NL], networks: [192.168.0.0/16]}
profiles:
  - {id: be, band: TH, deny: [chess.example], uncategorised: allow}
clients:
  - {id: may-be, profile: be, site: nha, match: ["mac:02:00:00:00:00:01"]}
"""


def test_devices_ask_from_the_prefix_of_today(tmp_path: Path) -> None:
    """Answered over IPv6 with the child's own rules; the new prefix counts within seconds and the old one no longer."""
    require("dig")
    with Networks() as networks:
        lan = networks.switch("lan")
        box = networks.machine("box", lan, "192.168.1.2/24", f"{OLD}2/64")
        phone = networks.machine("phone", lan, "192.168.1.20/24", f"{OLD}1f/64", f"{NEW}1f/64", mac=CHILD)
        box.ip("-6", "route", "add", f"{NEW}/64", "dev", "eth0")
        with HousedUpstream(box, RECORDS) as upstream, HousedGateway(box, tmp_path, SETTINGS, upstream=upstream.port):
            assert status(phone, f"{OLD}2", f"{OLD}1f") == "NOERROR"
            assert phone.addresses("chess.example", server=f"{OLD}2", source=f"{OLD}1f") == ["0.0.0.0"]
            assert status(phone, f"{OLD}2", f"{NEW}1f") == "REFUSED"
            box.ip("address", "add", f"{NEW}2/64", "dev", "eth0", "nodad")
            box.ip("address", "del", f"{OLD}2/64", "dev", "eth0")
            box.ip("-6", "route", "add", f"{OLD}/64", "dev", "eth0")
            end = time.monotonic() + 10
            while status(phone, f"{NEW}2", f"{NEW}1f") != "NOERROR" or status(phone, f"{NEW}2", f"{OLD}1f") != "REFUSED":
                assert time.monotonic() < end
                time.sleep(0.3)


def status(machine: Machine, server: str, source: str) -> str:
    """What a question is answered with."""
    found = re.search(r"status: (\w+)", machine.dig("open.example", "+timeout=1", server=server, source=source))
    return found[1] if found else ""
