"""Reading what a client asks. Imported by the pipeline, the listeners and `upstreams`; `parse_answer` is offered here beside `parse_query`.

No input makes `parse_query` raise, and the work per message is bounded whatever the message says.
RFC 1035 §4, 6891, 7873 §5.4, 8906, 9267, 9619, 9824 §3.3.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from gateway.query import Edns, Query, Reject
from gateway.wire.answer import parse_answer
from gateway.wire.constants import MAX_NAME, Ede, Flag, Opcode, Qclass, Qtype, Rcode
from gateway.wire.edns import read_options
from gateway.wire.name import MALFORMED, SAFE_OCTETS, key_of, read_qname, skip_name

__all__ = ["parse_answer", "parse_query"]

MAX_ADDITIONAL: Final = 2
"""Records behind the question of a query: OPT, and TSIG or SIG(0)."""

# Attributes of classes are looked up anew each time; what every query needs stands here.
_IN: Final = Qclass.IN
_HEADER: Final = Struct(">HHHHHH")
_PAIR: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")

_QNAME_END: Final = 12 + MAX_NAME
_UNASKABLE: Final = frozenset({0, Qtype.OPT, Qtype.NXNAME, Qtype.TSIG, Qtype.TKEY})
_ODD_TYPES: Final[dict[int, int]] = {
    **dict.fromkeys(_UNASKABLE, Rcode.FORMERR),
    Qtype.AXFR: Rcode.REFUSED,
    Qtype.IXFR: Rcode.REFUSED,
    Qtype.MAILA: Rcode.NOTIMP,
    Qtype.MAILB: Rcode.NOTIMP,
}


def parse_query(data: bytes, stream: bool = False) -> Query | Reject | None:
    """The question of a message, or how to turn it down, or None for silence (no header, or a response: answering those makes loops).

    `stream` says that it came over TCP or TLS.
    """
    if len(data) < 12:
        return None
    ident, flags, qdcount, ancount, nscount, arcount = _HEADER.unpack_from(data)
    if flags & 0xF800 or qdcount != 1:
        return _parse_odd(data, ident, flags, qdcount, stream)
    # Up to the first zero octet: the whole name, unless a label holds a zero octet.
    pos = data.find(0, 13, _QNAME_END) + 1
    qname = data[12:pos].lower()
    limit = len(data)
    parent = None
    if qname:
        first = qname[0] + 1
        label = qname[1:first]
        if first <= 64 and (label.isalnum() or (label and not label.translate(None, SAFE_OCTETS))):
            parent = parent_key(qname[first:])
    if parent is not None:
        key = f"{parent}{label.decode('ascii')}."
    else:
        pos, key = _read_name(data)
        if not pos:
            return Reject(ident, flags, Rcode.FORMERR)
        qname = data[12:pos].lower()
    end = pos + 4
    if end > limit:
        return Reject(ident, flags, Rcode.FORMERR)
    question = data[12:end]
    edns: Edns | None = None
    if arcount:
        if ancount or nscount or arcount > MAX_ADDITIONAL:
            return Reject(ident, flags, Rcode.FORMERR, question)
        edns = _plain_edns(data[end:]) if limit == end + 11 and arcount == 1 else None
        if edns is None:
            read = _read_additional(data, end, arcount, stream)
            if isinstance(read, Reject):
                return read._replace(id=ident, flags=flags, question=question)
            edns = read
    elif ancount or nscount or end != limit:
        return Reject(ident, flags, Rcode.FORMERR, question)
    qtype, qclass = _PAIR.unpack_from(data, pos)
    if qclass != _IN:
        return Reject(ident, flags, Rcode.REFUSED, question, edns)
    if qtype in _ODD_TYPES:
        return Reject(ident, flags, _ODD_TYPES[qtype], question, edns, Ede.INVALID_QUERY_TYPE if qtype in _UNASKABLE else None)
    return Query(ident, flags, qname, key, qtype, question, edns)


@lru_cache(maxsize=512)
def _plain_edns(record: bytes) -> Edns | None:
    """An OPT record of version 0 without options; None for every other record of 11 octets."""
    read = _read_additional(record, 0, 1, False)
    return read if isinstance(read, Edns) and read.plain else None


@lru_cache(maxsize=16384)
def parent_key(wire: bytes) -> str | None:
    """The index key of a lower-case wire name, None when it is no name. Most names have a parent that was asked for before."""
    return key_of(wire) if read_qname(wire, 0)[1] == len(wire) else None


def _read_name(data: bytes) -> tuple[int, str]:
    """The offset behind the name at 12 and its index key, label by label; offset 0 for what is no name."""
    wire, end = read_qname(data, 12)
    return (0, "") if end == MALFORMED else (end, key_of(wire))


def _read_additional(data: bytes, pos: int, count: int, stream: bool) -> Edns | Reject | None:
    """The one OPT record among the last `count` records, or a Reject whose header is still to be filled in."""
    found: Edns | None = None
    bad = 0
    limit = len(data)
    for _ in range(count):
        is_root = pos < limit and data[pos] == 0
        pos = pos + 1 if is_root else skip_name(data, pos)
        if pos == MALFORMED or pos + 10 > limit:
            return Reject(0, 0, Rcode.FORMERR, edns=found)
        rtype, size, ttl, length = _RECORD.unpack_from(data, pos)
        pos += 10
        stop = pos + length
        if stop > limit:
            return Reject(0, 0, Rcode.FORMERR, edns=found)
        if rtype == Qtype.OPT:
            do = ttl & 0x8000 != 0
            if found is not None or not is_root:
                return Reject(0, 0, Rcode.FORMERR, edns=found)
            if ttl & 0xFF0000:
                # RFC 6891 §6.1.3: the version is judged before the options, whose meaning it may change.
                bad = Rcode.BADVERS
                found = Edns(size, do, ttl >> 16 & 0xFF, length == 0)
            elif length:
                found = read_options(data, pos, stop, size, do, stream)
                if found is None:
                    bad = Rcode.FORMERR
                    found = Edns(size, do)
            else:
                found = Edns(size, do)
        pos = stop
    if pos != limit:
        return Reject(0, 0, Rcode.FORMERR, edns=found)
    return Reject(0, 0, bad, edns=found) if bad else found


def _parse_odd(data: bytes, ident: int, flags: int, qdcount: int, stream: bool) -> Reject | None:
    """Responses, other operations, and any number of questions but one."""
    if flags & Flag.QR:
        return None
    ancount, nscount, arcount = int.from_bytes(data[6:8], "big"), int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
    opcode = (flags & Flag.OPCODE) >> 11
    if opcode != Opcode.QUERY:
        # The body of an unknown operation has an unknown form; its OPT is looked for where it usually is.
        question = b""
        pos = 12
        if qdcount == 1:
            _, pos = read_qname(data, 12)
            if pos == MALFORMED or pos + 4 > len(data):
                return Reject(ident, flags, Rcode.NOTIMP)
            pos += 4
            question = data[12:pos]
        edns: Edns | None = None
        if qdcount <= 1 and not ancount and not nscount and 0 < arcount <= MAX_ADDITIONAL:
            read = _read_additional(data, pos, arcount, stream)
            edns = read.edns if isinstance(read, Reject) else read
        return Reject(ident, flags, Rcode.NOTIMP, question, edns)
    if qdcount > 1 or ancount or nscount or not 0 < arcount <= MAX_ADDITIONAL:
        # RFC 9619 §4.
        return Reject(ident, flags, Rcode.FORMERR)
    read = _read_additional(data, 12, arcount, stream)
    if isinstance(read, Reject):
        return read._replace(id=ident, flags=flags)
    # RFC 7873 §5.4: no question and a cookie asks for nothing but a server cookie.
    rcode = Rcode.NOERROR if read is not None and read.cookie else Rcode.FORMERR
    return Reject(ident, flags, rcode, edns=read)
