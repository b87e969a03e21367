"""The networks of a school's places: what is written, what follows from its classes, and what the gateway does not answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
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
from admin.unserved import find_unserved, is_inside, written_networks
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
    rows = await _rows(visit)
    site = next((one for one in rows.sites if one.id == visit.form.raw("site")), None)
    if site is None:
        raise NotFound
    typed = visit.form.raw("networks")[:4000]
    try:
        networks = read_networks(typed, (*rows.others, *rows.around.taken))
    except InvalidInput as error:
        return await _page(visit, mistakes=error.mistakes, typed={site.id: typed})
    async with visit.services.database.write() as connection:
        await change_site(connection, visit.act, site, site.name, networks)
        await mark_changed(connection, visit.act)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/networks?stored=1")


def read_networks(text: str, elsewhere: tuple[str, ...]) -> tuple[str, ...]:
    """One network a line; raises InvalidInput for what is none, stands twice or lies in somebody else's place."""
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
    if any(is_inside(one, elsewhere) for one in networks):
        raise InvalidInput(FieldMistake("networks", "network_elsewhere"))
    return networks


async def _rows(visit: Visit) -> TenantRows:
    if visit.tenant.kind is not OrganisationKind.SCHOOL:
        raise NotFound
    async with visit.services.database.read() as connection:
        return replace(await read_rows(connection, visit.tenant_id, visit.now), around=visit.services.applier.around)


async def _page(
    visit: Visit, stored: bool = False, mistakes: tuple[FieldMistake, ...] = (), typed: dict[str, str] | None = None
) -> Response:
    rows = await _rows(visit)
    async with visit.services.database.read() as connection:
        enforcement = await read_enforcement(connection, visit.tenant_id)
    written = [network for site in rows.sites for network in site.networks]
    context: dict[str, Any] = {
        "sites": [(site, (typed or {}).get(site.id, "\n".join(site.networks)), networks_of(site, rows)) for site in rows.sites],
        "served": (*rows.around.served, *rows.around.link),
        "unserved": find_unserved([*written, *written_networks(rows.devices)], rows.around),
        "enforcement": enforcement,
        "stored": stored,
        "mistakes": mistakes,
        "may_change": visit.may(Permission.PROFILE_LOOSEN),
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/networks.html", context, 422 if mistakes else 200)
