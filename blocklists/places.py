"""Places of Viet Nam as dated data: what a code meant on a day, and what became of a place. Pure; `admin` and the tests import it.

A code without a date is ambiguous (44 was Quảng Bình, and is Quảng Trị since 1 July 2025), so every look-up takes a day. The table is
`takedown/places.yaml`; a change of the map is a change of that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path

from gateway.yamlfile import read, text_of_scalar

MERGED_ON = date(2025, 7, 1)
"""The day on which 63 provinces became 34 and the district level ended."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place for as long as it was that: the same code may have been another place before."""

    code: str
    name: str
    level: str
    valid_from: date | None = None
    valid_until: date | None = None

    def is_there(self, on: date) -> bool:
        """Whether it exists on a day."""
        return (self.valid_from is None or self.valid_from <= on) and (self.valid_until is None or on < self.valid_until)


@dataclass(frozen=True, slots=True)
class Successor:
    """What a place became, and whether only a part of it went there."""

    place: Place
    is_part: bool


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Every place and every link between one before and one after."""

    places: tuple[Place, ...]
    links: tuple[tuple[str, str, bool], ...]

    def at(self, code: str, on: date) -> Place | None:
        """What a code means on a day. A commune that the table does not know is named by its province."""
        return next((place for place in self.places if place.code == code and place.is_there(on)), None)

    def provinces(self, on: date) -> list[Place]:
        """The provinces of a day, by code."""
        return sorted((place for place in self.places if place.level == "province" and place.is_there(on)), key=lambda place: place.code)

    def meanings(self, code: str) -> list[Place]:
        """Everything that a code ever meant, the oldest first."""
        return sorted((place for place in self.places if place.code == code), key=lambda place: place.valid_from or date.min)

    def named(self, name: str, on: date) -> list[Place]:
        """The places of this name on a day."""
        return [place for place in self.places if place.name.casefold() == name.casefold() and place.is_there(on)]

    def successors(self, place: Place, on: date) -> list[Successor]:
        """What a place of before is on a later day: itself while it is there; several where it was divided."""
        if place.is_there(on):
            return [Successor(place, is_part=False)]
        found = []
        for old, new, part in self.links:
            after = self.at(new, on)
            if old == place.code and after is not None and after != place and place.valid_until is not None:
                found.append(Successor(after, part))
        return found

    def say(self, code: str, on: date) -> str:
        """A code in words on a day; the code itself where nobody knows it."""
        place = self.at(code, on)
        if place is not None:
            return place.name
        province = self.at(code.partition(".")[0], on)
        return f"{code} ({province.name})" if province is not None else code


@cache
def gazetteer() -> Gazetteer:
    """The table that comes with the product."""
    document = read(Path(str(resources.files("blocklists.takedown") / "places.yaml"))).value
    places = tuple(
        Place(str(row["code"]), str(row["name"]), str(row["level"]), _day(row.get("from")), _day(row.get("until")))
        for row in document["places"]
    )
    links = tuple((str(row["old"]), str(row["new"]), bool(row.get("part"))) for row in document["links"])
    return Gazetteer(places, links)


def _day(value: object) -> date | None:
    text = text_of_scalar(value)
    return date.fromisoformat(text) if isinstance(text, str) and text else None
