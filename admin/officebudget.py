"""A bounded budget for people without an account: so many acts in so long from one address (one /64 for IPv6). Kept in memory only.

The address is kept as a keyed digest of this process, so that a dump of the memory names nobody.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from ipaddress import ip_address

from admin.errors import TooManyTries

MOST_KEPT = 50_000


class Budget:
    """`most` acts within `seconds`; the caller gives the monotonic time."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self._key = secrets.token_bytes(32)
        self._spent: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def spend(self, address: str, monotonic: float) -> None:
        """Take one act out of the budget; it fills again evenly. Raises TooManyTries."""
        mark = self._mark(address)
        left, seen = self._spent.pop(mark, (float(self.most), monotonic))
        left = min(float(self.most), left + max(0.0, monotonic - seen) * self.most / self.seconds)
        if left < 1.0:
            self._spent[mark] = (left, monotonic)
            raise TooManyTries((1.0 - left) * self.seconds / self.most)
        self._spent[mark] = (left - 1.0, monotonic)
        while len(self._spent) > MOST_KEPT:
            self._spent.popitem(last=False)

    def _mark(self, address: str) -> bytes:
        try:
            parsed = ip_address(address)
            packed = parsed.packed[:8] if parsed.version == 6 else parsed.packed
        except ValueError:
            packed = b""
        return blake2b(packed, key=self._key, digest_size=12).digest()
