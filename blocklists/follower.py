"""A gateway's side of signed releases: fetch, check, keep the last good one. Runs in a job process, never in a resolver worker.

`follow` brings the local copy up to date and returns the newest list that every check of TUF let pass, or raises `FollowError` and leaves
what is in force alone: rollback, freeze (expired metadata), mix-and-match, wrong or too few keys, endless data and plain damage are refused
by python-tuf; a serial that goes back and a list of the wrong shape are refused here. After a long sleep the last good list
answers while this tries to catch up; its age is told, never hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from blocklists.releases import TARGET
from gateway.errors import LachanError, Mistake, SettingsError
from gateway.policy.overlay import Overlay

MAX_LIST = 512 * 1024 * 1024
CATCH_UP_SECONDS = 10.0
_LIMITS = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=1,
    root_max_length=256_000,
    timestamp_max_length=16_384,
    snapshot_max_length=64_000,
    targets_max_length=256_000,
)


class FollowError(LachanError):
    """A release that was not taken; `code` is bounded for metrics (`unreachable`, `refused`, `rollback`, `shape`)."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Release:
    """A list that passed every check: its serial, the journal head it was signed with, and the segment to enforce."""

    serial: int
    journal: dict[str, Any] | None
    segment: dict[str, Any]


class BoundedFetcher(FetcherInterface):
    """HTTP with a time for each step and no redirect, so that nobody is led elsewhere."""

    def __init__(self, seconds: float = CATCH_UP_SECONDS) -> None:
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=seconds), maxsize=2)

    def _fetch(self, url: str) -> Iterator[bytes]:
        if urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError("only http and https")
        try:
            answer = self._pool.request("GET", url, preload_content=False, redirect=False)
            try:
                if answer.status != 200:
                    raise DownloadHTTPError(f"status {answer.status}", answer.status)
                yield from answer.stream(65536)
            finally:
                answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(type(error).__name__) from error


def follow(folder: Path, url: str, root: bytes, enforced: int, fetcher: FetcherInterface | None = None) -> Release | None:
    """The newest release when it is newer than the serial in force, else None. Raises FollowError; the local copy stays as it was good."""
    metadata, targets = folder / "metadata", folder / "targets"
    for place in (metadata, targets):
        place.mkdir(parents=True, exist_ok=True)
    base = url.rstrip("/")
    try:
        updater = Updater(
            str(metadata), f"{base}/metadata/", str(targets), f"{base}/targets/", fetcher or BoundedFetcher(), _LIMITS, bootstrap=root
        )
        updater.refresh()
        target = updater.get_targetinfo(TARGET)
        if target is None:
            return None
        if target.length > MAX_LIST:
            raise FollowError("refused", f"the list says it has {target.length} bytes")
        path = Path(updater.find_cached_target(target) or updater.download_target(target))
    except DownloadError as error:
        raise FollowError("unreachable", f"the release cannot be fetched: {error}") from error
    except (RepositoryError, ValueError, OSError) as error:
        raise FollowError("refused", f"the release does not verify: {type(error).__name__}: {error}") from error
    release = _read(path)
    if release.serial < enforced:
        raise FollowError("rollback", f"serial {release.serial} is older than {enforced}, which is in force")
    return release if release.serial > enforced else None


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


def _read(path: Path) -> Release:
    """The list in a verified file; a shape that gateways could not enforce is refused before anything is staged."""
    try:
        content = json.loads(path.read_bytes())
        segment = {"format": 1, "orders": content["orders"], "entries": content["entries"], "lifted": []}
        serial = int(content["serial"])
        Overlay([("release", segment)], serial)
    except (LachanError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FollowError("shape", f"the signed list cannot be read: {error}") from error
    return Release(serial, content.get("journal"), segment)
