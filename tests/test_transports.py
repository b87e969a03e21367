"""One table of behaviour over every transport: UDP, TCP, DoT, DoH by HTTP/2 and HTTP/1.1, and DoQ say the same, with the same reasons.

dnspython judges the replies; dig, kdig and curl ask the same where they are installed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import httpx
import pytest

from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.scripts import Asked, Script, reply_to, wire
from tests.support.upstream import ScriptedUpstream

NAME = "dns.example"
TOKEN, ADULT_TOKEN = "k3j9abcdefgh", "m2p8abcdefgh"
GOOGLE = "216.239.38.120"
TRANSPORTS = ("udp", "tcp", "dot", "doh2", "doh1", "doq")
ENCRYPTED = ("dot", "doh2", "doh1", "doq")
RECORDS = {
    ("open.example", "A"): ["198.51.100.20"],
    ("open.example", "AAAA"): ["2001:db8::20"],
    ("open.example", "TYPE65280"): [r"\# 3 010203"],
    ("facebook.com", "A"): ["198.51.100.10"],
    ("www.google.com", "A"): ["198.51.100.40"],
    ("forcesafesearch.google.com", "A"): [GOOGLE],
    ("ordered.example", "A"): ["198.51.100.60"],
    ("large.example", "TXT"): [f'"{number:03d}{"x" * 200}"' for number in range(20)],
}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
doh: {listen: ["127.0.0.1:0"]}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.5s}
metrics: {listen: "127.0.0.1:{metrics}"}
takedown: {file: orders.yaml}
profiles:
  - {id: be-9-tuoi, band: TH, deny: [denied.example], uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [127.0.0.1, "token:k3j9abcdefgh"]}
  - {id: may-me, profile: nguoi-lon, match: [127.0.0.2, "token:m2p8abcdefgh"]}
"""
ORDERS = """
- number: 12/QĐ-STTTT
  issuer: Sở Thông tin và Truyền thông
  issued_on: 2020-01-02
  basis: ["Nghị định 147/2024/NĐ-CP"]
  scope: {bands: [MN, TH, CS, PT, NL, KH]}
  from: 2020-01-03T00:00+07:00
  no_end: true
  items: [{name: ordered.example}]
"""


class Upstream(ScriptedUpstream):
    """A resolver that fails for one name."""

    def handle(self, asked: Asked) -> Script:
        """SERVFAIL for `broken.example`."""
        if asked.qname.lower() == "broken.example":
            return wire(reply_to(asked, rcode="SERVFAIL"))
        return super().handle(asked)


@dataclass
class Front:
    """The running gateway by every way in."""

    gateway: Gateway
    context: ssl.SSLContext
    authority: Path
    ports: dict[str, int]
    upstream: RunningUpstream
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    def exchange(self, transport: str, message: bytes, token: str = "") -> bytes:
        """The octets that come back for these octets."""
        if transport in ("doh2", "doh1"):
            response = self.http(transport).post(
                f"https://127.0.0.1:{self.ports['doh']}/dns-query" + (f"/{token}" if token else ""),
                content=message,
                headers={"content-type": "application/dns-message"},
            )
            assert response.status_code == 200, response.status_code
            assert response.http_version == ("HTTP/2" if transport == "doh2" else "HTTP/1.1")
            return response.content
        port = self.ports[transport]
        if transport == "doq":
            # RFC 9250 §4.2.1: the id is 0 on the way.
            reply = quicclient.exchange(port, self.authority, b"\0\0" + message[2:], f"{token}.{NAME}" if token else NAME)
            assert reply is not None and reply[:2] == b"\0\0"
            return message[:2] + reply[2:]
        if transport == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.sendto(message, ("127.0.0.1", port))
                return sock.recv(65535)
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            if transport == "dot":
                name = f"{token}.{NAME}" if token else NAME
                stream = stack.enter_context(self.context.wrap_socket(stream, server_hostname=name))
            stream.sendall(len(message).to_bytes(2, "big") + message)
            whole = b""
            while len(whole) < 2 or len(whole) < 2 + int.from_bytes(whole[:2], "big"):
                part = stream.recv(65535)
                assert part, "closed without a reply"
                whole += part
            return whole[2:]

    def http(self, transport: str) -> httpx.Client:
        """A browser's client for one version of HTTP, connected by address."""
        if transport not in self._clients:
            is_h2 = transport == "doh2"
            self._clients[transport] = httpx.Client(http2=is_h2, http1=not is_h2, verify=self.context, trust_env=False, timeout=5)
        return self._clients[transport]

    def ask(self, transport: str, name: str, qtype: str = "A", token: str = "", **options: Any) -> dns.message.Message:
        """The reply to a well-formed question."""
        query = dns.message.make_query(name, qtype, **{"use_edns": 0, "payload": 1232, **options})
        reply = dns.message.from_wire(self.exchange(transport, query.to_wire(), token))
        assert reply.id == query.id
        assert reply.question[0].name.to_text() == query.question[0].name.to_text(), "letter case is echoed"
        return reply

    def close(self) -> None:
        """End the connections."""
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One gateway with every listener."""
    folder = tmp_path_factory.mktemp("transports")
    (folder / "orders.yaml").write_text(ORDERS, encoding="utf-8")
    authority = Authority(folder)
    made = authority.vouch(NAME, f"*.{NAME}", "127.0.0.1")
    fields = {"certificate": made.certificate, "key": made.key}
    with RunningUpstream(upstream=Upstream(RECORDS)) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, **fields) as gateway:
        ports = {row["transport"]: int(row["address"].rpartition(":")[2]) for row in gateway.status()["listen"]}
        running = Front(gateway, ssl.create_default_context(cafile=str(authority.file)), authority.file, ports, upstream)
        yield running
        running.close()


@dataclass(frozen=True)
class Row:
    """One behaviour: what is asked and what must come back whatever the transport."""

    name: str
    qtype: str = "A"
    rcode: str = "NOERROR"
    answers: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    has_soa: bool = False


TABLE = {
    "allowed": Row("open.example", answers=("198.51.100.20",)),
    "allowed AAAA": Row("open.example", "AAAA", answers=("2001:db8::20",)),
    "allowed without data": Row("open.example", "MX", has_soa=True),
    "unknown name": Row("none.example", rcode="NXDOMAIN", has_soa=True),
    "blocked A": Row("facebook.com", answers=("0.0.0.0",), errors=(17,)),
    "blocked AAAA": Row("facebook.com", "AAAA", answers=("::",), errors=(17,)),
    "blocked HTTPS": Row("facebook.com", "HTTPS", errors=(17,), has_soa=True),
    "blocked TXT": Row("facebook.com", "TXT", errors=(17,), has_soa=True),
    "denied by name, below it": Row("www.denied.example", answers=("0.0.0.0",), errors=(17,)),
    "order": Row("ordered.example", answers=("0.0.0.0",), errors=(16,)),
    "rewritten": Row("www.google.com", answers=(GOOGLE, "forcesafesearch.google.com."), errors=(4,)),
    "rewritten HTTPS": Row("www.google.com", "HTTPS", errors=(4,), has_soa=True),
    "canary": Row("use-application-dns.net", rcode="NXDOMAIN", has_soa=True),
    "special use": Row("printer.invalid", rcode="NXDOMAIN", has_soa=True),
    "localhost": Row("localhost", answers=("127.0.0.1",)),
    "own resolver": Row("other.resolver.arpa", has_soa=True),
    "ANY": Row("open.example", "ANY", answers=('"RFC8482" ""',)),
    "unknown type": Row("open.example", "TYPE65280", answers=(r"\# 3 010203",)),
    "zone transfer": Row("open.example", "AXFR", rcode="REFUSED"),
    "type that nobody may ask": Row("open.example", "TYPE128", rcode="FORMERR", errors=(30,)),
    "letters of both cases": Row("oPeN.eXaMpLe", answers=("198.51.100.20",)),
    "blocked in both cases": Row("FaceBook.COM", answers=("0.0.0.0",), errors=(17,)),
    "upstream fails": Row("broken.example", rcode="SERVFAIL", errors=(22,)),
}


def shown(reply: dns.message.Message) -> tuple[Any, ...]:
    """What must not depend on the transport: everything but ids, TTLs, padding and truncation."""
    sections = [
        sorted(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}" for rrset in section for rdata in rrset)
        for section in (reply.answer, reply.authority)
    ]
    flags = dns.flags.to_text(reply.flags & ~dns.flags.TC)
    return dns.rcode.to_text(reply.rcode()), flags, sections, ede_codes(reply), reply.edns


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_row_of_the_table_holds(front: Front, row: Row, transport: str) -> None:
    """Code, records and reason are as written, twice: from judgement and from the table of finished replies."""
    for _ in range(3):
        reply = front.ask(transport, row.name, row.qtype)
        assert dns.rcode.to_text(reply.rcode()) == row.rcode
        assert tuple(sorted(str(rdata) for rrset in reply.answer for rdata in rrset)) == tuple(sorted(row.answers))
        assert tuple(ede_codes(reply)) == row.errors
        assert any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority) == row.has_soa


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_every_transport_says_the_same(front: Front, row: Row) -> None:
    """Flags, sections and errors are those of UDP on every other transport; without EDNS there is no OPT anywhere."""
    replies = {transport: shown(front.ask(transport, row.name, row.qtype)) for transport in TRANSPORTS}
    assert set(map(repr, replies.values())) == {repr(replies["udp"])}
    bare = {transport: shown(front.ask(transport, row.name, row.qtype, use_edns=False, payload=None)) for transport in TRANSPORTS}
    assert set(map(repr, bare.values())) == {repr(bare["udp"])}
    assert bare["udp"][3:] == ([], -1)


def _header(**changes: int) -> bytes:
    fields = {"id": 4711, "flags": 0x0100, "qd": 1, "an": 0, "ns": 0, "ar": 0, **changes}
    return b"".join(value.to_bytes(2, "big") for value in fields.values())


QUESTION = b"\4open\7example\0\0\1\0\1"
BROKEN: dict[str, tuple[bytes, int]] = {
    "two questions": (_header(qd=2) + QUESTION * 2, dns.rcode.FORMERR),
    "no question": (_header(qd=0), dns.rcode.FORMERR),
    "question cut": (_header() + QUESTION[:-1], dns.rcode.FORMERR),
    "octets behind": (_header() + QUESTION + b"\0", dns.rcode.FORMERR),
    "compressed question": (_header() + b"\xc0\x0c\0\1\0\1", dns.rcode.FORMERR),
    "two OPT records": (_header(ar=2) + QUESTION + b"\0\0\x29\x04\xd0\0\0\0\0\0\0" * 2, dns.rcode.FORMERR),
    "EDNS version 1": (_header(ar=1) + QUESTION + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", dns.rcode.BADVERS),
    "unknown operation": (_header(flags=2 << 11) + QUESTION, dns.rcode.NOTIMP),
    "class CHAOS": (_header() + QUESTION[:-1] + b"\3", dns.rcode.REFUSED),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("message", "rcode"), BROKEN.values(), ids=list(BROKEN))
def test_message_that_is_malformed_gets_its_code(front: Front, transport: str, message: bytes, rcode: int) -> None:
    """The same code whatever it came over, and never a question upstream; DoH says 200 for all of them (RFC 8484 §4.2.1)."""
    reply = front.exchange(transport, message)
    extended = int.from_bytes(reply[-6:-5], "big") if rcode > 15 else 0
    assert reply[:2] == message[:2]
    assert (extended << 4 | reply[3] & 15) == rcode


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_large_answer_is_cut_over_udp_only(front: Front, transport: str) -> None:
    """TC and whole RRsets over UDP, everything elsewhere."""
    reply = front.ask(transport, "large.example", "TXT")
    assert bool(reply.flags & dns.flags.TC) == (transport == "udp")
    assert sum(len(rrset) for rrset in reply.answer) == (0 if transport == "udp" else 20)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("name", "qtype"),
    [("open.example", "A"), ("facebook.com", "A"), ("broken.example", "A"), ("open.example", "AXFR"), ("open.example", "TYPE128")],
)
def test_replies_are_padded_on_encrypted_transports_when_asked(front: Front, transport: str, name: str, qtype: str) -> None:
    """To blocks of 468 octets (RFC 8467 §4.1): answers, blocks, failures and refusals alike; never over UDP or TCP, never unasked."""
    padding = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(16))
    query = dns.message.make_query(name, qtype, use_edns=0, payload=1232, options=[padding])
    for _ in range(2):
        size = len(front.exchange(transport, query.to_wire()))
        assert (size % 468 == 0) == (transport in ENCRYPTED)
    plain = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
    assert len(front.exchange(transport, plain.to_wire())) % 468


@pytest.mark.parametrize("transport", ENCRYPTED)
def test_token_decides_on_every_encrypted_transport(front: Front, transport: str) -> None:
    """The child's address, the adult's token: the adult's policy, and the other way round; one connection's token is not the next one's."""
    for token, expected in ((ADULT_TOKEN, "198.51.100.10"), (TOKEN, "0.0.0.0"), ("", "0.0.0.0"), (ADULT_TOKEN, "198.51.100.10")):
        reply = front.ask(transport, "facebook.com", token=token)
        assert [str(rdata) for rrset in reply.answer for rdata in rrset] == [expected]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_encrypted_listeners_are_found_by_discovery(front: Front, transport: str) -> None:
    """`_dns.resolver.arpa` names DoH, DoT and DoQ at the address that was asked (RFC 9462); all else below resolver.arpa has no data."""
    reply = front.ask(transport, "_dns.resolver.arpa", "SVCB")
    texts = [str(rdata) for rrset in reply.answer for rdata in rrset]
    assert texts == [
        f'1 {NAME}. alpn="h2" port="{front.ports["doh"]}" ipv4hint="127.0.0.1" dohpath="/dns-query{{?dns}}"',
        f'2 {NAME}. alpn="dot" port="{front.ports["dot"]}" ipv4hint="127.0.0.1"',
        f'3 {NAME}. alpn="doq" port="{front.ports["doq"]}" ipv4hint="127.0.0.1"',
    ]
    assert not front.ask(transport, "_dns.resolver.arpa", "A").answer
    assert front.ask(transport, "resolver.arpa", "TYPE261").answer


@pytest.mark.parametrize("transport", ENCRYPTED)
def test_discovery_keeps_the_token(front: Front, transport: str) -> None:
    """A phone that moves from DoT to DoH or back stays the same child."""
    reply = front.ask(transport, "_dns.resolver.arpa", "SVCB", token=TOKEN)
    assert {str(rdata).split()[1] for rrset in reply.answer for rdata in rrset} == {f"{TOKEN}.{NAME}."}


def test_own_names_and_malformed_messages_are_never_asked_of_an_upstream(front: Front) -> None:
    """Canaries, special-use names, blocks and everything below resolver.arpa stay here."""
    before = len(front.upstream.script.questions)
    for transport in TRANSPORTS:
        for name, qtype in (("_dns.resolver.arpa", "SVCB"), ("x.resolver.arpa", "A"), ("resolver.arpa", "NS"), ("x.invalid", "A")):
            front.ask(transport, name, qtype)
        front.ask(transport, "use-application-dns.net")
        front.ask(transport, "www.facebook.com")
        for message, _ in BROKEN.values():
            front.exchange(transport, message)
    assert len(front.upstream.script.questions) == before


def test_every_transport_is_counted_alike(front: Front) -> None:
    """The same three questions over each: two for A and one for AAAA by transport, and their codes, whatever they came over."""
    kinds = [(over, qtype) for over in ("udp", "tcp", "dot", "doh", "doq") for qtype in ("A", "AAAA")]

    def counted() -> list[float]:
        queries = [front.gateway.metric("lachan_queries_total", transport=over, type=qtype) for over, qtype in kinds]
        return [*queries, *(front.gateway.metric("lachan_answers_total", rcode=rcode) for rcode in ("NOERROR", "NXDOMAIN"))]

    time.sleep(1.5)  # workers tell their counts once a second: those of earlier questions are told
    before = counted()
    for transport in ("udp", "tcp", "dot", "doh2", "doq"):
        for name, qtype in (("open.example", "A"), ("facebook.com", "AAAA"), ("none.example", "A")):
            front.ask(transport, name, qtype)
    wanted = [2, 1] * 5 + [10, 5]
    end = time.monotonic() + 20
    grown: list[float] = []
    while grown != wanted and time.monotonic() < end:
        time.sleep(0.2)
        grown = [now - then for now, then in zip(counted(), before, strict=True)]
    assert grown == wanted


def test_quic_gives_nothing_to_resume_with(front: Front) -> None:
    """No session ticket is ever handed out over QUIC: each connection says by its own handshake who it is."""
    tickets: list[object] = []

    async def connect() -> None:
        async with quicclient.dial(front.ports["doq"], front.authority, f"{TOKEN}.{NAME}") as quic:
            quic._quic._session_ticket_handler = tickets.append
            assert await quic.ask(dns.message.make_query("open.example", "A", id=0).to_wire())

    asyncio.run(connect())
    assert tickets == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("transport", ["dot", "doh"])
def test_resumed_session_is_who_it_says_it_is_now(front: Front, transport: str, version: ssl.TLSVersion) -> None:
    """A client that resumes the adult's session under the child's name is the child, and the other way round; one that keeps its name is
    answered as before, also in TLS 1.2, where the session has a name of its own."""
    trust = ssl.create_default_context(cafile=str(front.authority))
    trust.minimum_version = trust.maximum_version = version
    trust.set_alpn_protocols(["http/1.1"] if transport == "doh" else [])
    query = dns.message.make_query("facebook.com", "A", id=0).to_wire()
    ask = len(query).to_bytes(2, "big") + query
    if transport == "doh":
        head = b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\ncontent-length: %d\r\n\r\n"
        ask = head % len(query) + query

    def answer(token: str, session: ssl.SSLSession | None) -> tuple[list[str], bool, ssl.SSLSession | None]:
        name = f"{token}.{NAME}"
        ticket, was_resumed = None, False
        with socket.create_connection(("127.0.0.1", front.ports[transport]), 5) as plain:
            stream = trust.wrap_socket(plain, server_hostname=name, session=session)
            data = b""
            with stream, contextlib.suppress(ConnectionError, ssl.SSLError):
                stream.sendall(ask)
                data = stream.recv(65_535)
                ticket, was_resumed = stream.session, bool(stream.session_reused)
            body = data[2:] if transport == "dot" else data.partition(b"\r\n\r\n")[2]
            found = [str(rdata) for rrset in dns.message.from_wire(body).answer for rdata in rrset] if body else []
            return found, was_resumed, ticket

    adult, _, session = answer(ADULT_TOKEN, None)
    again, was_resumed, _ = answer(ADULT_TOKEN, session)
    assert adult == again == ["198.51.100.10"] and was_resumed
    assert answer(TOKEN, session)[:2] == (["0.0.0.0"], True)
    child, _, session = answer(TOKEN, None)
    assert child == ["0.0.0.0"]
    assert answer(ADULT_TOKEN, session)[0] == ["198.51.100.10"]


# The programs people use ----------------------------------------------------------------------------------------------------------


def asked_by(front: Front, tool: str) -> Callable[[str, str], str]:
    """A function that asks for a name and a type with one program and gives what it printed."""
    gateway, ports = "@127.0.0.1", front.ports
    tls = (f"+tls-ca={front.authority}", f"+tls-hostname={NAME}", f"+tls-sni={NAME}")
    commands: dict[str, tuple[str, ...]] = {
        "dig": ("dig", gateway, "-p", str(ports["udp"]), "+tries=1"),
        "dig +tcp": ("dig", gateway, "-p", str(ports["tcp"]), "+tcp", "+tries=1"),
        "kdig": ("kdig", gateway, "-p", str(ports["udp"]), "+edns"),
        "kdig +tls": ("kdig", gateway, "-p", str(ports["dot"]), *tls, "+edns"),
        "kdig +https": ("kdig", gateway, "-p", str(ports["doh"]), *tls, f"+https={NAME}/dns-query", "+edns"),
        "kdig +quic": ("kdig", gateway, "-p", str(ports["doq"]), *tls, "+quic", "+edns"),
    }
    command = commands[tool]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return lambda name, qtype: subprocess.run([*command, name, qtype], capture_output=True, text=True, timeout=20, check=False).stdout


SECTION = re.compile(r"^;; ANSWER SECTION:\n((?:[^;\n].*\n)*)", re.MULTILINE)
STATUS = re.compile(r"opcode: \w+[;,] status: (\w+)")
REASONS = {4: "Forged Answer", 16: "Censored", 17: "Filtered", 22: "No Reachable Authority", 30: "Invalid Query Type"}


def printed(text: str) -> tuple[str, list[str]]:
    """Code and sorted records of the answer in what dig or kdig printed."""
    answer = SECTION.search(text)
    status = STATUS.search(text)
    lines = answer[1].splitlines() if answer else []
    return status[1] if status else "", sorted(line.split(None, 4)[4] for line in lines)


@pytest.mark.full
@pytest.mark.parametrize("tool", ["dig", "dig +tcp", "kdig", "kdig +tls", "kdig +https", "kdig +quic"])
def test_real_clients_see_the_whole_table(front: Front, tool: str) -> None:
    """Every row as the programs print it: code, records and the number of the reason. (A zone transfer is another conversation to them.)"""
    ask = asked_by(front, tool)
    for title, row in TABLE.items():
        if row.qtype == "AXFR":
            continue
        text = ask(row.name, row.qtype)
        status, answers = printed(text)
        assert status == row.rcode, (title, text)
        assert [word.lower() for word in answers] == sorted(word.lower() for word in row.answers), (title, text)
        for number in row.errors:
            assert re.search(rf"EDE: {number}\b", text) or REASONS[number] in text, (title, text)


@pytest.mark.full
@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_curl_sees_the_whole_table(front: Front, version: str, method: str) -> None:
    """With media type and cache header, 200 whatever the code of the answer; GET carries the message in its address."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    url = f"https://{NAME}:{front.ports['doh']}/dns-query"
    command = ["curl", "-s", "-i", version, "--cacert", str(front.authority), "--resolve", f"{NAME}:{front.ports['doh']}:127.0.0.1"]
    for title, row in TABLE.items():
        query = dns.message.make_query(row.name, row.qtype, use_edns=0, id=0).to_wire()
        if method == "GET":
            how = [f"{url}?dns={base64.urlsafe_b64encode(query).rstrip(b'=').decode()}"]
        else:
            how = ["-H", "content-type: application/dns-message", "--data-binary", "@-", url]
        done = subprocess.run([*command, *how], input=query, capture_output=True, timeout=20, check=False).stdout
        head, _, body = done.partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].split()[1] == b"200", title
        age = re.search(rb"cache-control: max-age=(\d+)", head.lower())
        assert b"application/dns-message" in head.lower() and age, title
        reply = dns.message.from_wire(body)
        assert dns.rcode.to_text(reply.rcode()) == row.rcode and tuple(ede_codes(reply)) == row.errors, title
        assert sorted(str(rdata) for rrset in reply.answer for rdata in rrset) == sorted(row.answers), title
        assert int(age[1]) <= min((rrset.ttl for rrset in (*reply.answer, *reply.authority)), default=0), title
