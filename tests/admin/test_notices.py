"""Notices: a real letter through a real mail server of the test's own; it says that something waits and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from admin.choices import Choices
from admin.notices import QUIET, MailServer, Message, Post
from blocklists.tables import OrganisationId

HOME = OrganisationId("home")
WORDS = Message("Lá Chắn: một đề nghị đang chờ", "Mở trang đề nghị: http://192.168.1.2:8080/requests")


class MailBox:
    """A mail server that keeps what it is given (RFC 5321, as far as one client needs)."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.to: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
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


async def test_nothing_is_raised_when_it_cannot_be_sent(now: datetime, caplog: pytest.LogCaptureFixture) -> None:
    """The request is on the page all the same; the log names no address."""
    post = Post(MailServer("127.0.0.1", 1, "lachan@example.vn"))
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
