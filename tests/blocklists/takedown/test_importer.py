"""Import of a letter: every row gets the verdict and reason that an officer needs; nothing is widened, nothing is kept that must not be."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklists.guard import Guard
from blocklists.takedown.importer import Import, judge_rows, known_endings, platform_kind
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.reading import find_addresses

GUARD = Guard.of(
    {
        "help": [{"name": "tongdai111.vn", "match": "both"}],
        "infrastructure": [{"name": "time.google.com", "match": "exact"}],
        "platforms": ["facebook.com", "youtube.com", "tiktok.com"],
        "protected": [{"name": "vietcombank.com.vn", "match": "both"}],
    },
    own_names=["dns.quad9.net"],
)
ENDINGS = known_endings()


def digest(text: str) -> str:
    """A stand-in for the office's keyed digest."""
    return hashlib.sha256(b"key" + text.encode()).hexdigest()


def read(text: str) -> Import:
    """Read a pasted text as the page does."""
    return judge_rows(find_addresses(text, ENDINGS), GUARD, digest)


@pytest.mark.parametrize(
    ("written", "verdict", "host"),
    [
        ("bad-site.net", Enforceability.YES, "bad-site.net"),
        ("Bad-Site.NET.", Enforceability.YES, "bad-site.net"),
        ("http://bad-site.net/", Enforceability.YES, "bad-site.net"),
        (" bad-site . net ", Enforceability.YES, "bad-site.net"),
        ("hxxp://bad-site[.]net", Enforceability.YES, "bad-site.net"),
        ("bad-site (chấm) net", Enforceability.YES, "bad-site.net"),
        ("ｂａｄ-site．net", Enforceability.YES, "bad-site.net"),
        ("bad\u200b-site.net", Enforceability.YES, "bad-site.net"),
        ("tiền.vn", Enforceability.YES, "xn--tin-hkz.vn"),
        ("tie\u0302\u0300n.vn", Enforceability.YES, "xn--tin-hkz.vn"),
        ("bad-site.net:8080", Enforceability.YES, "bad-site.net"),
        ("https://small-site.net/one-bad-page", Enforceability.ASK, "small-site.net"),
        ("https://www.facebook.com/groups/12345", Enforceability.SHARED_PLATFORM, None),
        ("youtube.com/watch?v=abc", Enforceability.SHARED_PLATFORM, None),
        ("https://tiktok.com/@someone", Enforceability.SHARED_PLATFORM, None),
        ("https://m.facebook.com/someone", Enforceability.SHARED_PLATFORM, None),
        ("203.0.113.7", Enforceability.IP_ONLY, None),
        ("203.0.113.7:8080", Enforceability.IP_ONLY, None),
        ("com.vn", Enforceability.PUBLIC_SUFFIX, None),
        ("gov.vn", Enforceability.PUBLIC_SUFFIX, None),
        ("hanoi.vn", Enforceability.PUBLIC_SUFFIX, None),
        ("tongdai111.vn", Enforceability.PROTECTED, None),
        ("dns.quad9.net", Enforceability.PROTECTED, None),
        ("bad..net", Enforceability.INVALID, None),
    ],
)
def test_each_written_form_has_its_verdict(written: str, verdict: Enforceability, host: str | None) -> None:
    """Every way in which an address is written leads to one row with the right verdict and host."""
    (row,) = read(written).rows
    assert (row.verdict, row.item.host) == (verdict, host)
    assert row.vi
    assert row.en


@pytest.mark.parametrize(("name", "state"), [("truong.edu.vn", True), ("so.laichau.gov.vn", True), ("www.vietcombank.com.vn", False)])
def test_state_and_protected_hosts_take_a_second_approver_and_the_host_alone(name: str, state: bool) -> None:
    """A state or school host and a protected group are the exact host only and wait for a third person."""
    (row,) = read(name).rows
    assert (row.item.needs_second, row.item.match, row.item.is_state_host) == (True, Match.EXACT, state)


def test_letter_gives_rows_and_leaves_its_prose_alone() -> None:
    """In a letter only the addresses are rows: numbers, dates, amounts, mail addresses and abbreviations are not."""
    letter = """SỞ THÔNG TIN VÀ TRUYỀN THÔNG
    Số: 12/QĐ-STTTT                     Lai Châu, ngày 05 tháng 8 năm 2024
    Căn cứ Nghị định 147/2024/NĐ-CP; liên hệ phong.btt@laichau.gov.vn, ĐT 0213.3876.xxx, mức phạt 15.000.000 đồng.
    Đề nghị ngăn chặn các trang sau (TT.TT):
      1. http://danh-bac-88[.]net, hoạt động từ 01.02.2024
      2) ca-do-bong-da.vip
      - https://www.facebook.com/groups/998877
      - 198.51.100.4
    Và trang con https://blog-nho.com/bai-viet/1.
    """
    rows = read(letter).rows
    assert [(row.item.host, row.verdict.value) for row in rows] == [
        ("danh-bac-88.net", "yes"),
        ("ca-do-bong-da.vip", "yes"),
        (None, "shared_platform"),
        (None, "ip_only"),
        ("blog-nho.com", "needs_decision"),
    ]
    assert [row.line for row in rows] == [5, 6, 7, 8, 9]


def test_one_domain_one_host_one_page_one_group_one_address() -> None:
    """The acceptance list of the province's letter: two enforced, page and group not by DNS, the address refused with its reason."""
    result = read("xau.com\nwww.xau-hai.net\nhttps://xau-ba.org/trang\nhttps://facebook.com/groups/1\n192.0.2.66")
    assert [row.verdict.value for row in result.rows] == ["yes", "yes", "needs_decision", "shared_platform", "ip_only"]


def test_same_place_twice_is_one_row() -> None:
    """Repeats are counted, not stored."""
    result = read("bad.net\nhttp://bad.net/\nBAD.net")
    assert (len(result.rows), result.duplicates) == (1, 2)


def test_sixteen_thousand_new_names_are_held() -> None:
    """A jump of new names waits for a person."""
    assert read("\n".join(f"n{n}.net" for n in range(16_000))).held
    assert not read("\n".join(f"n{n}.net" for n in range(200))).held


def test_no_path_query_or_account_is_stored() -> None:
    """Nothing of an address but its host part goes into the row that is stored."""
    secret = "https://user:pw@small.net/hoc-sinh-lop-7a?token=abc#x"
    for written in (secret, "https://facebook.com/groups/hoc-sinh-lop-7a?token=abc", "http://203.0.113.7/hoc-sinh-lop-7a?token=abc"):
        (row,) = read(written).rows
        assert "hoc-sinh" not in repr(row.item)
        assert "abc" not in row.item.as_written
        assert "pw" not in row.item.as_written


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://www.facebook.com/groups/1", "group"),
        ("youtube.com/watch?v=1", "video"),
        ("https://facebook.com/x/posts/1", "post"),
        ("https://tiktok.com/@x", "page"),
        ("facebook.com", "place"),
    ],
)
def test_kind_of_a_place_on_a_platform(address: str, kind: str) -> None:
    """The follow-up knows whether it is a group, a video, a post or a page."""
    assert platform_kind(address) == kind


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_without_error_and_gives_reasons(text: str) -> None:
    """No text breaks the import, and every row has a reason in both languages."""
    for row in read(text).rows:
        assert row.vi
        assert row.en
        assert len(row.item.as_written) <= 253
