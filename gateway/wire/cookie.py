"""DNS server cookies that every worker and every gateway with the same secret agrees on. Imported by the pipeline.

RFC 7873 (cookies), RFC 9018 (the interoperable server cookie: version 1, SipHash-2-4).
"""

from __future__ import annotations

import enum
import hmac
from struct import Struct
from typing import Final

_TWO: Final = Struct("<QQ")
_WORD: Final = Struct("<Q")
_HEAD: Final = Struct(">BxxxI")
_MASK: Final = 0xFFFFFFFFFFFFFFFF

OLDEST: Final = 3600
"""Seconds after which a server cookie is no longer accepted (RFC 9018 §4.3)."""
NEWEST: Final = 300
"""Seconds a server cookie may come from the future."""
RENEW: Final = 1800
"""Seconds after which a fresh one is handed out."""


class CookieState(enum.Enum):
    """What a cookie option proves."""

    CLIENT_ONLY = "client_only"
    VALID = "valid"
    BAD = "bad"


class CookieJar:
    """Makes and checks server cookies. `secrets` holds one or two secrets of 16 octets: the first makes, all are accepted (RFC 9018 §5)."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        if not secrets or any(len(secret) != 16 for secret in secrets):
            raise ValueError("a cookie secret has 16 octets")
        self._secrets = secrets

    def check(self, cookie: bytes, address: bytes, now: int) -> CookieState:
        """What `cookie` (client part, then perhaps server part) from `address` (4 or 16 octets) proves; `now` is wall clock seconds."""
        if len(cookie) == 8:
            return CookieState.CLIENT_ONLY
        if len(cookie) != 24 or cookie[8] != 1:
            return CookieState.BAD
        # RFC 9018 §4.3: serial number arithmetic on 32 bits.
        age = ((now - int.from_bytes(cookie[12:16], "big") + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if not -NEWEST <= age <= OLDEST:
            return CookieState.BAD
        for secret in self._secrets:
            if hmac.compare_digest(siphash24(secret, cookie[:16] + address), cookie[16:]):
                return CookieState.VALID
        return CookieState.BAD

    def make(self, cookie: bytes, address: bytes, now: int) -> bytes:
        """The 24 octets to return for the client part of `cookie`."""
        head = cookie[:8] + _HEAD.pack(1, now & 0xFFFFFFFF)
        return head + siphash24(self._secrets[0], head + address)

    def answer(self, cookie: bytes, address: bytes, now: int) -> tuple[CookieState, bytes]:
        """The state of `cookie` and the 24 octets to return: the same ones while they are valid and young, else fresh ones."""
        state = self.check(cookie, address, now)
        if state is CookieState.VALID and cookie[16:] == siphash24(self._secrets[0], cookie[:16] + address):
            age = (now - int.from_bytes(cookie[12:16], "big")) & 0xFFFFFFFF
            if age <= RENEW:
                return state, cookie
        return state, self.make(cookie, address, now)


def siphash24(key: bytes, message: bytes) -> bytes:
    """SipHash-2-4 with a key of 16 octets; 8 octets, least significant first."""
    k0, k1 = _TWO.unpack(key)
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    size = len(message)
    padded = message + bytes(-(size + 1) % 8) + bytes((size & 0xFF,))
    for (word,) in _WORD.iter_unpack(padded):
        v3 ^= word
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3))
        v0 ^= word
    v2 ^= 0xFF
    v0, v1, v2, v3 = _round(*_round(*_round(*_round(v0, v1, v2, v3))))
    return _WORD.pack(v0 ^ v1 ^ v2 ^ v3)


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = ((v1 << 13) & _MASK | v1 >> 51) ^ v0
    v0 = (v0 << 32) & _MASK | v0 >> 32
    v2 = (v2 + v3) & _MASK
    v3 = ((v3 << 16) & _MASK | v3 >> 48) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = ((v3 << 21) & _MASK | v3 >> 43) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = ((v1 << 17) & _MASK | v1 >> 47) ^ v2
    v2 = (v2 << 32) & _MASK | v2 >> 32
    return v0, v1, v2, v3
