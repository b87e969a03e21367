"""Generations on disk: what a gateway enforces, content addressed, verified before use.

A state directory holds `index/<digest>/` (compiled lists), `files/<sha256>.json` (catalogue, policy files, order segments),
`generations/<number>.json` (manifests) and `current` (the number in force). Every JSON file is canonical, so the same content has the same
bytes and the same name; a file that exists is never rewritten. `current` changes by an atomic rename, after everything it needs is on disk.

Only the supervisor (or a preparing command while none runs) commits or prunes; anyone may put files in place first. Any package may import
this module. Everything that cannot be used raises `GenerationError`, and the generation in force stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NotRequired, TypedDict

from gateway.errors import GenerationError

FORMAT: Final = 1
INDEX_NAMES: Final = "names.marisa"
INDEX_RECORDS: Final = "records.bin"
INDEX_HEADER: Final = "index.json"
SEGMENTS: Final = "segments"
"""Where large order segments stand in their mapped form (`gateway.policy.segment`)."""
KEEP: Final = 5
GRACE: Final = 3600.0
"""Seconds for which a file nobody refers to is kept: it may belong to a change that is still being asked for."""

_FILE_NAME: Final = re.compile(r"[0-9a-f]{64}\.json")
_INDEX_DIR: Final = re.compile(r"[0-9a-f]{32}")
_MANIFEST: Final = re.compile(r"([1-9][0-9]*)\.json")

Json = dict[str, Any]  # Any: JSON of a closed format, checked where it is read


class Changes(TypedDict):
    """What a new generation replaces: the index folder's name, file names, and policy files by tenant (None takes the tenant out)."""

    index: NotRequired[str]
    catalogue: NotRequired[str]
    orders: NotRequired[OrdersChange | None]
    policies: NotRequired[Mapping[str, str | None]]


class OrdersChange(TypedDict):
    """Orders in force: a serial that only grows, segment file names (later ones win), where they come from, and the fingerprint of the
    followed office's root."""

    serial: int
    segments: list[str]
    origin: str
    root: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Orders:
    """The order segments of a generation; `origin` is `file` or `office`, `root` the fingerprint of the root of the office that is
    followed: serials of one root are compared with each other only. Empty: of this machine, or written by an older version."""

    serial: int
    segments: tuple[str, ...]
    origin: str
    root: str = ""

    def to_json(self) -> Json:
        """As they stand in a manifest."""
        document = {"serial": self.serial, "segments": [{"file": name} for name in self.segments], "origin": self.origin}
        return document | ({"root": self.root} if self.root else {})


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation: the names of everything it is made of. `policies` holds (tenant, file) in order."""

    number: int
    parent: int | None
    created_at: str
    index_dir: str
    index_digest: str
    catalogue: str
    orders: Orders | None
    policies: tuple[tuple[str, str], ...]

    def files(self) -> tuple[str, ...]:
        """Every file of `files/` that this generation needs."""
        segments = self.orders.segments if self.orders else ()
        return (self.catalogue, *segments, *(name for _, name in self.policies))

    def to_json(self) -> Json:
        """The manifest as it stands on disk."""
        return {
            "format": FORMAT,
            "number": self.number,
            "parent": self.parent,
            "created_at": self.created_at,
            "index": {"dir": self.index_dir, "digest": self.index_digest},
            "catalogue": {"file": self.catalogue},
            "orders": self.orders.to_json() if self.orders else None,
            "policies": [{"tenant": tenant, "file": name} for tenant, name in self.policies],
        }


def canonical_bytes(document: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8, no floats (they have no single spelling). Raises ValueError or TypeError."""
    _refuse_floats(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ValueError("a float has no canonical form; write it as text")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("keys must be text")
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def write_file(state_dir: Path, document: object) -> str:
    """Put a JSON document into `files/` under the name of its content, durably, and return that name."""
    data = canonical_bytes(document)
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    folder = state_dir / "files"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    if _is_same(target, data):
        target.chmod(0o600)  # an older version left it readable
        os.utime(target)  # wanted again: the grace of pruning starts anew
    else:
        replace_file(target, data)
    return name


def read_file(state_dir: Path, name: str) -> Any:  # Any: JSON of one of several formats, checked by its reader
    """The JSON document of a file in `files/`, its content checked against its name."""
    data = read_verified(state_dir, name)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GenerationError(f"files/{name}", "is not JSON") from error


def read_verified(state_dir: Path, name: str) -> bytes:
    """The bytes of a file in `files/`, checked against its name."""
    where = f"files/{name}"
    if not _FILE_NAME.fullmatch(name):
        raise GenerationError(where, "not a content-addressed file name")
    data = _read(state_dir / "files" / name, where)
    if hashlib.sha256(data).hexdigest() != name[:64]:
        raise GenerationError(where, "the content does not match its digest")
    return data


def index_name(header: bytes) -> str:
    """The folder name of an index whose `index.json` has these bytes."""
    return hashlib.sha256(header).hexdigest()[:32]


def read_index_header(state_dir: Path, name: str) -> Json:
    """The parsed `index.json` of an index folder; the folder's name must be that of its content."""
    where = f"index/{name}/{INDEX_HEADER}"
    if not _INDEX_DIR.fullmatch(name):
        raise GenerationError(where, "not a content-addressed folder name")
    data = _read(state_dir / "index" / name / INDEX_HEADER, where)
    if index_name(data) != name:
        raise GenerationError(where, "the content does not match its digest")
    return _parse_object(data, where)


def verify_index(state_dir: Path, name: str) -> Json:
    """Check every file of an index folder against the digests in its header, and return the header."""
    header = read_index_header(state_dir, name)
    digests = header.get("digests")
    for part in (INDEX_NAMES, INDEX_RECORDS):
        where = f"index/{name}/{part}"
        wanted = digests.get(part) if isinstance(digests, dict) else None
        try:
            with open(state_dir / "index" / name / part, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise GenerationError(where, error.strerror or "cannot be read") from error
        if found != wanted:
            raise GenerationError(where, "the content does not match its digest")
    return header


def current_number(state_dir: Path) -> int | None:
    """The number of the generation in force, None before the first one."""
    try:
        text = (state_dir / "current").read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GenerationError("current", "cannot be read") from error
    if not text.isdigit() or int(text) < 1:
        raise GenerationError("current", "does not hold a number")
    return int(text)


def read_manifest(state_dir: Path, number: int | None = None) -> Manifest:
    """The manifest of a generation, of the one in force when no number is given."""
    wanted = current_number(state_dir) if number is None else number
    if wanted is None:
        raise GenerationError("current", "there is no generation yet")
    where = f"generations/{wanted}.json"
    document = _parse_object(_read(state_dir / "generations" / f"{wanted}.json", where), where)
    try:
        manifest = _manifest_from(document)
    except (KeyError, TypeError, ValueError) as error:
        raise GenerationError(where, f"is not a manifest of format {FORMAT}") from error
    if manifest.number != wanted:
        raise GenerationError(where, f"says it is number {manifest.number}")
    if manifest.index_digest[:32] != manifest.index_dir:
        raise GenerationError(where, "the index folder and its digest differ")
    return manifest


def verify(state_dir: Path, manifest: Manifest) -> None:
    """Check that everything a generation needs is there and has the content its name says. Raises GenerationError for the first fault."""
    verify_index(state_dir, manifest.index_dir)
    for name in manifest.files():
        read_verified(state_dir, name)


def commit_generation(state_dir: Path, changes: Changes, now: float) -> int:
    """Make the next generation from the one in force and these changes, verify it, put it in force, and return its number.

    For a state directory without a running supervisor. Raises GenerationError, with nothing changed, when a part is missing or broken.
    """
    number = write_generation(state_dir, changes, now)
    put_in_force(state_dir, number)
    return number


def write_generation(state_dir: Path, changes: Changes, now: float) -> int:
    """Write the manifest of the next generation, made from the one in force and these changes, verified but not in force; its number.

    `now` is wall time in unix seconds. The first generation needs an index and a catalogue. Numbers only grow, also past ones that
    were never in force. Raises GenerationError, with nothing changed, when a part is missing or broken.
    """
    current = current_number(state_dir)
    base = None if current is None else read_manifest(state_dir, current)
    index = changes.get("index") or (base.index_dir if base else None)
    catalogue = changes.get("catalogue") or (base.catalogue if base else None)
    if index is None or catalogue is None:
        raise GenerationError("generations", "the first generation needs an index and a catalogue")
    if base is None or index != base.index_dir:
        verify_index(state_dir, index)  # the one in force was verified when it came, and is mapped
    index_digest = hashlib.sha256(_read(state_dir / "index" / index / INDEX_HEADER, index)).hexdigest()
    number = max([current or 0, *numbers(state_dir)]) + 1
    manifest = Manifest(
        number=number,
        parent=current,
        created_at=datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        index_dir=index,
        index_digest=index_digest,
        catalogue=catalogue,
        orders=_changed_orders(base, changes),
        policies=_changed_policies(base, changes),
    )
    known = set(base.files()) if base else set()
    for name in manifest.files():
        if name not in known:
            read_verified(state_dir, name)
    write_manifest(state_dir, manifest)
    return number


def write_manifest(state_dir: Path, manifest: Manifest) -> None:
    """Put a manifest under the name of its number."""
    folder = state_dir / "generations"
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{manifest.number}.json", canonical_bytes(manifest.to_json()))


def put_in_force(state_dir: Path, number: int) -> None:
    """Make a written generation the one that the next start loads."""
    replace_file(state_dir / "current", f"{number}\n".encode("ascii"))


def prune(state_dir: Path, now: float, keep: int = KEEP, grace: float = GRACE) -> int:
    """Remove all but the last `keep` generations and what only they needed; return how many manifests went.

    The generation in force stays whatever its number. Files and indexes nobody refers to stay for `grace` seconds after they were written.
    """
    current = current_number(state_dir)
    known = sorted(numbers(state_dir))
    kept = {*known[-keep:], *({current} if current else ())}
    gone = [number for number in known if number not in kept]
    for number in gone:
        (state_dir / "generations" / f"{number}.json").unlink(missing_ok=True)
    files: set[str] = set()
    indexes: set[str] = set()
    for number in sorted(kept):
        try:
            manifest = read_manifest(state_dir, number)
        except GenerationError:
            if number == current:
                raise
            continue
        files.update(manifest.files())
        indexes.add(manifest.index_dir)
    for path in _old_strays(state_dir / "files", files, now - grace):
        path.unlink(missing_ok=True)
    for path in [
        *_old_strays(state_dir / "index", indexes, now - grace),
        *_old_strays(state_dir / SEGMENTS, {name[:64] for name in files}, now - grace),
    ]:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone)


def forget_tenant(state_dir: Path, tenant: str) -> int:
    """Remove what older generations said about a tenant: every policy file of it but the one in force, and the generations that need one;
    return how many files went. For a tenant whose people erased something: nothing of it may come back by an older generation."""
    current = read_manifest(state_dir)
    kept = dict(current.policies).get(tenant)
    for number in numbers(state_dir):
        if number == current.number:
            continue
        try:
            name = dict(read_manifest(state_dir, number).policies).get(tenant)
        except GenerationError:
            continue
        if name not in (None, kept):
            (state_dir / "generations" / f"{number}.json").unlink(missing_ok=True)
    gone = 0
    mark = f'"tenant":{json.dumps(tenant)}'.encode()
    for path in (state_dir / "files").glob("*.json"):
        if path.name != kept and mark in path.read_bytes():
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def replace_file(target: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file durably under its name; see `replacing`."""
    with replacing(target, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(target: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file that takes its name durably when the block ends well, and not at all otherwise: temporary file, fsync, rename, fsync of the
    folder. `mode` as for `os.open`: for one user alone, unless others are meant to read it. What root writes belongs to the folder's owner:
    a command under sudo must leave nothing that the gateway cannot read."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
            file.flush()
            if os.geteuid() == 0:
                owner = target.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _manifest_from(document: Json) -> Manifest:
    if document["format"] != FORMAT:
        raise ValueError("unknown format")
    index = document["index"]
    written = document["orders"]
    orders = None
    if written is not None:
        segments = tuple(str(row["file"]) for row in written["segments"])
        orders = Orders(int(written["serial"]), segments, str(written["origin"]), str(written.get("root", "")))
    parent = document["parent"]
    return Manifest(
        number=int(document["number"]),
        parent=None if parent is None else int(parent),
        created_at=str(document["created_at"]),
        index_dir=str(index["dir"]),
        index_digest=str(index["digest"]),
        catalogue=str(document["catalogue"]["file"]),
        orders=orders,
        policies=tuple((str(row["tenant"]), str(row["file"])) for row in document["policies"]),
    )


def _changed_orders(base: Manifest | None, changes: Changes) -> Orders | None:
    if "orders" not in changes:
        return base.orders if base else None
    change = changes["orders"]
    before = base.orders if base else None
    if change is None:
        return None
    wanted = orders_of(change)
    if before is not None and (before.origin, before.root) == (wanted.origin, wanted.root) and wanted.serial < before.serial:
        raise GenerationError("orders", f"serial {wanted.serial} is older than {before.serial}, which is in force")
    return wanted


def orders_of(change: OrdersChange) -> Orders:
    """The orders that a change puts in force."""
    return Orders(change["serial"], tuple(change["segments"]), change["origin"], change.get("root", ""))


def _changed_policies(base: Manifest | None, changes: Changes) -> tuple[tuple[str, str], ...]:
    policies = dict(base.policies) if base else {}
    for tenant, name in changes.get("policies", {}).items():
        if name is None:
            policies.pop(tenant, None)
        else:
            policies[tenant] = name
    return tuple(sorted(policies.items()))


def numbers(state_dir: Path) -> list[int]:
    """The number of every manifest there is, damaged ones too."""
    folder = state_dir / "generations"
    if not folder.is_dir():
        return []
    return [int(found[1]) for path in folder.iterdir() if (found := _MANIFEST.fullmatch(path.name))]


def _old_strays(folder: Path, wanted: set[str], before: float) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name not in wanted and path.stat().st_mtime < before]


def _is_same(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _read(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GenerationError(where, error.strerror or "cannot be read") from error


def _parse_object(data: bytes, where: str) -> Json:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GenerationError(where, "is not JSON") from error
    if not isinstance(document, dict):
        raise GenerationError(where, "is not a JSON object")
    return document
