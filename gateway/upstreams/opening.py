"""From the address of an upstream to the upstream: one case per transport. Imported by `selector` only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway.settings import UpstreamAddress
from gateway.upstreams import Observer, Upstream
from gateway.upstreams.bootstrap import Ask, Locator
from gateway.upstreams.datagrams import Ring
from gateway.upstreams.pool import Locate
from gateway.upstreams.stream import StreamUpstream
from gateway.upstreams.tls import make_context, read_pin
from gateway.upstreams.udp import UdpUpstream


def open_upstream(
    address: UpstreamAddress, observer: Observer, loop: asyncio.AbstractEventLoop, ring: Ring, authorities: str | None, ask: Ask
) -> Upstream:
    """The upstream at an address. `ask` finds the addresses of servers that are configured by name only."""
    match address.scheme:
        case "udp":
            return UdpUpstream(address, observer, loop, ring)
        case "tcp":
            return StreamUpstream(address, observer, loop)
        case "tls":
            tls = make_context(address, authorities)
            return StreamUpstream(address, observer, loop, tls, _locator(address, ask, loop), read_pin(address.path))
        case "https":
            # Imported here: HTTP/2 is for those who use it.
            from gateway.upstreams.doh import DohUpstream

            return DohUpstream(address, observer, loop, make_context(address, authorities), _locator(address, ask, loop))


def _locator(address: UpstreamAddress, ask: Ask, loop: asyncio.AbstractEventLoop) -> Locate | None:
    return None if address.address else Locator(address.name, ask, loop).locate


def numbered(label: str, others: Iterable[Upstream]) -> str:
    """A label that none of the others has: a second one of the same name and port is told by its number."""
    taken = {other.label for other in others}
    return next(text for text in (label, *(f"{label} {number}" for number in range(2, len(taken) + 3))) if text not in taken)
