"""A third language is one catalogue file: with it, every page of a parent and of a child speaks it, dates and all, and it can be chosen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.pofile import write_po

from admin.app import create_app
from admin.dependencies import Services
from admin.officewords import OfficeWords
from admin.pages.assets import Assets
from admin.pages.catalogues import extract, messages
from admin.pages.render import Pages
from admin.pages.words import LOCALES, load_words
from blocklists.normalize import normalize_host
from blocklists.rejections import Reason, Rejection
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.model import Actor, Capacity, Case, Kind, State, TransitionRefused
from blocklists.takedown.officefiles import read_file
from blocklists.takedown.workflow import dates_are_lawful, has_no_open_item
from tests.admin.test_app import routes_of
from tests.support.family import make_family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

#: Pages that a parent's session does not have, or that wait for something first.
OTHERS = ("/api/", "/setup", "/office", "/join", "/backup", "/static", "/manifest", "/answer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's catalogues and one file more: every message in brackets, as a translator would have left nothing out."""
    place = tmp_path_factory.mktemp("locale")
    for path in LOCALES.glob("*.po"):
        shutil.copy(path, place)
    catalogue = Catalog(locale="fr", charset="utf-8")
    for _, message in messages(extract("fr")):
        said = (f"⟦{message.id[1]}⟧",) * catalogue.num_plurals if message.pluralizable else f"⟦{message.id}⟧"
        catalogue.add(message.id, said, context=message.context)
    with (place / "fr.po").open("wb") as file:
        write_po(file, catalogue)
    return place


#: Names that are the same in every language, and what people of the sample wrote.
PROPER = re.compile(
    r"Lá Chắn|Nhà mình|Máy của|Người lớn|Tiếng Việt|English|Français|openapi\.json|sudo systemctl disable [a-z. -]+|http\S*|"
    r"sudo lachan reset-password|"
    r"Android|iPhone|iPad|MikroTik|OpenWrt|Windows|Chrome|Edge|Cốc Cốc|Viettel|VNPT|FPT|TP-?\s?Link|Tenda|Mercusys|\b(?:Bi|Na|me)\b"
)
#: Three words in a row that no catalogue gave.
UNKNOWN = re.compile(r"(?:[^\W\d_]+[ ,.:;]+){2,}[^\W\d_]+")


def left_over(text: str) -> str:
    """What stands outside every bracket."""
    while (shorter := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = shorter
    return " ".join(text.split())


def sentences() -> Iterator[str]:
    """What the other two languages say, in at least three words and without holes."""
    vietnamese = load_words()["vi"]
    for (_, message), _found in messages(extract()):
        for said in (message, vietnamese.gettext(message)):
            if said.count(" ") >= 2 and "{" not in said:
                yield said


async def test_every_page_speaks_a_third_language(services: Services, folder: Path) -> None:
    """Chosen on the page, kept in the browser; no sentence of another language on any page."""
    third = replace(services, pages=Pages(Assets(), load_words(folder)))
    family = await make_family(third)
    app = create_app(third)
    browser = Visitor(app, language="vi")
    await browser.get("/sign-in")
    await browser.submit("/language", button=("language", "fr"))
    await browser.sign_in("me", PASSWORD)
    assert '<html lang="fr"' in browser.response.text and "Français" in browser.text
    other = list(sentences())
    child = {"profile": family.bi.id, "device": family.bi_phone, "topic": "scam"}
    seen = 0
    for route in routes_of(app):
        path = re.sub(r"{(\w+)}", lambda found: child.get(found[1], "-"), route.path)
        if "GET" not in (route.methods or ()) or path.startswith(OTHERS) or "-" in path.split("/"):
            continue
        response = await browser.get(path)
        if response.status_code != 200 or "text/html" not in response.headers["content-type"]:
            continue
        seen += 1
        assert "⟦" in browser.text and response.headers["content-language"] == "fr", path
        rest = left_over(browser.text).replace(family.guests.label, "")  # what people wrote stays as it is
        assert [said for said in other if said in rest] == [], path
        if path.endswith(("/apps", "/place")):  # proper names of apps and provinces
            continue
        assert [said for said in UNKNOWN.findall(PROPER.sub(" · ", rest)) if len(set(said.split())) > 2] == [], path
    await browser.close()
    assert seen >= 25


async def test_dates_follow_the_language(services: Services, folder: Path) -> None:
    """Days and months are written as that language writes them, from its locale alone."""
    third = replace(services, pages=Pages(Assets(), load_words(folder)))
    await make_family(third)
    browser = Visitor(create_app(third), language="fr")
    await browser.sign_in("me", PASSWORD)
    await browser.get("/digest")
    assert re.search(r"\d{1,2} (octobre|oct\.)|\d{2}/\d{2}", browser.text)
    await browser.close()


def test_the_list_offices_rooms_speak_it_too(folder: Path) -> None:
    """Why a row is not taken, with the place of the odd character; what a step refuses; what is wrong with a file."""
    say = OfficeWords(load_words(folder)["fr"], str)
    assert {left_over(say.reason(one.value)) for one in Reason} == {""}
    odd = normalize_host("ti\x01n.example")
    assert isinstance(odd, Rejection) and odd.position >= 0
    assert left_over(say.said(odd.vi, odd.en)) == "( , U+0001)"
    refused = TransitionRefused("same_person", "Cần một người thứ hai xác nhận.", "A second person must confirm.")
    assert left_over(say.refusal(refused)) == ""
    counted = TransitionRefused("note_long", "Ghi chú tối đa {n} chữ.", "A note has at most {n} letters.", n=2000)
    assert say.refusal(counted) == "⟦A note has at most 2000 letters.⟧"
    with pytest.raises(UnreadableFile) as broken:
        list(read_file("letter.pdf", b"%PDF-1.7 broken"))
    assert left_over(say.said(broken.value.vi, broken.value.en)) == ""
    for language, sentence in (("vi", odd.vi), ("en", odd.en)):
        assert OfficeWords(load_words(folder)[language], str).said(odd.vi, odd.en) == sentence


async def test_every_refusal_that_names_a_number_is_in_the_catalogue(folder: Path) -> None:
    """Rows without a decision, and the three longest terms, as the transition table itself refuses."""
    say, now = OfficeWords(load_words(folder)["fr"], str), datetime(2026, 10, 12, tzinfo=UTC)
    case = Case(Kind.ORDER, State.PARSED, valid_until=now + timedelta(days=200), has_law=True, undecided_items=7)
    said = set()
    for condition, changes in (
        (has_no_open_item, {}),
        (dates_are_lawful, {"category": "dist", "has_number": True}),
        (dates_are_lawful, {"is_state_host": True, "has_number": True}),
        (dates_are_lawful, {"has_number": False}),
    ):
        with pytest.raises(TransitionRefused) as refused:
            condition(replace(case, **changes), Actor("a", Capacity.VERIFIER, "office"), now)
        assert "{" not in refused.value.vi + refused.value.en
        assert left_over(say.refusal(refused.value)) == ""
        said.update(re.findall(r"\d+", say.refusal(refused.value)))
    assert said == {"7", "90", "45"}
