"""Opened things are said as people chose them."""

from __future__ import annotations

import pytest

from admin.catalogue import read_shipped
from admin.treats import TREATS, gather
from admin.values import TargetKind

CATEGORY, NAME, SERVICE = TargetKind.CATEGORY, TargetKind.NAME, TargetKind.SERVICE


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (("game", "game00", "game12"), [("treat", "games")]),
        (("game", "game00", "game12", "game16", "game18", "social"), [("treat", "games"), ("treat", "social")]),
        (("video",), [("category", "video")]),  # a teacher opened one group for a lesson
        (("chat", "short", "live", "shop"), [("treat", "videos"), ("treat", "chat"), ("category", "shop")]),
        ((), []),
    ],
)
def test_groups_are_gathered(codes: tuple[str, ...], said: list[tuple[str, str]]) -> None:
    """Several groups of one treat are that treat; one alone, and what is no treat, keeps its own name."""
    assert gather([(CATEGORY, code) for code in codes]) == said


def test_names_and_services_stay_as_they_are() -> None:
    """A single site that a parent opened is said by its name, even when it is called like a group."""
    assert gather([(NAME, "social"), (SERVICE, "youtube")]) == [("name", "social"), ("service", "youtube")]


def test_every_group_of_a_treat_is_in_the_catalogue() -> None:
    """No treat opens what the gateway does not know."""
    known = read_shipped().catalogue.codes
    assert all(code in known for _, codes in TREATS.values() for code in codes)
