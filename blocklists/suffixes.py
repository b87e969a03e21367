"""Public suffixes as keys: names below which everybody registers. `blocklists.guard` imports this module.

Read from the copy of the public suffix list that the `publicsuffixlist` package carries; nothing is fetched. The list has two parts:
suffixes of registries (`com.vn`, `hanoi.vn`) and suffixes whose owners give names to others (`github.io`). An unknown last label counts
as a suffix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import publicsuffixlist

from blocklists.normalize import Host, normalize_host

_BEGIN_PRIVATE: Final = "===BEGIN PRIVATE DOMAINS==="


@dataclass(frozen=True, slots=True)
class SuffixSet:
    """The rules of one part of the list. A rule `*.x` makes every name one label below x a suffix, save those in `exceptions`."""

    keys: frozenset[str]
    wildcards: frozenset[str]
    exceptions: frozenset[str]

    def has(self, key: str) -> bool:
        """Whether the name of `key` is a suffix of this part."""
        return key in self.keys or (parent_of(key) in self.wildcards and key not in self.exceptions)


@dataclass(frozen=True, slots=True)
class Suffixes:
    """Both parts of the list: `registry` (listed by nobody) and `shared` (not listed as a whole by an order or a locked category)."""

    registry: SuffixSet
    shared: SuffixSet

    def is_public(self, key: str) -> bool:
        """Whether a registry gives out names below this one; a single label always counts."""
        return self.registry.has(key) or key.find(".") == len(key) - 1

    def is_shared(self, key: str) -> bool:
        """Whether somebody gives out names below this one to other people."""
        return self.shared.has(key)


def parent_of(key: str) -> str:
    """The key of the name above; the empty key above a single label."""
    return key[: key.rfind(".", 0, -1) + 1]


@cache
def suffixes() -> Suffixes:
    """The list that is installed."""
    return read_suffixes(Path(publicsuffixlist.PSLFILE).read_text(encoding="utf-8").splitlines())


def read_suffixes(lines: Iterable[str]) -> Suffixes:
    """Read the file format of publicsuffix.org: rules, `*.` rules, `!` exceptions, two parts between comment marks."""
    parts: tuple[list[str], list[str]] = ([], [])
    private = False
    for line in lines:
        rule = line.split(" ")[0].strip().lower()
        if _BEGIN_PRIVATE in line:
            private = True
        if rule and not rule.startswith("//"):
            parts[private].append(rule)
    return Suffixes(_read_part(parts[0]), _read_part(parts[1]))


def _read_part(rules: list[str]) -> SuffixSet:
    plain: set[str] = set()
    wildcards: set[str] = set()
    exceptions: set[str] = set()
    for rule in rules:
        host = normalize_host(rule.lstrip("!*."))
        if not isinstance(host, Host):
            continue
        if rule.startswith("!"):
            exceptions.add(host.key)
        else:
            plain.add(host.key)
            if rule.startswith("*."):
                wildcards.add(host.key)
    return SuffixSet(frozenset(plain), frozenset(wildcards), frozenset(exceptions))
