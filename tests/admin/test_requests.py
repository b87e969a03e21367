"""Asking and answering: one wish is one request, an answer opens what it says, and words are forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from admin.audit import Act
from admin.dependencies import Services
from admin.errors import Conflict, InvalidInput, NotFound, TooManyTries
from admin.names import add_name, list_names
from admin.overrides import list_overrides
from admin.requests import (
    CODE_SIGNS,
    DEVICES_OF_HOME,
    Asked,
    Quota,
    answer,
    ask,
    count_waiting,
    end_of,
    find_by_code,
    forget_old,
    list_requests,
    load_request,
    read_code,
)
from admin.values import Decision, NameEffect, OverrideKind, ProfileId, RequestReason, RequestState, TargetKind
from gateway.policy.model import Band
from tests.support.family import Family
from tests.support.people import make_person

ZONE = "Asia/Ho_Chi_Minh"


def wish(profile: ProfileId | None, host: str = "scratch.example") -> Asked:
    return Asked(profile, host, RequestReason.LESSON, "bài tập tin học", Band.TH)


async def test_same_wish_is_one_request(services: Services, family: Family, now: datetime) -> None:
    """Pressing twice does not bother the parent twice; another site is another request."""
    async with services.database.write() as connection:
        first = await ask(connection, family.tenant, wish(family.bi.id), now)
        again = await ask(connection, family.tenant, wish(family.bi.id), now + timedelta(minutes=1))
        other = await ask(connection, family.tenant, wish(family.na.id), now)
        assert (first.code, again.id != other.id) == (again.code, True)
        assert await count_waiting(connection, family.tenant, now) == 2
    assert len(first.code) == 8
    assert set(first.code) <= set(CODE_SIGNS)


@pytest.mark.parametrize(
    ("decision", "until"),
    [
        (Decision.QUARTER, timedelta(minutes=15)),
        (Decision.HOUR, timedelta(hours=1)),
        (Decision.TODAY, timedelta(hours=4, minutes=30)),
    ],
)
async def test_timed_yes_opens_until_its_end(
    services: Services, family: Family, act: Act, now: datetime, decision: Decision, until: timedelta
) -> None:
    """An answer with a time is an exception of the profile with an absolute end."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        await answer(connection, act, asked, decision, family.bi, ZONE, None)
        done = await load_request(connection, family.tenant, asked.id)
        (opened,) = await list_overrides(connection, family.tenant, now)
    assert (done.state, done.decision, done.open_until) == (RequestState.ANSWERED, decision, now + until)
    assert (opened.kind, opened.ends_at, opened.targets) == (
        OverrideKind.EXCEPTION,
        now + until,
        ((TargetKind.NAME, "scratch.example"),),
    )


async def test_always_lists_the_name_and_clears_a_denial(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Always is an allowed name, also where it was denied before."""
    async with services.database.write() as connection:
        await add_name(connection, act, family.bi.id, NameEffect.DENY, "scratch.example")
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        await answer(connection, act, asked, Decision.ALWAYS, family.bi, ZONE, None)
        (rule,) = await list_names(connection, family.tenant, family.bi.id)
        assert (rule.effect, rule.pattern) == (NameEffect.ALLOW, "scratch.example")
        assert await list_overrides(connection, family.tenant, now) == []


async def test_no_opens_nothing(services: Services, family: Family, act: Act, now: datetime) -> None:
    """A no is an answer, and only that."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        await answer(connection, act, asked, Decision.NO, family.bi, ZONE, None)
        assert await list_overrides(connection, family.tenant, now) == []
        waiting, answered = await list_requests(connection, family.tenant, now)
    assert (waiting, [one.decision for one in answered]) == ([], [Decision.NO])


@pytest.mark.parametrize("host", ["com", "com.vn"])
async def test_whole_ending_is_neither_asked_for_nor_opened(services: Services, family: Family, act: Act, now: datetime, host: str) -> None:
    """One press must not open every .com site, also for a request that was noted before this was refused."""
    with pytest.raises(InvalidInput):
        async with services.database.write() as connection:
            await ask(connection, family.tenant, replace(wish(family.bi.id), host=host), now)
    async with services.database.write() as connection:
        noted = replace(await ask(connection, family.tenant, wish(family.bi.id), now), host=host)
    for decision in (Decision.HOUR, Decision.ALWAYS):
        with pytest.raises(InvalidInput):
            async with services.database.write() as connection:
                await answer(connection, act, noted, decision, family.bi, ZONE, None)
    async with services.database.write() as connection:
        await answer(connection, act, noted, Decision.NO, family.bi, ZONE, None)
        assert await list_names(connection, family.tenant, family.bi.id) == []


async def test_second_answer_is_a_conflict(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Two parents who press at once do not contradict each other."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        await answer(connection, act, asked, Decision.NO, family.bi, ZONE, None)
    with pytest.raises(Conflict):
        async with services.database.write() as connection:
            await answer(connection, act, asked, Decision.ALWAYS, family.bi, ZONE, None)


async def test_shared_device_gets_its_profile_from_the_answer(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Where nobody knew who asked, the parent says for whom it opens."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(None), now)
        await answer(connection, act, asked, Decision.HOUR, family.na, ZONE, None)
        (opened,) = await list_overrides(connection, family.tenant, now)
        done = await load_request(connection, family.tenant, asked.id)
    assert (opened.profile_id, done.profile_id) == (family.na.id, family.na.id)


async def test_code_finds_the_answer_and_nothing_else(services: Services, family: Family, now: datetime) -> None:
    """The code is the whole proof; another family's page cannot load the request by its id."""
    other = await make_person(services.database, now, sign_in="other")
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        found = await find_by_code(connection, asked.code, now)
        assert found is not None
        assert found.id == asked.id
        assert await find_by_code(connection, "AAAAAAAA", now) is None
        with pytest.raises(NotFound):
            await load_request(connection, other.tenant, asked.id)


async def test_words_are_forgotten_after_thirty_days(services: Services, family: Family, now: datetime) -> None:
    """Host and note are emptied; the skeleton stays."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, wish(family.bi.id), now)
        assert await forget_old(connection, now + timedelta(days=29)) == 0
        assert await forget_old(connection, now + timedelta(days=31)) == 1
        old = await load_request(connection, family.tenant, asked.id)
        assert (old.host, old.note) == ("", "")
        assert await find_by_code(connection, asked.code, now + timedelta(days=31)) is None


async def test_a_flood_of_requests_is_bounded(services: Services, family: Family, now: datetime) -> None:
    """Nobody can bury a parent in requests."""
    with pytest.raises(TooManyTries):
        async with services.database.write() as connection:
            for number in range(60):
                await ask(connection, family.tenant, wish(None, f"site{number}.example"), now)


def test_quota_is_three_a_day_for_each_device() -> None:
    """The fourth request of a day waits until tomorrow; another device does not."""
    quota, now = Quota(), datetime(2026, 10, 12, tzinfo=UTC)
    for minute in range(3):
        quota.take("192.168.1.31", now + timedelta(minutes=minute))
    with pytest.raises(TooManyTries) as caught:
        quota.take("192.168.1.31", now + timedelta(hours=1))
    assert caught.value.retry_after == 23 * 3600
    quota.take("192.168.1.32", now)
    quota.take("192.168.1.31", now + timedelta(days=1, seconds=1))


def test_an_ipv6_home_cannot_mint_devices_without_end() -> None:
    """Each device of a home has its own three a day; all addresses of one /64 together have a bounded share, the neighbour's another."""
    quota, now = Quota(), datetime(2026, 10, 12, tzinfo=UTC)
    taken = 0
    with pytest.raises(TooManyTries):
        for number in range(1000):
            quota.take(f"2001:db8:1:2::{number:x}", now)
            taken += 1
    assert taken == 3 * DEVICES_OF_HOME
    quota.take("2001:db8:1:3::1", now)
    with pytest.raises(TooManyTries):
        quota.take("2001:db8:1:2:ffff::9", now)
    quota.take("2001:db8:1:2:ffff::9", now + timedelta(days=1))


def test_an_address_of_many_has_the_share_of_a_home(now: datetime) -> None:
    """What is known to stand for several devices is not counted as one."""
    quota = Quota()
    for _ in range(3 * DEVICES_OF_HOME):
        quota.take("203.0.113.7", now, DEVICES_OF_HOME)
    with pytest.raises(TooManyTries):
        quota.take("203.0.113.7", now, DEVICES_OF_HOME)


@pytest.mark.parametrize(
    ("typed", "code"), [("abcd 2345", "ABCD2345"), ("AB-CD-23-45", "ABCD2345"), ("  ", ""), ("ABCDEFGHJKL", "ABCDEFGH")]
)
def test_read_code_forgives_how_it_is_typed(typed: str, code: str) -> None:
    """Case, spaces and hyphens do not matter."""
    assert read_code(typed) == code


def test_end_of_today_is_the_places_midnight(now: datetime) -> None:
    """Today ends at midnight at home, also when UTC is elsewhere."""
    late = now.replace(hour=16, minute=59)
    assert end_of(Decision.TODAY, late, ZONE) == datetime(2026, 10, 12, 17, 0, tzinfo=UTC)
    assert end_of(Decision.NO, now, ZONE) is end_of(Decision.ALWAYS, now, ZONE) is None
