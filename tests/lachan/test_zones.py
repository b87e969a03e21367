"""`lachan zone pull` as a person or a timer calls it."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

import dns.name
import pytest

from blocklists.policyzone import PolicyZone
from blocklists.secondary import PullError
from blocklists.xfr import Feed, TransferServer
from gateway.settings import Endpoint
from lachan.zones import read_source
from tests.support.gateway import run_command

ZONE = "rpz.lachan.test"


async def test_command_writes_the_file_and_says_so(tmp_path: Path) -> None:
    """One line in both languages with the serial; a refused zone is one sentence and exit status 1, and the file stays."""
    zone = PolicyZone(ZONE, 7, [("example.bad.", 0)])
    server = TransferServer(Feed({dns.name.from_text(ZONE): zone}, open_to=[ipaddress.ip_network("127.0.0.1/32")]))
    port = await server.start("127.0.0.1", 0)
    target = tmp_path / "rpz.zone"
    words = ["zone", "pull", "--from", f"127.0.0.1:{port}", "--to", str(target), "--zone"]
    done = await asyncio.to_thread(run_command, *words, ZONE)
    assert done.returncode == 0, done.stderr
    assert "serial 7, 2 rules, written" in done.stdout
    before = target.read_bytes()
    refused = await asyncio.to_thread(run_command, *words, "other.test")
    assert (refused.returncode, target.read_bytes()) == (1, before)
    assert refused.stderr.startswith("lỗi / error: ") and "Traceback" not in refused.stderr
    await server.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.53:5399", Endpoint("192.0.2.53", 5399)),
        ("192.0.2.53", Endpoint("192.0.2.53", 53)),
        ("[2001:db8::53]:5399", Endpoint("2001:db8::53", 5399)),
        ("[2001:db8::53]", Endpoint("2001:db8::53", 53)),
    ],
)
def test_source_is_an_address_with_an_optional_port(text: str, expected: Endpoint) -> None:
    """The port is 53 when it is left out."""
    assert read_source(text) == expected


@pytest.mark.parametrize("text", ["", ":53", "ns.example:53", "192.0.2.53:0", "192.0.2.53:70000", "2001:db8::53", "2001:db8::53:53"])
def test_other_sources_are_refused(text: str) -> None:
    """With an example of the right form."""
    with pytest.raises(PullError, match=r"192\.0\.2\.53:5399"):
        read_source(text)
