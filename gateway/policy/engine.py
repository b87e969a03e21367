"""The engine: names in, verdicts out, against one catalogue, one index and the policies of a moment.

`judge` is called for every name that the pipeline has no finished answer for. A name that nothing personal speaks about is answered from a
table per combination of listed names; only the others are weighed one by one. `explain` weighs the same way and keeps what lost.

Line 1 of the judgement (own names, special-use names, records) belongs to the pipeline; the canary names of browsers are answered here,
because a profile switches them. Only this package imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.policy import rpz
from gateway.policy.catalogue import Catalogue, Service
from gateway.policy.index import ListIndex
from gateway.policy.judgement import Judgement, Subject
from gateway.policy.model import (
    EDE_BLOCKED,
    EDE_FILTERED,
    AnswerFacts,
    Block,
    Decision,
    EffectivePolicy,
    Grant,
    Level,
    Local,
    Pass,
    Place,
    Reason,
    Rewrite,
    Rule,
    RuleOrigin,
    TcpOnly,
    Verdict,
)
from gateway.policy.names import Coverage, above
from gateway.policy.rewrite import REWRITTEN_TYPES
from gateway.policy.rules import PolicyBase, PolicyTables

NXDOMAIN: Final = 3
_MOST_REMEMBERED: Final = 16_384
_RANK: Final = {level: rank for rank, level in enumerate(Level)}
ALWAYS_OPEN: Final = frozenset({Reason.HELP, Reason.INFRASTRUCTURE})
_NO_CODES: Final[frozenset[str]] = frozenset()


class Engine:
    """One catalogue and one index. Immutable but for its tables of what it worked out before."""

    def __init__(self, catalogue: Catalogue, index: ListIndex) -> None:
        self.catalogue = catalogue
        self.index = index
        self.version = index.name[:12]
        special = {*catalogue.help, *catalogue.infrastructure, *catalogue.hosts, *catalogue.canaries}
        for engine in catalogue.safe_search:
            special |= engine.keys
        self._special = frozenset(special)
        self._above_special = above(special)
        self._canary_tails = tuple(f".{label}." for label in sorted(catalogue.canary_labels))
        rule = Rule(RuleOrigin.SYSTEM, Reason.CANARY, "canary", source="catalogue", version=catalogue.version)
        self._canary = Local((), Reason.CANARY, rule, NXDOMAIN)
        self._verdicts: dict[tuple[PolicyBase, tuple[int, ...], frozenset[int], tuple[str, ...], bool], Verdict] = {}
        self._targets: dict[tuple[object, ...], Block | None] = {}

    def judge(self, key: str, qtype: int, policy: EffectivePolicy) -> Verdict:
        """What becomes of a query for `key`."""
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        special, orders, names = self._special, tables.orders.names, policy.own_names
        resting = self.index.resting(qtype, tables.base.lists)
        met: tuple[str, ...] = ()
        end = key.find(".") + 1
        while end:
            part = key[:end]
            if part in names or part in orders:
                return self._finish(key, qtype, self._weigh(key, tables, resting), tables)
            if part in special:
                met = (*met, part)
            end = key.find(".", end) + 1
        if (policy.has_regex and tables.is_expressed(key)) or (tables.orders.mapped and tables.orders.is_mapped(key)):
            return self._finish(key, qtype, self._weigh(key, tables, resting), tables)
        # What is left depends on the listed and the special names that cover this one, and on whether the last of them is the name itself.
        state = (tables.base, self.index.lookup(key), resting, met, bool(met) and met[-1] == key)
        verdict = self._verdicts.get(state)
        if verdict is None:
            verdict = self._weigh(key, tables, resting)
            if not isinstance(verdict, Rewrite):  # a zone may rewrite to a name made of the query name
                if len(self._verdicts) >= _MOST_REMEMBERED:
                    self._verdicts = {}
                self._verdicts[state] = verdict
        return self._finish(key, qtype, verdict, tables) if met or key.endswith(self._canary_tails) else verdict

    def is_uniform_below(self, key: str, policy: EffectivePolicy) -> object:
        """A value when all names below `key` that no personal rule touches are judged alike (see `Snapshot`), else None."""
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        orders = tables.orders
        if key in self._above_special or orders.may_touch(key) or self.index.lists_below(key):
            return None
        return tables.base, orders

    def hides(self, policy: EffectivePolicy) -> Callable[[str], bool] | None:
        """What tells of a key whether an order names it under a mask; None where none does (see `Snapshot`)."""
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        return tables.orders.hides if tables.orders.has_masked else None

    def explain(self, key: str, qtype: int, policy: EffectivePolicy) -> Decision:
        """The same verdict with the rules that lost."""
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        canary = self._canary_of(key, tables)
        subject = self._subject(key, self.index.resting(qtype, tables.base.lists))
        decision = Judgement(subject, tables, self.catalogue, self.version, full=True).decide()
        if canary is not None:
            lost = () if decision.verdict.rule is None else (decision.verdict.rule,)
            return Decision(canary, (*lost, *decision.lost), decision.categories)
        verdict = self._rewritten(key, qtype, decision.verdict, tables)
        if verdict is not decision.verdict and isinstance(verdict, Rewrite) and decision.verdict.rule is not None:
            return Decision(verdict, (decision.verdict.rule, *decision.lost), decision.categories)
        return Decision(verdict, decision.lost, decision.categories)

    def judge_answer(self, facts: AnswerFacts, verdict: Verdict, policy: EffectivePolicy, key: str = "", qtype: int = 1) -> Verdict:
        """The same verdict, or a Block because of a target or an address of the answer. `key` and `qtype` are those of the query.

        Targets can only add a Block. Answers of help and infrastructure names are never judged; records of ours neither.
        """
        passed = verdict.then if isinstance(verdict, TcpOnly) else verdict
        if not isinstance(passed, Pass | Rewrite) or passed.reason in ALWAYS_OPEN:
            return verdict
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        is_zone_data = passed.reason is Reason.RPZ
        resting = self.index.resting(qtype, tables.base.lists, is_target=True)
        for target in facts.targets:
            if target != key:
                block = self._judge_target(target, passed, tables, policy, resting, zones=not is_zone_data)
                if block is not None:
                    return block
        if self.index.addresses and not is_zone_data:
            for address in facts.addresses:
                block = self._judge_address(address, passed, tables, key)
                if block is not None:
                    return block
        return verdict

    # one name

    def _weigh(self, key: str, tables: PolicyTables, resting: frozenset[int]) -> Verdict:
        return Judgement(self._subject(key, resting), tables, self.catalogue, self.version).decide().verdict

    def _finish(self, key: str, qtype: int, verdict: Verdict, tables: PolicyTables) -> Verdict:
        """What depends on the name itself and on the type: canaries before everything, safe search after it."""
        return self._canary_of(key, tables) or self._rewritten(key, qtype, verdict, tables)

    def _canary_of(self, key: str, tables: PolicyTables) -> Local | None:
        if not tables.base.canaries:
            return None
        return self._canary if key in self.catalogue.canaries or key.endswith(self._canary_tails) else None

    def _rewritten(self, key: str, qtype: int, verdict: Verdict, tables: PolicyTables) -> Verdict:
        """Safe search, after everything that opened the name; help and infrastructure stay as they are."""
        rewrite = tables.base.rewrites.get(key)
        if rewrite is None or qtype not in REWRITTEN_TYPES:
            return verdict
        if isinstance(verdict, TcpOnly) and isinstance(verdict.then, Pass):
            return replace(verdict, then=_with_grants(rewrite, verdict.then))
        if isinstance(verdict, Pass) and verdict.reason not in ALWAYS_OPEN:
            return _with_grants(rewrite, verdict)
        return verdict

    def _subject(self, key: str, resting: frozenset[int], grants: tuple[Grant, ...] | None = None, *, zones: bool = True) -> Subject:
        catalogue, index = self.catalogue, self.index
        services: tuple[Service, ...] = ()
        codes = _NO_CODES
        is_help = is_infrastructure = False
        end = key.find(".") + 1
        while end:
            part = key[:end]
            if part in self._special:
                at_self = end == len(key)
                hosted = tuple(service for coverage, service in catalogue.hosts.get(part, ()) if coverage.covers(at_self))
                services = hosted or services
                codes = codes.union(*(service.categories for service in hosted))
                is_help = is_help or _covers(catalogue.help.get(part), at_self)
                is_infrastructure = is_infrastructure or _covers(catalogue.infrastructure.get(part), at_self)
            end = key.find(".", end) + 1
        listing = index.listing(index.lookup(key), resting)
        lengths = index.lengths(key) if listing.actions else ()
        return Subject(key, listing, lengths, services, codes, is_help, is_infrastructure, zones, grants)

    # an answer

    def _judge_target(
        self,
        target: str,
        passed: Pass | Rewrite,
        tables: PolicyTables,
        policy: EffectivePolicy,
        resting: frozenset[int],
        *,
        zones: bool,
    ) -> Block | None:
        if policy.touches(target) or self._is_special(target, tables):
            return self._weigh_target(target, passed, tables, resting, zones=zones)
        state = (tables.base, self.index.lookup(target), resting, passed.grants, passed.reason is Reason.GOOD, zones)
        if state in self._targets:
            return self._targets[state]
        block = self._weigh_target(target, passed, tables, resting, zones=zones)
        if len(self._targets) >= _MOST_REMEMBERED:
            self._targets = {}
        self._targets[state] = block
        return block

    def _weigh_target(
        self, target: str, passed: Pass | Rewrite, tables: PolicyTables, resting: frozenset[int], *, zones: bool
    ) -> Block | None:
        subject = self._subject(target, resting, passed.grants, zones=zones)
        judgement = Judgement(subject, tables, self.catalogue, self.version)
        verdict = judgement.decide_against_good() if passed.reason is Reason.GOOD else judgement.decide().verdict
        return verdict if isinstance(verdict, Block) else None

    def _is_special(self, key: str, tables: PolicyTables) -> bool:
        special, orders = self._special, tables.orders.names
        end = key.find(".") + 1
        while end:
            part = key[:end]
            if part in special or part in orders:
                return True
            end = key.find(".", end) + 1
        return tables.orders.is_mapped(key)

    def _judge_address(self, address: bytes, passed: Pass | Rewrite, tables: PolicyTables, key: str) -> Block | None:
        """Response-IP triggers: they stand where a rule by name of the zone's level stands, after the zone's own words about the name."""
        base = tables.base
        found = self.index.addresses.of_response(address)
        if not found or passed.reason is Reason.GOOD:
            return None
        triggers = [
            rpz.Trigger(self.index.sources[source], self.index.actions[action], (2,), "response address") for source, action in found
        ]
        listing = self.index.listing(self.index.lookup(key)) if key else None
        named = rpz.name_triggers(listing.zones, key) if listing is not None else []
        named += base.zones
        for level in Level:
            if level not in base.list_levels or any(_opens(grant, level) for grant in passed.grants):
                continue
            outcome = rpz.decide([*triggers, *named], level, base.group, key, self.version)
            if outcome is not None and outcome.verdict is not None:
                if isinstance(outcome.verdict, Block):
                    return outcome.verdict
                ede = EDE_BLOCKED if level is Level.PROVINCE else EDE_FILTERED
                return Block(Reason.RPZ, "", outcome.rule, ede, base.block.ttl)
        return None


def _with_grants(rewrite: Rewrite, passed: Pass) -> Rewrite:
    return replace(rewrite, grants=passed.grants) if passed.grants else rewrite


def _covers(coverage: Coverage | None, at_self: bool) -> bool:
    return coverage is not None and coverage.covers(at_self)


def _opens(grant: Grant, level: Level) -> bool:
    """Whether an Allow of the query name covers what zones of `level` say about an address of its answer."""
    return grant.categories is None and grant.place <= Place.NAME and _RANK[grant.level] <= _RANK[level]
