"""The names of one level: found by the keys that cover a name, ranked by how specific they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.model import RuleOrigin
from gateway.policy.names import parse_name_rule
from gateway.policy.rules import NO_NAMES, Named, NameTable
from gateway.wire.name import key_from_text
from tests.support import plainrules
from tests.support.strategies import hosts


def named(text: str) -> Named:
    """A denied name."""
    return Named(parse_name_rule(text), True, RuleOrigin.PARENT, "profile")


def table(*texts: str) -> NameTable:
    """A table of denied names."""
    by_key: dict[str, tuple[Named, ...]] = {}
    expressions = []
    for row in map(named, texts):
        if row.name.expression is not None:
            expressions.append(row)
        else:
            by_key[row.name.key] = (*by_key.get(row.name.key, ()), row)
    return NameTable(by_key, tuple(expressions))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "=", "*."]), hosts).map("".join), max_size=8, unique=True), hosts, hosts)
def test_find_agrees_with_a_plain_reading(texts: list[str], name: str, other: str) -> None:
    """The rules found are those whose labels cover the name."""
    for asked in (name, other, *(f"{name}.{text.lstrip('=*.')}" for text in texts), *(text.lstrip("=*.") for text in texts)):
        found = {row.name.text for row in table(*texts).find(key_from_text(asked))}
        assert found == {text for text in texts if plainrules.covers(text, plainrules.split(asked))}


def test_expressions_are_tried_on_the_name() -> None:
    """An expression has no key and is found by searching."""
    assert [row.name.text for row in table("/^a/", "/z/", "b.example").find(key_from_text("a.b.example"))] == ["b.example", "/^a/"]
    assert NO_NAMES.find("example.a.") == []


def test_rank_is_exact_then_longer_then_expression() -> None:
    """The lowest rank is the most specific."""
    texts = ["/a/", "example", "a.example", "*.a.example", "=a.example"]
    assert [row.name.text for row in sorted(map(named, texts), key=Named.rank)] == [
        "=a.example",
        "a.example",
        "*.a.example",
        "example",
        "/a/",
    ]


def test_rule_is_told_in_the_words_of_its_owner() -> None:
    """What a person wrote, with the word that says what it does."""
    assert [named("=a.example").rule.text, named("/a/").rule.origin] == ["deny =a.example", "parent"]
