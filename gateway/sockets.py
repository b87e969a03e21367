"""Opening the listening sockets: who may, with which options, and what to say when it does not work.

Each worker has its own UDP and TCP socket for each endpoint (SO_REUSEPORT: the kernel spreads clients over them), all opened here,
before any worker starts, and kept by the supervisor: a worker that dies leaves its queue in the kernel and the next one reads on.
A socket passed by systemd is shared by all workers instead; those of a gateway whose place we take are handed out to ours. What a patient
start could not open is `missing`, and `open_missing` tries it again. Imported by the supervisor; workers get the finished sockets.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.errors import StartError
from gateway.holders import Protocol, holder_of
from gateway.settings import Endpoint, GatewaySettings

Kind = Literal["udp", "tcp", "dot", "doh", "doq"]

RECEIVE_BYTES = 4 * 1024 * 1024
ENOUGH_BYTES = 1024 * 1024
BACKLOG = 1024
_SO_RCVBUFFORCE = 33
_TRIES = 20
RELAY_NAME = "doq.sock"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """One open socket and what it is for. `endpoint` has the real port."""

    kind: Kind
    endpoint: Endpoint
    socket: socket.socket

    @property
    def is_datagram(self) -> bool:
        """UDP or DoQ."""
        return self.kind in ("udp", "doq")


@dataclass(slots=True)
class ListeningSockets:
    """Every socket of the gateway. `workers[i]` are the ones only worker i reads; `shared` are read by all of them (one was passed);
    `quic` belong to the process that terminates QUIC; its queries reach the workers over the Unix socket `relay`."""

    workers: list[list[Listening]]
    shared: list[Listening] = field(default_factory=list)
    quic: list[Listening] = field(default_factory=list)
    relay: socket.socket | None = None
    receive_bytes: int = 0
    missing: list[tuple[str, Endpoint, str]] = field(default_factory=list)
    """What could not be opened: the setting, where, and why."""

    def of(self, worker: int) -> list[Listening]:
        """What worker `worker` reads."""
        relay = self.relay
        relayed = [Listening("doq", each.endpoint, relay) for each in self.quic] if relay is not None else []
        return [*self.workers[worker], *self.shared, *relayed]

    def all(self) -> list[Listening]:
        """Every open socket."""
        return [*(each for worker in self.workers for each in worker), *self.shared, *self.quic]

    def endpoints(self) -> list[tuple[Kind, Endpoint]]:
        """What is listened on, each endpoint once."""
        return list(dict.fromkeys((each.kind, each.endpoint) for each in self.all()))

    def close(self) -> None:
        """Close every socket (this process only)."""
        for each in self.all():
            each.socket.close()
        if self.relay is not None:
            self.relay.close()


def open_sockets(
    settings: GatewaySettings, workers: int, passed: Sequence[socket.socket] = (), *, may_close: bool = True, is_patient: bool = False
) -> ListeningSockets:
    """Open every endpoint of the settings; raises StartError with one sentence that names the remedy. Passed sockets that nothing wants are
    closed, or without `may_close` are a reason not to start: somebody is answered there. With `is_patient` one endpoint of `dns.listen` is
    enough to start with."""
    opened = ListeningSockets([[] for _ in range(workers)])
    remaining = list(passed)
    skipped: list[str] = []
    try:
        for endpoint in settings.dns.listen:
            if not _family_works(endpoint):
                skipped.append(str(endpoint))
                continue
            _open_or_miss(opened, "dns", endpoint, remaining, is_patient)
        if opened.missing and not opened.all():
            raise StartError(opened.missing[0][2])
        for kind, section in (("dot", settings.dot), ("doh", settings.doh), ("doq", settings.doq)):
            for endpoint in section.listen if section is not None else ():
                _open_or_miss(opened, kind, endpoint, remaining, is_patient)
        if settings.doq is not None and settings.doq.listen:
            opened.relay = _take_relay(remaining) or _open_relay(settings.state_dir / RELAY_NAME)
        if not opened.all():
            raise StartError(f"dns.listen: no address of {', '.join(skipped)} exists on this machine: choose one that does")
        given = {Endpoint(*stray.getsockname()[:2]) for stray in remaining if stray.family != socket.AF_UNIX}
        unanswered = given - {each.endpoint for each in opened.all()}
        if unanswered and not may_close:
            places = ", ".join(sorted(map(str, unanswered)))
            raise StartError(f"the gateway that runs answers at {places}, this one would not: start it like that one (--lan) or end it")
    except BaseException:
        opened.close()
        raise
    for text in skipped:
        log.warning("address skipped", extra={"event": "listen.skipped", "endpoint": text, "reason": "this machine has no IPv6"})
    for stray in remaining:
        log.warning("passed socket not used", extra={"event": "listen.stray", "endpoint": str(stray.getsockname())})
        stray.close()
    opened.receive_bytes = _size_buffers(opened)
    return opened


def open_missing(opened: ListeningSockets, setting: str, endpoint: Endpoint) -> None:
    """Open an endpoint that was missing, for workers that are started from now on. Raises StartError."""
    before = opened.all()
    _open(opened, setting.removesuffix(".listen"), endpoint, [])
    _size_buffers(ListeningSockets([[each for each in opened.all() if each not in before]]))


def _open_or_miss(opened: ListeningSockets, kind: str, endpoint: Endpoint, passed: list[socket.socket], is_patient: bool) -> None:
    try:
        _open(opened, kind, endpoint, passed)
    except StartError as error:
        if not is_patient:
            raise
        opened.missing.append((f"{kind}.listen", endpoint, str(error)))


def _open(opened: ListeningSockets, kind: str, endpoint: Endpoint, passed: list[socket.socket]) -> None:
    """One endpoint of the section `kind`, whole or not at all."""
    if kind == "dns":
        _open_pair(opened, endpoint, passed)
    elif kind == "doq":
        quic = take(passed, socket.SOCK_DGRAM, endpoint) or bind(endpoint, socket.SOCK_DGRAM, "doq.listen", share=False)
        opened.quic.append(Listening("doq", _real(endpoint, quic), quic))
    else:
        _open_streams(opened, kind, endpoint, passed)  # type: ignore[arg-type]


def bind(endpoint: Endpoint, kind: socket.SocketKind, setting: str, *, share: bool) -> socket.socket:
    """A bound socket (listening if it is a stream), non-blocking; `share` lets more sockets of this user join the port.

    `setting` is the key a person would change; raises StartError.
    """
    protocol: Protocol = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    try:
        family, address = _resolve(endpoint)
        if endpoint.port:
            _refuse_company(family, kind, address)
        opened = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise _start_error(error, endpoint, protocol, setting) from None
    try:
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise _start_error(error, endpoint, protocol, setting) from None
    return opened


def _open_relay(path: Path) -> socket.socket:
    """The Unix socket between the QUIC process and the workers, for this user only."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            opened.bind(str(path))
        finally:
            os.umask(mask)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise StartError(f"state_dir: cannot open {path}: {error.strerror or error}: choose a shorter path that can be written") from None
    return opened


def _open_pair(opened: ListeningSockets, endpoint: Endpoint, passed: list[socket.socket]) -> None:
    """UDP and TCP on the same port."""
    has_udp, has_tcp = _hand_out(opened, "udp", endpoint, passed), _hand_out(opened, "tcp", endpoint, passed)
    if has_udp and has_tcp:
        return
    for attempt in range(_TRIES):
        first_udp = None if has_udp else bind(endpoint, socket.SOCK_DGRAM, "dns.listen", share=True)
        real = endpoint if first_udp is None else _real(endpoint, first_udp)
        try:
            first_tcp = None if has_tcp else bind(real, socket.SOCK_STREAM, "dns.listen", share=True)
        except StartError:
            if first_udp is not None:
                first_udp.close()
            if endpoint.port or attempt == _TRIES - 1:
                raise
            continue
        break
    for kind, first in (("udp", first_udp), ("tcp", first_tcp)):
        if first is not None:
            _spread(opened, kind, real, first)  # type: ignore[arg-type]


def _open_streams(opened: ListeningSockets, kind: Kind, endpoint: Endpoint, passed: list[socket.socket]) -> None:
    if _hand_out(opened, kind, endpoint, passed):
        return
    first = bind(endpoint, socket.SOCK_STREAM, f"{kind}.listen", share=True)
    _spread(opened, kind, _real(endpoint, first), first)


def _hand_out(opened: ListeningSockets, kind: Kind, endpoint: Endpoint, passed: list[socket.socket]) -> bool:
    """Give the workers the passed sockets of this endpoint: one each when they suffice, else all to all; False when there is none."""
    sockets = []
    while (one := take(passed, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM, endpoint)) is not None:
        sockets.append(Listening(kind, endpoint, one))
    if len(sockets) < len(opened.workers):
        opened.shared.extend(sockets)
    else:
        for number, each in enumerate(sockets):
            opened.workers[number % len(opened.workers)].append(each)
    return bool(sockets)


def _spread(opened: ListeningSockets, kind: Kind, endpoint: Endpoint, first: socket.socket) -> None:
    """One socket a worker on the port that `first` holds."""
    for number, worker in enumerate(opened.workers):
        worker.append(Listening(kind, endpoint, first if number == 0 else _join(first)))


def _join(first: socket.socket) -> socket.socket:
    another = socket.socket(first.family, first.type | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if first.type == socket.SOCK_STREAM:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if first.family == socket.AF_INET6:
        another.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    another.bind(first.getsockname())
    if first.type == socket.SOCK_STREAM:
        another.listen(BACKLOG)
    return another


def _refuse_company(family: int, kind: int, address: tuple[object, ...]) -> None:
    """SO_REUSEPORT would silently share a port with another gateway of this user: try alone first. Raises OSError."""
    with socket.socket(family, kind) as alone:
        if kind == socket.SOCK_STREAM:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            alone.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        alone.bind(address)
        if kind == socket.SOCK_STREAM:
            alone.listen(1)


def take(passed: list[socket.socket], kind: int, endpoint: Endpoint) -> socket.socket | None:
    """Take the first passed socket of this kind at this endpoint out of `passed`."""
    for each in passed:
        if each.type != kind or each.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        name = each.getsockname()
        with contextlib.suppress(OSError):
            if _resolve(endpoint)[1][:2] == name[:2]:
                passed.remove(each)
                each.setblocking(False)
                return each
    return None


def _take_relay(passed: list[socket.socket]) -> socket.socket | None:
    for each in passed:
        if each.family == socket.AF_UNIX:
            passed.remove(each)
            each.setblocking(False)
            return each
    return None


def _real(endpoint: Endpoint, opened: socket.socket) -> Endpoint:
    return Endpoint(endpoint.host, opened.getsockname()[1])


def _resolve(endpoint: Endpoint) -> tuple[int, tuple[object, ...]]:
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    family, _, _, _, address = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM, flags=flags)[0]
    return family, address


def _family_works(endpoint: Endpoint) -> bool:
    """False for an IPv6 address on a machine without IPv6: nobody could ask there, so it is left out rather than fatal."""
    if ":" not in endpoint.host:
        return True
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        return error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return True


def _size_buffers(opened: ListeningSockets) -> int:
    """Ask for large receive buffers; the smallest one granted, in bytes. Says so when the system grants too little."""
    smallest = RECEIVE_BYTES
    for each in opened.all():
        if not each.is_datagram:
            continue
        try:
            if sys.platform != "linux":
                raise OSError
            each.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        granted = each.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        smallest = min(smallest, granted // 2 if sys.platform == "linux" else granted)  # Linux doubles it for its own bookkeeping
    if smallest < ENOUGH_BYTES:
        log.warning(
            "small receive buffers: bursts will be lost",
            extra={"event": "listen.buffer", "bytes": smallest, "remedy": f"sysctl -w net.core.rmem_max={RECEIVE_BYTES}"},
        )
    return smallest


def _start_error(error: OSError, endpoint: Endpoint, protocol: Protocol, setting: str) -> StartError:
    where = f"{endpoint} ({protocol.upper()})"
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(protocol, endpoint.port, endpoint.host)
        if holder is None:
            who = f"sudo ss -lnp{protocol[0]} 'sport = :{endpoint.port}'"
            return StartError(f"{setting}: {where} is taken by another program: find it with `{who}` and stop it, or choose another port")
        return StartError(f"{setting}: {where} is taken by {holder.program} (pid {holder.pid}): {holder.remedy}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(
            f"{setting}: this user may not listen on {where}: start with sudo and set dns.user, "
            "give the service CAP_NET_BIND_SERVICE, or choose a port above 1023"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(
            f"{setting}: this machine has no address {endpoint.host}: see its addresses with `ip address`, or use 0.0.0.0 or ::"
        )
    if isinstance(error, socket.gaierror):
        return StartError(f"{setting}: {endpoint.host!r} is not an IP address of this machine: write one, for example 127.0.0.1")
    return StartError(f"{setting}: cannot listen on {where}: {error.strerror or error}: choose another address or port")
