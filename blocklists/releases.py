"""Signed releases of the list: TUF metadata and target files in a folder that any web server or CDN can serve.

The Update Framework (specification 1.0, by python-tuf) gives versions, expiry, snapshots, key rotation and thresholds, so that a rollback,
a freeze, a mix-and-match or a forged file is refused by whoever follows. Roles: *root* appoints the others; *targets* is what the approvers
sign, several of them where the office wants it; *snapshot* and *timestamp* are signed by the office server, unattended.

The folder: `metadata/` (`1.root.json`, `7.targets.json`, `7.snapshot.json`, `timestamp.json`) and `targets/`. Files are written whole or
not at all; `timestamp.json` comes last, so a reader never sees a release that is not complete. Imported by `lachan`, `admin` and the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from gateway.errors import LachanError
from gateway.release import canonical_bytes, replace_file

TARGET = "list.json"
LIFE = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    Snapshot.type: timedelta(days=14),
    Timestamp.type: timedelta(days=3),
}
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

    def publish(self, content: Mapping[str, Any], signers: Mapping[str, Sequence[Signer]], now: datetime) -> int:
        """Publish a list (`serial` and `journal` inside) as the next release; returns the version of its targets.

        Raises ReleaseError for a serial that does not grow or for too few approvers' signatures; then nothing has changed.
        """
        targets = self._read(Targets)
        before = _serial_of(targets.signed)
        if before is not None and before >= int(content["serial"]):
            raise ReleaseError(f"serial {content['serial']} does not follow {before}")
        data = canonical_bytes(content)
        target = TargetFile.from_data(TARGET, data, ["sha256"])
        target.unrecognized_fields["custom"] = {"serial": content["serial"], "journal": content.get("journal")}
        targets.signed.targets = {TARGET: target}
        return self._release(targets, signers, now, {f"{target.hashes['sha256']}.{TARGET}": data})

    def renew(self, signers: Mapping[str, Sequence[Signer]], now: datetime) -> int:
        """Have the approvers sign the same list anew, before what they signed expires; returns the version. Raises ReleaseError."""
        return self._release(self._read(Targets), signers, now, {})

    def serial(self) -> int | None:
        """The serial of the list that is published; None before the first."""
        return _serial_of(self._read(Targets).signed)

    def _release(
        self, targets: Metadata[Targets], signers: Mapping[str, Sequence[Signer]], now: datetime, files: Mapping[str, bytes]
    ) -> int:
        snapshot, timestamp = self._read(Snapshot), self._read(Timestamp)
        _next(targets.signed, now)
        _next(snapshot.signed, now)
        _next(timestamp.signed, now)
        snapshot.signed.meta["targets.json"] = MetaFile(targets.signed.version)
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        root = self.root().signed
        signed: list[tuple[Metadata[Any], str]] = [
            (targets, f"{targets.signed.version}.targets.json"),
            (snapshot, f"{snapshot.signed.version}.snapshot.json"),
            (timestamp, "timestamp.json"),
        ]
        encoded = [(name, self._sign(metadata, signers[metadata.signed.type], root)) for metadata, name in signed]
        for name, data in files.items():
            _place(self.targets / name, data)
        for name, text in encoded:
            _place(self.metadata / name, text)
        return targets.signed.version

    def refresh(self, signers: Mapping[str, Sequence[Signer]], now: datetime) -> None:
        """Sign snapshot and timestamp anew without changing the list, so that gateways can tell "nothing new" from "nobody there"."""
        snapshot, timestamp = self._read(Snapshot), self._read(Timestamp)
        root = self.root().signed
        _next(snapshot.signed, now)
        _next(timestamp.signed, now)
        timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
        files: list[tuple[str, Metadata[Any]]] = [(f"{snapshot.signed.version}.snapshot.json", snapshot), ("timestamp.json", timestamp)]
        encoded = [(name, self._sign(metadata, signers[metadata.signed.type], root)) for name, metadata in files]
        for name, text in encoded:
            _place(self.metadata / name, text)

    def rotate(self, keys: Keys, signers: Sequence[Signer], now: datetime) -> bytes:
        """Appoint new keys: the next root, signed by enough keys of the old root and of the new one. Returns its bytes."""
        old = self.root()
        root = Root(version=old.signed.version + 1, expires=_end(now, Root.type), consistent_snapshot=True)
        _appoint(root, keys)
        metadata = Metadata(root)
        for signer in signers:
            metadata.sign(signer, append=True)
        for judge in (old.signed, root):
            if not judge.get_root_verification_result(None, metadata.signed_bytes, metadata.signatures):
                raise ReleaseError("the new root needs signatures of the old root's keys and of its own")
        text = metadata.to_bytes(JSONSerializer(compact=True))
        _place(self.metadata / f"{root.version}.root.json", text)
        return text

    def root(self) -> Metadata[Root]:
        """The newest root."""
        newest = max(int(path.name.split(".")[0]) for path in self.metadata.glob("*.root.json"))
        return cast(Metadata[Root], Metadata.from_file(str(self.metadata / f"{newest}.root.json")))

    def _read(self, kind: type[_Signed]) -> Metadata[_Signed]:
        name = "timestamp.json"
        if kind is not Timestamp:
            newest = max(int(path.name.split(".")[0]) for path in self.metadata.glob(f"*.{kind.type}.json"))
            name = f"{newest}.{kind.type}.json"
        return cast(Metadata[_Signed], Metadata.from_file(str(self.metadata / name)))

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
    replace_file(path, content)
