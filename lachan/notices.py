"""Hearing NOTIFY (RFC 1996) for the zones that are taken from primaries: whose it is, whether it is signed, and the reply.

Workers hand the messages over (`gateway.notices`); nothing else is heard. A notice is believed only from the primary of the zone it names
and, where that primary has a key, only when it is signed by it (RFC 8945). Only `lachan` imports this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig

from blocklists.zonesettings import Primary, RpzSettings
from gateway.notices import MOST_OCTETS, SOCKET, read_notice

LINES = 256
"""Workers that may be connected at once, more than there ever are."""


def key_of(primary: Primary) -> dns.tsig.Key | None:
    """The key of a primary in the form that dnspython takes."""
    key = primary.key
    return None if key is None else dns.tsig.Key(key.name, key.secret, key.algorithm)


class Notices:
    """What is known of the zones, and the judgement on a notice. `on_news` hears the name of a zone that has changed."""

    def __init__(self, on_news: Callable[[str], None]) -> None:
        self._on_news = on_news
        self._zones: dict[dns.name.Name, RpzSettings] = {}

    def know(self, zones: Iterable[RpzSettings]) -> None:
        """Listen for these zones from now on."""
        zones = [zone for zone in zones if zone.primary is not None]
        self._zones = {dns.name.from_text(zone.name): zone for zone in zones}

    def hear(self, wire: bytes, peer: bytes) -> bytes:
        """The reply to one message; empty for silence."""
        try:
            notice = dns.message.from_wire(wire, keyring=self._keys_for(wire))
        except (dns.message.UnknownTSIGKey, dns.tsig.BadKey):
            return _unsigned(wire, dns.rcode.NOTAUTH, dns.rcode.BADKEY)
        except dns.tsig.BadTime:
            return _unsigned(wire, dns.rcode.NOTAUTH, dns.rcode.BADTIME)
        except (dns.tsig.BadSignature, dns.tsig.PeerError):
            return _unsigned(wire, dns.rcode.NOTAUTH, dns.rcode.BADSIG)
        except dns.exception.DNSException:
            return _header(wire, dns.rcode.FORMERR)
        if notice.flags & dns.flags.QR or notice.opcode() != dns.opcode.NOTIFY:
            return b""
        if len(notice.question) != 1 or notice.question[0].rdclass != dns.rdataclass.IN or notice.question[0].rdtype != dns.rdatatype.SOA:
            return _reply(notice, dns.rcode.FORMERR)
        zone = self._zones.get(notice.question[0].name)
        if zone is None or zone.primary is None or ip_address(zone.primary.address.host.partition("%")[0]).packed != peer:
            return _reply(notice, dns.rcode.REFUSED)
        if zone.primary.key is not None and notice.keyname != dns.name.from_text(zone.primary.key.name):
            return _reply(notice, dns.rcode.NOTAUTH)
        self._on_news(zone.name)
        return _reply(notice, dns.rcode.NOERROR)

    def _keys_for(self, wire: bytes) -> dict[dns.name.Name, dns.tsig.Key]:
        """The key that a message about its zone may be signed with; for a zone that nobody knows every key, so that its primary is told so.
        Two primaries may call their keys the same: whose the name is, the zone says."""
        try:
            question = dns.message.from_wire(wire, keyring=False, question_only=True).question
        except dns.exception.DNSException:
            question = []
        zone = self._zones.get(question[0].name) if question else None
        keys = [key_of(one.primary) for one in ([zone] if zone is not None else self._zones.values()) if one.primary is not None]
        return {key.name: key for key in keys if key is not None}


class NoticeServer:
    """The socket on which workers hand notices over."""

    def __init__(self, state_dir: Path, notices: Notices, loop: asyncio.AbstractEventLoop) -> None:
        self._path = state_dir / SOCKET
        self._notices = notices
        self._loop = loop
        self._lines: set[socket.socket] = set()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def open(self) -> None:
        """Begin to listen. Raises OSError."""
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._listening.setblocking(False)
        self._listening.bind(str(self._path))
        self._path.chmod(0o600)
        self._listening.listen(16)
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def close(self) -> None:
        """Hang up and listen no more."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for line in list(self._lines):
            self._hang_up(line)
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            line, _ = self._listening.accept()
            line.setblocking(False)
            if len(self._lines) >= LINES:
                line.close()
                return
            self._lines.add(line)
            self._loop.add_reader(line.fileno(), self._serve, line)

    def _serve(self, line: socket.socket) -> None:
        try:
            packet = line.recv(MOST_OCTETS + 32)
            number, peer, message = read_notice(packet)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._hang_up(line)
            return
        with contextlib.suppress(OSError):
            line.send(number.to_bytes(4) + self._notices.hear(message, peer))

    def _hang_up(self, line: socket.socket) -> None:
        self._loop.remove_reader(line.fileno())
        self._lines.discard(line)
        line.close()


def _reply(notice: dns.message.Message, rcode: dns.rcode.Rcode) -> bytes:
    """A reply, signed where the notice was."""
    reply = dns.message.make_response(notice)
    reply.flags = (reply.flags | dns.flags.AA) & ~dns.flags.RA
    reply.set_rcode(rcode)
    return reply.to_wire()


def _header(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A reply to a message that could not be read."""
    return wire[:2] + bytes((0x80 | (wire[2] & 0x79), rcode)) + bytes(8)


def _unsigned(wire: bytes, rcode: dns.rcode.Rcode, error: dns.rcode.Rcode) -> bytes:
    """A reply that says what is wrong with the signature, without one of its own (RFC 8945 §5.2)."""
    try:
        notice = dns.message.from_wire(wire, keyring=False, question_only=False, ignore_trailing=True, continue_on_error=True)
    except dns.exception.DNSException:
        return _header(wire, rcode)
    reply = dns.message.make_response(notice)
    reply.set_rcode(rcode)
    sent = notice.tsig
    text = _header(wire, rcode)
    if sent is None:
        return text
    rdata = dns.rdtypes.ANY.TSIG.TSIG(  # type: ignore[no-untyped-call]  # dnspython gives it no types
        dns.rdataclass.ANY, dns.rdatatype.TSIG, sent[0].algorithm, sent[0].time_signed, sent[0].fudge, b"", notice.id, error, b""
    )
    reply.additional.append(dns.rrset.from_rdata(sent.name, 0, rdata))
    return reply.to_wire()
