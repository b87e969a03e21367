"""Names that are answered here and never asked of an upstream: our own, the operator's records, and the special-use names.

Line 1 of the judgement. A route of the operator wins over a special-use name (the caller asks for routes first), our own names win over
everything.
Imported by the pipeline.

RFC 6761 (localhost, invalid, test), 6303 and 7793 (reverse zones of private addresses), 6762 (local), 7686 (onion), 8375 (home.arpa), 9462
(resolver.arpa), 9665 (service.arpa), 9031 (6tisch.arpa), 9140 (eap-noob.arpa), and `internal`, reserved for private use by ICANN. `alt`
(9476) and `ipv4only.arpa` (8880) get no special treatment.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple

import dnslib

from gateway.errors import Mistake, SettingsError
from gateway.policy.model import Local, Reason, Rewrite
from gateway.policy.model import LocalRecord as Record
from gateway.settings import LocalRecord
from gateway.wire.constants import Qtype, Rcode
from gateway.wire.name import key_from_text, key_of, text_of, wire_from_text

SPECIAL_TTL: Final = 3600
OWN_TTL: Final = 60


def _reverse_zones() -> Iterable[str]:
    yield from ("0.in-addr.arpa", "10.in-addr.arpa", "127.in-addr.arpa", "254.169.in-addr.arpa", "168.192.in-addr.arpa")
    yield from ("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa", "255.255.255.255.in-addr.arpa")
    yield from (f"{number}.172.in-addr.arpa" for number in range(16, 32))
    yield from (f"{number}.100.in-addr.arpa" for number in range(64, 128))
    zeros = ".".join("0" * 31)
    yield from (f"0.{zeros}.ip6.arpa", f"1.{zeros}.ip6.arpa", "d.f.ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")
    yield from (f"{digit}.e.f.ip6.arpa" for digit in "89ab")


def _apex(zone: str) -> Local:
    """What an empty zone says at its own name: a SOA and a name server of no consequence (RFC 6303 §3), nothing else."""
    name, times = wire_from_text(zone), (1, SPECIAL_TTL, 1200, 604_800, SPECIAL_TTL)
    soa = name + wire_from_text("nobody.invalid") + b"".join(number.to_bytes(4) for number in times)
    records = (Record(Qtype.SOA, SPECIAL_TTL, soa), Record(Qtype.NS, SPECIAL_TTL, name))
    return Local(records, Reason.SPECIAL_USE, None, Rcode.NOERROR, SPECIAL_TTL)


_EMPTY_ZONES: Final = {
    key_from_text(zone): _apex(zone)
    for zone in (
        "invalid", "test", "onion", "local", "internal", "home.arpa", "service.arpa", "6tisch.arpa", "eap-noob.arpa", *_reverse_zones(),
    )
}  # fmt: skip
_LOCALHOST: Final = "localhost."
_RESOLVER: Final = "arpa.resolver."
_LOOPBACK_NAMES: Final = frozenset({key_from_text("1.0.0.127.in-addr.arpa"), key_from_text(str(ip_address("::1").reverse_pointer))})

_NXDOMAIN: Final = Local((), Reason.SPECIAL_USE, None, Rcode.NXDOMAIN, SPECIAL_TTL)
_LOCALHOST_RECORDS: Final = Local(
    (Record(Qtype.A, SPECIAL_TTL, ip_address("127.0.0.1").packed), Record(Qtype.AAAA, SPECIAL_TTL, ip_address("::1").packed)),
    Reason.SPECIAL_USE,
    None,
    Rcode.NOERROR,
    SPECIAL_TTL,
)
_LOCALHOST_POINTER: Final = Local(
    (Record(Qtype.PTR, SPECIAL_TTL, wire_from_text("localhost")),), Reason.SPECIAL_USE, None, Rcode.NOERROR, SPECIAL_TTL
)


class OwnName(NamedTuple):
    """A name that speaks of the gateway itself. `kind` is `page` (its own name), `health`, `probe` (argument: the nonce), `serial`
    (argument: the list), `resolver` (`resolver.arpa`; argument: what stands below it, as index key) or `unknown`."""

    kind: str
    argument: str = ""


class LocalNames:
    """What is answered here. `name` is the gateway's own name in text; `records` are the operator's."""

    def __init__(self, name: str, records: Iterable[LocalRecord] = ()) -> None:
        self._own = key_from_text(name)
        self._records = _compile(records)
        tops = {"arpa.", "localhost.", "invalid.", "test.", "onion.", "local.", "internal."}
        tops.update(key[: key.index(".") + 1] for key in (self._own, *self._records) if key)
        self.tops = frozenset(tops)

    def may_hold(self, key: str) -> bool:
        """Whether `own`, `record` or `special` could know the name: a quick test of its last label."""
        return key[: key.find(".") + 1] in self.tops

    def own(self, key: str) -> OwnName | None:
        """Our own names, which win over everything."""
        own = self._own
        if not key.startswith(own):
            # Never asked of anybody, whatever the routes say: the answer would speak of another resolver (RFC 9462 §6.1).
            return OwnName("resolver", key[len(_RESOLVER) :]) if key.startswith(_RESOLVER) else None
        rest = key[len(own) :]
        if not rest:
            return OwnName("page")
        if rest == "health.":
            return OwnName("health")
        if rest.startswith("check-") and rest.count(".") == 1:
            return OwnName("probe", rest[6:-1])
        if rest.endswith(".serial."):  # zones are called by names of several labels: serial.rpz.example.<own name>
            return OwnName("serial", text_of(rest[: -len("serial.")]))
        return OwnName("unknown")

    def record(self, key: str, qtype: int) -> Local | Rewrite | None:
        """The operator's records of a name; a CNAME among them stands for every other type."""
        found = self._records.get(key)
        if found is None:
            return None
        alias = next((record for record in found.records if record.rtype == Qtype.CNAME), None)
        if alias is None or qtype == Qtype.CNAME:
            return found
        return Rewrite(text_of(key_of(alias.rdata.lower())), "", (), Reason.OWN_NAME, None, alias.ttl)

    def special(self, key: str) -> Local | None:
        """The special-use names; None for every other one."""
        if key.startswith(_LOCALHOST):
            return _LOCALHOST_RECORDS
        end = key.find(".") + 1
        while end:
            apex = _EMPTY_ZONES.get(key[:end])
            if apex is not None:
                if key in _LOOPBACK_NAMES:
                    return _LOCALHOST_POINTER
                return apex if end == len(key) else _NXDOMAIN
            end = key.find(".", end) + 1
        return None


def _compile(records: Iterable[LocalRecord]) -> dict[str, Local]:
    """Records by key. Raises SettingsError with every record that cannot be written."""
    found: dict[str, list[Record]] = {}
    mistakes: list[Mistake] = []
    for number, record in enumerate(records):
        try:
            rows = dnslib.RR.fromZone(f"{record.name}. {record.ttl} IN {record.type} {record.data}", origin=".")
            row = rows[0]
            buffer = dnslib.DNSBuffer()
            row.rdata.pack(buffer)
            found.setdefault(key_from_text(record.name), []).append(Record(row.rtype, record.ttl, bytes(buffer.data)))
        except Exception as error:  # dnslib raises whatever its parsers raise
            mistakes.append(Mistake(f"records[{number}]", f"cannot be read as a {record.type} record: {error}"))
    if mistakes:
        raise SettingsError(mistakes)
    return {key: Local(tuple(rows), Reason.OWN_NAME, None, Rcode.NOERROR, OWN_TTL) for key, rows in found.items()}
