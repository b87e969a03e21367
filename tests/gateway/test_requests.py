"""Answers to control requests that are made from several workers."""

from __future__ import annotations

from gateway.requests import merge_blocks, merge_devices


def test_devices_of_all_workers_become_one_row_per_address() -> None:
    """The latest identity wins, the sights span all workers, last seen first."""
    first = {"address": "10.0.0.7", "mac": None, "client": None, "tenant": "a", "profile": "khach", "first_seen": 5.0, "last_seen": 10.0}
    later = {**first, "client": "tablet", "profile": "be-na", "first_seen": 8.0, "last_seen": 20.0}
    other = {**first, "address": "10.0.0.8", "last_seen": 30.0}
    rows = merge_devices([[first], [later, other]])
    assert [row["address"] for row in rows] == ["10.0.0.8", "10.0.0.7"]
    assert (rows[1]["profile"], rows[1]["first_seen"], rows[1]["last_seen"]) == ("be-na", 5.0, 20.0)
    assert merge_devices([[later], [first]])[0]["profile"] == "be-na"


def test_blocks_are_those_of_the_one_who_has_the_address_now() -> None:
    """A worker that knows a device by an earlier name neither hides its blocks nor adds those of that name; two at one address: nothing."""
    nobody = {"address": "10.0.0.7", "mac": None, "client": None, "behind": False, "by_token": False, "first_seen": 5.0, "last_seen": 10.0}
    named = {**nobody, "client": "tablet", "last_seen": 20.0}
    old = {"devices": [nobody], "blocks": [{"at": 9.0, "name": "old.example", "client": None}]}
    new = {"devices": [named], "blocks": [{"at": 20.0, "name": "new.example", "client": "tablet"}]}
    assert merge_blocks([old, new]) == merge_blocks([new, old]) == [{"at": 20.0, "name": "new.example"}]
    assert merge_blocks([old]) == [{"at": 9.0, "name": "old.example"}]
    private = {"devices": [{**named, "by_token": True}], "blocks": new["blocks"]}
    assert merge_blocks([old, private]) == [{"at": 20.0, "name": "new.example"}], "one phone, before it presented its private name"
    public = [{**reply, "devices": [{**row, "address": "203.0.113.7"} for row in reply["devices"]]} for reply in (old, private)]
    assert merge_blocks(public) == []
    other = {"devices": [{**named, "client": "phone", "by_token": True}], "blocks": []}
    assert merge_blocks([old, private, other]) == []
    assert merge_blocks([]) == []
