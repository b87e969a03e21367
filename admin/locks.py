"""Why a locked group is locked: the documents behind each tier, as data with the day from which they are in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from gateway.yamlfile import read

FILE = Path(__file__).parent / "locks.yaml"


@dataclass(frozen=True, slots=True)
class Basis:
    """One document."""

    number: str
    vi: str
    en: str
    since: date


def bases_of(tier: str, day: date) -> tuple[Basis, ...]:
    """The documents in force on a day for a tier; empty where a tier is nobody's order."""
    return tuple(one for one in _read().get(tier, ()) if one.since <= day)


@cache
def _read() -> dict[str, tuple[Basis, ...]]:
    document: Any = read(FILE).value  # Any: plain YAML
    return {
        tier: tuple(Basis(row["number"], row["vi"], row["en"], date.fromisoformat(row["since"])) for row in rows)
        for tier, rows in document["tiers"].items()
    }
