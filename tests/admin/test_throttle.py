"""Guessers are slowed down; owners are not locked out."""

from __future__ import annotations

import pytest

from admin.errors import TooManyTries
from admin.throttle import (
    ADDRESS_SHARE,
    CROWD_WAIT,
    FORGET_AFTER,
    FORGET_SHORT_AFTER,
    FREE_TRIES,
    LONGEST_WAIT,
    MOST_BUDGETS,
    NETWORK_FREE_TRIES,
    SHORT_FREE_TRIES,
    Throttle,
)


def fail(
    throttle: Throttle, times: int, *, now: float = 0.0, account: str = "me", address: str = "192.0.2.7", browser: str | None = None
) -> None:
    for _ in range(times):
        throttle.failed(now, account, address, browser)


def test_first_tries_are_free_then_the_wait_doubles() -> None:
    """A person who mistypes waits for nothing; a guesser waits longer each time, up to a quarter of an hour."""
    throttle = Throttle()
    fail(throttle, FREE_TRIES - 1)
    assert throttle.wait(0.0, "me", "192.0.2.7", None) == 0.0
    waits = []
    for _ in range(14):
        fail(throttle, 1)
        waits.append(throttle.wait(0.0, "me", "192.0.2.7", None))
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == LONGEST_WAIT


def test_a_known_browser_never_waits_for_strangers() -> None:
    """A million guesses from anywhere do not slow the owner's own phone."""
    throttle = Throttle()
    for number in range(2000):
        fail(throttle, 1, address=f"198.51.{number % 250}.{number // 250}")
    assert throttle.wait(0.0, "me", "198.51.0.0", "phone") == 0.0


def test_another_house_never_waits_for_a_stranger() -> None:
    """Guesses from one network do not slow a new browser in another by more than the crowd's two seconds."""
    throttle = Throttle()
    fail(throttle, 500, address="198.51.100.9")
    assert throttle.wait(0.0, "me", "203.0.113.5", None) <= CROWD_WAIT


def test_a_child_with_one_device_keeps_no_parent_of_the_same_home_out() -> None:
    """Thirty wrong passwords, or three thousand, from one device: a fresh browser beside it waits two seconds at most, that device long."""
    for times in (30, 3000):
        throttle = Throttle()
        fail(throttle, times, address="192.168.77.22")
        assert throttle.wait(0.0, "me", "192.168.77.31", None) <= CROWD_WAIT
        assert throttle.wait(0.0, "me", "192.168.77.22", None) == LONGEST_WAIT


def test_many_addresses_of_one_network_are_one_guesser() -> None:
    """Eight devices that each guess what is free have used up what their network has; names in between win nothing."""
    throttle = Throttle()
    for device in range(NETWORK_FREE_TRIES // ADDRESS_SHARE):
        assert throttle.wait(0.0, "me", "192.168.77.99", None) == 0.0
        fail(throttle, 3, account="somebody else", address=f"192.168.77.{device}")
        fail(throttle, ADDRESS_SHARE, address=f"192.168.77.{device}")
    assert throttle.wait(0.0, "me", "192.168.77.99", None) >= 1.0
    for device in range(100, 120):
        fail(throttle, 1, address=f"192.168.77.{device}")
    assert throttle.wait(0.0, "me", "192.168.77.99", None) == LONGEST_WAIT
    assert throttle.wait(0.0, "me", "192.168.78.99", None) <= CROWD_WAIT


@pytest.mark.parametrize(("addresses", "most"), [(1, 320), (12, 1_150)])
def test_guesses_of_a_day_are_as_few_as_the_docstring_says(addresses: int, most: int) -> None:
    """Whatever pause a guesser makes after how many waits: so many tries in 24 hours from one address, and from all of a network."""
    found = []
    for rounds in range(5, 12):
        throttle, now, tries, used = Throttle(), 0.0, 0, 0
        while now < 86_400:
            waits = [throttle.wait(now, "me", f"192.0.2.{number}", None) for number in range(addresses)]
            wait = min(waits)
            if wait and used >= rounds:
                now, used = now + FORGET_AFTER + 1, 0
            elif wait:
                now, used = now + wait, used + 1
            else:
                throttle.failed(now, "me", f"192.0.2.{waits.index(0.0)}", None)
                tries += 1
        found.append(tries)
    assert max(found) <= most, found


def test_a_network_that_took_its_tries_back_is_free() -> None:
    """Tries that were let in and never made count for no address of the network."""
    throttle = Throttle()
    for device in range(60):
        for _ in range(4):
            throttle.enter(0.0, "me", f"192.168.77.{device}", None)
            throttle.withdrawn("me", f"192.168.77.{device}", None)
    assert throttle.wait(0.0, "me", "192.168.77.99", None) == 0.0


def test_one_address_guessing_many_accounts_waits() -> None:
    """Trying one password on many accounts from one address is slowed too."""
    throttle = Throttle()
    for number in range(20):
        fail(throttle, 1, account=f"account{number}")
    assert throttle.wait(0.0, "fresh", "192.0.2.7", None) > 60


def test_an_ipv6_house_is_one_address() -> None:
    """Fresh addresses out of one /64 do not buy fresh tries."""
    throttle = Throttle()
    for number in range(20):
        fail(throttle, 1, address=f"2001:db8:1:2::{number:x}")
    assert throttle.wait(0.0, "me", "2001:db8:1:2::ffff", None) > 60


def test_success_clears_and_time_forgets() -> None:
    """After the right password, or an hour of quiet, the next slip is free again."""
    throttle = Throttle()
    fail(throttle, 8)
    throttle.succeeded("me", "192.0.2.7", None)
    assert throttle.wait(0.0, "me", "192.0.2.7", None) == 0.0
    fail(throttle, 8)
    fail(throttle, 1, now=FORGET_AFTER + 1000)
    assert throttle.wait(FORGET_AFTER + 1000, "me", "192.0.2.7", None) == 0.0


def test_memory_stays_bounded() -> None:
    """Addresses without end cannot fill the memory."""
    throttle = Throttle()
    for number in range(MOST_BUDGETS):
        throttle.failed(0.0, "me", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", None)
    assert len(throttle._budgets) <= MOST_BUDGETS


def test_a_try_counts_until_it_is_right() -> None:
    """Guesses that are sent side by side are as few as those sent one by one; one that was never looked at costs nothing."""
    throttle = Throttle()
    for _ in range(FREE_TRIES):
        throttle.enter(0.0, "me", "192.0.2.7", None, short=True)
    with pytest.raises(TooManyTries):
        throttle.enter(0.0, "me", "192.0.2.7", None, short=True)
    throttle.withdrawn("me", "192.0.2.7", None, short=True)
    throttle.enter(0.0, "me", "192.0.2.7", None, short=True)
    throttle.succeeded("me", "192.0.2.7", None)
    assert throttle.wait(0.0, "me", "192.0.2.7", None, short=True) == 0.0


def test_right_passwords_are_no_crowd() -> None:
    """A hundred sign-ins from everywhere slow nobody down."""
    throttle = Throttle()
    for number in range(100):
        address = f"198.51.100.{number}"
        throttle.enter(0.0, "me", address, None)
        throttle.succeeded("me", address, None)
    assert throttle.wait(0.0, "me", "203.0.113.5", None) == 0.0


def test_a_pause_wins_no_guesses_at_a_pin() -> None:
    """An hour's pause after the free tries: the PIN still waits as it did; a day later it is forgotten."""
    throttle = Throttle()
    for number in range(SHORT_FREE_TRIES + 3):
        throttle.failed(0.0, "me", f"198.{number}.100.7", None, short=True)
    again = FORGET_AFTER + 60
    throttle.failed(again, "me", "203.0.113.5", None, short=True)
    assert throttle.wait(again, "me", "192.0.2.9", None, short=True) > 30
    throttle.failed(again + FORGET_SHORT_AFTER + 1, "me", "203.0.113.5", None, short=True)
    assert throttle.wait(again + FORGET_SHORT_AFTER + 1, "me", "192.0.2.9", None, short=True) == 0.0


def test_a_flood_pushes_no_pin_out_of_memory() -> None:
    """Whoever has networks without end and asks for names that are not there does not make the machine forget guesses at a PIN."""
    throttle = Throttle()
    for number in range(SHORT_FREE_TRIES + 8):
        throttle.failed(0.0, "me", f"198.{number}.100.7", None, short=True)
    for number in range(MOST_BUDGETS):
        throttle.failed(1.0, f"nobody {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", None)
    assert throttle.wait(1.0, "me", "203.0.113.5", None, short=True) > 100
