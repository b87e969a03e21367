"""The composition of one worker: settings and snapshot → cache → upstreams → pipeline → listeners. Only the supervisor's fork runs it.

Everything a worker is made of is put together here and nowhere else; how it lives and dies is in `workerloop`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.activity import Activity
from gateway.cache import AnswerCache
from gateway.channel import Fields
from gateway.crew import WorkerStart
from gateway.demand import Demand
from gateway.discovery import Discovery, Offer, read_certificate
from gateway.errors import StartError
from gateway.following import read_state
from gateway.kernelmessages import has_batches
from gateway.leases import Hardware, LeaseTable
from gateway.links import own_networks
from gateway.listeners.batch import BatchListener
from gateway.listeners.doh import DohListener
from gateway.listeners.proxied import ProxiedBatchListener, ProxiedDatagramListener, ProxiedDohListener, ProxiedStreamListener
from gateway.listeners.relayed import RelayListener
from gateway.listeners.stream import StreamListener
from gateway.listeners.udp import DatagramListener
from gateway.metrics import DEFAULT_UP, UPSTREAM_BLOCKS, UPSTREAM_FAILURES, UPSTREAM_SECONDS, UPSTREAM_UP, Counters
from gateway.neighbours import NeighbourTable
from gateway.notices import NoticeLine
from gateway.pauses import collection_put_off
from gateway.pipeline import Pipeline
from gateway.policy.snapshot import Snapshot
from gateway.proxyprotocol import FrontEnds
from gateway.query import Answer, Key, Transport
from gateway.resolution import Resolution
from gateway.selfsearch import DELAYS, find_ourselves, without
from gateway.settings import GatewaySettings, TlsSettings, UpstreamAddress
from gateway.sockets import Listening
from gateway.surroundings import Surroundings
from gateway.tls import DOH_PROTOCOLS, DOT_PROTOCOLS, ServerContext
from gateway.upstreams.selector import Resolver
from gateway.weights import Weights
from gateway.wire.cookie import CookieJar
from gateway.workerloop import WorkerLoop

if TYPE_CHECKING:
    from gateway.crew import Loaded
    from gateway.listeners import Listener
    from gateway.upstreams import Tally

log = logging.getLogger(__name__)

RETIRE_SECONDS = 10.0
"""How long upstreams that are no longer configured may finish what was asked of them."""
QUEUE_SECONDS = 0.05
"""How long a worker that stops goes on reading, for what is already in its receive buffers."""
LOOK_SECONDS = 0.02
CERTIFICATE_SECONDS = 2.0
"""How often certificate files are looked at (ACME clients replace them)."""
LINK_SECONDS = 3.0
"""How often the networks of the machine's own links are looked at (a provider changes the prefix)."""
AGE_SECONDS = 20.0
"""How often the age of the office's release is looked at."""
_WILDCARDS = frozenset({"0.0.0.0", "::"})


def run_worker(start: WorkerStart) -> int:
    """A worker's whole life; its exit status."""
    return asyncio.run(WorkerLoop(start, Gateway).main())


def load_snapshot(state_dir: Path, number: int, previous: Loaded | None) -> Snapshot:
    """Load a generation, reusing what `previous` holds. Raises GenerationError."""
    with collection_put_off():
        return Snapshot.load(state_dir, number, previous if isinstance(previous, Snapshot) else None)


class Gateway:
    """What a worker does with queries (`workerloop.DataPlane`)."""

    def __init__(self, start: WorkerStart, counters: Counters, activity: Activity, follow: Callable[[], None]) -> None:
        snapshot = start.target.snapshot
        assert isinstance(snapshot, Snapshot)
        self._settings = start.target.settings
        self._snapshot = snapshot
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Listener] = []
        self._certificates: list[ServerContext] = []
        self._offers: list[Offer] = []
        proxy, tls = self._settings.proxy_protocol, self._settings.tls
        self._front_ends = FrontEnds(proxy.sources, tls.name if tls is not None else None) if proxy is not None else None
        self._told: dict[str, Tally] = {}
        self._activity = activity
        self._ourselves: frozenset[UpstreamAddress] = frozenset()
        self._written = self._settings.upstreams
        self._search: asyncio.Task[None] | None = None
        self._cache = AnswerCache(self._settings.cache)
        self._resolver = self._open_resolver(self._settings)
        self._resolution = self._know(self._settings)
        self._neighbours = NeighbourTable(self._forget_client)
        self._leases = LeaseTable(self._settings.lease_files, self._forget_client, start.clock.now)
        self._hardware = Hardware(self._neighbours.mac_of, self._leases.mac_of)
        self._demand, self._weights = Demand(start.secret[:32]), Weights(start.secret[:32])
        self._clock = start.clock
        self._notices = NoticeLine(self._settings.state_dir, self._loop)
        self._notices.know(self._settings.notify_from)
        around = Surroundings(
            counters=counters,
            activity=activity,
            clock=start.clock,
            word=start.word,
            follow=follow,
            cookies=CookieJar((start.secret[16:32],)),
            loop=self._loop,
            neighbours=self._hardware,
            demand=self._demand,
            weights=self._weights,
            notices=self._notices,
        )
        self._pipeline = Pipeline(self._settings, snapshot, self._resolution, around)
        self._now = start.clock.now
        self._tell_age()

    def open(self, listening: list[Listening]) -> None:
        """Begin to read from these sockets."""
        self._neighbours.open()
        self._leases.open()
        self._pipeline.start()
        self._loop.call_later(CERTIFICATE_SECONDS, self._look_at_certificates)
        self._loop.call_later(AGE_SECONDS, self._look_at_age)
        self._look_at_links()
        for each in listening:
            listener = self._listener(each)
            if listener is not None:
                self._listeners.append(listener)
        self._listeners += self._relay([each for each in listening if each.kind == "doq"])
        for opened in self._listeners:
            opened.open()
        self._designate()
        self._begin_search()

    def load(self, number: int, settings: GatewaySettings) -> object:
        """A generation ready to be put in force under these settings. Runs in a thread. Raises GenerationError."""
        return Snapshot.load(settings.state_dir, number, self._snapshot), settings

    def put_in_force(self, staged: object) -> None:
        """Judge by this from now on."""
        assert isinstance(staged, tuple)
        snapshot, settings = staged
        assert isinstance(snapshot, Snapshot) and isinstance(settings, GatewaySettings)
        if settings.upstreams != self._written:
            self._written, self._ourselves = settings.upstreams, frozenset()
            self._begin_search()
        self._take(snapshot, without(settings, self._ourselves))

    def _take(self, snapshot: Snapshot, settings: GatewaySettings) -> None:
        """Judge by this snapshot under these settings; what they change is opened anew."""
        old, self._settings, self._snapshot = self._settings, settings, snapshot
        if settings == old:
            self._pipeline.put_in_force(snapshot)
            self._tell_age()
            return
        self._notices.know(settings.notify_from)
        if settings.upstreams != old.upstreams:
            self._loop.call_later(RETIRE_SECONDS, self._resolver.close)
            self._resolver = self._open_resolver(settings)
        if settings.cache != old.cache or settings.upstreams.routes != old.upstreams.routes:  # routes number the groups in its keys
            self._cache = AnswerCache(settings.cache)
        self._resolution = self._know(settings)
        self._pipeline.put_in_force(snapshot, settings, self._resolution)
        self._tell_age()

    def flush(self, key: str | None) -> int:
        """Forget upstream answers of one name (index key) or of all; how many."""
        return self._pipeline.flush(key)

    def clock_moved(self) -> None:
        """The test clock moved."""
        self._pipeline.clock_moved()
        self._tell_age()

    def count(self) -> None:
        """Bring the counters and gauges up to date."""
        self._pipeline.count()
        self._demand.count(self._clock.now())
        self._counters.forget(UPSTREAM_UP)
        self._counters.set(DEFAULT_UP, (), int(self._resolver.is_reachable(0)))
        for upstream in self._resolver.status():
            before = self._told.get(upstream.label)
            tally = upstream.tally
            if before is None or tally.sent < before.sent:
                before = type(tally)()
            self._told[upstream.label] = replace(tally, failures=dict(tally.failures), latency=list(tally.latency))
            labels = (upstream.label,)
            counted = [now - then for now, then in zip(tally.latency, before.latency, strict=True)]
            self._counters.add_observations(UPSTREAM_SECONDS, labels, counted, tally.seconds - before.seconds)
            self._counters.add(UPSTREAM_BLOCKS, labels, tally.blocks - before.blocks)
            for fault, number in tally.failures.items():
                self._counters.add(UPSTREAM_FAILURES, (upstream.label, fault.value), number - before.failures.get(fault, 0))
            self._counters.set(UPSTREAM_UP, labels, int(upstream.is_up))

    def host_name(self, address: bytes) -> str:
        """What the device at a packed address calls itself in its lease; empty when nothing says."""
        return self._leases.name_of(address, self._loop.time())

    def mac_of(self, address: bytes) -> str | None:
        """The hardware address behind a packed address now, None when nobody knows."""
        return self._hardware.mac_of(address, self._loop.time())

    def asked(self, names: list[str]) -> Fields:
        """What is counted for registered names (`demand.told` makes of it what may be told)."""
        return self._demand.of(names)

    async def weigh(self) -> Fields:
        """How much the busiest clients asked since the last time, up to now."""
        rounds = 2  # the one that is under way, and one that begins now
        while rounds:
            rounds -= not self._pipeline.sweep(self._loop.time())
            await asyncio.sleep(0)  # queries go on between slices
        return {"clients": self._weights.take()}

    def report(self) -> Fields:
        """Health of the upstreams, for the status document; times in milliseconds."""
        return {
            "upstreams": [
                {
                    "upstream": upstream.label,
                    "up": upstream.is_up,
                    "rtt": round(upstream.latency * 1000, 1),
                    "asked": upstream.tally.sent,
                    "answered": upstream.tally.answers,
                    "failed": sum(upstream.tally.failures.values()),
                    "fault": upstream.fault,
                    "detail": upstream.detail,
                    "default": upstream.is_default,
                }
                for upstream in self._resolver.status()
            ],
            "ourselves": sorted(map(str, self._ourselves)),
        }

    async def drain(self, seconds: float) -> None:
        """Read what is queued, then nothing more; answer what is under way, at most this long; close everything."""
        deadline = self._loop.time() + seconds
        await asyncio.sleep(min(QUEUE_SECONDS, seconds))
        for listener in self._listeners:
            listener.stop()
        while self._loop.time() < deadline and not all(listener.is_idle for listener in self._listeners):  # noqa: ASYNC110 - they have no event
            await asyncio.sleep(LOOK_SECONDS)
        for listener in self._listeners:
            listener.close()
        if self._search is not None:
            self._search.cancel()
        self._neighbours.close()
        self._leases.close()
        self._pipeline.close()
        self._notices.close()
        self._resolver.close()

    def _listener(self, each: Listening) -> Listener | None:
        local = _packed_host(each)
        front_ends = self._front_ends
        if each.kind == "udp":
            scope = self._pipeline.open_scope(str(each.endpoint), Transport.UDP, local)
            if front_ends is not None:
                behind = ProxiedBatchListener if has_batches() else ProxiedDatagramListener
                return behind(front_ends, each.socket, scope, self._pipeline, self._counters, self._loop)
            kind = BatchListener if has_batches() else DatagramListener
            return kind(each.socket, scope, self._pipeline, self._counters, self._loop)
        if each.kind == "tcp":
            scope = self._pipeline.open_scope(str(each.endpoint), Transport.TCP, local)
            stream = StreamListener if front_ends is None else ProxiedStreamListener
            return self._trusting(stream(each.socket, scope, self._pipeline, self._counters, self._settings.limits, self._loop))
        if each.kind in ("dot", "doh") and self._settings.tls is not None:
            return self._trusting(self._encrypted(each, local, self._settings.tls))
        return None

    def _relay(self, listening: list[Listening]) -> list[Listener]:
        """What takes the queries of the QUIC process: one socket for all its listeners."""
        scopes = []
        for each in listening:
            local = _packed_host(each)
            scopes.append(self._pipeline.open_scope(str(each.endpoint), Transport.DOQ, local))
            self._offers.append(Offer("doq", local or bytes(16 if ":" in each.endpoint.host else 4), each.endpoint.port))
        return [RelayListener(listening[0].socket, scopes, self._pipeline, self._counters, self._loop)] if listening else []

    def _trusting(self, listener: StreamListener) -> StreamListener:
        """The listener, told of the front ends if there are any."""
        if isinstance(listener, ProxiedStreamListener) and self._front_ends is not None:
            listener.trust(self._front_ends)
        return listener

    def _encrypted(self, each: Listening, local: bytes | None, tls: TlsSettings) -> StreamListener:
        """A DoT or DoH listener with a context of its own, whose certificate is looked at again and again."""
        transport = Transport(each.kind)
        scope = self._pipeline.open_scope(str(each.endpoint), transport, local)
        here = local or bytes(4 if each.socket.family == socket.AF_INET else 16)
        self._offers.append(Offer("dot" if transport is Transport.DOT else "doh", here, each.endpoint.port))
        server = ServerContext(tls, DOT_PROTOCOLS if transport is Transport.DOT else DOH_PROTOCOLS, may_wait=True)
        if server.fault:
            log.error("no certificate for new handshakes", extra={"event": "tls.broken", "reason": server.fault})
        self._certificates.append(server)
        front, counters, limits, loop = self._pipeline, self._counters, self._settings.limits, self._loop
        is_behind = self._front_ends is not None
        if transport is Transport.DOT:
            stream = ProxiedStreamListener if is_behind else StreamListener
            return stream(each.socket, scope, front, counters, limits, loop, server.context, server.token_of)
        path = self._settings.doh.path if self._settings.doh is not None else "/dns-query"
        web = ProxiedDohListener if is_behind else DohListener
        return web(each.socket, scope, front, counters, limits, loop, server.context, server.token_of, path)

    def _look_at_certificates(self) -> None:
        """Take over certificates that were renewed; a broken one is told and the old one stays."""
        is_renewed = False
        for server in self._certificates:
            try:
                if server.reload_if_changed():
                    is_renewed = True
                    log.info("certificate renewed", extra={"event": "tls.renewed"})
            except StartError as error:
                log.error("certificate not usable, the old one stays", extra={"event": "tls.broken", "reason": str(error)})
        if is_renewed:
            self._designate()
        self._loop.call_later(CERTIFICATE_SECONDS, self._look_at_certificates)

    def _look_at_age(self) -> None:
        self._tell_age()
        self._loop.call_later(AGE_SECONDS, self._look_at_age)

    def _look_at_links(self) -> None:
        """Let the networks of the machine's own links ask, as they are now."""
        if self._settings.dns.link:
            self._pipeline.serve_link(own_networks())
            self._loop.call_later(LINK_SECONDS, self._look_at_links)

    def _tell_age(self) -> None:
        """Have blocks by order say how old the office's release is, once nobody vouches for it any more."""
        state = read_state(self._settings.state_dir)
        self._pipeline.tell_age(state.old_days(self._now()) if state is not None else 0)

    def _designate(self) -> None:
        """Tell the pipeline which encrypted listeners the certificate allows to be found."""
        tls = self._settings.tls
        if tls is None or tls.name is None or not self._offers:
            return
        try:
            covered = read_certificate(tls.certificate)
        except StartError as error:
            log.error("certificate not readable, discovery stays as it was", extra={"event": "tls.unread", "reason": str(error)})
            return
        path = self._settings.doh.path if self._settings.doh is not None else "/dns-query"
        self._pipeline.designate(Discovery(tls.name, covered, self._offers, path))

    def _begin_search(self) -> None:
        """Look for ourselves among the resolvers of the system, now and again after a while."""
        if self._search is not None:
            self._search.cancel()
        self._search = self._loop.create_task(self._look_for_ourselves()) if self._written.origin == "system" else None

    async def _look_for_ourselves(self) -> None:
        for delay in DELAYS:
            await asyncio.sleep(delay)
            found = await find_ourselves(self._written.servers, self._settings.dns.name, self._activity.proof)
            for server in found - self._ourselves:
                log.error("a resolver of the system is this gateway itself", extra={"event": "upstream.self", "server": str(server)})
            if found - self._ourselves:
                self._ourselves |= found
                self._take(self._snapshot, without(self._settings, self._ourselves))

    def _open_resolver(self, settings: GatewaySettings) -> Resolver:
        most = settings.limits.misses
        return Resolver(settings.upstreams, self._loop, in_flight=most, on_recovered=self._upstream_is_back, on_late=self._late)

    def _know(self, settings: GatewaySettings) -> Resolution:
        limit = settings.limits.misses_per_client
        return Resolution(self._cache, self._resolver, self._counters, self._loop, settings.rebinding_allow, limit)

    def _upstream_is_back(self) -> None:
        self._cache.forgive()

    def _late(self, key: Key, answer: Answer) -> None:
        self._resolution.late(key, answer)

    def _forget_client(self, address: bytes) -> None:
        self._pipeline.forget_client(address)


def _packed_host(each: Listening) -> bytes | None:
    """The packed address a socket listens on, None for a wildcard."""
    host = each.endpoint.host.partition("%")[0]
    return None if host in _WILDCARDS else socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
