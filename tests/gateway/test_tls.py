"""The certificate of the encrypted listeners: tokens from names, reload, identity that no resumed session carries over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StartError
from gateway.settings import TlsSettings
from gateway.tls import DOT_PROTOCOLS, ServerContext, name_in_hello, token_in
from tests.support.certificates import Authority


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("abc.dns.example", "abc"),
        ("ABC.DNS.Example", "abc"),
        ("dns.example", None),
        ("a.b.dns.example", None),
        ("abc.other.example", None),
        ("", None),
        ("dns", None),
    ],
)
def test_token_is_the_one_label_in_front(name: str, token: str | None) -> None:
    """Only `token.name` carries a token; the name alone, deeper names and other names do not."""
    assert token_in(name, "dns.example") == token


@dataclass
class Files:
    """A certificate that can be replaced, its key, and who vouches for it."""

    certificate: Path
    key: Path
    authority: Path


def make(folder: Path, *names: str) -> Files:
    """Files for a server with these names."""
    folder.mkdir(exist_ok=True)
    authority = Authority(folder)
    vouched = authority.vouch(*names)
    return Files(vouched.certificate, vouched.key, authority.file)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[ServerContext, int, list[str | None], Files]]:
    """A TLS server that notes the token of every handshake."""
    files = make(tmp_path, "dns.example", "*.dns.example")
    tls = ServerContext(TlsSettings(files.certificate, files.key, "dns.example"), DOT_PROTOCOLS)
    seen: list[str | None] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(tls.token_of(writer.get_extra_info("ssl_object")))
        writer.write(b"hello")
        await writer.drain()
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls.context)
    yield tls, listening.sockets[0].getsockname()[1], seen, files
    listening.close()
    await listening.wait_closed()


def shake(port: int, client: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None) -> tuple[ssl.SSLSession | None, bool, bytes]:
    """One handshake as a client; the session, whether it was resumed, and the certificate seen."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        client.wrap_socket(plain, server_hostname=name, session=session) as tls,
    ):
        assert tls.recv(5) == b"hello"
        return tls.session, bool(tls.session_reused), tls.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_resumed_session_never_carries_another_token(
    server: tuple[ServerContext, int, list[str | None], Files], version: ssl.TLSVersion
) -> None:
    """A session made as one child and resumed under another name is the other child, or a fresh handshake: never the first child."""
    _, port, seen, files = server
    client = ssl.create_default_context(cafile=str(files.authority))
    client.maximum_version = version
    session, _, _ = await asyncio.to_thread(shake, port, client, "an.dns.example")
    _, was_resumed, _ = await asyncio.to_thread(shake, port, client, "an.dns.example", session)
    assert was_resumed
    await asyncio.to_thread(shake, port, client, "binh.dns.example", session)
    await asyncio.to_thread(shake, port, client, "dns.example", session)
    # An empty token ends the connection: to OpenSSL a resumed session of TLS 1.2 has the name of the one that made it, and no greeting was
    # kept here to read it from (tests/test_transports.py has the whole listener).
    assert seen == (["an", "an", "binh", None] if version == ssl.TLSVersion.TLSv1_3 else ["an", "", "", ""])


def greeting(name: str | None, version: ssl.TLSVersion) -> bytes:
    """The first flight of a client of OpenSSL."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1_2, version
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["an.dns.example", "x" * 63 + ".dns.example", None])
def test_name_is_read_out_of_a_greeting(version: ssl.TLSVersion, name: str | None) -> None:
    """Whole or in several records; less than all of it is no name, never a wrong one."""
    whole = greeting(name, version)
    assert name_in_hello(whole) == name == name_in_hello(whole + b"\x17\x03\x03\0\1x")
    body = whole[5:]
    parts = [body[at : at + 50] for at in range(0, len(body), 50)]
    assert name_in_hello(b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)) == name
    for end in range(len(whole)):
        with pytest.raises((IndexError, ValueError)):
            name_in_hello(whole[:end])


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 255))
def test_no_octets_are_read_as_more_than_they_are(junk: bytes, at: int, octet: int) -> None:
    """Junk, and a greeting with an octet changed: a name, none, or a fault of these two kinds."""
    changed = bytearray(greeting("an.dns.example", ssl.TLSVersion.TLSv1_2))
    changed[at % len(changed)] = octet
    for data in (junk, b"\x16\x03\x01\0\x50" + junk, bytes(changed)):
        with contextlib.suppress(IndexError, ValueError):
            name = name_in_hello(data)
            assert name is None or name.encode() in data


async def test_new_certificate_serves_new_handshakes(server: tuple[ServerContext, int, list[str | None], Files], tmp_path: Path) -> None:
    """A changed certificate is taken over without a restart; a broken one is refused and the good one stays."""
    tls, port, _, files = server
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    _, _, before = await asyncio.to_thread(shake, port, blind, "dns.example")
    assert not tls.reload_if_changed()
    other = make(tmp_path / "new", "dns.example")
    files.certificate.write_bytes(other.certificate.read_bytes())
    with pytest.raises(StartError, match="cannot be used together"):
        tls.reload_if_changed()
    _, _, still = await asyncio.to_thread(shake, port, blind, "dns.example")
    assert still == before
    files.key.write_bytes(other.key.read_bytes())
    assert tls.reload_if_changed()
    _, _, after = await asyncio.to_thread(shake, port, blind, "dns.example")
    assert after != before


def test_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    """A certificate that is not there is named."""
    with pytest.raises(StartError, match=r"cert\.pem does not exist"):
        ServerContext(TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem"), DOT_PROTOCOLS)


async def test_old_versions_are_refused(server: tuple[ServerContext, int, list[str | None], Files]) -> None:
    """TLS 1.1 and older get no handshake."""
    tls, _, _, _ = server
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_right_to_read_that_comes_later_is_noticed(tmp_path: Path) -> None:
    """A renewal that the gateway's account may not read is taken over once somebody gives it the right; no octet of the files changes."""
    files = make(tmp_path, "dns.example")
    for path in (tmp_path, files.certificate, files.key):
        path.chmod(0o755)
    for above in tmp_path.parents:
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 1:
            above.chmod(above.stat().st_mode | 0o111)
    other = make(tmp_path / "new", "dns.example")
    tls = ServerContext(TlsSettings(files.certificate, files.key), DOT_PROTOCOLS)
    for path, source in ((files.certificate, other.certificate), (files.key, other.key)):
        path.write_bytes(source.read_bytes())
    files.key.chmod(0o000)
    with someone_else():
        with pytest.raises(StartError, match="may not be read"):
            tls.reload_if_changed()
        assert not tls.reload_if_changed()
    files.key.chmod(0o644)
    with someone_else():
        assert tls.reload_if_changed()


@contextlib.contextmanager
def someone_else() -> Iterator[None]:
    """Not root for a while: root reads everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)
