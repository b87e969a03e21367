"""The line to the running gateway: what the control plane asks over the control socket, with typed answers.

The gateway may be away (restarting, another machine, dead): every call then raises `GatewayAway`, pages say so honestly, and stored changes
are applied later (`admin.apply`). Nothing here is kept: devices, recent blocks and probes live in the workers' memory only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from admin.errors import AdminError
from gateway.control import ask
from gateway.errors import ControlError

QUICK = 3.0
APPLY = 60.0
#: So long after it was last seen a client may still be one of those at its address.
SHARED_FOR = timedelta(minutes=10)
_LOCAL = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fe80::/10", "fc00::/7", "::1/128")))
_AWAY = frozenset({"not_running", "not_ready", "not_allowed", "timeout", "busy"})


class GatewayAway(AdminError):
    """The gateway does not answer now. What was stored is applied when it does."""

    status = 503
    code = "gateway_away"


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """An address that asked this gateway lately. `client` and `tenant` are empty while nobody has named it."""

    address: str
    mac: str | None
    client: str | None
    tenant: str | None
    profile: str
    first_seen: datetime
    last_seen: datetime
    name: str = ""
    """What it calls itself, for the person who names it: shown, never stored."""
    is_behind: bool = False
    """Whether a forwarder at this address told of it: one of several devices there."""
    others: tuple[str, ...] = ()
    """Further addresses of the same device."""
    network: str = ""
    """The IPv6 network it stands for, where nothing but that is known to stay the same."""
    is_by_token: bool = False
    """Whether it is known by its private name, not by the address."""
    is_shown: bool = False
    """Whether its browser showed by its private name which device it is: what else is known of the address is not its own."""
    is_shared: bool = False
    """Whether the address may stand for several: then no client and no profile are told."""
    only: str | None = None
    """Of an address that may be shared: the one client that was seen there lately, for what also takes a PIN."""


@dataclass(frozen=True, slots=True)
class RecentBlock:
    """One block of one address in the last ten minutes."""

    at: datetime
    name: str
    category: str
    rule: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a check name reached the gateway, from where, and as whom."""

    seen: bool
    address: str = ""
    profile: str = ""
    client: str | None = None
    transport: str = ""
    generation: int = 0
    #: Which of its addresses were asked for here: A, AAAA.
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """At least how often the registered name above a name was asked for since when; `at_least` is None while that is not known.
    `elsewhere`: at least how often at other gateways of the office, within a day, told by `gateways` of them."""

    registered: str
    at_least: int | None = None
    since: datetime | None = None
    elsewhere: int | None = None
    gateways: int = 0


class GatewayLink:
    """Asks the gateway that runs with a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    async def status(self) -> Mapping[str, Any]:  # Any: the gateway's own status document
        """The status document of the supervisor."""
        return await self._ask({"do": "status"})

    async def apply(self, changes: Mapping[str, object]) -> int:
        """Put files in force; returns the generation after every worker switched. Raises ControlError when it was refused."""
        reply = await self._ask({"do": "apply", "changes": dict(changes)}, APPLY)
        return int(reply["generation"])

    async def forget(self, tenant: str) -> None:
        """Remove from the disk what older generations said about a tenant."""
        await self._ask({"do": "forget", "tenant": tenant}, APPLY)

    async def reload(self) -> None:
        """Have the gateway read its configuration again. Raises GatewayAway or ControlError; then everything stays."""
        await self._ask({"do": "reload"}, APPLY)

    async def devices(self, tenant: str | None = None) -> list[SeenDevice]:
        """The addresses of one tenant that asked lately, last seen first; without a tenant (before there is any) every address."""
        reply = await self._ask({"do": "devices", "tenant": tenant} if tenant else {"do": "devices"})
        return [device_from(row) for row in reply.get("devices", [])]

    async def find_device(self, address: str) -> SeenDevice | None:
        """What the gateway knows about the device at one address, also where it asked by another of its addresses."""
        reply = await self._ask({"do": "devices", "address": address})
        rows = [device_from(row) for row in reply.get("devices", [])]
        here = [row for row in rows if row.address == address]
        if may_be_several(here):
            tenants = {row.tenant for row in here}
            tenant = tenants.pop() if len(tenants) == 1 else None
            lately = clients_of(here)
            only = next(iter(lately)) if len(lately) == 1 else None
            return replace(here[0], mac=None, client=None, tenant=tenant, profile="", name="", is_shared=True, only=only)
        rows.sort(key=lambda row: (row.address != address, row.client is None))  # this very address, named; then the one seen last
        return replace(rows[0], address=address) if rows else None

    async def is_one_device(self, one: str, other: str) -> bool:
        """Whether the gateway knows two addresses as those of one device: the same hardware address, as with IPv4 and IPv6."""
        reply = await self._ask({"do": "devices", "address": one})
        return any(row["address"] == other for row in reply.get("devices", []))

    async def recent_blocks(self, address: str) -> list[RecentBlock]:
        """The blocks of one address in the last ten minutes, newest first."""
        reply = await self._ask({"do": "recent_blocks", "address": address})
        return [
            RecentBlock(_moment(row["at"]), str(row["name"]).rstrip("."), str(row.get("category") or ""), str(row.get("rule") or ""))
            for row in reply.get("blocks", [])
        ]

    async def activity(self, after: int) -> list[Mapping[str, Any]]:  # Any: JSON of the gateway's own form
        """What was counted since the batch `after`, which the gateway then forgets."""
        return list((await self._ask({"do": "activity", "after": after})).get("batches", []))

    async def homes(self) -> list[tuple[str, str, str, float]]:
        """Where tokens of homes were presented lately: tenant, client, address, and when (unix seconds)."""
        reply = await self._ask({"do": "homes"})
        return [(str(row[0]), str(row[1]), str(row[2]), float(row[3])) for row in reply.get("homes", [])]

    async def probe(self, nonce: str) -> Probe:
        """Whether the check name with this nonce was asked here."""
        reply = await self._ask({"do": "probe", "nonce": nonce})
        if not reply.get("seen"):
            return Probe(False)
        return Probe(
            True,
            str(reply.get("address") or ""),
            str(reply.get("profile") or ""),
            reply.get("client"),
            str(reply.get("transport") or ""),
            int(reply.get("generation") or 0),
            frozenset(map(str, reply.get("kinds") or ())),
        )

    async def asked(self, names: Sequence[str]) -> dict[str, Asked]:
        """At least how often each of these names was asked for, by five clients or more."""
        reply = await self._ask({"do": "asked", "names": list(names)})
        return {name: _asked(row) for name, row in reply["names"].items()}

    async def _ask(self, request: Mapping[str, object], seconds: float = QUICK) -> Mapping[str, Any]:
        try:
            return await ask(self.state_dir, request, seconds)
        except ControlError as error:
            if error.code in _AWAY:
                raise GatewayAway from error
            raise


def device_from(row: Mapping[str, Any]) -> SeenDevice:  # Any: a row of the gateway
    """A row of the gateway's `devices`."""
    return SeenDevice(
        address=str(row["address"]),
        mac=row.get("mac"),
        client=row.get("client"),
        tenant=row.get("tenant"),
        profile=str(row.get("profile") or ""),
        first_seen=_moment(row["first_seen"]),
        last_seen=_moment(row["last_seen"]),
        name=str(row.get("name") or ""),
        is_behind=bool(row.get("behind")),
        is_by_token=bool(row.get("by_token")),
    )


def may_be_several(here: Sequence[SeenDevice]) -> bool:
    """Whether a reader at this address may be another than the device that asked from it: several clients were seen there lately, or phones
    with private names behind a public IPv4 address, which a provider may share between homes."""
    if not here:
        return False
    is_public = ip_address(here[0].address).version == 4 and not is_local(here[0].address)
    return len(clients_of(here)) > 1 or (is_public and any(row.is_by_token for row in here))


def clients_of(here: Sequence[SeenDevice]) -> set[str | None]:
    """Who was seen at one address in its last ten minutes; None is a client that nobody named."""
    lately = max(row.last_seen for row in here) - SHARED_FOR
    clients = {row.client for row in here if row.last_seen >= lately}
    if len(clients) > 1 and is_local(here[0].address):
        clients.discard(None)  # one device of the local network, before or beside its private name
    return clients


def is_local(text: str) -> bool:
    """Whether an address is of a local network, or this machine's own."""
    address = ip_address(text)
    return any(address in network for network in _LOCAL)


def _asked(row: Mapping[str, Any]) -> Asked:
    told = row["asked"]
    if told is None:
        return Asked(str(row["registered"]))
    return Asked(str(row["registered"]), int(told["at_least"]), _moment(told["since"]))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
