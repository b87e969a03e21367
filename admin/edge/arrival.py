"""Who asks, over which scheme, for which host.

Behind a front end the socket's peer is the front end: its `X-Forwarded-For` and `X-Forwarded-Proto` are believed only when its
address is on the list, and then only the last entry that is not itself on the list. Hosts that are not ours are refused: a name that
an attacker points at this machine (DNS rebinding) gets no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.settings import Network


class Arrival:
    """Resolves client and scheme, and refuses foreign hosts. `hosts` empty: any host (the block page answers for every blocked name)."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network], hosts: frozenset[str]) -> None:
        self.app = app
        self.trusted = tuple(trusted)
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scope["client"], scope["scheme"] = self._resolve(scope, headers)
            if self.hosts and not self.is_own(headers.get("host", "")):
                await PlainTextResponse("not our name", status_code=421)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this machine: a bare address, or one of our names."""
        name = host_of(host)
        if name in self.hosts or any(name.endswith(f".{own}") for own in self.hosts):
            return True
        return is_address(name)

    def _resolve(self, scope: Scope, headers: Headers) -> tuple[tuple[str, int], str]:
        peer, port = scope.get("client") or ("127.0.0.1", 0)
        scheme = scope["scheme"]
        if not self._is_trusted(peer):
            return (_unmapped(peer), port), scheme
        proto = headers.get("x-forwarded-proto", "").strip().lower()
        if proto in ("http", "https"):
            scheme = proto
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            address = hop.strip()
            if not is_address(address):
                break
            peer, port = address, 0
            if not self._is_trusted(address):
                break
        return (_unmapped(peer), port), scheme

    def _is_trusted(self, address: str) -> bool:
        if not self.trusted or not is_address(address):
            return False
        parsed = ip_address(_unmapped(address))
        return any(parsed in network for network in self.trusted)


def host_of(host: str) -> str:
    """The name in a Host header: without port, brackets and final dot, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if ":" in host else host.rstrip(".")


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _unmapped(address: str) -> str:
    """IPv4 inside IPv6, as a dual socket reports it, is the IPv4 address."""
    try:
        mapped = getattr(ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return "127.0.0.1"
    return str(mapped) if mapped else address
