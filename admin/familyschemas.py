"""What the API takes and gives about dates, choices, the week, the journal, phones and the catalogue. Beside `admin.schemas`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt

from admin.choices import HOOK_FORM, MAIL_FORM, WAITS_OFFERED
from admin.schemas import Day, Identifier, In, Label
from admin.values import DatesKind


def whole(value: object) -> object:
    """15.0 is 15 in JSON, too (RFC 8259 §6)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class PlaceIn(In):
    """Where a family or school is: the code of a province or of a commune in it; null: not told."""

    place: str | None = Field(max_length=8, description="Such as 12, or 12.03385.")


class PlaceOut(BaseModel):
    """Where a family or school is; and the place that a school left, as long as what a department closed there holds on."""

    place: str | None
    held_place: str | None = None
    held_until: datetime | None = None


class DatesIn(In):
    """A span of days, both included, on the clock of the place."""

    kind: DatesKind
    label: Annotated[str, Field(max_length=40)] = ""
    first: Day
    last: Day


class DatesOut(BaseModel):
    """One span of one's own."""

    id: str
    kind: DatesKind
    label: str
    first: date
    last: date


class ChoicesIn(In):
    """What a family chooses; empty text: nowhere."""

    cooling_minutes: Annotated[StrictInt, BeforeValidator(whole), Field(json_schema_extra={"enum": list(WAITS_OFFERED)})]
    mail: Annotated[str, Field(max_length=120, json_schema_extra={"pattern": f"^$|^{MAIL_FORM}$"})] = ""
    hook: Annotated[str, Field(max_length=300, json_schema_extra={"pattern": f"^$|^{HOOK_FORM}$"})] = ""
    digest: StrictBool = False


class ChoicesOut(BaseModel):
    """The choices; `ripe_at` is when the wait that was begun is over, `may_open` whether anything may be opened now."""

    cooling_minutes: int
    mail: str
    hook: str
    digest: bool
    ripe_at: datetime | None
    may_open: bool


class DigestLine(BaseModel):
    """One child's week; null: nothing was counted, which is not the same as nothing blocked."""

    label: str
    blocked: int | None


class DigestOut(BaseModel):
    """One week, Monday to Sunday."""

    first: date
    last: date
    children: list[DigestLine]
    answered: int
    waiting: int


class JournalOut(BaseModel):
    """One row: random ids and a seal, never a label, a host or a note."""

    seq: int
    at: datetime
    role: str
    action: str
    object: str
    digest: str


class JournalPage(BaseModel):
    """Some rows, newest first; `next` goes into `before`."""

    items: list[JournalOut]
    next: int | None


class WatchOut(BaseModel):
    """Until when a profile is only watched."""

    profile: str
    until: datetime


class PhoneIn(In):
    """A phone to be made."""

    profile: Identifier
    label: Label


class PhoneOut(BaseModel):
    """A phone and the names under which it asks; null where the gateway does not offer it. They are its secret."""

    id: str
    profile: str
    label: str
    android_name: str | None
    doh_url: str | None
    refused: Literal["own", "unknown", "names"] | None = Field(
        description="Why phones refuse the certificate of these addresses, so that a phone set to them has no Internet: it signed itself,"
        " no known authority signed it, or it is for other names. Null: they do not."
    )


class CategoryOut(BaseModel):
    """A category: its tier, how many names are listed, and whether DNS reaches the thing only partly."""

    code: str
    vi: str
    en: str
    tier: str
    entries: int
    partly: bool


class ServiceOut(BaseModel):
    """A service and the categories it belongs to. `verified` false: some of its names nobody has looked up yet, so blocking it may leave
    a part open, and opening it may leave a part blocked."""

    id: str
    vi: str
    en: str
    categories: list[str]
    verified: bool


class CatalogueOut(BaseModel):
    """What switches know."""

    version: str
    categories: list[CategoryOut]
    services: list[ServiceOut]
