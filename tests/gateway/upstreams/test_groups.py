"""Groups and routes without any socket: who is asked, in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import Strategy
from gateway.upstreams import Health, Upstream
from gateway.upstreams.groups import EXPLORE_EVERY, Group, Routes
from gateway.wire.name import covering_keys


def upstream(rtt: float = 0.0, *, is_down: bool = False) -> Upstream:
    """An upstream with nothing but a health."""
    health = Health()
    if rtt:
        health.replied(rtt, 0.0)
    health.is_down = is_down
    return cast(Upstream, SimpleNamespace(health=health))


def test_fastest_takes_the_quickest_living_one() -> None:
    """The least round trip time wins, a server never asked comes first, a dead one never."""
    slow, quick, dead = upstream(0.1), upstream(0.01), upstream(0.001, is_down=True)
    group = Group([slow, dead, quick], "fastest")
    assert group.best is quick
    fresh = upstream()
    assert Group([slow, quick, fresh], "fastest").best is fresh


def test_ordered_takes_the_first_living_one() -> None:
    """Speed does not matter with `ordered`."""
    dead, slow, quick = upstream(is_down=True), upstream(0.5), upstream(0.01)
    group = Group([dead, slow, quick], "ordered")
    assert group.best is slow
    assert group.choose([slow]) is quick
    assert group.companion() is None


@pytest.mark.parametrize("strategy", ["fastest", "parallel", "ordered"])
def test_nobody_is_best_when_all_are_down(strategy: Strategy) -> None:
    """With all down, or none at all, nobody is asked until one is back."""
    one = upstream(is_down=True)
    group = Group([one], strategy)
    assert (group.best, group.choose([]), group.companion()) == (None, None, None)
    assert Group([], strategy).best is None
    one.health.revive(1.0)
    group.rank()
    assert group.best is one


def test_parallel_asks_the_two_best() -> None:
    """The companion is the next best, never the best itself."""
    group = Group([upstream(0.3), upstream(0.1), upstream(0.2)], "parallel")
    companion = group.companion()
    assert group.best is not None and group.best.health.srtt == pytest.approx(0.1)
    assert companion is not None and companion.health.srtt == pytest.approx(0.2)


def test_fastest_explores_every_other_server_in_turn() -> None:
    """One question in fifty also goes to another living server, each in its turn."""
    servers = [upstream(0.01), upstream(0.2), upstream(0.3), upstream(0.1, is_down=True)]
    group = Group(servers, "fastest")
    companions = [group.companion() for _ in range(EXPLORE_EVERY * 20)]
    explored = [companion for companion in companions if companion is not None]
    assert len(explored) == 20
    assert {id(companion) for companion in explored} == {id(servers[1]), id(servers[2])}
    assert Group([upstream()], "fastest").companion() is None


labels = st.sampled_from(["com.", "example.", "lan.", "a.", "b."])
keys = st.lists(labels, max_size=5).map("".join)


@given(st.sets(keys, max_size=6), keys)
def test_routes_agree_with_a_plain_search(suffixes: set[str], key: str) -> None:
    """The longest suffix that covers the name, at label boundaries, decides; none means group 0."""
    ordered = sorted(suffixes, key=lambda suffix: (-len(suffix), suffix))
    covering: list[Any] = [suffix for suffix in ["", *covering_keys(key)] if suffix in suffixes]
    expected = ordered.index(covering[-1]) + 1 if covering else 0
    assert Routes(ordered).group_of(key) == expected


def test_routes_insist_on_their_order() -> None:
    """Shorter suffixes in front would hide longer ones."""
    with pytest.raises(ValueError, match="longest first"):
        Routes(["com.", "com.example."])
