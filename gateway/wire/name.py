"""Domain names: wire form, index keys, presentation text. Anyone may import this module.

A *key* is the form in which names are indexed: labels reversed, each followed by a dot, lower case, every byte outside `[a-z0-9_-]` escaped
as `\\ddd`. `www.example.com` has the key `com.example.www.`; the root has the empty key. Because each label ends in a dot, a suffix covers
a name exactly when its key is a prefix of the name's key. RFC 1035 §2.3.4 and §4.1.4, RFC 4343 (only ASCII letters fold), RFC 9267 (pointer
loops, lengths).
"""

from __future__ import annotations

from typing import Final

from gateway.errors import InvalidName
from gateway.wire.constants import HEADER_SIZE, MAX_LABEL, MAX_NAME

MALFORMED: Final = -1
"""The end offset that says: there is no well-formed name here."""

_MAX_HOPS: Final = 16
SAFE_OCTETS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-"
"""What stands for itself in a key."""
_DOTS: Final = tuple(b"." * count for count in range(128))
_ESCAPE: Final = tuple(chr(byte) if byte in SAFE_OCTETS else f"\\{byte:03d}" for byte in range(256))


def read_qname(data: bytes, offset: int) -> tuple[bytes, int]:
    """The uncompressed name at `offset` in lower-case wire form, and the offset behind it (`MALFORMED` when it is not one)."""
    pos = offset
    limit = min(len(data), offset + MAX_NAME)
    while pos < limit:
        length = data[pos]
        pos += 1
        if not length:
            return data[offset:pos].lower(), pos
        if length > MAX_LABEL:
            break
        pos += length
    return b"", MALFORMED


def read_name(data: bytes, offset: int) -> tuple[bytes, int]:
    """The name at `offset`, compression resolved, in lower-case wire form; the offset behind it (`MALFORMED` when it is not one).

    A pointer must lead backwards, and at most sixteen are followed, so the work is bounded whatever the message says (RFC 9267 §3).
    """
    labels: list[bytes] = []
    size = 1
    pos = offset
    end = MALFORMED
    floor = offset
    hops = 0
    limit = len(data)
    while pos < limit:
        length = data[pos]
        if not length:
            labels.append(b"\0")
            return b"".join(labels).lower(), end if end >= 0 else pos + 1
        if length <= MAX_LABEL:
            stop = pos + 1 + length
            size += length + 1
            if size > MAX_NAME or stop > limit:
                break
            labels.append(data[pos:stop])
            pos = stop
            continue
        if length < 0xC0 or pos + 1 >= limit:
            break
        target = (length & 0x3F) << 8 | data[pos + 1]
        hops += 1
        if target >= floor or target < HEADER_SIZE or hops > _MAX_HOPS:
            break
        if end < 0:
            end = pos + 2
        pos = floor = target
    return b"", MALFORMED


def skip_name(data: bytes, offset: int) -> int:
    """The offset behind the name at `offset` without following its pointer, or `MALFORMED`."""
    pos = offset
    limit = min(len(data), offset + MAX_NAME)
    while pos < limit:
        length = data[pos]
        if not length:
            return pos + 1
        if length >= 0xC0:
            return pos + 2 if pos + 2 <= len(data) else MALFORMED
        if length > MAX_LABEL:
            break
        pos += length + 1
    return MALFORMED


def key_of(wire: bytes) -> str:
    """The index key of a well-formed uncompressed lower-case wire name."""
    labels: list[bytes] = []
    pos = 0
    while length := wire[pos]:
        pos += 1
        labels.append(wire[pos : pos + length])
        pos += length
    return key_of_labels(labels)


def key_of_labels(labels: list[bytes]) -> str:
    """The index key of labels in wire order, of any case; the list is used up."""
    if not labels:
        return ""
    labels.reverse()
    labels.append(b"")
    joined = b".".join(labels).lower()
    if joined.translate(None, SAFE_OCTETS) == _DOTS[len(labels) - 1]:
        return joined.decode("ascii")
    return ".".join(["".join([_ESCAPE[byte] for byte in label.lower()]) for label in labels])


def covering_keys(key: str) -> list[str]:
    """The keys of every name that covers `key`, shortest first, itself last; the root is left out."""
    keys = []
    pos = key.find(".")
    while pos >= 0:
        keys.append(key[: pos + 1])
        pos = key.find(".", pos + 1)
    return keys


def parent_of(wire: bytes) -> bytes:
    """The wire name without its first label; the root is its own parent."""
    return wire[wire[0] + 1 :] if wire[0] else wire


def count_labels(wire: bytes) -> int:
    """How many labels a well-formed wire name has, the root label not counted."""
    pos = count = 0
    while wire[pos]:
        pos += wire[pos] + 1
        count += 1
    return count


def is_subdomain(wire: bytes, zone: bytes) -> bool:
    """Whether `wire` equals `zone` or lies below it; both in lower-case wire form."""
    if not wire.endswith(zone):
        return False
    surplus = len(wire) - len(zone)
    pos = 0
    while pos < surplus:
        pos += wire[pos] + 1
    return pos == surplus


def key_from_text(text: str) -> str:
    """The key of a name written as presentation text: ASCII, `\\ddd` and `\\c` escapes, final dot optional.

    Raises InvalidName for an empty name, an empty or over-long label, more than 255 octets or a letter outside ASCII.
    """
    return key_of(wire_from_text(text))


def wire_from_text(text: str) -> bytes:
    """The lower-case wire form of a name written as presentation text. Raises InvalidName as `key_from_text` does."""
    if not text.isascii():
        raise InvalidName(text, "letters outside ASCII; give the xn-- form")
    if text == ".":
        return b"\0"
    wire = bytearray()
    for label in _split(text):
        if not label:
            raise InvalidName(text, "an empty label")
        if len(label) > MAX_LABEL:
            raise InvalidName(text, "a label longer than 63 octets")
        wire.append(len(label))
        wire += label
    wire.append(0)
    if len(wire) > MAX_NAME:
        raise InvalidName(text, "longer than 255 octets")
    return bytes(wire).lower()


def _split(text: str) -> list[bytes]:
    labels = [part.encode("ascii") for part in text.split(".")] if "\\" not in text else [bytes(label) for label in _unescape(text)]
    if len(labels) > 1 and not labels[-1]:
        labels.pop()
    return labels


def _unescape(text: str) -> list[bytearray]:
    labels = [bytearray()]
    pos = 0
    while pos < len(text):
        char = text[pos]
        pos += 1
        if char == ".":
            labels.append(bytearray())
            continue
        if char == "\\":
            digits = text[pos : pos + 3]
            if len(digits) == 3 and digits.isdigit():
                if int(digits) > 255:
                    raise InvalidName(text, "an escape above 255")
                labels[-1].append(int(digits))
                pos += 3
                continue
            char = text[pos : pos + 1]
            pos += 1
            if not char:
                raise InvalidName(text, "an unfinished escape")
        labels[-1].append(ord(char))
    return labels


def text_of(key: str) -> str:
    """The name of a key as presentation text without a final dot (`.` for the root); escapes stay, so the text is printable ASCII."""
    if not key:
        return "."
    labels = key[:-1].split(".")
    labels.reverse()
    return ".".join(labels)


def wire_of(key: str) -> bytes:
    """The lower-case wire form of a key. Raises InvalidName when the text is no key."""
    return wire_from_text(text_of(key))
