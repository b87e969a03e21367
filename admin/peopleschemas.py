"""What the API takes and gives about people, staff, families that a host serves, histories, the home, backups. Beside `admin.schemas`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictInt

from admin.familyschemas import whole
from admin.hosting import MOST_FAMILIES
from admin.permissions import Scope
from admin.schemas import Day, Identifier, In
from admin.tenants import NAME_LENGTH
from blocklists.tables import OrganisationKind, Role


class OrganisationIn(In):
    """What a family or school is called."""

    name: str = Field(min_length=1, max_length=NAME_LENGTH, pattern=r"\S", examples=["Trường THCS Lê Lợi"])


class OrganisationOut(BaseModel):
    """The one family, school or host that a key speaks for, and what the key may do there."""

    id: str
    kind: OrganisationKind
    name: str
    time_zone: str = Field(examples=["Asia/Ho_Chi_Minh"])
    demo: bool
    role: Role
    scopes: list[Scope]


class PersonOut(BaseModel):
    """One person in one role; `id` is that of the role."""

    id: str
    name: str
    role: Role
    since: datetime
    until: datetime | None


class InvitationIn(In):
    """A place to offer. Nobody is invited by a program who could do more than it: a parent or teacher by a key that may look and change as
    well, whoever runs the place by a person."""

    role: Literal["parent", "teacher"]
    last: Day | None = Field(default=None, description="The last day of the role; null: until somebody ends it.", examples=["2027-05-31"])


class InvitationOut(BaseModel):
    """A place that waits for its person. `link` stands in the first answer only: whoever has it takes the place."""

    id: str
    role: Role
    ends_at: datetime
    link: str | None


class StaffIn(In):
    """Until when the picture in the staff room works, and the devices that come by it stay: at most 200 days ahead."""

    last: Day = Field(examples=["2026-12-31"])


class StaffOut(BaseModel):
    """The picture that works now. Its link frees the device that opens it at school, so only a key that may loosen is given it."""

    id: str
    until: datetime
    link: str


class StaffState(BaseModel):
    """Whether there is a picture, and how many devices came by one."""

    until: datetime | None
    enrolled: int


class HostOut(BaseModel):
    """All that a host learns of the families it serves."""

    families: int


class SheetIn(In):
    """A sheet to print."""

    label: Annotated[str, Field(min_length=1, max_length=80, examples=["Trường tiểu học Kim Đồng"])]
    most: Annotated[
        StrictInt,
        BeforeValidator(whole),
        Field(ge=1, le=MOST_FAMILIES, examples=[200], json_schema_extra={"type": "integer"}),
    ] = 200


class SheetOut(BaseModel):
    """A sheet by which families join: how many may and did, and the address its picture opens."""

    id: str
    label: str
    code: str
    link: str
    most: int
    joined: int
    created_at: datetime
    ends_at: datetime


class HistoryOut(BaseModel):
    """What is kept of a child, never what stands in it: that is opened by a person with the family's code. `waits_until`: how long the
    question to the child waits."""

    state: Literal["off", "waiting", "kept"]
    days: int | None
    kinds: Literal["names", "categories"] | None
    since: datetime | None
    waits_until: datetime | None


class EraseIn(In):
    """The id of the profile once more: erasing cannot be undone."""

    confirm: Identifier


class HomeIn(In):
    """Under whose rules the home is to be."""

    profile: Identifier


#: Either form of an address, as the published schema says it.
_ADDRESS: dict[str, Any] = {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


class HomeAddressIn(In):
    """The public address of the home. Only the address from which the program asks is taken: nobody claims one that is somebody else's."""

    address: Annotated[str, Field(min_length=2, max_length=45, examples=["203.0.113.7"], json_schema_extra=_ADDRESS)]


class HomeAddressOut(BaseModel):
    """One address or network that is linked, and until when."""

    network: str
    until: datetime


class HomeOut(BaseModel):
    """The family's home: its device, and the addresses that are its own now."""

    id: str
    addresses: list[HomeAddressOut]
    shared: bool


class LookOut(BaseModel):
    """An operator who looks, or looked in the last thirty days, at the settings here, by a document."""

    id: str
    name: str
    document: str
    since: datetime
    until: datetime
    open: bool


class BackupOut(BaseModel):
    """A backup that is kept on the machine. `octets` are those of the file."""

    id: str
    made_at: datetime
    octets: int
