"""DoH requests: what is asked, and the status of what is not a question."""

from __future__ import annotations

import base64

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners.http import Ask, Refusal, Target, least_ttl, read_get, read_post, read_target

QUERY = dns.message.make_query("www.example.com", "A", id=0).to_wire()
TEXT = base64.urlsafe_b64encode(QUERY).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/dns-query", Target(None, "")),
        ("/dns-query/", Target(None, "")),
        ("/dns-query?dns=x", Target(None, "dns=x")),
        ("/dns-query/k3j9", Target("k3j9", "")),
        ("/dns-query/K3J9?dns=x", Target("k3j9", "dns=x")),
        ("/dns-query/a/b", None),
        ("/dns-query/..", None),
        ("/dns-queryx", None),
        ("/", None),
        ("", None),
    ],
)
def test_path_tells_the_token(path: str, expected: Target | None) -> None:
    """The listener's own path, with or without a token behind it, and nothing else."""
    assert read_target(path, "/dns-query") == expected


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"dns={TEXT}", 0),
        (f"a=b&dns={TEXT}", 0),
        (f"dns={TEXT}=", 400),
        (f"dns={TEXT}&dns={TEXT}", 400),
        ("dns=", 400),
        ("", 400),
        ("dns=a+b/", 400),
        ("dns=AAAA", 400),
        ("dns=" + "A" * 90_000, 414),
    ],
)
def test_get_carries_one_message_without_padding(query: str, status: int) -> None:
    """Exactly one `dns=`, in the alphabet of RFC 4648 §5 without padding, of at least a header and at most 64 KiB."""
    result = read_get(Target(None, query))
    assert result == (Refusal(status) if status else Ask(QUERY, None))


def test_post_carries_its_media_type() -> None:
    """A body of another type or size has its own status."""
    target = Target("k", "")
    assert read_post(target, b"application/dns-message; charset=x", QUERY) == Ask(QUERY, "k")
    assert read_post(target, b"text/plain", QUERY) == Refusal(415)
    assert read_post(target, b"application/dns-message", b"") == Refusal(400)
    assert read_post(target, b"application/dns-message", bytes(65_536)) == Refusal(413)


def test_least_ttl_is_the_smallest_of_all_sections() -> None:
    """A cache between must not keep a reply longer than its shortest record; EDNS is no record."""
    reply = dns.message.make_response(dns.message.make_query("www.example.com", "A", use_edns=0))
    reply.answer.append(dns.rrset.from_text("www.example.com.", 300, "IN", "CNAME", "a.example.com."))
    reply.answer.append(dns.rrset.from_text("a.example.com.", 42, "IN", "A", "192.0.2.1"))
    assert least_ttl(reply.to_wire()) == 42
    reply.answer.clear()
    assert least_ttl(reply.to_wire()) == 0
    reply.authority.append(dns.rrset.from_text("example.com.", 77, "IN", "SOA", "a. b. 1 2 3 4 5"))
    assert least_ttl(reply.to_wire()) == 77


@given(st.text(max_size=200))
def test_any_query_string_is_an_ask_or_a_refusal(text: str) -> None:
    """No query string raises."""
    assert isinstance(read_get(Target(None, text)), Ask | Refusal)
