"""Claims on addresses that cannot hold: two that are equally good cancel each other, and a client outside its own site is never met.

`contradictions` tells whoever writes a policy; a generation that is in force already is not judged by it, and `gateway.policy.identify`
gives such an address the strictest band of those concerned. Pure. Any package may import this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from gateway.errors import Mistake, PolicyFileError
from gateway.policy.tenant import Client, Network, Site, TenantPolicy

_ONE_EACH = "give each network to one of them, or each site an address of its own to ask (listen)"


def contradictions(policy: TenantPolicy) -> list[Mistake]:
    """Every claim of a sound policy that another one cancels or that never holds: a mistake at both places, each naming the other."""
    return [*_of_sites(policy), *_of_listeners(policy), *_outside(policy), *_of_clients(policy)]


def refuse_contradictions(policy: TenantPolicy) -> None:
    """Raises PolicyFileError with every contradiction."""
    if found := contradictions(policy):
        raise PolicyFileError(found)


def is_outside(network: Network, site: Site | None) -> bool:
    """Whether no address of a client's network can be at its site."""
    return site is not None and bool(site.networks) and not any(do_overlap(network, own) for own in site.networks)


def wider_than_site(policy: TenantPolicy) -> list[tuple[int, Network, Site]]:
    """The networks of clients that reach beyond their own site (the number of the client, the network, the site): whoever asks from the
    rest is not met as this client. Those wholly outside are `contradictions`."""
    found = []
    for number, client in enumerate(policy.clients):
        site = policy.sites.get(client.site or "")
        if site is None or not site.networks:
            continue
        outside = [one for one in client.networks if not is_outside(one, site) and not _is_covered(one, site.networks)]
        found += [(number, network, site) for network in outside]
    return found


def is_anywhere(site: Site | None) -> bool:
    """Whether a client of this site is met wherever it asks."""
    return site is None or not (site.networks or site.listen)


def find_unserved(policy: TenantPolicy, allowed: Sequence[Network]) -> list[tuple[Network, str]]:
    """The networks of clients, and those of an operator's own sites, that `dns.allow_from` (`allowed`) refuses, with whose they are: a
    client's counts as soon as a part of it is refused, a site's only as a whole, for it may be a wide one."""
    found = []
    for client in policy.clients:
        found += [(one, client.id) for one in client.networks if not is_served(one, allowed)]
    for site in policy.sites.values() if policy.kind == "operator" else ():
        found += [(one, site.id) for one in site.networks if not any(do_overlap(one, other) for other in allowed)]
    return found


def is_served(network: Network, allowed: Sequence[Network]) -> bool:
    """Whether all of a network is in one of those allowed."""
    return any(do_overlap(network, other) and network.length >= other.length for other in allowed)


def do_overlap(one: Network, other: Network) -> bool:
    """Whether two networks have an address in common."""
    if len(one.address) != len(other.address):
        return False
    size, length = len(one.address) * 8, min(one.length, other.length)
    return int.from_bytes(one.address) >> (size - length) == int.from_bytes(other.address) >> (size - length)


def share_addresses(one: Site, other: Site) -> bool:
    """Whether an address may be in both of two sites; one without networks has them all."""
    return not one.networks or not other.networks or any(do_overlap(mine, theirs) for mine in one.networks for theirs in other.networks)


def text_of(network: Network) -> str:
    """A network as a person writes it."""
    address = str(ip_address(network.address))
    return address if network.length == len(network.address) * 8 else f"{address}/{network.length}"


def _is_covered(network: Network, others: Sequence[Network]) -> bool:
    """Whether all of a network is in some others together."""
    if any(do_overlap(network, other) and network.length >= other.length for other in others):
        return True
    inside = [one for one in others if do_overlap(network, one)]
    size = len(network.address) * 8
    return sum(1 << (size - one.length) for one in set(inside) if not _is_in_another(one, inside)) >= 1 << (size - network.length)


def _is_in_another(one: Network, others: Iterable[Network]) -> bool:
    return any(other != one and do_overlap(one, other) and one.length > other.length for other in others)


def _of_sites(policy: TenantPolicy) -> Iterable[Mistake]:
    taken: dict[Network, tuple[int, Site]] = {}
    for number, site in enumerate(policy.sites.values()):
        for network in () if site.listen else site.networks:
            first, other = taken.setdefault(network, (number, site))
            if other is not site:
                for place, them in ((first, site), (number, other)):
                    message = f"{text_of(network)} is also a network of site {them.id}: neither holds"
                    yield Mistake(f"sites[{place}].networks", message, _ONE_EACH)


def _of_listeners(policy: TenantPolicy) -> Iterable[Mistake]:
    taken: dict[bytes, list[tuple[int, Site]]] = {}
    for number, site in enumerate(policy.sites.values()):
        for local in site.listen:
            for first, other in taken.get(local, ()):
                if share_addresses(site, other):
                    where = str(ip_address(local))
                    for place, them in ((first, site), (number, other)):
                        message = f"site {them.id} listens at {where} for the same addresses: neither holds"
                        yield Mistake(f"sites[{place}].listen", message, "give each site its own address to ask, or its own networks")
            taken.setdefault(local, []).append((number, site))


def _outside(policy: TenantPolicy) -> Iterable[Mistake]:
    numbers = {name: number for number, name in enumerate(policy.sites)}
    for number, client in enumerate(policy.clients):
        site = policy.sites.get(client.site or "")
        for network in client.networks:
            if site is not None and is_outside(network, site):
                message = f"{text_of(network)} is outside the networks of its site {site.id}: it never holds"
                yield Mistake(f"clients[{number}].match", message, f"write {text_of(network)} into networks of the site, or mend it")
                message = f"site {site.id} does not hold {text_of(network)} of its client {client.id}"
                yield Mistake(f"sites[{numbers[site.id]}].networks", message, f"add {text_of(network)}, or mend the client")


def _of_clients(policy: TenantPolicy) -> Iterable[Mistake]:
    taken: dict[Network, list[tuple[int, Client, Site | None]]] = {}
    for number, client in enumerate(policy.clients):
        site = policy.sites.get(client.site or "")
        for network in client.networks:
            for first, other, its in taken.get(network, ()):
                if other is not client and _do_meet(site, its, network):
                    for place, them in ((first, client), (number, other)):
                        message = f"{text_of(network)} is also of client {them.id}: neither holds"
                        yield Mistake(f"clients[{place}].match", message, _ONE_EACH)
            taken.setdefault(network, []).append((number, client, site))


def _do_meet(one: Site | None, other: Site | None, network: Network) -> bool:
    """Whether nothing tells the sites of two clients with this network apart."""
    if is_anywhere(one) and is_anywhere(other):
        return True
    if one is None or other is None or one.listen or other.listen:
        return False
    return any(mine in other.networks and do_overlap(mine, network) for mine in one.networks)
