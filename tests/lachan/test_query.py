"""`lachan query`: the words of the command, and what it says about an answer of a real server."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.message
import pytest

from lachan.query import EDE_WORDS, QueryError, Server, compose, describe, parse_server, run, split_words
from tests.support.gateway import RunningUpstream, run_command
from tests.support.scripts import Asked, reply_to, truncated, wire
from tests.support.upstream import ScriptedUpstream


class Speaking(ScriptedUpstream):
    """A server that explains itself."""

    def handle(self, asked: Asked) -> bytes | None:
        """Answer by name."""
        if asked.qname == "blocked.example":
            message = reply_to(asked, "blocked.example. 10 IN A 0.0.0.0")
            message.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(17, "family")])
            return wire(message)
        if asked.qname == "large.example" and asked.transport == "udp":
            return truncated(asked)
        if asked.qname == "silent.example":
            return None
        return wire(reply_to(asked, f"{asked.qname}. 300 IN A 192.0.2.7"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for dns.example."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dns.example")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(datetime.now(UTC) - timedelta(days=1)).not_valid_after(datetime.now(UTC) + timedelta(days=1))
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("dns.example")]), False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def server(certificate: Path) -> Iterator[RunningUpstream]:
    """A server on UDP, TCP and TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["dot", "h2"])
    with RunningUpstream(upstream=Speaking(tls=context)) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@127.0.0.1", Server("dns", "127.0.0.1", "127.0.0.1", 53, "")),
        ("@127.0.0.1:5300", Server("dns", "127.0.0.1", "127.0.0.1", 5300, "")),
        ("@tcp://[::1]:5300", Server("tcp", "::1", "::1", 5300, "")),
        ("@tls://dns.example@192.0.2.1", Server("tls", "dns.example", "192.0.2.1", 853, "")),
        ("@https://dns.example:8443/q/k3j9@[2001:db8::1]", Server("https", "dns.example", "2001:db8::1", 8443, "/q/k3j9")),
        ("@https://192.0.2.1", Server("https", "192.0.2.1", "192.0.2.1", 443, "/dns-query")),
        ("@quic://192.0.2.1", Server("quic", "192.0.2.1", "192.0.2.1", 853, "")),
    ],
)
def test_server_is_read_as_written(text: str, expected: Server) -> None:
    """Any transport, with or without a name."""
    assert expected == parse_server(text)


@pytest.mark.parametrize("text", ["@", "@ftp://127.0.0.1", "@[::1", "@a b"])
def test_wrong_server_is_one_sentence(text: str) -> None:
    """The sentence shows how to write it."""
    with pytest.raises(QueryError, match="is not a server"):
        parse_server(text)


def test_words_may_stand_in_any_order() -> None:
    """As with dig."""
    assert split_words(["@::1", "a.example", "AAAA"]) == ("a.example", "AAAA", "@::1")
    assert split_words(["a.example", "@x"]) == ("a.example", "A", "@x")
    for wrong in (["a.example"], ["@x"], ["a", "b", "c", "@x"], ["a", "@x", "@y"]):
        with pytest.raises(QueryError, match="say: lachan query"):
            split_words(wrong)


def test_vietnamese_name_is_asked_in_its_wire_form() -> None:
    """A name with accents becomes its A-label."""
    assert str(compose("tiền.vn", "a", False).question[0].name) == "xn--tin-hkz.vn."


@pytest.mark.parametrize(("name", "qtype"), [("a..b", "A"), ("a.example", "NOPE"), ("x" * 64 + ".vn", "A")])
def test_impossible_question_is_one_sentence(name: str, qtype: str) -> None:
    """The sentence names what was asked."""
    with pytest.raises(QueryError, match="is not a question"):
        compose(name, qtype, False)


def test_answer_is_told_with_record_and_server(server: RunningUpstream) -> None:
    """Name, rcode, address and time stand there."""
    lines = run(["open.example", f"@127.0.0.1:{server.port}"], None, False, 5, False)
    assert lines[0].startswith("open.example. A → NOERROR, 1 ")
    assert "192.0.2.7" in lines[1]
    assert f"dns://127.0.0.1:{server.port}" in lines[-1]


def test_block_is_told_in_words(server: RunningUpstream) -> None:
    """The extended error appears as a sentence in both languages, and what a zero address means."""
    text = "\n".join(run(["blocked.example", f"@127.0.0.1:{server.port}"], None, False, 5, False))
    assert "EDE 17 bị chặn: thiết lập của gia đình hoặc nhà trường / filtered: setting of the family or school: family" in text
    assert "nghĩa là bị chặn" in text


def test_truncated_answer_is_asked_again_over_tcp(server: RunningUpstream) -> None:
    """A person sees the whole answer."""
    assert "192.0.2.7" in run(["large.example", f"@127.0.0.1:{server.port}"], None, False, 5, False)[1]
    assert "tc" in run(["large.example", f"@udp://127.0.0.1:{server.port}"], None, False, 5, False)[-1]


def test_tcp_and_source_address_are_used(server: RunningUpstream) -> None:
    """The question can come from another address of this machine."""
    run(["tcp.example", f"@tcp://127.0.0.1:{server.port}"], "127.0.0.3", False, 5, False)
    asked = server.script.asked[-1]
    assert (asked.transport, asked.peer[0]) == ("tcp", "127.0.0.3")


def test_tls_checks_the_certificate_unless_told_otherwise(
    server: RunningUpstream, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A self-signed certificate is refused with both remedies, and each of them works."""
    where = f"@tls://dns.example:{server.script.tls_port}@127.0.0.1"
    with pytest.raises(QueryError, match=r"--insecure .* SSL_CERT_FILE="):
        run(["a.example", where], None, False, 5, False)
    assert "192.0.2.7" in run(["a.example", where], None, False, 5, True)[1]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert "192.0.2.7" in run(["a.example", where], None, False, 5, False)[1]


def test_quic_that_ends_is_one_sentence(server: RunningUpstream) -> None:
    """Nobody there, or somebody whose certificate is refused: no traceback, no lines of a library, and the way on."""
    done = run_command("query", "open.example", f"@quic://127.0.0.1:{server.port}", "--timeout", "1")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("lỗi / error: quic://127.0.0.1:") and len(done.stderr.splitlines()) == 1, done.stderr


def test_silence_and_refusal_are_one_sentence(server: RunningUpstream) -> None:
    """Nothing listens there, or nobody answers."""
    with pytest.raises(QueryError, match=r"did not answer within 0\.2 s"):
        run(["silent.example", f"@127.0.0.1:{server.port}"], None, False, 0.2, False)
    for closed in ("@127.0.0.1:1", "@udp://127.0.0.1:1", "@[::1]:1"):
        begun = time.monotonic()
        with pytest.raises(QueryError, match="nobody listens at"):
            run(["a.example", closed], None, False, 60, False)
        assert time.monotonic() - begun < 30, "the system says so at once"
    with pytest.raises(QueryError, match="nobody listens at"):
        run(["a.example", "@tcp://127.0.0.1:1"], None, False, 1, False)


def test_hostile_error_text_cannot_move_the_cursor() -> None:
    """What a server sends is shown without control characters."""
    reply = dns.message.make_response(dns.message.make_query("a.example", "A", use_edns=0))
    reply.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(15, "\x1b[2Jhello")])
    text = "\n".join(describe(parse_server("@127.0.0.1"), reply, 0.001))
    assert "\x1b" not in text and "hello" in text


def test_every_extended_error_is_told_in_both_languages() -> None:
    """The codes this gateway sends have words."""
    assert {0, 3, 15, 16, 17, 18, 19, 22, 23} <= EDE_WORDS.keys()
    assert all(vi and en for vi, en in EDE_WORDS.values())


@pytest.mark.full
def test_https_is_asked_over_http_1_1(certificate: Path) -> None:
    """DoH works against a server of the standard library's HTTP."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers any question with one address."""

        def do_POST(self) -> None:
            query = dns.message.from_wire(self.rfile.read(int(self.headers["Content-Length"])))
            reply = dns.message.make_response(query)
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.9"))
            body = reply.to_wire()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.handle_request)
    thread.start()
    lines = run(["a.example", f"@https://127.0.0.1:{web.server_port}/dns-query"], None, False, 5, True)
    thread.join(5)
    web.server_close()
    assert "192.0.2.9" in lines[1]


@pytest.mark.full
def test_answer_agrees_with_dig(server: RunningUpstream) -> None:
    """The same question gives the same address as dig."""
    import shutil

    if shutil.which("dig") is None:
        pytest.skip("dig is not installed")
    found = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(server.port), "same.example", "+short"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() in run(["same.example", f"@127.0.0.1:{server.port}"], None, False, 5, False)[1]
