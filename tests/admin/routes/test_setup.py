"""The wizard, as a parent and as a school walk it: four pages, no script, nobody else gets in."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.routes.setup import Answers
from admin.setup import TOKEN_FILE, ensure_token, read_token, setup_link
from admin.tables import profiles
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, accounts
from gateway.policy.tenant import parse_policy_file
from tests.support.controlsocket import ScriptedGateway
from tests.support.visitor import Visitor

PASSWORD = "mùa thu lá bay"


async def open_wizard(visitor: Visitor, services: Services) -> None:
    await visitor.get(f"/setup/{ensure_token(services.settings.state_dir)}")
    assert visitor.response.status_code == 200


def policy_of(services: Services, gateway: ScriptedGateway) -> dict[str, object]:
    (name,) = [file for file in gateway.policies.values() if file]
    document: dict[str, object] = json.loads((services.settings.state_dir / "files" / name).read_text(encoding="utf-8"))
    parse_policy_file(document, services.shelves.current().catalogue)
    return document


async def test_parent_sets_up_a_home_in_four_pages(visitor: Visitor, services: Services, gateway: ScriptedGateway, now: datetime) -> None:
    """Two children, three devices, a password: the policy is in force and the browser is signed in."""
    gateway.see("192.168.1.20", now, mac="02:00:00:00:00:20")
    gateway.see("192.168.1.31", now, mac="3c:22:fb:00:00:31", name="Galaxy-Tab-cua-Bi")
    gateway.see("192.168.1.32", now)
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    assert "Có những bé nào" in visitor.text or "Who are the children" in visitor.text
    await visitor.submit("/setup", {"label": "Bi", "band": "TH"}, ("add", "1"))
    await visitor.submit("/setup", {"label": ["Bi", "Na"], "band": ["TH", "PT"], "messenger": "1"}, ("go", "1"))
    assert "Galaxy-Tab-cua-Bi 192.168.1.31" in visitor.text  # a name says more than a number
    assert "Không rõ máy nào của ai?" in visitor.text
    await visitor.submit("/setup", {"owner": ["adult", "0", "later"]}, ("go", "1"))
    await visitor.submit("/setup", {"sign_in": "MeLan", "password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    assert str(visitor.response.url.path).startswith("/check/")
    document = policy_of(services, gateway)
    bands = {row["id"]: row["band"] for row in document["profiles"]}  # type: ignore[attr-defined]
    assert sorted(bands.values()) == ["KH", "NL", "PT", "TH"]
    clients = {row["match"][0]: bands[row["profile"]] for row in document["clients"]}  # type: ignore[attr-defined]
    assert clients == {"mac:02:00:00:00:00:20": "NL", "mac:3c:22:fb:00:00:31": "TH"}
    assert bands[str(document["default_profile"])] == "KH"
    primary = next(row for row in document["profiles"] if row["band"] == "TH")  # type: ignore[attr-defined]
    assert primary["services"] == {"zalo": "allow"}
    assert (primary["schedule"][0]["from"], primary["schedule"][0]["to"]) == ("21:00", "06:00")


@pytest.mark.parametrize("talks", [True, False])
async def test_zalo_is_asked_about_before_a_band_blocks_it(
    visitor: Visitor, services: Services, gateway: ScriptedGateway, talks: bool
) -> None:
    """The question stands beside the ages; yes opens Zalo for six to fourteen, no leaves it to the band; the others are as their band."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    assert "Gia đình liên lạc với các con qua Zalo" in visitor.text
    for step in ("1", "2", "3"):
        labels, bands = ["Tí", "Bi", "Su", "Na"][: int(step)], ["MN", "TH", "CS", "PT"][: int(step)]
        await visitor.submit("/setup", {"label": labels, "band": bands}, ("add", "1"))
    asked: dict[str, str | list[str]] = {"label": ["Tí", "Bi", "Su", "Na"], "band": ["MN", "TH", "CS", "PT"]}
    await visitor.submit("/setup", asked | ({"messenger": "1"} if talks else {}), ("go", "1"))
    await visitor.submit("/setup", {}, ("go", "1"))
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    document = policy_of(services, gateway)
    own = {row["band"]: row.get("services", {}) for row in document["profiles"]}  # type: ignore[attr-defined]
    opened = {"zalo": "allow"} if talks else {}
    assert own == {"MN": {}, "TH": opened, "CS": opened, "PT": {}, "NL": {}, "KH": {}}


async def test_the_example_of_the_class_box_typed_as_shown_is_four_classes() -> None:
    """Commas part classes like lines do: pupils of grade ten must not become a kindergarten class."""
    answers = Answers(place="school", classes="3A, 7B, 10 Toán, Lá 1")
    assert [(one.label, one.band.value) for one in answers.children()] == [("3A", "TH"), ("7B", "CS"), ("10 Toán", "PT"), ("Lá 1", "MN")]


async def test_school_sets_up_its_classes(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """Twelve lines and a few networks: bands come from the grades, staff are adults, the rest is strict."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "school"}, ("go", "1"))
    classes = "1A\n2B\n5C\n6A\n7B\n9A\n10 Toán\n11A2\n12C\nLá 1\n3A\n4A"
    await visitor.submit("/setup", {"classes": classes}, ("go", "1"))
    networks = ["10.1.1.0/24", "10.1.2.0/24", *([""] * 10)]
    await visitor.submit("/setup", {"class_network": networks, "staff_network": "10.1.100.0/24"}, ("go", "1"))
    assert "Máy ở 10.1.1.0/24, 10.1.2.0/24, 10.1.100.0/24 không nhận được câu trả lời nào" in visitor.text, "dns.allow_from refuses them"
    assert "allow_from: [192.168.0.0/16, 10.1.1.0/24, 10.1.2.0/24, 10.1.100.0/24]" in visitor.text
    await visitor.submit("/setup", {"unserved_sure": "1"}, ("go", "1"))
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    document = policy_of(services, gateway)
    assert document["kind"] == "school"
    (site,) = document["sites"]  # type: ignore[misc]
    assert site["networks"] == ["10.1.1.0/24", "10.1.100.0/24", "10.1.2.0/24", "192.168.0.0/16"]
    await visitor.get("/")
    assert "Máy ở 10.1.1.0/24, 10.1.2.0/24, 10.1.100.0/24 không nhận" in visitor.text and "mọi quy tắc có hiệu lực" not in visitor.text
    bands = [row["band"] for row in document["profiles"]]  # type: ignore[attr-defined]
    assert {band: bands.count(band) for band in set(bands)} == {"TH": 5, "CS": 3, "PT": 3, "MN": 1, "NL": 1, "KH": 1}
    assert len(document["clients"]) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(("typed", "shown"), [("  Trường THCS  Lê Lợi ", "Trường THCS Lê Lợi"), ("", "Trường học")])
async def test_a_school_says_its_name_and_papers_and_invitations_are_headed_with_it(
    visitor: Visitor, services: Services, app: ASGIApp, typed: str, shown: str
) -> None:
    """A teacher of two schools sees whose invitation it is; the question stands beside the classes, may stay empty, and is kept by Back."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "school"}, ("go", "1"))
    await visitor.submit("/setup", {"classes": "3A", "school": "x" * 81}, ("go", "1"))
    assert visitor.response.status_code == 422
    await visitor.submit("/setup", {"classes": "3A", "school": typed}, ("go", "1"))
    await visitor.submit("/setup", {}, ("back", "1"))
    assert f'name="school" value="{" ".join(typed.split())}"' in visitor.response.text
    await visitor.submit("/setup", {}, ("go", "1"))
    await visitor.submit("/setup", {}, ("go", "1"))
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    for paper in ("/", "/cards/way-in", "/cards/go-back"):
        await visitor.get(paper)
        assert shown in visitor.text, paper
    await visitor.get("/people")
    await visitor.submit("/people", {"role": "teacher"})
    link = re.search(r"/join/[^\s\"<]+", visitor.response.text)
    assert link
    teacher = Visitor(app)
    await teacher.get(link[0])
    assert f"<h1>{shown}</h1>" in teacher.response.text
    await teacher.close()


async def test_an_operator_sets_up_a_place_for_other_families(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """It runs the gateway for others and has no rules itself: place and password, and the families' page opens."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "host"}, ("go", "1"))
    await visitor.submit("/setup", {"sign_in": "buu-dien", "password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    assert visitor.response.status_code == 200 and visitor.response.url.path == "/families"
    assert not gateway.policies


async def test_one_network_for_all_is_not_given_to_the_staff_by_accident(
    visitor: Visitor, services: Services, gateway: ScriptedGateway
) -> None:
    """The school's only network under "teachers" would make every unnamed device an adult's: the page says so and asks once more."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "school"}, ("go", "1"))
    await visitor.submit("/setup", {"classes": "6A\nLớp ghép bản Mù\n7B"}, ("go", "1"))
    assert "Dòng chưa có khối: Lớp ghép bản Mù" in visitor.text
    await visitor.submit("/setup", {"classes": "6A\n7B"}, ("go", "1"))
    for fields in ({"staff_network": "192.168.1.0/24"}, {"class_network": ["10.1.2.0/24", ""], "staff_network": "10.1.0.0/16"}):
        await visitor.submit("/setup", fields, ("go", "1"))
        assert "máy nào trong mạng chưa có tên cũng theo quy định của người lớn" in visitor.text
    await visitor.submit("/setup", {"staff_network": "192.168.1.0/24", "staff_sure": "1"}, ("go", "1"))
    await visitor.submit("/setup", {"unserved_sure": "1"}, ("go", "1"))
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    clients = policy_of(services, gateway)["clients"]
    assert sorted(row["match"] for row in clients) == [["10.1.2.0/24"], ["192.168.1.0/24"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("step", "fields", "words"),
    [
        ("people", {"label": "", "band": "TH"}, "Hãy ghi tên gọi ở nhà của ít nhất một bé."),
        ("people", {"label": "Nguyễn Văn An 7B", "band": "CS"}, "Tên gọi ở nhà là đủ"),
    ],
)
async def test_mistakes_are_shown_beside_the_field(
    visitor: Visitor, services: Services, step: str, fields: dict[str, str], words: str
) -> None:
    """A slip shows one sentence and keeps what was typed."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    response = await visitor.submit("/setup", fields, ("go", "1"))
    assert response.status_code == 422
    assert words in visitor.text


async def test_weak_and_differing_passwords_are_refused_with_words(visitor: Visitor, services: Services, database: Database) -> None:
    """No account with a password that guessers try first; nothing is stored before the last page is right."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    await visitor.submit("/setup", {"label": "Bi", "band": "TH"}, ("go", "1"))
    await visitor.submit("/setup", {}, ("go", "1"))
    for password, again in (("12345678", "12345678"), (PASSWORD, PASSWORD + "x"), ("short", "short")):
        response = await visitor.submit("/setup", {"password": password, "again": again}, ("go", "1"))
        assert response.status_code == 422
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(profiles).execution_options(**EVERY_TENANT))).scalar_one() == 0
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    assert visitor.response.status_code == 200


async def test_going_back_keeps_the_answers(visitor: Visitor, services: Services) -> None:
    """Back and forth loses nothing."""
    await open_wizard(visitor, services)
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    await visitor.submit("/setup", {"label": "Bi", "band": "CS"}, ("go", "1"))
    await visitor.submit("/setup", {}, ("back", "1"))
    assert 'value="Bi"' in visitor.response.text
    assert '<option value="CS" selected>' in visitor.response.text


async def test_nobody_gets_in_without_the_link(visitor: Visitor, services: Services, app: ASGIApp) -> None:
    """A stranger on the network who is quicker than the owner finds a closed door."""
    ensure_token(services.settings.state_dir)
    assert (await visitor.get("/setup")).status_code == 403
    assert (await visitor.get("/setup/guessed-token-0123456789")).status_code == 403
    response = await visitor.post("/setup", {"step": "password", "place": "home", "label": "x", "band": "NL", "password": PASSWORD})
    assert response.status_code == 403
    assert "lachan setup-link" in visitor.text


async def test_link_works_once(visitor: Visitor, services: Services, app: ASGIApp, database: Database) -> None:
    """After the first account exists the link, the file and the wizard are gone."""
    await open_wizard(visitor, services)
    late = Visitor(app, address="192.168.1.66")
    await open_wizard(late, services)
    for browser in (visitor, late):
        await browser.submit("/setup", {"place": "home"}, ("go", "1"))
        if not browser.forms or not browser.has_form("/setup"):
            break
        await browser.submit("/setup", {"label": "Bi", "band": "TH"}, ("go", "1"))
        await browser.submit("/setup", {}, ("go", "1"))
        await browser.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    assert read_token(services.settings.state_dir) is None
    assert late.response.status_code == 404
    await late.close()
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(accounts))).scalar_one() == 1


def test_token_file_is_private_and_stable(tmp_path: Path) -> None:
    """The secret is readable by its owner only, and a restart prints the same link."""
    token = ensure_token(tmp_path)
    assert token == ensure_token(tmp_path) == read_token(tmp_path)
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600


def test_setup_link_is_the_address_people_use(services: Services) -> None:
    """The printed link is one that can be opened."""
    assert setup_link(services.settings, "abc") == "http://127.0.0.1:8080/setup/abc"
