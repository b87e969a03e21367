"""The publisher: what it refuses to sign, and that a refused release changes nothing in the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from blocklists.follower import follow
from blocklists.releases import ReleaseError
from tests.support.publisher import Publisher, now, serve


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_serial_that_does_not_grow_is_not_published(tmp_path: Path) -> None:
    """The publisher never signs the same or an older serial, and leaves the folder as it was."""
    office = Publisher(tmp_path)
    office.publish(5, "bad.example")
    before = files(tmp_path)
    for serial in (5, 4):
        with pytest.raises(ReleaseError):
            office.publish(serial, "other.example")
    assert files(tmp_path) == before


def test_too_few_approvers_sign_nothing(tmp_path: Path) -> None:
    """Where two approvers must sign, one cannot publish alone."""
    office = Publisher(tmp_path, approvers=2)
    before = files(tmp_path / "metadata")
    office.signers["targets"] = office.signers["targets"][:1]
    with pytest.raises(ReleaseError, match="needs 2 signatures"):
        office.publish(1, "bad.example")
    assert files(tmp_path / "metadata") == before


def test_same_list_same_bytes(tmp_path: Path) -> None:
    """The published list is the same bytes whatever machine makes it."""
    first, second = Publisher(tmp_path / "a"), Publisher(tmp_path / "b")
    for office in (first, second):
        office.publish(1, "b.example", "a.example")
    assert [path.name for path in (tmp_path / "a/targets").iterdir()] == [path.name for path in (tmp_path / "b/targets").iterdir()]


def test_rotated_keys_are_followed_and_the_old_ones_are_worthless(tmp_path: Path) -> None:
    """After a rotation gateways take releases of the new keys, and a release signed by a withdrawn key is refused."""
    office = Publisher(tmp_path / "office")
    old = dict(office.signers)
    office.publish(1, "bad.example")
    office.signers |= {role: [CryptoSigner.generate_ed25519()] for role in ("root", "targets", "snapshot", "timestamp")}
    office.repository.rotate(office.keys(), [*old["root"], *office.signers["root"]], now())
    office.publish(2, "new.example")
    with serve(tmp_path / "office") as url:
        release = follow(tmp_path / "gateway", url, office.root, 0)
    assert release is not None
    assert release.serial == 2
    with pytest.raises(ReleaseError):
        office.signers = old
        office.publish(3, "x.example")


def test_rotation_needs_the_old_root(tmp_path: Path) -> None:
    """New keys cannot appoint themselves."""
    office = Publisher(tmp_path)
    office.signers |= {"root": [CryptoSigner.generate_ed25519()]}
    with pytest.raises(ReleaseError):
        office.repository.rotate(office.keys(), office.signers["root"], now())


def test_list_signed_anew_is_the_same_list(tmp_path: Path) -> None:
    """The approvers may sign again before their signature expires; serial and list stay, and gateways that have it take nothing."""
    office = Publisher(tmp_path / "office")
    assert office.repository.serial() is None
    office.publish(4, "bad.example")
    assert office.repository.renew(office.signers, now()) == 3
    assert office.repository.serial() == 4
    with serve(tmp_path / "office") as url:
        release = follow(tmp_path / "gateway", url, office.root, 0)
        assert release is not None and release.serial == 4
        again = follow(tmp_path / "gateway", url, office.root, 4, held=lambda _: True)
        assert again is not None and (again.segments, again.fresh) == (release.segments, {})
