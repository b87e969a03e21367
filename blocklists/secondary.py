"""A secondary of our own: bring a policy zone into a file, for the lists of this gateway or for resolvers that read files (Knot Resolver).

IXFR from the copy that is there, else AXFR (RFC 1995, RFC 5936), signed by TSIG (RFC 8945) where a key is given, over TCP or TLS (RFC 9103,
strict: a name or a pin). The file is replaced whole or not at all; a transfer that fails, is cut, is signed wrongly, is too large or goes
back leaves it alone. Imported by `lachan` and the tests.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Self

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.serial
import dns.transaction
import dns.tsig
import dns.xfr
import dns.zone

from blocklists.zonesettings import TlsPrimary
from gateway.errors import LachanError
from gateway.release import replacing
from gateway.settings import Endpoint
from gateway.upstreams.tls import is_pinned

SECONDS = 60.0
MESSAGE_SECONDS = 10.0
MAX_BYTES = 64 * 1024 * 1024
MAX_RECORDS = 2_000_000
"""A whole zone goes from the line to the file record by record, so its size is no matter of memory."""
MOST_HELD = 100_000
"""Records of a zone that is changed by differences: it is in memory meanwhile, about 100 MB, given back with the process. A zone whose copy
is larger is taken whole each time."""
MOST_HELD_BYTES = 8 * 1024 * 1024
_KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{([^}]*)\}')
_FIELD = re.compile(r'(algorithm|secret)\s+"?([^";\s]+)"?\s*;')
_SOA = re.compile(r"\S+ (?:[0-9]+ )?IN SOA \S+ \S+ ([0-9]{1,10})((?: [0-9]{1,10}){4})\s*")
_WHOLE_INSTEAD = (dns.rcode.NOTIMP, dns.rcode.FORMERR, dns.rcode.SERVFAIL)


class PullError(LachanError):
    """A zone that was not taken; the file stays as it was. One sentence with the remedy where there is one; `code` is one of
    `gateway.zones.CODES`."""

    def __init__(self, message: str, code: str = "shape") -> None:
        super().__init__(message)
        self.code = code


class _TryWholeError(Exception):
    """The differences cannot be had, do not fit or are too many: the whole zone is asked for instead."""


class _NothingNewError(Exception):
    """The whole zone is what is in the file."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The file after a pull: the zone's serial, its policy records (-1: not counted, nothing is new), whether the file was written, and
    the times of its SOA record in seconds."""

    serial: int
    records: int
    changed: bool
    refresh: int = 0
    retry: int = 0
    expire: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one transfer may take: seconds for all of it, octets and records of all its messages."""

    seconds: float = SECONDS
    max_bytes: int = MAX_BYTES
    max_records: int = MAX_RECORDS


def read_key(path: Path) -> dns.tsig.Key:
    """The first key of a file in the form that `tsig-keygen` writes and BIND includes. Raises PullError; the secret is never in it."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise PullError(f"{path}: the key cannot be read ({type(error).__name__})", "key") from None
    found = _KEY.search(text)
    fields = dict(_FIELD.findall(found[2])) if found else {}
    if found is None or fields.keys() != {"algorithm", "secret"}:
        raise PullError(f"{path}: there is no key in it: write one with tsig-keygen NAME > {path.name}", "key")
    try:
        key = dns.tsig.Key(found[1], fields["secret"], fields["algorithm"])
    except (ValueError, dns.exception.DNSException):
        raise PullError(f"{path}: the key '{found[1]}' cannot be used: write one with tsig-keygen {found[1]}", "key") from None
    if key.algorithm not in dns.tsig.mac_sizes:
        raise PullError(f"{path}: the algorithm '{fields['algorithm']}' is not known: hmac-sha256 is", "key")
    return key


def pull(
    source: Endpoint, name: str, target: Path, key: dns.tsig.Key | None = None, bounds: Bounds = Bounds(), tls: TlsPrimary | None = None
) -> Copy:
    """Bring the file up to date with the primary. Raises PullError, and the file stays."""
    try:
        origin = dns.name.from_text(name)
    except dns.exception.DNSException:
        raise PullError(f"not a zone name: {name[:255]}") from None
    transfer = _Transfer(source, origin, target, key, bounds, tls)
    known = soa_of_copy(target)
    try:
        if known is not None and target.stat().st_size > MOST_HELD_BYTES:
            if transfer.serial() == known.serial:
                return known
        elif known is not None:
            try:
                return transfer.run(known)
            except _TryWholeError:
                pass
        return transfer.run(None, known)
    except _NothingNewError:
        assert known is not None
        return known
    except dns.xfr.SerialWentBackwards:
        raise PullError(
            f"{source} has an older serial than {known and known.serial} in {target}: remove the file to go back", "backwards"
        ) from None
    except dns.xfr.TransferError as error:
        raise PullError(f"{source} refuses the zone {name}: {error}", "refused") from None
    except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadTime, dns.message.UnknownTSIGKey) as error:
        hint = (
            ": compare the clocks" if isinstance(error, dns.tsig.BadTime | dns.tsig.PeerBadTime) else ": compare name, algorithm and secret"
        )
        raise PullError(f"{source} and this gateway do not agree on the key for {name} ({type(error).__name__}){hint}", "key") from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
        raise PullError(f"no TLS with {source} for {name}: {reason}", "tls") from None
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PullError(
            f"the transfer of {name} from {source} failed: {what}", "unreachable" if not transfer.has_begun else "cut"
        ) from None
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        raise PullError(f"the transfer of {name} from {source} failed: {type(error).__name__}: {error}".rstrip(": ")) from None


def soa_of_copy(target: Path) -> Copy | None:
    """Serial and times of the zone in the file, from its first line; None when there is none that we wrote."""
    try:
        with target.open("rb") as file:
            found = _SOA.fullmatch(file.readline(1024).decode("ascii"))
    except (OSError, ValueError):
        return None
    if found is None:
        return None
    refresh, retry, expire, _ = map(int, found[2].split())
    return Copy(int(found[1]), -1, False, refresh, retry, expire)


class _Transfer:
    """One transfer, over one connection or, when differences do not help, two."""

    def __init__(
        self, source: Endpoint, origin: dns.name.Name, target: Path, key: dns.tsig.Key | None, bounds: Bounds, tls: TlsPrimary | None
    ) -> None:
        self.source = source
        self.origin = origin
        self.target = target
        self.key = key
        self.tls = tls
        self.has_begun = False
        self._deadline = time.monotonic() + bounds.seconds
        self._left = bounds.max_bytes
        self._records_left = bounds.max_records
        self._bounds = bounds

    def run(self, known: Copy | None, before: Copy | None = None) -> Copy:
        """Take the differences from the known copy, or the whole zone, which must not be older than the copy before."""
        kind = dns.rdatatype.AXFR if known is None else dns.rdatatype.IXFR
        query = self._query(kind)
        self._records_left = self._bounds.max_records if known is None else min(MOST_HELD, self._bounds.max_records)
        if known is not None:
            query.authority.append(dns.rrset.from_text(self.origin, 0, "IN", "SOA", f". . {known.serial} 0 0 0 0"))
        try:
            with contextlib.closing(self._connect()) as connection:
                self._send(connection, query)
                return self._receive(connection, query, known, before)
        except dns.xfr.TransferError as error:
            if known is not None and error.rcode in _WHOLE_INSTEAD:
                raise _TryWholeError from None
            raise

    def serial(self) -> int | None:
        """Where the primary's zone stands; None when it does not say."""
        query = self._query(dns.rdatatype.SOA)
        with contextlib.closing(self._connect()) as connection:
            self._send(connection, query)
            reply = self._message(connection, query, None)
        self._check_signed(query, reply)
        return _only_soa(reply, self.origin)

    def _query(self, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        query = dns.message.make_query(self.origin, kind)
        if self.key is not None:
            query.use_tsig(self.key)
        return query

    def _send(self, connection: socket.socket, query: dns.message.Message) -> None:
        wire = query.to_wire()
        connection.sendall(len(wire).to_bytes(2) + wire)

    def _receive(self, connection: socket.socket, query: dns.message.Message, known: Copy | None, before: Copy | None) -> Copy:
        reply = self._message(connection, query, None)
        self._check_signed(query, reply)
        if known is not None and (only := _only_soa(reply, self.origin)) is not None and only == known.serial:
            return known
        if known is not None:
            zone = self._read_copy()
            self._take(connection, query, reply, zone, known.serial)
            copy = _described(zone)
            if copy is None:
                raise PullError(f"{self.source} sent no zone for {self.origin}")
            with self._writing() as file:
                file.write(_text(zone))
            return copy
        with self._writing() as file:
            sheet = _Sheet(self.origin, file)
            copy = sheet.begin(reply)
            if copy is None:
                self._take(connection, query, reply, sheet, None)  # says what is wrong with it
                raise PullError(f"{self.source} sent no zone for {self.origin}")
            if before is not None and dns.serial.Serial(copy.serial) < before.serial:
                raise dns.xfr.SerialWentBackwards
            self._take(connection, query, reply, sheet, None)
            if before is not None and copy.serial == before.serial and sheet.sum == _sum(self.target):
                raise _NothingNewError
        return replace(copy, records=sheet.records)

    def _take(
        self, connection: socket.socket, query: dns.message.Message, reply: dns.message.Message, into: Any, serial: int | None
    ) -> None:
        """Every message of the transfer, the first of which is here already. `into` is a zone or a `_Sheet`."""
        with dns.xfr.Inbound(into, query.question[0].rdtype, serial) as inbound:
            try:
                while not inbound.process_message(reply):
                    reply = self._message(connection, query, reply.tsig_ctx)
            except (dns.exception.FormError, dns.transaction.DeleteNotExact, KeyError):
                if serial is not None:
                    raise _TryWholeError from None
                raise
        self._check_signed(query, reply)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[BinaryIO]:
        """The file in place of the copy, for when all of it is there."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.target, mode=0o644) as file:  # other resolvers read it
                yield file
        except OSError as error:
            if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
                raise  # the line's, not the disk's
            raise PullError(f"{self.target} cannot be written ({error.strerror})", "disk") from None

    def _check_signed(self, query: dns.message.Message, reply: dns.message.Message) -> None:
        """The first and the last message must be signed (RFC 8945 §5.3.1); dnspython checks it itself only since 2.9.2.

        A refusal may come without: it changes nothing.
        """
        if query.mac and not reply.had_tsig and reply.rcode() == dns.rcode.NOERROR:
            raise PullError(f"{self.source} sent {self.origin} not signed, though a key is set for it", "key")

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self.source.host, self.source.port), self._wait())
        if self.tls is None:
            return plain
        context = ssl.create_default_context(cafile=str(self.tls.authorities) if self.tls.authorities is not None else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # RFC 9103 §5
        context.set_alpn_protocols(["dot"])
        if self.tls.pin:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            connection = context.wrap_socket(plain, server_hostname=self.tls.name or None)
        except BaseException:
            plain.close()
            raise
        if self.tls.pin and not is_pinned(connection, self.tls.pin):
            connection.close()
            raise PullError(f"{self.source} shows another key than the pinned one: ask its operator for the new pin", "tls")
        return connection

    def _message(
        self, connection: socket.socket, query: dns.message.Message, context: dns.tsig.HMACTSig | dns.tsig.GSSTSig | None
    ) -> dns.message.Message:
        """The next message of the transfer, within the bounds, its signature checked."""
        wire = self._read(connection, int.from_bytes(self._read(connection, 2)))
        reply = dns.message.from_wire(
            wire,
            keyring=query.keyring,
            request_mac=query.mac,
            xfr=True,
            tsig_ctx=context,
            multi=True,
            one_rr_per_rrset=query.question[0].rdtype == dns.rdatatype.IXFR,
        )
        self._records_left -= len(reply.answer)
        if self._records_left < 0:
            if query.question[0].rdtype == dns.rdatatype.IXFR:
                raise _TryWholeError
            most = self._bounds.max_records
            raise PullError(
                f"the zone {self.origin} from {self.source} has more than {most} records: raise lists_fetch.max_records", "size"
            )
        if reply.id != query.id or (reply.question and not query.is_response(reply)):
            raise ValueError("the reply belongs to another question")
        return reply

    def _read(self, connection: socket.socket, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            most = self._bounds.max_bytes
            raise PullError(f"the zone {self.origin} from {self.source} is larger than {most} octets: raise lists_fetch.max_bytes", "size")
        found = bytearray()
        while len(found) < size:
            connection.settimeout(self._wait())
            part = connection.recv(size - len(found))
            if not part:
                raise EOFError("the connection ended in the middle")
            self.has_begun = True
            found += part
        return bytes(found)

    def _wait(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return min(left, MESSAGE_SECONDS)

    def _read_copy(self) -> dns.zone.Zone:
        """The zone in the file, to which differences are applied."""
        try:
            return dns.zone.from_file(str(self.target), self.origin, relativize=False, check_origin=True)
        except (dns.exception.DNSException, OSError, ValueError, KeyError):
            raise _TryWholeError from None


class _Sheet:
    """A zone on its way to a file, as far as `dns.xfr.Inbound` needs a zone: each record is a line as it comes, none is kept.

    `sum` is equal for equal records in whatever order; `records` counts policy records.
    """

    def __init__(self, origin: dns.name.Name, file: BinaryIO) -> None:
        self.sum = 0
        self.records = 0
        self._origin = origin
        self._file = file

    def begin(self, reply: dns.message.Message) -> Copy | None:
        """Write the SOA first, as readers of zone files expect; None when the message does not begin with one."""
        first = reply.answer[0] if reply.rcode() == dns.rcode.NOERROR and reply.answer else None
        if first is None or first.rdtype != dns.rdatatype.SOA or first.name != self._origin:
            return None
        self.add(first.name, first)
        return _times(first[0])

    def add(self, name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> None:
        """One more."""
        text = rdataset.to_text(name, relativize=False).encode()
        for line in text.splitlines():
            self.sum = (self.sum + _weight(line)) & _ALL
        self.records += rdataset.rdtype == dns.rdatatype.CNAME
        self._file.write(text + b"\n")

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        """Names are absolute."""
        return self._origin, False, self._origin

    def writer(self, replacement: bool = False) -> Self:
        """There is one."""
        return self

    def replace(self, name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> None:
        """The SOA at the end is the one at the beginning."""

    def commit(self) -> None:
        """The file takes its name later."""

    def rollback(self) -> None:
        """The file is thrown away."""


_ALL = (1 << 128) - 1


def _weight(line: bytes) -> int:
    return int.from_bytes(blake2b(line, digest_size=16).digest())


def _sum(path: Path) -> int:
    """The sum of the records in a file that we wrote."""
    try:
        with path.open("rb") as file:
            return sum(_weight(line.rstrip(b"\n")) for line in file) & _ALL
    except OSError:
        return -1


def _only_soa(reply: dns.message.Message, origin: dns.name.Name) -> int | None:
    """The serial of a reply that says nothing but where the zone stands."""
    if reply.rcode() != dns.rcode.NOERROR or len(reply.answer) != 1:
        return None
    only = reply.answer[0]
    return int(only[0].serial) if only.rdtype == dns.rdatatype.SOA and only.name == origin else None


def _described(zone: dns.zone.Zone) -> Copy | None:
    try:
        soa = zone.get_soa()
    except (dns.zone.NoSOA, KeyError):
        return None
    records = sum(node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME) is not None for node in zone.nodes.values())
    return replace(_times(soa), records=records)


def _times(soa: Any) -> Copy:  # Any: a SOA of dnspython
    return Copy(int(soa.serial), 0, True, int(soa.refresh), int(soa.retry), int(soa.expire))


def _text(zone: dns.zone.Zone) -> bytes:
    """The SOA first, as readers of zone files expect, so that its line changes with every serial."""
    assert zone.origin is not None
    apex = zone.find_node(zone.origin)
    apex.rdatasets = sorted(apex.rdatasets, key=lambda rdataset: rdataset.rdtype != dns.rdatatype.SOA)
    return bytes(zone.to_text(sorted=True, relativize=False).encode())
