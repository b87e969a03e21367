"""How many connections each client has, and who may open one more. The listeners of streams and the QUIC process keep one each; pure.

An address always has its share, while there is any place. Beyond it, it may hold as many as it leaves free: a whole school behind one
address finds half of all places, and whoever takes that half leaves the other half to everybody else, of which the next greedy address
gets only half again (dynamic thresholds with factor one: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
"""

from __future__ import annotations


class Places:
    """Connections by client (a packed IPv4 address, the first 8 octets of an IPv6 one): `most` in all, `share` for each client at least."""

    def __init__(self, most: int, share: int) -> None:
        self.most = most
        self.share = share
        self.taken = 0
        self._of: dict[bytes, int] = {}

    def lacks(self, client: bytes) -> str | None:
        """The budget that one more connection of this client would exceed: `all` or `client`; None when there is a place."""
        if self.taken >= self.most:
            return "client" if self._of.get(client, 0) >= self.share else "all"
        return None if self._of.get(client, 0) < max(self.share, self.most - self.taken) else "client"

    def is_spare(self, client: bytes) -> bool:
        """Whether this client has more than its share, which are lent to it."""
        return self._of.get(client, 0) > self.share

    @property
    def is_crowded(self) -> bool:
        """Whether more than four fifths are taken."""
        return self.taken * 5 > self.most * 4

    def enter(self, client: bytes) -> None:
        """One more."""
        self._of[client] = self._of.get(client, 0) + 1
        self.taken += 1

    def leave(self, client: bytes) -> None:
        """One fewer."""
        left = self._of[client] - 1
        if left:
            self._of[client] = left
        else:
            del self._of[client]
        self.taken -= 1
