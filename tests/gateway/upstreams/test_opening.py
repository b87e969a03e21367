"""From an address to the upstream that speaks its transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.settings import UpstreamAddress
from gateway.upstreams.datagrams import make_ring
from gateway.upstreams.opening import open_upstream


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
