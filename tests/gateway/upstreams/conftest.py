"""A resolver on real sockets, and one call that asks it and waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import dns.message
import pytest

from gateway.query import Answer, Query
from gateway.settings import Strategy, UpstreamAddress, UpstreamSettings
from gateway.upstreams import UpstreamFailure
from gateway.upstreams.selector import Resolver
from gateway.wire.message import parse_query
from tests.support.certificates import Authority
from tests.support.upstream import ScriptedUpstream


def make_query(name: str, qtype: str = "A", *, do: bool = False, cd: bool = False, number: int | None = None) -> Query:
    """A parsed client query; EDNS only when DO is wanted."""
    message = dns.message.make_query(name, qtype, want_dnssec=do)
    if number is not None:
        message.id = number
    if cd:
        message.flags |= 0x0010
    query = parse_query(message.to_wire())
    assert isinstance(query, Query)
    return query


class Asker:
    """A resolver with a way to wait for its answers; `outcomes` keeps everything that came."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.outcomes: list[Answer | UpstreamFailure] = []
        self.late: list[Answer] = []
        self.recoveries = 0

    async def ask(self, name: str = "www.example", qtype: str = "A", *, group: int = 0, wait: float = 6.0,
                  **flags: Any) -> Answer | UpstreamFailure:  # fmt: skip
        """Ask and wait for the one outcome."""
        return await asyncio.wait_for(self.begin(name, qtype, group=group, **flags), wait)

    def begin(self, name: str = "www.example", qtype: str = "A", *, group: int = 0, on_slow: Callable[[], None] | None = None,
              **flags: Any) -> asyncio.Future[Answer | UpstreamFailure]:  # fmt: skip
        """Ask without waiting; a second call of the callback fails the test."""
        future: asyncio.Future[Answer | UpstreamFailure] = asyncio.get_running_loop().create_future()

        def on_done(outcome: Answer | UpstreamFailure) -> None:
            self.outcomes.append(outcome)
            future.set_result(outcome)

        self.resolver.ask(make_query(name, qtype, **flags), group, on_done, on_slow)
        assert not future.done(), "the callback came before ask returned"
        return future


def server(
    upstream: ScriptedUpstream, scheme: str = "udp", *, name: str = "", path: str = "", address: str | None = None
) -> UpstreamAddress:
    """The address of a scripted upstream as settings write it; encrypted ones are called dns.example."""
    port = {"udp": upstream.port, "tcp": upstream.port, "tls": upstream.tls_port, "https": upstream.https_port}[scheme]
    path = path or ("/dns-query" if scheme == "https" else "")
    name = name or ("dns.example" if scheme in ("tls", "https") else upstream.host)
    return UpstreamAddress(scheme, name, port, path, upstream.host if address is None else address)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for this run."""
    return Authority(tmp_path_factory.mktemp("authority"))


OpenResolver = Callable[..., Asker]


@pytest.fixture
async def open_resolver() -> AsyncIterator[OpenResolver]:
    """Opens resolvers and closes them behind the test; any exception in a callback fails the test."""
    loop = asyncio.get_running_loop()
    opened: list[Resolver] = []
    troubles: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))

    def open_one(*upstreams: ScriptedUpstream | UpstreamAddress, strategy: Strategy = "ordered", scheme: str = "udp", timeout: float = 0.4,
                 routes: Mapping[str, Sequence[UpstreamAddress]] | None = None, **more: Any) -> Asker:  # fmt: skip
        servers = tuple(server(item, scheme) if isinstance(item, ScriptedUpstream) else item for item in upstreams)
        settings = UpstreamSettings(servers, strategy, {suffix: tuple(found) for suffix, found in (routes or {}).items()}, timeout)
        asker: Asker

        def recovered() -> None:
            asker.recoveries += 1

        resolver = Resolver(settings, loop, on_recovered=recovered, on_late=lambda _, answer: asker.late.append(answer), **more)
        opened.append(resolver)
        asker = Asker(resolver)
        return asker

    yield open_one
    for resolver in opened:
        resolver.close()
    await asyncio.sleep(0)
    assert troubles == []
