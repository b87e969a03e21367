"""Signed releases of the list: TUF metadata and target files in a folder that any web server or CDN can serve.

The Update Framework (specification 1.0, by python-tuf) gives versions, expiry, snapshots, key rotation and thresholds, so that a rollback,
a freeze, a mix-and-match or a forged file is refused by whoever follows. Roles: *root* appoints the others; *targets* is what the approvers
sign, several of them where the office wants it; *snapshot* and *timestamp* are signed by the office server, unattended, and so is *online*,
to which targets delegate one file: what the server may say by itself (`blocklists.online`).

The folder: `metadata/` (`1.root.json`, `7.targets.json`, `7.snapshot.json`, `timestamp.json`) and `targets/`. Files are written whole or
not at all; `timestamp.json` comes last, so a reader never sees a release that is not complete. What is signed is a small list of contents
(`Listing`): the order segments that are in force, each by the digest of its content. A follower fetches only the segments it does not hold,
so news of one name costs kilobytes; segments with masked names come sealed (`blocklists.sealing`), and are signed as they come. While a
release goes out in stages, the list also names the releases before it, for those who wait. Imported by `lachan`, `admin` and the tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from blocklists import online
from blocklists.sealing import sealed_with
from gateway.errors import GenerationError, LachanError
from gateway.release import canonical_bytes, replace_file

TARGET = "list.json"
SEALED = "sealed"
"""What is signed with a segment: the id of the key it is sealed with, empty for one without masked names."""
LIFE = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    Snapshot.type: timedelta(days=14),
    Timestamp.type: timedelta(days=3),
    online.ROLE: timedelta(days=14),
}
KEPT_TARGETS, KEPT_SNAPSHOTS = 1000, 50
"""How many versions of metadata stay in the folder: of the targets more, because each holds a signed head of the journal."""
KEPT_RELEASES = 8
"""The files of how many releases stay, for followers that are in the middle of one."""
_Signed = TypeVar("_Signed", Root, Timestamp, Snapshot, Targets)


class ReleaseError(LachanError):
    """A release that cannot be made: a missing signature, a serial that goes back."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may sign what: public keys per role and how many of them must sign."""

    roles: Mapping[str, Sequence[Key]]
    thresholds: Mapping[str, int]

    def threshold(self, role: str) -> int:
        """How many keys of a role must sign; one unless said otherwise."""
        return self.thresholds.get(role, 1)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a release says: its serial, the head of the journal, and the order segments in force, earliest first (later ones win).

    Segments are named by the digest of their content, as `gateway.release` names files; `extra` is signed with them. `before`: the releases
    in which a gateway waits for its stage, newest first. `at_once`: for everybody, whatever the server says by itself.
    """

    serial: int
    journal: Mapping[str, Any] | None
    segments: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Listing, ...] = ()
    at_once: bool = False

    def to_bytes(self) -> bytes:
        """The list of contents as it is signed."""
        before = {"before": [one._contents() for one in self.before]} if self.before else {}
        return canonical_bytes({**self.extra, "format": 2, **before, **self._contents()})

    def _contents(self) -> dict[str, Any]:
        at_once = {"at_once": True} if self.at_once else {}
        return {"serial": self.serial, "journal": self.journal, "segments": list(self.segments), **at_once}


def segment_target(name: str) -> str:
    """Under which name of a target a segment file is signed."""
    return f"{name[:16]}.segment"


class Repository:
    """The publisher's side of a release folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"

    def initialise(self, keys: Keys, signers: Mapping[str, Sequence[Signer]], now: datetime) -> bytes:
        """Write the first root and an empty release; returns the root's bytes, which gateways are given to begin with."""
        root = Root(expires=_end(now, Root.type), consistent_snapshot=True)
        _appoint(root, keys)
        data = self._write(Metadata(root), signers[Root.type], keys.threshold(Root.type), "1.root.json")
        targets = Targets(expires=_end(now, Targets.type))
        self._write(Metadata(targets), signers[Targets.type], keys.threshold(Targets.type), "1.targets.json")
        snapshot = Snapshot(expires=_end(now, Snapshot.type), meta={"targets.json": MetaFile(1)})
        self._write(Metadata(snapshot), signers[Snapshot.type], 1, "1.snapshot.json")
        timestamp = Timestamp(expires=_end(now, Timestamp.type), snapshot_meta=MetaFile(1))
        self._write(Metadata(timestamp), signers[Timestamp.type], 1, "timestamp.json")
        return data

    def publish(
        self, listing: Listing, read: Callable[[str], bytes], signers: Mapping[str, Sequence[Signer]], now: datetime,
        in_use: Callable[[str], bool] = lambda _: True,
    ) -> int:  # fmt: skip
        """Publish the next release; returns the version of its targets. `read` gives the bytes of a segment as they are published.

        Raises ReleaseError for a serial that does not grow or for too few approvers' signatures; then followers see what they saw.
        """
        return self.sign_off(self._signed(self.draft(listing, read, now, in_use=in_use), signers), signers, now)

    def renew(
        self, signers: Mapping[str, Sequence[Signer]], now: datetime, read: Callable[[str], bytes] | None = None,
        in_use: Callable[[str], bool] = lambda _: True,
    ) -> int:  # fmt: skip
        """Have the approvers sign the same list anew, before what they signed expires; returns the version. `read`, `in_use`: see `draft`.
        Raises ReleaseError."""
        draft = self.redraft(now)
        if read is not None:
            self.reseal(draft, read, in_use)
        return self.sign_off(self._signed(draft, signers), signers, now)

    def draft(
        self, listing: Listing, read: Callable[[str], bytes], now: datetime, server: Key | None = None,
        in_use: Callable[[str], bool] = lambda _: True,
    ) -> Metadata[Targets]:  # fmt: skip
        """The next targets, for approvers to sign; nobody sees them before `sign_off`. `server`: the key of the online role that they
        appoint. `in_use`: whether what is sealed with a key may stay so; else it is sealed anew. Raises ReleaseError for a serial that
        goes back."""
        before = self.serial()
        if before is not None and before >= listing.serial:
            raise ReleaseError(f"serial {listing.serial} does not follow {before}")
        data = listing.to_bytes()
        contents = TargetFile.from_data(TARGET, data, ["sha256"])
        contents.unrecognized_fields["custom"] = {"serial": listing.serial, "journal": listing.journal}
        _place(self.targets / f"{contents.hashes['sha256']}.{TARGET}", data)
        found = {TARGET: contents}
        metadata = self.redraft(now, server)
        self._name_segments(metadata.signed, found, listing, read, in_use)
        return metadata

    def _name_segments(
        self, targets: Targets, found: dict[str, TargetFile], listing: Listing, read: Callable[[str], bytes], in_use: Callable[[str], bool]
    ) -> None:
        """Name every segment of a list, and of those before it, beside what is `found` already."""
        for name in dict.fromkeys([*listing.segments, *(name for one in listing.before for name in one.segments)]):
            target = segment_target(name)
            found[target] = self._segment(targets.targets.get(target), target, partial(read, name), in_use)
        targets.targets = found

    def _segment(
        self, before: TargetFile | None, target: str, read: Callable[[], bytes], in_use: Callable[[str], bool]
    ) -> TargetFile:
        """A segment as it is signed: as it was in the release before, unless that was made before segments were sealed, is lost, or is
        sealed with a key that is not in use any more."""
        is_there = before is not None and (self.targets / f"{before.hashes['sha256']}.{target}").exists()
        if before is not None and is_there and SEALED in (before.custom or {}):
            if in_use(str(before.custom[SEALED])):
                return before
            try:
                data = read()
            except GenerationError:
                return before  # nothing better is to be had here
        else:
            data = read()
        made = TargetFile.from_data(target, data, ["sha256"])
        made.unrecognized_fields["custom"] = {SEALED: sealed_with(data)}
        path = self.targets / f"{made.hashes['sha256']}.{target}"
        if not path.exists():
            _place(path, data)
        return made

    def reseal(self, metadata: Metadata[Targets], read: Callable[[str], bytes], in_use: Callable[[str], bool]) -> None:
        """Name the segments of the published list in a draft of the same list: sealed anew where their key is not `in_use` any more."""
        listing = self.listing()
        if listing is not None:
            self._name_segments(metadata.signed, {TARGET: metadata.signed.targets[TARGET]}, listing, read, in_use)

    def sealing_keys(self) -> frozenset[str]:
        """The ids of the keys with which segments of the published list are sealed."""
        return sealing_keys_of(self._read(Targets).signed.targets) if self.is_begun() else frozenset()

    def redraft(self, now: datetime, server: Key | None = None) -> Metadata[Targets]:
        """The same list under the next version, for approvers to sign. `server`: see `draft`; without it the appointment stays as it is."""
        metadata = self._read(Targets)
        _next(metadata.signed, now)
        metadata.signatures.clear()
        if server is not None:
            role = DelegatedRole(online.ROLE, [server.keyid], 1, terminating=True, paths=[online.TARGET])
            metadata.signed.delegations = Delegations({server.keyid: server}, {online.ROLE: role})
        return metadata

    def listing(self) -> Listing | None:
        """The list that is published, as it was signed; None before the first."""
        found = self._read(Targets).signed.targets.get(TARGET)
        if found is None:
            return None
        document = json.loads((self.targets / f"{found.hashes['sha256']}.{TARGET}").read_bytes())
        return _listing(document, tuple(_listing(row) for row in document.get("before", ())))

    def online_key(self) -> str:
        """The id of the key that the published list appoints for the online role; empty when it appoints none."""
        return online_key_of(self._read(Targets).signed)

    def statement(self) -> online.Statement:
        """What the server says by itself, as it is published."""
        found = self._read_online()
        contents = None if found is None else found.signed.targets.get(online.TARGET)
        if contents is None:
            return online.Statement()
        return online.read_statement((self.targets / f"{contents.hashes['sha256']}.{online.TARGET}").read_bytes())

    def serial(self) -> int | None:
        """The serial of the list that is published; None before the first."""
        return _serial_of(self._read(Targets).signed)

    def is_begun(self) -> bool:
        """Whether there is a release folder here."""
        return (self.metadata / "timestamp.json").exists()

    def unattended_since(self, now: datetime) -> timedelta:
        """How long ago the server last signed what is newest."""
        return now - (self._read(Timestamp).signed.expires - LIFE[Timestamp.type])

    def copy_to(self, folder: Path) -> int:
        """Copy the newest release, with every root, to another folder, such as a stick; how many files. What points to the others comes
        last, so a copy that was cut off is no release."""
        snapshot, targets = self._read(Snapshot).signed, self._read(Targets).signed
        names = [f"metadata/{path.name}" for path in sorted(self.metadata.glob("*.root.json"))]
        names += [f"targets/{one.hashes['sha256']}.{name}" for name, one in sorted(targets.targets.items())]
        said = self._read_online()
        if said is not None:
            names += [f"targets/{one.hashes['sha256']}.{name}" for name, one in sorted(said.signed.targets.items())]
            names.append(f"metadata/{said.signed.version}.{online.ROLE}.json")
        names += [f"metadata/{targets.version}.targets.json", f"metadata/{snapshot.version}.snapshot.json", "metadata/timestamp.json"]
        for name in names:
            _place(folder / name, (self.folder / name).read_bytes())
        return len(names)

    def good_until(self) -> datetime:
        """Until when followers take what is published."""
        return min(self._read(Timestamp).signed.expires, self._read(Snapshot).signed.expires, self._read(Targets).signed.expires)

    def newest_targets(self) -> Metadata[Targets]:
        """What is published."""
        return self._read(Targets)

    def signed_heads(self) -> list[tuple[int, bytes]]:
        """Every head of the journal that a release here was signed with, as (sequence number, digest)."""
        heads = set()
        for path in self.metadata.glob("*.targets.json"):
            try:
                found = Metadata[Targets].from_bytes(path.read_bytes()).signed.targets.get(TARGET)
                head = found.custom["journal"] if found is not None and found.custom else None
                if head:
                    heads.add((int(head["seq"]), bytes.fromhex(head["digest"])))
            except (RepositoryError, ValueError, KeyError, TypeError):
                continue
        return sorted(heads)

    def is_enough(self, metadata: Metadata[Targets]) -> bool:
        """Whether enough approvers have signed a draft."""
        root = self.root().signed
        return bool(root.get_verification_result(Targets.type, metadata.signed_bytes, metadata.signatures))

    def sign_off(
        self, targets: Metadata[Targets], signers: Mapping[str, Sequence[Signer]], now: datetime, statement: online.Statement | None = None
    ) -> int:
        """Publish a draft that the approvers signed, with what the server says by itself from now on (without `statement`: what it said);
        returns its version. Raises ReleaseError when it is not signed enough or overtaken."""
        root = self.root().signed
        verification = root.get_verification_result(Targets.type, targets.signed_bytes, targets.signatures)
        if not verification:
            raise ReleaseError(f"targets needs {verification.threshold} signatures and has {len(verification.signed)}")
        if targets.signed.version != self._read(Targets).signed.version + 1:
            raise ReleaseError("another release came in between: sign the newest one")
        snapshot = self._read(Snapshot)
        snapshot.signed.meta["targets.json"] = MetaFile(targets.signed.version)
        said = self._say(targets.signed, statement or self.statement(), snapshot.signed, signers, now)
        _place(self.metadata / f"{targets.signed.version}.targets.json", targets.to_bytes(JSONSerializer(compact=True)))
        self._point_to(snapshot, said, signers, now)
        self._prune(targets.signed.version, snapshot.signed.version)
        return targets.signed.version

    def _signed(self, metadata: Metadata[Targets], signers: Mapping[str, Sequence[Signer]]) -> Metadata[Targets]:
        for signer in signers[Targets.type]:
            metadata.sign(signer, append=True)
        return metadata

    def _prune(self, targets: int, snapshot: int) -> None:
        """Take away what no follower can ask for any more."""
        said = self._read_online()
        kinds = [(Targets.type, targets, KEPT_TARGETS), (Snapshot.type, snapshot, KEPT_SNAPSHOTS)]
        if said is not None:
            kinds.append((online.ROLE, said.signed.version, KEPT_SNAPSHOTS))
        for kind, newest, kept in kinds:
            for version in range(newest - kept, 0, -1):
                path = self.metadata / f"{version}.{kind}.json"
                if not path.exists():
                    break
                path.unlink()
        wanted: set[str] = set()
        sealed: set[str] = set()
        for version in range(targets, max(0, targets - KEPT_RELEASES), -1):
            path = self.metadata / f"{version}.targets.json"
            if path.exists():
                held = Metadata[Targets].from_file(str(path)).signed.targets
                told = {name: bool((one.custom or {}).get(SEALED)) for name, one in held.items()}
                # What is sealed now leaves no copy in clear behind, though an older release named one.
                wanted |= {f"{one.hashes['sha256']}.{name}" for name, one in held.items() if told[name] or name not in sealed}
                sealed |= {name for name, is_sealed in told.items() if is_sealed}
        for path in self.metadata.glob(f"*.{online.ROLE}.json"):
            contents = Metadata[Targets].from_file(str(path)).signed.targets
            wanted |= {f"{one.hashes['sha256']}.{name}" for name, one in contents.items()}
        for path in self.targets.glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def refresh(self, signers: Mapping[str, Sequence[Signer]], now: datetime) -> None:
        """Sign snapshot and timestamp anew without changing the list, so that gateways can tell "nothing new" from "nobody there"."""
        self.say(self.statement(), signers, now)

    def say(self, statement: online.Statement, signers: Mapping[str, Sequence[Signer]], now: datetime) -> None:
        """Publish what the server says by itself, without changing the list: the online role's file, snapshot and timestamp."""
        snapshot = self._read(Snapshot)
        said = self._say(self._read(Targets).signed, statement, snapshot.signed, signers, now)
        self._point_to(snapshot, said, signers, now)

    def _say(
        self, targets: Targets, statement: online.Statement, snapshot: Snapshot, signers: Mapping[str, Sequence[Signer]], now: datetime
    ) -> Metadata[Targets] | None:
        """The next file of the online role, named by the snapshot with its length and digest; None where nobody is appointed for it.
        Raises ReleaseError for a word that gateways could not read."""
        keyid = online_key_of(targets)
        if not keyid:
            return None
        signer = next((one for one in signers.get(online.ROLE, ()) if one.public_key.keyid == keyid), None)
        if signer is None:
            raise ReleaseError("the list appoints a key for the server's own role that is not here: have the list signed anew")
        data = statement.to_bytes()
        try:
            online.read_statement(data)
        except ValueError as error:
            raise ReleaseError(f"what the server would say by itself no gateway could read: {error}") from error
        contents = TargetFile.from_data(online.TARGET, data, ["sha256"])
        _place(self.targets / f"{contents.hashes['sha256']}.{online.TARGET}", data)
        before = self._read_online()
        version = 1 if before is None else before.signed.version + 1
        metadata = Metadata(Targets(version, expires=_end(now, online.ROLE), targets={online.TARGET: contents}))
        metadata.sign(signer)
        encoded = metadata.to_bytes(JSONSerializer(compact=True))
        snapshot.meta[f"{online.ROLE}.json"] = MetaFile(version, len(encoded), {"sha256": hashlib.sha256(encoded).hexdigest()})
        return metadata

    def _point_to(
        self, snapshot: Metadata[Snapshot], said: Metadata[Targets] | None, signers: Mapping[str, Sequence[Signer]], now: datetime
    ) -> None:
        """Sign and write the files that lead to everything else, in the order in which nobody meets a part that is not there."""
        timestamp, root = self._read(Timestamp), self.root().signed
        _next(snapshot.signed, now)
        _next(timestamp.signed, now)
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        encoded = [
            (f"{snapshot.signed.version}.snapshot.json", self._sign(snapshot, signers[Snapshot.type], root)),
            ("timestamp.json", self._sign(timestamp, signers[Timestamp.type], root)),
        ]
        if said is not None:
            encoded.insert(0, (f"{said.signed.version}.{online.ROLE}.json", said.to_bytes(JSONSerializer(compact=True))))
        for name, text in encoded:
            _place(self.metadata / name, text)

    def rotate(self, keys: Keys, signers: Sequence[Signer], now: datetime) -> bytes:
        """Appoint new keys: the next root, signed by enough keys of the old root and of the new one. Returns its bytes."""
        metadata = self.next_root(keys, now)
        for signer in signers:
            metadata.sign(signer, append=True)
        return self.appoint(metadata)

    def next_root(self, keys: Keys, now: datetime) -> Metadata[Root]:
        """The next root with these keys, for the holders of the old and the new one to sign."""
        root = Root(version=self.root().signed.version + 1, expires=_end(now, Root.type), consistent_snapshot=True)
        _appoint(root, keys)
        return Metadata(root)

    def may_appoint(self, metadata: Metadata[Root]) -> bool:
        """Whether enough keys of the old root and of the new one have signed the new one."""
        judges = (self.root().signed, metadata.signed)
        return all(judge.get_verification_result(Root.type, metadata.signed_bytes, metadata.signatures) for judge in judges)

    def appoint(self, metadata: Metadata[Root]) -> bytes:
        """Publish the next root. Raises ReleaseError when it is not signed enough. What was signed before must be signed anew by keys
        that are still appointed."""
        if not self.may_appoint(metadata):
            raise ReleaseError("the new root needs signatures of the old root's keys and of its own")
        text = metadata.to_bytes(JSONSerializer(compact=True))
        _place(self.metadata / f"{metadata.signed.version}.root.json", text)
        return text

    def root(self) -> Metadata[Root]:
        """The newest root."""
        newest = max(int(path.name.split(".")[0]) for path in self.metadata.glob("*.root.json"))
        return cast(Metadata[Root], Metadata.from_file(str(self.metadata / f"{newest}.root.json")))

    def _read(self, kind: type[_Signed]) -> Metadata[_Signed]:
        """What is published, as followers find it: the timestamp leads to the snapshot, and that to the rest. A newer file beside them is
        of a publish that was cut off; it is written anew."""
        name = "timestamp.json"
        if kind is Snapshot:
            name = f"{self._read(Timestamp).signed.snapshot_meta.version}.snapshot.json"
        elif kind is Targets:
            name = f"{self._read(Snapshot).signed.meta['targets.json'].version}.targets.json"
        return cast(Metadata[_Signed], Metadata.from_file(str(self.metadata / name)))

    def _read_online(self) -> Metadata[Targets] | None:
        told = self._read(Snapshot).signed.meta.get(f"{online.ROLE}.json") if self.is_begun() else None
        if told is None:
            return None
        return cast(Metadata[Targets], Metadata.from_file(str(self.metadata / f"{told.version}.{online.ROLE}.json")))

    def _sign(self, metadata: Metadata[Any], signers: Sequence[Signer], root: Root) -> bytes:
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        verification = root.get_verification_result(metadata.signed.type, metadata.signed_bytes, metadata.signatures)
        if not verification:
            raise ReleaseError(f"{metadata.signed.type} needs {verification.threshold} signatures and has {len(verification.signed)}")
        return metadata.to_bytes(JSONSerializer(compact=True))

    def _write(self, metadata: Metadata[Any], signers: Sequence[Signer], threshold: int, name: str) -> bytes:
        for signer in signers:
            metadata.sign(signer, append=True)
        if len(metadata.signatures) < threshold:
            raise ReleaseError(f"{metadata.signed.type} needs {threshold} signatures and has {len(metadata.signatures)}")
        text = metadata.to_bytes(JSONSerializer(compact=True))
        _place(self.metadata / name, text)
        return text


def _appoint(root: Root, keys: Keys) -> None:
    for role, holders in keys.roles.items():
        for key in holders:
            root.add_key(key, role)
        root.roles[role].threshold = keys.threshold(role)


def _listing(document: Mapping[str, Any], before: tuple[Listing, ...] = ()) -> Listing:
    """A list of contents, or one of those before it, out of what was signed here."""
    at_once = document.get("at_once") is True
    return Listing(document["serial"], document["journal"], tuple(document["segments"]), before=before, at_once=at_once)


def online_key_of(targets: Targets) -> str:
    """The id of the key that a list appoints for the online role; empty when it appoints none."""
    roles = targets.delegations.roles if targets.delegations is not None else None
    return roles[online.ROLE].keyids[0] if roles and online.ROLE in roles else ""


def sealing_keys_of(targets: Mapping[str, TargetFile]) -> frozenset[str]:
    """The ids of the keys with which these segments are sealed."""
    return frozenset(str((one.custom or {}).get(SEALED, "")) for one in targets.values()) - {""}


def _serial_of(targets: Targets) -> int | None:
    found = targets.targets.get(TARGET)
    return None if found is None else int(found.custom["serial"])


def _next(signed: Targets | Snapshot | Timestamp, now: datetime) -> None:
    signed.version += 1
    signed.expires = _end(now, signed.type)


def _end(now: datetime, role: str) -> datetime:
    return (now + LIFE[role]).replace(microsecond=0)


def _place(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, mode=0o644)  # a web server reads it
