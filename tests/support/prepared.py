"""A state directory as a start leaves it, made once in a test process and copied: compiling the same lists anew for each of a hundred
gateways proves nothing that the tests of starting and of lists do not prove.

`tests.support.gateway` uses it for settings that name no lists of their own, or only files; what has the same content is compiled once.
What the product reads afterwards is what the product wrote: it finds a generation with the right fingerprint, as at any second start.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from blocklists.jobs import Inputs
from blocklists.jobs import prepare as prepare_lists
from blocklists.settings import BlocklistSettings
from gateway import release
from gateway.errors import LachanError
from lachan import fingerprint, preparation
from lachan.configuration import load


@dataclass(frozen=True)
class Content:
    """What a preparation depends on: the settings without their paths, and what the files hold."""

    names: tuple[str, ...]
    settings: str
    files: tuple[bytes, ...]


def lay_out(settings: Path) -> bool:
    """Give the state directory of these settings, when it is not there yet, its first generation. False where the start must make it: there
    is one already, or lists come from elsewhere, or something is wrong with settings or files."""
    try:
        configuration = load(settings)
    except LachanError:
        return False
    lists, state_dir = configuration.lists, configuration.gateway.state_dir
    if state_dir.exists() or lists.rpz or lists.follow is not None or not all(one.path for one in lists.lists):
        return False
    names = preparation.own_names(configuration.gateway)
    try:
        content = _content(names, lists)
        home, outcome = _prepared(content) or _prepare(content, lists)
    except (LachanError, OSError):
        return False
    if outcome.report is None or outcome.report.problems:
        return False
    shutil.copytree(home, state_dir)
    state_dir.chmod(0o750)
    policy = release.write_file(state_dir, dict(configuration.gateway.policy))
    changes = {**outcome.changes, "policies": {preparation.TENANT: policy}}
    release.commit_generation(state_dir, changes, time.time())  # type: ignore[arg-type]  # what the product itself hands on
    fingerprint.note(lists, names, str(changes["index"]), str(changes["catalogue"]), outcome.notes)
    return True


def _content(names: tuple[str, ...], lists: BlocklistSettings) -> Content:
    bare = replace(lists, state_dir=Path(), lists=tuple(replace(one, path=None) for one in lists.lists), orders_file=None)
    files = [one.path for one in lists.lists if one.path] + ([lists.orders_file] if lists.orders_file else [])
    return Content(names, f"{bare!r} {lists.orders_file is None}", tuple(path.read_bytes() for path in files))


def _prepared(content: Content) -> tuple[Path, preparation.Outcome] | None:
    return _homes().get(content)


def _prepare(content: Content, lists: BlocklistSettings) -> tuple[Path, preparation.Outcome]:
    home = Path(tempfile.mkdtemp(dir=_kept().name)) / "state"
    home.mkdir(mode=0o750)
    prepared = prepare_lists(Inputs(replace(lists, state_dir=home), time.time(), content.names))
    _homes()[content] = home, preparation.Outcome(dict(prepared.changes), prepared.report)
    return _homes()[content]


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lachan-prepared-")


@cache
def _homes() -> dict[Content, tuple[Path, preparation.Outcome]]:
    return {}
