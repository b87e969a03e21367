"""`lachan query`: ask one question of any DNS server, over any transport, and say in words what came back.

Only `lachan` imports this module.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from gateway.errors import LachanError

Scheme = Literal["dns", "udp", "tcp", "tls", "https", "quic"]
PORTS = {"dns": 53, "udp": 53, "tcp": 53, "tls": 853, "https": 443, "quic": 853}
_FORM = re.compile(r"@(?:([a-z]+)://)?(?:\[([^\]]+)\]|([^:/\[\]@\s]+))(?::(\d{1,5}))?(/[^@\s]*)?(?:@(?:\[([^\]]+)\]|(\S+)))?")

EDE_WORDS: dict[int, tuple[str, str]] = {
    0: ("lỗi khác", "other error"),
    1: ("thuật toán DNSSEC không được hỗ trợ", "DNSSEC algorithm not supported"),
    3: ("câu trả lời cũ, vì máy chủ DNS ngoài không trả lời", "stale answer, because no upstream answers"),
    4: ("câu trả lời đã được thay", "forged answer"),
    6: ("chữ ký DNSSEC sai", "DNSSEC bogus"),
    7: ("chữ ký DNSSEC hết hạn", "signature expired"),
    9: ("thiếu khóa DNSSEC", "DNSKEY missing"),
    13: ("lỗi đã ghi nhớ", "cached error"),
    14: ("chưa sẵn sàng", "not ready"),
    15: ("bị chặn: danh sách an toàn", "blocked: security list"),
    16: ("bị chặn: quyết định của cơ quan có thẩm quyền", "censored: an authority's order"),
    17: ("bị chặn: thiết lập của gia đình hoặc nhà trường", "filtered: setting of the family or school"),
    18: ("không được phép hỏi máy chủ này", "prohibited: this client may not ask here"),
    19: ("câu trả lời cũ: tên không có", "stale answer: no such name"),
    20: ("máy chủ không phụ trách tên này", "not authoritative"),
    21: ("không được hỗ trợ", "not supported"),
    22: ("không máy chủ DNS ngoài nào trả lời", "no upstream answers"),
    23: ("lỗi mạng tới máy chủ DNS ngoài", "network error towards the upstream"),
    24: ("dữ liệu hỏng", "invalid data"),
    29: ("câu trả lời được tổng hợp", "synthesised answer"),
}


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask. `address` is the IP; `name` is checked in its certificate."""

    scheme: Scheme
    name: str
    address: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        label = f" ({self.name})" if self.name != self.address else ""
        return f"{self.scheme}://{host}:{self.port}{self.path}{label}"


class QueryError(LachanError):
    """The question could not be asked or nobody answered; one sentence."""


def parse_server(text: str) -> Server:
    """Read `@127.0.0.1:5300`, `@tcp://[::1]:5300`, `@tls://dns.example@192.0.2.1`, `@https://dns.example/dns-query`. Raises QueryError."""
    match = _FORM.fullmatch(text)
    if match is None or (match[1] or "dns") not in PORTS:
        raise QueryError(f"'{text[:80]}' is not a server: write @127.0.0.1:5300 or @tcp://, @tls://, @https://, @quic:// with an address")
    scheme: Scheme = _SCHEMES[match[1] or "dns"]
    name = match[2] or match[3]
    port = int(match[4]) if match[4] else PORTS[scheme]
    path = match[5] or ("/dns-query" if scheme == "https" else "")
    address = match[6] or match[7]
    if address is None:
        try:
            address = str(ip_address(name))
        except ValueError:
            address = _look_up(name, port)
    return Server(scheme, name, address, port, path)


_SCHEMES: dict[str, Scheme] = {"dns": "dns", "udp": "udp", "tcp": "tcp", "tls": "tls", "https": "https", "quic": "quic"}


def _look_up(name: str, port: int) -> str:
    try:
        return str(socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError:
        raise QueryError(
            f"the address of '{name[:80]}' was not found: write it behind an @, such as @tls://{name[:80]}@192.0.2.1"
        ) from None


def compose(name: str, qtype: str, dnssec: bool) -> dns.message.Message:
    """Make the question, with EDNS so that the server may explain itself. Raises QueryError for a name or type that is none."""
    try:
        text = name if name.isascii() else dns.name.from_text(name, idna_codec=dns.name.IDNA_2008_Practical).to_text()
        return dns.message.make_query(text, qtype.upper(), use_edns=0, payload=1232, want_dnssec=dnssec)
    except (dns.exception.DNSException, ValueError):
        raise QueryError(
            f"'{name[:80]} {qtype[:20]}' is not a question: give a domain name and a type such as A, AAAA, HTTPS or TXT"
        ) from None


def ask(server: Server, question: dns.message.Message, source: str | None, seconds: float, insecure: bool) -> dns.message.Message:
    """Send the question and wait. Raises QueryError."""
    where = server.address
    try:
        if server.scheme in ("dns", "udp"):
            reply = _ask_udp(server, question, source, seconds)
            if reply.flags & dns.flags.TC and server.scheme == "dns":
                reply = dns.query.tcp(question, where, seconds, server.port, source=source)
            return reply
        if server.scheme == "tcp":
            return dns.query.tcp(question, where, seconds, server.port, source=source)
        if server.scheme == "tls":
            context = _context(insecure, "dot")
            return dns.query.tls(question, where, seconds, server.port, source=source, ssl_context=context, server_hostname=server.name)
        if server.scheme == "quic":
            return _ask_quic(server, question, source, seconds, insecure)
        return _ask_https(server, question, source, seconds, _context(insecure, "http/1.1"))
    except ConnectionRefusedError:
        raise QueryError(f"nobody listens at {server}: has the gateway been started (lachan run), and is the port right?") from None
    except dns.exception.Timeout:
        raise QueryError(f"{server} did not answer within {seconds:g} s: is it running, and is the port right?") from None
    except ssl.SSLError as error:
        remedy = "--insecure skips the certificate check, SSL_CERT_FILE=cert.pem trusts that file"
        raise QueryError(f"{server}: the encrypted connection failed ({error.reason}); {remedy}") from None
    except dns.query.NoDOQ:
        raise QueryError("asking over QUIC needs the extra package: pip install 'lachan[doq]'") from None
    except (OSError, EOFError, dns.exception.DNSException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise QueryError(f"{server} could not be asked: {reason}") from None


def _ask_udp(server: Server, question: dns.message.Message, source: str | None, seconds: float) -> dns.message.Message:
    """Over a connected socket, to which the system tells that nobody listens (RFC 1122 §4.1.3.3)."""
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_INET6 if ":" in server.address else socket.AF_INET, socket.SOCK_DGRAM) as line:
        if source is not None:
            line.bind((source, 0))
        line.connect((server.address, server.port))
        line.send(question.to_wire())
        while (left := until - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                reply = dns.message.from_wire(line.recv(65_535))
            except TimeoutError:
                break
            if question.is_response(reply):
                return reply
    raise dns.exception.Timeout


def _context(insecure: bool, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols([protocol])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _ask_quic(server: Server, question: dns.message.Message, source: str | None, seconds: float, insecure: bool) -> dns.message.Message:
    """RFC 9250. What goes wrong is said in a sentence; the libraries' own lines are kept away."""
    logging.getLogger("quic").setLevel(logging.CRITICAL)
    where, verify = server.address, not insecure
    try:
        return dns.query.quic(question, where, seconds, server.port, source=source, verify=verify, server_hostname=server.name)
    except (OSError, EOFError, ValueError, dns.exception.DNSException):
        raise
    except Exception:  # a connection that was ended has no public class in dnspython
        hint = (
            "nobody is there, or its certificate is refused; --insecure skips the check"
            if verify
            else "is it running, and is the port right?"
        )
        raise QueryError(f"{server}: the connection over QUIC failed: {hint}") from None


def _ask_https(
    server: Server, question: dns.message.Message, source: str | None, seconds: float, context: ssl.SSLContext
) -> dns.message.Message:
    """RFC 8484 by POST over HTTP/1.1."""
    from http.client import HTTPException, HTTPSConnection

    question.id = 0
    line = socket.create_connection((server.address, server.port), seconds, (source, 0) if source else None)
    connection = HTTPSConnection(server.name, server.port, timeout=seconds, context=context)
    connection.sock = context.wrap_socket(line, server_hostname=server.name)
    kind = "application/dns-message"
    try:
        connection.request("POST", server.path, question.to_wire(), {"Content-Type": kind, "Accept": kind})
        response = connection.getresponse()
        body = response.read(65_536)
    except HTTPException as error:
        raise QueryError(f"{server} does not speak HTTP/1.1 ({type(error).__name__})") from None
    finally:
        connection.close()
    if response.status != 200:
        raise QueryError(f"{server} answered with HTTP status {response.status}")
    return dns.message.from_wire(body)


def describe(server: Server, reply: dns.message.Message, elapsed: float) -> Iterator[str]:
    """Say what came back: status, records, flags, extended errors in words (Vietnamese, then English)."""
    question = reply.question[0] if reply.question else None
    asked = f"{question.name} {dns.rdatatype.to_text(question.rdtype)}" if question is not None else "?"
    yield f"{asked} → {dns.rcode.to_text(reply.rcode())}, {_counted(reply)}"
    for rrset in reply.answer:
        for rdata in rrset:
            yield f"  {rrset.name}  {rrset.ttl}  {dns.rdatatype.to_text(rrset.rdtype)}  {rdata}"
    for option in reply.options:
        if isinstance(option, dns.edns.EDEOption):
            vi, en = EDE_WORDS.get(int(option.code), ("mã chưa biết", "unknown code"))
            text = f": {_printable(option.text)}" if option.text else ""
            yield f"  EDE {int(option.code)} {vi} / {en}{text}"
    zero = {"0.0.0.0", "::"}
    if any(str(rdata) in zero for rrset in reply.answer for rdata in rrset):
        yield "  địa chỉ 0.0.0.0 hoặc :: nghĩa là bị chặn / the address 0.0.0.0 or :: means blocked"
    yield f"  {server} · {elapsed * 1000:.1f} ms · {len(reply.to_wire())} B · {dns.flags.to_text(reply.flags).lower()}"


def _counted(reply: dns.message.Message) -> str:
    count = sum(len(rrset) for rrset in reply.answer)
    return f"{count} bản ghi / {count} record{'' if count == 1 else 's'}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def split_words(words: list[str]) -> tuple[str, str, str]:
    """Tell name, type and server apart, in any order, as dig does. Raises QueryError."""
    servers = [word for word in words if word.startswith("@")]
    rest = [word for word in words if not word.startswith("@")]
    if len(servers) != 1 or not 1 <= len(rest) <= 2:
        raise QueryError("say: lachan query NAME [TYPE] @SERVER, such as lachan query example.com A @127.0.0.1:5300")
    return rest[0], rest[1] if len(rest) == 2 else "A", servers[0]


def run(words: list[str], source: str | None, dnssec: bool, seconds: float, insecure: bool) -> list[str]:
    """The whole command. Returns the lines to print; raises QueryError."""
    name, qtype, where = split_words(words)
    server = parse_server(where)
    question = compose(name, qtype, dnssec)
    started = time.monotonic()
    reply = ask(server, question, source, seconds, insecure)
    return list(describe(server, reply, time.monotonic() - started))
