"""The composition of the control plane: services, routes, and the layers at the edge, put together in one place.

`create_app` is for the running process and for tests alike; it opens nothing by itself. `open_services` opens the database (checked and
migrated) and makes everything the routes are given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.types import ASGIApp

from admin.apply import Applier
from admin.auth import Door
from admin.catalogue import Shelves
from admin.dependencies import Services
from admin.edge.arrival import Arrival
from admin.edge.faults import Faults, answer
from admin.edge.headers import Headers
from admin.edge.limits import BodyLimit, Crowd
from admin.edge.origin import OwnOrigin
from admin.ended import check_age, note_at_once
from admin.errors import AdminError
from admin.factors import Factors, load_key
from admin.foresight import Foresight
from admin.helplines import load_helplines
from admin.homes import Homes
from admin.keptbackups import clear_leftovers
from admin.link import GatewayLink
from admin.migrate import migrate
from admin.notices import Post
from admin.officedesk import make_desk
from admin.pages.assets import Assets
from admin.pages.render import Pages
from admin.passwords import Passwords
from admin.policyfile import Around
from admin.requests import Quota
from admin.routes import (
    account,
    backups,
    boxes,
    cards,
    check,
    child,
    choices,
    dates,
    devices,
    emergency,
    guide,
    history,
    home,
    homelink,
    hosting,
    joining,
    listoffice,
    networks,
    office,
    officeagencies,
    officeclocks,
    officefinding,
    officegateways,
    officeorders,
    officerollout,
    officesetup,
    officeshared,
    officesigning,
    onboarding,
    ownphone,
    passkeys,
    people,
    place,
    profiles,
    recovery,
    requests,
    rules,
    setup,
    shared,
    sign,
    staff,
    timetable,
    tokens,
    transfer,
    transparency,
)
from admin.routes.api import create_api
from admin.settings import AdminSettings
from admin.sharing import PinDoor
from admin.throttle import Throttle
from blocklists.database import Database, open_database
from gateway.links import own_networks


async def open_services(settings: AdminSettings, wall: Callable[[], float]) -> Services:
    """Open the database, bring it to the right schema, and make the services. Raises StartError with the remedy."""
    await asyncio.to_thread(clear_leftovers, settings.state_dir)
    database = await open_database(settings.database)
    now = datetime.fromtimestamp(wall(), UTC)
    await migrate(database, settings.state_dir)
    await check_age(database, settings.state_dir, now)
    return make_services(settings, database, wall, Pages(Assets()))


def make_services(settings: AdminSettings, database: Database, wall: Callable[[], float], pages: Pages) -> Services:
    """The services on an open database."""
    link = GatewayLink(settings.state_dir)
    passwords = Passwords()
    shelves = Shelves(settings.state_dir)

    def now() -> datetime:
        return datetime.fromtimestamp(wall(), UTC)

    note_at_once(database, settings.state_dir)
    applier = Applier(database, link, shelves, settings.state_dir, page_addresses(settings), now, around(settings))

    return Services(
        settings=settings,
        database=database,
        wall=wall,
        door=Door(database, passwords, Throttle(), Factors(load_key(settings.state_dir), time.time)),
        link=link,
        pages=pages,
        shelves=shelves,
        applier=applier,
        homes=Homes(database, link, applier, settings.gateway.dns.serves, now),
        foresight=Foresight(settings.state_dir),
        quota=Quota(),
        lookups=Quota(30, timedelta(minutes=10)),
        helplines=load_helplines(),
        office=make_desk(settings, database, link, now),
        post=Post(settings.mail),
        pins=PinDoor(passwords),
    )


def create_app(services: Services) -> ASGIApp:
    """The application for people with accounts, and the API."""
    return at_the_edge(create_site(services), services, own_hosts(services.settings))


def create_site(services: Services) -> FastAPI:
    """Its pages and the API, without the layers at the edge. Everything reads `state.services`, also of what is mounted at /api/v1."""
    app = FastAPI(title="Lá Chắn", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services
    app.state.is_behind_names = False
    for kind in (AdminError, Exception):
        app.add_exception_handler(kind, answer)
    for status in (404, 405):
        app.add_exception_handler(status, answer)
    for room in (sign, account, setup, check, home, profiles, rules, devices, requests, tokens, child, shared, backups, onboarding):
        app.include_router(room.router, include_in_schema=False)
    for room in (cards, boxes, guide, hosting, staff, timetable, joining, listoffice, history, dates, choices, place, transparency):
        app.include_router(room.router, include_in_schema=False)
    for room in (office, officeagencies, officeclocks, officefinding, officegateways):
        app.include_router(room.router, include_in_schema=False)
    for room in (emergency, officeorders, officerollout, officesetup, officeshared, officesigning):
        app.include_router(room.router, include_in_schema=False)
    for room in (networks, ownphone, passkeys, people, recovery):
        app.include_router(room.router, include_in_schema=False)
    app.include_router(transfer.router, include_in_schema=False)
    app.include_router(homelink.router, include_in_schema=False)
    app.add_route("/static/{name}", services.pages.assets.serve, ["GET", "HEAD"])
    app.mount("/api/v1", create_api(services))
    return app


def create_page_app(services: Services) -> ASGIApp:
    """The application behind every blocked name: the explaining pages, and nothing else. Any Host header is answered."""
    app = FastAPI(title="Lá Chắn", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services
    app.state.is_behind_names = True
    for kind in (AdminError, Exception):
        app.add_exception_handler(kind, answer)
    app.include_router(child.router, include_in_schema=False)
    app.include_router(ownphone.router, include_in_schema=False)
    app.add_route("/static/{name}", services.pages.assets.serve, ["GET", "HEAD"])
    app.add_route("/{path:path}", child.show_blocked, ["GET", "HEAD", "POST"])
    return at_the_edge(app, services, frozenset())


def at_the_edge(app: FastAPI, services: Services, hosts: frozenset[str]) -> ASGIApp:
    """An application behind the layers that every request passes, outermost first: headers, arrival, faults, crowd, limits, origin."""
    inner: ASGIApp = OwnOrigin(app)
    inner = Crowd(BodyLimit(inner))
    inner = Faults(inner, app)
    inner = Arrival(inner, services.settings.trusted_proxies, hosts)
    return Headers(inner)


def page_addresses(settings: AdminSettings) -> tuple[str, ...]:
    """Where blocked names lead to: the explaining page, when it is served on the port browsers use; nowhere otherwise."""
    if settings.gateway.block.page_address:
        return settings.gateway.block.page_address
    page = settings.block_page
    if page is None or page.port != 80 or ip_address(page.host).is_unspecified:
        return ()
    return (page.host,)


def around(settings: AdminSettings) -> Around:
    """What the settings file says of networks: who may ask, and which places it names itself."""
    gateway, dns = settings.gateway, settings.gateway.dns
    places = [site for site in gateway.policy.get("sites") or () if not site.get("listen")]
    taken = tuple(str(network) for site in places for network in site.get("networks") or ())
    link = tuple(map(str, own_networks())) if dns.link else ()
    return Around(tuple(map(str, dns.allow_from)), taken, tuple(dns.allowed_words), link)


def own_hosts(settings: AdminSettings) -> frozenset[str]:
    """The names this machine answers to; bare addresses are always its own."""
    names = {"localhost", settings.gateway.dns.name.lower()}
    if settings.url:
        names.add((urlsplit(settings.url).hostname or "").lower())
    for tls in (settings.tls, settings.gateway.tls):
        if tls is not None and tls.name:
            names.add(tls.name.lower())
    return frozenset(name for name in names if name)
