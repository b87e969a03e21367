"""Finding ourselves among the system's resolvers, where an address does not tell: behind the published port of a container, or a router
that sends port 53 back here. Each is asked for a check name of our own; who answers with our proof is this gateway.

Imported by the worker, which leaves such a one out, and by `standing` for the words. Nothing here is on the answer path.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from gateway.activity import OWN_NONCE
from gateway.errors import InvalidName
from gateway.servers import FALLBACK, parse_server
from gateway.settings import GatewaySettings, UpstreamAddress
from gateway.wire.constants import Qtype
from gateway.wire.name import wire_from_text

DELAYS: Final = (0.5, 10.0, 60.0)
"""When it is looked, in seconds after the start and after each look: a network may be there only then."""
WAIT_SECONDS: Final = 2.0
FOUND: Final = (
    "máy chủ DNS {server} của hệ thống là chính cổng lọc này và bị bỏ ra: bộ phát phát cổng lọc này làm DNS; ghi máy chủ của nhà mạng hay"
    " của bộ phát vào upstreams.servers / the system's resolver {server} is this gateway itself and is left out: the router hands it out as"
    " DNS; write your provider's or router's server into upstreams.servers"
)


async def find_ourselves(servers: Iterable[UpstreamAddress], name: str, prove: Callable[[str], str]) -> frozenset[UpstreamAddress]:
    """Which of these plain servers are this gateway. `name` is its own name, `prove` gives what only it answers for a nonce."""
    plain = [server for server in servers if server.scheme == "udp"]
    answers = await asyncio.gather(*(_is_us(server, name, prove) for server in plain))
    return frozenset(server for server, is_us in zip(plain, answers, strict=True) if is_us)


def without(settings: GatewaySettings, ourselves: frozenset[UpstreamAddress]) -> GatewaySettings:
    """The settings with these servers of the system left out; the last resort where nobody else is left."""
    upstreams = settings.upstreams
    if upstreams.origin != "system" or not ourselves.intersection(upstreams.servers):
        return settings
    left = tuple(server for server in upstreams.servers if server not in ourselves)
    if left:
        return replace(settings, upstreams=replace(upstreams, servers=left))
    return replace(settings, upstreams=replace(upstreams, servers=tuple(map(parse_server, FALLBACK)), origin="fallback"))


async def _is_us(server: UpstreamAddress, name: str, prove: Callable[[str], str]) -> bool:
    nonce = OWN_NONCE + secrets.token_hex(8)
    try:
        question = wire_from_text(f"check-{nonce}.{name}")
    except InvalidName:
        return False
    head = secrets.token_bytes(2) + b"\x01\x00\x00\x01" + bytes(6)
    loop = asyncio.get_running_loop()
    proven = loop.create_future()
    proof = prove(nonce).encode("ascii")
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Listener(proven, head[:2], proof), remote_addr=(server.address, server.port)
        )
    except OSError:
        return False
    try:
        transport.sendto(head + question + Qtype.TXT.to_bytes(2, "big") + b"\0\1")
        async with asyncio.timeout(WAIT_SECONDS):
            return bool(await proven)
    except (TimeoutError, OSError):
        return False
    finally:
        transport.close()


class _Listener(asyncio.DatagramProtocol):
    """Waits for the one answer."""

    def __init__(self, proven: asyncio.Future[bool], message_id: bytes, proof: bytes) -> None:
        self._proven = proven
        self._id = message_id
        self._proof = proof

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Whether it holds the proof."""
        if data[:2] == self._id and not self._proven.done():
            self._proven.set_result(self._proof in data)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there: not ourselves."""
        if not self._proven.done():
            self._proven.set_result(False)
