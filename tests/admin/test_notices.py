"""Notices: a real letter through a real mail server of the test's own; it says that something waits and nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from admin.choices import Choices
from admin.notices import QUIET, Message, Post
from admin.settings import MailServer
from blocklists.tables import OrganisationId
from tests.support.certificates import Authority
from tests.support.gateway import ROOT
from tests.support.namespaces import Networks, require

HOME = OrganisationId("home")
WORDS = Message("Lá Chắn: một đề nghị đang chờ", "Mở trang đề nghị: http://192.168.1.2:8080/requests")


class MailBox:
    """A mail server that keeps what it is given (RFC 5321, as far as one client needs)."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.to: list[str] = []
        self.refusals: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            if word == "RCPT" and self.refusals:
                writer.write(self.refusals.pop(0))
                continue
            if word == "RCPT":
                self.to.append(line.partition(":")[2].split()[0])
            writer.write(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            if word == "QUIT":
                break
        writer.close()


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[MailBox, MailServer]]:
    box = MailBox()
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield box, MailServer("127.0.0.1", port, "lachan@example.vn")
    server.close()


async def test_letter_arrives_once_for_many_requests(mailbox: tuple[MailBox, MailServer], now: datetime) -> None:
    """One letter in a while; another family is told for itself; nobody without an address is told."""
    box, server = mailbox
    post = Post(server)
    choices = Choices(mail="me@example.com")
    assert post.announce(HOME, choices, WORDS, now)
    assert not post.announce(HOME, choices, WORDS, now + timedelta(minutes=1))
    assert not post.announce(OrganisationId("other"), Choices(), WORDS, now)
    await post.finish()
    assert box.to == ["<me@example.com>"]
    assert "auto-generated" in box.letters[0]
    assert post.announce(HOME, choices, WORDS, now + QUIET)
    await post.finish()
    assert len(box.letters) == 2
    assert post.announce(HOME, choices, WORDS, now + QUIET, is_urgent=True), "what concerns the account itself is never kept quiet"
    await post.finish()
    assert len(box.letters) == 3


async def test_nothing_is_raised_when_it_cannot_be_sent(now: datetime, caplog: pytest.LogCaptureFixture) -> None:
    """The request is on the page all the same; the log names no address."""
    post = Post(MailServer("127.0.0.1", 1, "lachan@example.vn"), tries=(0, 0))
    assert post.announce(HOME, Choices(mail="me@example.com"), WORDS, now)
    await post.finish()
    assert "a notice was not sent" in caplog.text
    assert "me@example.com" not in caplog.text
    assert not Post(None).announce(HOME, Choices(mail="me@example.com"), WORDS, now)


async def test_password_never_goes_over_an_open_line(mailbox: tuple[MailBox, MailServer], now: datetime) -> None:
    """A server without TLS gets no password and no letter."""
    box, server = mailbox
    post = Post(MailServer(server.host, server.port, server.sender, user="lachan"))
    await post.send(Choices(mail="me@example.com"), WORDS)
    assert box.letters == []


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_hook_into_the_house_is_refused(address: str, now: datetime, caplog: pytest.LogCaptureFixture) -> None:
    """A name that leads to an inner address is not asked, whatever it is called."""
    post = Post(None, resolve=lambda host, port: [address])
    assert post.announce(HOME, Choices(hook="https://hook.example/x"), WORDS, now)
    await post.finish()
    assert "a notice was not sent" in caplog.text


@pytest.mark.parametrize(("refusal", "letters"), [(b"451 later\r\n", 1), (b"550 never\r\n", 0)])
async def test_letter_is_tried_again_when_it_may_help(mailbox: tuple[MailBox, MailServer], refusal: bytes, letters: int) -> None:
    """A server that is busy is asked once more; one that refuses for good is left in peace."""
    box, server = mailbox
    box.refusals = [refusal]
    await Post(server, tries=(0, 0)).send(Choices(mail="me@example.com"), WORDS)
    assert len(box.letters) == letters


RECEIVER = """
import asyncio, json, ssl, sys
from admin.choices import Choices
from admin.notices import Message, Post

certificate, key = sys.argv[1:3]
statuses, heard = [503, 204, 302, 200], []

async def serve(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    length = int(next(line for line in head.splitlines() if line.lower().startswith("content-length")).split(":")[1])
    heard.append([head, (await reader.readexactly(length)).decode()])
    writer.write(f"HTTP/1.1 {statuses.pop(0)} x\\r\\nLocation: https://hook.example/elsewhere\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
    await writer.drain()
    writer.close()

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(serve, "9.9.9.9", 443, ssl=context)
    message = Message("one waits", "Bi asked for secret.example")
    for address, tries in (("9.9.9.9", (0, 0)), ("9.9.9.9", (0, 0)), ("10.0.0.9", (0, 0))):
        post = Post(None, resolve=lambda host, port: [address], tries=tries)
        await post.send(Choices(hook="https://hook.example/in?k=1"), message)
    print(json.dumps(heard))
    server.close()

asyncio.run(main())
"""


@pytest.mark.full
def test_hook_is_delivered_over_tls(tmp_path: Path) -> None:
    """A real receiver at a public address of a network of its own: busy, then content; it hears only that something waits, is tried again
    after 503, is not followed where it sends on to, and nothing goes to an inner address."""
    require("python3")
    authority = Authority(tmp_path)
    chain = authority.vouch("hook.example")
    with Networks() as networks:
        machine = networks.machine("parent", networks.switch("home"), "10.77.0.1/24")
        machine.ip("addr", "add", "9.9.9.9/32", "dev", "lo")
        machine.ip("addr", "add", "10.0.0.9/32", "dev", "lo")
        program = ["env", f"SSL_CERT_FILE={authority.file}", f"PYTHONPATH={ROOT}", sys.executable, "-c", RECEIVER]
        heard = json.loads(machine.run(*program, str(chain.certificate), str(chain.key), seconds=60).splitlines()[-1])
    assert len(heard) == 3
    for head, body in heard:
        assert head.startswith("POST /in?k=1 HTTP/1.1") and "host: hook.example" in head.lower()
        assert json.loads(body) == {"event": "waiting", "text": "one waits"}
