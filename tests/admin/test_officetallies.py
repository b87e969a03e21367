"""What one gateway's receipt says of a release: for it, against it, silent, or nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from admin.officerollout import Rollout
from admin.officetallies import _word


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"serial": 7}, "for"),
        ({"serial": 9}, "for"),
        ({}, "unknown"),
        ({"fault": "apply"}, "against"),
        ({"serial": 7, "health": [7, [1000, 10, 0], [1000, 500, 0]]}, "against"),
        ({"serial": 7, "health": [6, [1000, 10, 0], [1000, 500, 0]]}, "for"),  # about an older list
        ({"serial": 7, "refusal": "clock", "refused": 5}, "unknown"),
        ({"serial": 7, "refusal": "clock", "refused": 4}, "for"),  # it sent a good one since
        ({"minutes": -30}, "silent"),
        ({"minutes": -180}, "unknown"),
        ({"minutes": None}, "unknown"),
    ],
)
def test_each_gateway_is_one_word(said: dict[str, Any], word: str, now: datetime) -> None:
    """A fault counts only while the release is not in force there; what was told before it began counts for nothing."""
    minutes, health = said.get("minutes", 5), said.get("health")
    row = {
        "serial": said.get("serial", 6), "fault": said.get("fault", ""), "refusal": said.get("refusal", ""),
        "health": json.dumps(health) if health else "", "refused_at": now + timedelta(minutes=said.get("refused", 0)),
        "seen_at": None if minutes is None else now + timedelta(minutes=minutes),
    }  # fmt: skip
    assert _word(Rollout(7, 6, ((0, 500),), now, "going", "", None, None), row) == word  # type: ignore[arg-type]
