"""The process of the control plane: pages, API, the explaining page, and the loops that put changes in force.

    serve(settings, sockets=()) -> exit status

`sockets` are listening sockets that the supervisor bound with its rights: the first for the pages, the second for the explaining
page; without them they are bound here. SIGTERM and SIGINT end it in order. Names keep resolving whatever happens here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

from admin.app import create_app, create_page_app, open_services
from admin.audit import keep_checkpoint
from admin.categoryfeed import CategoryFeed
from admin.dependencies import Services
from admin.digest import send_digests
from admin.edge.connections import MOST, LendingServer, LentConnection
from admin.ended import note_ended
from admin.history import forget_history
from admin.homelink import forget_ended
from admin.link import GatewayAway
from admin.office import find_office, open_office
from admin.officefeed import open_feed
from admin.officegateways import office_status
from admin.owncertificate import terminal_lines
from admin.requests import forget_old
from admin.schoolmoves import end_moves
from admin.settings import AdminSettings
from admin.setup import drop_token, ensure_token, public_url, setup_link
from admin.staff import end_enrolments
from admin.tenants import is_empty
from admin.totals import collect
from blocklists.tables import OrganisationId
from blocklists.takedown.cases import forget_notes
from gateway.clock import POLL_SECONDS, WallClock, is_synchronised
from gateway.errors import StartError
from gateway.officestatus import write_office
from gateway.settings import Endpoint, TlsSettings
from gateway.tls import FreshCertificate

log = logging.getLogger(__name__)

COLLECT_SECONDS = 60.0
#: How long after the start the templates are compiled, so that the first reader of a page does not wait for that.
WARM_AFTER_SECONDS = 3.0
STOP_SECONDS = 5
#: How often the loop says that it goes round.
BEAT_SECONDS = 1.0
#: How often the files of the certificate are looked at.
RENEW_SECONDS = 5.0
# malloc.h of the GNU C library
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def serve(settings: AdminSettings, sockets: Sequence[socket.socket] = (), beat: Callable[[], None] = lambda: None) -> int:
    """Run until told to stop; the exit status. `beat` is called about once a second, as long as the loop goes round. Raises StartError with
    the remedy."""
    give_memory_back()
    try:
        asyncio.run(_serve(settings, list(sockets), beat))
    except StartError as error:
        if not sockets:
            raise
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(settings: AdminSettings, sockets: list[socket.socket], beat: Callable[[], None]) -> None:
    clock = WallClock.from_environment(os.environ)
    services = await open_services(settings, clock.now)
    if not sockets:
        sockets = [bind(endpoint) for endpoint in (settings.listen, settings.block_page) if endpoint is not None]
    for one in sockets:
        send_at_once(one)
    apps: list[ASGIApp] = [create_app(services), create_page_app(services)]
    servers = [_Server(_config(app, settings, main=place == 0)) for place, app in enumerate(apps[: len(sockets)])]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with services_running(services, clock):
        running = [asyncio.create_task(server.serve([one]), name="server") for server, one in zip(servers, sockets, strict=False)]
        await _announce(services)
        beside = [asyncio.create_task(_beat(beat), name="beat")]
        if settings.tls is not None:
            beside.append(asyncio.create_task(_renew(settings.tls, servers[0].config), name="certificate"))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*running)
        for task in (stopping, *beside):
            task.cancel()


@contextlib.asynccontextmanager
async def services_running(services: Services, clock: WallClock) -> AsyncIterator[None]:
    """The loops beside the pages; when they end, the journal's end is kept and the database is closed."""
    loops = []
    if services.settings.rpz_out is not None:
        feed = services.office.duty.feed = await open_feed(services.settings.rpz_out, services.settings.state_dir)
        categories = CategoryFeed(feed.server, services.settings.rpz_out.offers, services.settings.state_dir, services.now)
        loops.append(asyncio.create_task(categories.run(), name="category zones"))
    loops += [
        asyncio.create_task(services.applier.run(), name="apply"),
        asyncio.create_task(_collect(services), name="collect"),
        asyncio.create_task(services.office.duty.run(), name="office"),
        asyncio.create_task(_warm(services), name="warm"),
        asyncio.create_task(services.homes.run(), name="homes"),
    ]
    if not clock.is_test:
        services.office.duty.is_clock_kept = is_synchronised
    else:
        loops.append(asyncio.create_task(_poll(clock), name="clock"))
    await services.office.finder.resume(services.now())
    try:
        yield
    finally:
        await services.office.finder.stop()
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        if services.office.duty.feed is not None:
            await services.office.duty.feed.stop()
        await note_ended(services.database, services.settings.state_dir)
        await keep_checkpoint(services.database, services.settings.state_dir)
        await services.database.close()


def give_memory_back() -> None:
    """Ask the C library to return large blocks to the system at once and to keep few pools: checking a password borrows 19 MiB for a
    moment, and without this a busy evening would keep it for good. Where the library knows nothing of it, nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, 128 * 1024), (_TRIM_THRESHOLD, 128 * 1024), (_ARENA_MAX, 2)):
            mallopt(option, value)


def bind(endpoint: Endpoint) -> socket.socket:
    """A listening socket. Raises StartError with the remedy."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((endpoint.host, endpoint.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StartError(f"admin: cannot listen on {endpoint} ({error.strerror}): choose another address or stop what uses it") from error
    listener.setblocking(False)
    return listener


def send_at_once(listener: socket.socket) -> None:
    """Send what there is to send, on every connection of a listener: asyncio does it only for sockets that were made as TCP by name, and
    otherwise the second half of each answer waits up to 40 ms for the reader's acknowledgement (RFC 896, RFC 1122 §4.2.3.2)."""
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Server(LendingServer):
    """Uvicorn without signal handlers of its own: the process has one place that stops."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # uvicorn's own signature
        yield


def _config(app: ASGIApp, settings: AdminSettings, *, main: bool) -> uvicorn.Config:
    tls = settings.tls if main else None
    return uvicorn.Config(
        app,
        loop="none",
        http=LentConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=STOP_SECONDS,
        limit_concurrency=MOST,
        h11_max_incomplete_event_size=32 * 1024,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
    )


async def _announce(services: Services) -> None:
    """Print the one-time link while nobody has an account; afterwards it is worth nothing."""
    settings = services.settings
    async with services.database.read() as connection:
        empty = await is_empty(connection)
    if not empty:
        drop_token(settings.state_dir)
        return
    link = setup_link(settings, ensure_token(settings.state_dir))
    sys.stdout.write(
        "\nCài đặt lần đầu: mở liên kết này trong trình duyệt (dùng được một lần).\n"
        f"First set-up: open this link in a browser (it works once).\n  {link}\n{terminal_lines(settings)}\n"
    )
    sys.stdout.flush()


async def _warm(services: Services) -> None:
    """Compile every template, one after the other, beside the pages that are asked for meanwhile."""
    await asyncio.sleep(WARM_AFTER_SECONDS)
    for template in services.pages.templates():
        await asyncio.to_thread(services.pages.warm, template)
        await asyncio.sleep(0.02)


async def _collect(services: Services) -> None:
    """Once a minute: fetch what was counted, and empty what people wrote long ago."""
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        try:
            now = services.now()
            with contextlib.suppress(GatewayAway):
                await collect(services.database, services.link, now)
            async with services.database.write() as connection:
                await forget_old(connection, now)
                if (tenant := await find_office(connection, now)) is not None:
                    await forget_notes(connection, await open_office(connection, tenant), now)
                await forget_history(connection, now)
                await forget_ended(connection, now)
                over = await end_enrolments(connection, now)
                over += await end_moves(connection, now, services.office.duty.is_clock_kept())
            for school in over:
                await services.applier.settle(school)
            if tenant is not None:
                await services.office.signing.settle(tenant, now)
                await _leave_numbers(services, tenant)
            await note_ended(services.database, services.settings.state_dir)
            await send_digests(services.database, services.post, services.link, services.pages, public_url(services.settings), now)
        except Exception:
            # Counting must never end the process; the next minute tries again.
            log.exception("collecting failed", extra={"event": "collect.failed"})


async def _leave_numbers(services: Services, tenant: OrganisationId) -> None:
    """How the office stands, for the metrics of the supervisor."""
    unsigned = await services.office.signing.is_behind(tenant)
    alarm = services.office.alarm.since is not None
    async with services.database.read() as connection:
        status = await office_status(connection, tenant, services.now(), unsigned=unsigned, alarm=alarm)
    await asyncio.to_thread(write_office, services.settings.state_dir, status)


async def _beat(beat: Callable[[], None]) -> None:
    while True:
        beat()
        await asyncio.sleep(BEAT_SECONDS)


async def _renew(tls: TlsSettings, config: uvicorn.Config) -> None:
    """Serve a renewed certificate without a restart; connections that are open go on, broken files leave the old one."""
    if not config.loaded:
        config.load()
    assert config.ssl is not None
    certificate = FreshCertificate(tls, config.ssl)
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            if certificate.reload_if_changed():
                log.info("new certificate for the pages", extra={"event": "tls.renewed"})
        except StartError as error:
            log.error("certificate of the pages not taken over", extra={"event": "tls.kept", "reason": str(error)})


async def _poll(clock: WallClock) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        clock.poll()
