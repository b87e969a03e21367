"""From an address to the upstream that speaks its transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.settings import UpstreamAddress, UpstreamSettings
from gateway.upstreams.datagrams import make_ring
from gateway.upstreams.opening import open_upstream
from gateway.upstreams.selector import Resolver


@pytest.mark.parametrize(
    ("address", "is_stream", "is_encrypted", "takes_plain"),
    [
        (UpstreamAddress("udp", "192.0.2.1", 53, "", "192.0.2.1"), False, False, True),
        (UpstreamAddress("tcp", "192.0.2.1", 53, "", "192.0.2.1"), True, False, False),
        (UpstreamAddress("tls", "dns.example", 853, "", "192.0.2.1"), True, True, False),
        (UpstreamAddress("https", "dns.example", 443, "/dns-query", ""), True, True, False),
    ],
)
async def test_scheme_chooses_the_transport(address: UpstreamAddress, is_stream: bool, is_encrypted: bool, takes_plain: bool) -> None:
    """Each scheme opens its kind, and says what it can carry; nothing is sent by opening."""
    observer: Any = None
    upstream = open_upstream(address, observer, asyncio.get_running_loop(), make_ring(), None, lambda query, on_done: None)
    assert (upstream.is_stream, upstream.is_encrypted, upstream.takes_plain) == (is_stream, is_encrypted, takes_plain)
    assert upstream.is_idle
    upstream.close()


async def test_label_holds_no_path_and_is_nobody_elses() -> None:
    """The path of a DoH server may be the key of an account; two accounts at one server are told apart by a number."""
    mine, other = (UpstreamAddress("https", "dns.example", 443, path, "192.0.2.3") for path in ("/abc123key", "/other"))
    resolver = Resolver(UpstreamSettings((mine, other), "ordered", {}, 1.0), asyncio.get_running_loop())
    assert [row.label for row in resolver.status()] == ["https://dns.example:443", "https://dns.example:443 2"]
    resolver.close()
