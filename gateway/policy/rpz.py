"""Response policy zones: what the zones of one level say about a name. The engine of this package imports this module.

The semantics are those of draft-vixie-dnsop-dns-rpz. Zones are asked in their order; the first that has a trigger for the name decides.
Inside a zone the client's address comes before the name, an exact name before a wildcard, a longer wildcard before a shorter one. A zone
may override what its actions say (`given`, `disabled`, `passthru`, `drop`, `tcp-only`, `nxdomain`, `nodata`, `cname`); a disabled zone is
stepped over. PASSTHRU ends the zones of that level and nothing else: it opens nothing that another rule blocks (review 7).

| action | becomes |
|---|---|
| `nxdomain`, `nodata` | Block with that mode |
| `local` | Local: the zone's records, no data for other types |
| `cname` | Rewrite; `*.x` puts the whole query name in front of x |
| `drop` | Drop |
| `tcp-only` | no opinion, but an answer that passes needs TCP |
| `passthru` | no opinion |

The outcome stands at the place of a rule by name of the zone's level and counts as a block there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.policy.index import Action, Hit, ListIndex, Source, Zone
from gateway.policy.model import (
    EDE_BLOCKED,
    EDE_FILTERED,
    Block,
    BlockMode,
    Drop,
    Level,
    Local,
    LocalRecord,
    Reason,
    Rewrite,
    Rule,
    RuleOrigin,
)
from gateway.wire.constants import MAX_NAME
from gateway.wire.name import text_of

TTL_CAP: Final = 60
"""Seconds that a zone's records may ask for at most: the zone may change."""

_MODES: Final = {"nxdomain": BlockMode.NXDOMAIN, "nodata": BlockMode.NODATA}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger that the query meets: `rank` orders those of one zone, the lowest decides."""

    source: Source
    action: Action
    rank: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the zones of one level say: a verdict that counts as a block, or that an answer needs TCP, or (neither) nothing."""

    rule: Rule
    verdict: Block | Local | Rewrite | Drop | None
    tcp_only: bool


def name_triggers(hits: Sequence[Hit], key: str) -> list[Trigger]:
    """The QNAME triggers of a listing."""
    name = text_of(key)
    return [
        Trigger(hit.entry.source, hit.entry.action, (1, 0 if hit.exact else 1, -hit.place), f"qname {name}")
        for hit in hits
        if hit.entry.action is not None
    ]


def client_triggers(zones: Sequence[tuple[int, int]], index: ListIndex) -> list[Trigger]:
    """The client-IP triggers that the asking address meets, given as source and action numbers of the index."""
    return [Trigger(index.sources[source], index.actions[action], (0,), "client address") for source, action in zones]


def decide(triggers: Sequence[Trigger], level: Level, group: str | None, key: str, version: str) -> Outcome | None:
    """The outcome of one level's zones for a client of `group`; None when none has a trigger or a PASSTHRU decided."""
    zones: dict[int, Trigger] = {}
    for trigger in triggers:
        zone = trigger.source.zone
        if zone is None or trigger.source.level is not level or zone.policy == "disabled" or (zone.groups and group not in zone.groups):
            continue
        found = zones.get(trigger.source.number)
        if found is None or trigger.rank < found.rank:
            zones[trigger.source.number] = trigger
    for number in sorted(zones):
        return _outcome(zones[number], level, key, version)
    return None


def records_of(action: Action) -> tuple[LocalRecord, ...]:
    """The records of a `local` action, their TTL capped."""
    return tuple(LocalRecord(rtype, min(ttl, TTL_CAP), rdata) for rtype, ttl, rdata in action.records)


def _outcome(trigger: Trigger, level: Level, key: str, version: str) -> Outcome | None:
    source, zone = trigger.source, trigger.source.zone
    assert zone is not None
    action = _overridden(zone, trigger.action)
    if action.kind == "passthru":
        return None
    text = f"rpz {zone.name} {action.kind} ({trigger.text})"
    rule = Rule(RuleOrigin(level), Reason.RPZ, text, source.title, source.id, version)
    if action.kind == "tcp-only":
        return Outcome(rule, None, True)
    return Outcome(rule, _verdict(action, rule, level, key), False)


def _overridden(zone: Zone, action: Action) -> Action:
    if zone.policy == "given":
        return action
    if zone.policy == "cname":
        return Action("cname", zone.target)
    if zone.policy in ("passthru", "drop", "tcp-only", "nxdomain", "nodata"):
        return Action(zone.policy)  # type: ignore[arg-type]  # narrowed by the line above
    return Action("nxdomain")  # an override we do not know closes


def _verdict(action: Action, rule: Rule, level: Level, key: str) -> Block | Local | Rewrite | Drop:
    if action.kind == "drop":
        return Drop(rule)
    if action.kind == "local":
        return Local(records_of(action), Reason.RPZ, rule)
    if action.kind == "cname":
        target = _target(action.target, key)
        if target is not None:
            return Rewrite(target, "rpz", (), Reason.RPZ, rule, TTL_CAP)
    ede = EDE_BLOCKED if level is Level.PROVINCE else EDE_FILTERED
    return Block(Reason.RPZ, "", rule, ede, 10, _MODES.get(action.kind, BlockMode.NXDOMAIN))


def _target(target: str, key: str) -> str | None:
    """The name a CNAME leads to; None when the whole would be longer than a name can be: that closes, it does not open."""
    if not target.startswith("*."):
        return target
    whole = f"{text_of(key)}.{target[2:]}"
    return whole if len(whole) + 2 <= MAX_NAME else None
