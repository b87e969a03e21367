"""Plain lists: one name a line in all the ways lists write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blocklists.normalize import name_of_key
from blocklists.parsers import PLAIN, Harvest, Options, domains
from blocklists.rejections import Reason
from gateway.wire.name import key_from_text


def _parse(text: str) -> Harvest:
    harvest = Harvest()
    domains.parse(text.split("\n"), harvest, Options())
    return harvest


def test_domains_every_way_of_writing_a_name_gives_it() -> None:
    """Stars, leading dots, final dots, URLs of whole sites, comments in three styles and at line ends."""
    harvest = _parse(
        "# a comment\n! a comment\n; a comment\n// a comment\na.example\n*.b.example\n.c.example\nd.example.\nhttps://e.example/\n"
        "f.example # why\ng.example#why\nh.example ; why\ni.example // why\nj.example ! why\nfoo_bar.example\r\n"
        "TIỀN.vn\n0.0.0.0 k.example\n"
    )
    expected = [f"example.{letter}." for letter in "abcdefghij"]
    assert {PLAIN: [*expected, "example.foo_bar.", "vn.xn--tin-hkz.", "example.k."]} == harvest.buckets
    assert not harvest.rejected


def test_domains_what_dns_cannot_enforce_is_counted_not_dropped() -> None:
    """Addresses and single pages are understood and reported; they are not mistakes of the list."""
    harvest = _parse("192.0.2.1\n2001:db8::1\n192.0.2.0/24\nhttps://site.example/one/page\na@mail.example\n")
    assert harvest.rejected == {Reason.IP_ONLY: 3, Reason.URL_PATH: 1, Reason.EMAIL: 1}
    assert harvest.errors == 0 and harvest.entries == 0


def test_domains_junk_is_an_error() -> None:
    """A page of HTML in place of a list is all mistakes."""
    harvest = _parse("<!DOCTYPE html>\n<html><head>\n<title>Sign in</title>\nplease sign in first\n")
    assert harvest.errors == 4 and harvest.entries == 0


@given(st.text(max_size=400))
def test_domains_any_text_raises_nothing(text: str) -> None:
    """No line makes the parser raise, and whatever it takes for a name is one."""
    harvest = _parse(text)
    for key in (key for keys in harvest.buckets.values() for key in keys):
        assert key_from_text(name_of_key(key)) == key
