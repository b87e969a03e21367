"""Names: what people paste becomes a name; help stays open, endings cannot be listed."""

from __future__ import annotations

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.errors import Conflict, InvalidInput, NotFound
from admin.names import add_name, is_always_open, list_names, read_pattern, remove_name
from admin.values import NameEffect
from gateway.wire.name import key_from_text
from tests.support.family import Family

CATALOGUE = read_shipped().catalogue
ALLOW, DENY = NameEffect.ALLOW, NameEffect.DENY


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("example.com", "example.com"),
        ("https://Example.COM/path?x=1#y", "example.com"),
        ("*.bad.example", "*.bad.example"),
        ("=exact.example", "=exact.example"),
        ("tiền.example", "xn--tin-hkz.example"),
        ("hxxp://bad[.]example", "bad.example"),
    ],
)
def test_read_pattern_keeps_the_name_only(text: str, pattern: str) -> None:
    """A pasted address is reduced to its name; the path is never kept."""
    assert read_pattern(text, DENY, CATALOGUE) == pattern


@pytest.mark.parametrize(
    ("text", "effect", "code"),
    [
        ("", ALLOW, "not_a_name"),
        ("hello world", ALLOW, "not_a_name"),
        ("192.168.1.1", DENY, "not_a_name"),
        ("com.vn", DENY, "name_suffix"),
        ("vn", ALLOW, "name_suffix"),
        ("tongdai111.vn", DENY, "name_locked"),
        ("www.tongdai111.vn", DENY, "name_locked"),
        ("a b</i>", ALLOW, "not_a_name"),
    ],
)
def test_read_pattern_refuses_with_words(text: str, effect: NameEffect, code: str) -> None:
    """No whole ending, no help site, nothing that is not a name."""
    with pytest.raises(InvalidInput) as caught:
        read_pattern(text, effect, CATALOGUE)
    assert caught.value.mistakes[0].code == code


async def test_add_name_replaces_the_other_effect(services: Services, family: Family, act: Act) -> None:
    """A name is allowed or denied, never both; the same twice is told."""
    async with services.database.write() as connection:
        await add_name(connection, act, family.bi.id, ALLOW, "a.example")
        await add_name(connection, act, family.bi.id, DENY, "a.example")
        (rule,) = await list_names(connection, act.tenant, family.bi.id)
        assert rule.effect is DENY
        with pytest.raises(Conflict):
            await add_name(connection, act, family.bi.id, DENY, "a.example")
        assert (await remove_name(connection, act, family.bi.id, rule.id)) == rule
        with pytest.raises(NotFound):
            await remove_name(connection, act, family.bi.id, rule.id)


async def test_remove_name_of_another_profile_is_not_found(services: Services, family: Family, act: Act) -> None:
    """An id works for the profile whose list it is on."""
    async with services.database.write() as connection:
        await add_name(connection, act, family.bi.id, DENY, "a.example")
        (rule,) = await list_names(connection, act.tenant, family.bi.id)
        with pytest.raises(NotFound):
            await remove_name(connection, act, family.na.id, rule.id)


def test_is_always_open_above_and_below() -> None:
    """Neither a help site, nor what is below it, nor what is above it can be denied."""
    assert is_always_open(key_from_text("tongdai111.vn"), CATALOGUE)
    assert is_always_open(key_from_text("a.tongdai111.vn"), CATALOGUE)
    assert not is_always_open(key_from_text("example.com"), CATALOGUE)
