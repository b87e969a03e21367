"""The catalogue as people meet it follows the generation in force."""

from __future__ import annotations

from pathlib import Path

from admin.catalogue import Shelves, read_shipped
from gateway.policy.model import Band
from gateway.release import commit_generation, write_file
from tests.support.generation import START, category, make_generation
from tests.support.shippedcatalogue import load

SHELF = read_shipped()


def test_shipped_catalogue_serves_before_there_is_a_generation(tmp_path: Path) -> None:
    """Pages work on a machine whose lists are still being compiled."""
    shelf = Shelves(tmp_path).current()
    assert len(shelf.catalogue.codes) > 40
    assert len(shelf.catalogue.services) > 100


def test_catalogue_follows_the_generation_in_force(tmp_path: Path) -> None:
    """A new catalogue is shown without a restart; counts of names come from the lists in force."""
    make_generation(tmp_path, lists={"bet": category("gamb", "a.example", "b.example")}, catalogue=load())
    shelves = Shelves(tmp_path)
    assert shelves.current().entries["gamb"] == 2
    assert shelves.current() is shelves.current()
    document = load()
    document["categories"][0]["vi"] = "tên mới"
    commit_generation(tmp_path, {"catalogue": write_file(tmp_path, document)}, START + 60)
    code = document["categories"][0]["code"]
    assert shelves.current().name_of(code, "vi") == "tên mới"


def test_rows_show_what_may_be_changed_first_and_orders_never() -> None:
    """Open questions first, locks after them; nothing about orders or good lists."""
    rows = SHELF.rows(Band.TH, Band.TH)
    locks = [row.cell.locked for row in rows]
    assert locks == sorted(locks)
    assert not {"order", "dist", "edu", "help"} & {row.code for row in rows}
    assert {row.code for row in rows if row.cell.locked} >= {"gamb", "porn", "scam", "csam"}


def test_guests_meet_the_stricter_of_two_columns() -> None:
    """Where preschool children are, a guest gets what they get."""
    assert SHELF.cell("social", Band.KH, Band.MN).locked
    assert not SHELF.cell("social", Band.KH, Band.PT).locked


def test_names_are_in_the_readers_language() -> None:
    """Categories and services have a name in both languages; an unknown code is shown as it is."""
    assert SHELF.name_of("game", "vi") == "trò chơi trực tuyến"
    assert SHELF.name_of("game", "en") == "online games"
    assert SHELF.name_of("zalo", "en") == "Zalo"
    assert SHELF.name_of("gone", "vi") == "gone"


def test_a_name_belongs_to_the_service_with_its_longest_name() -> None:
    """One name of an app with many is a part of it; a site of its own is nobody's part."""
    found = SHELF.service_of("www.tiktok.com")
    assert found is not None and found.id == "tiktok"
    assert SHELF.service_of("nottiktok.com") is None and SHELF.service_of("com") is None


def test_leisure_is_what_may_be_delegated() -> None:
    """Rest closes games and videos; it cannot touch learning."""
    assert {"game", "video", "social", "chat"} <= set(SHELF.leisure)
    assert not {"edu", "gov", "health", "help", "gamb"} & set(SHELF.leisure)


def test_partly_reached_groups_say_so(tmp_path: Path) -> None:
    """What names reach only partly is told as such."""
    make_generation(tmp_path, catalogue=load())
    rows = {row.code: row.partly for row in Shelves(tmp_path).current().rows(Band.TH, Band.TH)}
    assert rows["bully"]
    assert not rows["porn"]
