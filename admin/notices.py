"""What leaves the house for a parent: that a request waits, and once a week a digest. By mail and by webhook; never a name of a site.

A message says nothing that must not be read by somebody else on the way: no child, no site, no reason. It is sent beside the work, with
a time limit, and tried again where the other side may be better in a moment; when it cannot be sent, the page shows the request all the
same. A webhook goes to public addresses only, without following where it is sent on to.
"""

from __future__ import annotations

import asyncio
import json
import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

from blocklists.fetch import is_public

if TYPE_CHECKING:
    from admin.choices import Choices
    from admin.settings import MailServer
    from blocklists.tables import OrganisationId

log = logging.getLogger(__name__)

SECONDS = 10.0
#: Seconds before each try.
TRIES = (0.0, 10.0, 60.0)
#: One message for many requests: a parent is told once, then left in peace for a while.
QUIET = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Message:
    """One message in the reader's language."""

    subject: str
    text: str
    #: The same as a page, for mail programs that show one; empty: text only. Nothing in it is fetched from anywhere.
    page: str = ""


class Post:
    """Sends messages of one installation."""

    def __init__(
        self,
        server: MailServer | None,
        resolve: Callable[[str, int], list[str]] | None = None,
        tries: Sequence[float] = TRIES,
    ) -> None:
        self.server = server
        self.tries = tries
        self._resolve = resolve or _resolve
        self._told: dict[OrganisationId, datetime] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def announce(self, tenant: OrganisationId, choices: Choices, message: Message, now: datetime, *, is_urgent: bool = False) -> bool:
        """Say, beside the work, that something waits; False when nobody is to be told, or was told a moment ago. What is urgent is said
        whatever else was said before, and keeps nothing else quiet."""
        if not (choices.hook or (choices.mail and self.server)):
            return False
        if not is_urgent:
            if now - self._told.get(tenant, now - QUIET) < QUIET:
                return False
            self._told[tenant] = now
        task = asyncio.create_task(self.send(choices, message), name="notice")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return True

    async def send(self, choices: Choices, message: Message) -> None:
        """Send by every way that was chosen. What cannot be sent is logged without its address."""
        ways: list[Callable[[], None]] = []
        if choices.mail and self.server is not None:
            ways.append(lambda: self._mail(choices.mail, message))
        if choices.hook:
            ways.append(lambda: self._hook(choices.hook, message))
        await asyncio.gather(*(self._try(way) for way in ways))

    async def _try(self, way: Callable[[], None]) -> None:
        """One way, until it works, is refused for good, or the tries are over."""
        fault: Exception | None = None
        for wait in self.tries:
            await asyncio.sleep(wait)
            try:
                await asyncio.wait_for(asyncio.to_thread(way), SECONDS * 3)
                return
            except (smtplib.SMTPException, urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
                fault = error
                if _is_final(error):
                    break
            except ValueError as error:
                fault = error
                break
        log.warning("a notice was not sent", extra={"event": "notice.failed", "reason": type(fault).__name__})

    async def finish(self) -> None:
        """Wait for what is on its way."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _mail(self, address: str, message: Message) -> None:
        assert self.server is not None
        server = self.server
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = server.sender, address, message.subject
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        if message.page:
            letter.add_alternative(message.page, subtype="html")
        context = ssl.create_default_context()
        if server.secure:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=context)
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=SECONDS)
        with connection:
            connection.ehlo()
            if not server.secure and connection.has_extn("starttls"):
                connection.starttls(context=context)
                connection.ehlo()
            elif server.user and not server.secure:
                raise ValueError("no password over an open line")
            if server.user and server.password_file is not None:
                connection.login(server.user, server.password_file.read_text(encoding="utf-8").strip())
            connection.send_message(letter)

    def _hook(self, address: str, message: Message) -> None:
        parts = urlsplit(address)
        host = parts.hostname or ""
        found = self._resolve(host, 443)
        if not found or not all(map(is_public, found)):
            raise ValueError("not a public address")
        with urllib3.HTTPSConnectionPool(
            found[0],
            443,
            timeout=urllib3.Timeout(SECONDS),
            maxsize=1,
            ssl_context=ssl.create_default_context(),
            server_hostname=host,
            assert_hostname=host,
        ) as pool:
            body = json.dumps({"event": "waiting", "text": message.subject}).encode()
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Host": host, "Content-Type": "application/json", "User-Agent": "lachan"}
            reply = pool.request("POST", target, body=body, headers=headers, redirect=False, retries=False, preload_content=False)
            status = reply.status
            reply.release_conn()
        if status == 429 or status >= 500:
            raise urllib3.exceptions.HTTPError(f"status {status}")
        if not 200 <= status < 300:
            raise ValueError(f"status {status}")  # refused, or sent elsewhere, where nobody has looked


def _is_final(error: Exception) -> bool:
    """Whether a mail server would refuse the same again (RFC 5321 §4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _resolve(host: str, port: int) -> list[str]:
    return [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
