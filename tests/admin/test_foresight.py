"""What would happen to a name, judged as the gateway judges it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.foresight import Outcome, Verdict, foresee, is_locked
from admin.overrides import start_override
from admin.values import NameEffect, OverrideKind
from gateway.policy.model import Band, Reason, Rule, RuleOrigin
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family

SHELF = read_shipped()


async def judge(services: Services, family: Family, host: str, now: datetime) -> Verdict:
    found = await services.foresight.judge(family.tenant, family.bi.id, host, now)
    assert found is not None
    return found


async def test_judge_agrees_with_the_rules_in_force(
    services: Services, family: Family, act: Act, gateway: ScriptedGateway, lists: Path, now: datetime
) -> None:
    """Lists, orders, the band and a parent's press: each is seen as soon as it is in force."""
    assert await services.foresight.judge(family.tenant, family.bi.id, "play.example", now) is None
    await services.applier.settle(family.tenant)
    assert (await judge(services, family, "bet.example", now)).category == "gamb"
    assert (await judge(services, family, "ordered.example", now)).reason is Reason.ORDER
    assert (await judge(services, family, "play.example", now)).blocked
    assert not (await judge(services, family, "free.example", now)).blocked
    assert not (await judge(services, family, "tongdai111.vn", now)).blocked
    adult = await services.foresight.judge(family.tenant, family.adults.id, "play.example", now)
    assert adult is not None
    assert not adult.blocked
    async with services.database.write() as connection:
        await start_override(connection, act, family.bi.id, OverrideKind.OFF, now + timedelta(hours=1), [])
    await services.applier.settle(family.tenant)
    assert (await judge(services, family, "free.example", now)).reason is Reason.OVERRIDE
    assert not (await judge(services, family, "free.example", now + timedelta(hours=1))).blocked


async def test_judge_of_nonsense_or_nobody_is_unknown(
    services: Services, family: Family, gateway: ScriptedGateway, lists: Path, now: datetime
) -> None:
    """What cannot be known is not guessed."""
    await services.applier.settle(family.tenant)
    assert await services.foresight.judge(family.tenant, family.bi.id, "a..b", now) is None
    guest = await services.foresight.judge(family.tenant, None, "play.example", now)
    assert guest is not None
    assert guest.blocked


def verdict(blocked: bool, reason: Reason, *categories: str, origin: RuleOrigin = RuleOrigin.MATRIX) -> Verdict:
    return Verdict(blocked, False, reason, categories[0] if categories else "", Rule(origin, reason, "x"), categories)


@pytest.mark.parametrize(
    ("found", "host", "effect", "outcome"),
    [
        (verdict(True, Reason.MATRIX, "game"), "play.example", NameEffect.ALLOW, Outcome.OPENS),
        (verdict(True, Reason.MATRIX, "game"), "play.example", NameEffect.DENY, Outcome.STAYS_CLOSED),
        (verdict(True, Reason.MATRIX, "gamb"), "bet.example", NameEffect.ALLOW, Outcome.LOCKED),
        (verdict(True, Reason.MATRIX, "game", "gamb"), "bet.example", NameEffect.ALLOW, Outcome.LOCKED),
        (verdict(True, Reason.ORDER), "ordered.example", NameEffect.ALLOW, Outcome.LOCKED),
        (verdict(True, Reason.LIST, origin=RuleOrigin.PROVINCE), "x.example", NameEffect.ALLOW, Outcome.LOCKED),
        (verdict(False, Reason.DEFAULT), "free.example", NameEffect.ALLOW, Outcome.STAYS_OPEN),
        (verdict(False, Reason.DEFAULT), "free.example", NameEffect.DENY, Outcome.CLOSES),
        (verdict(False, Reason.HELP), "tongdai111.vn", NameEffect.DENY, Outcome.ALWAYS_OPEN),
    ],
)
def test_foresee_says_what_a_rule_would_bring(found: Verdict, host: str, effect: NameEffect, outcome: Outcome) -> None:
    """The line beside the button tells the truth before it is pressed."""
    assert foresee(found, host, effect, SHELF, Band.TH) is outcome


def test_is_locked_follows_the_band() -> None:
    """What is locked for a child may be a parent's choice at fifteen."""
    found = verdict(True, Reason.MATRIX, "dating")
    assert is_locked(found, SHELF, Band.CS)
    assert not is_locked(found, SHELF, Band.PT)
