"""A list office for tests: keys, a signed repository in a folder, and a web server on loopback that serves it."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner

from blocklists import online
from blocklists.releases import Keys, Listing, Repository
from gateway.release import canonical_bytes

ROLES = ("root", "targets", "snapshot", "timestamp")


def now() -> datetime:
    """The real time: TUF judges expiry by it."""
    return datetime.now(UTC)


@dataclass
class Publisher:
    """One office with its keys; `publish` makes the next release."""

    folder: Path
    approvers: int = 1
    signers: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    root: bytes = b""

    def __post_init__(self) -> None:
        self.signers = {role: [CryptoSigner.generate_ed25519()] for role in ROLES}
        self.signers["targets"] = [CryptoSigner.generate_ed25519() for _ in range(max(self.approvers, 1))]
        self.repository = Repository(self.folder)
        self.root = self.repository.initialise(self.keys(), self.signers, now())

    def keys(self) -> Keys:
        """The public keys; all approvers of the targets role must sign."""
        roles = {role: [signer.public_key for signer in signers] for role, signers in self.signers.items()}
        return Keys(roles, {"targets": self.approvers})

    def segment(self, *hosts: str) -> dict[str, Any]:
        """A segment with an order about these hosts."""
        order: dict[str, Any] = {
            "id": "o1",
            "number": "12/QĐ-STTTT",
            "issuer": "Sở",
            "basis": [],
            "from": "2026-01-01T00:00:00Z",
            "until": None,
            "no_end": True,
        }
        keys = sorted(".".join(reversed(host.split("."))) + "." for host in hosts)
        return {"format": 1, "orders": [order], "entries": [[key, 0, 0] for key in keys], "lifted": []}

    def publish(self, serial: int, *hosts: str, at: datetime | None = None) -> int:
        """Publish a list as the next release, whole."""
        return self.publish_segments(serial, self.segment(*hosts), at=at)

    def publish_segments(self, serial: int, *segments: object, at: datetime | None = None, **extra: Any) -> int:
        """Publish these segments as the next release; `extra` replaces parts of its list of contents."""
        pieces = {f"{hashlib.sha256(data).hexdigest()}.json": data for data in map(canonical_bytes, segments)}
        head = {"seq": serial, "digest": "00"}
        return self.repository.publish(Listing(serial, head, tuple(pieces), extra), pieces.__getitem__, self.signers, at or now())

    def appoint_server(self) -> None:
        """Sign the published list anew, with a key for what the server may `say` by itself."""
        self.signers[online.ROLE] = [CryptoSigner.generate_ed25519()]
        draft = self.repository.redraft(now(), self.signers[online.ROLE][0].public_key)
        for signer in self.signers["targets"]:
            draft.sign(signer, append=True)
        self.repository.sign_off(draft, self.signers, now())

    def withdraw(self, below: int, *hosts: str) -> None:
        """Have the server say, without an approver, that the entries of these hosts have ended in lists with a serial below this one."""
        keys = sorted(".".join(reversed(host.split("."))) + "." for host in hosts)
        self.repository.say(online.Statement({}, tuple((key, below) for key in keys)), self.signers, now())

    def long_ago(self) -> datetime:
        """A time at which everything signed then has expired by now."""
        return now() - timedelta(days=800)


def serve(folder: Path) -> AbstractContextManager[str]:
    """Serve a folder over HTTP on loopback; yields the URL."""
    return serve_by(functools.partial(_Quiet, directory=str(folder)))


def serve_bomb() -> AbstractContextManager[str]:
    """Answer everything with 64 KiB of gzip that unpack to 64 MiB; yields the URL."""
    return serve_by(_Bomb)


@contextmanager
def serve_drips(pause: float = 0.2) -> Iterator[str]:
    """Answer everything with a large file whose octets come one by one, `pause` seconds apart, for ever; yields the URL."""
    ended = threading.Event()
    with serve_by(functools.partial(_Drips, ended=ended, pause=pause)) as url:
        try:
            yield url
        finally:
            ended.set()


@contextmanager
def serve_by(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback by a handler; yields the URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Drips(http.server.BaseHTTPRequestHandler):
    def __init__(self, *args: Any, ended: threading.Event, pause: float) -> None:
        self.ended, self.pause = ended, pause
        super().__init__(*args)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "16000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.ended.wait(self.pause):
                self.wfile.write(b"{")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Bomb(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = gzip.compress(bytes(64 * 1024 * 1024), 9)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: test output stays readable."""
