"""Every page that a child can meet: each band, each cause, both languages. Small, without script, kind, with help and a way out.

`test_child.py` walks the roads; this file looks at all of them for what holds everywhere.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product

import pytest
from starlette.types import ASGIApp

from admin.app import create_page_app
from admin.audit import Act
from admin.dependencies import Services
from admin.hours import Hours, set_hours
from admin.pages.assets import FOLDER
from admin.profiles import change_profile
from admin.values import Days, HoursEffect
from gateway.policy.model import Band
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.generation import category, make_generation, order, policy, profile, segment
from tests.support.shippedcatalogue import load
from tests.support.visitor import Visitor

BANDS = (Band.MN, Band.TH, Band.CS, Band.PT, Band.NL)
SMALL = (Band.MN, Band.TH)
LANGUAGES = ("vi", "en")
#: The categories that are never printed to the two youngest (domain.md §5.1), and words that would print them.
SENSITIVE = ("porn", "csam", "self", "groom", "drug")
NAMING = r"khiêu dâm|đồi tr|xâm hại|tự hại|tự tử|dụ dỗ|ma t[uú]y|chất cấm|porn|abuse|self-harm|suicide|groom|drug|narcotic"
LISTED = (*SENSITIVE, "scam", "malware", "gamb", "game", "social")
BLAME = r"vi phạm|bị báo|bị phạt vì|báo cho|violat|reported|punish"
EXIT = "https://vi.wikipedia.org/wiki/Th%E1%BB%9Di_ti%E1%BA%BFt"
#: The first line of each band (domain.md §5.2), and of each cause that says more than "blocked".
PLAIN = {
    (Band.MN, "vi"): "Trang này đang ngủ",
    (Band.TH, "vi"): "Trang này chưa hợp với tuổi của con",
    (Band.CS, "vi"): "Trang này được chặn để bảo vệ em",
    (Band.PT, "vi"): "Trang này bị chặn theo thiết lập của nhà trường hoặc gia đình",
    (Band.NL, "vi"): "Trang này đang bị chặn",
    (Band.MN, "en"): "This page is sleeping",
    (Band.TH, "en"): "This page is not for your age yet",
    (Band.CS, "en"): "This page is blocked to keep you safe",
    (Band.PT, "en"): "Blocked by the settings of your school or family",
    (Band.NL, "en"): "This site is blocked",
}
CAUSES = {
    ("scam", "vi"): "có dấu hiệu lừa đảo",
    ("malware", "vi"): "có dấu hiệu lừa đảo",
    ("gamb", "vi"): "Trang cá cược luôn được lập ra để người chơi thua",
    ("scam", "en"): "This looks like a scam",
    ("malware", "en"): "This looks like a scam",
    ("gamb", "en"): "Betting sites are built so that players lose",
}

TOPICS = ("scam", "grooming", "betting", "help")
PATHS = ("/why", "/ask", "/ask?host=social.example", "/answer", "/help", "/add", "/history")


@pytest.fixture
async def phone(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> AsyncIterator[Visitor]:
    """Bi's own phone, at a gateway whose lists know a site of every cause."""
    make_generation(
        services.settings.state_dir,
        lists={code: category(code, f"{code}.example") for code in LISTED},
        policy=policy(profiles=[profile("KH")], default_profile="p"),
        orders=[segment(order("o1", "ordered.example"))],
        catalogue=load(),
    )
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    app: ASGIApp = create_page_app(services)
    browser = Visitor(app, address="192.168.1.31", origin="http://lachan.internal")
    yield browser
    await browser.close()


async def become(services: Services, family: Family, act: Act, band: Band, rows: Sequence[Hours] = ()) -> None:
    """Bi is of this age now, with these hours."""
    async with services.database.write() as connection:
        await change_profile(connection, act, family.bi, replace(family.bi, band=band))
        await set_hours(connection, act, family.bi.id, rows)
    await services.applier.settle(family.tenant)


def title_of(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert found, page
    return " ".join(found[1].split())


def check(page: Visitor, where: object) -> None:
    """What holds for every page of a child."""
    text, words = page.response.text, page.text
    assert len(page.response.content) + (FOLDER / "child.css").stat().st_size < 20_000, where
    assert not re.search(r"<script|javascript:|\bon\w+=|style=", text), where
    assert not re.search(r"(?:src|srcset|action)=\"?https?:", text), where
    fetched = re.findall(r"<link[^>]+href=\"([^\"]+)\"", text)
    assert fetched and all(one.startswith("/") for one in fetched), (where, fetched)
    # the way out is the first thing on the page, goes elsewhere and does not say from where
    first = re.search(r"<a [^>]*>", text)
    assert first and EXIT in first[0] and "noreferrer" in first[0], where
    assert 'href="tel:111"' in text, where
    assert not re.search(BLAME, words, re.IGNORECASE), where
    assert "Nhà mình" not in words, where


@pytest.mark.parametrize("band", BANDS)
async def test_every_block_of_every_band_is_small_kind_and_leads_to_help(
    phone: Visitor, services: Services, family: Family, act: Act, band: Band
) -> None:
    """Each cause in each language: under 20 KB with its sheet, no script, nothing from elsewhere, a way out first, 111, one lesson."""
    await become(services, family, act, band)
    for code, language in product((*LISTED, "order"), LANGUAGES):
        host = "ordered.example" if code == "order" else f"{code}.example"
        where = (band, code, language)
        status = (await phone.get(f"/x?lang={language}", headers={"Host": host})).status_code
        assert phone.response.headers["content-language"] == language, where
        check(phone, where)
        (lesson,) = [link for link in phone.links if "/lesson/" in link]
        if status == 200:  # this age may open it
            assert band is Band.NL or code in ("game", "social"), where
            continue
        assert status == (451 if code == "order" else 403), where
        title = title_of(phone.response.text)
        if band in SMALL and code in SENSITIVE:
            assert title == PLAIN[band, language], where
            assert not re.search(NAMING, phone.text, re.IGNORECASE), (where, phone.text)
            assert host not in phone.text, where
            assert not any("/ask" in link for link in phone.links), where
        elif (code, language) in CAUSES and band is Band.MN:  # who cannot read yet calls an adult
            assert title == PLAIN[band, language], where
        elif (code, language) in CAUSES:
            assert CAUSES[code, language] in title, where
            assert lesson.rpartition("/")[2] == ("betting" if code == "gamb" else "scam"), where
        elif code in ("game", "social"):
            assert title == PLAIN[band, language], where
        if code in ("csam", "self", "groom"):
            assert host not in phone.text, where


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("effect", HoursEffect)
async def test_what_rests_says_when_it_opens_again_to_every_band(
    phone: Visitor, services: Services, family: Family, act: Act, band: Band, effect: HoursEffect
) -> None:
    """Rest, lessons, no internet: the time stands on the page (half past seven in the evening it is), the tone blames nobody. What an age
    closes at any hour (games to the small, every unknown site to the smallest) is promised to nobody."""
    await become(services, family, act, band, [Hours(Days.EVERY, "19:00", "20:15", effect)])
    for language in LANGUAGES:
        where = (band, effect, language)
        host = "game.example" if effect is HoursEffect.REST else "free.example"
        assert (await phone.get(f"/?lang={language}", headers={"Host": host})).status_code == 403, where
        check(phone, where)
        if band is Band.MN or (effect is HoursEffect.REST and band in SMALL):
            assert "20:15" not in phone.text, where
            continue
        if effect is HoursEffect.STUDY:
            assert ("Đang giờ học" if language == "vi" else "It is class time") in title_of(phone.response.text), where
        else:
            assert "20:15" in phone.text, where


@pytest.mark.parametrize("band", BANDS)
async def test_pages_of_every_band_are_small_and_each_leads_to_one_short_lesson(
    phone: Visitor, services: Services, family: Family, act: Act, gateway: ScriptedGateway, now: datetime, band: Band
) -> None:
    """Why, ask, code, help, home screen, the lessons: the same bounds. A lesson is read in a minute, by a small child in ten seconds."""
    await become(services, family, act, band)
    gateway.block("192.168.1.31", "game.example", "game", now)
    gateway.block("192.168.1.31", "drug.example", "drug", now)
    lengths: dict[str, int] = {}
    for path, language in product((*PATHS, *(f"/lesson/{one}" for one in TOPICS)), LANGUAGES):
        where = (band, path, language)
        joined = "&" if "?" in path else "?"
        status = (await phone.get(f"{path}{joined}lang={language}")).status_code
        assert status == 200 or (status, band) == (403, Band.MN), where  # whom nobody may open it for reads why, not a form
        check(phone, where)
        if band in SMALL:
            assert not re.search(r"drug\.example", phone.text), where
        if path.startswith("/lesson/"):
            told = re.search(r"<section class=\"card\">(.*?)</section>", phone.response.text, re.DOTALL)
            assert told
            words = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", told[1], flags=re.DOTALL).split()
            assert len(words) <= (42 if band in SMALL else 110), (where, len(words))
            lengths[f"{path} {language}"] = len(words)
        else:
            assert len([link for link in phone.links if "/lesson/" in link]) == 1, where
    assert len(lengths) == 2 * len(TOPICS)


async def test_pages_during_a_fault_keep_the_bounds(phone: Visitor, gateway: ScriptedGateway) -> None:
    """The filter cannot say why, or nobody knows the device: the page is small, without script, with help and a way out."""
    gateway.devices.clear()
    for path, host in (("/", "game.example"), ("/why", "lachan.internal"), ("/ask?host=x.example", "lachan.internal")):
        await phone.get(path, headers={"Host": host})
        check(phone, path)
    await gateway.stop()
    for language in LANGUAGES:
        assert (await phone.get(f"/?lang={language}", headers={"Host": "game.example"})).status_code == 503
        check(phone, language)


async def test_every_number_comes_from_the_settings_table(phone: Visitor) -> None:
    """No page has a number that the table does not have (`test_helplines.py`: none stands in a template)."""
    shown: dict[str, list[str]] = {}
    for path in ("/help", "/lesson/help", "/why"):
        await phone.get(path)
        shown[path] = sorted(set(re.findall(r"href=\"tel:(\d+)\"", phone.response.text)))
    assert shown == {"/help": ["111", "113", "115"], "/lesson/help": ["111"], "/why": ["111"]}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", TOPICS)
async def test_each_age_has_a_lesson_of_its_own(
    phone: Visitor, services: Services, family: Family, act: Act, topic: str, language: str
) -> None:
    """Four ages, four texts: the smallest hears one thing to do, the eldest reads what is tried with people of that age."""
    said: dict[Band, str] = {}
    for band in (Band.TH, Band.MN, Band.CS, Band.PT):  # Bi is TH already
        await become(services, family, act, band)
        await phone.get(f"/lesson/{topic}?lang={language}")
        said[band] = " ".join(re.findall(r"<p>(.*?)</p>", phone.response.text, re.DOTALL))
        check(phone, (topic, language, band))
    assert len(set(said.values())) == 4
    assert len(said[Band.MN]) < len(said[Band.CS]) < len(said[Band.PT])
