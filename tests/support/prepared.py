"""A state directory as a start with the shipped lists leaves it, made once in a test process and copied: compiling them anew for each of a
hundred gateways proves nothing that the tests of starting and of lists do not prove.

`tests.support.gateway` uses it for settings that name no lists, no policy zones and no orders of their own. What the product reads
afterwards is what the product wrote: it finds a generation with the right fingerprint, as at any second start.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

from blocklists.jobs import Inputs
from blocklists.jobs import prepare as prepare_lists
from blocklists.settings import BlocklistSettings
from gateway import release
from gateway.errors import SettingsError
from lachan import fingerprint, preparation
from lachan.configuration import load


def lay_out(settings: Path) -> bool:
    """Give the state directory of these settings, when it is not there yet, its first generation. False where the start must make it: there
    is one already, or the settings have lists of their own, or mistakes."""
    try:
        configuration = load(settings)
    except SettingsError:
        return False
    lists, state_dir = configuration.lists, configuration.gateway.state_dir
    if state_dir.exists() or lists != BlocklistSettings(state_dir, fetch=lists.fetch):
        return False
    names = preparation.own_names(configuration.gateway)
    index, catalogue = _shipped(names)
    shutil.copytree(_home(names), state_dir)
    state_dir.chmod(0o750)
    policy = release.write_file(state_dir, dict(configuration.gateway.policy))
    release.commit_generation(state_dir, {"index": index, "catalogue": catalogue, "policies": {preparation.TENANT: policy}}, time.time())
    fingerprint.note(lists, names, index, catalogue)
    return True


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lachan-prepared-")


@cache
def _home(names: tuple[str, ...]) -> Path:
    return Path(tempfile.mkdtemp(dir=_kept().name)) / "state"


@cache
def _shipped(names: tuple[str, ...]) -> tuple[str, str]:
    """The index and the catalogue of the shipped lists beside these own names, in `_home`."""
    home = _home(names)
    home.mkdir(mode=0o750)
    changes = prepare_lists(Inputs(BlocklistSettings(home), time.time(), names)).changes
    return str(changes["index"]), str(changes["catalogue"])
