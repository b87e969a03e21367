"""A small catalogue with the real matrix, for tests of the policy: made-up names, the categories and cells that the product ships."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

BANDS = ("MN", "TH", "CS", "PT", "NL", "KH")

_TIERS = {
    "L": "csam order scam malware terror",
    "H": "porn gamb drug weap self groom gore viol bully dist dating vape alco pirate loan crypto bypass encdns",
    "D": "occult game game18 game16 game12 game00 social short live video chat aichat shop ads cheat search newdom",
    "G": "edu health gov help",
}

# One row per line: codes, then the cells of MN TH CS PT NL KH.
# X locked, x blocked, P until the parent allows, S by schedule, F safe, o open.
_MATRIX = """
csam scam malware terror          X X X X X X
order                             X X X X o X
porn gamb drug weap self groom gore X X X X o X
viol bully dating vape alco pirate loan crypto X X X x o X
dist                              X X X X o X
bypass encdns                     X X X X o X
occult                            x x x o o x
game00                            S S S S o x
game12                            X x S S o x
game16                            X X x P o x
game18                            X X X x o X
game                              x x S S o x
social                            X x P P o x
short                             X x P S o x
live                              X x x S o x
video                             F F F F o F
chat                              X P P o o x
aichat                            X x P o o x
shop                              x x o o o x
ads cheat                         x x x x o x
search                            x x x o o x
newdom                            x x x o o x
edu health gov help               o o o o o o
"""
_CELLS = {
    "X": {"default": "block", "locked": True, "mark": "✕"},
    "x": {"default": "block", "locked": False, "mark": "×"},
    "P": {"default": "block", "locked": False, "mark": "P"},
    "S": {"default": "allow", "locked": False, "mark": "S"},
    "F": {"default": "safe", "locked": False, "mark": "F"},
    "o": {"default": "allow", "locked": False, "mark": "✓"},
}

SERVICES: list[Json] = [
    {"id": "clips", "categories": ["short"], "hosts": [("clips.example", "both"), ("cdn.clips.example", "both")]},
    {"id": "tube", "categories": ["video"], "hosts": [("tube.example", "both")]},
    {"id": "talk", "categories": ["chat", "social"], "hosts": [("talk.example", "both"), ("shared.example", "both")]},
    {"id": "songs", "categories": ["video"], "hosts": [("songs.example", "both"), ("songs.shared.example", "both")]},
    {"id": "blocks", "categories": ["game12"], "hosts": [("blocks.example", "exact"), ("play.blocks.example", "both")]},
]

SAFE_SEARCH: list[Json] = [
    {"engine": "finder", "names": ["finder.example", "www.finder.example"], "target": "safe.finder.example", "addresses": ["192.0.2.10"]},
    {"engine": "tube", "names": ["tube.example", "www.tube.example"], "target": "strict.tube.example", "youtube": "strict"},
    {"engine": "tube", "names": ["tube.example", "www.tube.example"], "target": "moderate.tube.example", "youtube": "moderate"},
]


def cells() -> dict[str, dict[str, Json]]:
    """The matrix: code → band → cell."""
    matrix: dict[str, dict[str, Json]] = {}
    for line in _MATRIX.strip().splitlines():
        words = line.split()
        codes, marks = words[:-6], words[-6:]
        for code in codes:
            matrix[code] = {band: dict(_CELLS[mark]) for band, mark in zip(BANDS, marks, strict=True)}
    return matrix


def tiers() -> dict[str, str]:
    """The tier of every category."""
    return {code: tier for tier, codes in _TIERS.items() for code in codes.split()}


def make_catalogue(**changes: Any) -> Json:
    """A catalogue file; `changes` replace whole members."""
    catalogue: Json = {
        "format": 1,
        "categories": [
            {
                "code": code,
                "vi": f"nhóm {code}",
                "en": f"group {code}",
                "tier": tier,
                "order_only": code in ("order", "dist"),
                "sensitive": code in ("porn", "csam", "self", "groom", "drug"),
            }
            for code, tier in tiers().items()
        ],
        "matrix": {**cells(), "uncategorised": {band: "allowlist" if band == "MN" else "allow" for band in BANDS}},
        "windows": {},
        "caps": {},
        "services": [
            {
                "id": row["id"],
                "name_vi": f"Dịch vụ {row['id']}",
                "name_en": row["id"],
                "group": "test",
                "categories": row["categories"],
                "hosts": [{"name": name, "match": match} for name, match in row["hosts"]],
                "verified": True,
            }
            for row in SERVICES
        ],
        "safesearch": [{"addresses": [], "youtube": None, **row} for row in SAFE_SEARCH],
        "canaries": ["canary.example"],
        "protected": [],
        "platforms": [],
        "help": ["help.example"],
        "infrastructure": [{"name": "time.example", "match": "exact"}, {"name": "status.example", "match": "both"}],
        "extras": {
            "band_defaults": {
                "safe_search": {"MN": True, "TH": True, "CS": True, "PT": True, "NL": False, "KH": True},
                "youtube": {"MN": "strict", "TH": "strict", "CS": "strict", "PT": "moderate", "NL": "off", "KH": "strict"},
                "canaries": {"MN": True, "TH": True, "CS": True, "PT": True, "NL": False, "KH": True},
            },
            "canary_labels": ["_probe"],
        },
    }
    catalogue.update(changes)
    return catalogue
