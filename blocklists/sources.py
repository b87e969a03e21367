"""Where names come from: lists of the settings, policy zones, shipped seed lists, services and good names of the catalogue.

`blocklists` may import this module. A `Source` says what it is and how it may be read; `copies` keeps what was fetched, `gather` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from blocklists.catalogue import GOOD, Json
from blocklists.compile import Kind, SourceRow
from blocklists.guard import ALLOW, CATALOGUE, RPZ, Origin, listed
from blocklists.normalize import key_of_name
from blocklists.parsers import Match, Options
from blocklists.settings import BlocklistSettings, ListSettings
from blocklists.zonesettings import RpzSettings
from gateway.errors import Mistake, SettingsError
from gateway.yamlfile import read

CLOSED: Final = frozenset({"order", "dist", "help"})
"""Categories that no list may fill."""

_MATCHES: Final = {"both": Match.BOTH, "exact": Match.EXACT, "below": Match.BELOW}


@dataclass(frozen=True, slots=True)
class Source:
    """One source of entries. `path` is a file of the operator or of ours, `url` a subscription, `inline` what the catalogue holds."""

    id: str
    kind: Kind
    category: str | None = None
    action: Literal["block", "allow"] | None = None
    level: Literal["province", "school", "parent"] = "province"
    title: str = ""
    publisher: str = ""
    licence: str = ""
    format: str = "auto"
    path: Path | None = None
    url: str | None = None
    is_transferred: bool = False
    """Whether `path` is the copy of a zone that is taken from a primary."""
    refresh: float = 86_400.0
    options: Options = field(default_factory=Options)
    rpz: Mapping[str, Any] | None = None  # Any: text and a list of texts
    inline: Mapping[Match, tuple[str, ...]] = field(default_factory=dict)

    def row(self, category: str | None, suffix: str = "") -> SourceRow:
        """The row of this source, or of a part of it, in the index."""
        return SourceRow(
            self.id + suffix, self.kind, category, self.action, self.level, self.title, self.publisher, self.licence, self.rpz
        )  # fmt: skip


def origin_of(source: Source, category: str | None, catalogue: Json) -> Origin:
    """What the guard lets a source (or its part of one category) name."""
    if source.kind == "rpz":
        return RPZ
    if source.kind == "good":
        return ALLOW
    if source.kind == "catalogue":
        return CATALOGUE
    return listed(tier_of(category, catalogue), source.action)


def tier_of(category: str | None, catalogue: Json) -> Literal["L", "H", "D", "G"] | None:
    """The tier of a category; None without one."""
    return next((row["tier"] for row in catalogue["categories"] if row["code"] == category), None)


def from_settings(settings: BlocklistSettings, catalogue: Json) -> list[Source]:
    """The sources a configuration names: lists first, then policy zones in their order of precedence."""
    fillable = {row["code"]: row["tier"] != "G" and row["code"] not in CLOSED and not row["order_only"] for row in catalogue["categories"]}
    return [
        *(_from_list(item, catalogue, fillable) for item in settings.lists),
        *(_from_zone(item) for item in settings.rpz),
    ]


def check_fill(item: ListSettings, catalogue: Json) -> None:
    """Refuse a list that may not fill its category. Raises SettingsError; `lachan check` finds the same earlier and with its line."""
    tier = tier_of(item.category, catalogue)
    if item.category is not None and (item.category in CLOSED or tier is None):
        raise SettingsError([Mistake(f"lists.{item.id}.category", f"'{item.category}' is not filled by lists")])
    if tier == "G" and item.url is not None:
        raise SettingsError([Mistake(f"lists.{item.id}.category", f"'{item.category}' is never filled from a url")])


def _from_list(item: ListSettings, catalogue: Json, fillable: dict[str, bool]) -> Source:
    check_fill(item, catalogue)
    good = tier_of(item.category, catalogue) == "G"
    is_action = good or item.action is not None
    answers: Literal["refuse", "names", "answers"] = "refuse"
    if item.allow_rewrites:
        answers = "answers" if item.action == "block" else "names"
    return Source(
        id=item.id,
        kind="action" if is_action else "category",
        category=item.category,
        action="allow" if good else item.action,
        level=item.level,
        title=item.title or item.id,
        format=item.format,
        path=item.path,
        url=item.url,
        refresh=item.refresh,
        options=Options(rewrites=answers, categories={} if is_action else fillable, clients=item.url is None),
    )


def _from_zone(item: RpzSettings) -> Source:
    return Source(
        id=f"rpz:{item.name}",
        kind="rpz",
        title=item.name,
        format="rpz",
        path=item.file,
        is_transferred=item.primary is not None,
        options=Options(zone=item.name),
        rpz={
            "zone": item.name,
            "policy": item.policy,
            "groups": list(item.groups),
            **({"target": item.target} if item.policy == "cname" else {}),
        },
    )


def shipped_seeds() -> Path:
    """The folder of the seed lists that come with the product."""
    return Path(str(resources.files("blocklists") / "seed"))


def from_seeds(folder: Path | None = None) -> list[Source]:
    """The shipped starter lists: `<name>.txt` with its description `<name>.yaml` beside it, in folders by licence."""
    root = folder or shipped_seeds()
    found: list[Source] = []
    for description in sorted(root.rglob("*.yaml")):
        names = description.with_suffix(".txt")
        if not names.is_file():
            continue
        value = read(description).value
        if not isinstance(value, dict) or not value.get("category"):
            raise SettingsError([Mistake(description.name, "describes no seed list: category is missing")])
        title = value.get("title")
        stem = "-".join(description.relative_to(root).with_suffix("").parts)
        found.append(
            Source(
                id=f"seed:{stem}",
                kind="category",
                category=str(value["category"]),
                title=str(title.get("vi") if isinstance(title, dict) else title or stem),
                publisher=", ".join(dict.fromkeys(str(row["publisher"]) for row in value.get("sources") or () if row.get("publisher"))),
                licence=str(value.get("licence") or ""),
                format="domains",
                path=names,
            )
        )
    return found


def from_catalogue(catalogue: Json) -> list[Source]:
    """The services' hosts as entries of their categories, and the good names, one source per category."""
    services: dict[str, dict[Match, set[str]]] = {}
    for service in catalogue["services"]:
        for code in service["categories"]:
            for host in service["hosts"]:
                services.setdefault(code, {}).setdefault(_MATCHES[host["match"]], set()).add(key_of_name(host["name"]))
    good: dict[str, dict[Match, set[str]]] = {code: {} for code in GOOD}
    for row in catalogue["protected"]:
        if row["good"]:
            good[row["good"]].setdefault(_MATCHES[row["match"]], set()).add(key_of_name(row["name"]))
    names = {row["code"]: row["vi"] for row in catalogue["categories"]}
    return [
        *(_inline(f"services:{code}", "catalogue", code, names[code], services[code]) for code in sorted(services)),
        *(_inline(f"good:{code}", "good", code, names[code], good[code]) for code in sorted(good) if good[code]),
    ]


def _inline(id_: str, kind: Kind, code: str, title: str, entries: Mapping[Match, set[str]]) -> Source:
    inline = {match: tuple(sorted(keys)) for match, keys in sorted(entries.items())}
    return Source(id_, kind, code, title=title, format="catalogue", inline=inline)
