"""The whole configuration: one file, three packages, every mistake at once. Only `lachan` imports this module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import Mistake, SettingsError
from gateway.pauses import collection_put_off
from gateway.settings import GatewaySettings
from gateway.yamlfile import parse, read_text

if TYPE_CHECKING:
    from admin.settings import AdminSettings
    from blocklists.settings import BlocklistSettings, FollowSettings

#: The second is the file that `make run` writes the first time (`lachan.first_run`).
PLACES = (Path("lachan.yaml"), Path("var/lachan.yaml"), Path("/etc/lachan/lachan.yaml"))
VARIABLE = "LACHAN_CONFIG"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says to each package; `admin` is None when there is no `admin` section."""

    path: Path
    gateway: GatewaySettings
    lists: BlocklistSettings
    admin: AdminSettings | None
    text: str = field(default="", repr=False, compare=False)
    """The file as it was read; it may hold secrets."""


def find_file(named: Path | None) -> Path:
    """Find the configuration file: the one named, else $LACHAN_CONFIG, else the first of PLACES."""
    if named is not None:
        return named
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    found = next((place for place in PLACES if _is_there(place)), None)
    if found is None:
        here, first_run, installed = PLACES
        missing = f"there is no {here} and no {first_run} in this folder, and no {installed}"
        raise SettingsError([Mistake("configuration", missing, "go to the folder of make run, or name the file with -c FILE")])
    return found


def _is_there(place: Path) -> bool:
    """Whether a file is there; one in a folder that this user may not look into counts, so that reading it says what to do."""
    try:
        return place.is_file()
    except PermissionError:
        return True


def load(path: Path, *, require_files: bool = True) -> Configuration:
    """Read and check the whole file. Raises SettingsError with every mistake of every section.

    Without `require_files` the files of lists may be missing: a start goes on with their last good copies.
    """
    return load_text(read_text(path), path, require_files=require_files)


@collection_put_off()
def load_text(text: str, path: Path, *, require_files: bool = True, instead: Mapping[str, object] | None = None) -> Configuration:
    """Check the text of the file at `path`, as `load` does. `instead`: sections to be taken in the place of those written, None for one to
    be left out."""
    from admin.settings import check_admin
    from blocklists.settings import check_lists
    from gateway.configuration import check_gateway
    from lachan.catalogue import shipped_words

    document = parse(text, path)
    if instead is not None and isinstance(document.value, dict):
        written = {name: section for name, section in document.value.items() if name not in instead}
        document = replace(document, value={**written, **{name: section for name, section in instead.items() if section is not None}})
    words = shipped_words()
    gateway, mistakes = check_gateway(document, words)
    state_dir = gateway.state_dir if gateway else path.parent
    lists, found = check_lists(document, state_dir, words.codes, words.good, require_files=require_files)
    mistakes += found
    if gateway is not None and lists is not None and lists.follow is None and lists.orders_file is None:
        lists = replace(lists, follow=_joined(state_dir))
    if gateway is not None and lists is not None:
        gateway = replace(gateway, notify_from=tuple(sorted({zone.primary.address.host for zone in lists.rpz if zone.primary})))
    admin = None
    if gateway is not None:
        admin, found = check_admin(document, gateway)
        mistakes += found
    if mistakes or gateway is None or lists is None:
        raise SettingsError(mistakes)
    if admin is not None and lists.follow is not None:
        admin = replace(admin, orders_from="follow")
    return Configuration(path.resolve(), gateway, lists, admin, text)


def _joined(state_dir: Path) -> FollowSettings | None:
    """The office that was joined by its code, where the file names no other source of orders."""
    from blocklists.joined import read_joined, root_of
    from blocklists.settings import FollowSettings

    joined = read_joined(state_dir)
    return None if joined is None else FollowSettings(joined.url, root_of(state_dir, joined.fingerprint))
