"""Answers to control requests that are made from several workers."""

from __future__ import annotations

from gateway.requests import merge_devices


def test_devices_of_all_workers_become_one_row_per_address() -> None:
    """The latest identity wins, the sights span all workers, last seen first."""
    first = {"address": "10.0.0.7", "mac": None, "client": None, "tenant": "a", "profile": "khach", "first_seen": 5.0, "last_seen": 10.0}
    later = {**first, "client": "tablet", "profile": "be-na", "first_seen": 8.0, "last_seen": 20.0}
    other = {**first, "address": "10.0.0.8", "last_seen": 30.0}
    rows = merge_devices([[first], [later, other]])
    assert [row["address"] for row in rows] == ["10.0.0.8", "10.0.0.7"]
    assert (rows[1]["profile"], rows[1]["first_seen"], rows[1]["last_seen"]) == ("be-na", 5.0, 20.0)
    assert merge_devices([[later], [first]])[0]["profile"] == "be-na"
