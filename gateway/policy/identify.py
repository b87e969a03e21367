"""Who a client is: by token, MAC, exact address or longest subnet, and where it is: by the address it asked or its network.

A token is what the client itself presents, so it comes first and holds from anywhere; then the MAC (which follows the device), then the
address. Addresses are scoped by place: where the place is known, only its own tenant and the operator may claim an address in it, so that
two schools with the same private subnet are told apart by the listener, and no family can claim a school's device. A home on
the internet that says by its token which public address it has now is asked for last, for addresses that mean nobody else. Two equally good
claims of different tenants name nobody: the client is unknown and gets the strictest band of the place (design §8).

Only this package imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from gateway.policy.index import AddressTriggers
from gateway.policy.model import Lent, Match
from gateway.policy.tenant import Client, Network, Site, TenantPolicy

_KIND_RANK: Final = {"operator": 0, "school": 1, "family": 2}


@dataclass(frozen=True, slots=True)
class _Claim:
    """One tenant's word that an address, MAC, token or listener means this client or this site."""

    tenant: TenantPolicy
    client: Client | None
    site: Site | None


_Claims = dict[object, tuple[_Claim, ...]]


class Directory:
    """Every claim of every tenant. Immutable; `replaced` makes the next one and copies only what changes."""

    __slots__ = ("_claims", "_default", "_lengths", "_operators")

    def __init__(self, tenants: Iterable[TenantPolicy] = ()) -> None:
        self._claims: dict[str, _Claims] = {}
        self._lengths: dict[int, tuple[int, ...]] = {}
        self._operators: dict[str, TenantPolicy] = {}
        self._default: TenantPolicy | None = None
        self._change((), tuple(tenants))

    def replaced(self, gone: Iterable[TenantPolicy], come: Iterable[TenantPolicy]) -> Directory:
        """The directory without the claims of `gone` (policies it holds) and with those of `come`."""
        other = Directory()
        other._claims = dict(self._claims)
        other._operators = dict(self._operators)
        other._change(tuple(gone), tuple(come))
        return other

    def identify(self, address: bytes, local: bytes | None, mac: str | None, token: str | None, triggers: AddressTriggers) -> Match:
        """Who asks from `address` (packed) at `local`, and where that is."""
        place = self._place(address, local)
        claim, by = self._client(address, place, mac, token)
        zones = triggers.of_client(address) if triggers else ()
        if claim is not None and claim.client is not None:
            client = claim.client
            here = place
            if by != "token" and client.site is not None:
                here = claim
            return Match(
                client.id,
                client.profile,
                claim.tenant.tenant,
                here.site.id if here is not None and here.site is not None else None,
                True,
                here.tenant.tenant if here is not None else None,
                client.group,
                by,
                zones,
                client.lent,
                is_home=client.linked is not None,
            )
        tenant = place.tenant if place is not None else self._default
        return Match(
            None,
            tenant.default_profile if tenant is not None else None,
            tenant.tenant if tenant is not None else None,
            place.site.id if place is not None and place.site is not None else None,
            False,
            place.tenant.tenant if place is not None else None,
            None,
            "site" if place is not None else "default",
            zones,
        )

    def linked(self, address: bytes, now: float, triggers: AddressTriggers) -> Match | None:
        """The home that has this public address now, for an address that means nobody else: None where two say that it is theirs."""
        claim = _only(self._claims.get("linked", {}).get(_prefix(address, 32 if len(address) == 4 else 64), ()))
        if claim is None or claim.client is None:
            return None
        client = claim.client
        until = max((one.until for one in client.linked or () if _holds(one.network, address)), default=0.0)
        if until <= now:
            return None
        # A policy that ends with the link, as that of a lent device ends with the loan.
        lent = Lent(client.profile, until)
        if client.lent is not None and client.lent.until > now:
            lent = Lent(client.lent.profile, min(until, client.lent.until))
        site, owner = (claim.site.id, claim.tenant.tenant) if claim.site is not None else (None, None)
        zones = triggers.of_client(address) if triggers else ()
        return Match(client.id, client.profile, claim.tenant.tenant, site, True, owner, client.group, "linked", zones, lent)

    # finding

    def _place(self, address: bytes, local: bytes | None) -> _Claim | None:
        """The site where the client is: one that listens where it asked, else the one with the longest network around it."""
        if local is not None:
            listening = self._claims.get("listen", {}).get(local, ())
            inside = [claim for claim in listening if claim.site is not None and _is_inside(address, claim.site)]
            if inside:
                return _only(inside)
        for length in self._lengths.get(len(address), ()):
            found = self._claims.get("site", {}).get(_prefix(address, length), ())
            if found:
                return _only(found)
        return None

    def _client(
        self, address: bytes, place: _Claim | None, mac: str | None, token: str | None
    ) -> tuple[_Claim | None, Literal["token", "mac", "address", "network"]]:
        if token is not None:
            claim = _only(self._claims.get("token", {}).get(token.lower(), ()))
            if claim is not None:
                return claim, "token"
        if mac is not None:
            claim = _only(_fitting(self._claims.get("mac", {}).get(mac.lower(), ()), address, place))
            if claim is not None:
                return claim, "mac"
        networks = self._claims.get("network", {})
        for length in self._lengths.get(len(address), ()):
            found = networks.get(_prefix(address, length), ())
            if found:
                fitting = _fitting(found, address, place)
                if fitting:
                    return _only(fitting), "address" if length == len(address) * 8 else "network"
        return None, "network"

    # changing

    def _change(self, gone: tuple[TenantPolicy, ...], come: tuple[TenantPolicy, ...]) -> None:
        copied: set[str] = set()
        identities = {id(policy) for policy in gone}
        for policy in gone:
            for kind, key, _ in _claims_of(policy):
                table = self._own(kind, copied)
                kept = tuple(claim for claim in table.get(key, ()) if id(claim.tenant) not in identities)
                if kept:
                    table[key] = kept
                else:
                    table.pop(key, None)
        for policy in come:
            for kind, key, claim in _claims_of(policy):
                table = self._own(kind, copied)
                table[key] = (*table.get(key, ()), claim)
        for policy in gone:
            self._operators.pop(policy.tenant, None)
        self._operators.update((policy.tenant, policy) for policy in come if policy.kind == "operator")
        self._default = min(self._operators.values(), key=lambda policy: (policy.tenant != "local", policy.tenant), default=None)
        lengths: dict[int, set[int]] = {}
        for kind in ("site", "network"):
            for prefix in self._claims.get(kind, {}):
                assert isinstance(prefix, tuple)
                lengths.setdefault(prefix[0], set()).add(prefix[1])
        self._lengths = {size: tuple(sorted(found, reverse=True)) for size, found in lengths.items()}

    def _own(self, kind: str, copied: set[str]) -> _Claims:
        if kind not in copied:
            copied.add(kind)
            self._claims[kind] = dict(self._claims.get(kind, {}))
        return self._claims[kind]


def _claims_of(policy: TenantPolicy) -> Iterable[tuple[str, object, _Claim]]:
    for site in policy.sites.values():
        claim = _Claim(policy, None, site)
        for local in site.listen:
            yield "listen", local, claim
        if not site.listen:  # a site with its own listener is found by that alone
            for network in site.networks:
                yield "site", _prefix(network.address, network.length), claim
    for client in policy.clients:
        claim = _Claim(policy, client, policy.sites.get(client.site or ""))
        for network in client.networks:
            yield "network", _prefix(network.address, network.length), claim
        for mac in client.macs:
            yield "mac", mac, claim
        for token in client.tokens:
            yield "token", token, claim
        for linked in client.linked or ():
            yield "linked", _prefix(linked.network.address, linked.network.length), claim


def _fitting(claims: Iterable[_Claim], address: bytes, place: _Claim | None) -> list[_Claim]:
    """The claims that may hold at this place: the place's own tenant's and the operator's, and only at the client's own site."""
    fitting = []
    for claim in claims:
        if claim.site is not None:
            if claim.site.listen and (place is None or place.site is not claim.site):
                continue
            if claim.site.networks and not _is_inside(address, claim.site):
                continue
        if place is not None and claim.tenant is not place.tenant and claim.tenant.kind != "operator":
            continue
        fitting.append(claim)
    at_place = [claim for claim in fitting if place is not None and claim.site is place.site and claim.site is not None]
    return at_place or fitting


def _only(claims: Iterable[_Claim]) -> _Claim | None:
    """The best of several claims, None when two tenants of one kind make it."""
    ranked = sorted(claims, key=lambda claim: _KIND_RANK[claim.tenant.kind])
    if not ranked:
        return None
    best = [claim for claim in ranked if claim.tenant.kind == ranked[0].tenant.kind]
    return best[0] if len(best) == 1 else None


def _is_inside(address: bytes, site: Site) -> bool:
    return not site.networks or any(_holds(network, address) for network in site.networks)


def _holds(network: Network, address: bytes) -> bool:
    return len(network.address) == len(address) and _prefix(address, network.length) == _prefix(network.address, network.length)


def _prefix(address: bytes, length: int) -> tuple[int, int, int]:
    """Size in octets, prefix length in bits, and the prefix itself as a number."""
    size = len(address)
    return size, length, int.from_bytes(address) >> (size * 8 - length)


def unmapped(address: bytes) -> bytes:
    """IPv4 inside IPv6 (`::ffff:0:0/96`) as IPv4."""
    if len(address) == 16 and address.startswith(b"\0\0\0\0\0\0\0\0\0\0\xff\xff"):
        return address[12:]
    return address
