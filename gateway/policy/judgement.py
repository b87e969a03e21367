"""The order of the judgement, design §5 with the review's wording: from everything that speaks about a name to one verdict.

Lines 2 to 4 come first: help and infrastructure open, orders and tier L closed, good lists open. Then, for each category of the name (or
for `uncategorised` when it has none), every level has at most one opinion, and the matrix cell of the band gives the default:

* a Block of a level stands, unless a level above it has an Allow that comes no later in the order of line 5 (a standing "allowed" of the
  school does not undo a parent's bedtime; a rule by name undoes a switch below it);
* with no standing Block, an Allow opens what the matrix blocks by default, but never a locked cell;
* with neither, the cell decides.

The name is open when every one of its categories is open, so the strictest decides. The targets of an answer are judged by the same order
with the Allows that opened the query name beside their own levels; what is about everything (offline, "only", names in no category) is not
asked again.

Pure functions of prepared values; the engine of this package imports this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.policy import rpz
from gateway.policy.catalogue import LEGAL_TIER, UNCATEGORISED, Catalogue, Cell, Service
from gateway.policy.index import Hit, Listing
from gateway.policy.model import (
    EDE_BLOCKED,
    EDE_CENSORED,
    EDE_FILTERED,
    TTL_DEFAULT,
    TTL_ORDER,
    TTL_SWITCHABLE,
    Block,
    Decision,
    Drop,
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
from gateway.policy.names import Coverage
from gateway.policy.overlay import Order
from gateway.policy.rules import LevelRules, Named, Opinion, PolicyBase, PolicyTables

_RANK = {level: rank for rank, level in enumerate(Level)}
_TIERS = {"L": 0, "H": 1, "D": 2, "G": 3}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known about the name before anyone's rules: what the lists say, and how long the listed keys are.

    `services` are those of the longest host name that covers it, `service_codes` the categories of all that do.
    `grants` is None for a query name; for a target of its answer it holds the Allows that opened the query name.
    `zones` says whether response policy zones are asked.
    """

    key: str
    listing: Listing
    lengths: Sequence[int]
    services: tuple[Service, ...]
    service_codes: frozenset[str]
    help: bool
    infrastructure: bool
    zones: bool = True
    grants: tuple[Grant, ...] | None = None

    @property
    def is_target(self) -> bool:
        """Whether this is a target of an answer."""
        return self.grants is not None


@dataclass(frozen=True, slots=True)
class _Own:
    """What one level says about the name whatever its category: a timed exception, and the rule by name or zone that leads."""

    exception: Named | None
    leading: Opinion | None
    tcp_only: Rule | None
    lost: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class _Result:
    """How one category came out. `winner` is the opinion that decided, None when the matrix did."""

    code: str
    cell: Cell
    blocked: bool
    winner: Opinion | None


class Judgement:
    """One name before one policy. `decide` gives the verdict; the rules that lost are gathered when `full` is set."""

    __slots__ = ("_base", "_catalogue", "_full", "_lost", "_own", "_subject", "_tables", "_version")

    def __init__(self, subject: Subject, tables: PolicyTables, catalogue: Catalogue, version: str, *, full: bool = False) -> None:
        """`version` names the state of the lists."""
        self._subject = subject
        self._tables = tables
        self._base: PolicyBase = tables.base
        self._catalogue = catalogue
        self._version = version
        self._full = full
        self._lost: list[Rule] = []
        self._own: dict[Level, _Own] = {}

    def decide(self) -> Decision:
        """The verdict, what lost, and the categories of the name."""
        subject = self._subject
        codes = self._codes()
        verdict = self._final(codes) or self._good(codes) or self._weigh(codes)
        decided = verdict.rule
        lost = tuple(dict.fromkeys(rule for rule in self._lost if rule != decided)) if self._full else ()
        good = (subject.listing.good.category,) if subject.listing.good is not None and subject.listing.good.category else ()
        return Decision(verdict, lost, (*good, *(code for code in codes if code not in good)))

    def decide_against_good(self) -> Verdict | None:
        """For a target of a good name's answer: a Block of lines 1 to 3 or of a name that a school or a parent wrote, else None."""
        final = self._final(self._codes())
        if final is not None:
            return final
        closing = self._closing()
        return None if closing is None else self._blocked(closing, "")

    # lines 2 to 4

    def _final(self, codes: Sequence[str]) -> Verdict | None:
        """Lines 2 and 3: nobody below can change them."""
        subject, base = self._subject, self._base
        orders = self._tables.orders.find(subject.key, base.bands, base.scopes)
        legal = [code for code in codes if self._catalogue.tier(code) == LEGAL_TIER and base.cells[code].blocked]
        if subject.help or subject.infrastructure:
            reason = Reason.HELP if subject.help else Reason.INFRASTRUCTURE
            self._lose_lines(orders, legal)
            return Pass(
                Rule(RuleOrigin.SYSTEM, reason, reason.value, source="catalogue", version=self._catalogue.version), TTL_DEFAULT, reason
            )
        if orders:
            self._lose_lines(orders[1:], legal)
            return Block(Reason.ORDER, orders[0].category, self._order_rule(orders[0]), EDE_CENSORED, TTL_ORDER)
        if legal:
            self._lose_lines([], legal[1:])
            return Block(Reason.LEGAL, legal[0], self._list_rule(legal[0], Reason.LEGAL), EDE_BLOCKED, base.block.ttl)
        return None

    def _lose_lines(self, orders: Sequence[Order], legal: Sequence[str]) -> None:
        if self._full:
            self._lost.extend(self._order_rule(order) for order in orders)
            self._lost.extend(self._list_rule(code, Reason.LEGAL) for code in legal)

    def _good(self, codes: Sequence[str]) -> Verdict | None:
        """Line 4: a good list opens; only a name that a school or a parent wrote closes it."""
        good = self._subject.listing.good
        if good is None:
            return None
        text = f"good list {good.category or good.id}"
        rule = Rule(RuleOrigin.SYSTEM, Reason.GOOD, text, good.title, good.id, self._version)
        closing = self._closing()
        if closing is not None:
            self._lose(rule)
            return self._blocked(closing, "")
        if self._full:
            self._lost.extend(self._cell_rule(code) for code in codes if self._base.cells[code].blocked)
        return Pass(rule, TTL_DEFAULT, Reason.GOOD, category=good.category or "")

    def _closing(self) -> Opinion | None:
        opened_above = False
        for level in Level:
            own = self._own_of(level)
            leading = own.leading
            denied = level is not Level.PROVINCE and leading is not None and leading.blocked and leading.typed
            if denied and own.exception is None and not opened_above:
                return leading
            if denied and leading is not None:
                self._lose(leading.rule)
            opened_above = opened_above or own.exception is not None or (leading is not None and not leading.blocked)
        return None

    # lines 5 to 7

    def _weigh(self, codes: Sequence[str]) -> Verdict:
        subject = self._subject
        results = [self._result(code) for code in (codes or (UNCATEGORISED,))]
        blocked = [result for result in results if result.blocked]
        if blocked:
            first = min(blocked, key=self._weight)
            if self._full:
                self._lose(*(self._rule_of(result) for result in results if result is not first))
            code = "" if first.code == UNCATEGORISED else first.code
            if first.winner is not None:
                return self._blocked(first.winner, code)
            rule = self._rule_of(first)
            reason = Reason.UNCATEGORISED if first.code == UNCATEGORISED else Reason.MATRIX
            return Block(reason, code, rule, EDE_FILTERED, self._base.block.ttl)
        opened = [result for result in results if result.winner is not None]
        first = min(opened or results, key=self._weight)
        if self._full:
            self._lose(*(self._rule_of(result) for result in results if result is not first))
        passed = Pass(
            self._rule_of(first),
            TTL_SWITCHABLE if self._is_switchable(results) else TTL_DEFAULT,
            first.winner.rule.kind if first.winner is not None else Reason.DEFAULT,
            self._grants(codes),
            "" if first.code == UNCATEGORISED else first.code,
        )
        tcp_only = None if subject.is_target else next((own.tcp_only for own in map(self._own_of, Level) if own.tcp_only is not None), None)
        return passed if tcp_only is None else TcpOnly(tcp_only, passed)

    def _result(self, code: str) -> _Result:
        """Lines 5 to 7 for one category."""
        base, subject = self._base, self._subject
        cell = base.cells[code]
        if subject.is_target and code == UNCATEGORISED:
            cell = Cell(False, False, False, cell.mark)  # allow-list-only judges the query name alone
        opinions: list[Opinion] = []
        for level in Level:
            said = self._opinions(level, code)
            first = next(said, None)
            if self._full:
                self._lose(*(opinion.rule for opinion in said), *self._own_of(level).lost)
            for grant in subject.grants or ():
                if (
                    grant.level is level
                    and (grant.categories is None or code in grant.categories)
                    and (first is None or first.place > grant.place)
                ):
                    first = Opinion(level, grant.place, False, base.cell_rules[code], scope=grant.categories)
            if first is not None:
                opinions.append(first)
        for opinion in opinions:
            if opinion.blocked and not any(_cancels(other, opinion) for other in opinions):
                return self._came_out(_Result(code, cell, True, opinion), opinions)
        allow = next((opinion for opinion in opinions if not opinion.blocked), None)
        if allow is None or (cell.blocked and cell.locked):
            return self._came_out(_Result(code, cell, cell.blocked, None), opinions)
        return self._came_out(_Result(code, cell, False, allow), opinions)

    def _came_out(self, result: _Result, opinions: Sequence[Opinion]) -> _Result:
        if self._full:
            self._lost.extend(opinion.rule for opinion in opinions if opinion is not result.winner)
            if result.winner is not None:
                self._lost.append(self._cell_rule(result.code))
        return result

    def _opinions(self, level: Level, code: str) -> Iterator[Opinion]:
        """Everything one level says about the name in one category, in the order of line 5; the first is its opinion."""
        rules = self._base.levels[level]
        own = self._own_of(level)
        yield from self._timed(level, rules, own, code)
        if rules.offline is not None and not self._subject.is_target:
            yield Opinion(level, Place.OFFLINE, True, rules.offline)
        if own.leading is not None:
            yield own.leading
        closed = rules.closed.get(code)
        if closed is not None:
            yield Opinion(level, Place.OVERLAY, True, closed)
        if not self._subject.is_target:
            for codes, rule in rules.only:
                if code not in codes:
                    yield Opinion(level, Place.OVERLAY, True, rule)
        switched = [rules.services[service.id] for service in self._subject.services if service.id in rules.services]
        for blocked, rule in sorted(switched, key=lambda switch: switch[0]):  # allow first, as with names on a tie
            yield Opinion(level, Place.SERVICE, blocked, rule)
        switch = rules.categories.get(code)
        if switch is not None:
            yield Opinion(level, Place.CATEGORY, switch[0], switch[1], scope=frozenset((code,)))

    def _timed(self, level: Level, rules: LevelRules, own: _Own, code: str) -> list[Opinion]:
        """Timed overrides that speak about the name in this category: the latest begun first, `off` first on a tie."""
        said: list[tuple[float, bool, Opinion]] = []
        if own.exception is not None:
            said.append((own.exception.start, False, Opinion(level, Place.OVERRIDE, False, own.exception.rule)))
        for opening in rules.openings:
            if any(service.id in opening.services for service in self._subject.services):
                said.append((opening.start, False, Opinion(level, Place.OVERRIDE, False, opening.rule)))
            elif code in opening.categories and (not opening.delegated or self._catalogue.is_delegable(code)):
                said.append((opening.start, False, Opinion(level, Place.OVERRIDE, False, opening.rule, scope=frozenset((code,)))))
        if rules.off is not None and not self._subject.is_target:
            said.append((rules.off[0], True, Opinion(level, Place.OVERRIDE, True, rules.off[1])))
        said.sort(key=lambda row: (row[0], row[1]), reverse=True)
        return [opinion for _, _, opinion in said]

    def _own_of(self, level: Level) -> _Own:
        found = self._own.get(level)
        if found is None:
            found = self._own[level] = self._find_own(level)
        return found

    def _find_own(self, level: Level) -> _Own:
        """A level's exception and its leading rule by name: the most specific of its names and lists, else what its zones say."""
        subject, base = self._subject, self._base
        names = self._tables.names.get(level)
        exceptions = names.exceptions.find(subject.key) if names is not None else []
        exception = max(exceptions, key=lambda named: named.start, default=None)
        said: list[tuple[tuple[int, int], bool, Opinion]] = [
            (named.rank(), named.blocked, Opinion(level, Place.NAME, named.blocked, named.rule, typed=True))
            for named in (names.rules.find(subject.key) if names is not None else ())
        ]
        tcp_only = None
        lists = level in base.list_levels
        if lists:
            said.extend(self._listed(level, hit) for hit in subject.listing.actions if hit.entry.source.level is level)
        said.sort(key=lambda row: (row[0], row[1]))
        opinions = [opinion for _, _, opinion in said]
        if lists and subject.zones and (subject.listing.zones or base.zones):
            outcome = rpz.decide(self._triggers(), level, base.group, subject.key, self._version)
            if outcome is not None and outcome.verdict is not None:
                opinions.append(Opinion(level, Place.NAME, True, outcome.rule, outcome.verdict))
            elif outcome is not None and outcome.tcp_only and not opinions:
                tcp_only = outcome.rule
        lost = tuple(opinion.rule for opinion in opinions[1:])
        return _Own(exception, opinions[0] if opinions else None, tcp_only, lost)

    def _listed(self, level: Level, hit: Hit) -> tuple[tuple[int, int], bool, Opinion]:
        """What a list says by name: allow, block, or (where the operator lets a list rewrite) an answer of its own."""
        source, action = hit.entry.source, hit.entry.action
        blocked = action is not None or not source.allows
        word = "answer" if action is not None else "block" if blocked else "allow"
        rule = Rule(RuleOrigin(level), Reason.LIST, f"list {source.id} {word}", source.title, source.id, self._version)
        verdict = None if action is None else Local(rpz.records_of(action), Reason.LIST, rule)
        rank = (0, 0) if hit.entry.coverage is Coverage.EXACT else (1, -self._subject.lengths[hit.place])
        return rank, blocked, Opinion(level, Place.NAME, blocked, rule, verdict)

    def _triggers(self) -> list[rpz.Trigger]:
        named = rpz.name_triggers(self._subject.listing.zones, self._subject.key)
        return named if self._subject.is_target else [*self._base.zones, *named]

    # what a result becomes

    def _blocked(self, opinion: Opinion, code: str) -> Verdict:
        """The verdict of a standing Block: that of its zone, or an ordinary block."""
        verdict = opinion.verdict
        if verdict is not None and not self._subject.is_target:
            return verdict
        if isinstance(verdict, Block):
            return verdict
        if isinstance(verdict, Local | Rewrite | Drop):
            return Block(Reason.RPZ, code, opinion.rule, EDE_FILTERED, self._base.block.ttl)
        ede = EDE_BLOCKED if opinion.level is Level.PROVINCE else EDE_FILTERED
        return Block(opinion.rule.kind, code, opinion.rule, ede, self._base.block.ttl)

    def _grants(self, codes: Sequence[str]) -> tuple[Grant, ...]:
        """Every Allow that speaks about the name, highest level first, for the targets of its answer."""
        grants: dict[Grant, None] = {}
        for level in Level:
            for code in codes or (UNCATEGORISED,):
                opinion = next(self._opinions(level, code), None)
                if opinion is not None and not opinion.blocked:
                    grants[Grant(level, opinion.place, opinion.scope)] = None
        return tuple(grants)

    def _is_switchable(self, results: Sequence[_Result]) -> bool:
        if self._subject.services:
            return True
        return any(result.winner is not None or (result.code != UNCATEGORISED and not result.cell.locked) for result in results)

    def _weight(self, result: _Result) -> tuple[int, int, int, str]:
        """Which of several results is named: the highest level's, then the matrix's; the gravest category first."""
        tier = _TIERS[self._catalogue.tier(result.code)]
        if result.winner is None:
            return len(_RANK), 0, tier, result.code
        return _RANK[result.winner.level], result.winner.place, tier, result.code

    def _rule_of(self, result: _Result) -> Rule:
        return result.winner.rule if result.winner is not None else self._cell_rule(result.code)

    def _cell_rule(self, code: str) -> Rule:
        return self._base.cell_rules[code] if code == UNCATEGORISED else self._list_rule(code, Reason.MATRIX)

    def _codes(self) -> list[str]:
        """The categories of the name, those of its services among them; orders alone fill what is theirs."""
        catalogue = self._catalogue
        found = self._subject.service_codes.union(self._subject.listing.categories)
        return sorted(code for code in found if code in self._base.cells and code not in catalogue.order_only and code != UNCATEGORISED)

    def _list_rule(self, code: str, kind: Reason) -> Rule:
        source = self._subject.listing.categories.get(code)
        cell_rule = self._base.cell_rules[code]
        origin = RuleOrigin.SYSTEM if kind is Reason.LEGAL else RuleOrigin.MATRIX
        if source is None:
            return Rule(origin, kind, cell_rule.text, cell_rule.basis, "services", self._catalogue.version)
        basis = f"{cell_rule.basis}, {source.title}" if cell_rule.basis else source.title
        return Rule(origin, kind, cell_rule.text, basis, source.id, self._version)

    def _order_rule(self, order: Order) -> Rule:
        text, basis = f"order {order.number}", "; ".join(order.basis)
        return Rule(RuleOrigin.SYSTEM, Reason.ORDER, text, basis, "orders", order.id, order.appeal, order.issuer)

    def _lose(self, *rules: Rule) -> None:
        if self._full:
            self._lost.extend(rules)


def _cancels(other: Opinion, block: Opinion) -> bool:
    """Whether an Allow of a level above undoes a Block: it comes no later in the order of line 5."""
    return not other.blocked and _RANK[other.level] < _RANK[block.level] and other.place <= block.place
