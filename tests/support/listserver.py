"""A web server for lists on loopback: real sockets, scripted pages, everything asked of it remembered.

    with ListServer() as server:
        server.pages["/list.txt"] = Page(b"a.example\\n", etag='"1"')
        ... fetch server.url("/list.txt") ...
        assert server.requests[0].headers["If-None-Match"] == '"1"'

A page may also be a function that is handed the request and writes to its socket what it likes, for servers that misbehave.
"""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(slots=True)
class Page:
    """One answer. With `etag` or `modified`, a request that names it is answered 304."""

    body: bytes = b""
    status: int = 200
    etag: str = ""
    modified: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: path with query, and headers."""

    path: str
    headers: Mapping[str, str]


Script = Callable[[BaseHTTPRequestHandler], None]


class ListServer:
    """Serves `pages` (by path, the query left out) until the block ends; with `certificate`, over TLS."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.pages: dict[str, Page | Script] = {}
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on, on 127.0.0.1."""
        return int(self._server.server_address[1])

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a page."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append(Request(self.path, dict(self.headers)))
                page = server.pages.get(self.path.partition("?")[0], Page(status=404))
                self.close_connection = True
                with suppress(BrokenPipeError, ConnectionResetError):  # the client may have had enough
                    page(self) if callable(page) else _answer(self, page)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _answer(handler: BaseHTTPRequestHandler, page: Page) -> None:
    known = page.etag and handler.headers.get("If-None-Match") == page.etag
    known = known or (page.modified and handler.headers.get("If-Modified-Since") == page.modified)
    body = b"" if known else page.body
    handler.send_response(304 if known else page.status)
    for name, value in (("ETag", page.etag), ("Last-Modified", page.modified), *page.headers.items()):
        if value:
            handler.send_header(name, value)
    if "Content-Length" not in page.headers and not known:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate on disk, for the names given to `make_certificate`."""

    chain: Path
    key: Path

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this certificate alone."""
        return ssl.create_default_context(cafile=str(self.chain))


def make_certificate(folder: Path, *names: str) -> Certificate:
    """Make a certificate for `names` in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return Certificate(chain, secret)
