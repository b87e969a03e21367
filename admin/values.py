"""The closed sets of values the control plane stores and shows, and the ids of its objects.

Pure, so that tables, decisions, pages and tests can share it. Bands and their ages are those of domain research: MN 3-5, TH 6-10, CS
11-14, PT 15-17, NL adults, KH guests (the strictest band of the site).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

from gateway.policy.model import Band

SessionId = NewType("SessionId", str)
SiteId = NewType("SiteId", str)
ProfileId = NewType("ProfileId", str)
DeviceId = NewType("DeviceId", str)
RequestId = NewType("RequestId", str)


#: From the strictest to the freest; guests take the strictest of their site.
BANDS_BY_STRICTNESS = (Band.MN, Band.TH, Band.CS, Band.PT, Band.NL)
CHILD_BANDS = (Band.MN, Band.TH, Band.CS, Band.PT)


class ProfileKind(StrEnum):
    """Whom a profile stands for."""

    CHILD = "child"
    CLASS = "class"
    ADULT = "adult"
    GUEST = "guest"


class DeviceMatch(StrEnum):
    """How a device is known."""

    ADDRESS = "address"
    NETWORK = "network"
    MAC = "mac"
    TOKEN = "token"


class SwitchKind(StrEnum):
    """What a switch turns."""

    CATEGORY = "category"
    SERVICE = "service"


class SwitchState(StrEnum):
    """Where a switch stands; no row means the band's default."""

    ALLOW = "allow"
    BLOCK = "block"


class NameEffect(StrEnum):
    """What a rule by name does."""

    ALLOW = "allow"
    DENY = "deny"


class Days(StrEnum):
    """On which days hours hold, as families say it."""

    SCHOOL = "school"
    WEEKEND = "weekend"
    SUMMER = "summer"
    HOLIDAY = "holiday"
    EXAM = "exam"
    EVERY = "every"
    #: Single weekdays: the lessons of a timetable (`admin.timetable`).
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEKDAYS = (Days.MON, Days.TUE, Days.WED, Days.THU, Days.FRI, Days.SAT, Days.SUN)


class DatesKind(StrEnum):
    """What a family's or school's own dates are."""

    EXAM = "exam"
    HOLIDAY = "holiday"
    SUMMER = "summer"


class HoursEffect(StrEnum):
    """What hours do: rest from games and videos, study only, or no internet."""

    REST = "rest"
    STUDY = "study"
    OFFLINE = "offline"


class OverrideKind(StrEnum):
    """Timed acts of a person; each has an absolute end."""

    OFF = "off"
    OPEN = "open"
    EXCEPTION = "exception"


class TargetKind(StrEnum):
    """What an override opens."""

    NAME = "name"
    CATEGORY = "category"
    SERVICE = "service"


class RequestReason(StrEnum):
    """Why a child asks for a page."""

    LESSON = "lesson"
    MISTAKE = "mistake"
    CHANGED = "changed"
    OTHER = "other"


class RequestState(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    EXPIRED = "expired"


class Decision(StrEnum):
    """The answers a parent or teacher can give."""

    QUARTER = "15m"
    HOUR = "1h"
    TODAY = "today"
    ALWAYS = "always"
    NO = "no"
