"""How many queries one source may send: a token bucket for each, spent before anything else is done for a query.

The fast path takes tokens by itself (`budget.left -= 1` while it is positive); `RateLimiter.take` is called when none are left, so a client
within its limit costs one comparison. Over the limit UDP clients are first told to come back over TCP, which proves their address; then
their datagrams are dropped. A source that has proven its address (a valid server cookie, or a stream) draws from a second bucket, so that
nobody can lock it out by forging its address. Imported by `clients` and the pipeline. RFC 5358, RFC 7873 §5.2.3.
"""

from __future__ import annotations

import enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from gateway.settings import RateLimit

if TYPE_CHECKING:
    from gateway.answers import AnswerTable

UNLIMITED: Final = (1 << 30) - 1
"""What a budget without a limit is filled with, again and again (the largest number that is cheap to count down)."""
_PRICE_OF_TRUNCATION: Final = 10
"""Over the limit there is one truncated reply for so many queries of the limit: a reply nobody asked for must not become an attack."""


class Allowance(enum.Enum):
    """What a query gets."""

    ANSWER = "answer"
    TRUNCATE = "truncate"
    DROP = "drop"


class Purse:
    """What every query of a source looks at. In a class of its own these stand first, in the one line of the processor's cache that is read
    anyway: with thousands of sources each line more is a wait."""

    __slots__ = ("left", "view")

    left: int
    view: AnswerTable


class Budget(Purse):
    """The tokens of one source. `left` is what the fast path spends; `proven` belongs to queries whose source address is proven.

    `truncations` pays for truncated replies. `granted` counts the tokens ever put into `left` or taken from `proven`, so that
    `granted - left` is what was spent.
    """

    __slots__ = ("granted", "is_free", "proven", "stamp", "truncations")

    def __init__(self) -> None:
        self.is_free = False
        self.left = 0
        self.proven = 0
        self.truncations = 0
        self.granted = 0
        self.stamp = 0.0


class RateLimiter:
    """Fills and empties budgets. `settings.per_client` is tokens per second, 0 for no limit; `settings.burst` is what a bucket holds."""

    __slots__ = ("_burst", "_exempt", "_rate", "_truncations")

    def __init__(self, settings: RateLimit) -> None:
        self._rate = settings.per_client
        self._burst = max(settings.burst, settings.per_client)
        self._exempt = settings.exempt
        self._truncations = max(_PRICE_OF_TRUNCATION, settings.per_client)

    def open(self, budget: Budget, address: bytes, now: float) -> None:
        """Fill the budget of a source that is met for the first time; `address` is packed, `now` monotonic seconds."""
        budget.stamp = now
        if not self._rate or (self._exempt and self._is_exempt(address)):
            budget.is_free = True
            budget.left = budget.granted = UNLIMITED
            return
        budget.left = budget.granted = budget.proven = self._burst
        budget.truncations = self._truncations

    def take(self, budget: Budget, now: float, is_proven: bool) -> Allowance:
        """Take one token; called when `budget.left` is not positive, or for a source whose address is proven."""
        elapsed = now - budget.stamp
        if budget.is_free:
            budget.left += UNLIMITED
            budget.granted += UNLIMITED
        elif elapsed > 0:
            fresh = int(elapsed * self._rate)
            if fresh:
                # The stamp moves only by what was granted, so that slow clients lose no fraction of a token.
                budget.stamp = now if fresh >= self._burst else budget.stamp + fresh / self._rate
                added = min(self._burst - budget.left, fresh) if budget.left < self._burst else 0
                budget.left += added
                budget.granted += added
                budget.proven = min(self._burst, budget.proven + fresh)
                budget.truncations = min(self._truncations, budget.truncations + fresh)
        if budget.left > 0:
            budget.left -= 1
            return Allowance.ANSWER
        if is_proven:
            if budget.proven > 0:
                budget.proven -= 1
                budget.granted += 1  # so that it is among what was spent
                return Allowance.ANSWER
            return Allowance.DROP
        if budget.truncations >= _PRICE_OF_TRUNCATION:
            budget.truncations -= _PRICE_OF_TRUNCATION
            return Allowance.TRUNCATE
        return Allowance.DROP

    def _is_exempt(self, address: bytes) -> bool:
        source = ip_address(address)
        return any(source.version == network.version and source in network for network in self._exempt)
