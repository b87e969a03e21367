"""Reading SVCB and HTTPS record data: the target and the address hints. Imported by `wire.answer`. RFC 9460 §2.2 and §7.3."""

from __future__ import annotations

from struct import Struct
from typing import Final

from gateway.errors import UpstreamError
from gateway.wire.name import MALFORMED, read_name

MAX_PARAMETERS: Final = 32
"""Parameters per record."""

_PAIR: Final = Struct(">HH")
_WIDTHS: Final = {4: 4, 6: 16}
"""Parameters that hold addresses (ipv4hint, ipv6hint), and the octets of one."""


def read_service(data: bytes, pos: int, end: int, addresses: list[bytes]) -> bytes:
    """The target (wire, lower case) of the record data from `pos` to `end`; its address hints are added to `addresses`.

    Priority, an uncompressed target, parameters in ascending order. Raises UpstreamError for anything else.
    """
    start = pos + 2
    if start >= end:
        raise UpstreamError("a malformed SVCB record")
    target, pos = read_name(data, start)
    if pos == MALFORMED or pos - start != len(target) or pos > end:
        raise UpstreamError("a malformed SVCB record")
    last = -1
    for _ in range(MAX_PARAMETERS):
        if pos + 4 > end:
            break
        key, length = _PAIR.unpack_from(data, pos)
        pos += 4
        stop = pos + length
        width = _WIDTHS.get(key, 0)
        if key <= last or stop > end or (width and (not length or length % width)):
            raise UpstreamError("a malformed SVCB record")
        if width:
            addresses.extend(data[at : at + width] for at in range(pos, stop, width))
        last = key
        pos = stop
    if pos != end:
        raise UpstreamError("a malformed SVCB record")
    return target
