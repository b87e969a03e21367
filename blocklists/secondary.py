"""A secondary of our own: bring a policy zone into a file, for resolvers that read files instead of transferring (Knot Resolver).

IXFR from the copy that is there, else AXFR (RFC 1995, RFC 5936), signed by TSIG (RFC 8945) where a key is given. The file is replaced whole
or not at all; a transfer that fails, is cut, is signed wrongly or goes back leaves it alone. Imported by `lachan` and the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone

from gateway.errors import LachanError
from gateway.release import replace_file
from gateway.settings import Endpoint

SECONDS = 60.0
_KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{([^}]*)\}')
_FIELD = re.compile(r'(algorithm|secret)\s+"?([^";\s]+)"?\s*;')


class PullError(LachanError):
    """A zone that was not taken; the file stays as it was. One sentence with the remedy where there is one."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The file after a pull: the zone's serial, its policy records, and whether the file was written."""

    serial: int
    records: int
    changed: bool


def read_key(path: Path) -> dns.tsig.Key:
    """The first key of a file in the form that `tsig-keygen` writes and BIND includes. Raises PullError; the secret is never in it."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise PullError(f"{path}: the key cannot be read ({type(error).__name__})") from None
    found = _KEY.search(text)
    fields = dict(_FIELD.findall(found[2])) if found else {}
    if found is None or fields.keys() != {"algorithm", "secret"}:
        raise PullError(f"{path}: there is no key in it: write one with tsig-keygen NAME > {path.name}")
    try:
        key = dns.tsig.Key(found[1], fields["secret"], fields["algorithm"])
    except (ValueError, dns.exception.DNSException):
        raise PullError(f"{path}: the key '{found[1]}' cannot be used: write one with tsig-keygen {found[1]}") from None
    if key.algorithm not in dns.tsig.mac_sizes:
        raise PullError(f"{path}: the algorithm '{fields['algorithm']}' is not known: hmac-sha256 is")
    return key


def pull(source: Endpoint, name: str, target: Path, key: dns.tsig.Key | None = None, seconds: float = SECONDS) -> Copy:
    """Bring the file up to date with the primary; at most `seconds` for all of it. Raises PullError, and the file stays."""
    try:
        origin = dns.name.from_text(name)
    except dns.exception.DNSException:
        raise PullError(f"not a zone name: {name[:255]}") from None
    zone = _read(target, origin)
    before = _serial(zone)
    try:
        query, _ = dns.xfr.make_query(zone, keyring=key)
        dns.query.inbound_xfr(source.host, zone, query, source.port, min(seconds, 10.0), seconds, udp_mode=dns.query.UDPMode.NEVER)
    except dns.xfr.SerialWentBackwards:
        raise PullError(f"{source} has an older serial than {before} in {target}: remove the file to go back") from None
    except dns.xfr.TransferError as error:
        raise PullError(f"{source} refuses the zone {name}: {error}") from None
    except (dns.exception.DNSException, OSError, EOFError, ValueError, KeyError) as error:
        raise PullError(f"the transfer of {name} from {source} failed: {type(error).__name__}: {error}".rstrip(": ")) from None
    serial = _serial(zone)
    if serial is None:
        raise PullError(f"{source} sent no zone for {name}")
    records = sum(node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME) is not None for node in zone.nodes.values())
    changed = serial != before
    if changed:
        _write(target, zone)
    return Copy(serial, records, changed)


def _read(target: Path, origin: dns.name.Name) -> dns.zone.Zone:
    """The copy in the file, an empty zone when there is none or it cannot be used; then the whole zone is asked for."""
    if target.is_file():
        try:
            return dns.zone.from_file(str(target), origin, relativize=False, check_origin=True)
        except (dns.exception.DNSException, OSError, ValueError):
            pass
    return dns.zone.Zone(origin, relativize=False)


def _serial(zone: dns.zone.Zone) -> int | None:
    try:
        return int(zone.get_soa().serial)
    except (dns.zone.NoSOA, KeyError):
        return None


def _write(target: Path, zone: dns.zone.Zone) -> None:
    """The SOA first, as readers of zone files expect, so that its line changes with every serial."""
    assert zone.origin is not None
    apex = zone.find_node(zone.origin)
    apex.rdatasets = sorted(apex.rdatasets, key=lambda rdataset: rdataset.rdtype != dns.rdatatype.SOA)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, zone.to_text(sorted=True, relativize=False).encode())
    except OSError as error:
        raise PullError(f"{target} cannot be written ({error.strerror})") from None
