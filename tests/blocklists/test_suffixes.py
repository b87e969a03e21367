"""Public suffixes, judged against the package that carries the list."""

from __future__ import annotations

import publicsuffixlist
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.normalize import key_of_name
from blocklists.suffixes import parent_of, read_suffixes, suffixes

JUDGE = publicsuffixlist.PublicSuffixList(only_icann=True)
BOTH_PARTS = publicsuffixlist.PublicSuffixList()


@pytest.mark.parametrize(
    "name", ["vn", "com.vn", "edu.vn", "gov.vn", "io.vn", "hanoi.vn", "co.uk", "ck", "anything.ck", "xn--p1ai", "example"]
)
def test_suffix_of_a_registry_is_public(name: str) -> None:
    """Names below which everybody registers are known, place names and unknown last labels too."""
    assert suffixes().is_public(key_of_name(name))


@pytest.mark.parametrize("name", ["example.com.vn", "www.ck", "facebook.com", "github.io", "a.example"])
def test_registered_name_is_not_public(name: str) -> None:
    """A name somebody registered is not a suffix, even when that somebody gives out names below it."""
    assert not suffixes().is_public(key_of_name(name))


@pytest.mark.parametrize("name", ["github.io", "blogspot.com", "duckdns.org"])
def test_suffix_of_an_owner_is_shared(name: str) -> None:
    """Suffixes below which other people have their pages are known apart."""
    assert suffixes().is_shared(key_of_name(name)) and not suffixes().is_shared(key_of_name(f"page.{name}"))


def test_every_rule_of_the_list_is_judged_as_its_package_judges_it() -> None:
    """Over all rules of the list, and a name below each, both readers agree."""
    found = suffixes()
    for part in (found.registry, found.shared):
        for key in sorted(part.keys):
            for candidate in (key, f"{key}zz-test.", f"{key}zz-test.www."):
                name = ".".join(reversed(candidate[:-1].split(".")))
                assert JUDGE.is_public(name) == found.is_public(candidate), name
                assert BOTH_PARTS.is_public(name) == (found.is_public(candidate) or found.is_shared(candidate)), name


@given(
    st.lists(st.sampled_from(["a", "ck", "www", "com", "vn", "jp", "kawasaki", "city", "io", "github", "co", "uk"]), min_size=1, max_size=4)
)
def test_any_name_is_judged_as_the_package_judges_it(labels: list[str]) -> None:
    """Wildcards and exceptions combine as in the package."""
    name = ".".join(labels)
    assert JUDGE.is_public(name) == suffixes().is_public(key_of_name(name))


def test_read_suffixes_keeps_the_two_parts_apart() -> None:
    """The comment mark of the second part decides where a rule belongs."""
    found = read_suffixes(
        ["// ===BEGIN ICANN DOMAINS===", "com.vn", "*.ck", "!www.ck", "// ===BEGIN PRIVATE DOMAINS===", "github.io // note"]
    )
    assert found.is_public("vn.com.") and found.is_public("ck.x.") and not found.is_public("ck.www.")
    assert found.is_shared("io.github.") and not found.is_public("io.github.")


def test_parent_of_takes_one_label_off() -> None:
    """The name above, down to the root."""
    assert [parent_of("com.example.www."), parent_of("com."), parent_of("")] == ["com.example.", "", ""]
