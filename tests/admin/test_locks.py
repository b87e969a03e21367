"""The documents behind locked groups: each with its number, from its day on."""

from __future__ import annotations

from datetime import date

import pytest

from admin.locks import bases_of


@pytest.mark.parametrize("tier", ["L", "H"])
def test_every_locked_tier_names_a_document(tier: str) -> None:
    """A parent who asks why reads a number that can be looked up."""
    found = bases_of(tier, date(2026, 10, 12))
    assert found
    assert all("/" in one.number and one.vi and one.en for one in found)


def test_documents_hold_from_their_day_on() -> None:
    """The law of July 2026 is not the reason of June; what families may decide has none."""
    assert [one.number for one in bases_of("L", date(2026, 6, 30))] == ["102/2016/QH13"]
    assert [one.number for one in bases_of("L", date(2026, 7, 1))] == ["102/2016/QH13", "116/2025/QH15"]
    assert bases_of("D", date(2026, 10, 12)) == ()
