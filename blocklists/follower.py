"""A gateway's side of signed releases: fetch, check, keep the last good one. Runs in a job process, never in a resolver worker.

`follow` brings the local copy up to date and returns the list that this gateway should enforce by what every check of TUF let pass, or
raises `FollowError` and leaves what is in force alone: rollback, freeze (expired metadata), mix-and-match, wrong or too few keys, endless
data and plain damage are refused by python-tuf; a serial that goes back and a list of the wrong shape here. After a long sleep the last
good list answers while this tries to catch up; its age is told, never hidden. Where the newest release goes out in stages and has not come
to this gateway, the list before it is the one (`blocklists.turns`). What the office's server says by itself (`blocklists.online`) may delay
a list and stops none: when it cannot be used, that is told beside the list (`Release.fault`).
"""

from __future__ import annotations

import collections
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from blocklists import online
from blocklists.online import Statement, read_statement
from blocklists.releases import TARGET, segment_target
from blocklists.sealing import SealError, sealed_with, unseal
from blocklists.takedown.segments import merge
from blocklists.turns import choose, read_word, write_word
from gateway.errors import LachanError, Mistake, SettingsError
from gateway.policy.overlay import parse_segment
from gateway.release import canonical_bytes

MAX_CONTENTS = 512 * 1024
MAX_LIST = 512 * 1024 * 1024
MAX_SEGMENTS = 1024
MAX_BEFORE = 64
CATCH_UP_SECONDS = 10.0
ROUND_SECONDS = 600.0
_SEGMENT = re.compile(r"[0-9a-f]{64}\.json")
_ON_STICK = re.compile(r"(?:metadata|targets)/[0-9A-Za-z._-]+")
_LIMITS = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=1,
    root_max_length=256_000,
    timestamp_max_length=16_384,
    snapshot_max_length=64_000,
    targets_max_length=256_000,
)


AS_IT_IS: Final = {"Accept-Encoding": "identity"}
"""What asks for a file as it lies there."""


def is_packed(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether an answer is compressed: a few octets could be anything long, so nobody unpacks them here."""
    return answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def pieces_of(answer: urllib3.BaseHTTPResponse, until: float) -> Iterator[bytes]:
    """What comes, as it comes and as it is, until a moment (monotonic seconds). Raises DownloadError then, however slowly octets drip."""
    while piece := answer.read1(65536, decode_content=False):
        if time.monotonic() > until:
            raise DownloadError("too slow")
        yield piece


class FollowError(LachanError):
    """A release that was not taken; `code` is bounded for metrics (`unreachable`, `refused`, `rollback`, `shape`, `key`, `disk`)."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Release:
    """A list that passed every check: its serial, the journal head it was signed with, the names of the segments to enforce (later ones
    win), and the content of those the gateway did not hold: fetched, or made of the parts it holds.

    `newest`: the serial of the newest release; larger than `serial` while this gateway waits for its stage. `withdrawn`: the index keys
    whose entries without an order number are out of this list, as the office's server says by itself. `stays`: nothing that is named may
    be taken, so what is in force stays, whatever it is. `fault`: why the server's word cannot be used; empty when it can.
    """

    serial: int
    journal: dict[str, Any] | None
    segments: tuple[str, ...]
    fresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    newest: int = 0
    withdrawn: tuple[str, ...] = ()
    stays: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """A list of contents as it was signed, and those before it (`blocklists.releases.Listing`)."""

    serial: int
    journal: dict[str, Any] | None
    segments: tuple[str, ...]
    made_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    before: tuple[Contents, ...] = ()
    at_once: bool = False


class BoundedFetcher(FetcherInterface):
    """HTTP with a time for each step and for all of it, no redirect and no compression, so that nobody is led elsewhere, held up for ever,
    or sent more than the signed length."""

    def __init__(self, seconds: float = CATCH_UP_SECONDS, whole: float = ROUND_SECONDS) -> None:
        self._until = time.monotonic() + whole
        self.received = 0
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=seconds), maxsize=2)

    def _fetch(self, url: str) -> Iterator[bytes]:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError("only http and https")
        try:
            answer = self._pool.request("GET", url, preload_content=False, redirect=False, headers=AS_IT_IS)
            try:
                if answer.status != 200:
                    raise DownloadHTTPError(f"status {answer.status}", answer.status)
                if is_packed(answer):
                    raise DownloadError("sent compressed, which nobody asked for")
                for piece in pieces_of(answer, self._until):
                    self.received += len(piece)
                    yield piece
            finally:
                answer.close()  # what was read to its end has given its connection back already
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(type(error).__name__) from error


class FolderFetcher(FetcherInterface):
    """The same files out of a folder, such as a stick that somebody carried here. What it says of itself is believed no more than a
    network: every check is that of following."""

    BASE = "stick://folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        wanted = urlsplit(url).path.lstrip("/")
        if not _ON_STICK.fullmatch(wanted):
            raise DownloadError("not the name of a part of a release")
        try:
            with open(self._folder / wanted, "rb") as file:
                while piece := file.read(65536):
                    yield piece
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{wanted} is not there", 404) from error
        except OSError as error:
            raise DownloadError(f"{wanted}: {error.strerror}") from error


def follow(
    folder: Path, url: str, root: bytes, enforced: int, fetcher: FetcherInterface | None = None,
    *, held: Callable[[str], bool] = lambda _: False, read: Callable[[str], dict[str, Any]] | None = None, now: datetime | None = None,
    keys: Callable[[str], bytes | None] = lambda _: None, gateway: str = "", by_hand: bool = False,
) -> Release | None:  # fmt: skip
    """The list to enforce: the newest one that has come to this gateway (`gateway`: its id at the office), or the one with the serial in
    force, which may have lost entries since. None when the office has published none. `held` says which segments the gateway has already,
    `read` gives one of these, `keys` the key of sealed segments by its id; expiry and stages are judged at `now`. `by_hand`: somebody
    carried the release here, so no stage is waited for unless the office holds it back. Raises FollowError; the local copy stays as it
    was good."""
    metadata, targets = folder / "metadata", folder / "targets"
    for place in (metadata, targets):
        place.mkdir(parents=True, exist_ok=True)
    base = url.rstrip("/")
    try:
        updater = Updater(
            str(metadata), f"{base}/metadata/", str(targets), f"{base}/targets/", fetcher or BoundedFetcher(), _LIMITS, bootstrap=root
        )
        if now is not None:
            updater._trusted_set.reference_time = now.astimezone(UTC)  # python-tuf gives no other way to name the time
        updater.refresh()
        data = _fetch(updater, TARGET, MAX_CONTENTS, keep=True)
        if data is None:
            return None
        newest = _contents(data)
        if newest.serial < enforced:
            raise FollowError("rollback", f"serial {newest.serial} is older than {enforced}, which is in force")
        lists = (newest, *newest.before)
        statement, fault = _statement(updater)
        at = updater._trusted_set.reference_time.timestamp()
        word = read_word(folder).after(statement, (one.serial for one in lists), at)
        try:
            write_word(folder, word)
        except OSError as error:
            raise FollowError("disk", f"{folder}: {error.strerror or error}") from error
        wanted = choose(lists, enforced, word, gateway, at, by_hand=by_hand)
        if wanted is None:
            return Release(enforced, None, (), {}, newest.serial, stays=True, fault=fault)
        fresh: dict[str, dict[str, Any]] = {}
        left = MAX_LIST
        for name in wanted.segments:
            if not held(name):
                made = _make(name, newest.made_of, held, read) if read is not None else None
                if made is not None:
                    fresh[name] = made
                    continue
                piece = _fetch(updater, segment_target(name), left, keep=False)
                if piece is None:
                    raise FollowError("shape", f"segment {name[:16]} is named and not signed")
                left -= len(piece)
                fresh[name] = _segment(name, _opened(name, piece, keys))
    except DownloadLengthMismatchError as error:
        raise FollowError("refused", f"the release is not what was signed: {error}") from error
    except DownloadError as error:
        raise FollowError("unreachable", f"the release cannot be fetched: {error}") from error
    except (RepositoryError, ValueError, OSError) as error:
        raise FollowError("refused", f"the release does not verify: {type(error).__name__}: {error}") from error
    withdrawn = word.statement.out_of(wanted.serial)
    return Release(wanted.serial, wanted.journal, wanted.segments, fresh, newest.serial, withdrawn, fault=fault)


def _statement(updater: Updater) -> tuple[Statement | None, str]:
    """What the office's server says by itself, nothing where the officers appointed nobody for it; or None, and why it cannot be used."""
    try:
        data = _fetch(updater, online.TARGET, online.MOST_BYTES, keep=True)
        return (Statement() if data is None else read_statement(data)), ""
    except (FollowError, RepositoryError, DownloadError, ValueError, OSError) as error:
        return None, f"what the office's server says by itself cannot be used: {type(error).__name__}: {error}"


def _fetch(updater: Updater, name: str, most: int, *, keep: bool) -> bytes | None:
    """The bytes of a signed target; None when none is signed under this name. Raises FollowError for one that is too large."""
    target = updater.get_targetinfo(name)
    if target is None:
        return None
    if target.length > most:
        raise FollowError("refused", f"{name} says it has {target.length} bytes")
    path = Path(updater.find_cached_target(target) or updater.download_target(target))
    try:
        return path.read_bytes()
    finally:
        if not keep:
            path.unlink(missing_ok=True)


def good_until(folder: Path) -> int:
    """Until when (unix seconds) the office signed that what the last good round took is its newest; 0 where nothing says."""
    ends = []
    for role in (Timestamp.type, Snapshot.type, Targets.type):
        try:
            ends.append(Metadata.from_bytes((folder / "metadata" / f"{role}.json").read_bytes()).signed.expires)
        except (RepositoryError, OSError, ValueError):
            return 0
    return int(min(ends).timestamp())


def kept_list(folder: Path) -> Contents | None:
    """The newest list that a follower's folder holds, whether or not it was put in force; None without one."""
    try:
        return _contents((folder / "targets" / TARGET).read_bytes())
    except (FollowError, OSError):
        return None


def check_root(path: Path) -> None:
    """Whether a file is a root that signed itself. Raises SettingsError; its age is not judged, because a newer root may follow it."""
    try:
        root = Metadata[Root].from_bytes(path.read_bytes())
        is_root = root.signed.type == Root.type and bool(root.signed.get_verification_result(Root.type, root.signed_bytes, root.signatures))
    except (RepositoryError, OSError, ValueError, AttributeError):
        is_root = False
    if not is_root:
        remedy = "ask the office for its root.json"
        raise SettingsError([Mistake("takedown.follow.root", f"{path} is not a root of trust", remedy)])


def _make(
    name: str, made_of: dict[str, tuple[str, ...]], held: Callable[[str], bool], read: Callable[[str], dict[str, Any]], depth: int = 0
) -> dict[str, Any] | None:
    """A merged segment, made here out of its parts as the office made it; None when a part is missing, or something else comes out."""
    parts = made_of.get(name)
    if not parts or depth > len(made_of):
        return None
    documents = []
    for part in parts:
        try:
            document = read(part) if held(part) else _make(part, made_of, held, read, depth + 1)
        except LachanError:
            return None
        if document is None:
            return None
        documents.append(document)
    for is_base in (False, True):
        merged = merge(documents, is_base=is_base)
        if hashlib.sha256(canonical_bytes(merged)).hexdigest() == name[:64]:
            return merged
    return None


def _contents(data: bytes) -> Contents:
    """A verified list of contents. Raises FollowError."""
    try:
        document = json.loads(data)
        if document["format"] != 2:
            raise ValueError("not a list of contents of format 2")
        made_of = {str(name): tuple(map(str, parts)) for name, parts in dict(document.get("made_of") or {}).items()}
        if not all(_SEGMENT.fullmatch(part) for parts in made_of.values() for part in parts) or len(made_of) > MAX_SEGMENTS:
            raise ValueError("a merged segment is made of nothing that can be")
        before = tuple(map(_one_of, document.get("before", ())))
        serials = [document["serial"], *(one.serial for one in before)]
        if len(before) > MAX_BEFORE or serials != sorted(set(serials), reverse=True):
            raise ValueError("the lists before it are not older, one after the other")
        return replace(_one_of(document), made_of=made_of, before=before)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FollowError("shape", f"the signed list cannot be read: {error}") from error


def _one_of(content: dict[str, Any]) -> Contents:  # Any: JSON
    """Serial, journal head and segments of a list, and whether it is for everybody at once. Raises KeyError, TypeError, ValueError."""
    serial, journal, names = content["serial"], content.get("journal"), content["segments"]
    if type(serial) is not int or serial < 1 or not isinstance(names, list) or len(names) > MAX_SEGMENTS:
        raise ValueError("not a list of contents of format 2")
    if journal is not None and (type(journal["seq"]) is not int or not isinstance(bytes.fromhex(journal["digest"]), bytes)):
        raise ValueError("the journal's head is not one")
    if not all(isinstance(name, str) and _SEGMENT.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise ValueError("a segment has no name of content")
    return Contents(serial, journal, tuple(names), at_once=content.get("at_once") is True)


def _opened(name: str, data: bytes, keys: Callable[[str], bytes | None]) -> bytes:
    """A verified segment as it was before it was sealed. Raises FollowError."""
    sealed = sealed_with(data)
    if not sealed:
        return data
    key = keys(sealed)
    if key is None:
        raise FollowError("key", f"segment {name[:16]} is sealed with key {sealed}, which this gateway was not given")
    try:
        return unseal(data, {sealed: key})
    except SealError as error:
        raise FollowError("shape", f"segment {name[:16]} cannot be opened: {error}") from error


def _segment(name: str, data: bytes) -> dict[str, Any]:
    """A verified segment; a shape that gateways could not enforce is refused before anything is staged."""
    try:
        if hashlib.sha256(data).hexdigest() != name[:64]:
            raise ValueError("its content is not what its name says")
        document: dict[str, Any] = json.loads(data)
        _, entries, _ = parse_segment(document)
        collections.deque(entries, maxlen=0)  # looks at every one
        if canonical_bytes(document) != data:
            raise ValueError("not in canonical form")
    except (LachanError, AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FollowError("shape", f"segment {name[:16]} cannot be read: {error}") from error
    return document
