"""HTTP/1.1 as a conversation: one request after the other, and no memory for what comes behind."""

from __future__ import annotations

from typing import Any

from gateway.listeners.http import Ask
from gateway.listeners.http1 import Http1
from tests.support.speaking import Owner

MESSAGE = bytes(12)
HEAD = b"POST /dns-query/k3j9abcdefgh HTTP/1.1\r\nhost: dns.example\r\ncontent-type: application/dns-message\r\n"
POST = HEAD + b"content-length: 12\r\n\r\n" + MESSAGE


def speak(owner: Owner) -> Any:
    """HTTP/1.1 on a connection."""
    owner.speaker = Http1(owner)  # type: ignore[arg-type]
    return owner.speaker


def test_requests_in_single_octets_and_their_clock() -> None:
    """Whole after the last octet; the clock of a request runs from its first octet until then."""
    owner = Owner()
    speaker = speak(owner)
    for octet in POST[:-1]:
        owner.time += 1
        assert speaker.receive(bytes([octet])) and speaker.begun == 101.0
    assert owner.asked == []
    assert speaker.receive(POST[-1:])
    assert speaker.begun is None
    assert owner.asked == [(0, Ask(MESSAGE, "k3j9abcdefgh"))] and owner.take().startswith(b"HTTP/1.1 200")


def test_what_comes_behind_a_request_waits_its_turn() -> None:
    """While the first is answered nothing more is read; then the next, and the connection reads on."""
    owner = Owner(lambda ask: None)
    speaker = speak(owner)
    assert speaker.receive(POST + POST) and speaker.is_full and len(owner.asked) == 1
    owner.answer = lambda ask: ask.message
    speaker.respond(0, 200, [], MESSAGE)
    assert speaker.is_full, "until the loop came round"
    owner.turn()
    assert len(owner.asked) == 2
    owner.turn()
    assert not speaker.is_full and speaker.begun is None and owner.turns == 2
    assert owner.take().count(b"HTTP/1.1 200") == 2


def test_body_beyond_a_message_and_head_without_end() -> None:
    """413 and the end; 431 or 400 and the end."""
    owner = Owner()
    speaker = speak(owner)
    assert not speaker.receive(HEAD + b"content-length: 70000\r\n\r\n" + bytes(70_000))
    assert owner.take().startswith(b"HTTP/1.1 413") and owner.asked == []
    owner = Owner()
    speaker = speak(owner)
    assert not speaker.receive(b"GET /dns-query HTTP/1.1\r\nx: " + b"a" * 20_000)
    assert owner.take().split()[1] in (b"431", b"400")


def test_client_that_wants_to_end_is_let_go() -> None:
    """`connection: close` closes after the answer."""
    owner = Owner()
    speak(owner).receive(POST.replace(b"host:", b"connection: close\r\nhost:", 1))
    assert owner.is_closed and owner.take().startswith(b"HTTP/1.1 200")


def test_client_that_waits_before_it_sends_its_body_is_told_to_go_on() -> None:
    """`expect: 100-continue` (RFC 9110 §10.1.1), as older .NET programs on Windows ask; one that sends it all at once needs no word."""
    owner = Owner()
    speaker = speak(owner)
    head = HEAD + b"expect: 100-continue\r\ncontent-length: 12\r\n\r\n"
    assert speaker.receive(head)
    assert owner.take() == b"HTTP/1.1 100 \r\n\r\n" and owner.asked == []
    assert speaker.receive(MESSAGE) and owner.take().startswith(b"HTTP/1.1 200")
    owner.turn()
    assert speaker.receive(head + MESSAGE) and owner.take().startswith(b"HTTP/1.1 200") and len(owner.asked) == 2


def test_body_with_two_lengths_is_refused_and_nothing_behind_it_is_read() -> None:
    """RFC 9112 §6.1: a front end may have read the other length, and what is left over would be a request that nobody sent."""
    owner = Owner()
    speaker = speak(owner)
    both = HEAD + b"content-length: 12\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert not speaker.receive(both + POST)
    assert owner.take().startswith(b"HTTP/1.1 400") and owner.asked == []


def test_fault_behind_a_good_request_has_its_status() -> None:
    """What is wrong with the second of two requests is said, after the answer to the first."""
    owner = Owner()
    speaker = speak(owner)
    assert speaker.receive(POST + b"nonsense\r\n\r\n")
    owner.turn()
    sent = owner.take()
    assert sent.startswith(b"HTTP/1.1 200") and sent.count(b"HTTP/1.1 400") == 1 and owner.is_closed
