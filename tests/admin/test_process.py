"""The process: starts on an empty folder, prints the one-time link, serves both pages, ends in order, stays small."""

from __future__ import annotations

import contextlib
import pickle
import re
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest

from admin.audit import CHECKPOINT
from admin.process import bind, send_at_once, serve
from admin.settings import AdminSettings
from admin.setup import TOKEN_FILE
from gateway.errors import StartError
from gateway.settings import Endpoint, TlsSettings
from tests.support.certificates import Authority

MOST_MEGABYTES = 150
ROOT = Path(__file__).parents[2]
SERVE = """
import pickle, socket, sys
from admin.process import serve
sys.exit(serve(pickle.load(sys.stdin.buffer), [socket.socket(fileno=int(one)) for one in sys.argv[1:]]))
"""


def listener() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    return one


def start(settings: AdminSettings, sockets: list[socket.socket], output: Path) -> subprocess.Popen[bytes]:
    """A process of its own: a fork of the tests would count their memory, too."""
    numbers = [one.fileno() for one in sockets]
    with output.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-c", SERVE, *map(str, numbers)], stdin=subprocess.PIPE, stdout=file, pass_fds=numbers, cwd=ROOT
        )
    assert child.stdin is not None
    with child.stdin:
        pickler = pickle.Pickler(child.stdin)
        pickler.dispatch_table = {MappingProxyType: lambda mapping: (dict, (dict(mapping),))}  # type: ignore[assignment]
        pickler.dump(settings)
    return child


def wait_for(address: str) -> httpx.Response:
    for _ in range(200):
        try:
            return httpx.get(address, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{address} did not answer")


def wait_for_link(output: Path, port: int) -> str:
    """The link is printed beside the first answers, not before them."""
    for _ in range(200):
        if found := re.search(rf"http://127\.0\.0\.1:{port}/setup/\S+(?=\s)", output.read_text(encoding="utf-8")):
            return found[0]
        time.sleep(0.05)
    raise AssertionError("no set-up link was printed")


def test_serve_prints_the_link_serves_and_stops(settings: AdminSettings, tmp_path: Path) -> None:
    """A first start: link printed and openable, the explaining page beside it, under the memory limit, gone at SIGTERM."""
    pages, blocks = listener(), listener()
    port, page_port = pages.getsockname()[1], blocks.getsockname()[1]
    own = replace(settings, listen=Endpoint("127.0.0.1", port), block_page=Endpoint("127.0.0.1", page_port))
    own = replace(own, database=f"sqlite+aiosqlite:///{tmp_path / 'own.db'}")
    output = tmp_path / "output"
    child = start(own, [pages, blocks], output)
    pages.close()
    blocks.close()
    try:
        assert wait_for(f"http://127.0.0.1:{port}/sign-in").status_code in (200, 303)
        link = wait_for_link(output, port)
        with httpx.Client(follow_redirects=True) as browser:
            assert "Bảo vệ trẻ em ở đâu?" in browser.get(link).text
        assert wait_for(f"http://127.0.0.1:{page_port}/help").status_code == 200
        assert megabytes(child.pid) < MOST_MEGABYTES
        assert (tmp_path / TOKEN_FILE).exists()
    finally:
        child.terminate()
        status = child.wait(15)
    assert status == 0
    assert (tmp_path / CHECKPOINT).exists()


def megabytes(pid: int) -> int:
    """Resident memory that is the process's own (not what it shares with this one)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(found) for found in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", text)) // 1024


def test_bind_names_what_is_wrong() -> None:
    """A taken port is one sentence with the remedy."""
    taken = listener()
    with pytest.raises(StartError, match="choose another address"):
        bind(Endpoint("127.0.0.1", taken.getsockname()[1]))
    taken.close()


def test_damaged_database_is_one_sentence_and_status_one(
    settings: AdminSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The supervisor sees exit 1; the person reads the remedy; names keep resolving."""
    (tmp_path / "bad.db").write_text("this is not a database" * 500)
    own = replace(settings, database=f"sqlite+aiosqlite:///{tmp_path / 'bad.db'}")
    with listener() as one:
        assert serve(own, [one]) == 1
    told = capsys.readouterr().err
    assert "is damaged" in told and "lachan restore FILE" in told and "names keep resolving" in told
    with pytest.raises(StartError):
        serve(own)


def test_answers_do_not_wait_for_the_reader(tmp_path: Path) -> None:
    """Every connection of a bound listener sends at once: no page loses 40 ms to a delayed acknowledgement."""
    with bind(Endpoint("127.0.0.1", 0)) as bound:
        send_at_once(bound)
        with socket.create_connection(bound.getsockname()):
            bound.setblocking(True)
            connection, _ = bound.accept()
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_renewed_certificate_is_served_without_a_restart(settings: AdminSettings, tmp_path: Path) -> None:
    """What a program for certificates writes anew is shown to the next browser; a broken file leaves the old one."""
    authority = Authority(tmp_path)
    first, second = authority.vouch("127.0.0.1"), authority.vouch("127.0.0.1")
    files = TlsSettings(tmp_path / "served.pem", tmp_path / "served.key")

    def put(certificate: bytes, key: bytes) -> None:
        files.key.write_bytes(key)
        files.certificate.write_bytes(certificate)

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", sock.getsockname()[1]), timeout=5)

    def becomes(wanted: Path) -> bool:
        last = time.monotonic() + 30
        while time.monotonic() < last:
            with contextlib.suppress(OSError):
                if shown().strip() in wanted.read_text():
                    return True
            time.sleep(0.2)
        return False

    put(first.certificate.read_bytes(), first.key.read_bytes())
    sock = listener()
    child = start(replace(settings, tls=files), [sock], tmp_path / "output")
    try:
        assert becomes(first.certificate)
        put(b"broken", first.key.read_bytes())
        time.sleep(6)
        assert becomes(first.certificate)
        put(second.certificate.read_bytes(), second.key.read_bytes())
        assert becomes(second.certificate)
    finally:
        child.terminate()
        child.wait(20)
        sock.close()
