"""Passwords: which ones are taken, how they are kept, and how checking them never becomes a burden.

Kept as argon2id with 19 MiB and two passes (OWASP, RFC 9106). Work is done off the event loop, at most two at once, and strangers
have one of the two lanes, so that a person on a known browser never waits behind somebody else's guesses. Rules (NIST SP 800-63B):
eight signs or more, no composition rules, nothing that stands on the list of common passwords or is the sign-in name.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from functools import cache
from importlib import resources

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from admin.errors import Busy, FieldMistake

SHORTEST = 8
LONGEST = 200
LANES = 2
#: How many may wait for a lane before the next is told to come back.
WAITING = 16

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


class Passwords:
    """Hashes and checks, bounded. One per process."""

    def __init__(self) -> None:
        self._lanes = asyncio.Semaphore(LANES)
        self._strangers = asyncio.Semaphore(LANES - 1)
        self._waiting = 0
        _decoy()  # made before anybody asks, so that the first unknown name takes no longer than the others

    async def hash(self, password: str) -> str:
        """The text to store."""
        async with self._lanes:
            return await asyncio.to_thread(_hasher.hash, normalise(password))

    async def verify(self, stored: str | None, password: str, *, known: bool) -> bool:
        """Whether the password is the stored one; `stored` None (no such account) costs the same time. Raises Busy when too many wait."""
        if not known and self._waiting >= WAITING:
            raise Busy
        self._waiting += 1
        try:
            if known:
                return await self._verify(stored, password)
            async with self._strangers:
                return await self._verify(stored, password)
        finally:
            self._waiting -= 1

    async def _verify(self, stored: str | None, password: str) -> bool:
        async with self._lanes:
            right = await asyncio.to_thread(_verify_now, stored or _decoy(), normalise(password))
        return right and stored is not None


def judge_new(password: str, sign_in: str) -> list[FieldMistake]:
    """Why a new password cannot be taken; empty when it can."""
    text = normalise(password)
    if len(text) < SHORTEST:
        return [FieldMistake("password", "password_short")]
    if len(text) > LONGEST:
        return [FieldMistake("password", "password_long")]
    folded = text.casefold()
    named = bool(sign_in) and sign_in.casefold() in folded and len(folded) < len(sign_in) + 4
    if named or folded in common_passwords() or len(set(folded)) < 3:
        return [FieldMistake("password", "password_common")]
    return []


def normalise(password: str) -> str:
    """The same password typed on two keyboards is the same text (NFC: composed Vietnamese letters)."""
    return unicodedata.normalize("NFC", password)


@cache
def common_passwords() -> frozenset[str]:
    """The passwords that guessers try first, read once from the package."""
    text = resources.files("admin").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line.strip().casefold() for line in text.splitlines() if line.strip() and not line.startswith("#"))


@cache
def _decoy() -> str:
    """A hash of what nobody knows: checking an unknown account takes as long as checking a known one."""
    return _hasher.hash(secrets.token_urlsafe(32))


def _verify_now(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
