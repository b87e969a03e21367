"""The values of the policy: bands, levels, rules, verdicts, and what holds for one client at one moment.

Everything is immutable. Verdicts are a closed family, matched exhaustively by the pipeline. Any package may import this module.
RFC 8914 (extended DNS errors), design §5.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from gateway.query import AnswerFacts as AnswerFacts

NEVER: Final = float("inf")
"""A moment that does not come: the `valid_until` of a policy without windows."""

TTL_DEFAULT: Final = 300
"""Seconds a client may keep an allowed answer."""
TTL_SWITCHABLE: Final = 60
"""The same where an owner may switch the category of the name, so that a change is felt within a minute."""
TTL_ORDER: Final = 60
"""Seconds a client may keep the answer of a takedown order."""

EDE_BLOCKED: Final = 15
EDE_CENSORED: Final = 16
EDE_FILTERED: Final = 17


class Band(enum.StrEnum):
    """Age bands; `KH` is a guest or unknown client."""

    MN = "MN"
    TH = "TH"
    CS = "CS"
    PT = "PT"
    NL = "NL"
    KH = "KH"


CHILD_BANDS: Final = frozenset({Band.MN, Band.TH, Band.CS, Band.PT, Band.KH})
"""Bands that a takedown order binds when it names none."""


GOOD_CATEGORIES: Final = frozenset({"edu", "health", "gov", "help"})
"""Categories of tier G: filled by hand and signed, never from a configured list."""


class Level(enum.StrEnum):
    """Whose rule it is, highest first."""

    PROVINCE = "province"
    SCHOOL = "school"
    PARENT = "parent"


class RuleOrigin(enum.StrEnum):
    """Where a rule comes from: the product itself (lines 1 to 4), one of the levels, or the band's matrix."""

    SYSTEM = "system"
    PROVINCE = "province"
    SCHOOL = "school"
    PARENT = "parent"
    MATRIX = "matrix"


class Place(enum.IntEnum):
    """The order in which one level finds its opinion; the first that speaks is the opinion (design §5 line 5)."""

    OVERRIDE = 0
    OFFLINE = 1
    NAME = 2
    OVERLAY = 3
    SERVICE = 4
    CATEGORY = 5


class Reason(enum.StrEnum):
    """Why a verdict fell; bounded, for metrics and for the choice of the block page."""

    OWN_NAME = "own_name"
    SPECIAL_USE = "special_use"
    CANARY = "canary"
    HELP = "help"
    INFRASTRUCTURE = "infrastructure"
    ORDER = "order"
    LEGAL = "legal"
    GOOD = "good"
    OVERRIDE = "override"
    OFFLINE = "offline"
    NAME = "name"
    LIST = "list"
    RPZ = "rpz"
    SCHEDULE = "schedule"
    SERVICE = "service"
    SWITCH = "switch"
    MATRIX = "matrix"
    UNCATEGORISED = "uncategorised"
    SAFE_SEARCH = "safe_search"
    REBINDING = "rebinding"
    UPSTREAM_BLOCK = "upstream_block"
    DEFAULT = "default"


class BlockMode(enum.StrEnum):
    """How a block is answered."""

    ZERO = "zero"
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    REFUSED = "refused"
    PAGE = "page"


Activity = Literal["off", "aggregate", "history"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as a person reads it.

    `kind` is the reason word of the rule, `text` the rule in the words of its owner (`deny *.bad.example`, `category gamb`), `basis` what
    it stands on (an order's number, a list's title), `source` the id of the list, zone, order or file, `version` what identifies its state,
    `appeal` where an order says one may object to it, `issuer` who issued the order.
    """

    origin: RuleOrigin
    kind: Reason
    text: str
    basis: str = ""
    source: str = ""
    version: str = ""
    appeal: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """One Allow that opened a name: whose, at which place, and for which categories (None: for all of them)."""

    level: Level
    place: Place
    categories: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """The name is resolved. `ttl_max` caps the TTL a client is given (seconds). `category` is the one that metrics count, "" for none."""

    rule: Rule | None = None
    ttl_max: int = TTL_DEFAULT
    reason: Reason = Reason.DEFAULT
    grants: tuple[Grant, ...] = ()
    category: str = ""

    @property
    def allowed_at(self) -> Level | None:
        """The highest level whose Allow opened the name; None when it was open anyway."""
        return self.grants[0].level if self.grants else None


@dataclass(frozen=True, slots=True)
class Block:
    """The name is not resolved. `mode` None means the mode of the policy; `ttl` is in seconds."""

    reason: Reason
    category: str
    rule: Rule
    ede: int
    ttl: int
    mode: BlockMode | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The name is answered through another one: a CNAME to `target`, whose addresses are resolved.

    `target` is presentation text without a final dot; `addresses` are used when it cannot be resolved. `engine` is what metrics count.
    `grants` open the chain behind the target as those of a Pass do.
    """

    target: str
    engine: str
    addresses: tuple[str, ...] = ()
    reason: Reason = Reason.SAFE_SEARCH
    rule: Rule | None = None
    ttl_max: int = TTL_DEFAULT
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalRecord:
    """One record of ours: type number, TTL in seconds, RDATA in uncompressed wire form."""

    rtype: int
    ttl: int
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Local:
    """The name is answered from `records` of the type asked; none of that type means no data, or NXDOMAIN when `rcode` is 3."""

    records: tuple[LocalRecord, ...]
    reason: Reason
    rule: Rule | None = None
    rcode: int = 0
    ttl: int = 10


@dataclass(frozen=True, slots=True)
class Drop:
    """No answer at all (an RPZ zone says so)."""

    rule: Rule
    reason: Reason = Reason.RPZ


@dataclass(frozen=True, slots=True)
class TcpOnly:
    """Over UDP the answer is truncated and empty; over TCP `then` holds."""

    rule: Rule
    then: Pass | Rewrite
    reason: Reason = Reason.RPZ


Verdict = Pass | Block | Rewrite | Local | Drop | TcpOnly


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with everything that was weighed: the rules that lost, in the order of the judgement, and the categories of the name."""

    verdict: Verdict
    lost: tuple[Rule, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """How a block is answered by default: `ttl` in seconds, `page_address` IP addresses in text form for mode `page`."""

    mode: BlockMode = BlockMode.ZERO
    ttl: int = 10
    page_address: tuple[str, ...] = ()


class Lent(NamedTuple):
    """A device somebody else uses for a while: under which profile, and until when (unix seconds). It returns by itself."""

    profile: str
    until: float


@dataclass(frozen=True, slots=True)
class Match:
    """Who a client is. `site` and `site_tenant` say where it is, `profile` None means the guest profile of the place.

    `lent` says that somebody else uses the device for a while. `by` says what identified it; `zones` are the client-IP triggers of RPZ
    zones that its address meets (source and action numbers of the index), `lists` the sources with a condition on clients that it meets;
    `is_home`: whoever presents its token says where this home is. `strictest` is the band a client has that several claim (`disputed`).
    """

    client_id: str | None
    profile: str | None
    tenant: str | None
    site: str | None
    known: bool
    site_tenant: str | None = None
    group: str | None = None
    by: Literal["token", "mac", "address", "network", "linked", "site", "default", "disputed"] = "default"
    zones: tuple[tuple[int, int], ...] = ()
    lent: Lent | None = None
    lists: frozenset[int] = frozenset()
    is_home: bool = False
    strictest: Band | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EffectivePolicy:
    """What holds for one client at one moment: profile, overlays and overrides resolved. Compared by identity.

    `id` and `base_id` stay the same while the content does; policies that differ only in personal names share `base_id`. `own_names` are
    the keys that personal rules touch. `valid_until` is the wall time (unix seconds) at which it must be resolved again. `tables` belongs
    to the engine.
    """

    id: int
    base_id: int
    profile_id: str
    tenant: str
    site_class: str
    band: Band
    block: BlockSettings
    canaries: bool
    activity: Activity
    own_names: frozenset[str]
    has_regex: bool
    valid_until: float
    client_ttl_max: int
    tables: object = field(repr=False)

    def touches(self, key: str) -> bool:
        """Whether a personal rule may speak about the name: its answers belong to the table of this policy, not of the base."""
        if self.has_regex:
            return True
        names = self.own_names
        if not names:
            return False
        end = key.find(".") + 1
        while end:
            if key[:end] in names:
                return True
            end = key.find(".", end) + 1
        return False
