"""The blast radius of an order before it is approved: what it touches that people use, and what looks like something else.

Read from the catalogue and from the index in force. How often a name is asked comes from this machine's gateway and from those that follow
the office (`admin.officedemand`), each of which tells it of five clients or more; where nobody tells anything the page says "not known",
never "no effect".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import RowMapping

from admin.link import Asked, GatewayAway, GatewayLink
from admin.officedemand import FarDemand
from blocklists.normalize import key_of_name
from blocklists.tables import OrganisationId
from blocklists.takedown.assertions import AssertionCheck, Broken, candidate
from blocklists.takedown.candidates import one_apart
from blocklists.takedown.model import Match
from blocklists.takedown.workflow import TransitionRefused
from gateway.demand import registered_name
from gateway.errors import ControlError, GenerationError
from gateway.policy.index import ListIndex
from gateway.release import read_manifest

MOST_SHOWN = 50
MOST_ASKED = 50
_LEAST_LABEL = 5


@dataclass(frozen=True, slots=True)
class Touched:
    """A name of the order and what it reaches: a service's host, a name in a shipped or subscribed list, a look-alike."""

    host: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an approver sees beside the rows. `known` says whether the lists in force could be read."""

    names: int
    services: tuple[Touched, ...]
    lookalikes: tuple[Touched, ...]
    listed: tuple[Touched, ...]
    known: bool
    #: What must stay true and would not: an order that breaks one of these is not approved.
    broken: tuple[Broken, ...] = ()
    #: The registered names that are known to be asked for, the most asked first.
    asked: tuple[Asked, ...] = ()


def preview(hosts: Iterable[tuple[str, Match]], catalogue: Mapping[str, Any], state_dir: Path) -> Preview:
    """Judge the reach of an order's names. Reads the index: call it off the event loop."""
    wanted = [(host, key_of_name(host), match) for host, match in hosts]
    service_hosts = _service_hosts(catalogue)
    services = [found for one in wanted for found in _services(one, service_hosts)]
    labels = {_label(key): (key, title) for key, title in service_hosts if len(_label(key)) >= _LEAST_LABEL}
    lookalikes = [found for host, key, _ in wanted[:2000] if (found := _lookalike(host, key, labels)) is not None]
    index = open_index(state_dir)
    listed = [] if index is None else [found for one in wanted for found in _listed(one, index)]
    return Preview(len(wanted), tuple(services[:MOST_SHOWN]), tuple(lookalikes[:MOST_SHOWN]), tuple(listed[:MOST_SHOWN]), index is not None)


async def asked_for(
    link: GatewayLink, demand: FarDemand, tenant: OrganisationId, hosts: Iterable[tuple[str, Match]], now: datetime
) -> tuple[Asked, ...]:
    """How often the names of an order are asked for here and at other gateways, the most asked first; from now on these are asked about
    them. A gateway that is away tells nothing."""
    names = [host for host, _ in hosts][:MOST_ASKED]
    registered = dict.fromkeys(one for one in map(registered_name, names) if one)
    demand.want(tenant, registered, now)
    try:
        rows = await link.asked(names) if names else {}
    except (GatewayAway, ControlError):
        rows = {}
    here = {row.registered: row for row in rows.values() if row.at_least is not None}
    found = []
    for name in {**registered, **here}:
        row, far = here.get(name, Asked(name)), demand.of(tenant, name, now)
        if far is not None:
            row = replace(row, elsewhere=far.at_least, gateways=far.gateways)
        if row.at_least is not None or far is not None:
            found.append(row)
    return tuple(sorted(found, key=lambda row: (-(row.at_least or 0) - (row.elsewhere or 0), row.registered)))


def broken_by(check: AssertionCheck, hosts: Iterable[tuple[str, Match]], order: RowMapping) -> tuple[Broken, ...]:
    """The assertions that an order would break. Reads the lists in force: call it off the event loop."""
    bands = order["bands"].split(",") if order["bands"] else ()
    return check.broken_by(candidate(hosts, order["symbol"], bands))


def require_unbroken(check: AssertionCheck, hosts: Iterable[tuple[str, Match]], order: RowMapping) -> None:
    """Before an approval. Raises TransitionRefused with the first assertion that would not hold."""
    broken = broken_by(check, hosts, order)
    if broken:
        one = broken[0].assertion
        raise TransitionRefused(
            "assertion",
            f"Không duyệt được: độ tuổi {one.band} phải tới được {one.name}.",
            f"Cannot be approved: band {one.band} must reach {one.name}.",
        )


def _service_hosts(catalogue: Mapping[str, Any]) -> list[tuple[str, str]]:
    return sorted((key_of_name(host["name"]), service["name_vi"]) for service in catalogue.get("services", ()) for host in service["hosts"])


def _services(wanted: tuple[str, str, Match], hosts: list[tuple[str, str]]) -> list[Touched]:
    """Services that lose a host when this name is blocked."""
    host, key, match = wanted
    found = []
    for place in range(bisect_left(hosts, (key, "")), len(hosts)):
        other, title = hosts[place]
        if not other.startswith(key):
            break
        if match is Match.BOTH or (match is Match.EXACT and other == key) or (match is Match.BELOW and other != key):
            found.append(Touched(host, title, ".".join(reversed(other.rstrip(".").split(".")))))
    return found


def _label(key: str) -> str:
    """The label a reader looks at: the second of the name."""
    parts = key.rstrip(".").split(".")
    return parts[1] if len(parts) > 1 else ""


def _lookalike(host: str, key: str, labels: Mapping[str, tuple[str, str]]) -> Touched | None:
    """A known service whose name this one resembles by one sign, or by digits put around it."""
    label = _label(key)
    if len(label) < _LEAST_LABEL:
        return None
    bare = label.strip("0123456789-")
    for known, (other, title) in labels.items():
        if key.startswith(other):
            continue
        if known == bare or (known != label and abs(len(known) - len(label)) <= 1 and one_apart(known, label)):
            return Touched(host, title, known)
    return None


def open_index(state_dir: Path) -> ListIndex | None:
    """The lists in force; None before there are any."""
    try:
        return ListIndex(state_dir, read_manifest(state_dir).index_dir)
    except (GenerationError, OSError):
        return None


def _listed(wanted: tuple[str, str, Match], index: ListIndex) -> list[Touched]:
    """The lists that hold this name already, and the good list that it would be taken out of."""
    host, key, _ = wanted
    listing = index.listing(index.lookup(key))
    found = [Touched(host, code, source.title or source.id) for code, source in listing.categories.items()]
    if listing.good is not None:
        found.append(Touched(host, listing.good.category or "good", listing.good.title or listing.good.id))
    return found
