"""The values of the policy: immutable, closed, and cheap to ask."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from gateway.policy import model
from gateway.policy.model import CHILD_BANDS, Band, BlockSettings, EffectivePolicy, Grant, Level, Pass, Place, Reason, RuleOrigin, Verdict


@pytest.mark.parametrize("verdict", typing.get_args(Verdict))
def test_every_verdict_is_frozen_slotted_and_carries_reason_and_rule(verdict: type) -> None:
    """Metrics need the reason, explanations the rule, of every member of the family."""
    fields = {field.name for field in dataclasses.fields(verdict)}
    assert {"reason", "rule"} <= fields
    assert verdict.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert hasattr(verdict, "__slots__")


def test_levels_are_origins_of_rules_by_the_same_name() -> None:
    """A level's rules have the level as their origin."""
    assert [RuleOrigin(level).value for level in Level] == ["province", "school", "parent"]


def test_places_follow_the_order_of_line_5() -> None:
    """Override, offline, name, overlay, service, category."""
    assert [place.name for place in sorted(Place)] == ["OVERRIDE", "OFFLINE", "NAME", "OVERLAY", "SERVICE", "CATEGORY"]


def test_child_bands_are_all_but_adults() -> None:
    """A guest counts as a child."""
    assert set(Band) - CHILD_BANDS == {Band.NL}


def test_reasons_are_few_enough_for_a_label() -> None:
    """The reason is a bounded enum."""
    assert len(Reason) <= 32


def test_pass_is_opened_at_its_highest_grant() -> None:
    """Grants stand highest level first."""
    assert Pass().allowed_at is None
    assert Pass(grants=(Grant(Level.SCHOOL, Place.NAME), Grant(Level.PARENT, Place.NAME))).allowed_at is Level.SCHOOL


def policy(**changes: typing.Any) -> EffectivePolicy:
    """An effective policy with plain values."""
    values: dict[str, typing.Any] = {
        "id": 1, "base_id": 1, "profile_id": "p", "tenant": "t", "site_class": "home", "band": Band.TH, "block": BlockSettings(),
        "canaries": True, "activity": "off", "own_names": frozenset(), "has_regex": False, "valid_until": model.NEVER,
        "client_ttl_max": 300, "tables": None,
    }  # fmt: skip
    return EffectivePolicy(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({}, "example.a.", False),
        ({"own_names": frozenset({"example.a."})}, "example.a.", True),
        ({"own_names": frozenset({"example.a."})}, "example.a.x.y.", True),
        ({"own_names": frozenset({"example.a."})}, "example.ab.", False),
        ({"own_names": frozenset({"example.a."})}, "example.", False),
        ({"own_names": frozenset({"example.a."})}, "", False),
        ({"has_regex": True}, "", True),
    ],
)
def test_touches_says_whether_a_personal_rule_may_speak(changes: dict[str, typing.Any], key: str, expected: bool) -> None:
    """A name below a personal name is personal; with an expression every name is."""
    assert policy(**changes).touches(key) is expected
