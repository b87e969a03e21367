"""The second factor: codes that are good once, paper for a lost phone, and a database that is no factor by itself."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pyotp
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from admin.factors import STEP, Factors, app_address, load_key
from admin.tables import recovery_codes, second_factors
from blocklists.database import Database
from blocklists.tables import AccountId
from tests.support.people import make_person

KEY = Fernet.generate_key()


class Phone:
    """An authenticator app, and the real clock, moved by hand."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0
        self.secret = ""

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(int(self.at) + steps * STEP)


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def factors(phone: Phone) -> Factors:
    return Factors(KEY, lambda: phone.at)


@pytest.fixture
async def account(database: Database, now: datetime) -> AccountId:
    return (await make_person(database, now)).account


async def enrol(database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime) -> list[str]:
    """A factor in use; its recovery codes."""
    async with database.write() as connection:
        phone.secret = await factors.begin(connection, account, now)
        codes = await factors.confirm(connection, account, phone.code(), now)
    assert codes is not None
    return codes


async def check(database: Database, factors: Factors, account: AccountId, code: str, now: datetime) -> bool:
    async with database.write() as connection:
        return await factors.check(connection, account, code, now)


async def test_nothing_changes_before_the_first_code(
    database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime
) -> None:
    """A secret that was shown but never used is no factor: nobody locks themselves out half-way."""
    async with database.write() as connection:
        phone.secret = await factors.begin(connection, account, now)
        assert not await factors.has(connection, account)
        assert await factors.confirm(connection, account, "000000" if phone.code() != "000000" else "111111", now) is None
        assert not await factors.has(connection, account)
        assert await factors.confirm(connection, account, f"{phone.code()[:3]} {phone.code()[3:]}", now) is not None
        assert await factors.has(connection, account)


async def test_code_is_good_once_and_for_a_moment(
    database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime
) -> None:
    """A step before and after is taken for clocks that differ; a code that was seen, or an older one, never again."""
    await enrol(database, factors, account, phone, now)
    assert not await check(database, factors, account, phone.code(), now), "used when it was set up"
    phone.at += 2 * STEP
    assert await check(database, factors, account, phone.code(1), now)
    assert not await check(database, factors, account, phone.code(1), now)
    assert not await check(database, factors, account, phone.code(), now), "older than the one used last"
    phone.at += 5 * STEP
    assert not await check(database, factors, account, phone.code(-2), now)
    assert not await check(database, factors, account, phone.code(2), now)
    for wrong in ("", "12345", "1234567", "abcdef", "١٢٣٤٥٦"):
        assert not await check(database, factors, account, wrong, now)
    assert await check(database, factors, account, phone.code(), now)


async def test_same_code_at_once_is_right_once(
    database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime
) -> None:
    """Two requests with one code: the second is refused, in whatever order they come."""
    await enrol(database, factors, account, phone, now)
    phone.at += 2 * STEP
    answers = await asyncio.gather(*(check(database, factors, account, phone.code(), now) for _ in range(4)))
    assert sorted(answers) == [False, False, False, True]


async def test_paper_works_once_each_and_is_kept_as_hashes(
    database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime
) -> None:
    """Ten codes, typed in any way people type them; new ones make the old ones worthless."""
    codes = await enrol(database, factors, account, phone, now)
    assert len(set(codes)) == 10
    assert await check(database, factors, account, codes[0].upper().replace("-", " "), now)
    assert not await check(database, factors, account, codes[0], now)
    async with database.write() as connection:
        assert await factors.left(connection, account) == 9
        rows = (await connection.execute(select(recovery_codes.c.code_hash))).scalars().all()
        assert all(code.encode() not in bytes(row) for row in rows for code in codes)
        await factors.renew_recovery(connection, account, now)
    assert not await check(database, factors, account, codes[1], now)


async def test_database_alone_is_no_factor(database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime) -> None:
    """The secret is unreadable without the key; with another key the app's codes fail and paper still works."""
    codes = await enrol(database, factors, account, phone, now)
    async with database.read() as connection:
        stored = bytes((await connection.execute(select(second_factors.c.secret))).scalar_one())
    assert phone.secret.encode() not in stored
    other = Factors(Fernet.generate_key(), lambda: phone.at + 10 * STEP)
    phone.at += 10 * STEP
    assert not await check(database, other, account, phone.code(), now)
    assert await check(database, other, account, codes[0], now)


async def test_new_phone_replaces_the_old_one_only_when_it_works(
    database: Database, factors: Factors, account: AccountId, phone: Phone, now: datetime
) -> None:
    """Setting up another app leaves the one in use alone until its first code."""
    await enrol(database, factors, account, phone, now)
    old = phone.secret
    async with database.write() as connection:
        new = await factors.begin(connection, account, now)
    phone.at += 2 * STEP
    assert await check(database, factors, account, phone.code(), now)
    phone.secret = new
    phone.at += 2 * STEP
    async with database.write() as connection:
        assert await factors.confirm(connection, account, phone.code(), now) is not None
    phone.at += 2 * STEP
    assert await check(database, factors, account, phone.code(), now)
    phone.secret = old
    phone.at += 2 * STEP
    assert not await check(database, factors, account, phone.code(), now)
    async with database.write() as connection:
        await factors.remove(connection, account)
        assert not await factors.has(connection, account)


def test_key_lies_beside_the_database_for_its_owner_only(tmp_path: Path) -> None:
    """Made once, read afterwards, nobody else may read it."""
    key = load_key(tmp_path / "var")
    assert load_key(tmp_path / "var") == key
    assert (tmp_path / "var" / "factors.key").stat().st_mode & 0o777 == 0o600


def test_app_is_told_whose_code_it_is() -> None:
    """The picture names this product and the sign-in name."""
    address = app_address("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "mẹ an", "Lá Chắn DNS")
    assert address.startswith("otpauth://totp/") and "secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in address and "issuer=" in address
