"""PINs of accounts, and codes on paper."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from admin.audit import Act, by_account
from admin.recovery import (
    HOLDS,
    WAIT,
    begin_pin,
    find_renewal,
    judge_account_pin,
    make_sheet,
    new_code,
    read_paper,
    read_paper_code,
    renew_pin,
    sheet_made_at,
    start_renewal,
    uses_pin,
)
from admin.tables import passkeys
from blocklists.database import Database
from blocklists.tables import Role, role_assignments
from tests.support.people import Person, make_person


@pytest.fixture
async def parent(database: Database, now: datetime) -> Person:
    """An account that signs in with a PIN."""
    person = await make_person(database, now)
    async with database.write() as connection:
        await begin_pin(connection, person.account)
    return person


@pytest.mark.parametrize(
    ("pin", "code"),
    [
        ("407193", ""),
        ("40719358", ""),
        ("4071", "pin_long_form"),
        ("407193581", "pin_long_form"),
        ("40719a", "pin_long_form"),
        ("١٢٣٤٥٦", "pin_long_form"),
        ("111111", "pin_easy"),
        ("121212", "pin_easy"),
        ("123456", "pin_easy"),
        ("654321", "pin_easy"),
        ("252525", "pin_easy"),
        ("407407", "pin_easy"),
        ("19851987", "pin_easy"),
        ("271118", "pin_birthday"),
        ("20181127", "pin_birthday"),
    ],
)
def test_judge_account_pin_refuses_what_is_guessed_first(pin: str, code: str) -> None:
    """Six to eight digits; no row, no repetition, no two years."""
    assert [mistake.code for mistake in judge_account_pin(pin, pin)] == ([code] if code else [])


def test_judge_account_pin_wants_the_same_twice() -> None:
    """A PIN that was mistyped is found before it is needed."""
    assert [mistake.field for mistake in judge_account_pin("407193", "407194")] == ["again"]


def test_paper_codes_are_read_as_people_type_them() -> None:
    """Capitals, spaces and missing dashes do not matter."""
    code = new_code()
    assert read_paper_code(f"  {code.upper().replace('-', ' ')} ") == code == read_paper_code(code.replace("-", ""))


async def test_a_newer_sheet_makes_the_old_one_worthless(database: Database, parent: Person, now: datetime) -> None:
    """Only the last sheet opens the account; a used one opens nothing."""
    act = Act(parent.tenant, by_account(parent.account, Role.FIRST_PARENT), now)
    async with database.write() as connection:
        assert await sheet_made_at(connection, parent.account) is None
        old, new = await make_sheet(connection, act, parent.account), await make_sheet(connection, act, parent.account)
        assert await sheet_made_at(connection, parent.account) == now
        assert await read_paper(connection, old, now) is None
        paper = await read_paper(connection, new, now)
        assert paper is not None
        assert paper.account == parent.account
        assert paper.opens_at is None
        await connection.execute(
            insert(passkeys).values(
                id="p", account_id=parent.account, credential=b"c", public_key=b"k", sign_count=0, name="n", label="l", created_at=now
            )
        )
        await renew_pin(connection, paper, new, "stored", now)
        assert (await connection.execute(select(passkeys))).all() == [], "whoever was let in before is out"
        assert await read_paper(connection, new, now) is None
        assert await uses_pin(connection, parent.account)


async def test_a_sheet_opens_nothing_once_the_role_has_ended(database: Database, parent: Person, now: datetime) -> None:
    """Whoever has no part in the family any more sets no PIN of its shared phones."""
    async with database.write() as connection:
        act = Act(parent.tenant, by_account(parent.account, Role.FIRST_PARENT), now)
        sheet = await make_sheet(connection, act, parent.account)
        mine = role_assignments.c.account_id == parent.account
        await connection.execute(update(role_assignments).where(mine).values(valid_until=now + timedelta(hours=1)))
        assert await read_paper(connection, sheet, now) is not None
        assert await read_paper(connection, sheet, now + timedelta(hours=1)) is None


async def test_start_renewal_only_for_families_that_joined_there(database: Database, parent: Person, now: datetime) -> None:
    """A host finds no account of anybody else, whether or not it exists."""
    host = await make_person(database, now, "host")
    act = Act(host.tenant, by_account(host.account, Role.OPERATOR), now)
    async with database.write() as connection:
        assert await start_renewal(connection, act, "Xã", "me") is None
        assert await start_renewal(connection, act, "Xã", "nobody") is None
        assert await find_renewal(connection, parent.tenant, now) is None


def test_a_slip_waits_a_day_and_holds_a_week() -> None:
    """The numbers that the pages promise."""
    assert (timedelta(hours=24), timedelta(days=7)) == (WAIT, HOLDS)
