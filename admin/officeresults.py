"""What the further answers of the office's API look like: reach, histories, differences, reports, candidates, bulletins, returns. Names of
the masked category are never in one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from admin.officeschemas import EntryOut, Line, Reason, StepOut
from admin.schemas import Day, In, Label
from blocklists.tables import Role


class TouchedOut(In):
    """A name of a document and what it reaches."""

    name: str
    what: str
    detail: str


class AskedOut(In):
    """At least how often a registered name was asked for on this machine's gateway, by five clients or more, since when; and the same of
    other gateways of the office within a day, and how many of them told. A number that is not known is null."""

    name: str
    at_least: int | None
    since: datetime | None
    elsewhere_at_least: int | None
    gateways_elsewhere: int


class PreviewOut(In):
    """The reach of a document before it is approved. `known`: whether the lists in force could be read. For a name that is not in
    `asked` it is not known how often it is asked for, which never means never."""

    names: int
    services: list[TouchedOut]
    lookalikes: list[TouchedOut]
    listed: list[TouchedOut]
    must_stay_reachable: list[TouchedOut]
    known: bool
    asked: list[AskedOut]


class EntryDetailOut(In):
    """An entry with its basis and history."""

    entry: EntryOut
    basis: list[str]
    history: list[StepOut]
    steps: list[str]
    #: A site under gov.vn or edu.vn: its owner is told by a person; when that was noted, and how.
    is_state: bool
    owner_told_at: datetime | None
    owner_told_how: str | None


class DifferenceOut(In):
    """What a version brought and what left with it: how many entries, and the first 1,000 of each by name."""

    serial: int
    came: list[EntryOut]
    left: list[EntryOut]
    #: What a return to this version would take out; empty for the newest.
    return_drops: list[EntryOut]
    came_count: int
    left_count: int
    return_drops_count: int


class ReportOut(In):
    """A report; once referred, only its code, state and pointer are left."""

    id: str
    code: str
    state: str
    category: str
    name: str | None
    goes_to: str
    received_at: datetime
    due_at: datetime
    overdue: bool
    referral_code: str | None
    steps: list[str]


class ReportDetailOut(ReportOut):
    """A report with its history, newest first: empty once it was referred, since it is not ours any more."""

    history: list[StepOut]


class ReportStepIn(In):
    """One move of a report."""

    step: Literal["triage", "refer", "merge", "reject", "start", "propose", "approve"]
    reason: Reason = ""
    referred_to: Annotated[str, Field(max_length=160)] = ""
    merged_into: Label | None = None


class CandidateOut(In):
    """A name that waits for a person, with its evidence and what became of its source's names before."""

    id: str
    name: str
    category: str
    origin: str
    source: str
    evidence: str
    source_taken: int
    source_wrong: int


class CandidateStepIn(In):
    """Take a candidate up, or refuse it with a reason."""

    step: Literal["take", "refuse"]
    reason: Reason = ""


class BulletinIn(In):
    """A bulletin or a warning."""

    kind: Literal["bulletin", "advisory"]
    title: Annotated[str, Field(max_length=200)]
    text: Annotated[str, Field(max_length=2000)] = ""
    symbol: Line
    place: Annotated[str, Field(max_length=8)] = ""
    host: Annotated[str, Field(max_length=253)] = ""
    last_day: Day


class BulletinOut(In):
    """A bulletin as it is shown."""

    id: str
    kind: str
    title: str
    text: str
    symbol: str
    place: str | None
    host: str | None
    ends_at: datetime


class OfficerOut(In):
    """A role in the office: who by the account's id, by which document, until when; `end_asked`: the document by which an officer asks that
    it ends."""

    id: str
    account: str
    role: Role
    basis: str | None
    since: datetime
    until: datetime | None
    end_asked: str | None


class ReturnOut(In):
    """A return to an earlier version that waits for a second person."""

    id: str
    to_serial: int
    dropped: int
    reason: str
    due_at: datetime


class ReturnStepIn(In):
    """The second person: the liftings stand, or the entries come back."""

    step: Literal["confirm", "refuse"]


class RenewIn(In):
    """A new last day of an entry, with the document."""

    last_day: Day
    reason: Reason


class SchoolOut(In):
    """One school in numbers; null: not told, because it is under five or could be worked out."""

    name: str
    in_force: bool
    blocked: int | None


class GroupOut(In):
    """One group of all schools together; null: not told."""

    category: str
    blocked: int | None


class SchoolsOut(In):
    """The schools of a province in the last seven days."""

    body: str
    place: str
    schools: list[SchoolOut]
    groups: list[GroupOut]


class SchoolRuleIn(In):
    """A group that is closed for the classes of every school of the place."""

    category: str = Field(min_length=1, max_length=40, description="A group that schools may otherwise decide about.")
    document: str = Field(min_length=1, max_length=160, description="Number of the document.")


class SchoolRuleLiftIn(In):
    """By which document a rule is lifted."""

    document: str = Field(min_length=1, max_length=160, description="Number of the document.")


class SchoolRuleOut(In):
    """A group that is closed in the schools of a place."""

    id: str
    category: str
    document: str
    since: datetime


class CaseOut(In):
    """A case as every body sees it."""

    kind: str
    id: str
    title: str
    category: str
    state: str
    received_at: datetime
    due_at: datetime | None
    overdue: bool
    goes_to: str
    decision: str
