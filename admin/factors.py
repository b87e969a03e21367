"""The second factor of an account: time-based codes from an app (RFC 6238) and recovery codes on paper.

The secret of the app is stored encrypted under a key that lies beside the database, not in it, so that a copy of the database is not a
second factor. A code is good once, within one step before and after the real clock (never the test clock). Recovery codes are random,
kept as hashes, and each is good once. Nothing here decides who needs a factor (`admin.permissions` does).
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.sessions import hash_secret
from admin.tables import recovery_codes, second_factors
from blocklists.tables import AccountId
from gateway.errors import StartError

KEY_FILE = "factors.key"
STEP = 30
RECOVERY_CODES = 10
#: Letters and digits that nobody mistakes for each other on paper.
_PAPER = "23456789abcdefghjkmnpqrstuvwxyz"


class Factors:
    """Second factors of one installation. `real_time` gives unix seconds of the real clock."""

    def __init__(self, key: bytes, real_time: Callable[[], float]) -> None:
        self._box = Fernet(key)
        self._real_time = real_time

    async def has(self, connection: AsyncConnection, account: AccountId) -> bool:
        """Whether an account has a second factor that was tried once."""
        return await has_factor(connection, account)

    async def begin(self, connection: AsyncConnection, account: AccountId, now: datetime) -> str:
        """A new secret for an app, in base32, not in use until a code from it was typed. The one in use stays."""
        secret = pyotp.random_base32()
        await connection.execute(
            delete(second_factors).where(second_factors.c.account_id == account, second_factors.c.confirmed_at.is_(None))
        )
        await connection.execute(
            insert(second_factors).values(account_id=account, secret=self._box.encrypt(secret.encode()), created_at=now, last_step=0)
        )
        return secret

    async def pending(self, connection: AsyncConnection, account: AccountId) -> str | None:
        """The secret that waits for its first code."""
        stored = (
            await connection.execute(
                select(second_factors.c.secret).where(second_factors.c.account_id == account, second_factors.c.confirmed_at.is_(None))
            )
        ).scalar_one_or_none()
        return self._open(stored) if stored is not None else None

    async def confirm(self, connection: AsyncConnection, account: AccountId, code: str, now: datetime) -> list[str] | None:
        """Take the waiting secret into use when the code is from it: the recovery codes, shown once; None when it is not."""
        secret = await self.pending(connection, account)
        step = self._step_of(secret, code, 0) if secret is not None else None
        if step is None:
            return None
        await connection.execute(
            delete(second_factors).where(second_factors.c.account_id == account, second_factors.c.confirmed_at.is_not(None))
        )
        await connection.execute(
            update(second_factors).where(second_factors.c.account_id == account).values(confirmed_at=now, last_step=step)
        )
        return await self.renew_recovery(connection, account, now)

    async def renew_recovery(self, connection: AsyncConnection, account: AccountId, now: datetime) -> list[str]:
        """New recovery codes; the old ones are worth nothing from now on."""
        codes = ["-".join("".join(secrets.choice(_PAPER) for _ in range(5)) for _ in range(3)) for _ in range(RECOVERY_CODES)]
        await connection.execute(delete(recovery_codes).where(recovery_codes.c.account_id == account))
        await connection.execute(
            insert(recovery_codes), [{"account_id": account, "code_hash": hash_secret(_plain(code)), "created_at": now} for code in codes]
        )
        return codes

    async def left(self, connection: AsyncConnection, account: AccountId) -> int:
        """How many recovery codes are still good."""
        own = select(recovery_codes.c.code_hash).where(recovery_codes.c.account_id == account, recovery_codes.c.used_at.is_(None))
        return len((await connection.execute(own)).all())

    async def check(self, connection: AsyncConnection, account: AccountId, code: str, now: datetime) -> bool:
        """Whether a code from the app or from paper is right; it is used up by this."""
        row = (
            await connection.execute(
                select(second_factors.c.secret, second_factors.c.last_step).where(
                    second_factors.c.account_id == account, second_factors.c.confirmed_at.is_not(None)
                )
            )
        ).one_or_none()
        secret = self._open(row.secret) if row is not None else None
        step = self._step_of(secret, code, row.last_step) if row is not None and secret is not None else None
        if step is not None:
            # The condition makes two requests with the same code at once into one that is right.
            used = await connection.execute(
                update(second_factors)
                .where(second_factors.c.account_id == account, second_factors.c.last_step < step)
                .values(last_step=step)
            )
            return used.rowcount > 0
        paper = await connection.execute(
            update(recovery_codes)
            .where(
                recovery_codes.c.account_id == account,
                recovery_codes.c.code_hash == hash_secret(_plain(code)),
                recovery_codes.c.used_at.is_(None),
            )
            .values(used_at=now)
        )
        return paper.rowcount == 1

    async def remove(self, connection: AsyncConnection, account: AccountId) -> None:
        """The account has no second factor any more."""
        await connection.execute(delete(second_factors).where(second_factors.c.account_id == account))
        await connection.execute(delete(recovery_codes).where(recovery_codes.c.account_id == account))

    def _open(self, stored: bytes) -> str | None:
        try:
            return self._box.decrypt(bytes(stored)).decode()
        except InvalidToken:
            return None  # another key: codes from paper still work

    def _step_of(self, secret: str, code: str, last: int) -> int | None:
        """The step a code belongs to, None when it is wrong, too old or was used."""
        typed = "".join(code.split())
        if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
            return None
        one = pyotp.TOTP(secret, interval=STEP)
        now = int(self._real_time()) // STEP
        right = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(one.generate_otp(step), typed)]
        return next((step for step in right if step > last), None)


async def has_factor(connection: AsyncConnection, account: AccountId) -> bool:
    """Whether an account has a second factor that was tried once."""
    found = select(second_factors.c.account_id).where(second_factors.c.account_id == account, second_factors.c.confirmed_at.is_not(None))
    return (await connection.execute(found)).first() is not None


def app_address(secret: str, sign_in: str, issuer: str) -> str:
    """What the QR holds for the app (otpauth URI)."""
    return pyotp.TOTP(secret, interval=STEP).provisioning_uri(name=sign_in, issuer_name=issuer)


def load_key(state_dir: Path) -> bytes:
    """The key of this installation, made at the first start (0600). Raises StartError when it cannot be kept."""
    path = state_dir / KEY_FILE
    try:
        if path.exists():
            return path.read_bytes().strip()
        state_dir.mkdir(parents=True, exist_ok=True)
        key = Fernet.generate_key()
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(key + b"\n")
        return key
    except OSError as error:
        raise StartError(f"state_dir: cannot keep {path}: {error.strerror}: give this user the right to write there") from None


def _plain(code: str) -> str:
    """A recovery code as it is hashed: small letters, no separators."""
    return "".join(letter for letter in code.lower() if letter.isalnum())
