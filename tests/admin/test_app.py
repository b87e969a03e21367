"""The composition: every route names its permission, hosts are ours, blocked names lead where they can be answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount
from starlette.types import ASGIApp

from admin.app import create_page_app, make_services, open_services, own_hosts, page_addresses
from admin.dependencies import Services
from admin.migrate import SCHEMA_NUMBER, read_number
from admin.permissions import ROLES, Permission
from admin.settings import AdminSettings
from gateway.settings import BlockSettings, Endpoint, TlsSettings

#: Routes for people without an account, or before there is one. Everything else names a permission.
OPEN = {
    "/sign-in",
    "/sign-in/code",
    "/sign-in/passkey",
    "/language",
    "/setup",
    "/setup/{token}",
    "/why",
    "/ask",
    "/answer",
    "/answer/{code}",
    "/answer/{code}/here",
    "/adult",
    "/adult/back",
    "/lesson/{topic}",
    "/help",
    "/add",
    "/manifest.webmanifest",
    "/history",
    "/history/agree",
    "/history/end",
    "/own",
    "/own/look",
}
#: Rooms that are open on purpose: what everybody may read, and steps that a secret link or the set-up's own link opens.
OPEN_ROOMS = (
    "/staff-join/",
    "/guide",
    "/family/",
    "/new-pin",
    "/new-password",
    "/release/",
    "/transparency",
    "/phone/",
    "/home/",
    "/join",
    "/setup-office",
    "/report",
)


def routes_of(app: Any) -> Iterator[APIRoute]:
    """Every route of an application, through its layers, included routers and mounted applications."""
    while not hasattr(app, "routes"):
        app = app.app
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(route, Mount):
            yield from routes_of(route.app)
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


def permission_of(route: APIRoute) -> Permission | None:
    found = [getattr(dependency.call, "permission", None) for dependency in route.dependant.dependencies]
    return next((one for one in found if one is not None), None)


def test_every_route_names_its_permission(app: ASGIApp) -> None:
    """A page that forgot to ask who is there is found here."""
    unnamed = {route.path for route in routes_of(app) if permission_of(route) is None and not route.path.startswith(OPEN_ROOMS)}
    assert unnamed - OPEN == set(), sorted(unnamed)


def test_routes_that_change_take_no_get(app: ASGIApp) -> None:
    """Following a link changes nothing: a path that changes something answers POST only, and looking answers GET only."""
    for route in routes_of(app):
        assert not ({"GET"} & (route.methods or set()) and {"POST", "PUT", "PATCH", "DELETE"} & (route.methods or set())), route.path


def test_family_permissions_are_used(app: ASGIApp) -> None:
    """A permission that no route asks for protects nothing."""
    used = {permission_of(route) for route in routes_of(app)}
    source = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "admin").rglob("*.py"))
    asked = {one for one in Permission if f"require(Permission.{one.name})" in source or f"may(Permission.{one.name})" in source}
    from blocklists.tables import Role

    assert ROLES[Role.FIRST_PARENT] <= used | asked


def test_page_app_has_nothing_for_adults(services: Services) -> None:
    """Behind a blocked name there is no sign-in, no setting and no API."""
    paths = {route.path for route in routes_of(create_page_app(services))}
    assert not {path for path in paths if path.startswith(("/sign", "/setup", "/profiles", "/api", "/devices", "/requests", "/tokens"))}


@pytest.mark.parametrize(
    ("listen", "block", "expected"),
    [
        (None, (), ()),
        (Endpoint("192.168.1.2", 80), (), ("192.168.1.2",)),
        (Endpoint("192.168.1.2", 8081), (), ()),
        (Endpoint("0.0.0.0", 80), (), ()),
        (Endpoint("0.0.0.0", 80), ("192.168.1.2",), ("192.168.1.2",)),
    ],
)
def test_blocked_names_lead_to_the_page_only_where_it_answers(
    settings: AdminSettings, listen: Endpoint | None, block: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """A page on another port, or on no address of its own, is not where browsers would look."""
    gateway = replace(settings.gateway, block=BlockSettings(page_address=block))
    assert page_addresses(replace(settings, block_page=listen, gateway=gateway)) == expected


def test_own_hosts_are_the_names_of_this_machine(settings: AdminSettings) -> None:
    """Its own name, the name people use, the name in the certificate."""
    tls = TlsSettings(Path("c"), Path("k"), "dns.example.net")
    found = own_hosts(replace(settings, url="https://LaChan.example.vn:8443/x", tls=tls))
    assert found == {"localhost", "lachan.internal", "lachan.example.vn", "dns.example.net"}


async def test_open_services_makes_the_schema_by_itself(settings: AdminSettings, tmp_path: Path) -> None:
    """A first start on an empty folder is ready to be set up."""
    services = await open_services(replace(settings, database=f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}"), lambda: 0.0)
    async with services.database.read() as connection:
        assert (await read_number(connection)).number == SCHEMA_NUMBER
    await services.database.close()


def test_make_services_gives_one_clock_to_all(services: Services, clock: Any) -> None:
    """Sessions, acts and the journal follow one clock."""
    assert services.now() == services.applier.now() == clock.at
    assert make_services(services.settings, services.database, clock, services.pages).now() == clock.at
