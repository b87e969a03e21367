"""DNS over TLS towards upstreams: who is believed, what is sent, what happens when TLS goes wrong. Real TLS on real sockets."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import ssl
import time

import dns.edns
import pytest

from gateway.query import Answer
from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, NetworkError, Timeout, UpstreamFailure
from gateway.upstreams.tls import is_pinned, make_context, read_pin
from tests.gateway.upstreams.conftest import OpenResolver, server
from tests.support.certificates import Authority
from tests.support.scripts import Asked, Close, Reset, Say, Script, addresses, reply_to, wire
from tests.support.upstream import ScriptedUpstream


class Giver(ScriptedUpstream):
    """Gives every name an address."""

    def handle(self, asked: Asked) -> Script:
        return super().handle(asked) if asked.is_probe else addresses(asked, "192.0.2.1")


async def test_questions_go_over_one_encrypted_connection(open_resolver: OpenResolver, authority: Authority) -> None:
    """A server with a valid certificate is asked over one kept TLS connection, nothing over plain DNS, messages padded to 128 octets."""
    async with Giver(tls=authority.vouch("dns.example").context("dot")) as upstream:
        asker = open_resolver(upstream, scheme="tls", authorities=str(authority.file))
        outcomes = await asyncio.gather(*(asker.begin(f"w{'x' * number}.example", do=number % 2 == 0) for number in range(1, 50)))
        outcomes += [await asker.ask("later.example")]
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert upstream.connections == 1
        assert {asked.transport for asked in upstream.asked} == {"dot"}
        assert {len(asked.raw) % 128 for asked in upstream.questions} == {0}
        assert {option.otype for asked in upstream.questions for option in asked.message.options} == {dns.edns.OptionType.PADDING}
        assert len({asked.id for asked in upstream.questions}) > 45


@pytest.mark.parametrize(
    ("names", "is_expired", "is_known", "works"),
    [
        (["dns.example"], False, True, True),
        (["a.example", "dns.example"], False, True, True),
        (["*.example"], False, True, False),
        (["other.example"], False, True, False),
        (["127.0.0.1"], False, True, False),
        (["dns.example"], True, True, False),
        (["dns.example"], False, False, False),
    ],
    ids=["right", "one of several", "wildcard over a top level", "other name", "address only", "expired", "unknown authority"],
)
async def test_certificate_must_be_valid_for_the_name(
    open_resolver: OpenResolver, authority: Authority, names: list[str], is_expired: bool, is_known: bool, works: bool
) -> None:
    """Only a current certificate for the configured name from a known authority is believed; otherwise not one question leaves, EDE 23."""
    async with Giver(tls=authority.vouch(*names, is_expired=is_expired).context("dot")) as upstream:
        asker = open_resolver(upstream, scheme="tls", authorities=str(authority.file) if is_known else None)
        outcome = await asker.ask()
        if works:
            assert isinstance(outcome, Answer)
        else:
            assert isinstance(outcome, NetworkError) and outcome.ede[0][0] == 23
            assert {evidence.fault for evidence in outcome.evidence} == {Fault.TLS}
            assert "certificate" in outcome.evidence[0].detail
            assert upstream.asked == []


async def test_certificate_for_an_address_serves_a_server_without_name(open_resolver: OpenResolver, authority: Authority) -> None:
    """`tls://192.0.2.53` is checked against the address in the certificate."""
    async with Giver(tls=authority.vouch("127.0.0.1").context()) as upstream:
        asker = open_resolver(server(upstream, "tls", name="127.0.0.1"), authorities=str(authority.file))
        assert isinstance(await asker.ask(), Answer)


async def test_pinned_key_is_enough_and_is_required(open_resolver: OpenResolver, authority: Authority) -> None:
    """With a pin the key decides, not name or authority; another key is refused before any question leaves."""
    certificate = authority.vouch("whatever.example", is_expired=True)
    async with Giver(tls=certificate.context("dot")) as upstream:
        right = server(upstream, "tls", path=f"/pin-sha256={certificate.pin}")
        assert isinstance(await open_resolver(right).ask(), Answer)
        wrong = server(upstream, "tls", path=f"/pin-sha256={authority.vouch('dns.example').pin}")
        before = len(upstream.asked)
        outcome = await open_resolver(wrong, authorities=str(authority.file)).ask()
        assert isinstance(outcome, NetworkError)
        assert outcome.evidence[0].detail == "the public key is not the pinned one"
        assert len(upstream.asked) == before


async def test_old_tls_is_refused(open_resolver: OpenResolver, authority: Authority) -> None:
    """Below TLS 1.2 nothing is sent."""
    context = authority.vouch("dns.example").context("dot")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with Giver(tls=context) as upstream:
        outcome = await open_resolver(upstream, scheme="tls", authorities=str(authority.file)).ask()
        assert isinstance(outcome, NetworkError) and upstream.asked == []


async def test_tls_12_and_13_are_both_spoken(open_resolver: OpenResolver, authority: Authority) -> None:
    """A server that knows only one of the two is reached."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.vouch("dns.example").context("dot")
        context.minimum_version = context.maximum_version = version
        async with Giver(tls=context) as upstream:
            assert isinstance(await open_resolver(upstream, scheme="tls", authorities=str(authority.file)).ask(), Answer)


@pytest.mark.parametrize("behaviour", ["silent", "garbage", "closes", "plain"])
async def test_broken_handshake_fails_in_time(open_resolver: OpenResolver, authority: Authority, behaviour: str) -> None:
    """A peer that is silent, talks nonsense, closes or speaks plain DNS on the TLS port ends in a typed failure within two seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if behaviour == "garbage":
            writer.write(b"\xff" * 200)
        elif behaviour == "plain":
            writer.write(b"\0\x0c" + bytes(12))
        if behaviour == "closes":
            writer.close()
        else:
            await reader.read()
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = UpstreamAddress("tls", "dns.example", listener.sockets[0].getsockname()[1], "", "127.0.0.1")
    asker = open_resolver(address, authorities=str(authority.file))
    started = time.monotonic()
    outcome = await asker.ask()
    assert isinstance(outcome, Timeout if behaviour == "silent" else NetworkError)
    assert time.monotonic() - started < 2
    asker.resolver.close()
    listener.close()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", [Close(), Reset()])
async def test_lost_encrypted_connection_is_replaced(open_resolver: OpenResolver, authority: Authority, end: Close | Reset) -> None:
    """A server that closes a kept connection with a question under way is asked again on a fresh one."""

    class Closing(Giver):
        def handle(self, asked: Asked) -> Script:
            return [end] if len(self.questions) == 2 else addresses(asked, "192.0.2.1")

    async with Closing(tls=authority.vouch("dns.example").context("dot")) as upstream:
        asker = open_resolver(upstream, scheme="tls", authorities=str(authority.file))
        await asker.ask("a.example")
        assert isinstance(await asker.ask("b.example"), Answer)
        assert upstream.connections == 2 and upstream.count() == 3


async def test_authentic_data_passes_from_trusted_upstreams_only(open_resolver: OpenResolver, authority: Authority) -> None:
    """AD is passed on from an encrypted upstream that the operator trusts, and from no other."""

    class Sure(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return wire(reply_to(asked, f"{asked.qname}. 300 IN A 192.0.2.1", flags="QR RD RA AD"))

    async with Sure(tls=authority.vouch("dns.example").context("dot")) as upstream:
        address = server(upstream, "tls")
        trusting = open_resolver(address, authorities=str(authority.file), trusted=frozenset({address}))
        plain = open_resolver(address, authorities=str(authority.file))
        outcomes = [await trusting.ask(), await plain.ask()]
        assert [isinstance(outcome, Answer) and outcome.ad for outcome in outcomes] == [True, False]


async def test_dead_encrypted_server_gives_way_to_the_next(open_resolver: OpenResolver, authority: Authority) -> None:
    """While one server hangs in its handshake, the next one answers long before anybody gives up."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    dead = UpstreamAddress("tls", "dns.example", listener.sockets[0].getsockname()[1], "", "127.0.0.1")
    async with Giver(tls=authority.vouch("dns.example").context("dot")) as upstream:
        asker = open_resolver(dead, server(upstream, "tls"), authorities=str(authority.file))
        started = time.monotonic()
        assert isinstance(await asker.ask(), Answer)
        assert time.monotonic() - started < 1.0
        asker.resolver.close()
    listener.close()
    await asyncio.sleep(0.05)


async def test_encrypted_blackout_ends_within_a_second_of_the_return(open_resolver: OpenResolver, authority: Authority) -> None:
    """An encrypted upstream that was gone is used again within a second, with at most a connection a second meanwhile."""
    async with Giver(tls=authority.vouch("dns.example").context("dot")) as upstream:
        asker = open_resolver(upstream, scheme="tls", authorities=str(authority.file))
        await asker.ask("a.example")
        await upstream.stop()
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
        assert all(isinstance(outcome, UpstreamFailure) for outcome in outcomes)
        await upstream.start()
        back = time.monotonic()
        assert isinstance(await asker.ask("b.example"), Answer)
        assert time.monotonic() - back < 1.2


@pytest.mark.parametrize(
    ("path", "is_right"),
    [
        ("", True),
        ("/pin-sha256=" + base64.b64encode(bytes(range(32))).decode(), True),
        ("/pin-sha256=" + base64.urlsafe_b64encode(bytes(range(220, 252))).decode().rstrip("="), True),
        ("/pin-sha256=", False),
        ("/pin-sha256=short", False),
        ("/pin-sha256=" + "!" * 43, False),
        ("/dns-query", False),
    ],
)
def test_pin_is_read_or_refused_with_a_sentence(path: str, is_right: bool) -> None:
    """A pin is 32 octets in base64 of either alphabet; anything else is a mistake that is explained."""
    if is_right:
        assert len(read_pin(path)) in (0, 32)
    else:
        with pytest.raises(ValueError, match="SHA-256"):
            read_pin(path)


def test_context_is_strict_unless_pinned() -> None:
    """Name and authority are always checked, except when a pinned key replaces both."""
    address = UpstreamAddress("tls", "dns.example", 853, "", "192.0.2.53")
    strict = make_context(address)
    assert strict.check_hostname and strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.minimum_version is ssl.TLSVersion.TLSv1_2
    pinned = make_context(dataclasses.replace(address, path="/pin-sha256=x"))
    assert not pinned.check_hostname
    https = make_context(dataclasses.replace(address, scheme="https", path="/dns-query"))
    assert https.check_hostname and https.verify_mode is ssl.CERT_REQUIRED


def test_nothing_is_pinned_without_a_certificate() -> None:
    """A connection without TLS or certificate never matches a pin."""
    assert not is_pinned(None, bytes(32))


async def test_delayed_answers_come_in_any_order(open_resolver: OpenResolver, authority: Authority) -> None:
    """Pipelining works inside TLS as it does over TCP."""

    class Reordering(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "192.0.2.1"), after=0.2 if asked.qname.startswith("slow") else 0.0)]

    async with Reordering(tls=authority.vouch("dns.example").context("dot")) as upstream:
        asker = open_resolver(upstream, scheme="tls", authorities=str(authority.file))
        await asker.ask("first.example")
        slow = asker.begin("slow.example")
        await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
        assert not slow.done()
        assert isinstance(await slow, Answer)
