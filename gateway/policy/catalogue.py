"""The catalogue: categories, the default matrix, services, safe search, the names that stay open. Read from a generation's file.

Everything a person decided about categories is data here; the engine holds no list of its own. Any package may import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from gateway.errors import GenerationError, InvalidName
from gateway.policy.model import Band
from gateway.policy.names import Coverage
from gateway.policy.tenant import YouTube
from gateway.wire.name import key_from_text

Tier = Literal["L", "H", "D", "G"]

UNCATEGORISED: Final = "uncategorised"
GOOD_TIER: Final = "G"
LEGAL_TIER: Final = "L"
DELEGABLE_TIER: Final = "D"
STRICTNESS: Final = (Band.MN, Band.TH, Band.CS, Band.PT, Band.NL)
"""Bands from the strictest to the most open; a guest is judged beside them, not among them."""

_FORMAT: Final = 1
_COVERAGE: Final = {"both": Coverage.BOTH, "exact": Coverage.EXACT, "below": Coverage.BELOW}
_YOUTUBE_ORDER: Final[tuple[YouTube, ...]] = ("strict", "moderate", "off")
_DEFAULT_YOUTUBE: Final[dict[Band, YouTube]] = {
    Band.MN: "strict", Band.TH: "strict", Band.CS: "strict", Band.PT: "moderate", Band.NL: "off", Band.KH: "strict"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Category:
    """One category: names for people, and its tier."""

    code: str
    vi: str
    en: str
    tier: Tier
    order_only: bool
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix: blocked or not by default, whether that is locked, and whether a safe mode is forced."""

    blocked: bool
    locked: bool
    safe: bool
    mark: str

    def stricter(self, other: Cell) -> Cell:
        """The stricter of two cells: locked block, then block, then safe mode, then open."""
        return self if (self.blocked, self.locked, self.safe) >= (other.blocked, other.locked, other.safe) else other


OPEN: Final = Cell(False, False, False, "✓")
CLOSED: Final = Cell(True, True, False, "✕")


@dataclass(frozen=True, slots=True)
class Service:
    """One service: the names its app needs, and the categories they feed. `verified`: every name was looked up, none is from memory."""

    id: str
    name_vi: str
    name_en: str
    group: str
    categories: frozenset[str]
    hosts: tuple[tuple[str, Coverage], ...]
    verified: bool = True


@dataclass(frozen=True, slots=True)
class SafeSearch:
    """One engine whose safe mode is a name: `keys` are answered through `target`. `youtube` is its level, None for search engines."""

    engine: str
    keys: frozenset[str]
    target: str
    addresses: tuple[str, ...]
    youtube: YouTube | None


@dataclass(frozen=True, slots=True)
class BandDefaults:
    """What a profile of the band has when it says nothing."""

    safe_search: bool
    youtube: YouTube
    canaries: bool

    def stricter(self, other: BandDefaults) -> BandDefaults:
        """The stricter of each setting."""
        youtube = min(self.youtube, other.youtube, key=_YOUTUBE_ORDER.index)
        return BandDefaults(self.safe_search or other.safe_search, youtube, self.canaries or other.canaries)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue file, read. `help`, `infrastructure` and `hosts` map keys to what is said about them."""

    version: str
    categories: Mapping[str, Category]
    matrix: Mapping[str, Mapping[Band, Cell]]
    defaults: Mapping[Band, BandDefaults]
    services: Mapping[str, Service]
    hosts: Mapping[str, tuple[tuple[Coverage, Service], ...]]
    safe_search: tuple[SafeSearch, ...]
    canaries: frozenset[str]
    canary_labels: frozenset[str]
    help: Mapping[str, Coverage]
    infrastructure: Mapping[str, Coverage]
    codes: frozenset[str]
    service_ids: frozenset[str]
    order_only: frozenset[str]

    def cell(self, code: str, band: Band) -> Cell:
        """The matrix cell of a category (or `uncategorised`); a tier L category without one is closed, any other open."""
        found = self.matrix.get(code)
        if found is not None and band in found:
            return found[band]
        category = self.categories.get(code)
        return CLOSED if category is not None and category.tier == LEGAL_TIER else OPEN

    def is_delegable(self, code: str) -> bool:
        """Whether a teacher may open the category for a class."""
        category = self.categories.get(code)
        return category is not None and category.tier == DELEGABLE_TIER

    def tier(self, code: str) -> Tier:
        """The tier of a category; unknown ones count as delegable."""
        category = self.categories.get(code)
        return "D" if category is None else category.tier


def read_catalogue(document: object, where: str, version: str) -> Catalogue:
    """The catalogue in a parsed file. Raises GenerationError with `where` when it is not one."""
    try:
        if not isinstance(document, dict) or document["format"] != _FORMAT:
            raise GenerationError(where, f"is not a catalogue of format {_FORMAT}")
        return _read(document, version)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidName) as error:
        raise GenerationError(where, f"is not a catalogue: {type(error).__name__} {error}") from error


def _read(document: dict[str, Any], version: str) -> Catalogue:
    categories = {row["code"]: _category(row) for row in document["categories"]}
    services = {row["id"]: _service(row) for row in document.get("services", ())}
    hosts: dict[str, tuple[tuple[Coverage, Service], ...]] = {}
    for service in services.values():
        for key, coverage in service.hosts:
            hosts[key] = (*hosts.get(key, ()), (coverage, service))
    extras = document.get("extras") or {}
    return Catalogue(
        version=version,
        categories=MappingProxyType(categories),
        matrix=MappingProxyType({code: _row(row) for code, row in document["matrix"].items()}),
        defaults=MappingProxyType({band: _defaults(band, extras.get("band_defaults") or {}) for band in Band}),
        services=MappingProxyType(services),
        hosts=MappingProxyType(hosts),
        safe_search=tuple(_safe_search(row) for row in document.get("safesearch", ())),
        canaries=frozenset(key_from_text(name) for name in document.get("canaries", ())),
        canary_labels=frozenset(label.lower() for label in extras.get("canary_labels") or ()),
        help=MappingProxyType(dict(_named(row) for row in document.get("help", ()))),
        infrastructure=MappingProxyType(dict(_named(row) for row in document.get("infrastructure", ()))),
        codes=frozenset(categories),
        service_ids=frozenset(services),
        order_only=frozenset(code for code, category in categories.items() if category.order_only),
    )


def _category(row: dict[str, Any]) -> Category:
    tier = row["tier"]
    if tier not in ("L", "H", "D", "G"):
        raise ValueError(f"tier {tier!r}")
    return Category(row["code"], row["vi"], row["en"], tier, bool(row.get("order_only")), bool(row.get("sensitive")))


def _row(row: dict[str, Any]) -> Mapping[Band, Cell]:
    return MappingProxyType({Band(band): _cell(cell) for band, cell in row.items()})


def _cell(cell: object) -> Cell:
    if isinstance(cell, str):  # the row of names in no category: allow or allowlist
        if cell not in ("allow", "allowlist"):
            raise ValueError(f"cell {cell!r}")
        return Cell(cell == "allowlist", False, False, cell)
    if not isinstance(cell, dict):
        raise TypeError(f"cell {cell!r}")
    default = cell["default"]
    if default not in ("allow", "block", "safe", "allowlist"):
        raise ValueError(f"cell {default!r}")
    blocked = default in ("block", "allowlist")
    return Cell(blocked, blocked and bool(cell.get("locked")), default == "safe", str(cell.get("mark", "")))


def _defaults(band: Band, rows: dict[str, Any]) -> BandDefaults:
    child = band is not Band.NL
    youtube = rows.get("youtube", {}).get(band, _DEFAULT_YOUTUBE[band])
    if youtube not in _YOUTUBE_ORDER:
        raise ValueError(f"youtube {youtube!r}")
    return BandDefaults(
        bool(rows.get("safe_search", {}).get(band, child)), cast(YouTube, youtube), bool(rows.get("canaries", {}).get(band, child))
    )


def _service(row: dict[str, Any]) -> Service:
    return Service(
        row["id"],
        row["name_vi"],
        row["name_en"],
        row["group"],
        frozenset(row["categories"]),
        tuple(_named(host) for host in row["hosts"]),
        bool(row.get("verified", True)),
    )


def _safe_search(row: dict[str, Any]) -> SafeSearch:
    youtube = row.get("youtube")
    if youtube not in (None, "strict", "moderate"):
        raise ValueError(f"youtube {youtube!r}")
    keys = frozenset(key_from_text(name) for name in row["names"])
    return SafeSearch(row["engine"], keys, row["target"].rstrip("."), tuple(row.get("addresses", ())), cast("YouTube | None", youtube))


def _named(row: object) -> tuple[str, Coverage]:
    if isinstance(row, str):
        return key_from_text(row), Coverage.BOTH
    if not isinstance(row, dict):
        raise TypeError(f"name {row!r}")
    return key_from_text(row["name"]), _COVERAGE[row.get("match", "both")]
