"""The API's dates, choices, week, journal, watching, phones and catalogue: what the pages do, by program."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import httpx
from starlette.types import ASGIApp

from admin.audit import VISITOR, Act, read_rows
from admin.dependencies import Services
from admin.onboarding import add_phone, load_phone
from admin.permissions import Scope
from tests.admin.conftest import Clock
from tests.admin.routes.test_api import api as api
from tests.admin.routes.test_api import client_for
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import make_school


async def test_dates_are_added_once_and_taken_away(api: httpx.AsyncClient) -> None:
    """Repeated with the same key it is one span; a span that runs backwards names its field; hours for exam days are shown."""
    body = {"kind": "exam", "label": "Thi", "first": "2026-12-21", "last": "2026-12-25"}
    made = [await api.post("/dates", json=body, headers={"Idempotency-Key": "one"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201] and made[0].json() == made[1].json()
    assert [one["label"] for one in (await api.get("/dates")).json()["items"]] == ["Thi"]
    wrong = (await api.post("/dates", json={**body, "last": "2026-12-20"})).json()["error"]
    assert wrong["fields"] == [{"field": "last", "code": "dates_backwards"}]
    assert (await api.delete(f"/dates/{made[0].json()['id']}")).status_code == 204
    assert (await api.delete(f"/dates/{made[0].json()['id']}")).status_code == 404
    hours = [{"days": days, "starts": "07:00", "ends": "11:00", "effect": "study"} for days in ("mon", "exam")]
    first = (await api.get("/profiles")).json()["items"][0]["id"]
    assert (await api.patch(f"/profiles/{first}", json={"hours": hours})).json()["hours"] == hours


async def test_choices_wait_for_their_own_removal(api: httpx.AsyncClient, clock: Clock) -> None:
    """Chosen, the wait holds for the program too; a change on an older state is refused; mistakes name their fields."""
    before = await api.get("/choices")
    wanted = {"cooling_minutes": 15, "mail": "me@example.com", "hook": "", "digest": True}
    assert (await api.put("/choices", json=wanted, headers={"If-Match": before.headers["etag"]})).json()["mail"] == "me@example.com"
    assert (await api.put("/choices", json={**wanted, "cooling_minutes": 0})).json()["error"]["code"] == "cooling_off"
    ripe = (await api.post("/choices/wait")).json()["ripe_at"]
    clock.at = datetime.fromisoformat(ripe)
    assert (await api.put("/choices", json=wanted, headers={"If-Match": before.headers["etag"]})).status_code == 412
    wrong = await api.put("/choices", json={**wanted, "mail": "x", "hook": "http://x", "cooling_minutes": 7})
    assert {one["field"] for one in wrong.json()["error"]["fields"]} == {"cooling_minutes", "mail", "hook"}
    assert (await api.put("/choices", json={**wanted, "cooling_minutes": 0})).json()["may_open"] is True


async def test_journal_and_week_are_read_in_pages(api: httpx.AsyncClient) -> None:
    """Every row once, newest first, no words in them; the week has one number for each child."""
    seen: list[int] = []
    following = ""
    while True:
        page = (await api.get(f"/journal?limit=5{following}")).json()
        seen += [row["seq"] for row in page["items"]]
        if page["next"] is None:
            break
        following = f"&before={page['next']}"
    assert seen == sorted(set(seen), reverse=True) and len(seen) > 10
    week = (await api.get("/digest")).json()
    assert [line["label"] for line in week["children"]] == ["Bi", "Na"] and week["children"][0]["blocked"] is None


async def test_watching_begins_and_ends(api: httpx.AsyncClient, family: Family) -> None:
    """For a day, repeated it stays the same day; adults are not watched."""
    first = (await api.post(f"/profiles/{family.bi.id}/watch")).json()
    assert (await api.post(f"/profiles/{family.bi.id}/watch")).json() == first
    refused = await api.post(f"/profiles/{family.adults.id}/watch")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_watchable")
    assert (await api.delete(f"/profiles/{family.bi.id}/watch")).status_code == 204
    assert (await api.post(f"/devices/{family.bi_phone}/return")).status_code == 204


async def test_phone_is_made_and_renewed(api: httpx.AsyncClient, family: Family, services: Services) -> None:
    """A private name of its own; renewed, the old one is gone; a device without one is no phone."""
    made = (await api.post("/phones", json={"profile": family.bi.id, "label": "Máy đi học"}, headers={"Idempotency-Key": "p"})).json()
    again = (await api.post("/phones", json={"profile": family.bi.id, "label": "Máy đi học"}, headers={"Idempotency-Key": "p"})).json()
    assert made == again and made["android_name"] is None, "this gateway offers no way from outside"
    before = await stored_token(services, family, made["id"])
    assert (await api.post(f"/phones/{made['id']}/renew")).status_code == 200
    assert await stored_token(services, family, made["id"]) != before
    assert (await api.get(f"/phones/{family.bi_phone}")).status_code == 404
    assert (await api.post("/phones", json={"profile": family.guests.id, "label": "x"})).status_code == 422


async def stored_token(services: Services, family: Family, phone: str) -> str:
    """The private name of a phone, as it is kept."""
    async with services.database.read() as connection:
        return (await load_phone(connection, family.tenant, phone)).token


async def test_program_that_may_only_look_learns_no_name_that_frees(
    app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """An adult's private name would free a child's phone: a key for reading does not show it, and no list of devices shows any."""
    async with services.database.write() as connection:
        act = Act(family.tenant, VISITOR, services.now())
        phones = [await add_phone(connection, act, owner.id, "Máy") for owner in (family.bi, family.adults)]
    tokens = [await stored_token(services, family, phone) for phone in phones]
    async with (
        await client_for(app, services, family, Scope.READ) as reader,
        await client_for(app, services, family, Scope.POLICY) as ruler,
    ):
        assert [(await reader.get(f"/phones/{phone}")).status_code for phone in phones] == [200, 403]
        assert (await ruler.post(f"/phones/{phones[1]}/renew")).status_code == 200
        every = [(await reader.get("/devices")).text, *[(await reader.get(f"/devices/{phone}")).text for phone in phones]]
    assert all(token not in text for token in tokens for text in every) and all('"token:…"' in text for text in every)


async def test_catalogue_says_what_switches_know(api: httpx.AsyncClient) -> None:
    """Codes, names in both languages, how many names are listed."""
    found = (await api.get("/catalogue")).json()
    game = next(one for one in found["categories"] if one["code"] == "game")
    assert game["vi"] and game["en"] and game["entries"] >= 0
    checked = {one["id"]: one["verified"] for one in found["services"]}
    assert (checked["zalo"], checked["tiktok"]) == (True, False)


async def test_the_place_is_read_and_set(api: httpx.AsyncClient, services: Services, family: Family) -> None:
    """By the code of a province or of a commune in it; a place nobody knows is a mistake of the field; null takes it away."""
    nothing = {"held_place": None, "held_until": None}
    assert (await api.get("/place")).json() == {"place": None} | nothing
    for code in ("12", "12.03385", None):
        assert (await api.put("/place", json={"place": code})).json() == {"place": code} | nothing
        assert (await api.get("/place")).json() == {"place": code} | nothing
    for wrong in ("99", "Lai Châu", "12.1"):
        refused = await api.put("/place", json={"place": wrong})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "place"), wrong
    async with services.database.read() as connection:
        assert [row.action for row in await read_rows(connection, family.tenant, 9)].count("place.set") == 3


async def test_a_school_has_no_digest(app: ASGIApp, services: Services, family: Family, now: datetime) -> None:
    """As on its pages: no class is counted, and a program is not given an empty week as if there were nothing to tell."""
    school = await make_school(services.database, now, "A", None)
    async with await client_for(app, services, replace(family, tenant=school.tenant, account=school.account), Scope.READ) as client:
        assert (await client.get("/digest")).status_code == 404
