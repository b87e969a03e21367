"""Drafts of a release room: enough signatures publish, a newer list takes the place of an older draft, strangers change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from blocklists.releases import Listing
from blocklists.signing import Holders, Room
from gateway import release

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def holders(*signers: CryptoSigner, threshold: int = 1) -> Holders:
    """Everybody is an approver."""
    keys = tuple(signer.public_key for signer in signers)
    return Holders(keys, keys, threshold)


@pytest.fixture
def people() -> list[CryptoSigner]:
    return [CryptoSigner.generate_ed25519() for _ in range(3)]


def listing(state_dir: Path, serial: int) -> Listing:
    """A list with one empty segment."""
    return Listing(serial, None, (release.write_file(state_dir, {"format": 1, "orders": [], "entries": [], "lifted": [], "n": serial}),))


def test_two_of_three_publish_and_the_newest_list_wins(tmp_path: Path, people: list[CryptoSigner]) -> None:
    """A signature of a stranger counts for nothing; a newer list asks everybody again."""
    room = Room(tmp_path)
    room.begin(holders(people[0]), people[0], NOW)
    room.want(holders(*people, threshold=2), NOW)
    assert not room.sign_root(people[1], NOW)
    assert room.sign_root(people[0], NOW)
    standing = room.standing()
    assert (standing.threshold, len(standing.root_keys), standing.root_version) == (2, 3, 2)

    def read(name: str) -> bytes:
        return release.read_verified(tmp_path, name)

    one, two = listing(tmp_path, 1), listing(tmp_path, 2)
    assert not room.sign_release(one, read, people[0], NOW)
    assert not room.sign_release(one, read, CryptoSigner.generate_ed25519(), NOW)
    draft = room.standing().release
    assert draft is not None and (draft.number, len(draft.signed_by)) == (1, 1)
    assert not room.sign_release(two, read, people[1], NOW)
    assert room.sign_release(two, read, people[2], NOW)
    assert room.standing().serial == 2 and room.standing().release is None


def test_lost_key_of_three_is_replaced_by_the_other_two(tmp_path: Path, people: list[CryptoSigner]) -> None:
    """One officer alone cannot change the keys where there are three; two can, without the third."""
    room = Room(tmp_path)
    room.begin(holders(*people), people[0], NOW)
    assert room.standing().root_version == 1
    assert room.sign_root(people[1], NOW)
    assert room.standing().root_version == 2
    fresh = CryptoSigner.generate_ed25519()
    room.want(holders(people[1], people[2], fresh), NOW)
    assert not room.sign_root(fresh, NOW)
    assert not room.sign_root(people[1], NOW)
    assert room.sign_root(people[2], NOW)
    assert people[0].public_key.keyid not in room.standing().targets_keys


def test_wish_that_is_taken_back_leaves_no_draft(tmp_path: Path, people: list[CryptoSigner]) -> None:
    """The keys are as they should be again: nothing waits; and an office without approvers drafts no root that nobody could follow."""
    room = Room(tmp_path)
    room.begin(holders(people[0]), people[0], NOW)
    room.want(holders(*people), NOW)
    assert room.standing().root is not None
    room.want(holders(people[0]), NOW)
    assert room.standing().root is None
    room.want(Holders((), (), 1), NOW)
    assert room.standing().root is None
