"""Slowing down guessers without giving strangers a way to lock somebody out. Pure state; the caller gives the monotonic time.

Three budgets, the first two doubling their wait from one second to fifteen minutes: the address (its /64 for IPv6), the account as tried
from one network (/24, /48), and the account as tried from everywhere by unknown browsers (that one never waits longer than two
seconds: it limits a crowd, it cannot keep the owner out). The network begins to wait only when many of its addresses guess at one account:
each counts for ADDRESS_SHARE tries until they are NETWORK_FREE_TRIES together, so a child with one device keeps no parent's new phone out
(over IPv6 a home is one address; the recovery sheet opens in any case). What a guesser has at most, with the best pauses: 320 tries a day
from one address, 1,150 from one network however many addresses, 43,200 at one account from the whole Internet, 120 at a PIN.

A browser that signed in before (a secret cookie, kept hashed) has a budget of its own and none of the others; so does the machine's owner,
whatever strangers do. An account whose secret is short (a PIN) has a third budget that waits as long as the others: its family's phones
are known browsers, and its recovery sheet opens from anywhere, so guessing from many networks wins nothing and still locks nobody out. A
try counts as a failure from the moment it is let in (`enter`) until it turns out to be right, so that guesses sent side by side win
nothing. Kept in memory and bounded: a restart forgets waits, and the two lanes of `admin.passwords` still bound the guesses.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from admin.errors import TooManyTries

FREE_TRIES = 5
LONGEST_WAIT = 900.0
#: For how many tries one address counts in its network, and how many those of all must be before the network waits.
ADDRESS_SHARE = FREE_TRIES
NETWORK_FREE_TRIES = 40
#: Addresses of one network that are told apart; the rest count as one.
MOST_SHARES = 64
SHORT_FREE_TRIES = 12
CROWD_FREE_TRIES = 50
CROWD_WAIT = 2.0
FORGET_AFTER = 3600.0
#: A PIN has few possibilities: waiting an hour does not win a guesser a fresh start.
FORGET_SHORT_AFTER = 86_400.0
MOST_BUDGETS = 20_000


@dataclass(slots=True)
class _Budget:
    failures: int = 0
    open_at: float = 0.0
    last: float = 0.0
    #: Of a network: the tries by address.
    shares: dict[str, int] = field(default_factory=dict)

    def change(self, home: str, by: int) -> None:
        """One try more or less by an address."""
        self.failures += by
        home = home if home in self.shares or len(self.shares) < MOST_SHARES else ""
        self.shares[home] = max(0, self.shares.get(home, 0) + by)

    def is_of_many(self) -> bool:
        """Whether so many addresses guess that their network must wait."""
        return sum(min(tries, ADDRESS_SHARE) for tries in self.shares.values()) >= NETWORK_FREE_TRIES


class Throttle:
    """The waits of everybody who failed lately."""

    def __init__(self, longest: float = LONGEST_WAIT, forget_after: float = FORGET_AFTER) -> None:
        #: Seconds: the longest wait, and after how long without a try a guesser begins anew.
        self._longest = longest
        self._forget_after = forget_after
        # What strangers can make without end is kept apart: it never pushes out what slows down guesses at one account that is there.
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._own: OrderedDict[str, _Budget] = OrderedDict()

    def wait(self, now: float, account: str, address: str, browser: str | None, *, short: bool = False) -> float:
        """Seconds until this try may be made; 0 means now. `browser` is the id of a known browser of this account, or None; `short` says
        that the account's secret is a PIN."""
        return max(0.0, max((self._open_at(key) for key in _keys(account, address, browser, short)), default=0.0) - now)

    def enter(self, now: float, account: str, address: str, browser: str | None, *, short: bool = False) -> None:
        """Let one try in, counted as wrong until `succeeded` or `withdrawn` says otherwise. Raises TooManyTries."""
        wait = self.wait(now, account, address, browser, short=short)
        if wait > 0:
            raise TooManyTries(wait)
        self.failed(now, account, address, browser, short=short)

    def withdrawn(self, account: str, address: str, browser: str | None, *, short: bool = False) -> None:
        """A try that was let in and never made: nobody waits for it."""
        for key in _keys(account, address, browser, short):
            self._give_back(key, address)

    def failed(self, now: float, account: str, address: str, browser: str | None, *, short: bool = False) -> None:
        """A wrong password: the next try waits longer."""
        for key in _keys(account, address, browser, short):
            kept = self._place_of(key)
            budget = kept.pop(key, None)
            if budget is None or now - budget.last > (FORGET_SHORT_AFTER if key.startswith("short") else self._forget_after):
                budget = _Budget()
            budget.change(home_of(address), 1)
            budget.last = now
            budget.open_at = now + _wait_after(key, budget, self._longest)
            kept[key] = budget
            while len(kept) > MOST_BUDGETS:
                kept.popitem(last=False)

    def succeeded(self, account: str, address: str, browser: str | None) -> None:
        """A right password clears the budgets of this person; of the crowd's budget only this try is taken back."""
        for key in _keys(account, address, browser, short=True):
            self._place_of(key).pop(key, None)
        if browser is None:
            self._give_back(f"crowd {account}", address)

    def _give_back(self, key: str, address: str) -> None:
        budget = self._place_of(key).get(key)
        if budget is not None:
            budget.change(home_of(address), -1)
            budget.open_at = min(budget.open_at, budget.last + _wait_after(key, budget, self._longest))
            if budget.failures <= 0:
                del self._place_of(key)[key]

    def _open_at(self, key: str) -> float:
        budget = self._place_of(key).get(key)
        return budget.open_at if budget else 0.0

    def _place_of(self, key: str) -> OrderedDict[str, _Budget]:
        return self._own if key.startswith(("short", "browser")) else self._budgets


def home_of(address: str) -> str:
    """What a home or a machine has of the internet: its IPv4 address, or its IPv6 /64, in which it could mint addresses without end."""
    parsed = ip_address(address)
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _keys(account: str, address: str, browser: str | None, short: bool) -> tuple[str, ...]:
    if browser is not None:
        return (f"browser {browser}",)
    parsed = ip_address(address)
    network = ip_network((parsed, 48 if parsed.version == 6 else 24), strict=False)
    return (f"address {home_of(address)}", f"network {network} {account}", f"{'short' if short else 'crowd'} {account}")


def _wait_after(key: str, budget: _Budget, longest: float) -> float:
    failures, free = budget.failures, FREE_TRIES
    if key.startswith("crowd"):
        return CROWD_WAIT if failures > CROWD_FREE_TRIES else 0.0
    if key.startswith("network"):
        if not budget.is_of_many():
            return 0.0
        free = NETWORK_FREE_TRIES
    if failures < (SHORT_FREE_TRIES if key.startswith("short") else free):
        return 0.0
    return float(min(longest, 2.0 ** min(failures - free, 20)))
