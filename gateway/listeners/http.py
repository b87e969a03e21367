"""DNS over HTTPS requests and responses (RFC 8484), whatever the version of HTTP: what a path, a method and a body ask for, and the status
of what comes back. Pure; `doh` speaks the protocol around it.

A DNS answer of any rcode is status 200. The body of a request is one DNS message; `GET` carries it in `dns=` as base64url without padding.
"""

from __future__ import annotations

import binascii
import re
from struct import Struct
from typing import Final, NamedTuple
from urllib.parse import unquote

from gateway.wire.constants import Qtype

MEDIA_TYPE: Final = b"application/dns-message"
MOST_BODY: Final = 65_535
_BASE64: Final = re.compile(r"[A-Za-z0-9_-]*")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_COUNTS: Final = Struct(">HHH")
_RECORD: Final = Struct(">HHIH")
"""Type, class, TTL and size of a record."""
_OPT: Final = int(Qtype.OPT)
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Ask(NamedTuple):
    """One request that asks something: the DNS message and the token of its path."""

    message: bytes
    token: str | None


class Refusal(NamedTuple):
    """One request that is answered by a status alone; `allow` names the methods for 405."""

    status: int
    allow: str = ""


class Request:
    """A request while it arrives, since a moment in monotonic seconds. `length` is what it says of its body, -1 if nothing; `taken` belongs
    to the version of HTTP.
    """

    __slots__ = ("body", "length", "media_type", "method", "since", "taken", "target")

    def __init__(self, method: bytes, target: Target | None, media_type: bytes, since: float = 0.0, length: int = -1) -> None:
        self.method = method
        self.target = target
        self.media_type = media_type
        self.since = since
        self.length = length
        self.taken = 0
        self.body: bytes | bytearray = bytearray()

    def read(self) -> Ask | Refusal:
        """What the whole request asks."""
        if self.target is None:
            return Refusal(404)
        if self.method == b"GET":
            return read_get(self.target)
        if self.method == b"POST":
            return read_post(self.target, self.media_type, bytes(self.body))
        return Refusal(405, "GET, POST")


class Target(NamedTuple):
    """A path that is ours: the token in it and the query string."""

    token: str | None
    query: str


def read_target(path: str, own: str) -> Target | None:
    """The target of a request, None when the path is not the listener's own (`/dns-query`, `/dns-query/token`)."""
    where, _, query = path.partition("?")
    if where == own or where == own + "/":
        return Target(None, query)
    if where.startswith(own + "/"):
        token = where[len(own) + 1 :].rstrip("/").lower()
        if _TOKEN.fullmatch(token):
            return Target(token, query)
    return None


def read_get(target: Target) -> Ask | Refusal:
    """The message of a GET (RFC 8484 §4.1.1): exactly one `dns=`, base64url without padding."""
    text = target.query[4:]
    if "&" in text or not target.query.startswith("dns="):
        found = [part[4:] for part in target.query.split("&") if part.startswith("dns=")]
        if len(found) != 1:
            return Refusal(400)
        text = found[0]
    if "%" in text:
        text = unquote(text)
    if not text or not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        return Refusal(400)
    if len(text) > MOST_BODY * 4 // 3 + 4:
        return Refusal(414)
    try:
        message = binascii.a2b_base64(text.encode().translate(_STANDARD) + b"==="[: -len(text) % 4])
    except (binascii.Error, ValueError):
        return Refusal(400)
    return Ask(message, target.token) if len(message) >= 12 else Refusal(400)


def read_post(target: Target, media_type: bytes, body: bytes) -> Ask | Refusal:
    """The message of a POST: a body of the one media type, at most 64 KiB."""
    if media_type != MEDIA_TYPE and media_type.split(b";")[0].strip().lower() != MEDIA_TYPE:
        return Refusal(415)
    if len(body) > MOST_BODY:
        return Refusal(413)
    return Ask(body, target.token) if len(body) >= 12 else Refusal(400)


def least_ttl(reply: bytes) -> int:
    """The smallest TTL of a reply's records in seconds, 0 without any (RFC 8484 §5.1). For our own, well-formed replies."""
    questions, answers, authorities = _COUNTS.unpack_from(reply, 4)
    position, least = 12, 1 << 31
    for _ in range(questions):
        position = _skip_name(reply, position) + 4
    for _ in range(answers + authorities):
        position = _skip_name(reply, position) if reply[position] < 0xC0 else position + 2
        kind, _, ttl, size = _RECORD.unpack_from(reply, position)
        if ttl < least and kind != _OPT:
            least = ttl
        position += 10 + size
    return 0 if least == 1 << 31 else least


def _skip_name(message: bytes, position: int) -> int:
    while position < len(message):
        length = message[position]
        if length == 0:
            return position + 1
        if length & 0xC0:
            return position + 2
        position += length + 1
    return position
