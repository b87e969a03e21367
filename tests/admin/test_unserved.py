"""Which networks get no answer, and the line that mends it."""

from __future__ import annotations

import pytest

from admin.policyfile import Around
from admin.unserved import find_unserved, is_inside
from gateway.yamlfile import parse


@pytest.mark.parametrize(
    ("networks", "served", "expected"),
    [
        (["10.1.0.0/16"], ("10.0.0.0/8",), None),
        (["10.0.0.0/7", "fd00::1", "fe00::1"], ("10.0.0.0/8", "fd00::/8"), ("10.0.0.0/7", "fe00::1")),
        (["10.1.0.0/16"], (), None),
    ],
)
def test_only_what_may_wholly_ask_is_answered(networks: list[str], served: tuple[str, ...], expected: tuple[str, ...] | None) -> None:
    """A network that is answered in part is not; where nobody knows who may ask, nothing is said."""
    found = find_unserved(networks, Around(served, words=served))
    assert (found.networks if found else None) == expected
    if found and expected:
        assert parse(found.line).value == {"allow_from": [*served, *expected]}, "whoever copies it has what was there, and the new ones"


def test_networks_of_the_machines_own_links_may_ask_and_their_word_stays() -> None:
    """The line that is to be copied takes nothing away: without the word `link` every device with the provider's IPv6 would be refused."""
    around = Around(("10.0.0.0/8", "::1/128"), words=("10.0.0.0/8", "::1/128", "link"), link=("2001:ee0:1:2::/64",))
    assert find_unserved(["2001:ee0:1:2::/64", "2001:ee0:1:2::5"], around) is None
    found = find_unserved(["2001:ee0:1:3::/64"], around)
    assert found is not None and parse(found.line).value == {"allow_from": ["10.0.0.0/8", "::1/128", "link", "2001:ee0:1:3::/64"]}


def test_network_lies_in_another_place_only_as_a_whole() -> None:
    """A wider one of one's own takes nothing from a place inside it: the longest network decides."""
    assert is_inside("10.2.7.0/24", ["10.2.0.0/16"]) and is_inside("10.2.0.0/16", ["10.2.0.0/16"])
    assert not is_inside("10.0.0.0/8", ["10.2.0.0/16"]) and not is_inside("fd00::/8", ["10.2.0.0/16"])
