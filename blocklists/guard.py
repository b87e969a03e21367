"""What no list and no order may block, whoever wrote it. Pure; `blocklists` and `admin` may import this module.

| protected | from whom | what is refused |
|---|---|---|
| public suffixes (`com.vn`, single labels) | everybody, also as an allow | the suffix itself |
| help names | everybody who blocks | the name and everything below (a name above stays listed: the policy opens help first) |
| infrastructure (time, certificates, updates) | everybody who blocks | the same, as far as its entry says |
| servers the gateway itself uses | everybody who blocks | the name itself; an order or policy zone also not through a name above |
| shared platforms | orders, lists of tier L and H | the platform, names above it, its faces (`www.`, `m.`); for orders also below |
| suffixes shared by many owners (`github.io`) | orders, lists of tier L and H | the suffix itself |
| protected groups (banks, hospitals, state services …) | orders, lists of tier L and H | the name, names above and below it |

Lists of tier D, lists with an action, policy zones and the services catalogue may name platforms: that is what switches are for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from blocklists.normalize import Host, name_of_key, normalize_host
from blocklists.parsers import Match
from blocklists.rejections import Reason
from blocklists.suffixes import Suffixes, parent_of, suffixes
from gateway.wire.name import covering_keys

Tier = Literal["L", "H", "D", "G"]

FACES: Final = ("www", "m", "mobile", "web", "touch", "mbasic", "app", "vi", "vi-vn", "vn", "en")
"""First labels under which a platform shows itself as a whole."""

STATE_SUFFIXES: Final = ("vn.gov.", "vn.edu.")
"""Below these an order needs two approvers and lives seven days at most: such sites are mostly hacked, not harmful."""

_AFTER: Final = "/"  # sorts right behind "." and before every letter, so key + rest of range is [key, key[:-1] + "/")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks for an entry: may it name platforms (`strict` says no), is it an order, does it block at all."""

    name: str
    strict: bool = False
    is_order: bool = False
    blocks: bool = True


ORDER: Final = Origin("order", strict=True, is_order=True)
RPZ: Final = Origin("rpz")
CATALOGUE: Final = Origin("catalogue")
ALLOW: Final = Origin("allow", blocks=False)


def listed(tier: Tier | None, action: str | None) -> Origin:
    """The origin of a list: of a category (its tier) or with an action of its own."""
    if action == "allow" or tier == "G":
        return ALLOW
    return Origin("list", strict=action is None and tier in ("L", "H"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry that is not taken: which, why, and which protected name it would have hit."""

    key: str
    reason: Reason
    because: str

    @property
    def name(self) -> str:
        """The refused name."""
        return name_of_key(self.key)

    @property
    def vi(self) -> str:
        """The refusal in Vietnamese."""
        return f"{self.reason.vi}: {self.because}"

    @property
    def en(self) -> str:
        """The refusal in English."""
        return f"{self.reason.en}: {self.because}"


@dataclass(frozen=True, slots=True)
class _Named:
    """Protected names: those that protect themselves alone and those that protect what is below them too."""

    exact: frozenset[str]
    deep: frozenset[str]

    def hit(self, key: str, match: Match) -> str | None:
        """The protected name that an entry names: the name itself, or one it lies at or below."""
        if key in self.deep or (key in self.exact and match is not Match.BELOW):
            return key
        return next((above for above in covering_keys(key)[:-1] if above in self.deep), None)


@dataclass(frozen=True, slots=True)
class Guard:
    """Everything protected, ready to judge. Made by `Guard.of`."""

    suffixes: Suffixes
    help: _Named
    infrastructure: _Named
    own: frozenset[str]
    platforms: frozenset[str]
    tenants: frozenset[str]
    protected: _Named
    above_own: Mapping[str, str] = field(repr=False)
    above_platforms: Mapping[str, str] = field(repr=False)
    above_protected: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, catalogue: Mapping[str, Any], own_names: Iterable[str] = ()) -> Guard:  # Any: the catalogue's JSON
        """The guard of a catalogue document; `own_names` are hosts that the gateway itself talks to."""
        platforms = frozenset(_keys(catalogue.get("platforms", ())))
        tenants = frozenset(_keys((catalogue.get("extras") or {}).get("platform_tenants", ())))
        protected = _named(catalogue.get("protected", ()))
        own = frozenset(_keys(own_names))
        return cls(
            suffixes=suffixes(),
            help=_named(catalogue.get("help", ())),
            infrastructure=_named(catalogue.get("infrastructure", ())),
            own=own,
            platforms=platforms | tenants,
            tenants=tenants,
            protected=protected,
            above_own=_above(own),
            above_platforms=_above(platforms | tenants),
            above_protected=_above(protected.exact | protected.deep),
        )

    def judge(self, key: str, match: Match, origin: Origin) -> Refusal | None:
        """Why an entry is not taken, None when it is. `key` is not the root."""
        if self.suffixes.is_public(key):
            return Refusal(key, Reason.PUBLIC_SUFFIX, name_of_key(key))
        if not origin.blocks:
            return None
        for named, reason in ((self.help, Reason.HELP_NAME), (self.infrastructure, Reason.INFRASTRUCTURE)):
            hit = named.hit(key, match)
            if hit is not None:
                return Refusal(key, reason, name_of_key(hit))
        own = key if key in self.own and match is not Match.BELOW else None
        if own is None and match is not Match.EXACT and (origin.is_order or origin is RPZ):
            own = self.above_own.get(key)
        if own is not None:
            return Refusal(key, Reason.OWN_NAME, name_of_key(own))
        return self._judge_strictly(key, match, origin) if origin.strict else None

    def _judge_strictly(self, key: str, match: Match, origin: Origin) -> Refusal | None:
        platform = self._platform(key, match, origin)
        if platform is not None:
            return Refusal(key, Reason.SHARED_PLATFORM, name_of_key(platform))
        if self.suffixes.is_shared(key):
            return Refusal(key, Reason.SHARED_SUFFIX, name_of_key(key))
        protected = self.protected.hit(key, match)
        if protected is None and match is not Match.EXACT:
            protected = self.above_protected.get(key)
        return Refusal(key, Reason.PROTECTED, name_of_key(protected)) if protected is not None else None

    def _platform(self, key: str, match: Match, origin: Origin) -> str | None:
        if key in self.platforms:
            return key
        if match is not Match.EXACT and key in self.above_platforms:
            return self.above_platforms[key]
        parent = parent_of(key)
        if parent in self.platforms and key[len(parent) : -1] in FACES:
            return parent
        if not origin.is_order:
            return None
        # An order may name one tenant of a platform (`bad.github.io`), but nothing else below one.
        for above in reversed(covering_keys(key)[:-1]):
            if above in self.tenants or self.suffixes.is_shared(above):
                return None
            if above in self.platforms:
                return above
        return None

    def needs_second_approver(self, key: str) -> bool:
        """Whether an order for this name needs two approvers: state and school suffixes, and every protected group."""
        return key.startswith(STATE_SUFFIXES) or self.protected.hit(key, Match.BOTH) is not None or key in self.above_protected

    def sweep(self, keys: Sequence[str], match: Match, origin: Origin) -> list[Refusal]:
        """The refusals among sorted keys. Cost grows with what is protected, not with the list: a million keys take a tenth of a second."""
        found = {key for key in keys if key.find(".") == len(key) - 1}
        found |= self.suffixes.registry.keys.intersection(keys)
        found |= self.suffixes.shared.keys.intersection(keys) if origin.strict else set()
        for part in (self.suffixes.registry, self.suffixes.shared) if origin.strict else (self.suffixes.registry,):
            for root in part.wildcards:
                found.update(key for key in _range(keys, root) if key.count(".") == root.count(".") + 1)
        if origin.blocks:
            points = self.own | self.help.exact | self.infrastructure.exact | self.above_own.keys()
            deep = self.help.deep | self.infrastructure.deep
            if origin.strict:
                points |= self.above_platforms.keys() | self.above_protected.keys() | self.protected.exact
                deep |= self.protected.deep | self.platforms
            found.update(points.intersection(keys))
            for root in deep:
                found.update(_range(keys, root))
        return [refusal for key in sorted(found) if (refusal := self.judge(key, match, origin))]

    def holes(self, keys: Sequence[str], match: Match) -> list[str]:
        """Own names that entries of a list would cover from above: they become exceptions of that list."""
        if match is Match.EXACT:
            return []
        above = self.above_own.keys() & set(keys) if len(keys) < len(self.above_own) else set(self.above_own).intersection(keys)
        return sorted({own for own in self.own if any(key in above for key in covering_keys(own)[:-1])})


def _range(keys: Sequence[str], root: str) -> Sequence[str]:
    """The part of sorted keys that lies at or below `root`."""
    start = bisect_left(keys, root)
    return keys[start : bisect_left(keys, root[:-1] + _AFTER, start)]


def _keys(names: Iterable[str]) -> list[str]:
    hosts = [normalize_host(name) for name in names]
    return [host.key for host in hosts if isinstance(host, Host)]


def _named(rows: Iterable[Any]) -> _Named:  # Any: text, or an object with a name and a match
    exact: set[str] = set()
    deep: set[str] = set()
    for row in rows:
        name, match = (row, "both") if isinstance(row, str) else (row["name"], row.get("match", "both"))
        (exact if match == "exact" else deep).update(_keys([name]))
    return _Named(frozenset(exact), frozenset(deep))


def _above(keys: Iterable[str]) -> dict[str, str]:
    """Every name above one of `keys`, and which of them it covers (the first in order)."""
    found: dict[str, str] = {}
    for key in sorted(keys):
        for above in covering_keys(key)[:-1]:
            found.setdefault(above, key)
    return found


@dataclass(frozen=True, slots=True)
class ChangeLimits:
    """When a new copy of a list is held for a person: a change beyond `share` of the entries, looked at from `floor` entries on;
    more than `jump` new entries at once, whatever the share."""

    share: float = 0.5
    floor: int = 500
    jump: int = 16_000


@dataclass(frozen=True, slots=True)
class Hold:
    """A new copy that waits for a person, and why."""

    before: int
    after: int
    vi: str
    en: str


def judge_change(before: int | None, after: int, limits: ChangeLimits) -> Hold | None:
    """Whether a list that had `before` entries may have `after` now. A first copy is never held, an emptied one always."""
    if before is None or before == after:
        return None
    if before > 0 and after == 0:
        return Hold(before, after, f"danh sách trở thành rỗng (trước có {before} mục)", f"the list became empty (it had {before} entries)")
    if max(before, after) < limits.floor:
        return None
    if abs(after - before) > limits.share * before:
        vi = f"số mục đổi đột ngột từ {before} thành {after}"
        return Hold(before, after, vi, f"the number of entries jumped from {before} to {after}")
    if after - before >= limits.jump:
        return Hold(before, after, f"{after - before} mục mới cùng một lúc", f"{after - before} new entries at once")
    return None
