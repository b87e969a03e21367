"""Reading what an upstream answered. Imported through `wire.message`, and by tests.

`parse_answer` raises UpstreamError only. The work per message is bounded by the counts below whatever the message says.
RFC 1035 §4, 2181 §5.2, 2308, 3597 §4, 4035 §3.1, 6672, 8767 §4, 8914, 9267.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from gateway.errors import UpstreamError
from gateway.query import NO_FACTS, Answer, AnswerFacts
from gateway.wire.constants import Flag, Option, Qclass, Qtype, Rcode
from gateway.wire.name import MALFORMED, is_subdomain, key_of, read_name, skip_name
from gateway.wire.service import read_service

MAX_TTL: Final = 604800
"""RFC 8767 §4; a TTL with the top bit set is a large one."""
MAX_NEGATIVE_TTL: Final = 3600
MAX_RECORDS: Final = 400
"""Records of answer and authority section that we read."""
MAX_ALIASES: Final = 16
MAX_EXPANDED: Final = 16384
"""Octets of names, decompressed, that one message may hold."""
MAX_ERRORS: Final = 3
MAX_ERROR_TEXT: Final = 64
"""Extended errors kept from an upstream, and the octets of text of each."""

# Attributes of classes are looked up anew each time; what every answer needs stands here.
_IN: Final = Qclass.IN
_A: Final = Qtype.A
_AAAA: Final = Qtype.AAAA
_CNAME: Final = Qtype.CNAME
_RRSIG: Final = Qtype.RRSIG
_AD: Final = Flag.AD
_RCODE: Final = Flag.RCODE
_RESPONSE: Final = Flag.QR | Flag.OPCODE
_HEADER: Final = Struct(">HHHHHH")
_RECORD: Final = Struct(">HHIH")
_PAIR: Final = Struct(">HH")
_LONG: Final = Struct(">I")


class _Record(NamedTuple):
    """One record of an upstream's message; offsets into the message."""

    owner: bytes
    rtype: int
    ttl_at: int
    ttl: int
    start: int
    rdata: int
    end: int
    in_answer: bool


_NAMES_IN_RDATA: Final[dict[int, tuple[int, int]]] = {
    # type: octets before the first name, names in a row. Those that may be compressed: RFC 1035 §3.3 and RFC 3597 §4.
    Qtype.NS: (0, 1), 3: (0, 1), 4: (0, 1), Qtype.CNAME: (0, 1), Qtype.SOA: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), Qtype.PTR: (0, 1), 14:
    (0, 2),
    Qtype.MX: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), Qtype.SIG: (18, 1), 26: (2, 2), 30: (0, 1), Qtype.SRV: (6, 1), 36: (2, 1),
    Qtype.DNAME: (0, 1),
}  # fmt: skip
_LOOSE: Final = frozenset({Qtype.SIG, 30})
"""Types whose data goes on behind the name."""


class _Reader:
    """Names and records of one message, within one budget of expanded octets."""

    __slots__ = ("_budget", "_names", "_records", "data", "qname")

    def __init__(self, data: bytes, qname: bytes) -> None:
        self.data = data
        self.qname = qname
        self._names: dict[int, tuple[bytes, int]] = {12: (qname, 12 + len(qname))}
        self._budget = MAX_EXPANDED
        self._records = MAX_RECORDS

    def name(self, pos: int) -> tuple[bytes, int]:
        """The name at `pos`, lower case, decompressed, and the offset behind it; pointers share what was read before."""
        data = self.data
        if pos + 1 < len(data) and data[pos] >= 0xC0:
            target = (data[pos] & 0x3F) << 8 | data[pos + 1]
            if target >= pos:
                raise UpstreamError("a compression pointer that does not lead backwards")
            known = self._names.get(target)
            return (known or self._read(target))[0], pos + 2
        return self._read(pos)

    def _read(self, pos: int) -> tuple[bytes, int]:
        read = read_name(self.data, pos)
        if read[1] == MALFORMED:
            raise UpstreamError("a malformed name")
        self._budget -= len(read[0])
        if self._budget < 0:
            raise UpstreamError("too many names")
        self._names[pos] = read
        return read

    def records(self, pos: int, count: int, in_answer: bool) -> tuple[list[_Record], int]:
        """`count` records from `pos` of class IN, and the offset behind them."""
        self._records -= count
        if self._records < 0:
            raise UpstreamError("too many records")
        data = self.data
        limit = len(data)
        records: list[_Record] = []
        for _ in range(count):
            start = pos
            owner, pos = self.name(pos)
            rdata = pos + 10
            if rdata > limit:
                raise UpstreamError("cut short")
            rtype, rclass, ttl, length = _RECORD.unpack_from(data, pos)
            end = rdata + length
            if end > limit:
                raise UpstreamError("cut short")
            if rclass == _IN:
                records.append(_Record(owner, rtype, pos + 4, ttl if ttl < MAX_TTL else MAX_TTL, start, rdata, end, in_answer))
            pos = end
        return records, pos


def parse_answer(data: bytes, question: bytes, do: bool = False) -> Answer:
    """What an upstream answered to `question` (the question section as it was sent), with DNSSEC records if `do`.

    Keeps the chain of aliases from the question's name, the records asked for, and of a negative answer the SOA; drops everything else.
    Raises UpstreamError when the message is no answer to this question or is malformed; its identifier is the caller's to check.
    """
    if len(data) < 12 + len(question):
        raise UpstreamError("cut short")
    _, flags, qdcount, ancount, nscount, arcount = _HEADER.unpack_from(data)
    if flags & _RESPONSE != 0x8000 or qdcount != 1:
        raise UpstreamError("not a response")
    start = 12 + len(question)
    simple = parse_addresses(data, question)
    if simple is not None:
        return simple
    sent = data[12:start]
    if sent != question and (sent[-4:] != question[-4:] or sent[:-4].lower() != question[:-4].lower()):
        raise UpstreamError("an answer to another question")
    qname = question[:-4].lower()
    rcode = flags & _RCODE
    reader = _Reader(data, qname)
    answers, pos = reader.records(start, ancount, True)
    authority: list[_Record] = []
    edes: tuple[tuple[int, str], ...] = ()
    if nscount:
        authority, pos = reader.records(pos, nscount, False)
    if arcount:
        extended, edes = _read_opt(reader, pos, arcount)
        rcode |= extended << 4
    if rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.YXDOMAIN):
        return Answer(rcode, False, b"", 0, 0, (), (), (), ede=edes)
    qtype = question[-4] << 8 | question[-3]
    kept, targets, last, found = _follow(reader, answers, qname, qtype, do)
    negative = not found or rcode != Rcode.NOERROR
    if authority:
        types = {record.rtype for record in authority}
        if not answers and rcode == Rcode.NOERROR and Qtype.NS in types and Qtype.SOA not in types:
            return Answer(Rcode.SERVFAIL, False, b"", 0, 0, (), (), (), ede=edes)  # a referral: this server asks nobody (RFC 1034 §4.3.1)
        kept += _pick_authority(authority, last, negative, do)
    addresses, hinted = _read_facts(data, kept)
    chain = tuple([key_of(target) for target in targets] + hinted) if targets or hinted else ()
    facts = AnswerFacts(chain, addresses) if chain or addresses else NO_FACTS
    return _build(reader, start, kept, rcode, flags & _AD != 0, facts, edes, negative)


_ADDRESS_SHAPES: Final = {
    # Question type and class: owner's pointer with the same type and class, the layout, octets of the address, offsets and cut of one
    # record.
    b"\0\1\0\1": (b"\xc0\x0c\0\1\0\1", Struct(">6sIH4s"), 4, ((6,), ((16, 1, 0),))),
    b"\0\x1c\0\1": (b"\xc0\x0c\0\x1c\0\1", Struct(">6sIH16s"), 16, ((6,), ((28, 1, 0),))),
}


def parse_addresses(data: bytes, question: bytes) -> Answer | None:
    """The most frequent answer by far, read in one go: addresses of the very name, an OPT without options; None for every other. That the
    message is a response is the caller's to check."""
    shape = _ADDRESS_SHAPES.get(question[-4:])
    start = 12 + len(question)
    _, flags, _, count, nscount, arcount = _HEADER.unpack_from(data)
    if shape is None or not 1 <= count <= 16 or nscount or arcount > 1 or flags & _RCODE:
        return None
    kind, layout, width, one = shape
    size = 12 + width
    end = start + count * size
    if not data.startswith(question, 12) or len(data) < end or (arcount and not is_plain_opt(data[end:])):
        return None
    ad = flags & _AD != 0
    if count == 1:
        head, ttl, length, address = layout.unpack_from(data, start)
        if head != kind or length != width or ttl > MAX_TTL:
            return None
        return Answer(0, ad, data[start:end], 1, 0, one[0], (ttl,), one[1], AnswerFacts((), (address,)), (), ttl)
    least, most = MAX_TTL + 1, 0
    addresses = []
    for at in range(start, end, size):
        head, ttl, length, address = layout.unpack_from(data, at)
        if head != kind or length != width:
            return None
        least, most = min(least, ttl), max(most, ttl)
        addresses.append(address)
    if most > MAX_TTL:
        return None
    body = data[start:end]
    facts = AnswerFacts((), tuple(addresses))
    offsets = tuple(range(6, len(body), size))
    if least != most:  # RFC 2181 §5.2
        body = _write_ttls(body, offsets, (least,) * count)
    return Answer(0, ad, body, count, 0, offsets, (least,) * count, ((len(body), count, 0),), facts, (), least)


@lru_cache(maxsize=256)
def is_plain_opt(record: bytes) -> bool:
    """Whether this is one OPT record without options and without upper bits of an rcode, and nothing else."""
    return len(record) == 11 and record.startswith(b"\0\0\x29") and not record[5] and record.endswith(b"\0\0")


def _follow(reader: _Reader, records: list[_Record], qname: bytes, qtype: int, do: bool) -> tuple[list[_Record], list[bytes], bytes, bool]:
    """The records that belong to the question: (kept, alias targets in order, last name of the chain, whether it ends in what was asked
    for)."""
    name, chain = qname, {qname}
    targets: list[bytes] = []
    kept: list[_Record] = []
    found = False
    waiting: list[_Record] = []
    for record in records:
        rtype = record.rtype
        if record.owner == name and (rtype == qtype or (qtype == Qtype.ANY and rtype != _RRSIG)):
            kept.append(record)
            found = True
        elif record.owner == name and rtype == _CNAME and not found:
            kept.append(record)
            name = _alias(reader, record, chain)
            targets.append(name)
        else:
            waiting.append(record)
    if not waiting:
        return kept, targets, name, found
    # Signatures, DNAMEs and chains out of order: rare, so they may cost a second reading.
    while not found:
        found = any(record.owner == name and record.rtype == qtype for record in waiting)
        alias = next((record for record in waiting if record.owner == name and record.rtype == Qtype.CNAME), None)
        if found or alias is None:
            break
        name = _alias(reader, alias, chain)
        targets.append(name)
    wanted: list[_Record] = []
    aliased: set[bytes] = set()
    for record in records:
        if record.rtype == Qtype.CNAME and record.owner in chain and (record.owner != name or qtype == Qtype.CNAME):
            # One alias per name; a second one is no RRset (RFC 2181 §10.1).
            if record.owner in aliased:
                continue
            aliased.add(record.owner)
            wanted.append(record)
        elif (
            (record.owner == name and record.rtype == qtype)
            or (record.rtype == Qtype.DNAME and any(link != record.owner and is_subdomain(link, record.owner) for link in chain))
            or (do and record.rtype == Qtype.RRSIG and _covers(reader.data, record, chain, name, qtype))
        ):
            wanted.append(record)
    return wanted, targets, name, found


def _alias(reader: _Reader, record: _Record, chain: set[bytes]) -> bytes:
    target, end = reader.name(record.rdata)
    if end != record.end:
        raise UpstreamError("a malformed alias")
    if target in chain or len(chain) > MAX_ALIASES:
        raise UpstreamError("an alias that leads nowhere")
    chain.add(target)
    return target


def _covers(data: bytes, record: _Record, chain: set[bytes], last: bytes, qtype: int) -> bool:
    if record.end - record.rdata < 18:
        return False
    covered = data[record.rdata] << 8 | data[record.rdata + 1]
    if covered == Qtype.DNAME:
        return any(is_subdomain(link, record.owner) for link in chain)
    return record.owner in chain and (covered == Qtype.CNAME or (covered == qtype and record.owner == last) or qtype == Qtype.ANY)


_PROOFS: Final = frozenset({Qtype.NSEC, Qtype.NSEC3})


def _pick_authority(records: list[_Record], last: bytes, negative: bool, do: bool) -> list[_Record]:
    """The SOA of a negative answer, and the proofs when DNSSEC records were asked for (RFC 4035 §3.1.3)."""
    kept: list[_Record] = []
    has_soa = False
    for record in records:
        if record.rtype == Qtype.SOA:
            if negative and not has_soa and is_subdomain(last, record.owner):
                has_soa = True
                kept.append(record)
        elif do and (record.rtype in _PROOFS or record.rtype == Qtype.RRSIG):
            kept.append(record)
    return kept


def _read_facts(data: bytes, records: list[_Record]) -> tuple[tuple[bytes, ...], list[str]]:
    """Every address, and the keys of SVCB targets, of the kept answer records; lengths and names in record data are checked on the way."""
    addresses: list[bytes] = []
    targets: list[str] = []
    for record in records:
        rtype = record.rtype
        if rtype in (_A, _AAAA):
            value = data[record.rdata : record.end]
            if len(value) != (4 if rtype == _A else 16):
                raise UpstreamError("an address of the wrong length")
            addresses.append(value)
        elif (rtype == Qtype.SVCB or rtype == Qtype.HTTPS) and record.in_answer:
            target = read_service(data, record.rdata, record.end, addresses)
            if len(target) > 1 and target != record.owner:
                targets.append(key_of(target))
    return tuple(addresses), targets


def _read_opt(reader: _Reader, pos: int, count: int) -> tuple[int, tuple[tuple[int, str], ...]]:
    """The upper bits of the rcode and the extended errors of the OPT record among the additional records."""
    data = reader.data
    limit = len(data)
    for _ in range(min(count, MAX_RECORDS)):
        is_root = pos < limit and data[pos] == 0
        pos = pos + 1 if is_root else skip_name(data, pos)
        if pos == MALFORMED or pos + 10 > limit:
            break
        rtype, _, ttl, length = _RECORD.unpack_from(data, pos)
        pos += 10 + length
        if pos > limit:
            break
        if rtype == Qtype.OPT and is_root:
            return ttl >> 24, _read_errors(data, pos - length, pos) if length else ()
    else:
        return 0, ()
    raise UpstreamError("cut short")


def _read_errors(data: bytes, pos: int, end: int) -> tuple[tuple[int, str], ...]:
    errors: list[tuple[int, str]] = []
    for _ in range(32):
        if pos + 4 > end:
            break
        code, length = _PAIR.unpack_from(data, pos)
        pos += 4
        if code == Option.EDE and 2 <= length <= end - pos and len(errors) < MAX_ERRORS:
            text = data[pos + 2 : pos + min(length, 2 + MAX_ERROR_TEXT)].decode("utf-8", "ignore").rstrip("\0")
            errors.append((data[pos] << 8 | data[pos + 1], text))
        pos += length
    return tuple(errors)


def _build(
    reader: _Reader,
    start: int,
    kept: list[_Record],
    rcode: int,
    ad: bool,
    facts: AnswerFacts,
    edes: tuple[tuple[int, str], ...],
    negative: bool,
) -> Answer:
    if not kept:
        return Answer(rcode, ad, b"", 0, 0, (), (), (), facts, edes, 0, negative)
    data = reader.data
    whole, pos = True, start
    for record in kept:
        if record.start != pos:
            whole = False
        pos = record.end
        if record.rtype in _NAMES_IN_RDATA:
            _check_names(reader, record)
    if whole:
        body = data[start:pos]
        offsets = [record.ttl_at - start for record in kept]
        ends = [record.end - start for record in kept]
    else:
        body, offsets, ends = _rewrite(reader, kept)
    ttls = [record.ttl for record in kept]
    rrset_ends: list[tuple[int, int, int]] = []
    an = sum([record.in_answer for record in kept])
    if len(kept) == 1:
        rrset_ends.append((ends[0], an, 1 - an))
    else:
        _group(data, kept, ends, ttls, rrset_ends)
    lifetime = min(ttls[:an], default=MAX_TTL)
    if negative:
        lifetime = min(lifetime, _negative_ttl(data, kept, ttls))
    if ttls != [record.ttl for record in kept] or MAX_TTL in ttls:
        body = _write_ttls(body, offsets, ttls)
    return Answer(rcode, ad, body, an, len(kept) - an, tuple(offsets), tuple(ttls), tuple(rrset_ends), facts, edes, lifetime, negative)


def _write_ttls(body: bytes, offsets: Sequence[int], ttls: Sequence[int]) -> bytes:
    """The body with these TTLs: what clients are told is never longer than what is kept."""
    written = bytearray(body)
    for offset, ttl in zip(offsets, ttls, strict=True):
        _LONG.pack_into(written, offset, ttl)
    return bytes(written)


def _group(data: bytes, kept: list[_Record], ends: list[int], ttls: list[int], rrset_ends: list[tuple[int, int, int]]) -> None:
    """Equalise the TTLs of each RRset with its signatures, and find where the body may be cut."""
    keys = []
    last: dict[tuple[bytes, int, bool], int] = {}
    least: dict[tuple[bytes, int, bool], int] = {}
    for index, record in enumerate(kept):
        rtype = record.rtype
        if rtype == Qtype.RRSIG and record.end - record.rdata >= 2:
            rtype = data[record.rdata] << 8 | data[record.rdata + 1]
        key = (record.owner, rtype, record.in_answer)
        keys.append(key)
        last[key] = index
        ttl = ttls[index]
        if ttl < least.get(key, MAX_TTL + 1):
            least[key] = ttl
    reach = an = 0
    for index, key in enumerate(keys):
        ttls[index] = least[key]
        an += kept[index].in_answer
        if last[key] > reach:
            reach = last[key]
        if index == reach:
            rrset_ends.append((ends[index], an, index + 1 - an))
            reach = index + 1


def _negative_ttl(data: bytes, kept: list[_Record], ttls: list[int]) -> int:
    """RFC 2308 §5: the lesser of the SOA's TTL and its minimum, which also becomes the SOA's TTL; 0 without an SOA."""
    for index, record in enumerate(kept):
        if record.rtype == Qtype.SOA and not record.in_answer:
            minimum: int = _LONG.unpack_from(data, record.end - 4)[0]
            ttls[index] = min(ttls[index], minimum, MAX_NEGATIVE_TTL)
            return ttls[index]
    return 0


def _check_names(reader: _Reader, record: _Record) -> None:
    """Names inside record data must be well formed and fill the place they have."""
    skip, count = _NAMES_IN_RDATA[record.rtype]
    pos = record.rdata + skip
    for _ in range(count):
        if pos >= record.end:
            raise UpstreamError("malformed record data")
        _, pos = reader.name(pos)
    if record.rtype == Qtype.SOA:
        pos += 20
    if pos > record.end or (pos != record.end and record.rtype not in _LOOSE):
        raise UpstreamError("malformed record data")


def _rewrite(reader: _Reader, kept: list[_Record]) -> tuple[bytes, list[int], list[int]]:
    """The kept records put together without compression, save for owners equal to the question: what pointers led to may be gone."""
    data = reader.data
    qname = reader.qname
    body = bytearray()
    offsets: list[int] = []
    ends: list[int] = []
    for record in kept:
        body += b"\xc0\x0c" if record.owner == qname else record.owner
        offsets.append(len(body) + 4)
        rdata = _expand(reader, record)
        body += data[record.ttl_at - 4 : record.ttl_at + 4] + len(rdata).to_bytes(2, "big") + rdata
        ends.append(len(body))
    if len(body) > 65535 - 12 - 255 - 4 - 512:
        raise UpstreamError("too large")
    return bytes(body), offsets, ends


def _expand(reader: _Reader, record: _Record) -> bytes:
    data = reader.data
    layout = _NAMES_IN_RDATA.get(record.rtype)
    if layout is not None:
        skip, count = layout
        pos = record.rdata + skip
    elif record.rtype == Qtype.NAPTR:
        # RFC 3597 §4: order, preference, three strings, a name that old servers compressed.
        count = 1
        pos = record.rdata + 4
        for _ in range(3):
            if pos >= record.end:
                raise UpstreamError("malformed record data")
            pos += 1 + data[pos]
        if pos >= record.end:
            raise UpstreamError("malformed record data")
    else:
        return data[record.rdata : record.end]
    parts = [data[record.rdata : pos]]
    for _ in range(count):
        name, pos = reader.name(pos)
        parts.append(name)
    parts.append(data[pos : record.end])
    return b"".join(parts)
