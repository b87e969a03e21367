"""The guard of the pages: the catalogue in force, and the machine's own names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from admin.officeguard import GuardShelf, own_names
from admin.settings import AdminSettings
from blocklists.guard import ORDER
from blocklists.parsers import Match
from tests.support.catalogue import make_catalogue
from tests.support.generation import amend, make_generation


def test_guard_before_any_generation_is_the_shipped_one(tmp_path: Path) -> None:
    """Help names are refused from the first minute."""
    guard = GuardShelf(tmp_path, ()).current()
    assert guard.judge("vn.vn-cop.", Match.BOTH, ORDER) is not None


def test_guard_follows_the_catalogue_in_force(tmp_path: Path) -> None:
    """A new catalogue is taken without a restart; the same one is not read twice."""
    make_generation(tmp_path, catalogue=make_catalogue())
    shelf = GuardShelf(tmp_path, ())
    first = shelf.current()
    assert shelf.current() is first
    amend(tmp_path, catalogue={**make_catalogue(), "platforms": ["grand-platform.example"]})
    assert shelf.current().judge("example.grand-platform.", Match.BOTH, ORDER) is not None


def test_own_names_are_never_blocked(settings: AdminSettings, tmp_path: Path) -> None:
    """The name of the pages and of this gateway cannot be ordered away."""
    names = own_names(dataclasses.replace(settings, url="https://lachan.tinh.example"))
    assert set(names) == {"lachan.internal", "lachan.tinh.example"}
    assert GuardShelf(tmp_path, names).current().judge("example.tinh.lachan.", Match.BOTH, ORDER) is not None
