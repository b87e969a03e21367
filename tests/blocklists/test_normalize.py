"""The normaliser: what people and lists write, one canonical name or a reason with its place."""

from __future__ import annotations

import time
import unicodedata

import dns.name
import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.normalize import Host, key_of_name, name_of_key, normalize_host, plain_key
from blocklists.rejections import Reason, Rejection
from gateway.wire.name import key_from_text

NAMES = [
    ("example.com", "example.com"),
    ("Example.COM", "example.com"),
    ("example.com.", "example.com"),
    (" example . com ", "example.com"),
    ("\u00a0example.com\u3000", "example.com"),
    ("http://example.com/", "example.com"),
    ("HTTPS://EXAMPLE.COM:443", "example.com"),
    ("//example.com", "example.com"),
    ("http:\\\\example.com", "example.com"),
    ("https://user:secret@example.com/", "example.com"),
    ("hxxp://bad[.]site", "bad.site"),
    ("hXXps://a(dot)b[.]vn", "a.b.vn"),
    ("h**p://bad.site", "bad.site"),
    ("bad[dot]site", "bad.site"),
    ("bad {.} site", "bad.site"),
    ("bad[chấm]site", "bad.site"),
    ("bad[.site", "bad.site"),
    ("bad\\.site", "bad.site"),
    ("hxxps[://]bad[.]site", "bad.site"),
    ("“example.com”,", "example.com"),
    ("<example.com>", "example.com"),
    ("ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
    ("example。com", "example.com"),
    ("exa\u200bmple.com\ufeff", "example.com"),
    ("exa\u00admple.com", "example.com"),
    ("exam\u200cple.com", "example.com"),
    ("tiền.vn", "xn--tin-hkz.vn"),
    (unicodedata.normalize("NFD", "tiền.vn"), "xn--tin-hkz.vn"),
    ("TIỀN.VN", "xn--tin-hkz.vn"),
    ("shọpmobaviet.vn", "xn--shpmobaviet-v89e.vn"),
    ("straße.de", "xn--strae-oqa.de"),
    ("βόλος.com", "xn--nxasmm1c.com"),
    ("☃.net", "xn--n3h.net"),
    ("xn--n3h.net", "xn--n3h.net"),
    ("foo_bar.example.com", "foo_bar.example.com"),
    ("_dmarc.example.com", "_dmarc.example.com"),
    ("-odd-.example.com", "-odd-.example.com"),
    ("r3---sn-4g5e6n7z.googlevideo.com", "r3---sn-4g5e6n7z.googlevideo.com"),
    (".example.com", "example.com"),
    ("localhost", "localhost"),
    ("1.fm", "1.fm"),
    ("a" * 63 + ".vn", "a" * 63 + ".vn"),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_normalize_name_as_written_gives_one_canonical_form(text: str, name: str) -> None:
    """However a name is written, one A-label name and its key come out."""
    host = normalize_host(text)
    assert isinstance(host, Host), host
    assert (host.name, host.key) == (name, key_from_text(name))
    assert not host.wildcard and not host.has_path


REJECTED = [
    ("", Reason.EMPTY, -1),
    ("   ", Reason.EMPTY, -1),
    ("https://", Reason.EMPTY, -1),
    ("103.1.2.3", Reason.IP_ONLY, -1),
    ("103.1.2.3:8080", Reason.IP_ONLY, -1),
    ("http://103.1.2.3/x", Reason.IP_ONLY, -1),
    ("10.0.0.0/8", Reason.IP_ONLY, -1),
    ("127.1", Reason.IP_ONLY, -1),
    ("0x7f.0.0.1", Reason.IP_ONLY, -1),
    ("0177.0.0.1", Reason.IP_ONLY, -1),
    ("3232235777", Reason.IP_ONLY, -1),
    ("１０３.１.２.３", Reason.IP_ONLY, -1),
    ("2001:db8::1", Reason.IP_ONLY, -1),
    ("[2001:db8::1]:443", Reason.IP_ONLY, -1),
    ("fe80::1%eth0", Reason.IP_ONLY, -1),
    ("300.1.1.1", Reason.NUMERIC_END, -1),
    ("2026", Reason.NUMERIC_END, -1),
    ("exa\u202emple.com", Reason.BAD_CHARACTER, 3),
    ("  exa mple.com", Reason.BAD_CHARACTER, 5),
    ("exam\x00ple.com", Reason.BAD_CHARACTER, 4),
    ("http://exam<ple.com", Reason.BAD_CHARACTER, 11),
    ("example.com:99999", Reason.BAD_CHARACTER, 11),
    ("a..b.com", Reason.EMPTY_LABEL, 2),
    ("x*.example.com", Reason.WILDCARD_INSIDE, 1),
    ("*", Reason.WILDCARD_INSIDE, 0),
    ("a" * 64 + ".vn", Reason.LABEL_TOO_LONG, 0),
    (".".join(["abcdefg"] * 40), Reason.NAME_TOO_LONG, -1),
    ("ề" * 64 + ".vn", Reason.LABEL_TOO_LONG, -1),
    ("a@example.com", Reason.EMAIL, 1),
    ("mailto:a@example.com", Reason.EMAIL, 0),
    ("ab\u2215c.example", Reason.BAD_IDNA, 2),
    ("x" * 5000, Reason.NAME_TOO_LONG, -1),
]


@pytest.mark.parametrize(("text", "reason", "position"), REJECTED)
def test_normalize_text_that_is_no_name_is_rejected_with_its_place(text: str, reason: Reason, position: int) -> None:
    """What is not a name says why, and where in the text as it was given."""
    rejection = normalize_host(text)
    assert isinstance(rejection, Rejection), rejection
    assert (rejection.reason, rejection.position) == (reason, position)


def test_normalize_path_and_port_are_facts_beside_the_name() -> None:
    """A page of a site is not the site: the caller must be able to tell."""
    assert Host("site.example", "example.site.", has_path=True, port=8080) == normalize_host("https://site.example:8080/one-bad-page")
    assert Host("site.example", "example.site.", has_path=True) == normalize_host("site.example?id=1")
    assert Host("site.example", "example.site.") == normalize_host("site.example/")


def test_normalize_wildcard_is_a_fact_beside_the_name() -> None:
    """`*.x` keeps its star as a fact, since lists and owners read it differently."""
    assert Host("x.example", "example.x.", wildcard=True) == normalize_host("*.x.example")


def test_normalize_position_counts_through_defanging_and_folding() -> None:
    """The place of the odd letter is its place in the text a person sees, before anything was taken away."""
    text = "  hxxp://ba\u200bd[.]si te"
    rejection = normalize_host(text)
    assert isinstance(rejection, Rejection)
    assert text[rejection.position] == " " and rejection.position == text.index(" te")


def check_reading(text: str) -> None:
    """A host is a name that dnspython reads the same, and a position lies inside the text."""
    found = normalize_host(text)
    if isinstance(found, Host):
        assert found.name == found.name.lower() and found.name.isascii()
        assert dns.name.from_text(found.name).to_text(omit_final_dot=True) == found.name
        assert found.key == key_from_text(found.name) == key_of_name(found.name)
        assert name_of_key(found.key) == found.name
        assert normalize_host(found.name) == Host(found.name, found.key)
    else:
        assert -1 <= found.position < max(len(text), 1)


@given(st.text(max_size=300))
def test_normalize_any_text_gives_a_host_or_a_rejection(text: str) -> None:
    """No input raises."""
    check_reading(text)


@given(st.text(alphabet="ab09-._*[](){}:/\\@?#%hxtp \u200b\u202eềß．。", max_size=80))
def test_normalize_name_like_text_gives_a_host_or_a_rejection(text: str) -> None:
    """The same with letters that names, URLs and defanged text are made of."""
    check_reading(text)


@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True), min_size=2, max_size=5))
def test_plain_key_agrees_with_the_full_reading(labels: list[str]) -> None:
    """The short way for plain names gives what the long way gives, or leaves the name to it."""
    name = ".".join(labels)
    key = plain_key(name)
    if key is not None:
        padded = normalize_host(f" {name} ")
        assert isinstance(padded, Host) and padded.key == key


@given(st.text(alphabet="abcđeghiknoạảãàáâậẩẫầấăặẳẵằắẹẻẽèéêệểễềếịỉĩìíọỏõòóôộổỗồốơợởỡờớụủũùúưựửữừứỵỷỹỳý09", min_size=1, max_size=20))
def test_normalize_agrees_with_idna_on_vietnamese_labels(label: str) -> None:
    """The A-label of a Vietnamese name is the one every other implementation computes, composed or not."""
    expected = idna.encode(label + ".vn", uts46=True).decode("ascii")
    for form in ("NFC", "NFD"):
        host = normalize_host(unicodedata.normalize(form, label + ".vn"))
        assert isinstance(host, Host) and host.name == expected


EVIL = [
    "\u0345" * 4000,
    "e" + "\u0301\u0327" * 2000,
    "\ufdfa" * 253,
    ("ề" * 63 + ".") * 60,
    "xn--" + "9" * 4000,
    "." * 4000,
    "[.]" * 1300,
    " " * 4000 + "x",
    "hxxp://" * 580,
    "[" * 4000,
    "\u200d" * 4000,
    "a" + " " * 4000 + "b",
    "a" + "\u3000" * 4000 + "b",
    ("\u0661" * 62 + ".") * 16,
]


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
def test_normalize_evil_text_costs_little(text: str) -> None:
    """Lengths are checked before IDNA code runs: the worst text costs milliseconds, not seconds."""
    started = time.process_time()
    normalize_host(text)
    assert time.process_time() - started < 0.1
