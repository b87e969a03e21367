"""One worker's data plane inside the test: the real pipeline behind real listeners, before a scripted upstream. For tests only.

    async with ScriptedUpstream({("www.example.com", "A"): ["192.0.2.1"]}) as upstream, OneWorker(tmp_path, upstream) as worker:
        reply = await worker.ask("www.example.com")

The wall clock is the test's: `worker.clock.at` (unix seconds) moves schedules; cookies and TTLs follow the real clocks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dns.message

from gateway.activity import Activity
from gateway.cache import AnswerCache
from gateway.clock import WallClock
from gateway.listeners.batch import BatchListener
from gateway.listeners.stream import StreamListener
from gateway.metrics import Counters
from gateway.pipeline import Pipeline
from gateway.policy.snapshot import Snapshot
from gateway.query import Transport
from gateway.resolution import Resolution
from gateway.settings import CacheSettings, DnsSettings, GatewaySettings, Limits, RateLimit, UpstreamAddress, UpstreamSettings
from gateway.sharedword import SharedWord
from gateway.surroundings import Surroundings
from gateway.upstreams.selector import Resolver
from gateway.wire.cookie import CookieJar
from tests.support.client import ask
from tests.support.generation import START, make_generation, policy, profile
from tests.support.upstream import ScriptedUpstream

Json = dict[str, Any]
LOOPBACK = ("127.0.0.0/8", "::1/128")


class HandClock(WallClock):
    """A wall clock that stands where the test puts it."""

    def __init__(self, at: float = START) -> None:
        super().__init__()
        self.at = at

    def now(self) -> float:
        """Unix seconds."""
        return self.at


class OneWorker:
    """A pipeline with a UDP and a TCP listener on one port of `host`.

    `lists`, `profiles`, `clients`, `rules`, `orders` make generation 1; without clients everybody on loopback is an adult. `routes` maps
    suffix keys to
    scripted upstreams. `datagrams` and `streams` make the listeners.
    """

    def __init__(
        self,
        folder: Path,
        upstream: ScriptedUpstream | None = None,
        *,
        lists: Mapping[str, Json] | None = None,
        profiles: Iterable[Json] = (),
        clients: Iterable[Json] = (),
        orders: Iterable[Json] | None = None,
        catalogue: Json | None = None,
        host: str = "127.0.0.1",
        allow_from: Iterable[str] = LOOPBACK,
        rate_limit: RateLimit | None = None,
        limits: Limits | None = None,
        cache: CacheSettings | None = None,
        routes: Mapping[str, ScriptedUpstream] | None = None,
        changes: Mapping[str, Any] | None = None,
        port: int = 0,
        datagrams: Callable[..., Any] = BatchListener,  # Any: listeners share a face, not a constructor type
        streams: Callable[..., Any] = StreamListener,
        **policy_members: Any,
    ) -> None:
        profiles = list(profiles) or [profile("NL", "adult")]
        document = policy(
            profiles=profiles,
            clients=list(clients) or [{"id": "everybody", "profile": profiles[0]["id"], "match": list(LOOPBACK)}],
            **policy_members,
        )
        self.state_dir = make_generation(folder, lists=lists, policy=document, orders=orders, catalogue=catalogue)
        self.host = host
        self.port = port
        servers = (_address(upstream),) if upstream is not None else (UpstreamAddress("udp", "127.0.0.1", 9, "", "127.0.0.1"),)
        self.settings = GatewaySettings(
            state_dir=folder,
            dns=DnsSettings((), 1, tuple(ip_network(text) for text in allow_from), None, "lachan.internal"),
            upstreams=UpstreamSettings(servers, "fastest", {key: (_address(each),) for key, each in (routes or {}).items()}, 1.5),
            policy={},
            cache=cache or CacheSettings(),
            rate_limit=rate_limit or RateLimit(0, 0),
            limits=limits or Limits(),
        )
        if changes:
            self.settings = replace(self.settings, **changes)
        self.snapshot = Snapshot.load(folder, 1)
        self.clock = HandClock()
        self.counters = Counters()
        self.activity = Activity()
        self.word = SharedWord(1)
        self.staged: Snapshot | None = None
        self._datagrams = datagrams
        self._streams = streams

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.cache = AnswerCache(self.settings.cache)
        self.resolver = Resolver(
            self.settings.upstreams,
            loop,
            in_flight=self.settings.limits.misses,
            on_recovered=self.cache.forgive,
            on_late=lambda key, answer: self.resolution.late(key, answer),
        )
        self.resolution = Resolution(
            self.cache, self.resolver, self.counters, loop, self.settings.rebinding_allow, self.settings.limits.misses_per_client
        )
        around = Surroundings(self.counters, self.activity, self.clock, self.word, self._follow, CookieJar((bytes(16),)), loop)
        self.pipeline = Pipeline(self.settings, self.snapshot, self.resolution, around)
        self.udp, self.tcp = _open_sockets(self.host, self.port)
        self.port = self.udp.getsockname()[1]
        local = socket.inet_pton(self.udp.family, self.host)
        here = local if any(local) else None
        name = f"{self.host}:{self.port}"
        self.datagrams = self._datagrams(self.udp, self.pipeline.open_scope(name, Transport.UDP, here), self.pipeline, self.counters, loop)
        self.streams = self._streams(
            self.tcp, self.pipeline.open_scope(name, Transport.TCP, here), self.pipeline, self.counters, self.settings.limits, loop
        )
        self.pipeline.start()
        self.datagrams.open()
        self.streams.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.datagrams.close()
        self.streams.close()
        self.pipeline.close()
        self.resolver.close()
        await asyncio.sleep(0)
        self.udp.close()
        self.tcp.close()
        await asyncio.sleep(0.01)

    @property
    def server(self) -> tuple[str, int]:
        """Where to ask."""
        wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return wildcards.get(self.host, self.host), self.port

    async def ask(self, name: str, qtype: str = "A", **options: Any) -> dns.message.Message:
        """The reply to one question (`tests.support.client.ask`)."""
        return await ask(self.server, name, qtype, **options)

    def switch(self, number: int) -> None:
        """Stage a generation of the state directory and write the shared word; the pipeline follows by itself."""
        self.staged = Snapshot.load(self.state_dir, number, self.snapshot)
        self.word.set(self.word.value + 1)

    def metric(self, name: str, *labels: str) -> int:
        """What a counter has gathered since the last call; with labels only the series that begins with them."""
        self.pipeline.count()
        return sum(
            int(str(number)) for row, values, number in self.counters.harvest()
            if row == name and isinstance(values, list) and tuple(values[: len(labels)]) == labels
        )  # fmt: skip

    def _follow(self) -> None:
        assert self.staged is not None
        self.snapshot, self.staged = self.staged, None
        self.pipeline.put_in_force(self.snapshot)


def _address(upstream: ScriptedUpstream) -> UpstreamAddress:
    return UpstreamAddress("udp", upstream.host, upstream.port, "", upstream.host)


def _open_sockets(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(50):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        tcp = socket.socket(family, socket.SOCK_STREAM)
        for each in (udp, tcp):
            each.setblocking(False)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            udp.bind((host, port))
            tcp.bind((host, udp.getsockname()[1]))
            tcp.listen(256)
        except OSError:
            udp.close()
            tcp.close()
            continue
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        return udp, tcp
    raise OSError("no free port for UDP and TCP together")
