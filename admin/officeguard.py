"""The guard of takedown for the pages: the catalogue in force, and the names this machine itself lives from."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from admin.settings import AdminSettings
from blocklists.catalogue import load
from blocklists.guard import Guard
from gateway.errors import GenerationError
from gateway.release import current_number, read_file, read_manifest


class GuardShelf:
    """Gives the guard and the catalogue document of the generation in force; before there is one, of the files that come with the
    product. Made anew only when the catalogue changes."""

    def __init__(self, state_dir: Path, own_names: tuple[str, ...]) -> None:
        self.state_dir = state_dir
        self.own_names = own_names
        self._version: str | None = None
        self._guard: Guard | None = None
        self._document: dict[str, Any] = {}

    def current(self) -> Guard:
        """The guard; reads files, so call it off the event loop."""
        version = self._read_version()
        if self._guard is None or version != self._version:
            self._document = load() if version == "shipped" else read_file(self.state_dir, version)
            self._guard, self._version = Guard.of(self._document, self.own_names), version
        return self._guard

    def document(self) -> dict[str, Any]:  # Any: the catalogue's JSON
        """The catalogue document behind the guard."""
        self.current()
        return self._document

    def _read_version(self) -> str:
        try:
            number = current_number(self.state_dir)
            return "shipped" if number is None else read_manifest(self.state_dir, number).catalogue
        except GenerationError:
            return self._version or "shipped"


def own_names(settings: AdminSettings) -> tuple[str, ...]:
    """Hosts that this machine needs: its own name, its pages, its upstreams."""
    found = [settings.gateway.dns.name]
    if settings.url:
        found.append(urlsplit(settings.url).hostname or "")
    found += [server.name for server in settings.gateway.upstreams.servers if server.name]
    return tuple(name for name in found if name and "." in name)
