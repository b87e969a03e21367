"""Header blocks of HTTP/2 (RFC 7541) that come again and again: `hpack` reads and writes each of them once.

A block means the same as long as the dynamic table is the same, so a client that repeats itself costs one look-up. What we send never
enters a dynamic table; so its block is the same for everybody. Received blocks are validated by `h2`'s own rules (RFC 9113 §8.2, §8.3) when
they are read, and not again. `http2` uses it; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from h2.utilities import HeaderValidationFlags, validate_headers
from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple

Field = tuple[bytes, bytes]

_MOST_WRITTEN: Final = 4096
_MOST_READ: Final = 64
_LONGEST: Final = 1024
"""Octets of a received block that is worth keeping."""
_REQUEST: Final = HeaderValidationFlags(is_client=False, is_trailer=False, is_response_header=False, is_push_promise=False)
_TRAILER: Final = HeaderValidationFlags(is_client=False, is_trailer=True, is_response_header=False, is_push_promise=False)


class BlockWriter(Encoder):
    """Writes the header blocks of one connection; `written` is shared by all of them."""

    def __init__(self, written: dict[tuple[Field, ...], bytes]) -> None:
        super().__init__()
        self._written = written

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:  # Any: as the library has it
        """The block of these fields."""
        if self.header_table.resized:
            return super().encode(_apart(headers), huffman)  # says so once, in front
        key = tuple(headers)
        block = self._written.get(key)
        if block is None:
            if len(self._written) >= _MOST_WRITTEN:
                self._written.clear()
            block = self._written[key] = super().encode(_apart(key), huffman)
        return block


def _apart(fields: Iterable[Field]) -> list[NeverIndexedHeaderTuple]:
    """The fields, to be kept out of the table."""
    return [NeverIndexedHeaderTuple(name, value) for name, value in fields]


class BlockReader(Decoder):
    """Reads the header blocks of one connection. Raises `h2.exceptions.ProtocolError` for a malformed request, HPACKError for no block."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._read: dict[bytes, list[HeaderTuple]] = {}
        self._newest: Any = None  # Any: an entry of the library's table, only compared
        self._entries = 0
        self._size = 0

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """The fields of a block; always octets."""
        if not self._is_same():
            self._read.clear()
            self._remember()
        data = bytes(data)
        fields = self._read.get(data)
        if fields is None:
            fields = list(super().decode(data, raw=True))
            is_trailer = not any(field[0].startswith(b":") for field in fields)
            for _ in validate_headers(fields, _TRAILER if is_trailer else _REQUEST):
                pass
            if len(data) <= _LONGEST and len(self._read) < _MOST_READ and self._is_same():
                self._read[data] = fields
        return fields

    def _is_same(self) -> bool:
        """Whether the dynamic table is as it was. Entries only come in at its front; the newest is held, so that none can pass for it."""
        table = self.header_table
        entries = table.dynamic_entries
        return (entries[0] if entries else None) is self._newest and len(entries) == self._entries and table.maxsize == self._size

    def _remember(self) -> None:
        table = self.header_table
        entries = table.dynamic_entries
        self._newest, self._entries, self._size = entries[0] if entries else None, len(entries), table.maxsize
