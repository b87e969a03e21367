"""The API of people, the staff's picture and hosted families: what the pages do, and nobody above the key."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.permissions import Scope
from admin.profiles import NewProfile, create_profile, create_site
from admin.sessions import create_token
from admin.tenants import create_account, grant_role
from admin.values import ProfileKind
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from gateway.policy.model import Band
from tests.admin.routes.test_api import client_for
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, Person, make_person
from tests.support.visitor import ORIGIN, Visitor


@pytest.fixture
async def mother(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A program of a family that may change, and invite and end people."""
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY, Scope.PEOPLE) as client:
        yield client


@pytest.fixture
async def school(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> Person:
    person = await make_person(services.database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    act = Act(person.tenant, MACHINE, now)
    async with services.database.write() as connection:
        site = await create_site(connection, act, "Trường", "school", ["10.1.0.0/16"])
        adults = NewProfile(ProfileKind.ADULT, "Giáo viên", Band.NL)
        await create_profile(connection, act, site, adults, services.shelves.current())
    return person


async def client_of(app: ASGIApp, services: Services, person: Person, *scopes: Scope) -> httpx.AsyncClient:
    async with services.database.write() as connection:
        ends = services.now() + timedelta(days=1)
        _, key = await create_token(connection, person.tenant, person.account, "k", frozenset(scopes), services.now(), ends)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1", headers={"Authorization": f"Bearer {key}"})


async def test_the_other_parent_is_invited_and_ended_by_a_program(mother: httpx.AsyncClient, app: ASGIApp, family: Family) -> None:
    """The link stands in the first answer alone; it works at the page; ended, that person sees nothing any more."""
    made = [await mother.post("/invitations", json={"role": "parent"}, headers={"Idempotency-Key": "bo"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201] and made[0].json()["id"] == made[1].json()["id"]
    link = str(made[0].json()["link"])
    assert made[1].json()["link"] is None and link.rpartition("/")[2] not in (await mother.get("/invitations")).text
    father = Visitor(app, "192.168.1.60")
    await father.get(link.removeprefix(link.partition("/join/")[0]))
    await father.submit("/join", {"name": "Bố", "sign_in": "bo", "password": PASSWORD, "again": PASSWORD})
    await father.sign_in("bo", PASSWORD)
    people = (await mother.get("/people")).json()["items"]
    people.sort(key=lambda one: str(one["role"]))
    assert [(one["name"], one["role"]) for one in people] == [("me", "first_parent"), ("Bố", "parent")]
    assert (await mother.get("/invitations")).json()["items"] == []
    refused = await mother.delete(f"/people/{people[0]['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "person_only")
    assert (await mother.delete(f"/people/{people[1]['id']}")).status_code == 204
    assert (await father.get("/more")).status_code == 404
    assert (await mother.delete(f"/people/{people[1]['id']}")).status_code == 404
    await father.close()


async def test_a_withdrawn_place_and_impossible_ones(mother: httpx.AsyncClient) -> None:
    """Withdrawn it opens nothing; a family has no teachers; a day that has passed is said by its field."""
    place = (await mother.post("/invitations", json={"role": "parent", "last": "2027-05-31"})).json()
    assert (await mother.delete(f"/invitations/{place['id']}")).status_code == 204
    assert (await mother.delete(f"/invitations/{place['id']}")).status_code == 404
    for body, field in (
        ({"role": "teacher"}, "role"),
        ({"role": "parent", "last": "2026-01-01"}, "last"),
        ({"role": "school_admin"}, "role"),
    ):
        said = await mother.post("/invitations", json=body)
        assert (said.status_code, said.json()["error"]["fields"][0]["field"]) == (422, field)


async def test_scopes_are_asked_for_one_by_one(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """A key that looks and changes sees and invites nobody: this right is chosen by itself."""
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY) as client:
        for method, path in (("GET", "/people"), ("POST", "/invitations"), ("GET", "/invitations"), ("GET", "/families")):
            body = {"role": "parent"} if method == "POST" else None
            assert (await client.request(method, path, json=body)).status_code == 403, path


async def test_no_key_makes_somebody_who_may_more_than_it(
    app: ASGIApp, services: Services, family: Family, school: Person, gateway: ScriptedGateway
) -> None:
    """A key that may invite and not change would make itself a parent or teacher, and open what it may not: a person invites at the page,
    and a sentence says so. It still sees and ends people."""
    async with await client_for(app, services, family, Scope.READ, Scope.PEOPLE) as client:
        refused = await client.post("/invitations", json={"role": "parent"})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["page"]) == (403, "person_needed", "/people")
        assert "look and change" in error["message"] and "at the page" in error["message"]
        assert (await client.get("/invitations")).json()["items"] == []
        assert (await client.get("/people")).status_code == 200
    async with await client_of(app, services, school, Scope.READ, Scope.PEOPLE) as client:
        assert (await client.post("/invitations", json={"role": "teacher"})).json()["error"]["code"] == "person_needed"
    async with await client_of(app, services, school, Scope.READ, Scope.POLICY, Scope.PEOPLE) as client:
        assert (await client.post("/invitations", json={"role": "teacher"})).status_code == 201
        assert (await client.post("/invitations", json={"role": "parent"})).json()["error"]["code"] == "invalid_input"


async def test_staff_and_families_of_a_school(app: ASGIApp, services: Services, school: Person) -> None:
    """The picture frees devices, so its link is for keys that may loosen; a sheet is made, read and withdrawn; families are a number."""
    async with await client_of(app, services, school, Scope.READ, Scope.POLICY, Scope.PEOPLE) as client:
        assert (await client.get("/staff")).json() == {"until": None, "enrolled": 0}
        made = [await client.post("/staff", json={"last": "2026-12-31"}, headers={"Idempotency-Key": "a"}) for _ in range(2)]
        assert [one.status_code for one in made] == [201, 201] and made[0].json() == made[1].json()
        assert re.search(r"/staff-join/\w{5}-\w{5}$", made[0].json()["link"])
        state = await client.get("/staff")
        assert state.json()["until"] == made[0].json()["until"] and "staff-join" not in state.text
        late = (await client.post("/staff", json={"last": "2028-01-01"})).json()["error"]
        assert late["fields"] == [{"field": "last", "code": "staff_day"}]
        assert [(await client.delete("/staff")).status_code for _ in range(2)] == [204, 204]
        sheet = (await client.post("/families/sheets", json={"label": "Trường", "most": 20})).json()
        assert (await client.get(f"/families/sheets/{sheet['id']}")).json() == sheet and sheet["joined"] == 0
        assert (await client.get("/families/sheets")).json()["items"] == [sheet]
        assert (await client.get("/families")).json() == {"families": 0}
        assert (await client.delete(f"/families/sheets/{sheet['id']}")).status_code == 204
        assert (await client.get(f"/families/sheets/{sheet['id']}")).status_code == 404


async def test_tenants_stay_apart(
    app: ASGIApp, services: Services, mother: httpx.AsyncClient, school: Person, database: Database, now: datetime
) -> None:
    """Another place's person, invitation and sheet are not found, and stay."""
    async with services.database.write() as connection:
        teacher = await create_account(connection, "co", "Cô", "x", "vi", now)
        await grant_role(connection, Act(school.tenant, MACHINE, now), teacher, Role.TEACHER)
    async with await client_of(app, services, school, Scope.READ, Scope.POLICY, Scope.PEOPLE) as other:
        theirs = [one["id"] for one in (await other.get("/people")).json()["items"] if one["role"] == "teacher"]
        place = (await other.post("/invitations", json={"role": "teacher"})).json()["id"]
        sheet = (await other.post("/families/sheets", json={"label": "x"})).json()["id"]
        for path in (f"/people/{theirs[0]}", f"/invitations/{place}"):
            assert (await mother.delete(path)).status_code == 404, path
        assert (await mother.delete(f"/families/sheets/{sheet}")).status_code == 403, "a family hosts nobody"
        assert len((await other.get("/people")).json()["items"]) == 2 and len((await other.get("/invitations")).json()["items"]) == 1
