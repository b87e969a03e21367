"""The shipped catalogue: categories, matrix, services, safe search, protected names in YAML → the catalogue document of a generation.

`blocklists`, `lachan` and `admin` may import this module. The catalogue is the union of all files of the folder: lists are put one after
another, sections are merged. Every mistake is found, each with its file, line and path; a catalogue with a mistake is not used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from blocklists.normalize import Host, normalize_host
from blocklists.suffixes import suffixes
from gateway.errors import Mistake, SettingsError
from gateway.yamlfile import Document, Keys, read

FORMAT: Final = 1
BANDS: Final = ("MN", "TH", "CS", "PT", "NL", "KH")
TIERS: Final = ("L", "H", "D", "G")
GOOD: Final = ("edu", "health", "gov")
"""Good categories that names of the catalogue may be put in; `help` has a list of its own."""

UNCATEGORISED: Final = "uncategorised"

_LISTS: Final = ("categories", "services", "safesearch", "canaries", "protected", "platforms", "help", "infrastructure", "sources")
_SECTIONS: Final = ("matrix", "windows", "caps", "extras")
_MATCHES: Final = ("both", "exact", "below")
_DEFAULTS: Final = ("allow", "block", "safe")

Json = dict[str, Any]  # Any: JSON of the catalogue's own format, checked here
_NOTHING: Final[Json] = {}


def shipped() -> Path:
    """The folder of the catalogue that comes with the product."""
    return Path(str(resources.files("blocklists") / "catalog"))


def load(folder: Path | None = None) -> Json:
    """The catalogue document of a folder (the shipped one by default). Raises SettingsError with every mistake."""
    paths = sorted((folder or shipped()).glob("*.yaml"))
    if not paths:
        raise SettingsError([Mistake(str(folder), "there is no catalogue here")])
    mistakes: list[Mistake] = []
    documents: list[Document] = []
    for path in paths:
        try:
            documents.append(read(path))
        except SettingsError as error:
            mistakes += error.mistakes
    reader = _Catalogue(documents)
    result = reader.read()
    mistakes += reader.mistakes
    if mistakes:
        raise SettingsError(mistakes)
    return result


@dataclass(frozen=True, slots=True)
class _Row:
    """One item of a list, with the place it was written at."""

    value: Any  # Any: what the file holds, checked below
    document: Document
    keys: Keys


@dataclass(slots=True)
class _Catalogue:
    """All files, joined and checked."""

    documents: list[Document]
    mistakes: list[Mistake] = field(default_factory=list)

    def read(self) -> Json:
        joined = self._joined()
        categories = [row for row in map(self._category, self._rows("categories")) if row]
        self._unique("categories", "code")
        self._unique("services", "id")
        codes = {row["code"]: row for row in categories}
        extras = joined["extras"]
        groups = {row["id"] for row in extras.get("service_groups", ()) if isinstance(row, dict) and "id" in row}
        result: Json = {
            "format": FORMAT,
            "categories": categories,
            "matrix": self._matrix(joined["matrix"], codes),
            "windows": joined["windows"],
            "caps": joined["caps"],
            "services": [row for item in self._rows("services") if (row := self._service(item, codes, groups))],
            "safesearch": [row for item in self._rows("safesearch") if (row := self._safesearch(item))],
            "canaries": [name for item in self._rows("canaries") if (name := self._name(item))],
            "protected": [row for item in self._rows("protected") if (row := self._protected(item))],
            "platforms": [name for item in self._rows("platforms") if (name := self._name(item))],
            "help": [name for item in self._rows("help") if (name := self._name(item))],
            "infrastructure": [row for item in self._rows("infrastructure") if (row := self._named(item))],
            "extras": extras,
        }
        self._windows(joined["windows"], codes)
        return {name: _plain(part) for name, part in result.items()}

    def _joined(self) -> Json:
        """The sections of all files merged, and every key checked to be one."""
        joined: Json = {name: {} for name in _SECTIONS}
        for document in self.documents:
            value = document.value
            if not isinstance(value, dict) or value.get("format") != FORMAT:
                self._fault(document, ("format",), f"a catalogue file says format: {FORMAT}")
                continue
            for name, part in value.items():
                if name in _SECTIONS:
                    self._merge(document, name, joined[name], part)
                elif name in _LISTS:
                    if not isinstance(part, list):
                        self._fault(document, (name,), "must be a list")
                elif name != "format":
                    self._fault(document, (name,), f"is no part of a catalogue; parts are {', '.join((*_LISTS, *_SECTIONS))}")
        return joined

    def _merge(self, document: Document, name: str, section: Json, part: object) -> None:
        if not isinstance(part, dict):
            self._fault(document, (name,), "must be a section (key: value)")
            return
        for key, value in part.items():
            if key in section:
                self._fault(document, (name, key), "is written in two files", "keep one of them")
            section[key] = value

    def _rows(self, name: str) -> Iterator[_Row]:
        for document in self.documents:
            part = document.value.get(name) if isinstance(document.value, dict) else None
            for index, value in enumerate(part if isinstance(part, list) else ()):
                yield _Row(value, document, (name, index))

    def _category(self, row: _Row) -> Json | None:
        if not self._table(row, ("code", "vi", "en", "tier")):
            return None
        value = row.value
        if value["tier"] not in TIERS:
            self._at(row, "tier", f"must be one of {', '.join(TIERS)}")
        for flag in ("order_only", "sensitive"):
            if not isinstance(value.get(flag, False), bool):
                self._at(row, flag, "must be true or false")
        return {name: value.get(name, False) for name in ("code", "vi", "en", "tier", "order_only", "sensitive")}

    def _matrix(self, matrix: Json, codes: dict[str, Json]) -> Json:
        place = self._document_with("matrix")
        for code in codes.keys() - matrix.keys():
            self._fault(place, ("matrix",), f"has no row for category {code}")
        for code, cells in matrix.items():
            if code != UNCATEGORISED and code not in codes:
                self._fault(place, ("matrix", code), "is no category")
                continue
            if not isinstance(cells, dict) or set(cells) != set(BANDS):
                self._fault(place, ("matrix", code), f"needs one cell for each of {', '.join(BANDS)}")
                continue
            for band, cell in cells.items():
                problem = _uncategorised_fault(cell) if code == UNCATEGORISED else _cell_fault(cell, codes[code], band)
                if problem:
                    self._fault(place, ("matrix", code, band), problem)
        if UNCATEGORISED not in matrix:
            self._fault(place, ("matrix",), f"has no row {UNCATEGORISED}")
        return matrix

    def _service(self, row: _Row, codes: dict[str, Json], groups: Collection[str]) -> Json | None:
        if not self._table(row, ("id", "name_vi", "name_en", "group", "categories", "hosts", "verified", "source", "as_of")):
            return None
        value = row.value
        if groups and value["group"] not in groups:
            self._at(row, "group", "is no group of services")
        for code in value["categories"] if isinstance(value["categories"], list) and value["categories"] else [None]:
            if code not in codes:
                self._at(row, "categories", f"{code} is no category")
            elif codes[code]["order_only"] or codes[code]["tier"] == "G":
                self._at(row, "categories", f"services do not fill {code}")
        if not isinstance(value["verified"], bool):
            self._at(row, "verified", "must be true or false")
        if not isinstance(value["hosts"], list) or not value["hosts"]:
            self._at(row, "hosts", "a service has hosts")
            return None
        hosts = [self._named(_Row(host, row.document, (*row.keys, "hosts", index))) for index, host in enumerate(value["hosts"])]
        kept = ("id", "name_vi", "name_en", "group", "categories", "verified", "source", "as_of")
        return {name: value[name] for name in kept} | {"hosts": [host for host in hosts if host], "note": value.get("note", "")}

    def _safesearch(self, row: _Row) -> Json | None:
        if not self._table(row, ("engine", "names", "target", "addresses")):
            return None
        value = row.value
        names = value["names"] if isinstance(value["names"], list) else []
        if not names:
            self._at(row, "names", "an engine has names")
        for address in value["addresses"] if isinstance(value["addresses"], list) else [None]:
            if not _is_address(address):
                self._at(row, "addresses", f"{address} is not an IP address")
        if value.get("youtube") not in (None, "strict", "moderate"):
            self._at(row, "youtube", "must be strict or moderate")
        found = [self._name(_Row(name, row.document, (*row.keys, "names", index))) for index, name in enumerate(names)]
        return {
            "engine": value["engine"],
            "names": [name for name in found if name],
            "target": self._name(_Row(value["target"], row.document, (*row.keys, "target"))),
            "addresses": value["addresses"],
            "youtube": value.get("youtube"),
        }

    def _protected(self, row: _Row) -> Json | None:
        named = self._named(row)
        if named is None or not self._table(row, ("name", "group")):
            return None
        good = row.value.get("good")
        if good is not None and good not in GOOD:
            self._at(row, "good", f"must be null or one of {', '.join(GOOD)}")
        return named | {"group": row.value["group"], "good": good}

    def _named(self, row: _Row) -> Json | None:
        value = row.value
        if not self._table(row, ("name",)):
            return None
        match = value.get("match", "both")
        if match not in _MATCHES:
            self._at(row, "match", f"must be one of {', '.join(_MATCHES)}")
        name = self._name(_Row(value["name"], row.document, (*row.keys, "name")), match == "exact" or value.get("registry") is True)
        return {"name": name, "match": match} if name else None

    def _name(self, row: _Row, may_be_suffix: bool = False) -> str | None:
        """A name in its canonical form; a mistake when it is none, or when it would speak for what strangers register below it.

        A public suffix is taken with `match: exact`, or with `registry: true`, which says that one body runs everything below it.
        """
        host = normalize_host(row.value) if isinstance(row.value, str) else None
        if not isinstance(host, Host) or host.has_path or host.port is not None or host.wildcard:
            why = host.en if host is not None and not isinstance(host, Host) else "write a bare name"
            self._fault(row.document, row.keys, f"is not a name: {why}")
            return None
        if suffixes().is_public(host.key) and not (may_be_suffix and "." in host.name):
            self._fault(row.document, row.keys, "is a public suffix, and the entry would cover every name below it", "write match: exact")
        return host.name

    def _windows(self, windows: Json, codes: dict[str, Json]) -> None:
        place = self._document_with("windows")
        for band, rows in windows.items():
            if band not in BANDS or not isinstance(rows, list):
                self._fault(place, ("windows", band), "is a band with a list of windows")
                continue
            for index, row in enumerate(rows):
                effect = row.get("effect") if isinstance(row, dict) else None
                named = [code for part in effect.values() for code in part] if isinstance(effect, dict) else []
                if effect != "offline" and not named:
                    self._fault(place, ("windows", band, index), "needs an effect: offline, {block: […]} or {only: […]}")
                for code in named:
                    if code not in codes:
                        self._fault(place, ("windows", band, index, "effect"), f"{code} is no category")

    def _table(self, row: _Row, needed: tuple[str, ...]) -> bool:
        if not isinstance(row.value, dict):
            self._fault(row.document, row.keys, "must be a section (key: value)")
            return False
        missing = [name for name in needed if row.value.get(name) is None]
        for name in missing:
            self._at(row, name, "is needed here")
        return not missing

    def _unique(self, section: str, key: str) -> None:
        seen: set[object] = set()
        for row in self._rows(section):
            value = row.value.get(key) if isinstance(row.value, dict) else None
            if value in seen:
                self._at(row, key, f"{value} is used twice")
            seen.add(value)

    def _document_with(self, section: str) -> Document:
        return next((doc for doc in self.documents if isinstance(doc.value, dict) and section in doc.value), self.documents[0])

    def _at(self, row: _Row, key: str, message: str) -> None:
        self._fault(row.document, (*row.keys, key), message)

    def _fault(self, document: Document, keys: Keys, message: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(document.place(keys), message, remedy))


def _cell_fault(cell: object, category: Json, band: str) -> str:
    if not isinstance(cell, dict) or cell.get("default") not in _DEFAULTS or not isinstance(cell.get("locked"), bool):
        return f"needs default ({', '.join(_DEFAULTS)}), locked (true or false) and mark"
    if not cell.get("mark"):
        return "needs a mark"
    if cell["locked"] and cell["default"] != "block":
        return "only a block can be locked"
    if category["tier"] == "L" and band != "NL" and not cell["locked"]:
        return "a legal category is locked for every child band"
    if category["tier"] == "G" and cell["default"] != "allow":
        return "a good category is open for every band"
    return ""


def _uncategorised_fault(cell: object) -> str:
    return "" if cell in ("allow", "allowlist") else "must be allow or allowlist"


def _is_address(value: object) -> bool:
    try:
        ip_address(str(value))
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:  # Any: JSON values
    """Plain JSON values: numbers that remember how they were written become numbers, fractions become text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return int(value) if isinstance(value, int) else getattr(value, "text", str(value))
