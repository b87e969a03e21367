"""The certificate of the encrypted listeners: contexts for DoT and DoH, tokens from the server name, reload without dropping anybody.

TLS 1.2 and 1.3 (RFC 8310 §8.1, RFC 9325). A new certificate serves new handshakes; connections under way keep theirs. A file that cannot be
used leaves the old certificate in place and raises, so that the caller can say so.

Who a client is comes from the server name that it sent just now (RFC 6066 §3), never from a resumed session: `token.dns.example`
has the token `token` when the server is `dns.example`. Opened by the worker; `configuration` tries the files out.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import StartError
from gateway.settings import TlsSettings

DOT_PROTOCOLS: Final = ["dot"]
DOH_PROTOCOLS: Final = ["h2", "http/1.1"]
_NAME: Final = "lachan_server_name"
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells one version of a file from the next; a right to read it that was given or taken counts, too."""

    certificate: tuple[int, int, int]
    key: tuple[int, int, int]


class FreshCertificate:
    """Keeps the certificate of a listening context as new as its files."""

    def __init__(self, settings: TlsSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._marks = marks_of(settings)

    def reload_if_changed(self) -> bool:
        """Take over new files for new handshakes; whether there were any. Raises StartError and keeps the old ones if they are broken."""
        marks = marks_of(self._settings)
        if marks == self._marks:
            return False
        self._marks = marks
        try_files(self._settings)
        self._context.load_cert_chain(self._settings.certificate, self._settings.key)
        return True


class ServerContext:
    """One listening context. `protocols` are the ALPN names it offers; a client that offers none is served too.

    `fault` says why it has no certificate, empty when it has one: a worker that starts anew while the files are broken must go on answering
    over plain DNS. Handshakes fail until they are good again.
    """

    def __init__(self, settings: TlsSettings, protocols: list[str], *, may_wait: bool = False) -> None:
        """Raises StartError when the files cannot be used, unless it `may_wait` for better ones."""
        self.settings = settings
        self.context = _context(protocols)
        self._certificate = FreshCertificate(settings, self.context)
        self.fault = ""
        try:
            try_files(settings)
            self.context.load_cert_chain(settings.certificate, settings.key)
        except (StartError, OSError) as error:  # the second: replaced between the two
            if not may_wait:
                raise
            self.fault = str(error)

    def reload_if_changed(self) -> bool:
        """As `FreshCertificate`."""
        return self._certificate.reload_if_changed()

    def token_of(self, connection: ssl.SSLObject, hello: bytes = b"") -> str | None:
        """The client token in the server name of this handshake, None when it names the server itself or nothing.

        OpenSSL gives a resumed session of TLS 1.2 the name of the handshake that made it, whatever the client asks for now. So there the
        name is read out of `hello`, the first octets that the client sent. Empty when even that does not tell it: the connection must end.
        """
        if connection.session_reused and connection.version() == "TLSv1.2":
            try:
                name = name_in_hello(hello)
            except (IndexError, ValueError):
                return ""
        else:
            name = getattr(connection, _NAME, None)
        base = self.settings.name
        return token_in(name, base) if name and base else None


def token_in(name: str, base: str) -> str | None:
    """The token of `token.base`: one label in front of the server's own name, in lower case."""
    head, dot, rest = name.lower().rstrip(".").partition(".")
    return head if dot and rest == base.lower().rstrip(".") else None


def name_in_hello(data: bytes) -> str | None:
    """The server name in the greeting of a TLS client (RFC 8446 §4.1.2, RFC 6066 §3), None without one. `data` begins with a record.
    Raises IndexError or ValueError for what is no greeting, or not all of it.
    """
    message, at = bytearray(), 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != _HANDSHAKE or not size or at + 5 + size > len(data):
            raise ValueError("no record of a handshake")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
    if message[0] != _CLIENT_HELLO:
        raise ValueError("no greeting")
    at = 4 + 2 + 32
    at += 1 + message[at]  # session
    at += 2 + int.from_bytes(message[at : at + 2], "big")  # ciphers
    at += 1 + message[at]  # compression
    at += 2
    while at < len(message):
        kind, size = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 2 : at + 4], "big")
        at += 4
        if kind == _SERVER_NAME:
            if message[at + 2]:
                raise ValueError("no host name")
            return message[at + 5 : at + 5 + int.from_bytes(message[at + 3 : at + 5], "big")].decode("ascii")
        at += size
    return None


def _context(protocols: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(protocols)
    # Called in every handshake, a resumed one too: the name is that of this client now.
    context.sni_callback = _remember_name
    return context


def _remember_name(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    setattr(connection, _NAME, name)


def try_files(settings: TlsSettings) -> None:
    """Load the files into a context that serves nobody. Raises StartError with the remedy."""
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        scratch.load_cert_chain(settings.certificate, settings.key)
    except FileNotFoundError:
        missing = settings.key if settings.certificate.exists() else settings.certificate
        raise StartError(f"tls: {missing} does not exist: name the certificate chain and its key (PEM)") from None
    except PermissionError:
        raise StartError(f"tls: {settings.certificate} or {settings.key} may not be read by this user: give it the right to") from None
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise StartError(f"tls: {settings.certificate} and {settings.key} cannot be used together: {reason}") from None


def marks_of(settings: TlsSettings) -> Marks:
    """The marks of both files as they are now."""
    return Marks(_mark(settings.certificate), _mark(settings.key))


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
