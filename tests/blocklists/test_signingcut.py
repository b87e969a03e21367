"""Power that fails and a full disk at every file of a publish and of a change of keys: nothing is told that did not arrive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from blocklists import releases
from blocklists.follower import FolderFetcher, Release, follow
from blocklists.signing import Room
from gateway import release
from tests.blocklists.test_signing import holders, listing

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class _Cut(Exception):
    """The power failed."""


FAULTS = [_Cut(), OSError(28, "No space left on device")]
FAULTS_SAID = ["power", "disk"]


@contextlib.contextmanager
def cut_after(monkeypatch: pytest.MonkeyPatch, number: int, fault: Exception) -> Iterator[None]:
    """The disk takes so many files of a release, and then nothing more."""
    written = [0]
    place = releases._place

    def placed(path: Path, content: bytes) -> None:
        written[0] += 1
        if written[0] > number:
            raise fault
        place(path, content)

    with monkeypatch.context() as patched, contextlib.suppress(type(fault)):
        patched.setattr(releases, "_place", placed)
        yield


def follower(state: Path, folder: Path, hours: float) -> Release | None:
    """What somebody who begins with the first root is given."""
    root = (state / "release/metadata/1.root.json").read_bytes()
    return follow(folder, FolderFetcher.BASE, root, 0, FolderFetcher(state / "release"), now=NOW + timedelta(hours=hours))


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS_SAID)
@pytest.mark.parametrize("number", range(8))
def test_a_publish_that_is_cut_off_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fault: Exception
) -> None:
    """After any of its files: what is told as published is what followers get; the officer is asked to sign, and the list arrives."""
    officer, state = CryptoSigner.generate_ed25519(), tmp_path / "office"
    room = Room(state)
    room.begin(holders(officer), officer, NOW)
    read = partial(release.read_verified, state)
    assert room.sign_release(listing(state, 1), read, officer, NOW)
    two = listing(state, 2)
    with cut_after(monkeypatch, number, fault):
        room.sign_release(two, read, officer, NOW)
    room.want(holders(officer), NOW)
    room.refresh(NOW + timedelta(hours=25))
    standing, got = room.standing(), follower(state, tmp_path / "first", 26)
    assert got is not None and got.serial == standing.serial
    assert standing.waits_for(officer.public_key.keyid, behind=standing.serial != 2, now=NOW) is (standing.serial != 2)
    if standing.serial != 2:
        assert room.sign_release(two, read, officer, NOW + timedelta(hours=27))
    got = follower(state, tmp_path / "second", 28)
    assert got is not None and got.serial == 2


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS_SAID)
@pytest.mark.parametrize("number", range(7))
def test_a_change_of_keys_that_is_cut_off_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fault: Exception
) -> None:
    """The only officer changes. After any of the files followers get the list a minute later, or the change waits for its press."""
    leaving, coming, state = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519(), tmp_path / "office"
    room = Room(state)
    room.begin(holders(leaving), leaving, NOW)
    assert room.sign_release(listing(state, 1), partial(release.read_verified, state), leaving, NOW)
    room.want(holders(coming), NOW)
    assert not room.sign_root(coming, NOW)
    with cut_after(monkeypatch, number, fault):
        room.sign_root(leaving, NOW)
    room.want(holders(coming), NOW)
    if room.standing().root is not None:
        assert room.sign_root(leaving, NOW)
    got = follower(state, tmp_path / "first", 1)
    assert got is not None and got.serial == 1
    assert (room.standing().root_version, room.standing().root) == (2, None)
