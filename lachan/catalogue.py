"""The words of the shipped catalogue, for checking a configuration file against them. Only `lachan` imports this module."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from gateway.yamlfile import parse


@dataclass(frozen=True, slots=True)
class ShippedWords:
    """Category codes and service ids of the catalogue; `good` and `delegable` are the codes of tier G and D."""

    codes: frozenset[str]
    service_ids: frozenset[str]
    good: frozenset[str]
    delegable: frozenset[str]

    def is_delegable(self, code: str) -> bool:
        """Whether a school or a parent may switch this category."""
        return code in self.delegable


@cache
def shipped_words() -> ShippedWords:
    """Read the shipped catalogue."""
    categories = list(_rows("categories"))
    codes = {tier: frozenset(str(row["code"]) for row in categories if row["tier"] == tier) for tier in "LHDG"}
    services = frozenset(str(row["id"]) for row in _rows("services"))
    return ShippedWords(frozenset().union(*codes.values()), services, codes["G"], codes["D"])


def _rows(name: str) -> Iterable[dict[str, Any]]:  # Any: YAML of our own data files
    folder = resources.files("blocklists") / "catalog"
    files = [
        file
        for file in folder.iterdir()
        if file.name == f"{name}.yaml" or (file.name.startswith(f"{name}-") and file.name.endswith(".yaml"))
    ]
    rows: list[dict[str, Any]] = [row for file in files for row in parse(file.read_text(encoding="utf-8")).value[name]]
    return rows
