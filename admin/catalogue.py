"""The catalogue as people meet it: categories with their lock, services in groups, the hours a new profile starts with, the school year.

Read from the generation in force, so that a page never offers what the gateway does not know; before there is a generation, from the files
that come with the product. Kept until the generation's catalogue changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from blocklists.catalogue import load, shipped
from gateway.errors import GenerationError
from gateway.policy.catalogue import CLOSED, DELEGABLE_TIER, GOOD_TIER, Catalogue, Cell, Service, read_catalogue
from gateway.policy.model import Band
from gateway.release import current_number, read_file, read_index_header, read_manifest
from gateway.yamlfile import read as read_yaml

_TERM_ENDS = ("term1_ends_before", "year_ends_before")
STUDY_CODES = ("edu", "gov", "health", "help")
#: Order of tiers on the page: what a person may change first, what is locked last.
_TIERS = {"D": 0, "H": 1, "L": 2, "G": 3}


@dataclass(frozen=True, slots=True)
class Group:
    """A group of services, with its services in order of their names."""

    id: str
    vi: str
    en: str
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """One category as one profile meets it."""

    code: str
    vi: str
    en: str
    tier: str
    cell: Cell
    partly: bool


@dataclass(frozen=True, slots=True)
class StartingHours:
    """Hours that a new profile of a band starts with."""

    starts: str
    ends: str


@dataclass(frozen=True, slots=True)
class DaysOff:
    """Days off that people know by a name; both names are empty in a catalogue that tells none."""

    first: date
    last: date
    vi: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One catalogue with everything the pages need from it."""

    catalogue: Catalogue
    groups: tuple[Group, ...]
    starting: Mapping[Band, tuple[StartingHours, ...]]
    summers: tuple[tuple[date, date], ...]
    #: Public holidays and the days off around the lunar new year; exam days are each school's own.
    holidays: tuple[tuple[date, date], ...] = ()
    #: The same with the names of the calendar.
    days_off: tuple[DaysOff, ...] = ()
    exams: tuple[tuple[date, date], ...] = ()
    #: The last days of terms that the calendar knows.
    terms: tuple[date, ...] = ()
    partly: frozenset[str] = frozenset()
    #: How many names the lists in force have for each category; services' names included.
    entries: Mapping[str, int] = field(default_factory=dict)
    #: What the level above has closed for the profile at hand, by the number of its document (`admin.officetighten`).
    above: Mapping[str, str] = field(default_factory=dict)

    @property
    def leisure(self) -> tuple[str, ...]:
        """The categories that rest closes: every delegable one."""
        return tuple(code for code, category in self.catalogue.categories.items() if category.tier == DELEGABLE_TIER)

    def rows(self, band: Band, strictest: Band) -> list[CategoryRow]:
        """The categories as a profile of this band meets them, what may be changed first; good ones and empty orders left out."""
        found = []
        for code, category in self.catalogue.categories.items():
            if category.tier == GOOD_TIER or category.order_only:
                continue
            cell = self.cell(code, band, strictest)
            found.append(CategoryRow(code, category.vi, category.en, category.tier, cell, code in self.partly))
        return sorted(found, key=lambda row: (row.cell.locked, _TIERS[row.tier]))

    def cell(self, code: str, band: Band, strictest: Band) -> Cell:
        """The matrix cell; for guests the stricter of their own column and the strictest band of the site."""
        if code in self.above:
            return CLOSED
        own = self.catalogue.cell(code, band)
        return own.stricter(self.catalogue.cell(code, strictest)) if band is Band.KH else own

    def name_of(self, code: str, language: str) -> str:
        """A category or service in the reader's language; the code itself when it is neither."""
        category = self.catalogue.categories.get(code)
        if category is not None:
            return category.vi if language == "vi" else category.en
        service = self.catalogue.services.get(code)
        if service is not None:
            return service.name_vi if language == "vi" else service.name_en
        return code

    def service_of(self, host: str) -> Service | None:
        """The service of several names to which a host belongs, by its longest name: opening the host alone opens a part of it."""
        key = "".join(f"{label}." for label in reversed(host.lower().rstrip(".").split(".")))
        found = [
            (len(name), service)
            for service in self.catalogue.services.values()
            for name, _ in service.hosts
            if len(service.hosts) > 1 and key.startswith(name)
        ]
        return max(found, key=lambda one: one[0])[1] if found else None

    def is_locked(self, service: Service, band: Band, strictest: Band) -> bool:
        """Whether a service cannot be opened because one of its categories is locked."""
        return any(self.cell(code, band, strictest).locked for code in service.categories)

    def is_closed(self, service: Service, band: Band, strictest: Band) -> bool:
        """Whether the band closes a service when nobody has set anything."""
        return any(self.cell(code, band, strictest).blocked for code in service.categories)


class Shelves:
    """Gives the catalogue in force."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._number: int | None = 0
        self._version = ""
        self._shelf: Shelf | None = None

    def current(self) -> Shelf:
        """The catalogue of the generation in force; the shipped one before there is any."""
        number = self._read_number()
        if self._shelf is None or number != self._number:
            version, entries = self._read_generation(number)
            if self._shelf is None or version != self._version:
                self._shelf = read_shipped() if number is None else read_shelf(read_file(self.state_dir, version), version)
                self._version = version
            self._shelf = replace(self._shelf, entries=_count(self._shelf.catalogue, entries), partly=_read_partly())
            self._number = number
        return self._shelf

    def _read_generation(self, number: int | None) -> tuple[str, Mapping[str, int]]:
        """The catalogue's version and the list entries of each category."""
        if number is None:
            return "shipped", {}
        manifest = read_manifest(self.state_dir, number)
        counts: dict[str, int] = {}
        for source in read_index_header(self.state_dir, manifest.index_dir).get("sources", ()):
            if source.get("category"):
                counts[source["category"]] = counts.get(source["category"], 0) + int(source.get("entries", 0))
        return manifest.catalogue, counts

    def _read_number(self) -> int | None:
        try:
            return current_number(self.state_dir)
        except GenerationError:
            return self._number or None


@cache
def read_shipped() -> Shelf:
    """The catalogue that comes with the product."""
    return read_shelf(load(), "shipped")


def read_shelf(document: Mapping[str, Any], version: str) -> Shelf:
    """The shelf of a catalogue document (JSON values, checked by the gateway's own reader)."""
    catalogue = read_catalogue(dict(document), "catalogue", version)
    extras = document.get("extras") or {}
    named = {row["id"]: row for row in extras.get("service_groups", ())}
    by_group: dict[str, list[Service]] = {}
    for service in catalogue.services.values():
        by_group.setdefault(service.group, []).append(service)
    order = [*named, *sorted(set(by_group) - set(named))]
    groups = tuple(
        Group(group, _word(named, group, "vi"), _word(named, group, "en"), tuple(by_group[group])) for group in order if group in by_group
    )
    calendar = extras.get("calendar") or {}
    summers = tuple((date.fromisoformat(row["from"]), date.fromisoformat(row["to"])) for row in calendar.get("summers", ()))
    years = calendar.get("school_years", ())
    terms = sorted(date.fromisoformat(year[key]) - timedelta(days=1) for year in years for key in _TERM_ENDS if year.get(key))
    days = read_days_off(calendar)
    spans = tuple((one.first, one.last) for one in days)
    return Shelf(catalogue, groups, _starting(document.get("windows") or {}), summers, spans, days, terms=tuple(terms))


def read_days_off(calendar: Mapping[str, Any]) -> tuple[DaysOff, ...]:
    """Days off for as many years as the calendar knows the lunar new year of, earliest first."""
    tet = {int(row["year"]): date.fromisoformat(row["date"]) for row in calendar.get("tet", ())}
    around = calendar.get("tet_break") or {}
    before, after = (timedelta(days=int(around.get(key, 0))) for key in ("days_before", "days_after"))
    names = calendar.get("lunar_names") or {}
    found = [_days_off(day - before, day + after, names.get("tet")) for day in tet.values()]
    for row in calendar.get("hung_kings", ()):
        if int(row["year"]) in tet:
            day = date.fromisoformat(row["date"])
            found.append(_days_off(day, day, names.get("hung_kings")))
    for row in calendar.get("holidays", ()):
        for year in tet if row.get("verified") else ():
            day = date.fromisoformat(f"{year}-{row['month_day']}")
            found.append(_days_off(day, day, row))
    return tuple(sorted(found, key=lambda one: (one.first, one.last)))


def _days_off(first: date, last: date, named: Mapping[str, str] | None) -> DaysOff:
    return DaysOff(first, last, (named or {}).get("vi", ""), (named or {}).get("en", ""))


def _word(named: Mapping[str, Mapping[str, str]], group: str, language: str) -> str:
    return named[group][language] if group in named else group


def _starting(windows: Mapping[str, Sequence[Mapping[str, str]]]) -> Mapping[Band, tuple[StartingHours, ...]]:
    return {Band(band): tuple(StartingHours(row["from"], row["to"]) for row in rows) for band, rows in windows.items()}


def _count(catalogue: Catalogue, entries: Mapping[str, int]) -> Mapping[str, int]:
    counts = {code: entries.get(code, 0) for code in catalogue.codes}
    for service in catalogue.services.values():
        for code in service.categories:
            counts[code] = counts.get(code, 0) + len(service.hosts)
    return counts


@cache
def _read_partly() -> frozenset[str]:
    """Categories that names reach only partly, because most of it lies inside big platforms."""
    document = read_yaml(shipped() / "categories.yaml").value
    rows = document.get("categories", ()) if isinstance(document, dict) else ()
    return frozenset(str(row["code"]) for row in rows if row.get("dns") != "full")
