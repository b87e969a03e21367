"""What the API tells of a list office's road: its inbox, reviews, signing, gateways with receipts, stages, numbers, the public look-up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from admin.officeschemas import EntryOut, ReviewOut, StepOut
from admin.schemas import In
from blocklists.tables import Role

Share = Annotated[int, Field(ge=1, le=99)]
Minutes = Annotated[int, Field(ge=1, le=24 * 60)]


class SentOut(In):
    """An address on a platform that was sent on and has no outcome yet."""

    order: str
    symbol: str
    platform: str
    forwarded_to: str
    forwarded_at: datetime
    due_at: datetime
    overdue: bool


class OwnerOut(In):
    """A state site whose owner is still to be told."""

    entry: str
    name: str
    due_at: datetime
    overdue: bool


class InboxOut(In):
    """What waits: how many of each kind, how many are overdue, and what has no list of its own. `unsigned`: the newest version waits for a
    signature; `looked_in_by`: documents by which an operator looked into a place in the last days, for those who read that (no
    key has a scope for it: `[]`)."""

    overdue: int
    orders: int
    reviews: int
    reports: int
    returns: int
    expiring: list[EntryOut]
    endless: list[EntryOut]
    platforms: list[SentOut]
    owners: list[OwnerOut]
    unsigned: bool
    looked_in_by: list[str]


class ReviewDetailOut(In):
    """A request to look again, with the document it asks about and the steps that are open to this caller."""

    review: ReviewOut
    note: str
    symbol: str | None
    escalated_at: datetime | None
    decided_at: datetime | None
    decision: str
    history: list[StepOut]
    steps: list[str]


class ProposalOut(In):
    """A role that was proposed, and whether another officer has agreed. No link is told."""

    id: str
    role: Role
    basis: str
    agreed: bool


class KeyOut(In):
    """An officer's signing key: whose, by the account's id; `fingerprint`: its id in a root; `admitted`: whether the root names it;
    `withdrawal_asked`: whether an officer wants it withdrawn."""

    id: str
    account: str
    role: Role
    fingerprint: str
    since: datetime
    admitted: bool
    withdrawal_asked: bool


class WaitingOut(In):
    """How many signatures there are, and how many are needed."""

    have: int
    needed: int


class SigningOut(In):
    """How signing stands; no secret is in it. `by_command`: keys are kept elsewhere. `threshold`: how many approvers must sign,
    `threshold_wanted`: from the next root on."""

    begun: bool
    by_command: bool
    serial: int | None
    unsigned: bool
    ends_at: datetime | None
    root_version: int
    root_ends_at: datetime | None
    fingerprint: str
    words: str
    threshold: int
    threshold_wanted: int
    release: WaitingOut | None
    root: WaitingOut | None
    server_key: str
    server_key_waits: bool
    keys: list[KeyOut]


class GatewayIn(In):
    """Which gateway it is, such as the school's name."""

    label: Annotated[str, Field(min_length=1, max_length=120, pattern=r"\S")]


class GatewayOut(In):
    """A gateway of this office. `state`: invited, quiet (joined, told nothing yet), current, waiting (for its stage), lagging, silent;
    `behind`: versions that it does not enforce yet; `refusal`: why a receipt of the last day is not believed, `refused_at`: when that came,
    `doubted`: whether it was the last one; `fault`: what it tells itself."""

    id: str
    label: str
    state: str
    words: str
    invited_until: datetime | None
    joined_at: datetime | None
    serial: int
    behind: int
    in_force_at: datetime | None
    last_seen: datetime | None
    version: str
    fault: str
    refusal: str
    refused_at: datetime | None
    doubted: bool
    kept: int


class GatewayMadeOut(GatewayOut):
    """A place for a gateway with its code, which is told in this one answer only; null when the same request is repeated."""

    join_code: str | None


class SpreadOut(In):
    """How far the newest version has come: seconds from the decision until the middle gateway and the last one enforced it."""

    serial: int
    made_at: datetime
    gateways: int
    reached: int
    middle_seconds: int | None
    slowest_seconds: int | None
    due_at: datetime | None


class GatewayPage(In):
    """Gateways, those that need somebody first. `journal_alarm`: since when one shows a head of the journal that this journal has not."""

    items: list[GatewayOut]
    next: str | None
    spread: SpreadOut | None
    held: int | None
    journal_alarm: datetime | None


class ReceiptOut(In):
    """The newest version that a gateway has shown a receipt for; `local` is this machine's own."""

    id: str
    serial: int
    in_force_at: datetime
    received_at: datetime


class StageRule(In):
    """How releases go out: shares in per cent, times in minutes after the signature; with `is_on` false to everybody at once."""

    is_on: bool
    first_share: Share
    second_share: Share
    second_after: Minutes
    all_after: Minutes


class StageOut(In):
    """One stage: from when, which share of the gateways (hundredths of a per cent), `over`, `now`, `next` or `held`; and what they say."""

    at: datetime
    share: int
    state: str
    members: int
    for_it: int
    against: int
    silent: int


class RolloutOut(In):
    """A release that goes out, or went out, in stages. `cause` of holding it: `person`, `against`, `silent`, `before` (one before it).
    `waits_for`: the serial before it that is held for a reason of its own and has to be decided about first. `brings_along`: the serials
    that go on together with it."""

    id: str
    serial: int
    base: int
    state: str
    started_at: datetime
    held_at: datetime | None
    cause: str
    goes_on_at: datetime
    waits_for: int | None
    brings_along: list[int]
    stages: list[StageOut]


class RolloutPage(In):
    """Releases under way and the last ones that were, newest first, with the office's rule and how many gateways it needs."""

    items: list[RolloutOut]
    next: str | None
    rule: StageRule
    fewest: int


class GoOnIn(In):
    """Why it may go on."""

    reason: Annotated[str, Field(max_length=300)] = ""


class CountOut(In):
    """A number; null stands for fewer than five."""

    code: str
    count: int | None


class FiguresOut(In):
    """The office in numbers, for people who see no case."""

    in_force: list[CountOut]
    reports: list[CountOut]
    reviews: list[CountOut]
    lifted: int | None
    expired: int | None


class DocumentOut(In):
    """A document with entries in force, as everybody may read it."""

    id: str
    symbol: str
    issuer: str
    category: str
    approved_at: datetime | None
    valid_until: datetime | None
    no_end: bool
    count: int


class OverviewOut(In):
    """The list as the public page has it: counts, dates, documents; no name of a site."""

    serial: int
    changed_at: datetime | None
    entries: int
    categories: list[CountOut]
    documents: list[DocumentOut]
    reviews_upheld: int
    reviews_overturned: int
    expired: int
    lifted: int


class LookupOut(In):
    """One site, as everybody may ask for it: by which document, until when, where to appeal. Of masked names it says nothing."""

    name: str
    listed: bool
    category: str | None
    symbol: str | None
    issuer: str | None
    basis: list[str]
    valid_from: datetime | None
    valid_until: datetime | None
    appeal: str | None
