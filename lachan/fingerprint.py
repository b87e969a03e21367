"""Whether what is on disk still comes from what is configured: a fingerprint of everything a preparation reads.

With a matching fingerprint a start needs no compiler: the generation on disk is right and is mapped at once. It looks at names, sizes and
times of files, not at their content; a preparation that runs for nothing costs seconds, never a wrong list. Only `lachan` imports this
module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gateway import release
from gateway.errors import GenerationError

if TYPE_CHECKING:
    from blocklists.settings import BlocklistSettings

FILE = "lists/prepared.json"
FORMAT = 2


def fingerprint(settings: BlocklistSettings, own_names: tuple[str, ...]) -> str:
    """The fingerprint of these settings and every file they lead to."""
    digest = hashlib.sha256()
    for part in (_version(), repr(settings), repr(own_names)):
        digest.update(part.encode() + b"\0")
    for path in _files(settings):
        digest.update(_facts(path).encode() + b"\0")
    return digest.hexdigest()


def own_mark(settings: BlocklistSettings, own_names: tuple[str, ...]) -> str:
    """The fingerprint of these settings and the operator's own files: what stays the same when only the program is a newer one."""
    digest = hashlib.sha256()
    for part in (repr(settings), repr(own_names)):
        digest.update(part.encode() + b"\0")
    for path in _own_files(settings):
        digest.update(_facts(path).encode() + b"\0")
    return digest.hexdigest()


def is_only_older(settings: BlocklistSettings, own_names: tuple[str, ...]) -> bool:
    """Whether the generation in force comes from exactly these settings and files, but was prepared by another version of the program."""
    try:
        noted = json.loads((settings.state_dir / FILE).read_bytes())
        manifest = release.read_manifest(settings.state_dir)
        made = (noted["own"], noted["index"], noted["catalogue"])
    except (OSError, ValueError, KeyError, TypeError, GenerationError):
        return False
    return made == (own_mark(settings, own_names), manifest.index_dir, manifest.catalogue)


def is_current(settings: BlocklistSettings, own_names: tuple[str, ...]) -> bool:
    """Whether the generation in force was prepared from exactly this."""
    return notes_if_current(settings, own_names) is not None


def notes_if_current(settings: BlocklistSettings, own_names: tuple[str, ...]) -> tuple[str, ...] | None:
    """What the preparation of the generation in force had to say, if it was prepared from exactly this; else None."""
    try:
        noted = json.loads((settings.state_dir / FILE).read_bytes())
        manifest = release.read_manifest(settings.state_dir)
        notes = tuple(str(note) for note in noted.pop("notes"))
        noted.pop("own", None)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, GenerationError):
        return None
    is_right = noted == _note(fingerprint(settings, own_names), manifest.index_dir, manifest.catalogue)
    return notes if is_right else None


def note(settings: BlocklistSettings, own_names: tuple[str, ...], index: str, catalogue: str, notes: tuple[str, ...] = ()) -> None:
    """Remember that this index and catalogue come from these settings and files, and what there was to say about them."""
    target = settings.state_dir / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    noted = {**_note(fingerprint(settings, own_names), index, catalogue), "own": own_mark(settings, own_names), "notes": list(notes)}
    release.replace_file(target, release.canonical_bytes(noted))


def _note(mark: str, index: str, catalogue: str) -> dict[str, Any]:  # Any: JSON values
    return {"format": FORMAT, "fingerprint": mark, "index": index, "catalogue": catalogue}


def _files(settings: BlocklistSettings) -> Iterator[Path]:
    for name in ("catalog", "seed"):
        folder = Path(str(resources.files("blocklists") / name))
        yield from sorted(path for path in folder.rglob("*") if path.is_file())
    yield from _own_files(settings)


def _own_files(settings: BlocklistSettings) -> Iterator[Path]:
    for item in settings.lists:
        yield item.path if item.path else settings.state_dir / "lists" / f"list-{quote(item.id, safe='')}" / "good"
    yield from (zone.file for zone in settings.rpz)
    if settings.orders_file:
        yield settings.orders_file


def _facts(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} -"
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _version() -> str:
    try:
        return version("lachan")
    except PackageNotFoundError:
        return "0"
