"""What the API takes and gives of what a list office works with: bodies of the state, clocks, directives, cases with notes, letters."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from admin.officeresults import CaseOut
from admin.officeschemas import Line
from admin.schemas import Day, In
from blocklists.takedown.agencytables import AgencyKind, AgencyRole
from blocklists.takedown.notes import LONGEST

Name = Annotated[str, Field(min_length=1, max_length=160, pattern=r"\S")]
Short = Annotated[str, Field(max_length=40)]
Basis = Annotated[str, Field(max_length=160)]


class AgencyIn(In):
    """A body to be kept. `place`: by name or code, as of its first day; `valid_from`: its first day, null where it is not known."""

    name: Name
    kind: AgencyKind = AgencyKind.OTHER
    short: Short = ""
    place: Line = ""
    valid_from: Day | None = None


class AgencyRenameIn(In):
    """The same body under another name from a day on, by a document."""

    on: Day
    name: Name
    short: Short = ""
    basis: Basis = ""


class AgencyEndIn(In):
    """A body is no more from a day on; who follows it, by id: several, one or nobody."""

    on: Day
    successors: Annotated[list[Annotated[str, Field(max_length=40)]], Field(default_factory=list, max_length=20)]
    basis: Basis = ""


class AgencyRoleIn(In):
    """A body is charged with something from a day on, by a document."""

    role: AgencyRole
    on: Day
    basis: Annotated[str, Field(min_length=1, max_length=160, pattern=r"\S")]


class AgencyRoleOut(In):
    """What a body is charged with on the day that was asked for, and by which document."""

    role: AgencyRole
    basis: str


class AgencyOut(In):
    """A body of the state. `valid_until`: the first day on which it is no more; `successors`: ids of those that do today what it did."""

    id: str
    kind: AgencyKind
    name: str
    short: str
    place: str | None
    valid_from: date | None
    valid_until: date | None
    roles: list[AgencyRoleOut]
    successors: list[str]


class ClockIn(In):
    """A clock from a day on, today or later, by a document."""

    hours: Annotated[float, Field(gt=0, le=8784, allow_inf_nan=False)]
    basis: Annotated[str, Field(min_length=1, max_length=160, pattern=r"\S")]
    starts: Day


class ClockLevelOut(In):
    """How long a clock runs from a day on, and the document it stands on."""

    hours: float
    basis: str
    starts: date


class ClockOut(In):
    """A clock as it runs today, and what is set for later."""

    clock: str
    hours: float
    basis: str
    starts: date
    later: list[ClockLevelOut]


class DirectiveIn(In):
    """A document that names the lead and the focal point of reports, for one topic (a category of reports) or in general."""

    symbol: Annotated[str, Field(min_length=1, max_length=200)]
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    lead: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    focal_point: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    topic: Annotated[str, Field(max_length=40)] = ""


class DirectiveOut(In):
    """A directive in force."""

    id: str
    symbol: str
    title: str
    lead: str
    focal_point: str
    topic: str
    valid_from: datetime


class ForwardIn(In):
    """To whom an address on a platform was sent, or, once that is noted, what came of it. Nothing is sent from here."""

    sent_to: Annotated[str, Field(max_length=120)] = ""
    outcome: Literal["", "removed", "refused", "no_answer"] = ""


class OwnerIn(In):
    """How the owner of a site under gov.vn or edu.vn was told. Nothing is sent from here."""

    how: Annotated[str, Field(min_length=1, max_length=120)]


class NoteIn(In):
    """A note for one's own body: a few words about the work, never data of a person."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"\S")]


class NoteOut(In):
    """A note of one's own body."""

    id: str
    text: str
    written_at: datetime


class CaseDetailOut(In):
    """A case, and the notes of the caller's own body; null for whoever speaks for none."""

    case: CaseOut
    notes: list[NoteOut] | None
