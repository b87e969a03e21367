"""Composing replies. Imported by the pipeline, the answer table and tests.

Everything the gateway says itself (blocks, local records, rewrites, the minimal ANY) is an `Answer` value like those of upstreams, so that
there is one way out: `compose_reply`. The bodies here point to the question's name and so fit any question. RFC 1035 §4, 2308 §3 (SOA in
negative answers), 4035 §3.2.3 and 6840 §5.8 (AD), 6891 §6.1.1 (OPT only when asked), 8482 (ANY), 8914 (extended errors).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from struct import Struct
from typing import Final

from gateway.query import Answer, Edns, Query, Reject
from gateway.wire.constants import MAX_MESSAGE, MIN_UDP_SIZE, UDP_SIZE, Flag, Qclass, Qtype, Rcode
from gateway.wire.edns import ede_option, opt_record, padding_option

STALE_TTL: Final = 30
"""Seconds a stale answer is given out for (RFC 8767 §4)."""
ANY_TTL: Final = 3600

_HEADER: Final = Struct(">HHHHHH")
_RECORD: Final = Struct(">HHIH")
_LONG: Final = Struct(">I")
_SOA: Final = Struct(">IIIII")
_OWNER: Final = b"\xc0\x0c"
_KEPT: Final = Flag.RD | Flag.CD
_PLAIN: Final = Flag.QR | Flag.RA

Errors = Sequence[tuple[int, str]]
"""Extended errors: code and text."""


def udp_limit(edns: Edns | None) -> int:
    """The largest datagram this client may be sent (RFC 6891 §6.2.5, never above ours)."""
    if edns is None:
        return MIN_UDP_SIZE
    size = edns.size
    return UDP_SIZE if size > UDP_SIZE else size if size > MIN_UDP_SIZE else MIN_UDP_SIZE


def compose_reply(
    query: Query,
    answer: Answer,
    body: bytes,
    limit: int,
    errors: Errors = (),
    options: bytes = b"",
    padded: bool = False,
) -> bytes:
    """The reply to `query`: `answer` with `body` (its own body, or what `age_body` made of it) in at most `limit` octets.

    Too large: the justification of structured errors goes first, then texts of extended errors, then the errors, then whole RRsets from
    the end, with TC set. `options` are further options in wire form. `padded` fills up to the next block (RFC 8467), to be asked for only
    on encrypted transports.
    """
    ident, flags, _, _, _, question, edns, _ = query
    rcode, ad, _, an, ns = answer[:5]
    flags = _PLAIN | flags & _KEPT | rcode & 15
    if ad and query.wants_ad:
        flags |= Flag.AD
    opt = b""
    if edns is not None:
        opt = opt_record(edns.do, options + _error_options(errors) if errors else options, rcode >> 4)
    room = limit - 12 - len(question) - len(opt)
    if len(body) > room:
        if errors and edns is not None:
            smaller = [(code, _shorter(text)) for code, text in errors] if any(text for _, text in errors) else ()
            return compose_reply(query, answer, body, limit, smaller, options, padded)
        body, an, ns = cut_body(answer, body, room)
        flags |= Flag.TC
    if padded and edns is not None and edns.padding:
        opt = opt_record(edns.do, opt[11:] + padding_option(12 + len(question) + len(body) + len(opt), limit), rcode >> 4)
    return _HEADER.pack(ident, flags, 1, an, ns, 1 if opt else 0) + question + body + opt


def _shorter(text: str) -> str:
    """What is left of the text of an extended error that is too long: of a structured one whom to tell and the sub-error, else nothing."""
    if not text.startswith("{"):
        return ""
    said = {name: value for name, value in json.loads(text).items() if name in ("c", "s")}
    left = json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else ""
    return left if left != text else ""


def _error_options(errors: Errors) -> bytes:
    return b"".join([ede_option(code, text) for code, text in errors])


def cut_body(answer: Answer, body: bytes, room: int) -> tuple[bytes, int, int]:
    """As many whole RRsets of `body` as fit into `room` octets: (body, answer records, authority records)."""
    for end, an, ns in reversed(answer.rrset_ends):
        if end <= room:
            return body[:end], an, ns
    return b"", 0, 0


def age_body(answer: Answer, age: int, ttl_max: int) -> bytes:
    """The body with every TTL lowered by `age` seconds and to at most `ttl_max`; at least 1 unless it was 0 from the start."""
    body = bytearray(answer.body)
    pack = _LONG.pack_into
    for offset, ttl in zip(answer.ttl_offsets, answer.ttls, strict=True):
        left = ttl - age
        if left < 1:
            left = 1 if ttl else 0
        pack(body, offset, left if left < ttl_max else ttl_max)
    return bytes(body)


def fix_ttl(answer: Answer, ttl: int) -> bytes:
    """The body with every TTL set to `ttl`, as for stale answers."""
    body = bytearray(answer.body)
    for offset in answer.ttl_offsets:
        _LONG.pack_into(body, offset, ttl)
    return bytes(body)


def compose_reject(reject: Reject, options: bytes = b"", padded: bool = False, body: bytes = b"") -> bytes:
    """The reply to a query that is turned down (or that carried nothing but a cookie, or asked who we are: `body` is the one record)."""
    opt = b""
    if reject.edns is not None:
        if reject.ede is not None:
            options += ede_option(reject.ede)
        if padded and reject.edns.padding:
            options += padding_option(12 + len(reject.question) + len(body) + len(opt_record()) + len(options), MAX_MESSAGE)
        opt = opt_record(reject.edns.do, options, reject.rcode >> 4)
    flags = Flag.QR | reject.flags & (Flag.OPCODE | Flag.RD | Flag.CD) | reject.rcode & 15
    if reject.rcode == Rcode.NOERROR:
        flags |= Flag.RA
    return _HEADER.pack(reject.id, flags, 1 if reject.question else 0, 1 if body else 0, 0, 1 if opt else 0) + reject.question + body + opt


def chaos_text(text: str) -> bytes:
    """One TXT record of class CH at the question's name, of at most 255 letters of ASCII."""
    value = text.encode("ascii")[:255]
    return _OWNER + _RECORD.pack(Qtype.TXT, Qclass.CH, 0, 1 + len(value)) + bytes((len(value),)) + value


def compose_error(
    query: Query, rcode: int, errors: Errors = (), options: bytes = b"", limit: int = MIN_UDP_SIZE, padded: bool = False
) -> bytes:
    """A reply without records: SERVFAIL, REFUSED and the like."""
    return compose_reply(query, _EMPTY.get(rcode) or Answer(rcode, False, b"", 0, 0, (), (), ()), b"", limit, errors, options, padded)


def compose_truncated(query: Query, options: bytes = b"") -> bytes:
    """An empty reply with TC set, which asks the client to come back over TCP."""
    reply = bytearray(compose_error(query, Rcode.NOERROR, (), options))
    reply[2] |= Flag.TC >> 8
    return bytes(reply)


_EMPTY: Final = {rcode: Answer(rcode, False, b"", 0, 0, (), (), ()) for rcode in range(16)}


def local_answer(records: Sequence[tuple[int, int, bytes]]) -> Answer:
    """An answer of our own for the question's name: (type, TTL, record data without compression) for each record."""
    body = bytearray()
    offsets: list[int] = []
    ends: list[tuple[int, int, int]] = []
    for index, (rtype, ttl, rdata) in enumerate(records):
        offsets.append(len(body) + 6)
        body += _OWNER + _RECORD.pack(rtype, Qclass.IN, ttl, len(rdata)) + rdata
        if index + 1 == len(records) or records[index + 1][0] != rtype:
            ends.append((len(body), index + 1, 0))
    ttls = tuple(ttl for _, ttl, _ in records)
    return Answer(Rcode.NOERROR, False, bytes(body), len(records), 0, tuple(offsets), ttls, tuple(ends), ttl=min(ttls, default=0))


def alias_answer(target: bytes, ttl: int, behind: Sequence[tuple[int, int, bytes]] = ()) -> Answer:
    """An alias from the question's name to the wire name `target`, and records (type, TTL, data) of that target behind it."""
    alias = local_answer([(Qtype.CNAME, ttl, target)])
    if not behind:
        return alias
    body = bytearray(alias.body)
    offsets = list(alias.ttl_offsets)
    for rtype, record_ttl, rdata in behind:
        offsets.append(len(body) + len(target) + 4)
        body += target + _RECORD.pack(rtype, Qclass.IN, record_ttl, len(rdata)) + rdata
    an = 1 + len(behind)
    ttls = (ttl, *(record_ttl for _, record_ttl, _ in behind))
    return alias._replace(
        body=bytes(body), an=an, ttl_offsets=tuple(offsets), ttls=ttls, rrset_ends=(*alias.rrset_ends, (len(body), an, 0)), ttl=min(ttls)
    )


@functools.lru_cache(maxsize=256)
def negative_answer(rcode: int, ttl: int, mname: bytes) -> Answer:
    """NODATA (rcode 0) or NXDOMAIN with an SOA at the question's name, so that clients remember it for `ttl` seconds (RFC 2308 §3)."""
    rdata = mname + b"\x0ahostmaster" + mname + _SOA.pack(1, 3600, 600, 86400, ttl)
    record = _OWNER + _RECORD.pack(Qtype.SOA, Qclass.IN, ttl, len(rdata)) + rdata
    return Answer(rcode, False, record, 0, 1, (6,), (ttl,), ((len(record), 0, 1),), ttl=ttl, negative=True)


@functools.lru_cache(maxsize=1024)
def block_answer(mode: str, qtype: int, ttl: int, page: tuple[bytes, ...], mname: bytes) -> Answer:
    """What a blocked name is answered with. `mode` is `zero`, `nxdomain`, `nodata`, `refused` or `page`; `page` holds packed addresses."""
    if mode == "refused":
        return _EMPTY[Rcode.REFUSED]
    if mode == "nxdomain":
        return negative_answer(Rcode.NXDOMAIN, ttl, mname)
    if mode == "zero":
        page = (bytes(4), bytes(16))
    if mode == "zero" or mode == "page":
        width = 4 if qtype == Qtype.A else 16 if qtype == Qtype.AAAA else 0
        records = [(qtype, ttl, address) for address in page if len(address) == width]
        if records:
            return local_answer(records)
    return negative_answer(Rcode.NOERROR, ttl, mname)


def any_answer() -> Answer:
    """RFC 8482 §4.2: one HINFO record instead of everything."""
    return _ANY


_ANY: Final = local_answer([(Qtype.HINFO, ANY_TTL, b"\x07RFC8482\x00")])
