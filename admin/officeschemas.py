"""What the API of the list office takes and gives. Names of the masked category are never in an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from admin.schemas import Day, In, Label

Reason = Annotated[str, Field(max_length=300)]
Line = Annotated[str, Field(max_length=300)]


class OrderIn(In):
    """A letter with its addresses. What is left out is read from the text; what cannot be read stays empty and must be given."""

    text: Annotated[str, Field(min_length=1, max_length=8_000_000)]
    category: Annotated[str, Field(max_length=20)] = "order"
    symbol: Line | None = None
    issuer: Line | None = None
    subject: Line | None = None
    #: The day of the document, where it is read wrongly; never later than today.
    issued_on: Day | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None
    no_end: bool = False
    urgent: bool | None = None
    appeal: Line = ""
    everybody: bool = False
    #: Only these ages; empty: every child, or everybody.
    bands: Annotated[list[Literal["MN", "TH", "CS", "PT", "NL", "KH"]], Field(default_factory=list, max_length=6)]
    #: Only these places, by name or code, and these schools of this machine, by id; both empty: everywhere.
    places: Annotated[list[Line], Field(default_factory=list, max_length=40)]
    schools: Annotated[list[Label], Field(default_factory=list, max_length=500)]
    #: Documents it stands on; one may stand on another: `531/KH-UBND ← 830/QĐ-TTg`.
    basis: Annotated[list[Line], Field(max_length=20)] | None = None


class OrderStepIn(In):
    """One move of a document."""

    step: Literal["verify", "approve", "second", "approve_urgent", "confirm", "reject", "send_back"]
    reason: Reason = ""


class ReviewStepIn(In):
    """One move of a request to look again."""

    step: Literal["take", "uphold", "overturn"]
    reason: Reason = ""


class DecisionIn(In):
    """What becomes of a row that needs a decision."""

    decision: Literal["block", "leave"]
    reason: Reason = ""


class LiftIn(In):
    """Why an entry leaves."""

    reason: Reason


class StepOut(In):
    """One line of a history."""

    at: datetime
    step: str
    role: str


class ItemOut(In):
    """One row of a document. `name` is an opaque id where names are masked."""

    id: str
    name: str
    match: str
    verdict: str
    reason: str
    decision: str | None
    platform: str | None
    forwarded_to: str | None
    forwarded_at: datetime | None
    outcome: str | None


class OrderOut(In):
    """A document with its rows."""

    id: str
    symbol: str
    issuer: str
    category: str
    state: str
    urgent: bool
    held: bool
    received_at: datetime
    due_at: datetime
    overdue: bool
    basis: list[str]
    bands: list[str]
    places: list[str]
    valid_from: datetime
    valid_until: datetime | None
    steps: list[str]
    items: list[ItemOut]
    #: Rows beyond those told here; how many rows there are of each verdict or decision; how many entries it made; what was done with it.
    rows_left_out: int
    counts: dict[str, int]
    entries: int
    history: list[StepOut]


class UnreadOut(In):
    """A part of the letter that was not read: a stable code, and a sentence."""

    code: str
    words: str


class RegisteredOut(OrderOut):
    """A document as it was registered, and what of its letter was not read: `[]` when everything was.

    `same_as`: another document of the same number by the same issuer that is registered and was not refused, by id.
    """

    unread: list[UnreadOut]
    same_as: str | None


class OrderRow(In):
    """A document in a list."""

    id: str
    symbol: str
    issuer: str
    state: str
    due_at: datetime
    overdue: bool


class EntryOut(In):
    """One entry."""

    id: str
    name: str
    match: str
    category: str
    state: str
    order: str | None
    symbol: str | None
    valid_from: datetime
    valid_until: datetime | None
    enforced_at: datetime | None
    serial_in: int | None
    serial_out: int | None


class VersionOut(In):
    """One published version."""

    serial: int
    created_at: datetime
    entries: int
    added: int
    removed: int
    digest: str
    previous_digest: str
    journal_seq: int
    applied_at: datetime | None


class ReviewOut(In):
    """A request to look again."""

    id: str
    entry: str
    name: str
    reason: str
    state: str
    received_at: datetime
    due_at: datetime
    overdue: bool


class StandingOut(In):
    """Whether this gateway enforces the newest version."""

    serial: int
    in_force: int
    problem: str


class EntryPage(In):
    """Entries; `next` is the cursor of the following page."""

    items: list[EntryOut]
    next: str | None


class VersionPage(In):
    """Versions, newest first, and how the gateway stands."""

    items: list[VersionOut]
    gateway: StandingOut
    next: str | None
