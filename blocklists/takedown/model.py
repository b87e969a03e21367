"""The four objects of takedown, their states, and who may act. Values only; anybody in `blocklists` and `admin` may import it.

| object | Vietnamese | life |
|---|---|---|
| report | phản ánh | from anybody; short; ends referred, merged, rejected or approved |
| order | văn bản yêu cầu gỡ chặn | a list authority's document; its items become entries |
| entry | mục chặn | in force between two dates, reversible, never deleted |
| review | đề nghị xem xét lại | ends in a reasoned answer by somebody who decided nothing before |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.errors import LachanError


class TransitionRefused(LachanError):
    """A move that the table does not allow; `code` is stable, the sentences are for people.

    `{n}` in a sentence stands for the number `n`; `pattern` is the English sentence before the number was put in, for a catalogue."""

    def __init__(self, code: str, vi: str, en: str, n: int | None = None) -> None:
        self.code = code
        self.pattern, self.n = en, n
        self.vi, self.en = (vi, en) if n is None else (vi.format(n=n), en.format(n=n))
        super().__init__(self.en)


class NotFound(LachanError):
    """No such object in this office."""


@dataclass(frozen=True, slots=True)
class Office:
    """The list office whose rows are touched: its tenant id, and the keyed digest for the journal (the key never leaves `admin`)."""

    tenant: str
    digest: Callable[[str], str]


MASKED = "csam"
"""Names of this category are shown to nobody but, one by one, to the officers who must decide about them."""


class Kind(StrEnum):
    """Which of the four objects."""

    REPORT = "report"
    ORDER = "order"
    ENTRY = "entry"
    REVIEW = "review"


class State(StrEnum):
    """Every state of the four objects; which belong to which object is told by the transition table."""

    # report
    RECEIVED = "received"
    TRIAGED = "triaged"
    VERIFYING = "verifying"
    PROPOSED = "proposed"
    REFERRED = "referred"
    MERGED = "merged"
    # order
    REGISTERED = "registered"
    PARSED = "parsed"
    VERIFIED = "verified"
    AWAITING_SECOND = "awaiting_second"
    URGENT = "urgent"
    # entry
    PUBLISHING = "publishing"
    PARTIAL = "partial"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    LIFTED = "lifted"
    # review
    REVIEWING = "reviewing"
    UPHELD = "upheld"
    OVERTURNED = "overturned"
    # shared
    APPROVED = "approved"
    REJECTED = "rejected"
    CLOSED = "closed"


IN_FORCE = frozenset({State.PUBLISHING, State.PARTIAL, State.ACTIVE})
"""Entry states in which gateways enforce the entry."""


class Capacity(StrEnum):
    """In what capacity somebody acts. `SYSTEM` is the clock or a gateway's receipt, never a person."""

    PUBLIC = "public"
    VERIFIER = "verifier"
    APPROVER = "approver"
    POLICE_LIAISON = "police_liaison"
    CHILD_LIAISON = "child_liaison"
    SYSTEM = "system"


class Enforceability(StrEnum):
    """Whether DNS can carry out an item, or a person must decide (domain rules of the import)."""

    YES = "yes"
    ASK = "needs_decision"
    URL_PATH = "url_path"
    SHARED_PLATFORM = "shared_platform"
    IP_ONLY = "ip_only"
    PUBLIC_SUFFIX = "public_suffix"
    PROTECTED = "protected"
    INVALID = "invalid"

    @property
    def is_enforced(self) -> bool:
        """Whether the item becomes an entry without another decision."""
        return self is Enforceability.YES


class Match(StrEnum):
    """How much of a name an entry covers."""

    BOTH = "both"
    EXACT = "exact"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a random account id, the capacity, the organisation; nothing that names a person."""

    account: str
    capacity: Capacity
    organisation: str = ""


SYSTEM = Actor("system", Capacity.SYSTEM)


@dataclass(frozen=True, slots=True)
class Case:
    """What a decision needs to know about an object. The store builds it from rows; tests build it by hand.

    Times are aware datetimes in UTC. `verified_by`, `approved_by` and `second_by` are account ids or None. For a review they are those
    of the entry it asks about. `provisional_since` is when an entry without an order number first came into force,
    `withdrawn` says that a return took it out.
    """

    kind: Kind
    state: State
    category: str = "order"
    has_number: bool = False
    has_law: bool = False
    urgent: bool = False
    verified_by: str | None = None
    approved_by: str | None = None
    second_by: str | None = None
    needs_second: bool = False
    is_state_host: bool = False
    held: bool = False
    undecided_items: int = 0
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    no_end: bool = False
    provisional_since: datetime | None = None
    withdrawn: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A move that the table allowed: the journal's row and the store's update are made from it."""

    kind: Kind
    verb: str
    before: State
    after: State
    actor: Actor
    at: datetime
    reason: str = ""
