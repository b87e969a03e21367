"""A phone that shows by its private name which device it is, where its address stands for many: a provider's, or a shared connection's.

Its browser is given a fresh name that nobody else knows, and a cookie without which the name is worth nothing. The phone asks its gateway
for that name over its own encrypted connection; what the gateway then knows (for five minutes, in memory) says whose phone this browser is.
Both must come from one address, so that a link on somebody else's page, opened by a child's phone, makes no other browser that phone.
Imported by the child's pages.
"""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.link import GatewayAway, GatewayLink, Probe, SeenDevice
from admin.tables import device_matches
from admin.values import DeviceMatch
from blocklists.tables import EVERY_TENANT

#: Transports by which a device says who it is.
PRIVATE: Final = frozenset({"dot", "doh", "doq"})
#: How long the cookie is good; the gateway forgets the name after as long.
SECONDS: Final = 300
_COOKIE: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{12})")


def new_cookie() -> str:
    """What the browser keeps: a secret, and what is fresh in the name."""
    return f"{secrets.token_hex(16)}.{secrets.token_hex(6)}"


def nonce_of(cookie: str | None) -> str | None:
    """The nonce of the name that belongs to a cookie; None for what is no cookie of ours."""
    found = _COOKIE.fullmatch(cookie or "")
    if found is None:
        return None
    secret, fresh = found.groups()
    return fresh + hmac.new(secret.encode(), f"own {fresh}".encode(), sha256).hexdigest()[:12]


async def look(link: GatewayLink, cookie: str | None, address: str) -> Probe:
    """Whether the name was asked for by a phone with a private name, from where the browser is; not seen otherwise."""
    nonce = nonce_of(cookie)
    if nonce is None:
        return Probe(False)
    try:
        probe = await link.probe(nonce)
    except GatewayAway:
        return Probe(False)
    is_own = probe.seen and probe.client is not None and probe.transport in PRIVATE and is_one_place(probe.address, address)
    return probe if is_own else Probe(False)


def is_one_place(one: str, other: str) -> bool:
    """Whether two addresses are the same, or of one IPv6 network of a home or a phone (/64)."""
    first, second = ip_address(one), ip_address(other)
    if isinstance(first, IPv6Address) and isinstance(second, IPv6Address):
        return second in ip_network((first, 64), strict=False)
    return first == second


async def device_of(connection: AsyncConnection, probe: Probe, address: str, now: datetime) -> SeenDevice | None:
    """The device that a probe stands for, as long as its private name lives; None for any other."""
    table = device_matches.c
    own = (table.device_id == probe.client, table.kind == DeviceMatch.TOKEN.value, table.retired_at.is_(None))
    statement = select(table.tenant_id).where(*own).execution_options(**EVERY_TENANT)  # the gateway told whose it is
    tenant = (await connection.execute(statement)).scalars().first()
    if tenant is None:
        return None
    return SeenDevice(address, None, probe.client, tenant, probe.profile, now, now, is_by_token=True, is_shown=True)
