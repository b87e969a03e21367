"""Numbers of the DNS protocol (IANA registries "DNS Parameters"). Anyone may import this module.

Plain integers in namespaces rather than enumerations: they are compared with integers read from the wire on every query.
"""

from __future__ import annotations

from typing import Final

HEADER_SIZE: Final = 12
MAX_NAME: Final = 255
MAX_LABEL: Final = 63
MAX_MESSAGE: Final = 65535
UDP_SIZE: Final = 1232
"""The largest datagram we send and the payload size we advertise (flag day 2020, RFC 9715)."""
MIN_UDP_SIZE: Final = 512


class Flag:
    """Bits of the second header word (RFC 1035 §4.1.1, RFC 2535 §6.1)."""

    QR: Final = 0x8000
    OPCODE: Final = 0x7800
    AA: Final = 0x0400
    TC: Final = 0x0200
    RD: Final = 0x0100
    RA: Final = 0x0080
    Z: Final = 0x0040
    AD: Final = 0x0020
    CD: Final = 0x0010
    RCODE: Final = 0x000F


class Opcode:
    """Operation codes."""

    QUERY: Final = 0
    NOTIFY: Final = 4
    UPDATE: Final = 5


class Rcode:
    """Response codes, with the extended ones that need EDNS."""

    NOERROR: Final = 0
    FORMERR: Final = 1
    SERVFAIL: Final = 2
    NXDOMAIN: Final = 3
    NOTIMP: Final = 4
    REFUSED: Final = 5
    YXDOMAIN: Final = 6
    NOTAUTH: Final = 9
    BADVERS: Final = 16
    BADCOOKIE: Final = 23


RCODE_NAMES: Final[dict[int, str]] = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    23: "BADCOOKIE",
}


class Qclass:
    """Classes."""

    IN: Final = 1
    CH: Final = 3
    HS: Final = 4
    NONE: Final = 254
    ANY: Final = 255


class Qtype:
    """Record and query types that the gateway treats by name; all others pass untouched (RFC 3597)."""

    A: Final = 1
    NS: Final = 2
    CNAME: Final = 5
    SOA: Final = 6
    PTR: Final = 12
    HINFO: Final = 13
    MX: Final = 15
    TXT: Final = 16
    SIG: Final = 24
    AAAA: Final = 28
    SRV: Final = 33
    NAPTR: Final = 35
    DNAME: Final = 39
    OPT: Final = 41
    DS: Final = 43
    RRSIG: Final = 46
    NSEC: Final = 47
    DNSKEY: Final = 48
    NSEC3: Final = 50
    SVCB: Final = 64
    HTTPS: Final = 65
    NXNAME: Final = 128
    TKEY: Final = 249
    TSIG: Final = 250
    IXFR: Final = 251
    AXFR: Final = 252
    MAILB: Final = 253
    MAILA: Final = 254
    ANY: Final = 255
    RESINFO: Final = 261


_TYPE_NAMES: Final[dict[int, str]] = {
    1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO", 14:
    "MINFO",
    15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 19: "X25", 20: "ISDN", 21: "RT", 22: "NSAP", 23: "NSAP-PTR", 24: "SIG", 25: "KEY", 26: "PX",
    27: "GPOS", 28: "AAAA", 29: "LOC", 30: "NXT", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 42: "APL", 43: "DS",
    44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53:
    "SMIMEA",
    55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 104: "NID", 105:
    "L32",
    106: "L64", 107: "LP", 108: "EUI48", 109: "EUI64", 128: "NXNAME", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB",
    254: "MAILA",
    255: "ANY", 256: "URI", 257: "CAA", 260: "AMTRELAY", 261: "RESINFO", 32768: "TA", 32769: "DLV",
}  # fmt: skip
_TYPE_NUMBERS: Final = {name: number for number, name in _TYPE_NAMES.items()}


def type_name(qtype: int) -> str:
    """The mnemonic of a type, or its RFC 3597 §5 form such as `TYPE65280`."""
    return _TYPE_NAMES.get(qtype) or f"TYPE{qtype}"


def type_number(name: str) -> int | None:
    """The number of a type given by mnemonic or in the RFC 3597 form, in any case; None when unknown."""
    upper = name.upper()
    number = _TYPE_NUMBERS.get(upper)
    if number is None and upper.startswith("TYPE") and upper[4:].isascii() and upper[4:].isdigit() and len(upper) <= 9:
        number = int(upper[4:])
    return number if number is not None and number <= 65535 else None


class Option:
    """EDNS option codes."""

    LLQ: Final = 1
    NSID: Final = 3
    ECS: Final = 8
    EXPIRE: Final = 9
    COOKIE: Final = 10
    KEEPALIVE: Final = 11
    PADDING: Final = 12
    EDE: Final = 15
    MAC: Final = 65001
    """The client's hardware address as six octets, added by dnsmasq's `add-mac` (local use range)."""
    MAC_TEXT: Final = 65073
    """The same as text or in base64 (`add-mac=text|base64`)."""


class Ede:
    """Extended DNS errors (RFC 8914 §5.2)."""

    OTHER: Final = 0
    FORGED_ANSWER: Final = 4
    STALE: Final = 3
    CACHED_ERROR: Final = 13
    NOT_READY: Final = 14
    BLOCKED: Final = 15
    CENSORED: Final = 16
    FILTERED: Final = 17
    PROHIBITED: Final = 18
    STALE_NXDOMAIN: Final = 19
    NOT_SUPPORTED: Final = 21
    NO_REACHABLE_AUTHORITY: Final = 22
    NETWORK_ERROR: Final = 23
    INVALID_DATA: Final = 24
    SYNTHESIZED: Final = 29
    INVALID_QUERY_TYPE: Final = 30


EDE_NAMES: Final[dict[int, str]] = {
    0: "Other",
    1: "Unsupported DNSKEY Algorithm",
    2: "Unsupported DS Digest Type",
    3: "Stale Answer",
    4: "Forged Answer",
    5: "DNSSEC Indeterminate",
    6: "DNSSEC Bogus",
    7: "Signature Expired",
    8: "Signature Not Yet Valid",
    9: "DNSKEY Missing",
    10: "RRSIGs Missing",
    11: "No Zone Key Bit Set",
    12: "NSEC Missing",
    13: "Cached Error",
    14: "Not Ready",
    15: "Blocked",
    16: "Censored",
    17: "Filtered",
    18: "Prohibited",
    19: "Stale NXDOMAIN Answer",
    20: "Not Authoritative",
    21: "Not Supported",
    22: "No Reachable Authority",
    23: "Network Error",
    24: "Invalid Data",
    25: "Signature Expired before Valid",
    26: "Too Early",
    27: "Unsupported NSEC3 Iterations Value",
    28: "Unable to conform to policy",
    29: "Synthesized",
    30: "Invalid Query Type",
}
