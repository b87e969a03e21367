"""A gateway follows signed releases over HTTP: good ones are taken, sixty kinds of broken or hostile ones leave the old list in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from blocklists.follower import FollowError, follow
from blocklists.releases import Repository
from tests.support.publisher import ROLES, Publisher, now, serve


@pytest.fixture
def office(tmp_path: Path) -> Publisher:
    """An office that published serial 1."""
    office = Publisher(tmp_path / "office")
    office.publish(1, "bad.example")
    return office


def take(office: Publisher, gateway: Path, enforced: int) -> int | None:
    """Follow once; the serial taken, or None when nothing is newer."""
    with serve(office.folder) as url:
        release = follow(gateway, url, office.root, enforced)
    return release.serial if release else None


def test_new_release_is_taken_once(office: Publisher, tmp_path: Path) -> None:
    """A newer serial is taken with its entries; the same one is not taken again."""
    with serve(office.folder) as url:
        release = follow(tmp_path / "gateway", url, office.root, 0)
        assert release is not None
        assert (release.serial, release.segment["entries"]) == (1, [["example.bad.", 0, 0]])
        assert follow(tmp_path / "gateway", url, office.root, 1) is None
    office.publish(2, "bad.example", "worse.example")
    assert take(office, tmp_path / "gateway", 1) == 2


def test_refreshed_signatures_without_news_are_no_news(office: Publisher, tmp_path: Path) -> None:
    """The office signs its silence; the gateway has nothing to do."""
    assert take(office, tmp_path / "gateway", 0) == 1
    office.repository.refresh(office.signers, now())
    assert take(office, tmp_path / "gateway", 1) is None


def newest(folder: Path, role: str) -> Path:
    """The newest metadata file of a role."""
    if role == "timestamp":
        return folder / "metadata/timestamp.json"
    return max((folder / "metadata").glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))


def list_file(folder: Path) -> Path:
    """The newest list."""
    return max((folder / "targets").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change a JSON file without signing it again."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(json.dumps(document).encode())


def damage(kind: str, path: Path) -> None:
    """One way to damage a file."""
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "one_bit":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif kind == "not_json":
        path.write_bytes(b"\x1f\x8b" + data)
    elif kind == "endless":
        path.write_bytes(data + b" " * 6_000_000)
    elif kind == "html":
        path.write_bytes(b"<html>captive portal</html>")
    elif kind == "deep":
        path.write_bytes(b"[" * 200_000)


KINDS = ["missing", "empty", "cut", "one_bit", "not_json", "endless", "html", "deep"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["timestamp", "snapshot", "targets", "list"])
def test_damaged_file_leaves_the_old_list(office: Publisher, tmp_path: Path, part: str, kind: str) -> None:
    """Damage to any part of a release, by accident or on purpose, is refused, and the next good release is taken."""
    gateway = tmp_path / "gateway"
    assert take(office, gateway, 0) == 1
    office.publish(2, "worse.example")
    target = list_file(office.folder) if part == "list" else newest(office.folder, part)
    kept = target.read_bytes()
    damage(kind, target)
    with pytest.raises(FollowError):
        take(office, gateway, 1)
    target.write_bytes(kept)
    assert take(office, gateway, 1) == 2


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize("trick", ["foreign_key", "no_signature", "raised_version", "other_type", "expires_later"])
def test_forged_metadata_is_refused(office: Publisher, tmp_path: Path, role: str, trick: str) -> None:
    """Metadata that nobody appointed signed, or that was changed after signing, is refused."""
    gateway = tmp_path / "gateway"
    assert take(office, gateway, 0) == 1
    office.publish(2, "worse.example")
    path = newest(office.folder, role)

    def change(document: dict[str, object]) -> None:
        signed, signatures = document["signed"], document["signatures"]
        assert isinstance(signed, dict)
        assert isinstance(signatures, list)
        if trick == "foreign_key":
            signatures[0]["sig"] = "ab" * 64
        elif trick == "no_signature":
            signatures.clear()
        elif trick == "raised_version":
            signed["version"] = 99
        elif trick == "other_type":
            signed["_type"] = "root"
        else:
            signed["expires"] = "2099-01-01T00:00:00Z"

    edit(path, change)
    with pytest.raises(FollowError):
        take(office, gateway, 1)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_freeze_is_refused(tmp_path: Path, role: str) -> None:
    """Metadata past its end is refused, whichever role it is: an attacker cannot hold a gateway on old data unseen."""
    office = Publisher(tmp_path / "office")
    office.publish(1, "bad.example")
    assert take(office, tmp_path / "gateway", 0) == 1
    past = now() - timedelta(days=800)
    if role == "targets":
        office.publish(2, "worse.example", at=past)
        office.repository.refresh(office.signers, now())
    else:
        office.publish(2, "worse.example", at=now() if role == "timestamp" else past)
        office.repository.refresh(office.signers, past)
    with pytest.raises(FollowError):
        take(office, tmp_path / "gateway", 1)


def test_rollback_to_an_older_release_is_refused(office: Publisher, tmp_path: Path) -> None:
    """Yesterday's complete and rightly signed release is refused by a gateway that saw today's."""
    yesterday = {path: path.read_bytes() for path in office.folder.rglob("*.json")}
    office.publish(2, "worse.example")
    assert take(office, tmp_path / "gateway", 0) == 2
    for path, data in yesterday.items():
        path.write_bytes(data)
    with pytest.raises(FollowError):
        take(office, tmp_path / "gateway", 2)


def test_older_serial_by_a_new_gateway_copy_is_refused(office: Publisher, tmp_path: Path) -> None:
    """Even with its copy of the metadata lost, a gateway does not go behind the serial it enforces."""
    with pytest.raises(FollowError) as refused:
        take(office, tmp_path / "fresh", 7)
    assert refused.value.code == "rollback"


@pytest.mark.parametrize("part", ["snapshot", "targets"])
def test_mix_and_match_is_refused(office: Publisher, tmp_path: Path, part: str) -> None:
    """A rightly signed part of one release does not fit into another."""
    gateway = tmp_path / "gateway"
    old = newest(office.folder, part).read_bytes()
    office.publish(2, "worse.example")
    newest(office.folder, part).write_bytes(old)
    with pytest.raises(FollowError):
        take(office, gateway, 0)


@pytest.mark.parametrize("role", ROLES)
def test_another_office_cannot_take_over(office: Publisher, tmp_path: Path, role: str) -> None:
    """Files of a whole other office in the same place are refused at every role."""
    gateway = tmp_path / "gateway"
    assert take(office, gateway, 0) == 1
    stranger = Publisher(tmp_path / "stranger")
    for serial in range(2, 5):
        stranger.publish(serial, "evil.example")
    if role == "root":
        forged = Repository(stranger.folder).rotate(stranger.keys(), stranger.signers["root"], now())
        (office.folder / "metadata/2.root.json").write_bytes(forged)
    else:
        for path in (stranger.folder / "metadata").glob(f"*{role}.json"):
            (office.folder / "metadata" / path.name).write_bytes(path.read_bytes())
        if role != "timestamp":
            newest(office.folder, "timestamp").write_bytes(newest(stranger.folder, "timestamp").read_bytes())
    with pytest.raises(FollowError):
        take(office, gateway, 1)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"serial": 2},
        {"serial": 2, "orders": [], "entries": [["example.bad.", 0, 0]]},
        {"serial": 2, "orders": [], "entries": [["example.bad", 0, 0]]},
        {"serial": 2, "orders": [{"id": "x"}], "entries": []},
        {"serial": 2, "orders": "x", "entries": []},
        {"serial": "two", "orders": [], "entries": []},
    ],
)
def test_rightly_signed_nonsense_is_refused_before_it_is_staged(tmp_path: Path, content: dict[str, object]) -> None:
    """A list of the wrong shape is refused although its signatures are right."""
    office = Publisher(tmp_path / "office")
    office.repository.publish({"serial": 1} | content, office.signers, now())
    with pytest.raises(FollowError) as refused:
        take(office, tmp_path / "gateway", 0)
    assert refused.value.code == "shape"


def test_unreachable_office_is_told_apart(office: Publisher, tmp_path: Path) -> None:
    """Nobody there is not the same as somebody lying."""
    with serve(office.folder) as url:
        pass
    with pytest.raises(FollowError) as refused:
        follow(tmp_path / "gateway", url, office.root, 1)
    assert refused.value.code == "unreachable"


def test_wrong_root_is_refused(office: Publisher, tmp_path: Path) -> None:
    """A gateway that was given another office's root takes nothing."""
    stranger = Publisher(tmp_path / "stranger")
    with serve(office.folder) as url, pytest.raises(FollowError):
        follow(tmp_path / "gateway", url, stranger.root, 0)
    assert CryptoSigner.generate_ed25519().public_key.keyid != office.signers["root"][0].public_key.keyid
