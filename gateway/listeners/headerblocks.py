"""Header blocks of HTTP/2 (RFC 7541): requests read, responses written. `http2` uses it; nothing else imports it.

Reading is our own, because `hpack` takes longer over one request than all the rest of it: a block that comes again while the dynamic table
is the same costs one look-up, and Huffman codes are read by the octet. The static table and the codes are `hpack`'s, and so is writing.
What we send never enters a dynamic table; so the block of a response is the same for everybody. Requests are validated (RFC 9113 §8.2,
§8.3) as they are read; what is in a table was validated when it entered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from h2.errors import ErrorCodes
from hpack import Encoder, NeverIndexedHeaderTuple
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

Field = tuple[bytes, bytes]

MOST_TABLE: Final = 4096
"""Octets of the dynamic table of a client (RFC 7541 §4.1); we ask for no other size."""
_OVERHEAD: Final = 32
_MOST_READ: Final = 64
_LONGEST: Final = 1024
"""Octets of a received block that is worth keeping."""
_STATIC: Final[tuple[Field, ...]] = tuple((bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_NEVER: Final = re.compile(rb"[\0\r\n]")
"""What no value may hold; nor may it begin or end with one of `_SPACE`."""
_SPACE: Final = b" \t"
_DIGITS: Final = re.compile(rb"[0-9]{1,12}")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_OF_A_CONNECTION: Final = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
_END_OF_STRING: Final = 256
_CODES: Final = {(length, code): symbol for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True))}


class Fault(Exception):
    """What a client may not do: its connection ends with this code."""

    def __init__(self, code: ErrorCodes) -> None:
        super().__init__(code.name)
        self.code = code


class Head(NamedTuple):
    """What is looked at of the head of a request. `length` is its content-length, -1 without one."""

    method: bytes
    path: bytes
    media_type: bytes
    length: int


def write_block(fields: Iterable[Field]) -> bytes:
    """The block of a response, which leaves every table as it is."""
    return Encoder().encode([NeverIndexedHeaderTuple(name, value) for name, value in fields])


class HeadReader:
    """Reads the header blocks of one connection; no list of fields is larger than `most` (RFC 9113 §6.5.2). Raises `Fault`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[bytes, Head | None] = {}
        self._entries: list[Field] = []
        """The dynamic table, the newest entry last."""
        self._size = 0
        self._most_size = MOST_TABLE
        self._is_changed = False

    def read(self, block: bytes) -> Head | None:
        """The head of a request, None for a block of trailers."""
        if block in self._known:
            return self._known[block]
        self._is_changed = False
        try:
            fields = self.fields(block)
        except IndexError:  # an index beyond the table, or a block that ends too early
            raise Fault(ErrorCodes.COMPRESSION_ERROR) from None
        head = _head(fields)
        if self._is_changed:
            self._known.clear()
        elif len(block) <= _LONGEST and len(self._known) < _MOST_READ:
            self._known[block] = head
        return head

    def fields(self, block: bytes) -> list[Field]:
        """The fields of a block, in order. Raises IndexError, too."""
        fields: list[Field] = []
        at, end, left = 0, len(block), self._most
        entries = self._entries
        while at < end:
            first = block[at]
            at += 1
            if first & 0x80:
                number = first & 0x7F
                if number == 0x7F:
                    number, at = _integer(block, at, number)
                field = _STATIC[number - 1] if 0 < number <= 61 else entries[self._place(number)]
            elif first & 0xE0 == 0x20:
                number = first & 0x1F
                if number == 0x1F:
                    number, at = _integer(block, at, number)
                if fields or number > MOST_TABLE:
                    raise Fault(ErrorCodes.COMPRESSION_ERROR)
                self._resize(number)
                continue
            else:
                mask = 0x3F if first & 0x40 else 0x0F
                number = first & mask
                if number == mask:
                    number, at = _integer(block, at, number)
                if not number:
                    name, at = _string(block, at)
                    if not _NAME.fullmatch(name[1:] if name in _PSEUDO else name):
                        raise Fault(ErrorCodes.PROTOCOL_ERROR)
                elif number <= 61:
                    name = _STATIC[number - 1][0]
                else:
                    name = entries[self._place(number)][0]
                value, at = _string(block, at)
                if value and (value[0] in _SPACE or value[-1] in _SPACE or _NEVER.search(value)):
                    raise Fault(ErrorCodes.PROTOCOL_ERROR)
                if name == b"te" and value != b"trailers":
                    raise Fault(ErrorCodes.PROTOCOL_ERROR)
                field = (name, value)
                if first & 0x40:
                    self._enter(field)
            left -= len(field[0]) + len(field[1]) + _OVERHEAD
            if left < 0:
                raise Fault(ErrorCodes.ENHANCE_YOUR_CALM)
            fields.append(field)
        return fields

    def _place(self, number: int) -> int:
        """Where the entry with this index is, counted from the end. Raises IndexError."""
        if 61 < number <= 61 + len(self._entries):
            return 61 - number
        raise IndexError

    def _enter(self, field: Field) -> None:
        """Put a field into the dynamic table; the oldest make room (RFC 7541 §4.4)."""
        self._is_changed = True
        size = len(field[0]) + len(field[1]) + _OVERHEAD
        self._evict(self._most_size - size)
        if size <= self._most_size:
            self._entries.append(field)
            self._size += size

    def _resize(self, size: int) -> None:
        self._is_changed = True
        self._most_size = size
        self._evict(size)

    def _evict(self, most: int) -> None:
        """Drop the oldest entries until the others are no larger than `most` together."""
        dropped = 0
        for name, value in self._entries:
            if self._size <= most:
                break
            self._size -= len(name) + len(value) + _OVERHEAD
            dropped += 1
        del self._entries[:dropped]


def _head(fields: list[Field]) -> Head | None:
    """The head of a request from its fields (RFC 9113 §8.3), None for trailers."""
    pseudo: dict[bytes, bytes] = {}
    media_type, host, length, is_regular = b"", None, -1, False
    for name, value in fields:
        if name in _PSEUDO:
            if is_regular or name in pseudo:
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            pseudo[name] = value
            continue
        if name[0] == 0x3A or name in _OF_A_CONNECTION:  # a pseudo-field of responses, by its index; or nothing for HTTP/2
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        is_regular = True
        if name == b"content-type":
            media_type = value
        elif name == b"host":
            host = value
        elif name == b"content-length":
            if not _DIGITS.fullmatch(value) or length not in (-1, int(value)):
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            length = int(value)
    if not pseudo:
        return None
    path, authority = pseudo.get(b":path"), pseudo.get(b":authority", host)
    is_whole = path and pseudo.get(b":method") and b":scheme" in pseudo and authority is not None and host in (None, authority)
    if not is_whole or path is None:
        raise Fault(ErrorCodes.PROTOCOL_ERROR)
    return Head(pseudo[b":method"], path, media_type, length)


def _integer(block: bytes, at: int, number: int) -> tuple[int, int]:
    """An integer that did not fit its prefix (RFC 7541 §5.1), and where it ends. Raises IndexError."""
    for shift in (0, 7, 14, 21):
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
    raise IndexError


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string (RFC 7541 §5.2), and where it ends. Raises IndexError, `Fault`."""
    first = block[at]
    at += 1
    size = first & 0x7F
    if size == 0x7F:
        size, at = _integer(block, at, size)
    end = at + size
    if end > len(block):
        raise IndexError
    text = block[at:end]
    return (_unpack(text) if first & 0x80 else text), end


class _Step(dict[int, "tuple[_Step, bytes]"]):
    """Reading Huffman codes after a beginning of one: by the next octet, where that leads and which symbols it completes. Steps are worked
    out when they are first taken; there are at most 256 beginnings.
    """

    def __init__(self, steps: dict[tuple[int, int], _Step], length: int, code: int) -> None:
        super().__init__()
        self._steps = steps
        self._start = length, code
        self.is_padding = length < 8 and code == (1 << length) - 1
        """Whether a string may end here (RFC 7541 §5.2)."""

    def __missing__(self, octet: int) -> tuple[_Step, bytes]:
        length, code = self._start
        symbols = bytearray()
        for bit in range(7, -1, -1):
            length, code = length + 1, code << 1 | octet >> bit & 1
            symbol = _CODES.get((length, code))
            if symbol is not None:
                if symbol == _END_OF_STRING:
                    raise Fault(ErrorCodes.COMPRESSION_ERROR)
                symbols.append(symbol)
                length = code = 0
        step = self._steps.get((length, code))
        if step is None:
            step = self._steps[length, code] = _Step(self._steps, length, code)
        self[octet] = step, bytes(symbols)
        return self[octet]


_BEGINNINGS: Final[dict[tuple[int, int], _Step]] = {}
_BEGINNING: Final = _BEGINNINGS.setdefault((0, 0), _Step(_BEGINNINGS, 0, 0))


def _unpack(text: bytes) -> bytes:
    """The octets of a Huffman-coded string. Raises `Fault`."""
    step = _BEGINNING
    parts = []
    for octet in text:
        step, symbols = step[octet]
        parts.append(symbols)
    if not step.is_padding:
        raise Fault(ErrorCodes.COMPRESSION_ERROR)
    return b"".join(parts)
