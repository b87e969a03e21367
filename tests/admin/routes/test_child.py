"""The pages for children, without an account: help before anything else, then why, asking, and the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def family(services: Services) -> Family:
    """Bi (six to ten) and Na (fifteen to seventeen)."""
    return await make_family(services)


@pytest.fixture
async def child(app: ASGIApp, gateway: ScriptedGateway, family: Family, clock: Clock) -> AsyncIterator[Visitor]:
    """Bi's own phone, which the gateway knows."""
    gateway.see("192.168.1.31", clock.at, client=family.bi_phone, tenant=family.tenant)
    gateway.devices[-1]["profile"] = family.bi.id
    browser = Visitor(app, "192.168.1.31")
    yield browser
    await browser.close()


async def ask(child: Visitor, host: str, note: str = "") -> None:
    """Fill in the form and send it."""
    await child.get(f"/ask?host={host}")
    await child.submit("/ask?lang=vi", {"host": host, "reason": "lesson", "note": note})


async def test_child_asks_and_the_parent_says_yes_for_an_hour(child: Visitor, app: ASGIApp, gateway: ScriptedGateway) -> None:
    """Without an account: ask, keep the code, see the answer; the gateway opens that one name and nothing else."""
    await ask(child, "https://www.Example.org/page?q=1", "con cần làm bài tập")
    answer = str(child.response.url.path)
    assert answer.startswith("/answer/")
    assert child.response.status_code == 200
    parent = Visitor(app)
    await parent.sign_in("me", PASSWORD)
    await parent.get("/requests")
    assert "www.example.org" in parent.text
    assert "con cần làm bài tập" in parent.text
    (form,) = [form.action for form in parent.forms if form.action.startswith("/requests/")]
    await parent.submit(form, {}, ("decision", "1h"))
    await parent.close()
    assert gateway.policies
    await child.get(answer)
    assert "20:30" in child.text
    assert "me" not in child.text.split()


async def test_same_wish_is_one_request_and_a_day_has_three(child: Visitor) -> None:
    """Asking again for what still waits gives the same code; the fourth request of a day is told kindly to wait."""
    await ask(child, "example.org")
    first = str(child.response.url.path)
    await ask(child, "example.org")
    assert str(child.response.url.path) == first
    await ask(child, "example.net")
    assert child.response.status_code == 200
    await ask(child, "example.com")
    assert child.response.status_code == 429


@pytest.mark.parametrize("note", ["con muốn chết", "CON KHONG MUON SONG NUA", "bố đánh em, cứu em với"])
async def test_help_comes_before_a_note_in_distress(child: Visitor, note: str) -> None:
    """A note with such words shows 111 first and is not sent until the child says so again."""
    await ask(child, "example.org", note)
    assert "111" in child.text
    assert not str(child.response.url.path).startswith("/answer/")
    await child.submit("/ask?lang=vi", {}, ("sure", "1"))
    assert str(child.response.url.path).startswith("/answer/")


async def test_phone_number_in_a_note_is_hinted_at(child: Visitor) -> None:
    """What gives the child away is better left out; the child may change it or send it all the same."""
    await ask(child, "example.org", "gọi con 0912 345 678")
    assert not str(child.response.url.path).startswith("/answer/")
    await child.submit("/ask?lang=vi", {"note": "con cần bài tập"})
    assert str(child.response.url.path).startswith("/answer/")


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "", "reason": "lesson"},
        {"host": "not a name", "reason": "lesson"},
        {"host": "example.org", "reason": ""},
        {"host": "example.org", "reason": "because"},
        {"host": "example.org", "reason": "lesson", "note": "x" * 201},
    ],
)
async def test_slips_are_told_beside_the_field(child: Visitor, fields: dict[str, str]) -> None:
    """Nothing is lost and nothing is sent."""
    await child.get("/ask")
    response = await child.post("/ask", fields)
    assert response.status_code == 422
    assert child.has_form("/ask?lang=vi")


async def test_why_lists_only_the_blocks_of_this_device(child: Visitor, app: ASGIApp, gateway: ScriptedGateway, clock: Clock) -> None:
    """A child sees what was blocked on the phone in its hand; a device nobody named sees nothing of others."""
    gateway.block("192.168.1.31", "bet.example.", "gamb", clock.at)
    gateway.block("192.168.1.99", "other.example.", "gamb", clock.at)
    await child.get("/why")
    assert "bet.example" in child.text
    assert "other.example" not in child.text
    stranger = Visitor(app, "192.168.1.99")
    await stranger.get("/why")
    assert stranger.response.status_code == 200
    assert "other.example" not in stranger.text
    assert "111" in stranger.text
    await stranger.close()


async def test_help_stays_when_the_gateway_does_not_answer(app: ASGIApp, family: Family) -> None:
    """Nobody is known then; the page of help is there all the same, and asking says that it cannot be sent from here."""
    browser = Visitor(app, "192.168.1.31")
    assert (await browser.get("/help")).status_code == 200
    assert "111" in browser.text
    assert (await browser.get("/ask")).status_code == 404
    assert (await browser.post("/ask", {"host": "example.org", "reason": "lesson"})).status_code == 404
    assert "111" in browser.text
    await browser.close()


async def test_unknown_code_says_so_and_guessing_is_limited(child: Visitor) -> None:
    """A code is typed with or without spaces, in any case; codes cannot be tried out."""
    await child.get("/answer")
    await child.submit("/answer", {"code": "abcd 2345"}) if child.has_form("/answer") else None
    response = await child.get("/answer/ABCD2345")
    assert response.status_code == 404
    statuses = {(await child.get(f"/answer/ABCD23{number}")).status_code for number in range(22, 99)}
    assert 429 in statuses


@pytest.mark.parametrize("topic", ["scam", "grooming", "betting", "help"])
async def test_lessons_are_there(child: Visitor, topic: str) -> None:
    """Each lesson is a page of its own with help on it; there are no others."""
    assert (await child.get(f"/lesson/{topic}")).status_code == 200
    assert "111" in child.text
    assert (await child.get("/lesson/none")).status_code == 404
