"""From profiles, sites and orders to what holds for one client at one moment. No I/O; time is an argument.

The result is interned by content: clients whose rules are equal share one `PolicyBase`, and the same content keeps its ids from one moment
and one generation to the next as long as the lists and the catalogue are the same. Only this package imports this module.

Which level a ruleset speaks for: the operator's rules for the province; a school site's rules for the school, when the client is at that
site or its profile is the school's; a profile's rules for its owner. Lists and zones of the school apply under the same condition; those of
the province and of parents always do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Final

from gateway.policy import rpz
from gateway.policy.catalogue import STRICTNESS, UNCATEGORISED, BandDefaults, Catalogue, Cell
from gateway.policy.index import ListIndex
from gateway.policy.model import (
    NEVER,
    TTL_DEFAULT,
    Band,
    BlockSettings,
    EffectivePolicy,
    Lent,
    Level,
    Match,
    Reason,
    Rewrite,
    Rule,
    RuleOrigin,
)
from gateway.policy.names import parse_name_rule
from gateway.policy.overlay import OrderView, Overlay, Scope
from gateway.policy.rewrite import rewrites
from gateway.policy.rules import LevelNames, LevelRules, Named, NameTable, Opening, PolicyBase, PolicyTables
from gateway.policy.ruleset import NO_RULES, Override, Ruleset
from gateway.policy.schedule import DEFAULT_ZONE, Window, next_boundary
from gateway.policy.tenant import Profile, Site, TenantPolicy, YouTube

GUEST: Final = Profile("guest", Band.KH, Level.PROVINCE, None, None, None, None, None, None, "off", NO_RULES)
"""The profile of a client that nobody gave one."""


_TIDY_EVERY: Final = 100_000


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's policy and the version of its file."""

    policy: TenantPolicy
    version: str


@dataclass(slots=True)
class Interner:
    """What was made before, by content. Goes on to the next generation while index and catalogue stay the same.

    Ids never repeat: interners of one process draw from the same `numbers`, also while the next generation is loaded beside the one in
    force; else a table of answers could be taken for another policy's.
    """

    index: str
    catalogue: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    bases: dict[tuple[object, ...], PolicyBase] = field(default_factory=dict)
    ids: dict[tuple[object, ...], int] = field(default_factory=dict)
    names: dict[tuple[object, ...], Mapping[Level, LevelNames]] = field(default_factory=dict)

    def id_of(self, content: tuple[object, ...]) -> int:
        """The id of a content, a new one at first sight."""
        found = self.ids.get(content)
        if found is None:
            number = next(self.numbers)
            if number % _TIDY_EVERY == 0:  # forget contents that nobody may use any more; ids go on
                self.ids, self.bases, self.names = {}, {}, {}
            found = self.ids[content] = number
        return found


@dataclass(frozen=True, slots=True)
class _Layer:
    """One ruleset at its level, the time zone its windows are read in, and what `explain` calls it."""

    level: Level
    rules: Ruleset
    zone: str
    source: str


class Resolver:
    """The policies of one generation. Remembers what it resolved until its moment ends."""

    def __init__(self, tenants: Mapping[str, Tenant], catalogue: Catalogue, index: ListIndex, overlay: Overlay, interner: Interner) -> None:
        self._tenants = tenants
        self._operators = tuple(tenant for tenant in tenants.values() if tenant.policy.kind == "operator")
        self._catalogue = catalogue
        self._index = index
        self._overlay = overlay
        self._interner = interner
        self._has_groups = any(source.zone is not None and source.zone.groups for source in index.sources)
        self._resolved: dict[tuple[object, ...], tuple[float, EffectivePolicy]] = {}
        self._cells: dict[tuple[object, ...], tuple[Mapping[str, Cell], Mapping[str, Rule]]] = {}
        self._rewrites: dict[tuple[bool, YouTube], Mapping[str, Rewrite]] = {}

    def effective(self, match: Match, now: float) -> EffectivePolicy:
        """What holds for a client at `now` (unix seconds)."""
        group = match.group if self._has_groups else None
        lent = match.lent if match.lent is not None and now < match.lent.until else None
        profile = lent.profile if lent is not None else match.profile
        whose = (match.tenant, profile, match.site_tenant, match.site, group, match.zones, match.lists, lent, match.strictest)
        found = self._resolved.get(whose)
        if found is not None and found[0] <= now < found[1].valid_until:
            return found[1]
        policy = self._resolve(match if lent is None else replace(match, profile=profile), group, lent, now)
        self._resolved[whose] = (now, policy)
        return policy

    def next_boundary(self, now: float) -> float:
        """The first moment after `now` at which something resolved so far must be resolved again (unix seconds)."""
        ends = (policy.valid_until for _, policy in self._resolved.values() if policy.valid_until > now)
        return min(self._overlay.at(now).valid_until, min(ends, default=NEVER))

    def _resolve(self, match: Match, group: str | None, lent: Lent | None, now: float) -> EffectivePolicy:
        tenant = self._tenants.get(match.tenant or "")
        profile = tenant.policy.profiles.get(match.profile or "", GUEST) if tenant is not None else GUEST
        place_tenant = self._tenants.get(match.site_tenant or match.tenant or "")
        place = place_tenant.policy.sites.get(match.site or "") if place_tenant is not None else None
        own_site = tenant.policy.sites.get(profile.site or "") if tenant is not None else None
        site = place or own_site
        school, school_tenant = self._school(profile, place, place_tenant, own_site, tenant)
        layers = list(self._layers(profile, school, own_site or place))
        orders = self._overlay.at(now)
        base = self._base(
            match, tenant, profile, site, layers, is_school=school is not None or profile.owner is Level.SCHOOL, group=group, now=now,
            scopes=_scopes(orders, site, tenant, place_tenant),
        )  # fmt: skip
        names_key = _names_key(layers, now)
        names = self._interner.names.get(names_key)
        if names is None:
            names = self._interner.names[names_key] = _names(layers, now)
        base_id = self._interner.id_of(("base", *base.identity, orders.identity))
        # A lent device has a policy of its own: its tables end with the loan, those of the adults do not.
        policy_id = self._interner.id_of(("policy", base_id, match.tenant, profile.id, names_key, lent))
        levels = names.values()
        return EffectivePolicy(
            id=policy_id,
            base_id=base_id,
            profile_id=profile.id,
            tenant=match.tenant or "",
            site_class=_site_class(site, tenant),
            band=profile.band,
            block=base.block,
            canaries=base.canaries,
            activity=profile.activity,
            own_names=frozenset(key for level in levels for table in (level.rules, level.exceptions) for key in table.by_key),
            has_regex=any(table.expressions for level in levels for table in (level.rules, level.exceptions)),
            valid_until=min(orders.valid_until, *(_layer_boundary(layer, now) for layer in layers), lent.until if lent else NEVER),
            client_ttl_max=TTL_DEFAULT,
            tables=PolicyTables(base, names, orders, (school_tenant.policy.tenant, school.id) if school and school_tenant else None),
        )

    def _school(
        self, profile: Profile, place: Site | None, place_tenant: Tenant | None, own_site: Site | None, tenant: Tenant | None
    ) -> tuple[Site | None, Tenant | None]:
        """The school site whose rules apply: the one where the client is, else that of a school's profile."""
        if place is not None and place_tenant is not None and _is_school(place, place_tenant):
            return place, place_tenant
        if profile.owner is Level.SCHOOL and own_site is not None:
            return own_site, tenant
        return None, None

    def _layers(self, profile: Profile, school: Site | None, place: Site | None) -> Iterable[_Layer]:
        zone = place.zone if place is not None else DEFAULT_ZONE
        for operator in self._operators:
            if operator.policy.rules is not None:
                yield _Layer(Level.PROVINCE, operator.policy.rules, zone, "operator")
        for one in profile.above:
            closed = replace(NO_RULES, categories=dict.fromkeys(one.close, True))
            yield _Layer(Level.PROVINCE, closed, zone, f"document {one.document}")
        if school is not None and school.rules is not None:
            yield _Layer(Level.SCHOOL, school.rules, school.zone, "site")
        if profile.rules is not NO_RULES:
            yield _Layer(profile.owner, profile.rules, zone, "profile")

    def _base(
        self,
        match: Match,
        tenant: Tenant | None,
        profile: Profile,
        site: Site | None,
        layers: Sequence[_Layer],
        *,
        is_school: bool,
        group: str | None,
        now: float,
        scopes: frozenset[Scope],
    ) -> PolicyBase:
        catalogue = self._catalogue
        strictest = _strictest(profile.band, site, match.strictest)
        defaults = catalogue.defaults[profile.band]
        if strictest is not None:
            defaults = defaults.stricter(catalogue.defaults[strictest])
        settings = _settings(profile, defaults)
        block = self._block(profile, tenant)
        rules = {level: _level_rules(level, [layer for layer in layers if layer.level is level], now) for level in Level}
        identity = (
            self._interner.index,
            self._interner.catalogue,
            profile.band,
            strictest,
            (profile.uncategorised, profile.owner) if profile.uncategorised is not None else None,
            settings,
            block,
            is_school,
            group,
            match.zones,
            match.lists,
            scopes,
            _site_class(site, tenant),
            profile.activity,
            (match.tenant, profile.id) if profile.activity == "history" else None,
            tuple(_frozen(level_rules) for level_rules in rules.values()),
        )
        found = self._interner.bases.get(identity)
        if found is None:
            cells, cell_rules = self._cells_of(profile, strictest)
            found = self._interner.bases[identity] = PolicyBase(
                identity=identity,
                band=profile.band,
                bands=frozenset({profile.band} if strictest is None else {profile.band, strictest}),
                cells=cells,
                cell_rules=cell_rules,
                levels=rules,
                list_levels=frozenset(Level) if is_school else frozenset({Level.PROVINCE, Level.PARENT}),
                rewrites=self._rewrites_of(settings),
                canaries=settings.canaries,
                block=block,
                group=group,
                zones=tuple(rpz.client_triggers(match.zones, self._index)),
                lists=match.lists,
                scopes=scopes,
            )
        return found

    def _block(self, profile: Profile, tenant: Tenant | None) -> BlockSettings:
        if profile.block is not None:
            return profile.block
        for owner in (tenant, *self._operators):
            if owner is not None and owner.policy.block is not None:
                return owner.policy.block
        return BlockSettings()

    def _cells_of(self, profile: Profile, strictest: Band | None) -> tuple[Mapping[str, Cell], Mapping[str, Rule]]:
        own = (profile.uncategorised, profile.owner) if profile.uncategorised is not None else None
        found = self._cells.get((profile.band, strictest, own))
        if found is None:
            found = self._cells[profile.band, strictest, own] = _cells(self._catalogue, profile, strictest)
        return found

    def _rewrites_of(self, settings: BandDefaults) -> Mapping[str, Rewrite]:
        wanted = (settings.safe_search, settings.youtube)
        found = self._rewrites.get(wanted)
        if found is None:
            found = self._rewrites[wanted] = rewrites(self._catalogue, *wanted)
        return found


def _scopes(orders: OrderView, site: Site | None, *tenants: Tenant | None) -> frozenset[Scope]:
    """The narrowed scopes of orders that bind a client: those of its own organisation and those of the place where it is."""
    if not orders.scopes:
        return frozenset()
    found: frozenset[Scope] = frozenset()
    for policy in dict.fromkeys(None if tenant is None else tenant.policy.tenant for tenant in tenants):
        tenant = next((one for one in tenants if one is not None and one.policy.tenant == policy), None)
        place = (site.place if site is not None else "") or (tenant.policy.place if tenant is not None else "")
        organisation = tenant.policy.tenant if tenant is not None and tenant.policy.kind != "operator" else ""
        found |= orders.scopes_at(place, organisation)
    return found


def _strictest(band: Band, site: Site | None, claimed: Band | None) -> Band | None:
    """The strictest band that a guest's site serves, or that those who claim it have; None for anyone else and where there is none."""
    if band is not Band.KH:
        return None
    bands = {claimed} if site is None else {claimed, *site.bands}
    return next((band for band in STRICTNESS if band in bands), None)


def _settings(profile: Profile, defaults: BandDefaults) -> BandDefaults:
    return BandDefaults(
        defaults.safe_search if profile.safe_search is None else profile.safe_search,
        defaults.youtube if profile.youtube is None else profile.youtube,
        defaults.canaries if profile.canaries is None else profile.canaries,
    )


def _is_school(site: Site, tenant: Tenant) -> bool:
    return site.site_class == "school" or tenant.policy.kind == "school"


def _site_class(site: Site | None, tenant: Tenant | None) -> str:
    if site is not None:
        return site.site_class
    return tenant.policy.site_class if tenant is not None else "home"


def _cells(catalogue: Catalogue, profile: Profile, strictest: Band | None) -> tuple[Mapping[str, Cell], Mapping[str, Rule]]:
    cells: dict[str, Cell] = {}
    rules: dict[str, Rule] = {}
    band = profile.band
    name = f"band {band}" if strictest is None else f"band {band} ({strictest})"
    for code in (*catalogue.categories, UNCATEGORISED):
        cell = catalogue.cell(code, band)
        if strictest is not None and code != UNCATEGORISED:  # unknown never means allow-list only
            cell = cell.stricter(catalogue.cell(code, strictest))
        cells[code] = cell
        text, kind = (f"category {code}", Reason.MATRIX) if code != UNCATEGORISED else ("in no category", Reason.UNCATEGORISED)
        rules[code] = Rule(RuleOrigin.MATRIX, kind, text, f"{name} {cell.mark}", "matrix", catalogue.version)
    if profile.uncategorised is not None:
        blocked = profile.uncategorised == "block"
        cells[UNCATEGORISED] = Cell(blocked, False, False, "allowlist" if blocked else "allow")
        basis = "allow-list only" if blocked else "allow"
        rules[UNCATEGORISED] = Rule(RuleOrigin(profile.owner), Reason.UNCATEGORISED, "in no category", basis, "profile")
    return cells, rules


def _level_rules(level: Level, layers: Sequence[_Layer], now: float) -> LevelRules:
    origin = RuleOrigin(level)
    off: tuple[float, Rule] | None = None
    openings: list[Opening] = []
    offline: Rule | None = None
    closed: dict[str, Rule] = {}
    only: list[tuple[frozenset[str], Rule]] = []
    services: dict[str, tuple[bool, Rule]] = {}
    categories: dict[str, tuple[bool, Rule]] = {}
    for layer in layers:
        for override in layer.rules.overrides:
            if not override.is_active(now):
                continue
            start = -NEVER if override.start is None else override.start
            rule = Rule(origin, Reason.OVERRIDE, f"{override.kind} {override.id}", f"until {_iso(override.until)}", layer.source)
            if override.kind == "off" and (off is None or start > off[0]):
                off = (start, rule)
            elif override.kind in ("open", "window") and (override.categories or override.services):
                openings.append(Opening(start, override.categories, override.services, override.kind == "window", rule))
        for window in layer.rules.schedule:
            if not window.is_active(now, layer.zone):
                continue
            kind = Reason.OFFLINE if window.effect.kind == "offline" else Reason.SCHEDULE
            rule = Rule(origin, kind, f"window {window.name}", _span(window), layer.source)
            if window.effect.kind == "offline":
                offline = offline or rule
            elif window.effect.kind == "block":
                for code in window.effect.codes:
                    closed.setdefault(code, rule)
            else:
                only.append((window.effect.codes, rule))
        _switches(services, layer.rules.services, origin, Reason.SERVICE, "service", layer.source)
        _switches(categories, layer.rules.categories, origin, Reason.SWITCH, "category", layer.source)
    return LevelRules(level, off, tuple(openings), offline, closed, tuple(only), services, categories)


def _switches(
    table: dict[str, tuple[bool, Rule]], switches: Mapping[str, bool], origin: RuleOrigin, kind: Reason, word: str, source: str
) -> None:
    for name, blocked in switches.items():
        before = table.get(name)
        if before is None or (blocked and not before[0]):  # between two rulesets of one level the stricter switch holds
            table[name] = (blocked, Rule(origin, kind, f"{word} {name} {'block' if blocked else 'allow'}", "", source))


def _names_key(layers: Sequence[_Layer], now: float) -> tuple[object, ...]:
    """A value that is equal for equal names."""
    return tuple((layer.level, layer.source, layer.rules.allow, layer.rules.deny, tuple(_excepting(layer, now))) for layer in layers)


def _excepting(layer: _Layer, now: float) -> Iterable[Override]:
    return (
        override
        for override in layer.rules.overrides
        if override.names and override.kind in ("exception", "open") and override.is_active(now)
    )


def _names(layers: Sequence[_Layer], now: float) -> Mapping[Level, LevelNames]:
    """The names of each level."""
    rules: dict[Level, list[Named]] = {}
    exceptions: dict[Level, list[Named]] = {}
    for layer in layers:
        origin = RuleOrigin(layer.level)
        for blocked, texts in ((False, layer.rules.allow), (True, layer.rules.deny)):
            rules.setdefault(layer.level, []).extend(Named(parse_name_rule(text), blocked, origin, layer.source) for text in texts)
        for override in _excepting(layer, now):
            exceptions.setdefault(layer.level, []).extend(_excepted(override, origin, layer.source))
    return {
        level: LevelNames(_table(rules.get(level, ())), _table(exceptions.get(level, ())))
        for level in Level
        if rules.get(level) or exceptions.get(level)
    }


def _excepted(override: Override, origin: RuleOrigin, source: str) -> Iterable[Named]:
    start = -NEVER if override.start is None else override.start
    word, basis = f"{override.kind} {override.id}", f"until {_iso(override.until)}"
    for text in override.names:
        yield Named(parse_name_rule(text), False, origin, source, Reason.OVERRIDE, word, basis, start)


def _table(rows: Iterable[Named]) -> NameTable:
    by_key: dict[str, tuple[Named, ...]] = {}
    expressions: list[Named] = []
    for row in rows:
        if row.name.expression is not None:
            expressions.append(row)
        else:
            by_key[row.name.key] = (*by_key.get(row.name.key, ()), row)
    return NameTable(by_key, tuple(expressions))


def _layer_boundary(layer: _Layer, now: float) -> float:
    moments = [
        moment for override in layer.rules.overrides for moment in (override.start, override.until) if moment is not None and moment > now
    ]
    return min(next_boundary(layer.rules.schedule, now, layer.zone), *moments, NEVER)


def _frozen(rules: LevelRules) -> tuple[object, ...]:
    return (
        rules.off,
        rules.openings,
        rules.offline,
        tuple(sorted(rules.closed.items(), key=lambda item: item[0])),
        rules.only,
        tuple(sorted(rules.services.items(), key=lambda item: item[0])),
        tuple(sorted(rules.categories.items(), key=lambda item: item[0])),
    )


def _span(window: Window) -> str:
    end = window.end - 1440 if window.end > 1440 else window.end
    return f"{window.start // 60:02}:{window.start % 60:02}-{end // 60:02}:{end % 60:02}"


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
