"""The networks of a school's places: what is written, what follows from its classes, and what the gateway does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.dependencies import Visit, need
from admin.devices import read_match
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.permissions import Permission
from admin.policyfile import TenantRows, networks_of, read_rows
from admin.profiles import change_site
from admin.routes.home import waiting_of
from admin.tenants import mark_changed
from admin.unserved import is_inside, look_at
from admin.values import DeviceMatch
from blocklists.tables import OrganisationKind

router = APIRouter()

MOST_NETWORKS = 100

Reader = Annotated[Visit, Depends(need(Permission.DEVICE_READ))]
Owner = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]


@router.get("/networks")
async def show(visit: Reader, stored: bool = False) -> Response:
    """Every place with its networks."""
    return await _page(visit, stored=stored)


@router.post("/networks")
async def change(visit: Owner) -> Response:
    """Other networks for one place. Who is there without a name has the school's rules, so this asks for the password."""
    typed, wanted = visit.form.raw("networks")[:4000], visit.form.raw("site")
    try:
        async with visit.services.database.write() as connection:
            rows = await _rows(visit, connection)
            site = next((one for one in rows.sites if one.id == wanted), None)
            if site is None:
                raise NotFound
            own = tuple(network for one in rows.sites if one.id != site.id for network in one.networks)
            networks = read_networks(typed, (*rows.others, *rows.around.taken), own)
            await change_site(connection, visit.act, site, site.name, networks)
            await mark_changed(connection, visit.act)
    except InvalidInput as error:
        return await _page(visit, mistakes=error.mistakes, typed={wanted: typed})
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/networks?stored=1")


def read_networks(text: str, elsewhere: tuple[str, ...], own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """One network a line; raises InvalidInput for what is none, stands twice, lies in somebody else's place or is that of another of one's
    own (a part of one is this place's: the narrower one holds)."""
    lines = [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]
    found = [read_match(line) for line in lines]
    if not lines:
        raise InvalidInput(FieldMistake("networks", "required"))
    if len(lines) > MOST_NETWORKS:
        raise InvalidInput(FieldMistake("networks", "too_many"))
    networks = tuple(one.value for one in found if one is not None and one.kind is not DeviceMatch.MAC)
    if len(networks) < len(lines):
        raise InvalidInput(FieldMistake("networks", "network_form"))
    if len(set(networks)) < len(networks):
        raise InvalidInput(FieldMistake("networks", "network_taken"))
    if any(is_inside(one, elsewhere) or one in own for one in networks):
        raise InvalidInput(FieldMistake("networks", "network_elsewhere"))
    return networks


async def _rows(visit: Visit, connection: AsyncConnection) -> TenantRows:
    if visit.tenant.kind is not OrganisationKind.SCHOOL:
        raise NotFound
    return replace(await read_rows(connection, visit.tenant_id, visit.now), around=visit.services.applier.around)


async def _page(
    visit: Visit, stored: bool = False, mistakes: tuple[FieldMistake, ...] = (), typed: Mapping[str, str] = MappingProxyType({})
) -> Response:
    async with visit.services.database.read() as connection:
        rows = await _rows(visit, connection)
        enforcement = await read_enforcement(connection, visit.tenant_id)
    written = [network for site in rows.sites for network in site.networks]
    context: dict[str, Any] = {
        "sites": [
            (site, typed.get(site.id, "\n".join(site.networks)), networks_of(site, rows), mistakes if site.id in typed else ())
            for site in rows.sites
        ],
        "served": (*rows.around.served, *rows.around.link),
        "unserved": look_at(rows, rows.around, more=written),
        "enforcement": enforcement,
        "stored": stored,
        "may_change": visit.may(Permission.PROFILE_LOOSEN),
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/networks.html", context, 422 if mistakes else 200)
