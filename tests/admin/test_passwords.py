"""Passwords: which are taken, and that checking them stays bounded."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import admin.passwords
from admin.errors import Busy
from admin.passwords import WAITING, Passwords, common_passwords, judge_new, normalise


@pytest.mark.parametrize("password", ["mùa thu lá bay", "12 con mèo", "correct horse battery", "x" * 3 + "yz" * 40])
def test_judge_new_takes_long_and_uncommon(password: str) -> None:
    """Eight signs or more, of any kind, with spaces and Vietnamese letters, are welcome."""
    assert judge_new(password, "me") == []


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password_short"),
        ("7 signs", "password_short"),
        ("12345678", "password_common"),
        ("MatKhau123", "password_common"),
        ("aaaaaaaaaa", "password_common"),
        ("abababababab", "password_common"),
        ("phuhuynh1", "password_common"),
        ("x" * 201, "password_long"),
    ],
)
def test_judge_new_refuses_what_guessers_try_first(password: str, code: str) -> None:
    """Short, common, repeated or built from the sign-in name: refused with a code that has words."""
    assert [mistake.code for mistake in judge_new(password, "phuhuynh")] == [code]


def test_common_passwords_are_worth_listing() -> None:
    """The list holds only what the length rule would let through."""
    assert len(common_passwords()) > 100
    assert all(len(normalise(one)) >= 8 for one in common_passwords())


async def test_verify_right_wrong_and_unknown() -> None:
    """The right password opens; a wrong one and an unknown account do not."""
    passwords = Passwords()
    stored = await passwords.hash("mùa thu lá bay")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(stored, "mùa thu lá bay", known=False)
    # the same letters, decomposed, as some keyboards send them
    assert await passwords.verify(stored, "mu\u0300a thu la\u0301 bay", known=True)
    assert not await passwords.verify(stored, "mùa thu lá rơi", known=False)
    assert not await passwords.verify(None, "mùa thu lá bay", known=False)
    assert not await passwords.verify("damaged", "mùa thu lá bay", known=True)


async def test_verify_runs_two_at_once_and_strangers_leave_a_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many guess, two threads work at most, strangers hold one of them, and a known browser gets the other."""
    gate, started = threading.Event(), threading.Semaphore(0)
    running: list[str] = []

    def slow(stored: str, password: str) -> bool:
        running.append(password)
        started.release()
        gate.wait(5)
        return True

    monkeypatch.setattr(admin.passwords, "_verify_now", slow)
    passwords = Passwords()
    guesses = [asyncio.create_task(passwords.verify("s", "stranger", known=False)) for _ in range(8)]
    await asyncio.to_thread(started.acquire, timeout=5)
    owner = asyncio.create_task(passwords.verify("s", "owner", known=True))
    await asyncio.to_thread(started.acquire, timeout=5)
    await asyncio.sleep(0.02)
    assert running == ["stranger", "owner"]
    gate.set()
    assert await owner
    await asyncio.gather(*guesses)


async def test_verify_turns_strangers_away_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of guesses is refused at the door instead of queueing without end; a known browser still gets in."""
    gate = threading.Event()
    monkeypatch.setattr(admin.passwords, "_verify_now", lambda stored, password: bool(gate.wait(5)))
    passwords = Passwords()
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(passwords.verify("s", "x", known=False)) for _ in range(WAITING)]
    await asyncio.sleep(0.02)
    with pytest.raises(Busy):
        await passwords.verify("s", "x", known=False)
    owner = asyncio.create_task(passwords.verify("s", "x", known=True))
    gate.set()
    assert await owner
    await asyncio.gather(*waiting)
