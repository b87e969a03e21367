"""Which page explains a block: honest, in the reader's tone, and never naming what a small child should not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from admin.bystander import Bystander
from admin.catalogue import read_shipped
from admin.explanation import Variant, explain, explain_clock
from admin.foresight import Verdict
from admin.moment import Moment, Standing
from admin.pages.phrases import RULES
from blocklists.tables import OrganisationId, OrganisationKind
from gateway.policy.model import Band, Reason, Rule, RuleOrigin

SHELF = read_shipped()
READER = Bystander(
    "192.168.1.31",
    OrganisationId("t"),
    OrganisationKind.FAMILY,
    "Nhà",
    "Asia/Ho_Chi_Minh",
    None,
    Band.CS,
    True,
    Moment(Standing.FREE),
)


def verdict(reason: Reason, category: str = "", text: str = "x", blocked: bool = True) -> Verdict:
    rule = Rule(RuleOrigin.MATRIX, reason, text, "basis", "source", "v1")
    return Verdict(blocked, False, reason, category, rule, (category,) if category else ())


@pytest.mark.parametrize(
    ("band", "category", "variant", "group"),
    [
        (Band.MN, "gamb", Variant.PLAIN, ""),
        (Band.MN, "scam", Variant.PLAIN, ""),
        (Band.TH, "gamb", Variant.GAMBLING, "cờ bạc, cá độ, lô đề, bài đổi thưởng"),
        (Band.CS, "gamb", Variant.GAMBLING, "cờ bạc, cá độ, lô đề, bài đổi thưởng"),
        (Band.TH, "scam", Variant.SCAM, "lừa đảo, giả mạo"),
        (Band.CS, "malware", Variant.SCAM, "mã độc"),
        (Band.TH, "porn", Variant.PLAIN, ""),
        (Band.CS, "porn", Variant.PLAIN, "khiêu dâm, đồi trụy"),
        (Band.MN, "self", Variant.PLAIN, ""),
        (Band.CS, "self", Variant.SELF, "tự hại, tự tử"),
        (Band.TH, "csam", Variant.PLAIN, ""),
        (Band.PT, "csam", Variant.ABUSE, "xâm hại tình dục trẻ em"),
        (Band.TH, "groom", Variant.PLAIN, ""),
        (Band.TH, "drug", Variant.PLAIN, ""),
        (Band.PT, "game", Variant.PLAIN, "trò chơi trực tuyến"),
    ],
)
def test_sensitive_groups_are_never_named_to_small_children(band: Band, category: str, variant: Variant, group: str) -> None:
    """To the two youngest bands: not for your age yet, and nothing more; nobody of three to five is warned of passwords and debts."""
    found = explain(verdict(Reason.MATRIX, category), "x.example", replace(READER, band=band), SHELF, "vi")
    assert (found.variant, found.group) == (variant, group)


def test_order_answers_451_with_its_number_and_no_asking() -> None:
    """An authority's order is told as one; a parent cannot open it, so nobody is sent to ask."""
    found = explain(verdict(Reason.ORDER, "order", "order 12/QĐ-STTTT"), "x.example", READER, SHELF, "vi")
    assert (found.variant, found.order, found.status, found.asks) == (Variant.ORDER, "12/QĐ-STTTT", 451, False)


def test_what_is_locked_is_not_asked_for() -> None:
    """Asking is offered only for what somebody in the family could open."""
    assert not explain(verdict(Reason.MATRIX, "gamb"), "x.example", READER, SHELF, "vi").asks
    assert explain(verdict(Reason.MATRIX, "social"), "x.example", READER, SHELF, "vi").asks
    assert explain(verdict(Reason.NAME), "x.example", READER, SHELF, "vi").asks


@pytest.mark.parametrize(
    ("standing", "until", "variant"),
    [
        (Standing.OFF, datetime(2026, 10, 12, 13, 30, tzinfo=UTC), Variant.OFFLINE),
        (Standing.OFFLINE, datetime(2026, 10, 12, 22, 0, tzinfo=UTC), Variant.OFFLINE),
        (Standing.STUDY, datetime(2026, 10, 12, 9, 0, tzinfo=UTC), Variant.CLASS_TIME),
        (Standing.REST, datetime(2026, 10, 12, 23, 0, tzinfo=UTC), Variant.NIGHT),
        (Standing.REST, datetime(2026, 10, 12, 10, 0, tzinfo=UTC), Variant.BREAK),
    ],
)
def test_what_rests_by_the_clock_says_when_it_opens(standing: Standing, until: datetime, variant: Variant) -> None:
    """Not "blocked": resting, and back at a time."""
    reader = replace(READER, moment=Moment(standing, until))
    found = explain(verdict(Reason.SCHEDULE, "game"), "x.example", reader, SHELF, "vi")
    assert (found.variant, found.opens_at) == (variant, until)


def test_scam_stays_a_scam_at_bedtime() -> None:
    """The clock explains only what the clock closes."""
    reader = replace(READER, moment=Moment(Standing.REST, datetime(2026, 10, 12, 23, 0, tzinfo=UTC)))
    assert explain(verdict(Reason.LEGAL, "scam"), "x.example", reader, SHELF, "vi").variant is Variant.SCAM


def test_open_and_unknown_names_are_told_as_such() -> None:
    """Nothing blocks it: say so. Not known: the gentle page."""
    assert explain(verdict(Reason.DEFAULT, blocked=False), "x.example", READER, SHELF, "vi").status == 200
    assert explain(None, "x.example", READER, SHELF, "vi").variant is Variant.PLAIN
    assert explain_clock(READER, "x.example") is None


def test_every_rule_that_blocks_is_told_in_words() -> None:
    """An adult reads what blocked in words of their language, never our shorthand."""
    blocking = {Reason.LEGAL, Reason.OVERRIDE, Reason.OFFLINE, Reason.NAME, Reason.LIST, Reason.RPZ, Reason.SCHEDULE, Reason.SERVICE,
                Reason.SWITCH, Reason.MATRIX, Reason.UNCATEGORISED, Reason.REBINDING}  # fmt: skip
    assert set(RULES) == {one.value for one in blocking}
    found = explain(verdict(Reason.MATRIX, "game", "category game"), "x.example", replace(READER, band=Band.NL), SHELF, "vi")
    assert (found.rule, found.basis) == ("matrix", "")
    assert explain(verdict(Reason.LIST, "game", "list x"), "x.example", READER, SHELF, "vi").basis == "basis"
