"""Guesses of tokens: how many queries with a token that nobody has an address outside `allow_from` may send before it is only met with
silence. Imported by `admission`.

The budgets are a fixed number of buckets, picked by a hash of the address (an IPv6 client is its /64) that nobody outside can compute: no
number of guessers takes more memory, and two addresses that share a bucket share nothing but guesses. A good token never comes here, so
whoever has one is served behind the same address whatever its neighbours try.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 20
"""Guesses of one address that are told REFUSED before it goes on in silence."""
SECONDS_PER_GUESS: Final = 6.0
"""After how long one more is told."""
BUCKETS: Final = 4096


class Guesses:
    """The budgets of one worker. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._full_at: dict[int, float] = {}
        """When a bucket will be full again; one that is full has no entry to be kept."""

    def take(self, address: bytes, now: float) -> bool:
        """Whether one more guess from this packed address is still told that it is wrong."""
        bucket = hash(address[:8] if len(address) == 16 else address) % BUCKETS
        full_at = max(self._full_at.get(bucket, now), now) + SECONDS_PER_GUESS
        if full_at - now > BURST * SECONDS_PER_GUESS:
            return False
        self._full_at[bucket] = full_at
        return True
