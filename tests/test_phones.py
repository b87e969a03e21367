"""Phones that leave the house, by the whole program: a token is a phone's name on every encrypted transport, worthless once it is taken
back, and not to be guessed.

Loopback is outside `allow_from` here, so that nothing but a token lets anybody in.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rcode
import httpx
import pytest

from gateway.guesses import BURST
from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.walker import Browser, set_up_home

NAME = "dns.example"
SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1, name: lachan.internal, allow_from: [10.0.0.0/8]}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
doh: {listen: ["127.0.0.1:0"]}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
"""
TRANSPORTS = ("dot", "doh", "doq")
OPEN = ["192.0.2.80"]
Ask = Callable[[str], Awaitable[dns.message.Message]]


@dataclass
class House:
    """A running program with one family in it."""

    gateway: Gateway
    authority: Path
    browser: Browser
    child: str
    """The address of the child's page."""

    def port(self, transport: str) -> int:
        """The first port of a transport."""
        [port] = [int(row["address"].rpartition(":")[2]) for row in self.gateway.status()["listen"] if row["transport"] == transport]
        return port

    def make_phone(self, label: str) -> tuple[str, str]:
        """A phone by the pages: the address of its sheet, and its token."""
        self.browser.get(f"{self.child}/phones/new")
        assert self.browser.submit(f"{self.child}/phones", {"label": label}) == 200
        return self.browser.path, self.token()

    def token(self) -> str:
        """The token on the sheet that is open."""
        found = re.search(r"/phone/([a-z0-9-]+)", self.browser.text)
        assert found, self.browser.text
        return found[1]

    @asynccontextmanager
    async def connect(self, transport: str, token: str) -> AsyncIterator[Ask]:
        """One connection of a phone that is kept; a function that asks over it."""
        name, port = f"{token}.{NAME}", self.port(transport)
        trust = ssl.create_default_context(cafile=str(self.authority))
        if transport == "doq":
            async with quicclient.dial(port, self.authority, name) as quic:

                async def ask(qname: str) -> dns.message.Message:
                    reply = await quic.ask(question(qname))
                    if reply is None:
                        raise TimeoutError
                    return dns.message.from_wire(reply)

                yield ask
        elif transport == "dot":
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)

            async def ask(qname: str) -> dns.message.Message:
                writer.write(len(question(qname)).to_bytes(2, "big") + question(qname))
                try:
                    async with asyncio.timeout(5):
                        size = int.from_bytes(await reader.readexactly(2), "big")
                        return dns.message.from_wire(await reader.readexactly(size))
                except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                    raise TimeoutError from None

            yield ask
            writer.close()
        else:
            async with httpx.AsyncClient(http2=True, verify=trust, trust_env=False, timeout=5) as client:

                async def ask(qname: str) -> dns.message.Message:
                    url = f"https://127.0.0.1:{port}/dns-query/{token}"
                    reply = await client.post(url, content=question(qname), headers={"content-type": "application/dns-message"})
                    if reply.status_code == 429:
                        raise TimeoutError
                    return dns.message.from_wire(reply.content)

                yield ask


def question(name: str) -> bytes:
    """A query for an address, with EDNS."""
    return dns.message.make_query(name, "A", id=0, use_edns=0).to_wire()


def addresses(reply: dns.message.Message) -> list[str]:
    """The addresses of an answer."""
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A family with one child of nine, set up by the pages."""
    folder = tmp_path_factory.mktemp("phones")
    authority = Authority(folder)
    made = authority.vouch(NAME, f"*.{NAME}", "127.0.0.1")
    names = {(name, "A"): OPEN for name in ("www.facebook.com", "free.example")}
    fields = {"certificate": made.certificate, "key": made.key, "admin": free_port()}
    with RunningUpstream(names) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, **fields) as gateway:
        browser = set_up_home(gateway)
        browser.get("/")
        child = next(href for href in browser.page.links if re.fullmatch(r"/profiles/\w{20,}", href))
        yield House(gateway, authority.file, browser, child)
        browser.http.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_token_that_was_taken_back_is_refused_on_the_connection_it_has(house: House, transport: str) -> None:
    """The phone is protected from anywhere; once the page has renewed its token, the very next question on the same connection is refused,
    and the new token is the phone."""
    sheet, token = await asyncio.to_thread(house.make_phone, f"máy {transport}")
    async with house.connect(transport, token) as ask:
        assert addresses(await ask("free.example")) == OPEN
        assert addresses(await ask("www.facebook.com")) == ["0.0.0.0"]
        told: dict[str, float] = {}
        pressing = asyncio.create_task(asyncio.to_thread(house.browser.submit, f"{sheet}/renew"))
        pressing.add_done_callback(lambda _: told.update(at=asyncio.get_running_loop().time()))
        while addresses(await ask("free.example")) == OPEN:
            continue
        refused = asyncio.get_running_loop().time()
        assert await pressing == 200
        assert refused - told.get("at", refused) < 1, "a second after the page has said so at the latest"
        for name in ("free.example", "www.facebook.com", "new.example"):
            reply = await ask(name)
            assert (reply.rcode(), ede_codes(reply), reply.answer) == (dns.rcode.REFUSED, [18], [])
    async with house.connect(transport, house.token()) as ask:
        assert addresses(await ask("free.example")) == OPEN
    assert await asyncio.to_thread(house.browser.submit, f"{sheet}/remove") == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_guesses_end_in_silence_and_the_good_token_beside_them_is_served(house: House, transport: str) -> None:
    """Refused as strangers are, a few times; then an address that goes on guessing hears nothing more, keeps no connection, and is counted;
    a phone behind the same address notices nothing."""
    _, token = await asyncio.to_thread(house.make_phone, f"máy tốt {transport}")
    silent = 0
    async with house.connect(transport, token) as good:
        for number in range(BURST + 12):
            async with house.connect(transport, f"wrong-guess-{number}") as ask:
                try:
                    assert (await ask("free.example")).rcode() == dns.rcode.REFUSED
                except TimeoutError:
                    silent += 1
            assert addresses(await good("free.example")) == OPEN
    assert silent >= 4
    for _ in range(100):
        if house.gateway.metric("lachan_token_guesses_total", transport=transport, action="dropped") >= silent:
            break
        await asyncio.sleep(0.1)
    assert house.gateway.metric("lachan_token_guesses_total", transport=transport, action="dropped") >= silent
    assert "wrong-guess" not in house.gateway.written()
