"""The office's tools of one process."""

from __future__ import annotations

from admin.dependencies import Services


def test_desk_bounds_strangers_more_than_readers(services: Services) -> None:
    """Looking up is cheap, asking people to work is dear."""
    desk = services.office
    assert desk.asking.most / desk.asking.seconds < desk.lookups.most / desk.lookups.seconds
    assert desk.duty.feed is None
