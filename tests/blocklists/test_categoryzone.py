"""A zone served from files: what a transfer has open stays whole, and what is missing is no zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.categorybuild import build
from blocklists.categoryzone import STATE, CategoryZone, Offer, folder_of, read_state
from gateway.policy.model import Band
from tests.support.generation import START, amend, category, make_generation
from tests.support.zonerecords import read_records

ZONE = "porn.rpz.test"
OFFER = Offer(ZONE, "porn", frozenset({Band.TH}))
NAMES = tuple(f"n{n}.example" for n in range(40))


def opened(state_dir: Path, now: float = START) -> CategoryZone:
    """The zone as it is built now."""
    state = build(state_dir, OFFER, now)
    assert state is not None
    return CategoryZone(ZONE, folder_of(state_dir, ZONE), state)


def serials(zone: CategoryZone, records: list[bytes]) -> list[int]:
    """The serials of the SOA records, in order."""
    return [int(data.split()[2]) for _, kind, data in read_records(zone.origin, records) if kind == "SOA"]


def test_differences_of_several_steps_come_one_after_the_other(tmp_path: Path) -> None:
    """A secondary two serials behind gets both steps, between the newest serial at both ends."""
    state_dir = make_generation(tmp_path, {"a": category("porn", *NAMES)})
    first = opened(state_dir)
    for number in (1, 2):
        amend(state_dir, lists={"a": category("porn", *NAMES[number:])})
        zone = opened(state_dir, START + number)
    one, two, three = first.state.serial, first.state.serial + 1, first.state.serial + 2
    assert serials(zone, list(zone.since(one) or [])) == [three, one, two, two, three, three]
    assert serials(zone, list(zone.since(two) or [])) == [three, two, three, three]
    assert (zone.since(one - 1), zone.soa()[0].serial) == (None, three)


def test_a_transfer_under_way_is_finished_from_the_files_it_began_with(tmp_path: Path) -> None:
    """Two newer serials take the old files away; who has begun reads on."""
    state_dir = make_generation(tmp_path, {"a": category("porn", *NAMES)})
    zone = opened(state_dir)
    whole = zone.whole()
    begun = [next(whole)]
    for number in (1, 2):
        amend(state_dir, lists={"a": category("porn", *NAMES[20 * number :], f"new{number}.example")})
        opened(state_dir, START + number)
    assert not (folder_of(state_dir, ZONE) / f"rules.{zone.state.serial}").exists()
    begun += whole
    assert serials(zone, begun) == [zone.state.serial] * 2
    assert len(begun) == 2 * len(NAMES) + 4  # both SOAs, NS, where it is from


def test_steps_that_are_gone_mean_the_whole_zone(tmp_path: Path) -> None:
    """A file of differences that cannot be opened costs a whole transfer, not an answer."""
    state_dir = make_generation(tmp_path, {"a": category("porn", *NAMES)})
    before = opened(state_dir).state.serial
    amend(state_dir, lists={"a": category("porn", *NAMES[1:])})
    zone = opened(state_dir, START + 1)
    (folder_of(state_dir, ZONE) / f"step.{zone.state.serial}").unlink()
    assert zone.since(before) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format":2}', b'{"format":1,"serial":"x"}', b"\xff"])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """Then the zone is made anew, with a later serial."""
    (tmp_path / STATE).write_bytes(content)
    assert read_state(tmp_path) is None
    assert read_state(tmp_path / "nowhere") is None
