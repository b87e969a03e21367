"""Finding the address of an encrypted upstream that is configured by name only, through the plain upstreams. Imported by `selector` and
settings.

The answer needs no trust: whoever forges it gets a connection that fails, because the certificate or the pinned key is checked. An address
once found is kept until a newer one is known, so that a gateway whose plain upstreams are gone still reaches its encrypted ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final

from gateway.query import Answer, Query
from gateway.settings import UpstreamAddress
from gateway.upstreams import UpstreamFailure
from gateway.wire.constants import Qtype
from gateway.wire.name import key_of, wire_from_text

LEAST_TTL: Final = 60.0
"""An address is not looked up again before this, in seconds, whatever its TTL says."""

Ask = Callable[[Query, Callable[[Answer | UpstreamFailure], None]], None]


def find_unreachable(servers: Iterable[UpstreamAddress]) -> list[UpstreamAddress]:
    """The servers whose address nobody could look up: given by name, with no plain upstream (udp or tcp with an address) beside them."""
    servers = list(servers)
    if any(server.address and server.scheme in ("udp", "tcp") for server in servers):
        return []
    return [server for server in servers if not server.address]


class Locator:
    """Looks the addresses of one name up and hands them out in turn."""

    def __init__(self, name: str, ask: Ask, loop: asyncio.AbstractEventLoop) -> None:
        """Raises InvalidName when `name` is no domain name."""
        wire = wire_from_text(name)
        self._queries = [
            Query(0, 0x0100, wire, key_of(wire), qtype, wire + qtype.to_bytes(2, "big") + b"\0\1", None) for qtype in (Qtype.A, Qtype.AAAA)
        ]
        self._ask = ask
        self._loop = loop
        self._addresses: list[str] = []
        self._until = float("-inf")

    async def locate(self) -> str:
        """An address of the server, each time the next one. Raises OSError when none was ever found."""
        if self._loop.time() >= self._until:
            await self._look_up()
        if not self._addresses:
            raise OSError(0, "the address of the server was not found")
        self._addresses.append(self._addresses.pop(0))
        return self._addresses[-1]

    async def _look_up(self) -> None:
        for query in self._queries:
            outcome = await self._answer(query)
            if isinstance(outcome, Answer) and outcome.facts.addresses:
                self._addresses = [str(ip_address(address)) for address in outcome.facts.addresses]
                self._until = self._loop.time() + max(outcome.ttl, LEAST_TTL)
                return

    def _answer(self, query: Query) -> asyncio.Future[Answer | UpstreamFailure]:
        future: asyncio.Future[Answer | UpstreamFailure] = self._loop.create_future()

        def on_done(outcome: Answer | UpstreamFailure) -> None:
            # The connection attempt may have been given up meanwhile.
            if not future.done():
                future.set_result(outcome)

        self._ask(query, on_done)
        return future
