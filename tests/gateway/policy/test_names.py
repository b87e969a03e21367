"""Rules by name: syntax, coverage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidName
from gateway.policy.names import LONGEST_EXPRESSION, Coverage, parse_name_rule
from gateway.wire.name import key_from_text
from tests.support import plainrules
from tests.support.strategies import hosts


@pytest.mark.parametrize(
    ("text", "key", "coverage"),
    [
        ("example.com", "com.example.", Coverage.BOTH),
        ("=WWW.Example.com.", "com.example.www.", Coverage.EXACT),
        ("*.example.com", "com.example.", Coverage.BELOW),
        ("vn", "vn.", Coverage.BOTH),
        ("_dmarc.x-1.example", "example.x-1._dmarc.", Coverage.BOTH),
    ],
)
def test_name_rule_is_read(text: str, key: str, coverage: Coverage) -> None:
    """A bare name covers itself and below, `=` itself, `*.` what is below."""
    rule = parse_name_rule(text)
    assert (rule.key, rule.coverage, rule.expression, rule.text) == (key, coverage, None, text)


NOT_NAMES = ["", ".", "*", "*.", "=", "a..b", "a*.b", "*.*.b", "https://a.b/", "a.b/c", "a.b:53", "a b", "học.vn", "a" * 64, "a." * 128]
NOT_EXPRESSIONS = ["/", "//", "/a", "/(/", "/(?=a)/", "/(a)\\1/", f"/{'a' * (LONGEST_EXPRESSION + 1)}/"]


@pytest.mark.parametrize("text", [*NOT_NAMES, *NOT_EXPRESSIONS])
def test_name_rule_that_is_none_is_refused(text: str) -> None:
    """What is not a name or an expression is refused with a reason."""
    with pytest.raises(InvalidName) as caught:
        parse_name_rule(text)
    assert caught.value.reason


@settings(deadline=None)
@given(hosts, st.sampled_from(["", "=", "*."]), hosts)
def test_coverage_agrees_with_a_plain_reading(listed: str, mark: str, name: str) -> None:
    """A rule covers a name exactly when comparing labels says so."""
    for asked in (name, f"{name}.{listed}", listed):
        rule = parse_name_rule(mark + listed)
        key = key_from_text(asked)
        covered = key.startswith(rule.key) and rule.coverage.covers(key == rule.key)
        assert covered is plainrules.covers(mark + listed, plainrules.split(asked))
