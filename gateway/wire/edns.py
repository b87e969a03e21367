"""EDNS: the options of a query, the OPT record of a reply. Imported by `wire.message`, `wire.compose` and the pipeline.

RFC 6891 (OPT), 7828 (keepalive), 7830 and 8467 (padding), 7871 (client subnet), 7873 (cookies), 8914 (extended errors).
"""

from __future__ import annotations

import base64
import binascii
import re
from struct import Struct
from typing import Final

from gateway.query import Edns
from gateway.wire.constants import UDP_SIZE, Option

MAX_OPTIONS: Final = 48
"""A query with more options is malformed to us: reading them must not cost many times an ordinary query."""
PADDING_BLOCK: Final = 468
"""Block length of padded replies (RFC 8467 §4.1)."""

_PAIR: Final = Struct(">HH")
_OPT: Final = Struct(">BHHBBHH")
_DO: Final = 0x8000
_MAC_TEXT: Final = re.compile(rb"[0-9a-fA-F]{2}([:-]?)(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}")


def read_options(data: bytes, start: int, end: int, size: int, do: bool, stream: bool) -> Edns | None:
    """The options between two offsets as an `Edns`, or None when they are malformed.

    `stream` says whether the query came over TCP or TLS: elsewhere keepalive is ignored (RFC 7828 §3.2.1).
    """
    cookie = b""
    padding = keepalive = False
    others: tuple[int, ...] = ()
    mac: str | None = None
    pos = start
    for _ in range(MAX_OPTIONS):
        if pos == end:
            return Edns(size, do, 0, False, cookie, padding, keepalive, mac, others)
        if pos + 4 > end:
            return None
        code, length = _PAIR.unpack_from(data, pos)
        pos += 4
        stop = pos + length
        if stop > end:
            return None
        if code == Option.COOKIE:
            # RFC 7873 §5.2.2: 8 octets, or 16 to 40.
            if length != 8 and not 16 <= length <= 40:
                return None
            cookie = cookie or data[pos:stop]
        elif code == Option.PADDING:
            padding = True
        elif code == Option.KEEPALIVE:
            if stream:
                if length not in (0, 2):
                    return None
                keepalive = True
        elif code == Option.ECS:
            if not _is_subnet(data, pos, length):
                return None
        elif code == Option.EDE:
            if not length:
                others += (code,)
        elif code == Option.MAC or code == Option.MAC_TEXT:
            mac = mac or _read_mac(code, data[pos:stop])
        elif (code == Option.EXPIRE and length not in (0, 4)) or (code == Option.LLQ and length != 18):
            return None
        else:
            others += (code,)
        pos = stop
    return None if pos != end else Edns(size, do, 0, False, cookie, padding, keepalive, mac, others)


def _is_subnet(data: bytes, pos: int, length: int) -> bool:
    """RFC 7871 §6: family, prefix length, scope zero in queries, exactly the octets the prefix needs, no bit set behind it."""
    if length < 4:
        return False
    family = data[pos] << 8 | data[pos + 1]
    prefix = data[pos + 2]
    scope = data[pos + 3]
    octets = length - 4
    if family == 0:
        return octets == 0 and prefix == 0 and scope == 0
    width = 32 if family == 1 else 128 if family == 2 else -1
    if scope or prefix > width or octets != (prefix + 7) // 8:
        return False
    spare = -prefix % 8
    return not spare or not data[pos + 3 + octets] & ((1 << spare) - 1)


def _read_mac(code: int, value: bytes) -> str | None:
    if code == Option.MAC:
        return value.hex(":") if len(value) == 6 else None
    if len(value) > 24:
        return None
    if _MAC_TEXT.fullmatch(value):
        return bytes.fromhex(value.replace(b":", b"").replace(b"-", b"").decode("ascii")).hex(":")
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex(":") if len(raw) == 6 else None


def opt_record(do: bool = False, options: bytes = b"", extended: int = 0) -> bytes:
    """The OPT record of a reply: our payload size, version 0, the DO bit of the query; `extended` is the upper part of the rcode."""
    if not options and not extended:
        return _PLAIN[do]
    return _OPT.pack(0, 41, UDP_SIZE, extended, 0, _DO if do else 0, len(options)) + options


_PLAIN: Final = (_OPT.pack(0, 41, UDP_SIZE, 0, 0, 0, 0), _OPT.pack(0, 41, UDP_SIZE, 0, 0, _DO, 0))


def option(code: int, value: bytes) -> bytes:
    """One option in wire form."""
    return _PAIR.pack(code, len(value)) + value


def ede_option(code: int, text: str = "") -> bytes:
    """An extended error: its code and a UTF-8 text without terminator (RFC 8914 §2)."""
    return option(Option.EDE, code.to_bytes(2, "big") + text.encode("utf-8", "replace"))


def keepalive_option(seconds: float) -> bytes:
    """The idle timeout we grant on a stream, in units of 100 ms (RFC 7828 §3.1)."""
    return option(Option.KEEPALIVE, min(65535, int(seconds * 10)).to_bytes(2, "big"))


def padding_option(size: int, limit: int, block: int = PADDING_BLOCK) -> bytes:
    """The padding that brings a message of `size` octets, OPT included, up to the next block without passing `limit` (RFC 8467 §4.1)."""
    if size + 4 > limit:
        return b""
    return option(Option.PADDING, bytes(min(-(size + 4) % block, limit - size - 4)))
