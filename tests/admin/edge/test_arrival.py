"""Who asks, over which scheme, for which host: front ends are believed only from the list, foreign hosts get nothing."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from admin.edge.arrival import Arrival, host_of


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says what it was told."""
    request = Request(scope)
    client = request.client.host if request.client else None
    await JSONResponse({"client": client, "scheme": request.url.scheme})(scope, receive, send)


async def arrive(peer: str, headers: dict[str, str], trusted: tuple[str, ...] = (), hosts: frozenset[str] = frozenset()) -> httpx.Response:
    app = Arrival(tell, [ip_network(one) for one in trusted], hosts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 1)), base_url="http://192.168.1.2:8080") as client:
        return await client.get("/", headers=headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", (), "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", "nonsense", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "", ("10.0.0.0/8",), "10.0.0.1"),
        ("::ffff:192.168.1.20", "", (), "192.168.1.20"),
        ("2001:db8::1", "", (), "2001:db8::1"),
    ],
)
async def test_client_is_the_last_hop_nobody_vouched_for(peer: str, forwarded: str, trusted: tuple[str, ...], expected: str) -> None:
    """A stranger cannot choose the address by which he is throttled or known."""
    response = await arrive(peer, {"X-Forwarded-For": forwarded} if forwarded else {}, trusted)
    assert response.json()["client"] == expected


@pytest.mark.parametrize(("peer", "scheme"), [("203.0.113.9", "http"), ("10.0.0.1", "https")])
async def test_scheme_is_believed_from_a_trusted_front_end_only(peer: str, scheme: str) -> None:
    """A stranger who claims TLS does not get cookies for TLS."""
    response = await arrive(peer, {"X-Forwarded-Proto": "https"}, ("10.0.0.0/8",))
    assert response.json()["scheme"] == scheme


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.2:8080", 200),
        ("[2001:db8::1]:8080", 200),
        ("lachan.internal", 200),
        ("LACHAN.internal.:8080", 200),
        ("check-12.lachan.internal", 200),
        ("evil.example", 421),
        ("lachan.internal.evil.example", 421),
        ("xlachan.internal", 421),
    ],
)
async def test_foreign_hosts_get_no_page(host: str, status: int) -> None:
    """A name an attacker points at this machine is answered with nothing."""
    response = await arrive("192.168.1.20", {"Host": host}, hosts=frozenset({"lachan.internal", "localhost"}))
    assert response.status_code == status


@pytest.mark.parametrize(("header", "name"), [("A.Example.:80", "a.example"), ("[::1]:80", "::1"), ("a.example", "a.example"), ("", "")])
def test_host_of_reads_host_headers(header: str, name: str) -> None:
    """Ports, brackets, case and final dots do not hide a name."""
    assert host_of(header) == name


async def test_other_scopes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only http is looked at."""
    seen: list[Any] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await Arrival(note, [], frozenset())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
