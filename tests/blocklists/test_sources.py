"""Where names come from: settings, shipped seeds, the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists import catalogue
from blocklists.guard import ALLOW, CATALOGUE, RPZ
from blocklists.settings import BlocklistSettings, ListSettings
from blocklists.sources import check_fill, from_catalogue, from_seeds, from_settings, origin_of
from blocklists.zonesettings import RpzSettings
from gateway.errors import SettingsError

SHIPPED = catalogue.load()


def test_settings_become_sources_in_their_order(tmp_path: Path) -> None:
    """Lists first, then zones in their order of precedence; each knows what it may do."""
    settings = BlocklistSettings(
        tmp_path,
        lists=(
            ListSettings("bet", category="gamb", path=tmp_path / "bet", title="Cờ bạc"),
            ListSettings("own", action="block", level="school", url="https://lists.example/own", refresh=60.0, allow_rewrites=True),
            ListSettings("good", category="edu", path=tmp_path / "good"),
        ),
        rpz=(RpzSettings("z.example", tmp_path / "zone", "nodata", ("school",)),),
    )
    bet, own, good, zone = from_settings(settings, SHIPPED)
    assert (bet.kind, bet.category, bet.title, bet.options.rewrites) == ("category", "gamb", "Cờ bạc", "refuse")
    assert bet.options.categories["porn"] and not bet.options.categories["order"] and not bet.options.categories["edu"]
    assert (own.kind, own.action, own.level, own.options.rewrites) == ("action", "block", "school", "answers")
    assert (good.kind, good.action, good.category) == ("action", "allow", "edu")
    assert (zone.kind, zone.format, zone.rpz) == ("rpz", "rpz", {"zone": "z.example", "policy": "nodata", "groups": ["school"]})
    assert origin_of(bet, "gamb", SHIPPED).strict and not origin_of(bet, "social", SHIPPED).strict
    assert not origin_of(own, None, SHIPPED).strict and origin_of(good, "edu", SHIPPED) is ALLOW and origin_of(zone, None, SHIPPED) is RPZ


@pytest.mark.parametrize("category", ["order", "dist", "help", "nonsense"])
def test_list_may_not_fill_a_closed_category(category: str) -> None:
    """Orders fill `order` and `dist`, we fill `help`; a list never does, whatever the file check let through."""
    with pytest.raises(SettingsError):
        check_fill(ListSettings("x", category=category), SHIPPED)


def test_list_from_a_url_may_not_be_good() -> None:
    """Nobody else's file opens names for children."""
    with pytest.raises(SettingsError):
        check_fill(ListSettings("x", category="edu", url="https://lists.example/"), SHIPPED)
    check_fill(ListSettings("x", category="edu", path=Path("own.txt")), SHIPPED)


def test_shipped_seeds_name_known_categories_and_none_that_ships_no_names() -> None:
    """Each seed list belongs to a category that lists may fill and says whose names it has; the four that ship no names have none."""
    seeds = from_seeds()
    codes = {row["code"]: row for row in SHIPPED["categories"]}
    assert seeds
    for seed in seeds:
        assert seed.category in codes and not codes[seed.category]["order_only"] and codes[seed.category]["tier"] != "G"
        assert seed.path is not None and seed.publisher and seed.licence, seed.id
    assert not {seed.category for seed in seeds} & {"csam", "terror", "self", "groom"}


def test_seed_without_names_or_category(tmp_path: Path) -> None:
    """A description without its list is only a description; one without a category is a mistake."""
    (tmp_path / "coverage.yaml").write_text("format: 1\nnote: x\n")
    assert from_seeds(tmp_path) == []
    (tmp_path / "coverage.txt").write_text("a.example\n")
    with pytest.raises(SettingsError):
        from_seeds(tmp_path)


def test_catalogue_gives_services_and_good_names_as_sources() -> None:
    """The hosts of services feed their categories; good names are the catalogue's own."""
    sources = {source.id: source for source in from_catalogue(SHIPPED)}
    social = sources["services:social"]
    assert (social.kind, social.category) == ("catalogue", "social") and origin_of(social, "social", SHIPPED) is CATALOGUE
    assert any("com.facebook." in keys for keys in social.inline.values())
    assert {sources[f"good:{code}"].kind for code in ("edu", "health", "gov")} == {"good"}
    assert "good:help" not in sources
