"""The live check: "protected" is said only after a fresh random name, asked by this very browser, has reached the gateway from this device.

The page holds a picture whose address is the check name; to load it the browser must ask for the name. The page then asks the gateway
whether the name arrived, and reloads itself until it did or until it is time to say what may be in the way. No script is needed.
Several names are asked: when only some of them arrive, or some for their IPv4 address and others for the IPv6 one, the router hands out a
second resolver, perhaps one for IPv6, and "protected" would not be true.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from admin.dependencies import Visit, address_of, need
from admin.devices import list_devices
from admin.edge.headers import allow_pictures_of
from admin.errors import NotFound
from admin.link import GatewayAway, Probe
from admin.ownphone import PRIVATE
from admin.permissions import Permission
from admin.profiles import list_profiles
from admin.recovery import sheet_made_at
from admin.routes.onboarding import TRANSPORTS
from admin.routes.setup import gateway_addresses
from admin.values import ProfileId
from blocklists.tables import OrganisationKind

router = APIRouter()

#: Reloads, about two seconds apart, before the page says what may be in the way.
PATIENCE = 5
#: Further names of one check, to notice a second resolver, and the reload after which those that are missing went elsewhere.
FURTHER, SETTLED = 3, 2


@router.get("/check")
async def begin(visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))]) -> Response:
    """A fresh name for this session."""
    fresh = secrets.token_hex(6)
    return visit.go(f"/check/{fresh}{_seal(visit, fresh)}")


@router.get("/check/{nonce}")
async def look(request: Request, nonce: str, visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))], n: int = 0) -> Response:
    """Whether the name of this session has reached the gateway, and as whom."""
    if len(nonce) != 24 or not hmac.compare_digest(nonce[12:], _seal(visit, nonce[:12])):
        raise NotFound
    name = visit.services.settings.gateway.dns.name
    try:
        probes = [await visit.services.link.probe(one) for one in names_of(nonce)]
        probe, away = next((one for one in probes if one.seen), probes[0]), False
        by_another = probe.seen and not await _is_from_here(visit, probe, request)
        order_serial = int((await visit.services.link.status()).get("order_serial") or 0) if probe.seen else 0
    except GatewayAway:
        probes, away, order_serial, by_another = [], True, 0, False
        probe = Probe(False)
    async with visit.services.database.read() as connection:
        profiles = {profile.id: profile for profile in await list_profiles(connection, visit.tenant_id)}
        devices = {device.id: device for device in await list_devices(connection, visit.tenant_id)}
        made_at = await sheet_made_at(connection, visit.signed_in.actor.account_id)
    tries = max(0, min(n, PATIENCE))
    came = count_whole(probes)
    if came < len(probes) and tries < SETTLED:
        probe = Probe(False)  # the others may still be on their way
    context = {
        "nonce": nonce,
        "probe": probe,
        "away": away,
        "tries": tries,
        "gives_up": tries >= PATIENCE,
        "check_names": [f"check-{one}.{name}" for one in names_of(nonce)],
        "came": came,
        "asked": len(probes),
        "order_serial": order_serial,
        "test_name": f"serial.orders.{name}",
        "is_partly": probe.seen and came < len(probes),
        "profile": profiles.get(ProfileId(probe.profile)) if probe.seen else None,
        "is_named": probe.client in devices,
        "transport": TRANSPORTS.get(probe.transport, ""),
        "by_another": probe.seen and by_another,
        "gateway_addresses": gateway_addresses(visit.services, request),
        "here": address_of(request),
        "is_school": visit.tenant.kind is OrganisationKind.SCHOOL,
        "offers_sheet": made_at is None and visit.may(Permission.SHEET_MAKE),
    }
    page = visit.page("setup/check.html", context)
    page.headers["Content-Security-Policy"] = allow_pictures_of(name)
    return page


async def _is_from_here(visit: Visit, probe: Probe, request: Request) -> bool:
    """Whether the name came from the device that holds this page: its address, another address of it, its own private name, which holds
    wherever it is, or the gateway's own machine, which reaches itself by several addresses."""
    here = address_of(request)
    if probe.address == here or (probe.client is not None and probe.transport in PRIVATE):
        return True
    served = (request.scope.get("server") or ("",))[0]
    if all(one == served or ip_address(one).is_loopback for one in (here, probe.address)):
        return True
    return await visit.services.link.is_one_device(here, probe.address)


def names_of(nonce: str) -> list[str]:
    """The nonces of one check."""
    return [nonce, *(f"{nonce}{number}" for number in range(1, FURTHER + 1))]


def count_whole(probes: Sequence[Probe]) -> int:
    """How many of the names of one check came wholly. A browser asks for several things about a name, and with a second resolver some may
    go elsewhere: so each must have come for an address, and for every kind of address that any of them came for."""
    kinds = frozenset[str]().union(*(one.kinds for one in probes))
    return sum(one.seen and bool(kinds) and one.kinds == kinds for one in probes)


def _seal(visit: Visit, fresh: str) -> str:
    """Ties a name to the session that asked for it: nobody can look up another browser's check."""
    return hmac.new(visit.signed_in.form_key, f"check {fresh}".encode(), sha256).hexdigest()[:12]
