"""Who a client is: by token, MAC, exact address or longest subnet, and where it is: by the address it asked or its network.

A token is what the client itself presents, so it comes first and holds from anywhere; then the MAC (which follows the device), then the
address. Addresses are scoped by place: where the place is known, only its own tenant and the operator may claim an address in it, so that
two schools with the same private subnet are told apart by the listener, and no family can claim a school's device. A home on
the internet that says by its token which public address it has now is asked for last, for addresses that mean nobody else. Two equally good
claims of different tenants name nobody: the client is unknown and gets the strictest band of the place (design §8), and so does a client
that is outside its own site: never what the default profile gives to somebody nobody speaks of. `disputes` says where that may happen.

Only this package imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from gateway.policy.catalogue import STRICTNESS
from gateway.policy.claims import is_anywhere, is_outside, share_addresses, text_of
from gateway.policy.index import AddressTriggers
from gateway.policy.model import Band, Lent, Match
from gateway.policy.tenant import Client, Network, Site, TenantPolicy

_KIND_RANK: Final = {"operator": 0, "school": 1, "family": 2}


@dataclass(frozen=True, slots=True)
class _Claim:
    """One tenant's word that an address, MAC, token or listener means this client or this site."""

    tenant: TenantPolicy
    client: Client | None
    site: Site | None
    never: bool = False
    """A client's network that lies outside its own site."""

    @property
    def owner(self) -> str:
        """Who says so, by the ids of the file."""
        one = self.client or self.site
        return f"{self.tenant.tenant} {one.id}" if one is not None else self.tenant.tenant


@dataclass(frozen=True, slots=True)
class Dispute:
    """Claims that cannot hold: equally good ones of several, or (`is_outside`) those of a client outside its own site. `what` is a network,
    empty for what names one device."""

    what: str
    owners: tuple[str, ...]
    is_outside: bool


_Claims = dict[object, tuple[_Claim, ...]]


class Directory:
    """Every claim of every tenant. Immutable; `replaced` makes the next one and copies only what changes."""

    __slots__ = ("_claims", "_default", "_disputes", "_lengths", "_operators")

    def __init__(self, tenants: Iterable[TenantPolicy] = ()) -> None:
        self._claims: dict[str, _Claims] = {}
        self._lengths: dict[int, tuple[int, ...]] = {}
        self._operators: dict[str, TenantPolicy] = {}
        self._default: TenantPolicy | None = None
        self._disputes: dict[tuple[str, object], Dispute] = {}
        self._change((), tuple(tenants))

    def replaced(self, gone: Iterable[TenantPolicy], come: Iterable[TenantPolicy]) -> Directory:
        """The directory without the claims of `gone` (policies it holds) and with those of `come`."""
        other = Directory()
        other._claims = dict(self._claims)
        other._operators = dict(self._operators)
        other._disputes = dict(self._disputes)
        other._change(tuple(gone), tuple(come))
        return other

    @property
    def disputes(self) -> tuple[Dispute, ...]:
        """Every claim that cannot hold, as far as the policies alone tell."""
        return tuple(self._disputes.values())

    def identify(
        self, address: bytes, local: bytes | None, mac: str | None, token: str | None, triggers: AddressTriggers, is_near: bool = False
    ) -> Match:
        """Who asks from `address` (packed) at `local`, and where that is. An address from a link of this machine (`is_near`) that no place
        names is at the only place there is; where there are several, they contend for it."""
        place, rivals = self._place(address, local)
        if is_near and place is None and not rivals:
            place, rivals = self._near()
        claim, by, against = self._client(address, place, mac, token)
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
        if rivals or against:
            return self._disputed(place, rivals, against, zones)
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

    def _disputed(
        self, place: _Claim | None, rivals: tuple[_Claim, ...], against: tuple[_Claim, ...], zones: tuple[tuple[int, int], ...]
    ) -> Match:
        """Nobody by name, under the strictest band of every place and client concerned, at the strictest of the places."""
        bands: set[Band] = set()
        for claim in (*rivals, *against, *((place,) if place is not None else ())):
            bands |= _bands_of(claim)
        places = [claim for claim in (*rivals, *(one for one in against if one.never)) if claim.site is not None]
        where = place or min(places, key=_strictness, default=None)
        tenant = where.tenant if where is not None else self._default
        return Match(
            None,
            None,
            tenant.tenant if tenant is not None else None,
            where.site.id if where is not None and where.site is not None else None,
            False,
            where.tenant.tenant if where is not None else None,
            None,
            "disputed",
            zones,
            strictest=next((band for band in STRICTNESS if band in bands), None),
        )

    # finding

    def _place(self, address: bytes, local: bytes | None) -> tuple[_Claim | None, tuple[_Claim, ...]]:
        """The site where the client is: one that listens where it asked, else the one with the longest network around it. None with the
        sites that contend for it."""
        if local is not None:
            listening = self._claims.get("listen", {}).get(local, ())
            inside = [claim for claim in listening if claim.site is not None and _is_inside(address, claim.site)]
            if inside:
                return _settled(inside)
        for length in self._lengths.get(len(address), ()):
            found = self._claims.get("site", {}).get(_prefix(address, length), ())
            if found:
                return _settled(found)
        return None, ()

    def _near(self) -> tuple[_Claim | None, tuple[_Claim, ...]]:
        """The one site that is known by its networks, else all of them."""
        found = {id(claim.site): claim for claims in self._claims.get("site", {}).values() for claim in claims}
        every = tuple(found.values())
        return (every[0], ()) if len(every) == 1 else (None, every)

    def _client(
        self, address: bytes, place: _Claim | None, mac: str | None, token: str | None
    ) -> tuple[_Claim | None, Literal["token", "mac", "address", "network"], tuple[_Claim, ...]]:
        """Whose the client is and by what; None with the claims on it that cancel each other or do not hold where it is."""
        against: tuple[_Claim, ...] = ()
        if token is not None:
            claim, against = _settled(self._claims.get("token", {}).get(token.lower(), ()))
            if claim is not None:
                return claim, "token", ()
        if mac is not None:
            claim, rivals = _settled(_fitting(self._claims.get("mac", {}).get(mac.lower(), ()), address, place))
            if claim is not None or rivals:
                return claim, "mac", rivals
        networks = self._claims.get("network", {})
        for length in self._lengths.get(len(address), ()):
            found = networks.get(_prefix(address, length), ())
            if found:
                fitting = _fitting(found, address, place)
                if fitting:
                    claim, rivals = _settled(fitting)
                    return claim, "address" if length == len(address) * 8 else "network", rivals
                astray = tuple(claim for claim in found if _is_astray(claim, address, place))
                if any(claim.never for claim in astray):  # a wider network is not what its owner meant
                    return None, "network", astray
                against += astray
        return None, "network", against

    # changing

    def _change(self, gone: tuple[TenantPolicy, ...], come: tuple[TenantPolicy, ...]) -> None:
        copied: set[str] = set()
        touched: set[tuple[str, object]] = set()
        identities = {id(policy) for policy in gone}
        for policy in gone:
            for kind, key, _ in _claims_of(policy):
                touched.add((kind, key))
                table = self._own(kind, copied)
                kept = tuple(claim for claim in table.get(key, ()) if id(claim.tenant) not in identities)
                if kept:
                    table[key] = kept
                else:
                    table.pop(key, None)
        for policy in come:
            for kind, key, claim in _claims_of(policy):
                touched.add((kind, key))
                table = self._own(kind, copied)
                table[key] = (*table.get(key, ()), claim)
        for kind, key in touched:
            dispute = _dispute(kind, key, self._claims[kind].get(key, ()))
            if dispute is not None:
                self._disputes[kind, key] = dispute
            else:
                self._disputes.pop((kind, key), None)
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
            for network in dict.fromkeys(site.networks):
                yield "site", _prefix(network.address, network.length), claim
    for client in policy.clients:
        at = policy.sites.get(client.site or "")
        claim = _Claim(policy, client, at)
        for network in dict.fromkeys(client.networks):
            never = is_outside(network, at)
            yield "network", _prefix(network.address, network.length), _Claim(policy, client, at, never) if never else claim
        for mac in dict.fromkeys(client.macs):
            yield "mac", mac, claim
        for token in dict.fromkeys(client.tokens):
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
            if not (place is not None and place.site is claim.site) and not _is_inside(address, claim.site):
                continue
        if place is not None and claim.tenant is not place.tenant and claim.tenant.kind != "operator":
            continue
        fitting.append(claim)
    at_place = [claim for claim in fitting if place is not None and claim.site is place.site and claim.site is not None]
    return at_place or fitting


def _is_astray(claim: _Claim, address: bytes, place: _Claim | None) -> bool:
    """Whether a claim that may speak here does not hold because the address is outside its own site; at another listener it need not."""
    if claim.site is None or claim.site.listen or not claim.site.networks or _is_inside(address, claim.site):
        return False
    return place is None or claim.tenant is place.tenant or claim.tenant.kind == "operator"


def _best(claims: Iterable[_Claim]) -> tuple[_Claim, ...]:
    """Those that come first: an operator's, then a school's, then a family's."""
    ranked = sorted(claims, key=lambda claim: _KIND_RANK[claim.tenant.kind])
    return tuple(claim for claim in ranked if claim.tenant.kind == ranked[0].tenant.kind)


def _settled(claims: Iterable[_Claim]) -> tuple[_Claim | None, tuple[_Claim, ...]]:
    """The best of several claims, or none with those that are equally good."""
    best = _best(claims)
    return (best[0], ()) if len(best) == 1 else (None, best)


def _only(claims: Iterable[_Claim]) -> _Claim | None:
    """The best of several claims, None when two of one kind make it."""
    return _settled(claims)[0]


def _bands_of(claim: _Claim) -> frozenset[Band]:
    """The bands that a claim asks for: its client's, and those of its site."""
    bands = claim.site.bands if claim.site is not None else frozenset()
    profile = claim.tenant.profiles.get(claim.client.profile) if claim.client is not None else None
    return bands if profile is None else bands | {profile.band}


def _strictness(claim: _Claim) -> tuple[bool, int, str, str]:
    """Where several places contend, the least is taken: a school, then the one with the strictest band, then by name."""
    assert claim.site is not None
    is_school = claim.site.site_class == "school" or claim.tenant.kind == "school"
    rank = next((rank for rank, band in enumerate(STRICTNESS) if band in claim.site.bands), len(STRICTNESS))
    return not is_school, rank, claim.tenant.tenant, claim.site.id


def _dispute(kind: str, key: object, claims: tuple[_Claim, ...]) -> Dispute | None:
    """What is wrong with the claims on one address, network, MAC, token or listener; None for nothing."""
    if kind == "linked" or not claims:  # a home's public address that another says, too: told on its pages
        return None
    lost = [claim for claim in claims if claim.never]
    rivals = [claim for claim in _best(claims) if claim not in lost]
    if kind == "listen":
        rivals = [claim for claim in rivals if any(_share(claim, other) for other in rivals if other is not claim)]
    elif kind != "site":
        rivals = [claim for claim in rivals if is_anywhere(claim.site)]
    what = _shown(key) if kind in ("site", "network") else ""
    if len(rivals) > 1:
        return Dispute(what, tuple(sorted(claim.owner for claim in rivals)), False)
    return Dispute(what, tuple(sorted(claim.owner for claim in lost)), True) if lost else None


def _share(one: _Claim, other: _Claim) -> bool:
    return one.site is not None and other.site is not None and share_addresses(one.site, other.site)


def _shown(key: object) -> str:
    """A network as text; empty for one address, which is a client's."""
    assert isinstance(key, tuple)
    size, length, prefix = key
    return text_of(Network((prefix << (size * 8 - length)).to_bytes(size), length)) if length < size * 8 else ""


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
