"""Loans of a shared device and the family's PIN, below the pages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from admin.audit import Act, read_rows
from admin.dependencies import Services
from admin.errors import TooManyTries
from admin.passwords import Passwords
from admin.sharing import (
    AT_DEVICE,
    SPANS,
    TOLD_FOR,
    PinDoor,
    WrongPin,
    adults_of,
    find_guesses,
    judge_pin,
    lend,
    list_loans,
    note_right,
    note_wrong,
    read_pin,
    set_pin,
    take_back,
)
from admin.values import DeviceId
from tests.support.family import Family


@pytest.mark.parametrize(
    ("pin", "code"), [("4071", ""), ("40718263", ""), ("1111", "pin_easy"), ("4567", "pin_easy"), ("9876", "pin_easy")]
    + [(pin, "pin_birthday") for pin in ("2015", "1987", "2711", "0615", "271118", "181127", "112018", "27112018", "20181127", "2902")]
    + [(pin, "") for pin in ("4071", "3213", "3002", "407193", "310299", "13992", "19851987", "951753")]
)
def test_pin_is_digits_that_are_not_guessed_first(pin: str, code: str) -> None:
    """Four to eight digits, neither all the same nor in a row, nor a day or year as people write one."""
    assert "".join(mistake.code for mistake in judge_pin(pin)) == code


async def test_each_family_slows_down_by_itself(services: Services, family: Family) -> None:
    """Guesses at one family's PIN do not make another family wait."""
    passwords = Passwords()
    stored = await passwords.hash("4071")
    door = PinDoor(passwords)
    for moment in range(5):
        with pytest.raises(WrongPin):
            await door.check(family.tenant, stored, "1112", float(moment))
    with pytest.raises(TooManyTries):
        await door.check(family.tenant, stored, "4071", 4.5)
    await door.check(type(family.tenant)("another"), stored, "4071", 4.5)
    await door.check(family.tenant, stored, "4071", 60.0)


async def test_guesses_from_a_shared_address_make_nobody_at_home_wait(services: Services, family: Family) -> None:
    """What somebody behind the same provider's address guesses slows down guesses of that kind alone, wherever the next ones come from."""
    passwords = Passwords()
    stored, door = await passwords.hash("4071"), PinDoor(passwords)
    for moment in range(5):
        with pytest.raises(WrongPin):
            await door.check(family.tenant, stored, "1112", float(moment), is_apart=True)
    with pytest.raises(TooManyTries):
        await door.check(family.tenant, stored, "4071", 4.5, is_apart=True)
    await door.check(family.tenant, stored, "4071", 4.5)
    with pytest.raises(TooManyTries):
        await door.check(family.tenant, stored, "4071", 4.6, is_apart=True)


async def test_a_child_has_some_forty_guesses_a_day(services: Services, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries as soon as it may, day and night: the waits grow to an hour and a pause wins nothing; a right PIN ends them."""
    passwords = Passwords()

    async def is_right(stored: str | None, pin: str, *, known: bool) -> bool:
        return pin == "4071"

    monkeypatch.setattr(passwords, "verify", is_right)  # argon2 would take seconds for a day of guesses
    door, tried, at = PinDoor(passwords), [], 0.0
    while at < 2 * 86_400:
        try:
            await door.check(family.tenant, "x", "1112", at)
        except WrongPin:
            tried.append(at)
        except TooManyTries as error:
            at += error.retry_after
    assert len([one for one in tried if one < 86_400]) <= 42 and len([one for one in tried if one >= 86_400]) <= 24
    await door.check(family.tenant, "x", "4071", at + 3600)
    with pytest.raises(WrongPin):
        await door.check(family.tenant, "x", "1112", at + 3600)


async def test_parents_are_told_of_several_wrong_pins(services: Services, family: Family, act: Act) -> None:
    """From the fifth on, and again at the twentieth; a slip before the right one is forgotten, and so is one of yesterday; a new PIN or a
    week ends it; without a PIN there is nothing to count."""
    here = Act(family.tenant, AT_DEVICE, act.now)
    async with services.database.write() as connection:
        assert not await note_wrong(connection, here)
        await set_pin(connection, act, "hash")
        for _ in range(4):
            assert not await note_wrong(connection, here)
        await note_right(connection, here)
        assert [await note_wrong(connection, here) for _ in range(4)] == [False] * 4
        tomorrow = replace(here, now=act.now + timedelta(hours=25))
        assert [await note_wrong(connection, tomorrow) for _ in range(5)] == [False] * 4 + [True]
        assert [row.action for row in await read_rows(connection, family.tenant, 1)] == ["pin.guessed"]
        await note_right(connection, tomorrow)
        found = await find_guesses(connection, family.tenant, tomorrow.now)
        assert found is not None and (found.count, found.last) == (5, tomorrow.now)
        assert await find_guesses(connection, family.tenant, tomorrow.now + TOLD_FOR) is None
        assert [await note_wrong(connection, tomorrow) for _ in range(15)].index(True) == 14
        await set_pin(connection, act, "another")
        assert await find_guesses(connection, family.tenant, tomorrow.now) is None


async def test_guesses_side_by_side_win_nothing(services: Services, family: Family) -> None:
    """A child that sends many guesses at once has no more of them looked at than one who types them."""
    passwords = Passwords()
    stored, door = await passwords.hash("4071"), PinDoor(passwords)
    guesses = [door.check(family.tenant, stored, f"{number}", 0.0) for number in range(2000, 2015)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(one) for one in outcomes] == [WrongPin] * 5 + [TooManyTries] * 10


async def test_one_loan_for_each_device_and_no_longer_than_an_hour(services: Services, family: Family, act: Act) -> None:
    """A second loan replaces the first; one that was ended, or is over, is gone."""
    phone, other = DeviceId(family.bi_phone), DeviceId(family.na_phone)
    at_device = Act(family.tenant, AT_DEVICE, act.now)
    async with services.database.write() as connection:
        await lend(connection, at_device, phone, family.adults.id, SPANS["30m"])
        ends = await lend(connection, at_device, phone, family.adults.id, SPANS["60m"])
        await lend(connection, at_device, other, family.adults.id, SPANS["30m"])
        found = {loan.device_id: loan.ends_at for loan in await list_loans(connection, family.tenant, act.now)}
        assert found == {phone: ends, other: act.now + timedelta(minutes=30)}
        await take_back(connection, at_device, other)
        assert [loan.device_id for loan in await list_loans(connection, family.tenant, act.now)] == [phone]
        assert await list_loans(connection, family.tenant, act.now + timedelta(hours=1)) == []
        with pytest.raises(AssertionError):
            await lend(connection, at_device, phone, family.adults.id, timedelta(hours=2))


async def test_pin_comes_and_goes(services: Services, family: Family, act: Act) -> None:
    """Stored as a hash, for this family only."""
    async with services.database.write() as connection:
        assert await read_pin(connection, family.tenant) is None
        await set_pin(connection, act, "hash")
        assert await read_pin(connection, family.tenant) == "hash"
        await set_pin(connection, act, None)
        assert await read_pin(connection, family.tenant) is None
    assert adults_of([family.bi, family.adults]) is family.adults and adults_of([family.bi]) is None
