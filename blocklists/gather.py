"""One source → what it contributes to the index: parsed, sorted, without repeats, guarded, every loss counted.

`blocklists.jobs` imports this module. Exceptions act inside one row of the index only, so what must not be undone by a list's plain
exceptions (`$important`), has exceptions of its own (`$denyallow`), or is for some queries only (`$dnstype`, `$client`), becomes a row of
its own; so does each category of a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from blocklists.catalogue import Json
from blocklists.compile import Shape, SourceRow
from blocklists.guard import Guard, Origin, Refusal
from blocklists.parsers import ALWAYS, Action, AddressTrigger, Bucket, Harvest, Match, When
from blocklists.rejections import Reason
from blocklists.sources import Source, origin_of

_BLOCKING = frozenset({"nxdomain", "nodata", "drop"})
_OPENING = frozenset({"passthru", "tcp-only", "disabled"})


class _Place(NamedTuple):
    """What the keys of one row have in common."""

    category: str | None
    group: str
    when: When

    @property
    def is_important(self) -> bool:
        """Whether plain exceptions leave the row alone."""
        return self.group == "important"


@dataclass(slots=True)
class Part:
    """One row of the index and its keys, sorted and distinct."""

    row: SourceRow
    batches: dict[Shape, list[str]] = field(default_factory=dict)
    addresses: dict[AddressTrigger, Action] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """Entries that block or allow; exceptions are not counted."""
        return sum(len(keys) for shape, keys in self.batches.items() if not shape.exception) + len(self.addresses)


@dataclass(slots=True)
class Gathered:
    """What one source contributes, what of it was refused, and what was counted away."""

    parts: list[Part]
    refusals: list[Refusal]
    rejected: Counter[Reason]

    @property
    def entries(self) -> int:
        """Entries of all parts."""
        return sum(part.entries for part in self.parts)


def gather(source: Source, harvest: Harvest, guard: Guard, catalogue: Json) -> Gathered:
    """Turn a harvest into the parts of a source. The harvest's keys are taken out of it on the way, to save memory."""
    rejected = Counter(harvest.rejected)
    groups: dict[_Place, dict[Shape, list[str]]] = {}
    for bucket in list(harvest.buckets):
        keys = harvest.buckets.pop(bucket)
        shape = _shape_of(source, bucket, len(keys), rejected)
        if shape is not None and keys:
            category = source.category if source.kind == "action" or bucket.category is None else bucket.category
            groups.setdefault(_Place(category, bucket.group, bucket.when), {}).setdefault(shape, []).extend(keys)
    addresses = harvest.addresses if source.kind == "rpz" else {}
    for trigger in harvest.addresses if source.kind != "rpz" else ():
        rejected[Reason.RPZ_CLIENT_IP if trigger.trigger == "client-ip" else Reason.RPZ_IP] += 1
    refusals: list[Refusal] = []
    parts: list[Part] = []
    names = _suffixes_of(source, groups)
    places = sorted(groups, key=lambda place: (place.category != source.category, place.category or "", place.group, place.when))
    for place in places:
        row = source.row(place.category, names[place])
        if place.when != ALWAYS:
            row = replace(row, when=place.when, spares=_spared(place, places, names, source))
        part = Part(row)
        origin = origin_of(source, place.category, catalogue)
        batches = groups.pop(place)
        for shape in list(batches):
            kept = _distinct(batches.pop(shape), shape, source, rejected)
            part.batches[shape] = kept if source.kind == "good" else _guarded(kept, shape, origin, guard, refusals, source)
        _punch_holes(part, origin, guard)
        parts.append(part)
    if not parts:
        parts.append(Part(source.row(source.category)))
    parts[0].addresses = dict(addresses)
    if source.rpz is not None and "serial" in harvest.facts:
        for part in parts:
            part.row = replace(part.row, rpz={**(part.row.rpz or {}), "serial": harvest.facts["serial"]})
    for refusal in refusals:
        rejected[refusal.reason] += 1
    return Gathered(parts, refusals, +rejected)


def _shape_of(source: Source, bucket: Bucket, count: int, rejected: Counter[Reason]) -> Shape | None:
    """What a bucket means in this kind of source. The actions of a policy zone read as a plain list shrink to names and exceptions."""
    action = bucket.action
    if source.kind == "rpz" or action is None:
        return Shape(bucket.match, bucket.exception, action)
    if action.kind in _BLOCKING:
        return Shape(bucket.match)
    if action.kind == "passthru":
        return Shape(bucket.match, True)
    if action.kind in ("local", "cname") and source.options.rewrites != "refuse":
        answers = source.options.rewrites == "answers" and action.kind == "local"
        return Shape(bucket.match, False, action if answers else None)
    rejected[Reason.RPZ_ACTION if action.kind == "tcp-only" else Reason.FOREIGN_ADDRESS] += count
    return None


def _suffixes_of(source: Source, groups: Iterable[_Place]) -> dict[_Place, str]:
    """What is added to the source's id for each of its rows: nothing for the main one."""
    denyallow = sorted({place.group for place in groups if place.group.startswith("denyallow=")})
    conditions = sorted({place.when for place in groups if place.when != ALWAYS})
    names: dict[_Place, str] = {}
    for place in groups:
        own = f"/{place.category}" if place.category != source.category else ""
        label = f"#denyallow-{denyallow.index(place.group) + 1}" if place.group in denyallow else f"#{place.group}" if place.group else ""
        names[place] = own + label + (f"#when-{conditions.index(place.when) + 1}" if place.when != ALWAYS else "")
    return names


def _spared(place: _Place, places: Iterable[_Place], names: dict[_Place, str], source: Source) -> tuple[str, ...]:
    """The rows that exceptions with a condition undo: all of their list but the important ones, unless they are important themselves.

    The holes of `$denyallow` are for its own row.
    """
    if place.group.startswith("denyallow="):
        return ()
    return tuple(source.id + names[other] for other in places if other != place and (place.is_important or not other.is_important))


def _distinct(keys: list[str], shape: Shape, source: Source, rejected: Counter[Reason]) -> list[str]:
    """Sort, and drop repeats. Names below a listed name go too where that changes no verdict: in categories, which accumulate.

    In lists with an action and in zones the longer name may win against another rule of the same owner, so they keep all.
    """
    keys.sort()
    covers = shape.match is Match.BOTH and (shape.exception or source.kind in ("category", "catalogue", "good"))
    kept: list[str] = []
    last = "\0"
    repeats = covered = 0
    for key in keys:
        if key.startswith(last):
            if key == last:
                repeats += 1
                continue
            if covers:
                covered += 1
                continue
        kept.append(key)
        last = key
    rejected[Reason.DUPLICATE] += repeats
    rejected[Reason.COVERED] += covered
    return kept


def _guarded(keys: list[str], shape: Shape, origin: Origin, guard: Guard, refusals: list[Refusal], source: Source) -> list[str]:
    blocks = origin.blocks and not shape.exception and (shape.action is None or _meaning(shape.action, source) not in _OPENING)
    judged = origin if blocks or not origin.blocks else Origin(origin.name, blocks=False)
    found = guard.sweep(keys, shape.match, judged)
    if not found:
        return keys
    refusals += found
    refused = {refusal.key for refusal in found}
    return [key for key in keys if key not in refused]


def _meaning(action: Action, source: Source) -> str:
    """What an action comes to under the override of its zone: a zone overridden with NXDOMAIN closes what it would let through."""
    override = str((source.rpz or {}).get("policy", "given"))
    return action.kind if override in ("given", "disabled") else override


def _punch_holes(part: Part, origin: Origin, guard: Guard) -> None:
    """Servers the gateway itself uses become exceptions of the list that covers them from above."""
    if not origin.blocks or part.row.kind == "rpz":
        return
    holes = {hole for shape, keys in part.batches.items() if not shape.exception for hole in guard.holes(keys, shape.match)}
    if holes:
        exceptions = Shape(Match.EXACT, True)
        part.batches[exceptions] = sorted(holes.union(part.batches.get(exceptions, ())))
