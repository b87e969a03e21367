"""Which networks get no answer, and the line that mends it."""

from __future__ import annotations

import pytest

from admin.unserved import find_unserved, is_inside


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
    found = find_unserved(networks, served)
    assert (found.networks if found else None) == expected
    if found and expected:
        assert found.line == f"allow_from: [{', '.join([*served, *expected])}]"


def test_network_lies_in_another_place_only_as_a_whole() -> None:
    """A wider one of one's own takes nothing from a place inside it: the longest network decides."""
    assert is_inside("10.2.7.0/24", ["10.2.0.0/16"]) and is_inside("10.2.0.0/16", ["10.2.0.0/16"])
    assert not is_inside("10.0.0.0/8", ["10.2.0.0/16"]) and not is_inside("fd00::/8", ["10.2.0.0/16"])
