"""Which format a list file has, and how one file becomes a harvest. `blocklists` may import this module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from blocklists.normalize import normalize_host, plain_key
from blocklists.parsers import Harvest, Options, Parser, adblock, csv, domains, hosts, rpz
from blocklists.parsers.lines import read_lines
from blocklists.parsers.names import is_comment
from blocklists.rejections import Rejection

FORMATS: Final[Mapping[str, Parser]] = MappingProxyType(
    {
        "hosts": hosts.parse,
        "domains": domains.parse,
        "wildcard": domains.parse,
        "adblock": adblock.parse,
        "rpz": rpz.parse,
        "csv": csv.parse,
    }
)
"""The formats a source may name; `auto` means `detect`."""

SAMPLE: Final = 400
"""Lines with something in them that are looked at."""

_SAMPLE_LINES: Final = 4000
_ADBLOCK: Final = re.compile(r"(?:@@)?\|{1,2}\S|\[Adblock|@@|\S*#@?[?$]?#|\|\|", re.I)
_HOSTS: Final = re.compile(r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f:]*(?:%\w+)?)\s+[^\s#]", re.I)
_ZONE: Final = re.compile(
    r"\$(?:TTL|ORIGIN)\s|\S*\s+(?:\d+\s+)?(?:IN\s+)?(?:\d+\s+)?(?:(?:SOA|CNAME)\s+\S|A\s+\d+\.|AAAA\s+[0-9a-f]*:|TXT\s+\")", re.I
)


def parse_file(path: Path, format_: str, options: Options) -> tuple[str, Harvest]:
    """Parse a list file. Returns the format that was used (never `auto`) and what was found; raises OSError when it cannot be read."""
    used = detect_file(path) if format_ == "auto" else format_
    harvest = Harvest()
    FORMATS[used](read_lines(path, harvest), harvest, options)
    return used, harvest


def detect_file(path: Path) -> str:
    """The format of a file by its first lines."""
    return detect(list(islice(read_lines(path, Harvest()), _SAMPLE_LINES)))


def detect(lines: list[str]) -> str:
    """The format that most lines have; `domains` when nothing speaks for another one."""
    votes: Counter[str] = Counter()
    for line in lines:
        text = line.strip()
        if text.upper().startswith(("$TTL", "$ORIGIN")):
            return "rpz"
        if text.startswith("[Adblock"):
            return "adblock"
        if not text or (is_comment(text) and not _ADBLOCK.match(text)):
            continue
        votes[_look_of(text)] += 1
        if votes.total() >= SAMPLE:
            break
    votes.pop("", None)
    return max(votes, key=lambda name: (votes[name], name)) if votes else "domains"


def _look_of(text: str) -> str:
    if plain_key(text) is not None:
        return "domains"
    if _ADBLOCK.match(text):
        return "adblock"
    if _HOSTS.match(text):
        return "hosts"
    if _ZONE.match(text):
        return "rpz"
    separator = csv.separator_of(text)
    if separator in text:
        first = text.split(separator)[0].strip(' "')
        return "csv" if not isinstance(normalize_host(first), Rejection) or "." not in first else ""
    return "domains" if " " not in text else ""
