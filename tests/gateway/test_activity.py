"""What a worker remembers about use, and what leaves it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from gateway import activity
from gateway.activity import Activity
from gateway.policy.model import Band


@dataclass(frozen=True)
class Policy:
    profile_id: str = "be-na"
    tenant: str = "family"
    site_class: str = "home"
    band: Band = Band.TH
    activity: str = "off"


ADDRESS = b"\x0a\x00\x00\x07"


def test_devices_remember_first_and_last_sight() -> None:
    """A device keeps when it was first seen and takes the identity of its last query."""
    memory = Activity(b"k")
    memory.seen(ADDRESS, Policy(), 100.0)
    memory.seen(ADDRESS, Policy(profile_id="be-ti"), 160.0, client="tablet", mac="02:00:00:00:00:01")
    [device] = memory.devices()
    assert (device.address, device.first_seen, device.last_seen) == (ADDRESS, 100.0, 160.0)
    assert (device.profile, device.client, device.mac) == ("be-ti", "tablet", "02:00:00:00:00:01")
    memory.seen(b"\x0a\x00\x00\x08", Policy(tenant="other"), 170.0)
    assert [len(memory.devices(tenant)) for tenant in (None, "other", "nobody")] == [2, 1, 0]


def test_devices_behind_a_repeater_are_not_one_device() -> None:
    """A repeater lends its hardware address to everybody behind it: nobody is told what another one asked for."""
    memory = Activity(b"k")
    mac, phone, sister = "02:00:00:00:00:01", b"\x0a\x00\x00\x08", b"\x0a\x00\x00\x09"
    memory.seen(ADDRESS, Policy(), 100.0, client="tablet", mac=mac)
    memory.seen(phone, Policy(), 100.0, client="tablet", mac=mac)
    assert memory.addresses_of(mac) == {ADDRESS, phone}
    memory.seen(sister, Policy(), 100.0, client="laptop", mac=mac)
    assert memory.addresses_of(mac) == set()


def test_harvest_without_consent_has_no_profile_no_name_no_address() -> None:
    """By default only site, band, category and minute leave the worker; addresses leave as keyed digests."""
    memory = Activity(b"k")
    memory.seen(ADDRESS, Policy(), 0.0)
    memory.judged(Policy(), "blocked", "gamb", 65.0, 3, site="nha")
    memory.visited(Policy(), "game.example", "game", 65.0)
    memory.blocked(ADDRESS, "bet.example", "gamb", "category gamb", 65.0)
    row = memory.harvest()
    assert row["counts"] == [[60, "family", "nha", "", "TH", "blocked", "gamb", 3]]
    assert row["names"] == []
    text = json.dumps(row)
    for secret in ("be-na", "10.0.0.7", "0a000007", "bet.example", "game.example"):
        assert secret not in text
    assert memory.harvest() == {"marks": {}, "counts": [], "names": [], "dropped": 0}


def test_profile_is_counted_only_where_its_policy_says_so() -> None:
    """`aggregate` and `history` give the profile; names leave for `history` only, and never for the older bands."""
    memory = Activity(b"k")
    memory.judged(Policy(activity="aggregate"), "allowed", "", 0.0)
    memory.visited(Policy(activity="aggregate"), "a.example", "game", 0.0)
    memory.visited(Policy(activity="history"), "b.example", "game", 0.0)
    memory.visited(Policy(activity="history", band=Band.PT), "c.example", "game", 0.0)
    row = memory.harvest()
    assert row["counts"] == [[0, "family", "", "be-na", "TH", "allowed", "", 1]]
    assert [name[3] for name in row["names"]] == ["b.example", "category:game"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("category", ["self", "csam", "groom"])
def test_protected_categories_are_counted_for_nobody(category: str) -> None:
    """Not in aggregates, not in a history."""
    memory = Activity(b"k")
    memory.judged(Policy(activity="history"), "blocked", category, 0.0)
    memory.visited(Policy(activity="history"), "x.example", category, 0.0)
    assert memory.harvest()["counts"] == memory.harvest()["names"] == []


@pytest.mark.parametrize("category", ["help", "health"])
def test_help_and_health_are_never_in_a_history(category: str) -> None:
    """A child can look for help unseen."""
    memory = Activity(b"k")
    memory.visited(Policy(activity="history"), "help.example", category, 0.0)
    assert memory.harvest()["names"] == []


def test_recent_blocks_last_ten_minutes_newest_first() -> None:
    """Blocks of one address come newest first, repeats within a second once, and are gone after ten minutes."""
    memory = Activity(b"k")
    for at, name in ((0.0, "old.example"), (600.0, "bet.example"), (600.5, "bet.example"), (650.0, "game.example")):
        memory.blocked(ADDRESS, name, "gamb", "category gamb", at)
    assert [row["name"] for row in memory.recent_blocks(ADDRESS, 660.0)] == ["game.example", "bet.example"]
    assert memory.recent_blocks(b"\x0a\x00\x00\x08", 660.0) == []
    memory.expire(2000.0)
    assert memory.recent_blocks(ADDRESS, 660.0) == []


def test_probe_is_forgotten_after_five_minutes() -> None:
    """A check name proves something only for a while."""
    memory = Activity(b"k")
    for kind in ("AAAA", "HTTPS", "A"):
        memory.probed("abc", "10.0.0.7", "be-na", None, "udp", 4, 100.0, kind)
    assert memory.probe("abc", 200.0) == {
        "address": "10.0.0.7", "profile": "be-na", "client": None, "transport": "udp", "generation": 4, "at": 100.0, "kinds": ["A", "AAAA"]
    }  # fmt: skip
    memory.probed("abc", "10.0.0.8", "be-na", None, "udp", 4, 300.0, "A")
    assert (memory.probe("abc", 301.0) or {})["kinds"] == ["A"], "what another address asked for is not added"
    assert memory.probe("abc", 601.0) is None
    assert memory.probe("other", 200.0) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More addresses, cells, names or nonces than fit push out the oldest or are counted as dropped."""
    monkeypatch.setattr(activity, "MOST_DEVICES", 3)
    monkeypatch.setattr(activity, "MOST_AGGREGATES", 2)
    monkeypatch.setattr(activity, "MOST_PROBES", 2)
    memory = Activity(b"k")
    for number in range(5):
        memory.seen(bytes([10, 0, 0, number]), Policy(), float(number))
        memory.judged(Policy(), "blocked", f"c{number}", 0.0)
        memory.probed(f"n{number}", "", "", None, "udp", 1, 0.0, "A")
    assert [device.address[3] for device in memory.devices()] == [2, 3, 4]
    assert memory.probe("n2", 0.0) is None
    assert memory.harvest()["dropped"] == 3


def test_marks_are_the_same_in_every_worker_of_one_run_only() -> None:
    """Workers share the key, so one device counts once; another run's digests cannot be matched."""
    marks = []
    for key in (b"one", b"one", b"two"):
        memory = Activity(key)
        memory.seen(ADDRESS, Policy(), 0.0)
        marks.append(memory.harvest()["marks"])
    assert marks[0] == marks[1] != marks[2]
