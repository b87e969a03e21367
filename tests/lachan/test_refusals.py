"""Broken and hostile releases in one list: each is refused, its reason is told, and what is in force stays as it was, byte for byte.

The gateway's state directory is real, the office's web server too; a round is what the job of a running gateway does (`take_round`).
"""

from __future__ import annotations

import copy
import functools
import gzip
import hashlib
import http.server
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets

from blocklists.releases import Listing, Repository
from blocklists.sealing import HELD_FILE, seal
from gateway.following import read_state
from gateway.policy.masked import mask
from gateway.release import canonical_bytes
from lachan.configuration import load
from lachan.following import orders_in_force, serial_in_force, take_round
from tests.blocklists.test_follower import CONTENTS, GOOD_SEGMENT, KINDS, ORDER, damage, edit, list_file, newest, segment_file
from tests.support.generation import make_generation
from tests.support.publisher import Publisher, now, serve, serve_bomb, serve_by

KEY = b"k" * 32


@dataclass
class World:
    """A gateway that enforces serial 5, and its office, which is about to publish serial 6."""

    folder: Path
    office: Publisher

    def round(self, url: str) -> None:
        """One round of following at this address."""
        path = self.folder / "lachan.yaml"
        path.write_text(f'state_dir: var\ntakedown: {{follow: {{url: "{url}", root: root.json}}}}\n')
        take_round(load(path, require_files=False), commit=True)

    def in_force(self) -> dict[str, bytes]:
        """Every file of the gateway but what following itself notes."""
        var = self.folder / "var"
        held = {str(path.relative_to(var)): path.read_bytes() for path in var.rglob("*") if path.is_file()}
        return {name: data for name, data in held.items() if not name.startswith("follow/") and not name.endswith(".lock")}

    def sign(self, change: Callable[[Targets], None], *, signers: list[CryptoSigner] | None = None, check: bool = True) -> None:
        """The next list, changed before the approvers sign it."""
        draft = self.office.repository.redraft(now())
        change(draft.signed)
        for signer in signers if signers is not None else self.office.signers["targets"]:
            draft.sign(signer, append=True)
        if check:
            self.office.repository.sign_off(draft, self.office.signers, now())
            return
        repository = self.office.repository
        (repository.metadata / f"{draft.signed.version}.targets.json").write_bytes(draft.to_bytes())
        snapshot = repository._read(Snapshot)
        snapshot.signed.meta["targets.json"] = MetaFile(draft.signed.version)
        repository._point_to(snapshot, None, self.office.signers, now())

    def place(self, targets: Targets, name: str, data: bytes, *, told: bytes | None = None) -> None:
        """Sign a file under a name; `told` is what the signature says it is."""
        target = TargetFile.from_data(name, data if told is None else told, ["sha256"])
        target.unrecognized_fields["custom"] = {"serial": 6} if name == "list.json" else {"sealed": ""}
        targets.targets[name] = target
        (self.office.folder / f"targets/{target.hashes['sha256']}.{name}").write_bytes(data)

    def contents(self, **fault: object) -> None:
        """Sign a list of contents with this fault."""
        document = json.loads(list_file(self.office.folder).read_bytes()) | {"serial": 6} | fault
        self.sign(lambda targets: self.place(targets, "list.json", json.dumps(document).encode()))

    def segment(self, data: bytes, name: str | None = None) -> None:
        """Publish a segment of these octets, named by them or otherwise."""
        named = name or f"{hashlib.sha256(data).hexdigest()}.json"
        self.office.repository.publish(Listing(6, None, (named,)), lambda _: data, self.office.signers, now())


Case = Callable[[World], None]


def publish(world: World) -> None:
    """Serial 6, as it should be."""
    world.office.publish(6, "bad.example", "worse.example")


def damaged(part: str, kind: str) -> Case:
    """One part of serial 6 is damaged."""

    def case(world: World) -> None:
        publish(world)
        special = {"list": list_file, "segment": segment_file}
        damage(kind, special[part](world.office.folder) if part in special else newest(world.office.folder, part))

    return case


def forged(role: str, change: Callable[[dict[str, Any]], object]) -> Case:
    """Metadata of serial 6 is changed and not signed again."""

    def case(world: World) -> None:
        publish(world)
        edit(newest(world.office.folder, role), lambda document: change(document) and None)

    return case


TRICKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "foreign signature": lambda document: document["signatures"][0].update(sig="ab" * 64),
    "no signature": lambda document: document["signatures"].clear(),
    "raised version": lambda document: document["signed"].update(version=99),
    "another role's": lambda document: document["signed"].update(_type="root"),
    "later end": lambda document: document["signed"].update(expires="2099-01-01T00:00:00Z"),
}


def frozen(role: str) -> Case:
    """Everything is signed rightly, and one role long ago."""

    def case(world: World) -> None:
        past = now() - timedelta(days=800)
        if role == "root":
            root = world.office.repository.next_root(world.office.keys(), past)
            root.sign(world.office.signers["root"][0])
            world.office.repository.appoint(root)
            return
        world.office.publish(6, "worse.example", at=now() if role == "timestamp" else past)
        world.office.repository.refresh(world.office.signers, now() if role == "targets" else past)

    return case


def rolled_back(world: World) -> None:
    """Yesterday's files, complete and rightly signed, after the gateway saw today's."""
    folder, kept = world.office.folder, world.folder / "kept"
    shutil.copytree(folder, kept)
    world.office.repository.refresh(world.office.signers, now())
    with serve(folder) as url:
        world.round(url)
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def mixed(part: str) -> Case:
    """A rightly signed part of serial 5 in the place of serial 6's."""

    def case(world: World) -> None:
        old = newest(world.office.folder, part).read_bytes()
        publish(world)
        newest(world.office.folder, part).write_bytes(old)

    return case


def taken_over(role: str) -> Case:
    """Files of another office from this role on."""

    def case(world: World) -> None:
        publish(world)
        stranger = Publisher(world.folder / "stranger")
        for serial in (6, 7, 8):
            stranger.publish(serial, "evil.example")
        if role == "root":
            text = Repository(stranger.folder).rotate(stranger.keys(), stranger.signers["root"], now())
            (world.office.folder / "metadata/2.root.json").write_bytes(text)
            return
        for path in (stranger.folder / "metadata").glob(f"*{role}.json"):
            (world.office.folder / "metadata" / path.name).write_bytes(path.read_bytes())
        newest(world.office.folder, "timestamp").write_bytes(newest(stranger.folder, "timestamp").read_bytes())

    return case


def too_few(world: World) -> None:
    """The root wants two approvers from now on; one signs."""
    office = world.office
    office.signers["targets"].append(CryptoSigner.generate_ed25519())
    office.approvers = 2
    office.repository.rotate(office.keys(), office.signers["root"], now())
    world.sign(lambda targets: None, signers=office.signers["targets"][:1], check=False)


def revoked(world: World) -> None:
    """The approver's key was taken out of the root; somebody goes on signing with it."""
    office = world.office
    stolen = office.signers["targets"]
    office.signers["targets"] = [CryptoSigner.generate_ed25519()]
    office.repository.rotate(office.keys(), office.signers["root"], now())
    world.sign(lambda targets: None, signers=stolen, check=False)


def signed_otherwise(part: str, fault: str) -> Case:
    """The signature tells another digest or another length than the file has."""

    def case(world: World) -> None:
        publish(world)
        data = list_file(world.office.folder).read_bytes() if part == "list" else segment_file(world.office.folder).read_bytes()
        path = list_file(world.office.folder) if part == "list" else segment_file(world.office.folder)
        name = path.name.partition(".")[2]

        def change(targets: Targets) -> None:
            target = targets.targets[name]
            if fault == "length":
                target.length += 1 if part == "list" else -1
            else:
                target.hashes = {"sha256": "0" * 64}
                (path.parent / f"{'0' * 64}.{name}").write_bytes(data)

        world.sign(change, check=True)

    return case


def sealed(fault: str) -> Case:
    """A segment with masked names, sealed with a key that the gateway has or has not, and then spoilt."""

    def case(world: World) -> None:
        data = canonical_bytes(GOOD_SEGMENT | {"orders": [ORDER], "entries": [[mask("example.cam."), 0, 0]]})
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        text = seal(data, KEY)
        held = {"no key": b"", "another key": b"", "not its text": KEY, "cut": KEY, "changed": KEY}[fault]
        if fault == "not its text":
            text = seal(data + b" ", KEY)
        elif fault == "cut":
            text = text[:-20]
        elif fault == "changed":
            text = text[:-20] + bytes([text[-20] ^ 1]) + text[-19:]
        if fault == "another key":
            held = b"o" * 32
        if held:
            path = world.folder / "var" / HELD_FILE
            path.parent.mkdir(exist_ok=True)
            path.write_text(held.hex() + "\n")
        world.segment(text, name)

    return case


def oversized(world: World) -> None:
    """A list of contents that its signature says is larger than any."""
    world.sign(lambda targets: world.place(targets, "list.json", b" " * (600 * 1024)))


def endless_targets(world: World) -> None:
    """Signed metadata larger than any follower reads."""
    world.sign(lambda targets: targets.unrecognized_fields.update(filler="x" * 300_000))


def wrong_delta(world: World) -> None:
    """A merged segment that is said to be made of parts that do not make it, and is not there itself."""
    part = world.office.segment("bad.example")
    held = f"{hashlib.sha256(canonical_bytes(part)).hexdigest()}.json"
    merged = world.office.segment("bad.example", "worse.example")
    name = f"{hashlib.sha256(canonical_bytes(merged)).hexdigest()}.json"
    world.office.publish_segments(6, merged, made_of={name: [held]})
    segment_file(world.office.folder).unlink()


def spoilt_word(text: bytes | None, lasts: timedelta = timedelta(days=9)) -> Case:
    """An ordinary release that goes out in stages, beside a word of the server that cannot be used."""

    def case(world: World) -> None:
        office, server = world.office, CryptoSigner.generate_ed25519()
        before = office.repository.listing()
        assert before is not None
        data = canonical_bytes(office.segment("worse.example"))
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        listing = Listing(6, None, (*before.segments, name), before=(before,))
        draft = office.repository.draft(listing, lambda _: data, now(), server.public_key)
        draft.sign(office.signers["targets"][0])
        metadata = Metadata(Targets(1, expires=(now() + lasts).replace(microsecond=0)))
        word = TargetFile.from_data("online.json", text or b"{}", ["sha256"])
        metadata.signed.targets = {"online.json": word}
        if text is not None:
            (office.folder / f"targets/{word.hashes['sha256']}.online.json").write_bytes(text)
        metadata.sign(server)
        (office.folder / f"metadata/{draft.signed.version}.targets.json").write_bytes(draft.to_bytes())
        (office.folder / "metadata/1.online.json").write_bytes(metadata.to_bytes())
        snapshot = office.repository._read(Snapshot)
        snapshot.signed.meta |= {"targets.json": MetaFile(draft.signed.version), "online.json": MetaFile(1)}
        office.repository._point_to(snapshot, None, office.signers, now())

    return case


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers everything in one hostile way."""

    def __init__(self, *args: Any, kind: str, **more: Any) -> None:
        self.kind = kind
        super().__init__(*args, **more)

    def do_GET(self) -> None:
        if self.kind == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/")
        else:
            self.send_response(500 if self.kind == "500" else 200)
        if self.kind == "garbage":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * (10 if self.kind == "cut" else 100))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nobody is."""
    with serve(Path("/nonexistent")) as url:
        pass
    yield url


HOSTS: dict[str, Callable[[], Any]] = {
    "host: answers 500": lambda: serve_by(functools.partial(_Answer, kind="500")),
    "host: leads elsewhere": lambda: serve_by(functools.partial(_Answer, kind="redirect")),
    "host: hangs up half way": lambda: serve_by(functools.partial(_Answer, kind="cut")),
    "host: broken gzip": lambda: serve_by(functools.partial(_Answer, kind="garbage")),
    "host: gzip of 64 MiB": serve_bomb,
    "host: nobody": nobody,
}

SEGMENTS: dict[str, object] = {
    "empty object": {},
    "a list": [],
    "another format": GOOD_SEGMENT | {"format": 2},
    "entry of no order": GOOD_SEGMENT | {"entries": [["example.bad.", 0, 0]]},
    "name without its end": GOOD_SEGMENT | {"orders": [ORDER], "entries": [["example.bad", 0, 0]]},
    "order that is not there": GOOD_SEGMENT | {"orders": [ORDER], "entries": [["example.bad.", 7, 0]]},
    "number for a name": GOOD_SEGMENT | {"orders": [ORDER], "entries": [[5, 0, 0]]},
    "order without anything": GOOD_SEGMENT | {"orders": [{"id": "x"}]},
    "order without an end": GOOD_SEGMENT | {"orders": [ORDER | {"no_end": False}]},
    "time without a zone": GOOD_SEGMENT | {"orders": [ORDER | {"from": "2026-01-01T00:00:00"}]},
    "band that is none": GOOD_SEGMENT | {"orders": [ORDER | {"bands": ["XX"]}]},
    "text for orders": GOOD_SEGMENT | {"orders": "x"},
    "lifting of nothing": GOOD_SEGMENT | {"lifted": [["a."]]},
}
LISTS: dict[str, dict[str, object]] = CONTENTS | {
    "before_is_newer": {"before": [{"serial": 7, "journal": None, "segments": []}]},
    "before_is_the_same": {"before": [{"serial": 6, "journal": None, "segments": []}]},
    "before_is_endless": {"before": [{"serial": 1, "journal": None, "segments": []}] * 65},
    "before_is_text": {"before": "x"},
    "made_of_a_path": {"made_of": {"a": ["../../etc/passwd"]}},
    "made_of_text": {"made_of": "x"},
}

REFUSED: dict[str, tuple[str, str, Case]] = {
    **{
        f"{part}: {kind}": ("unreachable" if kind == "missing" else "refused", "", damaged(part, kind))
        for part in ("timestamp", "snapshot", "targets", "list", "segment")
        for kind in KINDS
    },
    **{
        f"{role}: {name}": ("refused", "", forged(role, change))
        for role in ("timestamp", "snapshot", "targets")
        for name, change in TRICKS.items()
    },
    **{f"{role}: expired": ("refused", "expired", frozen(role)) for role in ("root", "timestamp", "snapshot", "targets")},
    **{f"{part}: of the release before": ("refused", "", mixed(part)) for part in ("snapshot", "targets")},
    **{f"{role}: of another office": ("refused", "", taken_over(role)) for role in ("root", "timestamp", "snapshot", "targets")},
    "rollback: yesterday's files": ("refused", "version", rolled_back),
    "rollback: an older serial under newer signatures": ("rollback", "serial 4 is older than 5", partial(World.contents, serial=4)),
    "keys: one approver of two": ("refused", "targets was signed by 1/2 keys", too_few),
    "keys: of an approver who was taken out": ("refused", "targets was signed by 0/1 keys", revoked),
    **{
        f"{part}: wrong {fault}": ("refused", "", signed_otherwise(part, fault))
        for part in ("list", "segment")
        for fault in ("length", "digest")
    },
    "list: larger than any": ("refused", "says it has 614400 bytes", oversized),
    "targets: larger than any": ("refused", "", endless_targets),
    **{
        f"list: {name}": ("shape", "cannot be read", partial(World.contents, **fault))
        for name, fault in LISTS.items()
        if name != "segment_unsigned"
    },
    "list: segment_unsigned": ("shape", "named and not signed", partial(World.contents, **LISTS["segment_unsigned"])),
    **{
        f"segment: {name}": ("shape", "cannot be read", lambda world, segment=segment: world.segment(canonical_bytes(segment)))
        for name, segment in SEGMENTS.items()
    },
    "segment: not in canonical form": ("shape", "canonical", lambda world: world.segment(json.dumps(GOOD_SEGMENT).encode())),
    "segment: another one's name": ("shape", "not what its name says", lambda world: world.segment(b"{}", f"{'a' * 64}.json")),
    "segment: gzip": ("shape", "cannot be read", lambda world: world.segment(gzip.compress(canonical_bytes(GOOD_SEGMENT)))),
    "segment: deep": ("shape", "cannot be read", lambda world: world.segment(b"[" * 100_000)),
    "sealed: no key": ("key", "no key", sealed("no key")),
    "sealed: another key": ("key", "no key", sealed("another key")),
    "sealed: not its text": ("shape", "not what its name says", sealed("not its text")),
    "sealed: cut": ("shape", "cannot be opened", sealed("cut")),
    "sealed: changed": ("shape", "cannot be opened", sealed("changed")),
    "delta: parts that do not make it": ("unreachable", "", wrong_delta),
    "word of the server: garbage": ("word", "cannot be used", spoilt_word(b"{")),
    "word of the server: no statement": ("word", "cannot be used", spoilt_word(b'{"format":1}')),
    "word of the server: too large": ("word", "600000 bytes", spoilt_word(b" " * 600_000)),
    "word of the server: missing": ("word", "404", spoilt_word(None)),
    "word of the server: expired": ("word", "expired", spoilt_word(b"{}", timedelta(days=-1))),
    **{name: ("unreachable", "", lambda world: None) for name in HOSTS},
}  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Serial 5 is in force; copied for each case."""
    folder = tmp_path_factory.mktemp("begun")
    office = Publisher(folder / "office")
    office.publish(5, "bad.example")
    (folder / "root.json").write_bytes(office.root)
    (folder / "var").mkdir()
    make_generation(folder / "var")
    world = World(folder, office)
    with serve(office.folder) as url:
        world.round(url)
    assert serial_in_force(folder / "var") == 5
    return world


def test_there_are_sixty_kinds_and_more() -> None:
    """Each has a name of its own."""
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("kind", REFUSED)
def test_release_is_refused_and_what_is_in_force_stays(begun: World, tmp_path: Path, kind: str) -> None:
    """Not an octet of what is enforced changes; the state says why and since when; serial 5 goes on."""
    code, words, case = REFUSED[kind]
    folder = tmp_path / "w"
    shutil.copytree(begun.folder, folder, symlinks=True)
    office = copy.copy(begun.office)
    office.signers = {role: list(signers) for role, signers in begun.office.signers.items()}
    office.folder, office.repository = folder / "office", Repository(folder / "office")
    world = World(folder, office)
    before = world.in_force()
    case(world)
    with HOSTS[kind]() if kind in HOSTS else serve(office.folder) as url:
        world.round(url)
    state = read_state(folder / "var")
    assert state is not None and (state.code, state.serial) == (code, 5), state
    assert state.problem and words in state.problem, state.problem
    assert state.failing_since and state.checked_at >= state.failing_since
    assert world.in_force() == before and len(before) > 5
    orders = orders_in_force(folder / "var")
    assert orders is not None and (orders.serial, len(orders.segments)) == (5, 1)


def test_next_good_release_is_taken_after_any_of_them(begun: World, tmp_path: Path) -> None:
    """The same gateway goes on when the office is whole again: shown for a damaged, a forged and an expired one, one after the other."""
    folder = tmp_path / "w"
    shutil.copytree(begun.folder, folder, symlinks=True)
    office = copy.copy(begun.office)
    office.folder, office.repository = folder / "office", Repository(folder / "office")
    world = World(folder, office)
    with serve(office.folder) as url:
        publish(world)
        kept = newest(office.folder, "timestamp").read_bytes()
        for kind in ("one_bit", "empty", "html"):
            damage(kind, newest(office.folder, "timestamp"))
            world.round(url)
            assert serial_in_force(folder / "var") == 5
            newest(office.folder, "timestamp").write_bytes(kept)
        world.round(url)
    assert serial_in_force(folder / "var") == 6
    assert read_state(folder / "var") is not None and read_state(folder / "var").code == ""  # type: ignore[union-attr]
