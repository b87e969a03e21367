"""Which notices are believed, and what a primary is told about the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest

from blocklists.transferkeys import TransferKey
from blocklists.zonesettings import Primary, RpzSettings
from gateway.notices import SOCKET, pack_notice
from gateway.settings import Endpoint
from lachan.notices import Notices, NoticeServer, key_of

SECRET = b"secret of twenty-four!!!"
PEER, OTHER = bytes((192, 0, 2, 53)), bytes((192, 0, 2, 54))
SIGNED = RpzSettings("signed.rpz", Path("a"), primary=Primary(Endpoint("192.0.2.53", 53), TransferKey("k", "hmac-sha256", SECRET)))
PLAIN = RpzSettings("plain.rpz", Path("b"), primary=Primary(Endpoint("192.0.2.53", 53)))
KEY = dns.tsig.Key("k", SECRET, "hmac-sha256")


def notice(zone: str, key: dns.tsig.Key | None = None, opcode: int = dns.opcode.NOTIFY, qtype: str = "SOA") -> bytes:
    """What a primary sends."""
    message = dns.message.make_query(zone, qtype)
    message.set_opcode(dns.opcode.Opcode(opcode))
    if key is not None:
        message.use_tsig(key)
    return message.to_wire()


def heard() -> tuple[Notices, list[str]]:
    """Both zones known, and the names that were heard."""
    names: list[str] = []
    notices = Notices(names.append)
    notices.know([SIGNED, PLAIN, RpzSettings("file.rpz", Path("c"))])
    return notices, names


@pytest.mark.parametrize(
    ("make", "peer", "rcode", "news"),
    [
        (lambda: notice("signed.rpz", KEY), PEER, dns.rcode.NOERROR, ["signed.rpz"]),
        (lambda: notice("PLAIN.rpz"), PEER, dns.rcode.NOERROR, ["plain.rpz"]),
        (lambda: notice("signed.rpz"), PEER, dns.rcode.NOTAUTH, []),
        (lambda: notice("signed.rpz", KEY), OTHER, dns.rcode.REFUSED, []),
        (lambda: notice("other.rpz"), PEER, dns.rcode.REFUSED, []),
        (lambda: notice("file.rpz"), PEER, dns.rcode.REFUSED, []),
        (lambda: notice("plain.rpz", qtype="A"), PEER, dns.rcode.FORMERR, []),
        (lambda: notice("plain.rpz")[:-3], PEER, dns.rcode.FORMERR, []),
        (lambda: notice("signed.rpz", dns.tsig.Key("k", b"another secret altogether", "hmac-sha256")), PEER, dns.rcode.NOTAUTH, []),
        (lambda: notice("signed.rpz", dns.tsig.Key("unknown", SECRET, "hmac-sha256")), PEER, dns.rcode.NOTAUTH, []),
    ],
    ids=["signed", "plain", "unsigned", "stranger", "other zone", "zone of a file", "other type", "cut", "wrong key", "unknown key"],
)
def test_notice_is_believed_only_from_its_primary_and_signed(make: Callable[[], bytes], peer: bytes, rcode: int, news: list[str]) -> None:
    """The reply has the notice's id, operation and AA; nothing else makes a zone be asked for."""
    notices, names = heard()
    wire = make()  # signed now: a signature holds five minutes
    reply = notices.hear(wire, peer)
    assert (reply[:2], reply[2] & 0xF8, reply[3] & 0x0F, names) == (wire[:2], 0xA0, rcode, news)


def test_wrong_signature_is_answered_with_its_error_and_no_signature() -> None:
    """RFC 8945 §5.2: the TSIG record of the reply names the key and the error, its MAC is empty."""
    notices, _ = heard()
    for key, error in (
        (dns.tsig.Key("k", b"another secret altogether", "hmac-sha256"), dns.rcode.BADSIG),
        (dns.tsig.Key("unknown", SECRET, "hmac-sha256"), dns.rcode.BADKEY),
    ):
        reply = dns.message.from_wire(notices.hear(notice("signed.rpz", key), PEER), keyring=False)  # type: ignore[arg-type]
        assert reply.tsig is not None
        assert (reply.tsig.name, reply.tsig[0].error, reply.tsig[0].mac) == (key.name, error, b"")


def test_two_primaries_may_call_their_keys_the_same() -> None:
    """Each zone's notice is judged with its own primary's secret, whichever zone stands first; the other secret is none."""
    names: list[str] = []
    other = TransferKey("k", "hmac-sha256", b"another secret altogether")
    second = RpzSettings("second.rpz", Path("d"), primary=Primary(Endpoint("192.0.2.54", 53), other))
    theirs = dns.tsig.Key("k", b"another secret altogether", "hmac-sha256")
    for zones in ([SIGNED, second], [second, SIGNED]):
        notices = Notices(names.append)
        notices.know(zones)
        assert notices.hear(notice("signed.rpz", KEY), PEER)[3] & 0x0F == dns.rcode.NOERROR
        assert notices.hear(notice("second.rpz", theirs), OTHER)[3] & 0x0F == dns.rcode.NOERROR
        assert names == ["signed.rpz", "second.rpz"]
        assert notices.hear(notice("signed.rpz", theirs), PEER)[3] & 0x0F == dns.rcode.NOTAUTH
        assert notices.hear(notice("second.rpz", KEY), OTHER)[3] & 0x0F == dns.rcode.NOTAUTH
        names.clear()


def test_response_and_other_operation_meet_silence() -> None:
    """No loop of answers to answers."""
    notices, names = heard()
    wire = bytearray(notice("plain.rpz"))
    wire[2] |= 0x80
    assert notices.hear(bytes(wire), PEER) == notices.hear(notice("plain.rpz", opcode=dns.opcode.STATUS), PEER) == b""
    assert names == [] and key_of(Primary(Endpoint("192.0.2.53", 53))) is None


async def test_worker_hands_over_and_gets_the_reply(tmp_path: Path) -> None:
    """Over the socket, which only the gateway's own account may open; a broken packet ends only its own line."""
    notices, names = heard()
    server = NoticeServer(tmp_path, notices, asyncio.get_running_loop())
    server.open()
    assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
    broken, worker = (socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    with broken, worker:
        for line in (broken, worker):
            line.connect(str(tmp_path / SOCKET))
            line.setblocking(False)
        broken.send(b"nonsense")
        worker.send(pack_notice(7, PEER, notice("plain.rpz")))
        reply = await asyncio.get_running_loop().sock_recv(worker, 4096)
        assert (int.from_bytes(reply[:4]), reply[7] & 0x0F, names) == (7, 0, ["plain.rpz"])
        assert await asyncio.get_running_loop().sock_recv(broken, 10) == b""
    server.close()
    assert not (tmp_path / SOCKET).exists()
