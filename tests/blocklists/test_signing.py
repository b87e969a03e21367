"""Drafts of a release room: enough signatures publish, a newer list takes the place of an older draft, strangers change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile, Snapshot, TargetFile

from blocklists.follower import FollowError, Release, follow
from blocklists.online import WHOLE, Statement, place_of
from blocklists.releasekeys import load_server
from blocklists.releases import Listing, ReleaseError
from blocklists.signing import Holders, Room
from gateway import release
from tests.support.publisher import serve

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


class Fleet:
    """An office's room with one officer, and gateways that follow it over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.state, self.folder, self.at = folder / "office", folder, datetime.now(UTC).replace(microsecond=0)
        self.officer = CryptoSigner.generate_ed25519()
        self.room = Room(self.state)
        self.room.begin(holders(self.officer), self.officer, self.at)
        self.root = (self.state / "release/metadata/1.root.json").read_bytes()
        self.segments: tuple[str, ...] = ()

    def publish(self, serial: int, host: str, number: str = "12/QĐ-STTTT", statement: Statement | None = None) -> None:
        """One more name; with `statement`, what the server says."""
        order = {
            "id": f"o{serial}", "number": number, "issuer": "", "basis": [], "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True,
        }  # fmt: skip
        document = {"format": 1, "orders": [order], "entries": [[f"example.{host}.", 0, 0]], "lifted": []}
        self.segments += (release.write_file(self.state, document),)
        listing = Listing(serial, None, self.segments)
        assert self.room.sign_release(listing, partial(release.read_verified, self.state), self.officer, self.at, statement)

    def take(self, gateway: str, enforced: int = 0, **more: Any) -> Release | None:
        """One round of a gateway."""
        with serve(self.state / "release") as url:
            return follow(self.folder / gateway, url, self.root, enforced, now=self.at, gateway=gateway, **more)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """An office that published serial 1 to everybody."""
    fleet = Fleet(tmp_path)
    fleet.publish(1, "first")
    return fleet


def staged(fleet: Fleet, serial: int, share: int = 5000) -> Statement:
    """Half of the gateways now, all of them in an hour."""
    at = int(fleet.at.timestamp())
    return Statement({serial: ((at, share), (at + 3600, WHOLE))})


def pick(serial: int, early: bool, share: int = 5000) -> str:
    """A gateway that is in the first stage, or is not."""
    return next(f"g{n}" for n in range(1000) if (place_of(f"g{n}", serial) < share) is early)


def test_release_in_stages_comes_to_each_gateway_in_its_turn(fleet: Fleet) -> None:
    """One whose stage has not come takes the release before it, also when it is new; says so; and takes the newest when its time comes."""
    fleet.publish(2, "second", statement=staged(fleet, 2))
    early, late = pick(2, True), pick(2, False)
    first, waiting = fleet.take(early), fleet.take(late)
    assert first is not None and (first.serial, first.newest) == (2, 2)
    assert waiting is not None and (waiting.serial, waiting.newest, waiting.segments) == (1, 2, fleet.segments[:1])
    same = fleet.take(late, 1, held=lambda _: True)
    assert same is not None and (same.serial, same.newest, same.fresh) == (1, 2, {})
    fleet.at += timedelta(hours=1)
    turn = fleet.take(late, 1)
    assert turn is not None and turn.serial == 2


def test_release_that_is_held_stays_where_it_is_whatever_time_goes_by(fleet: Fleet) -> None:
    """Held: those that have it keep it, the others never take it, nor one after it; a release for everybody at once goes to all."""
    fleet.publish(2, "second", statement=staged(fleet, 2))
    held = Statement({2: staged(fleet, 2).stages[2][:1]})
    assert fleet.room.say(held, fleet.at)
    assert not fleet.room.say(held, fleet.at), "said already"
    early, late = pick(2, True), pick(2, False)
    fleet.at += timedelta(hours=2)
    waiting, kept = fleet.take(late), fleet.take(early, 2)
    assert waiting is not None and waiting.serial == 1
    assert kept is not None and kept.serial == 2
    fleet.publish(3, "third", statement=Statement({**held.stages, 3: ((0, 0),)}))
    waiting, kept = fleet.take(late), fleet.take(early, 2)
    assert waiting is not None and (waiting.serial, waiting.newest) == (1, 3)
    assert kept is not None and (kept.serial, kept.newest) == (2, 3)
    by_hand = fleet.take("stick", by_hand=True)
    assert by_hand is not None and by_hand.serial == 1, "a stick brings nothing that is held"
    fleet.publish(4, "urgent", statement=Statement({**held.stages, 3: ((0, 0),)}))
    for gateway, enforced in ((early, 2), (late, 1)):
        taken = fleet.take(gateway, enforced)
        assert taken is not None and taken.serial == 4


def test_server_cannot_hold_back_what_is_for_everybody_at_once(fleet: Fleet) -> None:
    """The officers signed that it is: a stolen key of the server changes nothing about that."""
    fleet.publish(2, "urgent")
    assert fleet.room.say(Statement({2: ((0, 0),)}), fleet.at)
    taken = fleet.take("g1", 1)
    assert taken is not None and taken.serial == 2


def test_stick_is_not_asked_to_wait_for_a_stage(fleet: Fleet) -> None:
    """Somebody carried it here: the newest release is taken although its stage would come later."""
    fleet.publish(2, "second", statement=staged(fleet, 2))
    taken = fleet.take("", by_hand=True)
    assert taken is not None and taken.serial == 2


def test_what_the_server_says_has_ended_is_told_for_lists_that_still_hold_it(fleet: Fleet) -> None:
    """Without an officer: an entry is out of the list that is signed; the next signed list speaks for itself."""
    assert fleet.room.say(Statement({}, (("example.first.", 2),)), fleet.at)
    taken = fleet.take("g1")
    assert taken is not None and taken.withdrawn == ("example.first.",)
    fleet.publish(2, "second", statement=Statement({}, (("example.first.", 2),)))
    taken = fleet.take("g1", 1)
    assert taken is not None and taken.withdrawn == ()


def test_older_or_damaged_word_of_the_server_is_refused(fleet: Fleet) -> None:
    """What the server says is part of the release: yesterday's word and a changed one are refused."""
    assert fleet.room.say(Statement({}, (("example.first.", 2),)), fleet.at)
    yesterday = {path: path.read_bytes() for path in (fleet.state / "release").rglob("*.json")}
    assert fleet.room.say(Statement(), fleet.at)
    assert fleet.take("g1") is not None
    for path, data in yesterday.items():
        path.write_bytes(data)
    with pytest.raises(FollowError):
        fleet.take("g1", 1)
    for serial in (8, 9):
        assert fleet.room.say(Statement({serial: ((0, 0),)}), fleet.at)
    newest = max((fleet.state / "release/metadata").glob("*.online.json"), key=lambda path: int(path.name.split(".")[0]))
    newest.write_bytes(newest.read_bytes().replace(b'"version":', b'"version": 9'))
    taken = fleet.take("g1", 1)
    assert taken is not None and (taken.serial, taken.withdrawn) == (1, ()) and taken.fault


def test_new_key_of_the_server_takes_the_place_of_a_stolen_one_with_an_officers_signature(fleet: Fleet) -> None:
    """Until an officer signs, the old key speaks; from then on it is worth nothing, and gateways believe the new one."""
    before = fleet.room.standing()
    assert before.server_key and not before.server_waits
    stolen = (fleet.state / "keys/online.pem").read_bytes()
    fleet.room.renew_server_key()
    standing = fleet.room.standing()
    assert standing.server_waits and standing.waits_for(fleet.officer.public_key.keyid, False, fleet.at)
    assert fleet.room.say(Statement({}, (("example.first.", 2),)), fleet.at)
    taken = fleet.take("g1")
    assert taken is not None and taken.withdrawn == ("example.first.",)
    assert fleet.room.sign_release(None, lambda _: b"", fleet.officer, fleet.at)
    after = fleet.room.standing()
    assert after.server_key != before.server_key and not after.server_waits and after.serial == 1
    assert fleet.room.say(Statement(), fleet.at)
    taken = fleet.take("g1", 1)
    assert taken is not None and taken.withdrawn == ()
    (fleet.state / "keys/online.pem").write_bytes(stolen)
    with pytest.raises(ReleaseError, match="not here"):
        fleet.room.say(Statement({}, (("example.first.", 2),)), fleet.at)


def test_key_that_the_officers_did_not_appoint_speaks_for_nobody(fleet: Fleet) -> None:
    """Somebody with the keys of snapshot and timestamp, and a key of their own for the server's word: gateways refuse every word of it."""
    stranger, withdrawing = CryptoSigner.generate_ed25519(), Statement({}, (("example.first.", 2),)).to_bytes()
    repository = fleet.room.repository
    metadata = repository._read_online()
    assert metadata is not None
    metadata.signed.version += 1
    metadata.signed.targets = {"online.json": TargetFile.from_data("online.json", withdrawing, ["sha256"])}
    digest = metadata.signed.targets["online.json"].hashes["sha256"]
    (repository.targets / f"{digest}.online.json").write_bytes(withdrawing)
    metadata.sign(stranger)
    (repository.metadata / f"{metadata.signed.version}.online.json").write_bytes(metadata.to_bytes())
    snapshot = repository._read(Snapshot)
    snapshot.signed.meta["online.json"] = MetaFile(metadata.signed.version)
    repository._point_to(snapshot, None, load_server(fleet.state / "keys"), fleet.at)
    taken = fleet.take("g1")
    assert taken is not None and (taken.serial, taken.withdrawn) == (1, ()) and "UnsignedMetadataError" in taken.fault


def test_office_of_an_older_version_gets_its_server_key_with_the_next_signature(fleet: Fleet) -> None:
    """Without the key nothing is said; made, it waits for a signature, and the list stays the same."""
    (fleet.state / "keys/online.pem").unlink()
    fleet.room.complete_keys()
    assert fleet.room.standing().server_waits
    assert fleet.room.sign_release(None, lambda _: b"", fleet.officer, fleet.at)
    assert fleet.room.say(Statement({}, (("example.first.", 2),)), fleet.at)
    taken = fleet.take("g1")
    assert taken is not None and (taken.serial, taken.withdrawn) == (1, ("example.first.",))


def everything_held(*serials: int) -> Statement:
    """What somebody with the server's key would say."""
    return Statement(dict.fromkeys(serials, ((0, 0),)))


@pytest.mark.parametrize("enforced", [0, 1])
def test_stolen_server_key_freezes_nothing_urgent_behind_an_ordinary_release(fleet: Fleet, enforced: int) -> None:
    """An urgent release, then an ordinary one, and a stolen key that holds both: the urgent one is enforced, by old and new gateways."""
    fleet.publish(2, "urgent")
    fleet.publish(3, "ordinary", statement=everything_held(3))
    assert fleet.room.say(everything_held(1, 2, 3), fleet.at)
    published = fleet.room.repository.listing()
    assert published is not None and [one.at_once for one in published.before] == [True], "the list says so of those before it"
    taken = fleet.take("g1", enforced)
    assert taken is not None and (taken.serial, taken.newest, taken.stays) == (2, 3, False)


def test_oldest_list_that_is_named_is_held_back_from_nobody_who_has_less(fleet: Fleet) -> None:
    """A new gateway, and one that was away, are never left with less than the oldest that the officers named."""
    fleet.publish(2, "second", statement=staged(fleet, 2))
    fleet.publish(3, "third", statement=Statement({**staged(fleet, 2).stages, **staged(fleet, 3).stages}))
    assert fleet.room.say(everything_held(1, 2, 3), fleet.at)
    taken = fleet.take("g1")
    assert taken is not None and (taken.serial, taken.newest) == (1, 3)


def test_serial_that_is_not_named_stays_and_the_newest_is_told(fleet: Fleet) -> None:
    """Nothing that is named may be taken: what is in force stays, and it is still told which one is waited for."""
    fleet.publish(3, "third", statement=everything_held(3))
    taken = fleet.take("g1", 2)
    assert taken is not None and (taken.serial, taken.newest, taken.stays, taken.segments) == (2, 3, True, ())


def test_server_delays_an_ordinary_release_for_fourteen_days_and_no_longer(fleet: Fleet) -> None:
    """Whoever has the server's key holds it back from when the gateway saw it; then the officers' signature counts."""
    fleet.publish(2, "second", statement=everything_held(2))
    for days, serial in ((0, 1), (7, 1), (13, 1), (14, 2)):
        at = fleet.at
        fleet.at += timedelta(days=days)
        fleet.room.repository.say(everything_held(2), load_server(fleet.state / "keys"), fleet.at)
        taken = fleet.take("g1", 1)
        assert taken is not None and (taken.serial, taken.fault) == (serial, ""), days
        fleet.at = at


def spoil(fleet: Fleet, kind: str) -> None:
    """Make what the server says unusable, by whoever has its keys: what gateways are offered is signed rightly as far as it can be."""
    repository, signers = fleet.room.repository, load_server(fleet.state / "keys")
    if kind == "expired":
        repository.say(everything_held(2), signers, fleet.at - timedelta(days=30))
        repository._point_to(repository._read(Snapshot), None, signers, fleet.at)
        return
    texts = {"garbage": b"{", "shape": b'{"format":1}', "oversized": b" " * 600_000, "deep": b"[" * 90_000, "missing": b"{}", "hash": b"{}"}
    metadata = repository._read_online()
    assert metadata is not None
    contents = TargetFile.from_data("online.json", texts[kind], ["sha256"])
    name = f"{contents.hashes['sha256']}.online.json"
    metadata.signed.version += 1
    metadata.signed.targets = {"online.json": contents}
    metadata.signatures.clear()
    metadata.sign(signers["online"][0])
    if kind != "missing":
        (repository.targets / name).write_bytes(texts[kind] if kind != "hash" else b"[]")
    snapshot = repository._read(Snapshot)
    snapshot.signed.meta["online.json"] = MetaFile(metadata.signed.version)
    repository._point_to(snapshot, metadata, signers, fleet.at)


SPOILT = ["garbage", "shape", "oversized", "deep", "missing", "hash", "expired"]


@pytest.mark.parametrize("kind", SPOILT)
def test_word_that_cannot_be_used_stops_no_urgent_release(fleet: Fleet, kind: str) -> None:
    """Garbage, too much, nothing or something expired where the server's word should be: what is for everybody at once is taken, and the
    fault is told."""
    fleet.publish(2, "urgent")
    spoil(fleet, kind)
    taken = fleet.take("g1", 1)
    assert taken is not None and (taken.serial, taken.stays) == (2, False)
    assert "cannot be used" in taken.fault


@pytest.mark.parametrize("kind", SPOILT)
def test_word_that_cannot_be_used_delays_an_ordinary_release_for_a_day(fleet: Fleet, kind: str) -> None:
    """Nobody can say how far it should have come: it is waited with for a day, told all the time, and then taken."""
    fleet.publish(2, "second", statement=staged(fleet, 2))
    spoil(fleet, kind)
    waiting = fleet.take("g1", 1, held=lambda _: True)
    assert waiting is not None and (waiting.serial, waiting.newest) == (1, 2) and waiting.fault
    fleet.at += timedelta(days=1)
    fleet.room.repository._point_to(fleet.room.repository._read(Snapshot), None, load_server(fleet.state / "keys"), fleet.at)
    taken = fleet.take("g1", 1)
    assert taken is not None and taken.serial == 2 and taken.fault


def test_last_word_that_could_be_used_goes_on(fleet: Fleet) -> None:
    """What it had taken out stays out, and the stages it named come at their time, though the word is broken now."""
    early, late = pick(2, True), pick(2, False)
    fleet.publish(2, "second", statement=Statement(staged(fleet, 2).stages, (("example.first.", 9),)))
    waiting = fleet.take(late, 1)
    assert waiting is not None and waiting.serial == 1
    spoil(fleet, "garbage")
    kept = fleet.take(late, 1)
    assert kept is not None and (kept.serial, kept.withdrawn) == (1, ("example.first.",)) and kept.fault
    fleet.at += timedelta(hours=1)
    turn = fleet.take(late, 1)
    assert turn is not None and (turn.serial, turn.withdrawn) == (2, ("example.first.",)) and turn.fault
    never_heard = fleet.take(early, 1)
    assert never_heard is not None and never_heard.serial == 1


def test_word_that_no_gateway_could_read_is_not_published(fleet: Fleet) -> None:
    """The office's own fault is found at the office, before anybody sees it."""
    before = {path: path.read_bytes() for path in (fleet.state / "release").rglob("*") if path.is_file()}
    for broken in (Statement({}, (("not a key", 3),)), Statement({2: ((0, WHOLE + 1),)}), Statement(dict.fromkeys(range(65), ()))):
        with pytest.raises(ReleaseError, match="no gateway could read"):
            fleet.room.say(broken, fleet.at)
    assert {path: path.read_bytes() for path in (fleet.state / "release").rglob("*") if path.is_file()} == before


def test_snapshot_names_length_and_digest_of_the_servers_word(fleet: Fleet) -> None:
    """Not its version alone: another file under the same version, rightly signed, is refused."""
    repository = fleet.room.repository
    named = repository._read(Snapshot).signed.meta["online.json"]
    assert named.length and named.hashes
    metadata = repository._read_online()
    assert metadata is not None
    metadata.signed.targets = {}
    metadata.signatures.clear()
    metadata.sign(load_server(fleet.state / "keys")["online"][0])
    (repository.metadata / f"{metadata.signed.version}.online.json").write_bytes(metadata.to_bytes())
    taken = fleet.take("g1")
    assert taken is not None and "cannot be used" in taken.fault
