"""Which page explains a block: by the reader's band and by what blocked. Pure.

Sensitive categories are never named to the two youngest bands; nothing here blames anybody. What blocked is judged by `admin.foresight`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from admin.bystander import Bystander
from admin.catalogue import Shelf
from admin.foresight import Verdict, is_locked
from admin.moment import Standing
from gateway.policy.model import Band, Reason


class Variant(StrEnum):
    """The kinds of explanation; each has its words in every band's tone."""

    ORDER = "order"
    ABUSE = "abuse"
    SELF = "self"
    SCAM = "scam"
    GAMBLING = "gambling"
    OFFLINE = "offline"
    NIGHT = "night"
    CLASS_TIME = "class_time"
    BREAK = "break"
    OPEN = "open"
    UPSTREAM = "upstream"
    FAULT = "fault"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a page says about one name.

    `group` is empty where it must not be named; `rule` is the reason's code (words: `admin.pages.phrases.RULES`);
    `opens_at` is when it opens by itself; `asks`: could a parent or teacher open it at all?
    """

    variant: Variant
    host: str
    group: str = ""
    rule: str = ""
    basis: str = ""
    #: Who issued an authority's order.
    issuer: str = ""
    version: str = ""
    order: str = ""
    opens_at: datetime | None = None
    asks: bool = True
    #: Where to object to an authority's order; empty where this installation has no office to ask.
    review: str = ""
    #: Where the order itself says that one may object; empty where it says nothing.
    appeal: str = ""
    #: Whether pages may print the host: not to small children what is sensitive, to nobody what is about abuse or self-harm.
    is_told: bool = True

    @property
    def status(self) -> int:
        """The HTTP status of the page: 451 for an authority's order (RFC 7725), else 403; 200 where nothing blocks, 503 where the filter
        itself has a fault."""
        return {Variant.ORDER: 451, Variant.OPEN: 200, Variant.FAULT: 503}.get(self.variant, 403)


_BY_CATEGORY = {
    "csam": Variant.ABUSE,
    "groom": Variant.SELF,
    "self": Variant.SELF,
    "scam": Variant.SCAM,
    "malware": Variant.SCAM,
    "gamb": Variant.GAMBLING,
    "order": Variant.ORDER,
    "dist": Variant.ORDER,
}
#: Warnings that somebody has to read; a child of three to five is only told to call an adult.
_FOR_READERS = frozenset({Variant.SCAM, Variant.GAMBLING})
#: Reasons that end by themselves.
BY_CLOCK = frozenset({Reason.OVERRIDE, Reason.OFFLINE, Reason.SCHEDULE})
#: Rules whose basis is a document or the title of a list, and not our own shorthand.
_WITH_BASIS = frozenset({Reason.ORDER, Reason.LIST, Reason.RPZ})
#: Until these hours of the morning a rest is the night's.
_MORNING = range(4, 9)


def explain(verdict: Verdict | None, host: str, reader: Bystander, shelf: Shelf, language: str) -> Explanation:
    """The explanation for `host`; without a verdict, the plain one: blocked to keep you safe."""
    if verdict is None:
        return Explanation(Variant.PLAIN, host)
    if not verdict.blocked:
        return Explanation(Variant.OPEN, host, asks=False)
    asks = not is_locked(verdict, shelf, reader.band)
    rule = verdict.rule
    if verdict.reason in BY_CLOCK:
        timed = explain_clock(reader, host)
        if timed is not None:
            return timed
    category = shelf.catalogue.categories.get(verdict.category)
    is_hidden = category is not None and category.sensitive and reader.is_small
    variant = Variant.ORDER if verdict.reason is Reason.ORDER else _BY_CATEGORY.get(verdict.category, Variant.PLAIN)
    is_gentle = is_hidden or (reader.band is Band.MN and variant in _FOR_READERS)
    if is_gentle:  # the gentle page, not one that names what it was, nor one that speaks of money and passwords to a small child
        variant = Variant.PLAIN
    text = rule.text if rule is not None else ""
    return Explanation(
        variant,
        host,
        group="" if category is None or is_gentle else shelf.name_of(category.code, language),
        rule=verdict.reason.value,
        basis=rule.basis if rule is not None and verdict.reason in _WITH_BASIS and not is_hidden else "",
        issuer=rule.issuer if rule is not None and variant is Variant.ORDER else "",
        version=rule.version if rule is not None else "",
        order=text.removeprefix("order ") if verdict.reason is Reason.ORDER else "",
        asks=asks,
        appeal=rule.appeal if rule is not None and variant is Variant.ORDER else "",
        is_told=not is_hidden and variant not in (Variant.ABUSE, Variant.SELF),
    )


def explain_clock(reader: Bystander, host: str) -> Explanation | None:
    """What rests by the clock for this reader, and when it opens again; None when nothing does."""
    moment = reader.moment
    match moment.standing:
        case Standing.OFF | Standing.OFFLINE:
            return Explanation(Variant.OFFLINE, host, opens_at=moment.until)
        case Standing.STUDY:
            return Explanation(Variant.CLASS_TIME, host, opens_at=moment.until)
        case Standing.REST:
            is_night = moment.until is not None and moment.until.astimezone(ZoneInfo(reader.zone)).hour in _MORNING
            return Explanation(Variant.NIGHT if is_night else Variant.BREAK, host, opens_at=moment.until)
        case Standing.FREE:
            return None
