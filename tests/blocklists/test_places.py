"""Places as dated data: the provinces before and after 1 July 2025, codes that changed their meaning, and the places of the seeds."""

from __future__ import annotations

from datetime import date

import pytest

from blocklists.places import MERGED_ON, gazetteer

BEFORE, AFTER = date(2024, 8, 1), date(2026, 8, 1)


def test_sixty_three_provinces_became_thirty_four() -> None:
    """The table holds both maps, and nothing lies in between."""
    table = gazetteer()
    assert (len(table.provinces(BEFORE)), len(table.provinces(AFTER))) == (63, 34)
    assert len(table.provinces(date(2025, 6, 30))) == 63
    assert len(table.provinces(MERGED_ON)) == 34


@pytest.mark.parametrize(
    ("code", "then", "now"),
    [
        ("15", "Yên Bái", "Lào Cai"),
        ("24", "Bắc Giang", "Bắc Ninh"),
        ("44", "Quảng Bình", "Quảng Trị"),
        ("52", "Bình Định", "Gia Lai"),
        ("80", "Long An", "Tây Ninh"),
        ("82", "Tiền Giang", "Đồng Tháp"),
        ("91", "Kiên Giang", "An Giang"),
    ],
)
def test_code_without_a_date_is_ambiguous(code: str, then: str, now: str) -> None:
    """The same two digits are two provinces; only a day tells which."""
    table = gazetteer()
    assert [place.name for place in table.meanings(code)] == [then, now]
    assert (table.say(code, BEFORE), table.say(code, AFTER)) == (then, now)


@pytest.mark.parametrize(
    ("code", "then", "now"),
    [
        ("02.030", "huyện Vị Xuyên", ["Tuyên Quang"]),
        ("06.058", "thành phố Bắc Kạn", ["Thái Nguyên"]),
        ("12", "Lai Châu", ["Lai Châu"]),
        ("44", "Quảng Bình", ["Quảng Trị"]),
        ("66", "Đắk Lắk", ["Đắk Lắk"]),
        ("54", "Phú Yên", ["Đắk Lắk"]),
        ("82", "Tiền Giang", ["Tây Ninh", "Đồng Tháp"]),
    ],
)
def test_places_of_the_seeds_have_their_successors(code: str, then: str, now: list[str]) -> None:
    """What a document of before names is found today, divided where the map divided it."""
    table = gazetteer()
    place = table.at(code, BEFORE)
    assert place is not None
    assert place.name == then
    found = table.successors(place, AFTER)
    assert [one.place.name for one in found] == now
    assert all(one.is_part for one in found) is (len(found) > 1)


def test_a_report_about_last_year_names_the_districts_of_then() -> None:
    """Made today for a day before the change, it names what was there; a commune of now is told by its province."""
    table = gazetteer()
    assert table.say("02.030", BEFORE) == "huyện Vị Xuyên"
    assert table.at("02.030", AFTER) is None
    assert table.say("08.00706", AFTER) == "08.00706 (Tuyên Quang)"


def test_every_province_of_before_leads_somewhere() -> None:
    """No place of before is lost."""
    table = gazetteer()
    assert all(table.successors(place, AFTER) for place in table.provinces(BEFORE))
