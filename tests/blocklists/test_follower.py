"""A gateway follows signed releases over HTTP: good ones are taken, sixty kinds of broken or hostile ones leave the old list in force."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadError
from tuf.api.metadata import TargetFile

from blocklists.follower import BoundedFetcher, FolderFetcher, FollowError, follow
from blocklists.releases import Repository
from blocklists.takedown.segments import merge
from blocklists.turns import FILE as WORD
from gateway.release import canonical_bytes
from tests.support.publisher import ROLES, Publisher, now, serve, serve_bomb, serve_by, serve_drips


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
    return release.serial if release is not None and release.serial > enforced else None


def test_new_release_is_taken_once(office: Publisher, tmp_path: Path) -> None:
    """A newer serial is taken with its entries; the same one is not taken again."""
    with serve(office.folder) as url:
        release = follow(tmp_path / "gateway", url, office.root, 0)
        assert release is not None
        assert (release.serial, next(iter(release.fresh.values()))["entries"]) == (1, [["example.bad.", 0, 0]])
        again = follow(tmp_path / "gateway", url, office.root, 1, held=lambda _: True)
        assert again is not None and (again.serial, again.segments, again.fresh) == (1, release.segments, {})
    office.publish(2, "bad.example", "worse.example")
    assert take(office, tmp_path / "gateway", 1) == 2


def test_word_of_the_server_that_cannot_be_kept_is_the_fault_of_the_disk(office: Publisher, tmp_path: Path) -> None:
    """What cannot be written is told as such, not as a release that does not verify."""
    (tmp_path / "gateway" / WORD).mkdir(parents=True)
    with pytest.raises(FollowError) as told:
        take(office, tmp_path / "gateway", 0)
    assert told.value.code == "disk"


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
    """The newest list of contents."""
    return max((folder / "targets").glob("*.list.json"), key=lambda path: path.stat().st_mtime_ns)


def segment_file(folder: Path) -> Path:
    """The newest segment."""
    return max((folder / "targets").glob("*.segment"), key=lambda path: path.stat().st_mtime_ns)


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
@pytest.mark.parametrize("part", ["timestamp", "snapshot", "targets", "list", "segment"])
def test_damaged_file_leaves_the_old_list(office: Publisher, tmp_path: Path, part: str, kind: str) -> None:
    """Damage to any part of a release, by accident or on purpose, is refused, and the next good release is taken."""
    gateway = tmp_path / "gateway"
    assert take(office, gateway, 0) == 1
    office.publish(2, "worse.example")
    special = {"list": list_file, "segment": segment_file}
    target = special[part](office.folder) if part in special else newest(office.folder, part)
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


GOOD_SEGMENT = {"format": 1, "orders": [], "entries": [], "lifted": []}
ORDER = {"id": "o", "number": "1", "issuer": "Sở", "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True}


@pytest.mark.parametrize(
    "segment",
    [
        {},
        [],
        GOOD_SEGMENT | {"format": 2},
        GOOD_SEGMENT | {"entries": [["example.bad.", 0, 0]]},
        GOOD_SEGMENT | {"orders": [ORDER], "entries": [["example.bad", 0, 0]]},
        GOOD_SEGMENT | {"orders": [ORDER], "entries": [["example.bad.", 7, 0]]},
        GOOD_SEGMENT | {"orders": [ORDER], "entries": [[5, 0, 0]]},
        GOOD_SEGMENT | {"orders": [{"id": "x"}]},
        GOOD_SEGMENT | {"orders": [ORDER | {"no_end": False}]},
        GOOD_SEGMENT | {"orders": [ORDER | {"from": "2026-01-01T00:00:00"}]},
        GOOD_SEGMENT | {"orders": [ORDER | {"bands": ["XX"]}]},
        GOOD_SEGMENT | {"orders": "x"},
        GOOD_SEGMENT | {"lifted": [["a."]]},
    ],
)
def test_rightly_signed_nonsense_is_refused_before_it_is_staged(tmp_path: Path, segment: object) -> None:
    """A segment of the wrong shape is refused although its signatures are right."""
    office = Publisher(tmp_path / "office")
    office.publish_segments(1, segment)
    with pytest.raises(FollowError) as refused:
        take(office, tmp_path / "gateway", 0)
    assert refused.value.code == "shape"


CONTENTS: dict[str, dict[str, object]] = {
    "format": {"format": 9},
    "serial_text": {"serial": "two"},
    "serial_truth": {"serial": True},
    "serial_zero": {"serial": 0},
    "segments_text": {"segments": "x"},
    "segment_path": {"segments": ["../../../etc/passwd"]},
    "segment_twice": {"segments": ["0" * 64 + ".json"] * 2},
    "segments_many": {"segments": [f"{number:064x}.json" for number in range(2000)]},
    "segment_unsigned": {"segments": ["a" * 64 + ".json"]},
    "journal": {"journal": {"seq": "x", "digest": "zz"}},
}


@pytest.mark.parametrize("fault", CONTENTS)
def test_rightly_signed_list_of_contents_that_is_none_is_refused(office: Publisher, tmp_path: Path, fault: str) -> None:
    """Names that are no digests, serials that are no numbers, too many segments, one that nobody signed: the old list stays."""
    gateway = tmp_path / "gateway"
    assert take(office, gateway, 0) == 1
    data = json.dumps(json.loads(list_file(office.folder).read_bytes()) | {"serial": 2} | CONTENTS[fault]).encode()
    draft = office.repository.redraft(now())
    contents = TargetFile.from_data("list.json", data, ["sha256"])
    contents.unrecognized_fields["custom"] = {"serial": 2}
    draft.signed.targets["list.json"] = contents
    draft.sign(office.signers["targets"][0])
    (office.folder / f"targets/{contents.hashes['sha256']}.list.json").write_bytes(data)
    office.repository.sign_off(draft, office.signers, now())
    with pytest.raises(FollowError) as refused:
        take(office, gateway, 1)
    assert refused.value.code == "shape"


def test_only_what_is_new_is_fetched(tmp_path: Path) -> None:
    """A gateway that holds the large part of the list fetches kilobytes for one more name."""
    office = Publisher(tmp_path / "office")
    large, small = office.segment(*(f"n{number}.example" for number in range(20_000))), office.segment("new.example")
    held: set[str] = set()
    sizes = []
    for serial, segments in ((1, [large]), (2, [large, small])):
        office.publish_segments(serial, *segments)
        fetcher = BoundedFetcher()
        with serve(office.folder) as url:
            release = follow(tmp_path / "gateway", url, office.root, serial - 1, fetcher, held=held.__contains__)
        assert release is not None and len(release.segments) == serial
        held |= release.fresh.keys()
        sizes.append(fetcher.received)
    assert sizes[0] > 400_000
    assert sizes[1] < 8_000


def test_merged_segment_is_made_here_and_not_fetched(tmp_path: Path) -> None:
    """The office merged what the gateway holds: it makes the same bytes itself. A part it lacks, or a lie about the parts: it fetches."""
    office = Publisher(tmp_path / "office")
    parts = [office.segment(*(f"{letter}{number}.example" for number in range(4000))) for letter in "abc"]
    names = [f"{hashlib.sha256(canonical_bytes(part)).hexdigest()}.json" for part in parts]
    merged = merge(parts, is_base=True)
    name = f"{hashlib.sha256(canonical_bytes(merged)).hexdigest()}.json"
    held = dict(zip(names, parts, strict=True))
    for serial, said, mine in ((1, {name: names}, held), (2, {name: names}, {}), (3, {name: names[:2]}, held)):
        office.publish_segments(serial, merged, made_of=said)
        fetcher = BoundedFetcher()
        with serve(office.folder) as url:
            place = tmp_path / f"gateway{serial}"
            release = follow(place, url, office.root, 0, fetcher, held=mine.__contains__, read=mine.__getitem__)
        assert release is not None and release.fresh == {name: merged}
        assert (fetcher.received < 10_000) is (serial == 1)


def test_slow_office_does_not_hold_a_gateway(office: Publisher, tmp_path: Path) -> None:
    """A round has an end, however slowly the bytes come."""
    with serve(office.folder) as url, pytest.raises(FollowError) as refused:
        follow(tmp_path / "gateway", url, office.root, 0, BoundedFetcher(whole=0.0))
    assert refused.value.code == "unreachable"


def test_compressed_answer_is_not_unpacked(office: Publisher, tmp_path: Path) -> None:
    """64 KiB that would become 64 MiB in memory: refused as it is, with nothing unpacked and nothing read."""
    fetcher = BoundedFetcher()
    with serve_bomb() as url, pytest.raises(FollowError, match="compressed") as refused:
        follow(tmp_path / "gateway", url, office.root, 0, fetcher)
    assert refused.value.code == "unreachable" and fetcher.received == 0


def test_office_that_drips_does_not_hold_a_gateway(office: Publisher, tmp_path: Path) -> None:
    """Octet by octet, so that no single wait is long: the round ends all the same."""
    begun = time.monotonic()
    with serve_drips() as url, pytest.raises(FollowError, match="too slow") as refused:
        follow(tmp_path / "gateway", url, office.root, 0, BoundedFetcher(whole=1.0))
    assert refused.value.code == "unreachable" and time.monotonic() - begun < 20


def test_office_that_says_nothing_does_not_hold_a_gateway(office: Publisher, tmp_path: Path) -> None:
    """It takes the connection and is silent: each step has an end of its own, ten seconds unless said otherwise."""
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FollowError) as refused:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        follow(tmp_path / "gateway", url, office.root, 0, BoundedFetcher(seconds=0.5))
    assert refused.value.code == "unreachable" and time.monotonic() - begun < 20


def test_nobody_leads_a_gateway_elsewhere(office: Publisher, tmp_path: Path) -> None:
    """A redirect is not followed, not even to the office's own good files."""
    with serve(office.folder) as good:

        class Elsewhere(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(302)
                self.send_header("Location", good + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()

        with serve_by(Elsewhere) as url, pytest.raises(FollowError) as refused:
            follow(tmp_path / "gateway", url, office.root, 0)
    assert refused.value.code == "unreachable"


@pytest.mark.parametrize("path", ["secret", "metadata/../../secret", "../secret", "metadata/%2e%2e/secret", "targets/a/b", "/etc/hostname"])
def test_a_stick_gives_parts_of_a_release_and_nothing_else(tmp_path: Path, path: str) -> None:
    """Whatever a name says, only files of its two folders are read."""
    stick = tmp_path / "stick"
    for place in (tmp_path / "secret", stick / "secret", stick / "metadata/1.root.json", stick / "targets/a/b"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(place.name)
    fetcher = FolderFetcher(stick)
    assert b"".join(fetcher.fetch(f"{FolderFetcher.BASE}/metadata/1.root.json")) == b"1.root.json"
    with pytest.raises(DownloadError, match="not the name of a part"):
        list(fetcher.fetch(f"{FolderFetcher.BASE}/{path}"))


def test_expiry_is_judged_by_the_given_time(office: Publisher, tmp_path: Path) -> None:
    """A clock that is years ahead finds everything expired, one that is years behind nothing; the old list stays either way."""
    with serve(office.folder) as url:
        with pytest.raises(FollowError):
            follow(tmp_path / "ahead", url, office.root, 1, now=now() + timedelta(days=4000))
        behind = follow(tmp_path / "behind", url, office.root, 0, now=now() - timedelta(days=20_000))
    assert behind is not None and behind.serial == 1


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
