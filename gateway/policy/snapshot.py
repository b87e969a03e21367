"""One generation in memory: what the pipeline asks for everything it decides. Read-only, except for what it remembers having worked out.

Loading a generation takes over from the one before whatever did not change: the mapped index, the catalogue, the orders, the policy of
every tenant whose file is the same. Any package may import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from gateway.errors import GenerationError, PolicyFileError
from gateway.policy.catalogue import Catalogue, read_catalogue
from gateway.policy.engine import Engine
from gateway.policy.identify import Directory, Dispute, unmapped
from gateway.policy.index import ListIndex, Source
from gateway.policy.model import AnswerFacts, Decision, EffectivePolicy, Match, Rule, Verdict
from gateway.policy.overlay import Overlay
from gateway.policy.resolve import Interner, Resolver, Tenant
from gateway.policy.rules import PolicyTables
from gateway.policy.segment import open_layer
from gateway.policy.tenant import TenantPolicy, parse_policy_file
from gateway.release import Manifest, read_file, read_manifest

_VERSION_DIGITS = 12


class Snapshot:
    """A loaded generation. Times are wall time in unix seconds; addresses are packed (4 or 16 octets)."""

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        overlay: Overlay,
        tenants: Mapping[str, Tenant],
        directory: Directory,
        interner: Interner,
    ) -> None:
        """Use `load`."""
        self.manifest = manifest
        self.number = manifest.number
        self.order_serial = overlay.serial
        self._engine = engine
        self._overlay = overlay
        self._tenants = tenants
        self._directory = directory
        self._interner = interner
        self._resolver = Resolver(tenants, engine.catalogue, engine.index, overlay, interner)

    @classmethod
    def load(cls, state_dir: Path, number: int, previous: Snapshot | None = None) -> Snapshot:
        """Read and verify generation `number`, reusing what `previous` already holds. Raises GenerationError; nothing is half loaded."""
        manifest = read_manifest(state_dir, number)
        engine = _load_engine(state_dir, manifest, previous)
        overlay = _load_overlay(state_dir, manifest, previous)
        tenants = _load_tenants(state_dir, manifest, previous)
        return cls(manifest, engine, overlay, tenants, _directory(tenants, previous), _interner(engine, previous))

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of this generation."""
        return self._engine.catalogue

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every list, zone and good list of the index; `row` has the times of fetching as compiled."""
        return self._engine.index.sources

    @property
    def tenants(self) -> Mapping[str, TenantPolicy]:
        """The policy of every tenant, by its id."""
        return {name: tenant.policy for name, tenant in self._tenants.items()}

    @property
    def disputes(self) -> tuple[Dispute, ...]:
        """Claims on addresses that cannot hold; who is met by them has the strictest band."""
        return self._directory.disputes

    @property
    def has_address_triggers(self) -> bool:
        """Whether `judge_answer` looks at addresses at all."""
        return bool(self._engine.index.addresses)

    def identify(
        self, address: bytes, local: bytes | None = None, mac: str | None = None, token: str | None = None, *, is_near: bool = False
    ) -> Match:
        """Who asks from `address` at our address `local` (None where the listener cannot tell). `is_near`: from a link of this machine."""
        here = None if local is None else unmapped(local)
        index = self._engine.index
        match = self._directory.identify(unmapped(address), here, mac, token, index.addresses, is_near)
        return self._with_lists(match, unmapped(address)) if index.asks_who else match

    def linked(self, address: bytes, now: float) -> Match | None:
        """The home that has this public address now, None for an address that is nobody's."""
        index = self._engine.index
        match = self._directory.linked(unmapped(address), now, index.addresses)
        return self._with_lists(match, unmapped(address)) if match is not None and index.asks_who else match

    def match_of(self, tenant: str, profile: str | None, site: str | None = None, client: str | None = None) -> Match:
        """The match of a profile or client named outright, for `explain`. Raises KeyError when the tenant has none such."""
        policy = self._tenants[tenant].policy
        if client is not None:
            found = next((row for row in policy.clients if row.id == client), None)
            if found is None:
                raise KeyError(client)
            where = site or found.site
            match = Match(found.id, found.profile, tenant, where, True, tenant if where else None, found.group)
            alone = next((network.address for network in found.networks if network.length == len(network.address) * 8), None)
            return self._with_lists(match, alone)
        if profile is not None:
            where = site or policy.profiles[profile].site
            return self._with_lists(Match(None, profile, tenant, where, True, tenant if where else None), None)
        return self._with_lists(Match(None, policy.default_profile, tenant, site, False, tenant if site else None), None)

    def _with_lists(self, match: Match, address: bytes | None) -> Match:
        """The match with the lists that are for this client. Ids in a list are those of the operator's own settings."""
        owner = self._tenants.get(match.tenant or "")
        own_id = match.client_id if owner is not None and owner.policy.kind == "operator" else None
        lists = self._engine.index.clients_lists(address, own_id)
        return replace(match, lists=lists) if lists else match

    def effective(self, match: Match, now: float) -> EffectivePolicy:
        """What holds for a client at `now`."""
        return self._resolver.effective(match, now)

    def judge(self, key: str, qtype: int, policy: EffectivePolicy) -> Verdict:
        """What becomes of a query: `key` is the index key of its name, `qtype` its type number."""
        return self._engine.judge(key, qtype, policy)

    def is_uniform_below(self, key: str, policy: EffectivePolicy) -> object:
        """A value when all names below this one that no personal rule touches are judged alike, whatever their type: equal for policies
        that judge them alike, too. None when some may be judged apart. Names that end in a canary label, and those that `hides` tells of,
        are not spoken of."""
        return self._engine.is_uniform_below(key, policy)

    def hides(self, policy: EffectivePolicy) -> Callable[[str], bool] | None:
        """What tells of a key whether an order names it under a mask, None where no order does. Nobody can ask what is below a name."""
        return self._engine.hides(policy)

    def judge_answer(self, facts: AnswerFacts, verdict: Verdict, policy: EffectivePolicy, key: str = "", qtype: int = 1) -> Verdict:
        """`verdict` again, or a Block because of what the answer leads to. `key` and `qtype` are those of the query."""
        return self._engine.judge_answer(facts, verdict, policy, key, qtype)

    def explain(self, key: str, qtype: int, policy: EffectivePolicy) -> Decision:
        """The verdict of `judge` with every rule in full and the rules that lost."""
        decision = self._engine.explain(key, qtype, policy)
        known = self._provenance(policy)
        verdict = decision.verdict
        if verdict.rule is not None:
            verdict = replace(verdict, rule=_named(verdict.rule, known))
        return Decision(verdict, tuple(_named(rule, known) for rule in decision.lost), decision.categories)

    def _provenance(self, policy: EffectivePolicy) -> dict[str, tuple[str, str]]:
        """The name and version of the files that the rule sources `operator`, `profile` and `site` stand for, for one policy."""
        tables = policy.tables
        assert isinstance(tables, PolicyTables)
        known: dict[str, tuple[str, str]] = {}
        for tenant in self._tenants.values():
            if tenant.policy.kind == "operator":
                known.setdefault("operator", ("operator", tenant.version))
        if (own := self._tenants.get(policy.tenant)) is not None:
            known["profile"] = (f"profile {policy.profile_id}", own.version)
        if tables.school is not None and (school := self._tenants.get(tables.school[0])) is not None:
            known["site"] = (f"site {tables.school[1]}", school.version)
        return known

    def next_boundary(self, now: float) -> float:
        """The first moment after `now` at which an order begins or ends or a policy handed out so far must be resolved again."""
        return self._resolver.next_boundary(now)


def _named(rule: Rule, known: Mapping[str, tuple[str, str]]) -> Rule:
    """A rule of the shared base with the name and version of the file it stands in for this client."""
    found = known.get(rule.source)
    return rule if found is None else replace(rule, source=found[0], version=found[1])


def _load_engine(state_dir: Path, manifest: Manifest, previous: Snapshot | None) -> Engine:
    same_index = previous is not None and previous.manifest.index_dir == manifest.index_dir
    same_catalogue = previous is not None and previous.manifest.catalogue == manifest.catalogue
    if previous is not None and same_index and same_catalogue:
        return previous._engine
    index = previous._engine.index if previous is not None and same_index else ListIndex(state_dir, manifest.index_dir)
    if previous is not None and same_catalogue:
        catalogue = previous.catalogue
    else:
        name = manifest.catalogue
        catalogue = read_catalogue(read_file(state_dir, name), f"files/{name}", name[:_VERSION_DIGITS])
    return Engine(catalogue, index)


def _load_overlay(state_dir: Path, manifest: Manifest, previous: Snapshot | None) -> Overlay:
    if previous is not None and previous.manifest.orders == manifest.orders:
        return previous._overlay
    orders = manifest.orders
    if orders is None:
        return Overlay(())
    held = {layer.names: layer for layer in previous._overlay.parts} if previous is not None else {}
    return Overlay(serial=orders.serial, layers=[held.get((name,)) or open_layer(state_dir, name) for name in orders.segments])


def _load_tenants(state_dir: Path, manifest: Manifest, previous: Snapshot | None) -> dict[str, Tenant]:
    before = dict(previous.manifest.policies) if previous is not None else {}
    tenants: dict[str, Tenant] = {}
    for name, file in manifest.policies:
        if previous is not None and before.get(name) == file:
            tenants[name] = previous._tenants[name]
        else:
            tenants[name] = Tenant(_read_policy(state_dir, name, file), file[:_VERSION_DIGITS])
    return tenants


def _read_policy(state_dir: Path, name: str, file: str) -> TenantPolicy:
    where = f"files/{file}"
    try:
        policy = parse_policy_file(read_file(state_dir, file))
    except PolicyFileError as error:
        raise GenerationError(where, f"is not a policy file: {error}") from error
    if policy.tenant != name:
        raise GenerationError(where, f"is the policy of {policy.tenant}, not of {name}")
    return policy


def _directory(tenants: Mapping[str, Tenant], previous: Snapshot | None) -> Directory:
    if previous is None:
        return Directory(tenant.policy for tenant in tenants.values())
    before = previous._tenants
    gone = [tenant.policy for name, tenant in before.items() if tenants.get(name) is not tenant]
    come = [tenant.policy for name, tenant in tenants.items() if before.get(name) is not tenant]
    return previous._directory.replaced(gone, come) if gone or come else previous._directory


def _interner(engine: Engine, previous: Snapshot | None) -> Interner:
    index, catalogue = engine.index.name, engine.catalogue.version
    if previous is None:
        return Interner(index, catalogue)
    before = previous._interner
    if before.index == index and before.catalogue == catalogue:
        return before
    return Interner(index, catalogue, before.numbers)
