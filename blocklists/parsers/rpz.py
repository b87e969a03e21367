"""Response policy zones in master-file form (RFC 1035 §5, draft-vixie-dnsop-dns-rpz §3-4). `blocklists.parsers.detect` imports it.

QNAME triggers with every action are read; each keeps the match of its owner: `name` itself, `*.name` what is below. Client-IP and
response-IP triggers are read when they are written canonically. NSDNAME and NSIP are counted only: a forwarder never meets a name
server. `$INCLUDE` and `$GENERATE` are refused, because a zone from elsewhere has no business with our files and must not unfold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import chain
from typing import Final, Literal

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from blocklists.normalize import key_of_name
from blocklists.parsers import Action, AddressTrigger, Bucket, Harvest, Match, Options
from blocklists.parsers.lines import MAX_LINE
from blocklists.rejections import Reason
from gateway.errors import InvalidName
from gateway.wire.name import key_from_text, text_of

MAX_RECORDS: Final = 64
"""Records of local data that one name may have."""

_DEFAULT_TTL: Final = 60
_MAX_TTL: Final = 86_400
_MAX_RECORD_LINES: Final = 64
_SIMPLE: Final = re.compile(r"[^\s;()\"\\$]+(?:[ \t]+[^\s;()\"\\]+)*[ \t\r]*").fullmatch
_PLAIN_OWNER: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*").fullmatch
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|;.*|[()]|(?:[^\s;()"\\]|\\.)+|["\\]')
_TTL: Final = re.compile(r"(?:[0-9]{1,10}|(?:[0-9]{1,6}[wdhms])+)", re.I)
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_SPECIAL: Final = {
    "": Action("nxdomain"),
    "rpz-passthru.": Action("passthru"),
    "rpz-drop.": Action("drop"),
    "rpz-tcp-only.": Action("tcp-only"),
}
_UNSEEN: Final = {"rpz-nsdname.": Reason.RPZ_NSDNAME, "rpz-nsip.": Reason.RPZ_NSIP}
_ADDRESSES: Final[dict[str, Literal["client-ip", "response-ip"]]] = {"rpz-client-ip.": "client-ip", "rpz-ip.": "response-ip"}
_NO_POLICY: Final = frozenset(
    {"DNAME", "RRSIG", "SIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "KEY", "DS", "CDS", "CDNSKEY", "DLV", "NS", "SOA", "ZONEMD"}
)
_ROOT: Final = dns.name.root


def parse(lines: Iterable[str], harvest: Harvest, options: Options) -> None:
    """Read a policy zone. Its name is the owner of its SOA record; before one is seen, `options.zone`."""
    reader = _Zone(harvest, options.zone)
    for number, first, tokens in _records(lines, harvest):
        reader.take(number, first, tokens)
    reader.finish()


def _records(lines: Iterable[str], harvest: Harvest) -> Iterator[tuple[int, bool, list[str]]]:
    """Records as (line number, does it begin with an owner, tokens); parentheses join lines."""
    tokens: list[str] = []
    depth = started = 0
    has_owner = False
    for number, line in enumerate(lines, 1):
        if not depth and _SIMPLE(line):
            yield number, True, line.split()
            continue
        if not depth:
            tokens, started, has_owner = [], number, not line[:1].isspace()
        elif number - started > _MAX_RECORD_LINES or sum(map(len, tokens)) > MAX_LINE * 4:
            harvest.reject(Reason.BAD_RECORD, started, " ".join(tokens))
            depth, tokens, started, has_owner = 0, [], number, not line[:1].isspace()
        for token in _TOKEN.findall(line):
            if token[0] == ";":
                break
            if token == "(":
                depth += 1
            elif token == ")":
                depth = max(depth - 1, 0)
            else:
                tokens.append(token)
        if not depth and tokens:
            yield started, has_owner, tokens
    if depth:
        harvest.reject(Reason.BAD_RECORD, started, " ".join(tokens))


_Place = tuple[str, Match] | AddressTrigger


class _Zone:
    """Where in the zone the reader stands, and the local data gathered so far."""

    def __init__(self, harvest: Harvest, zone: str) -> None:
        self.harvest = harvest
        self.zone_key = self.origin_key = key_from_text(zone) if zone else ""
        self.ttl = _DEFAULT_TTL
        self.owner = ""
        self.has_soa = False
        self.actions: dict[_Place, Action] = {}
        self.local: dict[_Place, list[tuple[int, int, str]]] = {}

    def take(self, number: int, has_owner: bool, tokens: list[str]) -> None:
        """Read one record or directive; what cannot be read is counted."""
        try:
            reason = self._directive(tokens) if has_owner and tokens[0].startswith("$") else self._record(has_owner, tokens)
        except (InvalidName, dns.exception.DNSException, UnicodeError, ValueError, IndexError):
            reason = Reason.BAD_RECORD
        if reason is not None:
            self.harvest.reject(reason, number, " ".join(tokens))
        self.harvest.pending = len(self.actions) + len(self.local)

    def finish(self) -> None:
        """Hand the triggers over, names with the same action together."""
        self.harvest.pending = 0
        local = ((place, Action("local", "", tuple(sorted(records)))) for place, records in self.local.items())
        for place, action in chain(self.actions.items(), local):
            if isinstance(place, AddressTrigger):
                self.harvest.addresses[place] = action
            else:
                self.harvest.bucket(Bucket(None, "", place[1], False, action)).append(place[0])
        self.harvest.facts.setdefault("zone", text_of(self.zone_key) if self.zone_key else "")

    def _directive(self, tokens: list[str]) -> Reason | None:
        name = tokens[0].upper()
        if name == "$ORIGIN":
            self.origin_key = self._key(tokens[1])
        elif name == "$TTL":
            self.ttl = _seconds(tokens[1])
        else:
            return Reason.BAD_RECORD
        return None

    def _record(self, has_owner: bool, tokens: list[str]) -> Reason | None:
        if has_owner:
            self.owner = tokens[0]
            tokens = tokens[1:]
        ttl = self.ttl
        while tokens and (tokens[0].upper() in ("IN", "CH", "HS", "ANY") or _TTL.fullmatch(tokens[0])):
            if tokens[0][0].isdigit():
                ttl = _seconds(tokens[0])
            elif tokens[0].upper() != "IN":
                return Reason.BAD_RECORD
            tokens = tokens[1:]
        rtype, rdata = tokens[0].upper(), tokens[1:]
        if rtype == "SOA":
            return self._soa(rdata)
        wildcard = self.owner.startswith("*.") or self.owner == "*"
        owner = self.owner if not wildcard else (self.owner[2:] or "@")
        key = self._key(owner)
        if not key.startswith(self.zone_key):
            return Reason.OUT_OF_ZONE
        trigger = key[len(self.zone_key) :]
        first = trigger[: trigger.find(".") + 1]
        if first in _UNSEEN:
            return _UNSEEN[first]
        if not trigger:
            # the zone's own NS records and the like are no policy; `*` alone would be a policy for every name there is
            return Reason.PUBLIC_SUFFIX if wildcard else None
        if first in _ADDRESSES:
            if wildcard:
                return Reason.BAD_RECORD
            return self._policy(AddressTrigger(_ADDRESSES[first], _network(trigger[len(first) : -1])), ttl, rtype, rdata)
        return self._policy((trigger, Match.BELOW if wildcard else Match.EXACT), ttl, rtype, rdata)

    def _policy(self, place: _Place, ttl: int, rtype: str, rdata: list[str]) -> Reason | None:
        if rtype in _NO_POLICY:
            return Reason.RPZ_ACTION
        if rtype == "CNAME":
            action = self._cname(place, rdata)
            if action is None:
                return Reason.RPZ_ACTION
            if place in self.local or self.actions.get(place, action) != action:
                return Reason.BAD_RECORD
            self.actions[place] = action
            return None
        if place in self.actions:
            return Reason.BAD_RECORD
        value = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), " ".join(rdata), self._origin(), False)
        record = (int(value.rdtype), ttl, value.to_digestable(_ROOT).hex())
        if dns.rdatatype.is_metatype(value.rdtype):
            return Reason.RPZ_ACTION
        records = self.local.setdefault(place, [])
        if len(records) >= MAX_RECORDS:
            return Reason.BAD_RECORD
        if record not in records:
            records.append(record)
        return None

    def _cname(self, place: _Place, rdata: list[str]) -> Action | None:
        """The action that a CNAME target stands for; None for a reserved target nobody defined."""
        if len(rdata) != 1:
            raise ValueError("a CNAME has one target")
        target = rdata[0]
        wildcard = target.startswith("*.")
        if target == "*.":
            return Action("nodata")
        key = "" if target == "." else self._key(target[2:] if wildcard else target)
        if (key.removeprefix(self.zone_key), Match.BELOW if wildcard else Match.EXACT) == place:
            return Action("passthru")  # the form of the first draft: a name that points at itself
        if wildcard:
            return Action("cname", "*." + text_of(key))
        if key in _SPECIAL:
            return _SPECIAL[key]
        if key.startswith("rpz-") and key.count(".") == 1:
            return None
        return Action("cname", text_of(key))

    def _soa(self, rdata: list[str]) -> Reason | None:
        if self.has_soa:
            return Reason.BAD_RECORD
        serial = int(rdata[2])
        if not 0 <= serial < 1 << 32:
            return Reason.BAD_RECORD
        self.zone_key = self._key(self.owner)
        self.has_soa = True
        self.harvest.facts["serial"] = str(serial)
        return None

    def _key(self, name: str) -> str:
        """The key of a name as the zone writes it: relative to the origin unless it ends in a dot."""
        lower = name.lower()
        if _PLAIN_OWNER(lower) and len(lower) < 190:
            return self.origin_key + key_of_name(lower)
        if name == "@":
            return self.origin_key
        key = key_from_text(name)
        absolute = name.endswith(".") and not _escaped_end(name)
        if not absolute and len(self.origin_key) + len(key) > 255:
            raise InvalidName(name, "longer than 255 octets with its origin")
        return "" if name == "." else key if absolute else self.origin_key + key

    def _origin(self) -> dns.name.Name:
        return dns.name.from_text(text_of(self.origin_key)) if self.origin_key else _ROOT


def _network(labels: str) -> str:
    """The network of a trigger's labels, outermost first (`192.0.2.0.24`, `2001.db8.zz.32`). Raises ValueError unless canonical."""
    *words, length = labels.split(".")
    if len(words) == 4 and "zz" not in words:
        text = ".".join(words)
        canonical = str(IPv4Address(text)) == text
    else:
        text = ":".join("" if word == "zz" else word for word in words)
        text = f":{text}" if words[:1] == ["zz"] else text
        text = f"{text}:" if words[-1:] == ["zz"] else text
        canonical = str(IPv6Address(text)).replace("::", ":zz:").strip(":").split(":") == words
    if not canonical or str(int(length)) != length:
        raise ValueError("not in canonical form")
    return str(ip_network(f"{text}/{length}"))


def _escaped_end(name: str) -> bool:
    stripped = name[:-1]
    return (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1


def _seconds(text: str) -> int:
    """A TTL in seconds, `300` or `1h30m`; capped at a day, since policy must be able to change."""
    if not _TTL.fullmatch(text):
        raise ValueError("not a TTL")
    if text.isdigit():
        return min(int(text), _MAX_TTL)
    return min(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([a-z])", text.lower())), _MAX_TTL)
