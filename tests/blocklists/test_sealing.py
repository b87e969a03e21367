"""Sealed segments: what opens them, who is given the key, and that nothing on the way tells it."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from blocklists.follower import FollowError, follow
from blocklists.receipts import is_signed, load_key, public_of
from blocklists.releases import Listing
from blocklists.sealing import (
    MOST_KEYS,
    SealError,
    ask,
    key_id,
    must_be_sealed,
    office_keys,
    read_keys,
    read_question,
    seal,
    sealed_with,
    unseal,
    unwrap,
    wrap,
)
from blocklists.signing import Holders, Room
from blocklists.takedown.releasing import keys_in_use, segments_of
from gateway import release
from gateway.policy.masked import mask
from gateway.release import canonical_bytes
from tests.support.publisher import Publisher, now, serve

KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = {key_id(KEY): KEY}
HIDDEN = mask("example.cam.")
ORDER = {"id": "o", "number": "1/QĐ", "issuer": "Sở", "from": "2026-01-01T00:00:00Z", "until": None, "no_end": True}


def test_sealed_bytes_open_with_their_key_only() -> None:
    """The same bytes for the same content; without the key, with another, cut or changed they do not open."""
    data = canonical_bytes({"entries": [[HIDDEN, 0, 0]]})
    sealed = seal(data, KEY)
    assert sealed == seal(data, KEY) != seal(data, OTHER)
    assert sealed_with(sealed) == key_id(KEY) and sealed_with(data) == ""
    assert unseal(sealed, KEYS) == data == unseal(data, {})
    assert HIDDEN.encode() not in sealed and KEY not in sealed
    for broken in (sealed[:-1], sealed + b"x", sealed[:60] + b"!" + sealed[61:], sealed[:40]):
        with pytest.raises(SealError):
            unseal(broken, KEYS)
    with pytest.raises(SealError):
        unseal(sealed, {key_id(KEY): OTHER})
    with pytest.raises(SealError, match="not here"):
        unseal(sealed, {})


def test_segments_with_masked_names_are_known_by_their_rows() -> None:
    """Listed or lifted, also behind names in clear; a sign in a text is none."""
    assert must_be_sealed(canonical_bytes({"entries": [["example.a.", 0, 0], [HIDDEN, 0, 0]], "lifted": []}))
    assert must_be_sealed(canonical_bytes({"entries": [], "lifted": [[HIDDEN, "o1"]]}))
    assert not must_be_sealed(canonical_bytes({"entries": [["example.a.", 0, 0]], "lifted": [], "orders": [{"number": '["#"]'}]}))


def test_keys_are_made_once_and_old_ones_are_kept(tmp_path: Path) -> None:
    """A new key comes first, those of before stay, up to a bound; the file is its owner's alone, a damaged one no reason for new ones."""
    first = office_keys(tmp_path)
    assert office_keys(tmp_path) == first
    second = office_keys(tmp_path, fresh=True)
    assert list(second)[1:] == list(first)
    path = tmp_path / "office/release.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(MOST_KEYS):
        office_keys(tmp_path, fresh=True)
    assert len(read_keys(path)) == MOST_KEYS
    for damaged in ("", "zz\n", "ab\n"):
        path.write_text(damaged)
        with pytest.raises(SealError):
            office_keys(tmp_path)


def test_keys_made_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    """Two people take gateways off, a third signs, a command hands keys over, all at once: no key that anybody was given is lost."""
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: office_keys(tmp_path), range(16)))
        made = list(pool.map(lambda _: office_keys(tmp_path, fresh=True), range(24)))
    kept = read_keys(tmp_path / "office/release.keys")
    assert {name for keys in begun + made for name in keys} == set(kept) and len(kept) == 25
    child = "import sys; from pathlib import Path; from blocklists.sealing import office_keys; office_keys(Path(sys.argv[1]), fresh=True)"
    children = [subprocess.Popen([sys.executable, "-c", child, str(tmp_path)]) for _ in range(3)]
    here = [office_keys(tmp_path, fresh=True) for _ in range(10)]
    assert [one.wait(60) for one in children] == [0, 0, 0]
    assert {name for keys in here for name in keys} < set(read_keys(tmp_path / "office/release.keys")) and len(here[-1]) >= 35


def test_key_that_is_published_is_never_dropped(tmp_path: Path) -> None:
    """A hundred gateways are taken off: a new one still opens the list; and with the next signature it is under a key in use."""
    office, state_dir = Publisher(tmp_path / "www"), tmp_path / "var"
    state_dir.mkdir()
    hidden = listed(office, state_dir, HIDDEN)
    publish(office, state_dir, 1, hidden)
    first = office.repository.sealing_keys()
    assert first == set(office_keys(state_dir))
    for _ in range(100):
        keys = office_keys(state_dir, fresh=True, named=office.repository.sealing_keys())
    assert len(keys) == MOST_KEYS and first < set(keys)
    with serve(office.folder) as url:
        assert follow_with(keys, tmp_path / "new", url, office) == [HIDDEN]
        office.repository.renew(office.signers, now(), segments_of(state_dir), keys_in_use(state_dir))
        assert office.repository.sealing_keys() == {next(iter(keys))}
        assert follow_with(keys, tmp_path / "newer", url, office) == [HIDDEN]
        publish(office, state_dir, 2, hidden, listed(office, state_dir, "example.bad."))
        assert follow_with(keys, tmp_path / "newest", url, office) == [HIDDEN, "example.bad."]


def test_lost_keys_are_mended_with_the_next_signature(tmp_path: Path) -> None:
    """The file of keys is in no backup: after it was lost the same list, signed anew, opens with the new key; and so does a newer one."""
    office, state_dir = Publisher(tmp_path / "www"), tmp_path / "var"
    state_dir.mkdir()
    hidden = listed(office, state_dir, HIDDEN)
    publish(office, state_dir, 1, hidden)
    for serial in (1, 2):
        (state_dir / "office/release.keys").unlink()
        keys = office_keys(state_dir)
        with serve(office.folder) as url:
            assert follow_with(keys, tmp_path / f"before{serial}", url, office) == "key"
            if serial == 1:
                office.repository.renew(office.signers, now(), segments_of(state_dir), keys_in_use(state_dir))
            else:
                read, in_use = segments_of(state_dir), keys_in_use(state_dir)
                office.repository.publish(Listing(2, None, (hidden,)), read, office.signers, now(), in_use)
            assert follow_with(keys, tmp_path / f"after{serial}", url, office) == [HIDDEN]


def test_gateway_that_was_taken_off_opens_nothing_that_is_published_later(tmp_path: Path) -> None:
    """Also what one of two approvers signed before it was taken off: the draft begins anew under the new key. The same list signed anew
    tells it nothing that it did not have."""
    state_dir, at = tmp_path / "var", now()
    state_dir.mkdir()
    one, two = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    publics = (one.public_key, two.public_key)
    room, read = Room(state_dir), segments_of(state_dir)
    room.begin(Holders(publics, publics, 2), one, at)
    room.sign_root(two, at)
    segment = {"format": 1, "orders": [ORDER], "entries": [[HIDDEN, 0, 0]], "lifted": []}
    listing = Listing(1, None, (release.write_file(state_dir, segment),))
    assert not room.sign_release(listing, read, one, at)
    had = office_keys(state_dir)
    keys = office_keys(state_dir, fresh=True, named=room.repository.sealing_keys())
    assert room.standing().release is None, "signed by nobody now"
    assert not room.sign_release(listing, read, two, at)
    assert room.sign_release(listing, read, one, at)
    root = (state_dir / "release/metadata/1.root.json").read_bytes()
    with serve(state_dir / "release") as url:
        with pytest.raises(FollowError, match="was not given"):
            follow(tmp_path / "retired", url, root, 0, keys=had.get)
        assert follow(tmp_path / "gateway", url, root, 0, keys=keys.get) is not None
    (state_dir / "office/release.keys").write_text("damaged")
    assert room.standing().serial == 1


def test_answer_is_for_whoever_asked(tmp_path: Path) -> None:
    """The gateway's signature covers the key of the moment; another key, a changed or an empty answer opens nothing."""
    own = load_key(tmp_path / "gateway.key")
    question, moment = ask("gw1", own)
    gateway, exchange, signed, signature = read_question(question)
    assert gateway == "gw1" and is_signed(public_of(own), signed, signature)
    stolen = json.loads(question) | {"exchange": json.loads(ask("gw1", own)[0])["exchange"]}
    assert not is_signed(public_of(own), *read_question(canonical_bytes(stolen))[2:])
    answer = wrap(KEYS | {key_id(OTHER): OTHER}, exchange)
    assert unwrap(answer, moment) == KEYS | {key_id(OTHER): OTHER}
    assert KEY.hex().encode() not in answer
    _, listener = ask("gw1", own)
    for broken, opener in ((answer, listener), (answer[:-9] + b'00000000"', moment), (b"{}", moment), (b"[" * 5000, moment), (b"", moment)):
        with pytest.raises(SealError):
            unwrap(broken, opener)
    for broken in (b"", b"{}", b"[" * 5000, question.replace(b'"exchange":"', b'"exchange":"00')):
        with pytest.raises(SealError):
            read_question(broken)
    with pytest.raises(SealError):
        wrap(KEYS, "00" * 32)


def listed(office: Publisher, state_dir: Path, *keys: str) -> str:
    """A segment file in the office's state directory; its name."""
    return release.write_file(state_dir, office.segment() | {"entries": [[key, 0, 0] for key in sorted(keys)]})


def publish(office: Publisher, state_dir: Path, serial: int, *names: str) -> None:
    """Publish as the office does."""
    office.repository.publish(Listing(serial, None, names), segments_of(state_dir), office.signers, now())


def test_release_tells_nobody_which_names_are_masked(tmp_path: Path) -> None:
    """Whoever fetches every file and tries a dictionary finds nothing; a gateway with the key has the list, one without takes nothing."""
    office, state_dir = Publisher(tmp_path / "www"), tmp_path / "var"
    state_dir.mkdir()
    open_one, hidden = listed(office, state_dir, "example.bad."), listed(office, state_dir, HIDDEN, "example.worse.")
    publish(office, state_dir, 1, open_one)
    publish(office, state_dir, 2, open_one, hidden)
    files = [path for path in office.folder.rglob("*") if path.is_file()]
    for told in (HIDDEN, HIDDEN.strip("#."), "example.worse."):
        assert [path.name for path in files if told.encode() in path.read_bytes()] == []
    assert any(b"example.bad." in path.read_bytes() for path in files), "what is not masked anybody may read"
    keys = office_keys(state_dir)
    with serve(office.folder) as url:
        with pytest.raises(FollowError, match="was not given") as refused:
            follow(tmp_path / "stranger", url, office.root, 0)
        assert refused.value.code == "key"
        wrong = follow_with(dict.fromkeys(keys, OTHER), tmp_path / "wrong", url, office)
        assert wrong == "shape"
        assert follow_with(keys, tmp_path / "gateway", url, office) == [HIDDEN, "example.bad.", "example.worse."]


def follow_with(keys: dict[str, bytes], folder: Path, url: str, office: Publisher) -> object:
    """What a gateway with these keys takes: the keys of names, or the code of the refusal."""
    try:
        taken = follow(folder, url, office.root, 0, keys=keys.get)
    except FollowError as error:
        return error.code
    assert taken is not None
    return sorted(row[0] for segment in taken.fresh.values() for row in segment["entries"])


def test_new_key_seals_what_comes_and_what_was_sealed_stays(tmp_path: Path) -> None:
    """After a gateway was taken off, the next segments are under a key it never had; nothing is written anew for that."""
    office, state_dir = Publisher(tmp_path / "www"), tmp_path / "var"
    state_dir.mkdir()
    first, second = listed(office, state_dir, HIDDEN), listed(office, state_dir, mask("example.moi."))
    publish(office, state_dir, 1, first)
    old = office_keys(state_dir)
    before = {path.name for path in (office.folder / "targets").glob("*.segment")}
    keys = office_keys(state_dir, fresh=True)
    publish(office, state_dir, 2, first, second)
    assert before < {path.name for path in (office.folder / "targets").glob("*.segment")}
    with serve(office.folder) as url:
        assert follow_with(old, tmp_path / "retired", url, office) == "key"
        assert follow_with(keys, tmp_path / "gateway", url, office) == sorted([HIDDEN, mask("example.moi.")])


def test_copies_in_clear_of_an_older_version_leave(tmp_path: Path) -> None:
    """A release from before segments were sealed: with the next one its segment is sealed, and the old file is gone."""
    office, state_dir = Publisher(tmp_path / "www"), tmp_path / "var"
    state_dir.mkdir()
    hidden = listed(office, state_dir, HIDDEN)
    old = office.repository.draft(Listing(1, None, (hidden,)), lambda name: release.read_verified(state_dir, name), now())
    for target in old.signed.targets.values():
        target.unrecognized_fields.get("custom", {}).pop("sealed", None)
    for signer in office.signers["targets"]:
        old.sign(signer, append=True)
    office.repository.sign_off(old, office.signers, now())
    publish(office, state_dir, 2, hidden, listed(office, state_dir, "example.bad."))
    assert [path.name for path in office.folder.rglob("*") if path.is_file() and HIDDEN.encode() in path.read_bytes()] == []
