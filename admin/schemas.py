"""What the API takes and gives: one model each, unknown fields refused, every limit written down. The published schema comes from here."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from admin.hours import MOST_HOURS, MOST_LESSONS
from admin.importing import Part, What
from admin.values import Days, Decision, NameEffect, OverrideKind, ProfileKind, RequestReason, RequestState, SwitchState, TargetKind
from gateway.policy.model import Band

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9a-z]+$")]
Label = Annotated[str, Field(min_length=1, max_length=40)]
#: The number of a version, or of a row of the journal, as either database can hold it.
Serial = Annotated[int, Field(ge=0, le=2**31 - 1)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", examples=["21:00"])]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _iso(value: object) -> object:
    """A day as the schema has it, RFC 3339's full-date; a number is none. Raises ValueError."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _DAY.fullmatch(value)):
        raise ValueError("a day is YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_iso)]
_Out = TypeVar("_Out", bound=BaseModel)


class In(BaseModel):
    """Base of what is sent: nothing unknown."""

    model_config = ConfigDict(extra="forbid")


class Fault(BaseModel):
    """What went wrong: a stable code, and the field when there is one."""

    code: str
    field: str | None = None
    fields: list[dict[str, str]] | None = None
    #: Where a person decides what no program may (`person_needed`).
    page: str | None = None
    #: What to do, where the code alone cannot say it.
    message: str | None = None


class FaultReply(BaseModel):
    """Every error has this form."""

    error: Fault


class PageOf(BaseModel, Generic[_Out]):
    """Some of a list; `next` is the cursor of the following page, null on the last."""

    items: list[_Out]
    next: str | None


class EnforcementOut(BaseModel):
    """How stored rules stand to what the gateway enforces."""

    revision: int
    applied_revision: int
    pending: bool
    changed_at: datetime
    applied_at: datetime | None
    generation: int | None
    error: str


class StatusOut(BaseModel):
    """The tenant and the gateway."""

    tenant: str
    kind: str
    gateway: Literal["ready", "degraded", "starting", "stopping", "away"]
    generation: int | None
    enforcement: EnforcementOut


class HoursModel(In):
    """One window. The day on which it begins counts; an end at or before the start is on the next day."""

    days: Days
    starts: Clock
    ends: Clock
    effect: Literal["rest", "study", "offline"]


class ProfileIn(In):
    """A profile to be made."""

    label: Label
    band: Literal["MN", "TH", "CS", "PT"]


class ProfileChange(In):
    """What is to change; fields left out stay."""

    label: Label | None = None
    band: Literal["MN", "TH", "CS", "PT"] | None = None
    safe_search: Literal["default", "on", "off"] | None = None
    youtube: Literal["default", "strict", "moderate", "off"] | None = None
    uncategorised: Literal["default", "allow", "block"] | None = None
    hours: Annotated[list[HoursModel], Field(max_length=MOST_HOURS + MOST_LESSONS)] | None = None


class NameIn(In):
    """A name to list."""

    name: Annotated[str, Field(min_length=1, max_length=300, examples=["example.com"])]
    effect: NameEffect


class NameOut(BaseModel):
    """A listed name."""

    id: str
    name: str
    effect: NameEffect


class MomentOut(BaseModel):
    """What holds now and until when."""

    standing: Literal["free", "rest", "study", "offline", "off"]
    until: datetime | None


class ProfileOut(BaseModel):
    """One profile."""

    id: str
    kind: ProfileKind
    label: str
    band: Band
    safe_search: bool | None
    youtube: str | None
    uncategorised: str | None
    hours: list[HoursModel]
    categories: dict[str, SwitchState]
    services: dict[str, SwitchState]
    names: list[NameOut]
    now: MomentOut


class SwitchIn(In):
    """Where a switch is to stand; null leaves it to the band."""

    state: SwitchState | None


class TargetModel(In):
    """What an act opens."""

    kind: TargetKind
    value: Annotated[str, Field(min_length=1, max_length=253)]


class OverrideIn(In):
    """A timed act: off, or open with targets. The end is absolute, at most 24 hours ahead. What is opened beyond the beginning of the next
    rest time or offline hours is refused (`time_rest`) unless `through_rest` says that it is meant. A class is opened for ninety minutes at
    most (`class_long`)."""

    kind: Literal["off", "open"]
    until: datetime
    through_rest: bool = False
    targets: Annotated[list[TargetModel], Field(max_length=50)] = []


class OverrideOut(BaseModel):
    """A timed act that has not ended."""

    id: str
    profile: str
    kind: OverrideKind
    starts_at: datetime
    until: datetime
    targets: list[TargetModel]


class DeviceIn(In):
    """A device to give to a profile: an address, a network or a MAC."""

    profile: Identifier
    label: Label
    match: Annotated[str, Field(min_length=1, max_length=60, examples=["192.168.1.20"])]


class DeviceChange(In):
    """Another owner or name."""

    profile: Identifier | None = None
    label: Label | None = None


class DeviceOut(BaseModel):
    """A named device. Of a phone's private name `matches` says only that there is one: the name itself is read at its sheet."""

    id: str
    profile: str
    label: str
    matches: list[str]
    last_seen: datetime | None


class NewDeviceOut(BaseModel):
    """A device that asks and that nobody has named; it has the strictest rules. `network` is how to name one that changes its IPv6 address
    behind a router."""

    address: str
    addresses: list[str]
    network: str | None
    mac: str | None
    first_seen: datetime
    last_seen: datetime


class RequestOut(BaseModel):
    """A child's request."""

    id: str
    profile: str | None
    host: str
    reason: RequestReason
    note: str
    state: RequestState
    decision: Decision | None
    open_until: datetime | None
    created_at: datetime


class AnswerIn(In):
    """The answer; `profile` where the request has none. What it opens ends at the next rest time of the profile at the latest, unless
    `through_rest` says that it is to go on through it."""

    decision: Decision
    profile: Identifier | None = None
    through_rest: bool = False


class DevicePage(BaseModel):
    """Some devices, and all that wait for a name (on the first page)."""

    items: list[DeviceOut]
    new: list[NewDeviceOut]
    next: str | None


class ChangeOut(BaseModel):
    """One thing that the file of a tenant changes."""

    what: What
    part: Part
    label: str
    of: str
    number: int


class ImportOut(BaseModel):
    """What an import did, or would do."""

    applied: bool
    changes: list[ChangeOut]
