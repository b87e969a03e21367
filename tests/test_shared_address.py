"""Several phones behind one address, by the real program: none is told what another was refused, whoever asked last.

A home's router, or a provider that puts many homes behind one address, makes phones with private names look alike from outside; in a local
network an address passes from one device to another.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from gateway.control import ask_now
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, RunningUpstream

OPEN = {("open.example", "A"): ["203.0.114.1"]}
PHONES = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: {workers}}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{up}"]}
profiles: [{id: an, band: TH, deny: [played-by-an.example]}, {id: binh, band: TH}]
clients:
  - {id: phone-an, profile: an, match: ["token:aaaaa-aaaaa-aaaaa"]}
  - {id: phone-binh, profile: binh, match: ["token:bbbbb-bbbbb-bbbbb"]}
default_profile: an
metrics: {listen: "127.0.0.1:{metrics}"}
"""
PASSED_ON = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{up}"]}
profiles: [{id: an, band: TH, deny: [played-by-an.example]}, {id: binh, band: TH}]
clients: [{id: WHOSE, profile: WHO, match: [127.0.0.9]}]
default_profile: an
metrics: {listen: "127.0.0.1:{metrics}"}
"""


def told(gateway: Gateway, do: str, address: str) -> list[dict[str, Any]]:
    answer = ask_now(gateway.folder / "var", {"do": do, "address": address}, 10.0)
    return list(answer["blocks" if do == "recent_blocks" else do])


def blocks(gateway: Gateway, address: str) -> list[str]:
    return [row["name"] for row in told(gateway, "recent_blocks", address)]


def until(holds: Callable[[], bool]) -> None:
    """Wait for it; a busy machine takes its time."""
    last = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_phones_with_private_names_behind_one_address_see_nothing_of_each_other(tmp_path: Path, workers: int) -> None:
    """Alone, An's phone is told its own block; from the moment Binh's phone asks from the same address, nobody is told anything."""
    authority = Authority(tmp_path)
    made = authority.vouch("dns.example", "*.dns.example")
    fields: dict[str, object] = {"certificate": made.certificate, "key": made.key, "workers": workers}
    with RunningUpstream(OPEN) as up, Gateway(tmp_path, PHONES, command="gateway", up=up.port, **fields) as gateway:
        [port] = [int(row["address"].rpartition(":")[2]) for row in gateway.status()["listen"] if row["transport"] == "dot"]
        trust = ssl.create_default_context(cafile=str(authority.file))

        def ask(token: str, name: str) -> None:
            query = dns.message.make_query(name, "A")
            dns.query.tls(query, "127.0.0.1", 5, port, ssl_context=trust, server_hostname=f"{token}.dns.example")

        for _ in range(4):  # each worker meets her
            ask("aaaaa-aaaaa-aaaaa", "played-by-an.example")
        until(lambda: "played-by-an.example" in blocks(gateway, "127.0.0.1"))
        ask("bbbbb-bbbbb-bbbbb", "open.example")
        until(lambda: blocks(gateway, "127.0.0.1") == [])
        assert {row["client"] for row in told(gateway, "devices", "127.0.0.1")} == {"phone-an", "phone-binh"}


def test_an_address_that_passes_to_another_device_takes_no_blocks_along(tmp_path: Path) -> None:
    """The router gave the address to Binh's device: it is not told what An's was refused a moment ago."""
    text = PASSED_ON.replace("WHOSE", "may-an").replace("WHO", "an")
    with RunningUpstream(OPEN) as up, Gateway(tmp_path, text, command="gateway", up=up.port) as gateway:
        gateway.addresses("played-by-an.example", source="127.0.0.9")
        until(lambda: blocks(gateway, "127.0.0.9") == ["played-by-an.example"])
        gateway.write(PASSED_ON.replace("WHOSE", "may-binh").replace("WHO", "binh"))
        assert gateway.command("reload").returncode == 0
        gateway.addresses("open.example", source="127.0.0.9")
        until(lambda: blocks(gateway, "127.0.0.9") == [])


def test_a_device_that_was_just_given_its_name_is_told_its_blocks(tmp_path: Path) -> None:
    """Every worker met it as nobody's; after it got its name one question reaches one worker, and the others know nothing of that."""
    named = PASSED_ON.replace("workers: 1", "workers: 3").replace("WHOSE", "may-an").replace("WHO", "an")
    nameless = re.sub(r"clients: .*", "clients: []", named)
    with RunningUpstream(OPEN) as up, Gateway(tmp_path, nameless, command="gateway", up=up.port) as gateway:
        for _ in range(40):
            gateway.addresses("open.example", source="127.0.0.9")
        gateway.write(named)
        assert gateway.command("reload").returncode == 0
        gateway.addresses("played-by-an.example", source="127.0.0.9")
        until(lambda: blocks(gateway, "127.0.0.9") == ["played-by-an.example"])
