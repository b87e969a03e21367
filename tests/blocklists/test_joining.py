"""A gateway joins by a code over real HTTP, and tells the office what it enforces; every fault leaves things as they were."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from blocklists import joining
from blocklists.joined import read_joined
from blocklists.joining import EVERY, Enforced, JoinError, fetch_keys, join, note_head, report
from blocklists.pairing import JoinCode, fingerprint_of
from blocklists.receipts import is_signed, join_bytes, read
from blocklists.sealing import HELD_FILE, SealError, key_id, read_keys, read_question, wrap
from tests.support.certificates import Authority
from tests.support.publisher import Publisher, serve_bomb, serve_drips

TICKET = "abcdefghjkmnpqrstuvwxyz2"


@dataclass
class Office:
    """An office's web server: its signed files, and what gateways sent."""

    folder: Path
    url: str = ""
    status: int = 200
    received: list[Any] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=lambda: {key_id(bytes(32)): bytes(32)})


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    place = Office(tmp_path / "office")
    Publisher(place.folder).publish(1, "bad.example")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(place.folder))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"gateway": "gw1", "label": "Trường A"}).encode()
            if self.path == "/keys":
                answer = wrap(place.keys, read_question(body)[1])
            else:
                place.received.append((self.path, body))
            self.send_response(place.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    place.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield place
    server.shutdown()
    server.server_close()


def code_of(office: Office, ticket: str = TICKET) -> JoinCode:
    """The code the office's page would show."""
    return JoinCode(office.url, fingerprint_of((office.folder / "metadata/1.root.json").read_bytes()), ticket)


def test_gateway_joins_and_tells_what_it_enforces(office: Office, tmp_path: Path) -> None:
    """A proof of its own key; then a receipt after each change and once an hour, each with a higher counter and the journal's head."""
    state = tmp_path / "var"
    state.mkdir()
    joined = join(state, code_of(office))
    assert (joined.gateway, joined.label, read_joined(state)) == ("gw1", "Trường A", joined)
    path, body = office.received.pop()
    message = json.loads(body)
    assert path == "/join"
    assert is_signed(joined.public, join_bytes(TICKET, joined.public), bytes.fromhex(message["proof"]))
    note_head(state, 1, {"seq": 5, "digest": "ab" * 32})
    assert report(state, Enforced(1), "0.1.0", 1000.0) is True
    assert report(state, Enforced(1), "0.1.0", 1010.0) is None
    assert report(state, Enforced(2), "0.1.0", 1020.0) is True
    assert report(state, Enforced(2), "0.1.0", 1020.0 + 2 * EVERY) is True
    told = [read(body) for _, body in office.received]
    assert all(is_signed(joined.public, signed, signature) for _, signed, signature in told)
    receipts = [one[0] for one in told]
    assert [(one.serial, one.in_force_at, one.journal) for one in receipts] == [(1, 1000, (5, "ab" * 32)), (2, 1020, None), (2, 1020, None)]
    assert receipts[0].counter < receipts[1].counter < receipts[2].counter


def test_a_certificate_that_nobody_trusts_is_told_as_such(tmp_path: Path) -> None:
    """Not "is the network up?": the remedy is a certificate, or plain HTTP, since the list is signed."""
    files = Authority(tmp_path).vouch("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        with pytest.raises(JoinError, match=r"does not trust the certificate of 127\.0\.0\.1:"):
            join(tmp_path, JoinCode(f"https://127.0.0.1:{server.server_address[1]}", "ab" * 16, TICKET))
    finally:
        server.shutdown()
        server.server_close()
    assert read_joined(tmp_path) is None


def test_keys_come_with_joining_and_later(office: Office, tmp_path: Path) -> None:
    """A gateway has the keys of sealed segments from the moment it joined, keeps them when a new one comes, or nothing does."""
    join(tmp_path, code_of(office))
    held = tmp_path / HELD_FILE
    assert read_keys(held) == office.keys
    assert held.stat().st_mode & 0o777 == 0o600
    old, office.keys = office.keys, {key_id(b"n" * 32): b"n" * 32}
    fetch_keys(tmp_path)
    assert read_keys(held) == office.keys | old
    office.status = 404
    with pytest.raises(JoinError):
        fetch_keys(tmp_path)
    assert read_keys(held) == office.keys | old


def test_whoever_has_no_ticket_is_given_no_key(office: Office, tmp_path: Path) -> None:
    """Following is free; keys are for gateways the office knows."""
    join(tmp_path, code_of(office, ""))
    with pytest.raises(SealError, match="joined by a code of their own"):
        fetch_keys(tmp_path)
    assert not (tmp_path / HELD_FILE).exists()


def test_lost_receipt_is_sent_again_with_a_new_counter(office: Office, tmp_path: Path) -> None:
    """An office that does not take it hears again at the next round, since when it is in force is still the first moment."""
    join(tmp_path, code_of(office))
    office.received.clear()
    office.status = 503
    assert report(tmp_path, Enforced(1), "0.1.0", 1000.0) is False
    office.status = 200
    assert report(tmp_path, Enforced(1), "0.1.0", 1300.0) is True
    first, second = (read(body)[0] for _, body in office.received)
    assert second.counter > first.counter and second.in_force_at == 1000


def test_whoever_has_no_ticket_sends_nothing(office: Office, tmp_path: Path) -> None:
    """A code without a ticket: the list is followed, nobody is told."""
    join(tmp_path, code_of(office, ""))
    assert report(tmp_path, Enforced(1), "0.1.0", 1000.0) is None
    assert office.received == []


def test_faults_change_nothing(office: Office, tmp_path: Path) -> None:
    """Another root in between, a used ticket, nobody there: one sentence, and no office is joined."""
    code = code_of(office)
    stranger = Publisher(tmp_path / "stranger")
    root = office.folder / "metadata/1.root.json"
    kept = root.read_bytes()
    root.write_bytes(stranger.root)
    with pytest.raises(JoinError, match="does not fit the code"):
        join(tmp_path, code)
    root.write_bytes(kept)
    office.status = 404
    with pytest.raises(JoinError, match="works once"):
        join(tmp_path, code)
    with pytest.raises(JoinError, match="cannot be reached"):
        join(tmp_path, JoinCode("http://127.0.0.1:1", code.fingerprint))
    root.write_bytes(b"{}")
    with pytest.raises(JoinError, match="no root"):
        join(tmp_path, JoinCode(office.url, fingerprint_of(b"{}")))
    assert read_joined(tmp_path) is None and [path.name for path in tmp_path.glob("follow/root*")] == [f"root-{code.fingerprint}.json"]


def test_compressed_root_is_not_unpacked(tmp_path: Path) -> None:
    """Whoever answers at the address of a code cannot fill the memory with a few octets; nothing is joined."""
    with serve_bomb() as url, pytest.raises(JoinError, match="compressed"):
        join(tmp_path, JoinCode(url, "0" * 64, ""))
    assert read_joined(tmp_path) is None


def test_office_that_drips_does_not_hold_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who typed a code is told in the end, however slowly octets come."""
    monkeypatch.setattr(joining, "WHOLE_SECONDS", 1.0)
    with serve_drips() as url, pytest.raises(JoinError, match="cannot be reached"):
        join(tmp_path, JoinCode(url, "0" * 64, ""))
