"""What holds for every operation of the published schema: tags, pages, creates that happen once, and errors with a code and the field.

Made from the schema itself, so a route that is added is covered when it is added: what it needs as a body stands in `BODIES`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.homelink import add_home
from admin.hosting import make_join_code
from admin.invitations import invite
from admin.keptbackups import keep_backup
from admin.office import open_office
from admin.onboarding import add_phone
from admin.people import find_place, list_members
from admin.permissions import Scope
from admin.profiles import NewProfile, create_profile, create_site
from admin.requests import Asked, ask
from admin.sessions import create_token
from admin.tenants import create_account, create_organisation, grant_role
from admin.values import ProfileKind, RequestReason
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from gateway.policy.model import Band
from tests.admin.test_access import everything
from tests.support.family import Family
from tests.support.office import LETTER, OfficeGateway, Officers
from tests.support.visitor import ORIGIN

SOON = "2026-10-12T20:00:00Z"
#: A body for each operation that takes one. Creates are really made.
BODIES: Mapping[tuple[str, str], dict[str, Any]] = {
    ("post", "/profiles"): {"label": "Tí", "band": "TH"},
    ("patch", "/profiles/{profile}"): {"label": "Bi hai"},
    ("put", "/profiles/{profile}/category/{code}"): {"state": "block"},
    ("put", "/profiles/{profile}/service/{code}"): {"state": "block"},
    ("post", "/profiles/{profile}/names"): {"name": "vui.example", "effect": "deny"},
    ("post", "/profiles/{profile}/overrides"): {"kind": "off", "until": SOON},
    ("post", "/devices"): {"profile": "{profile}", "label": "Máy", "match": "192.168.1.77"},
    ("patch", "/devices/{device}"): {"label": "Máy mới"},
    ("post", "/requests/{request}/answer"): {"decision": "no"},
    ("post", "/dates"): {"kind": "exam", "label": "Thi", "first": "2026-12-21", "last": "2026-12-22"},
    ("put", "/choices"): {"cooling_minutes": 15},
    ("post", "/phones"): {"profile": "{profile}", "label": "Điện thoại"},
    ("post", "/office/orders"): {"text": LETTER.replace("412/QĐ", "413/QĐ")},
    ("post", "/office/orders/{order_id}/steps"): {"step": "send_back", "reason": "x"},
    ("post", "/office/orders/{order_id}/items/{item_id}"): {"decision": "leave"},
    ("post", "/office/entries/{entry_id}/lift"): {"reason": "x"},
    ("post", "/office/entries/{entry_id}/renew"): {"last_day": "2027-01-01", "reason": "500/QĐ-SVHTTDL"},
    ("post", "/office/reviews/{review_id}/steps"): {"step": "take"},
    ("post", "/office/versions/{serial}/return"): {"reason": "x"},
    ("post", "/office/returns/{identity}"): {"step": "confirm"},
    ("post", "/office/reports/{report_id}/steps"): {"step": "triage"},
    ("post", "/office/candidates/{identity}"): {"step": "refuse", "reason": "x"},
    ("post", "/office/agencies"): {"name": "Sở Khoa học và Công nghệ"},
    ("post", "/office/agencies/{agency_id}/rename"): {"on": "2027-01-01", "name": "Sở Văn hóa và Thể thao"},
    ("post", "/office/agencies/{agency_id}/end"): {"on": "2027-02-01", "successors": []},
    ("post", "/office/agencies/{agency_id}/roles"): {"role": "education", "on": "2026-12-31", "basis": "7/QĐ-UBND"},
    ("put", "/office/clocks/{clock}"): {"hours": 12, "basis": "7/QĐ-UBND", "starts": "2026-12-31"},
    ("post", "/office/directives"): {"symbol": "8/CT-UBND", "title": "Bảo vệ trẻ em", "lead": "Sở Nội vụ", "focal_point": "Sở Nội vụ"},
    ("post", "/office/orders/{order_id}/items/{item_id}/forward"): {"sent_to": "Facebook"},
    ("post", "/office/entries/{entry_id}/owner"): {"how": "công văn 9/SVHTTDL"},
    ("post", "/office/cases/{kind}/{case_id}/notes"): {"text": "đã gọi Công an tỉnh"},
    ("post", "/office/gateways"): {"label": "Trường A"},
    ("put", "/office/rollout/rule"): {"is_on": True, "first_share": 5, "second_share": 20, "second_after": 20, "all_after": 60},
    ("post", "/office/rollout/{serial}/on"): {"reason": "x"},
    ("post", "/office/lists"): {"source": "Danh sách A", "category": "gamb", "text": "ca-do.example"},
    ("put", "/list-office"): {"code": "https://danhsach.example/release#" + "a" * 26},
    ("patch", "/organisation"): {"name": "Nhà Bi"},
    ("put", "/place"): {"place": "12"},
    ("post", "/invitations"): {"role": "parent"},
    ("post", "/staff"): {"last": "2026-12-31"},
    ("post", "/families/sheets"): {"label": "Trường"},
    ("post", "/home"): {"profile": "{profile}"},
    ("put", "/home/address"): {"address": "118.69.0.10"},
    ("post", "/profiles/{profile}/erase"): {"confirm": "{profile}"},
    ("post", "/office/schools/rules"): {"category": "game", "document": "12/QĐ-SGDĐT"},
    ("post", "/office/schools/rules/{identity}/lift"): {"document": "13/QĐ-SGDĐT"},
    ("post", "/office/bulletins"): {"kind": "bulletin", "title": "Tin", "symbol": "9/TB-SVHTTDL", "last_day": "2026-12-31"},
}
#: A file, not JSON: its mistakes are named by line and path (`test_apitenant`).
FILES = {("put", "/tenant")}
#: What only an office in motion has: tried with its own objects in `test_apiofficework`, `test_apiofficeroad`.
ELSEWHERE = {"/office/versions/{serial}/return", "/office/gateways"}
#: Another body for a create whose words are none of the usual ones; `None`: it has no body.
OTHERWISE: Mapping[str, Any] = {
    "/invitations": {"role": "parent", "last": "2027-05-31"},
    "/staff": {"last": "2026-12-30"},
    "/home": {"profile": "{other}"},
    "/backups": None,
    "/office/cases/{kind}/{case_id}/notes": {"text": "đã gọi lại"},
}
#: What only a school has.
SCHOOLS = ("/staff", "/families")
#: Cursors of their own: by row of the journal, and by the place in an order that a search has.
OWN_CURSORS = {"/journal", "/office/entries"}


@dataclass(frozen=True)
class World:
    """A program of a family and one of an office, and an object of each kind."""

    http: httpx.AsyncClient
    family: Mapping[str, str]
    office: Mapping[str, str]
    school: Mapping[str, str]
    host: Mapping[str, str]
    values: Mapping[str, str]
    schema: Mapping[str, Any]

    def operations(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Every method, path and description."""
        return [(method, path, one) for path, acts in self.schema["paths"].items() for method, one in acts.items()]

    def fill(self, content: Any, **other: str) -> Any:
        """With the ids of this world in the place of names in braces."""
        if isinstance(content, dict):
            return {name: self.fill(value, **other) for name, value in content.items()}
        if not isinstance(content, str):
            return content
        known = {**self.values, **other}
        if "/service/" in content:
            known["code"] = other.get("code", "zalo")
        return re.sub(r"{(\w+)}", lambda found: known.get(found[1], "x" * 24), content)

    def key_of(self, path: str) -> Mapping[str, str]:
        """The key of whom an address is for."""
        if path.startswith(("/backups", "/list-office")):  # of a machine that several share, its operator's alone
            return self.host
        return self.office if path.startswith("/office") else self.school if path.startswith(SCHOOLS) else self.family

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request with the right key."""
        key = self.key_of(path)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, f"/api/v1{path}", json=body, headers={**key, **named})


@pytest.fixture
async def world(
    app: ASGIApp, services: Services, family: Family, officers: Officers, office_gateway: OfficeGateway, now: datetime
) -> AsyncIterator[World]:
    values = {"profile": family.bi.id, "other": family.na.id, "device": family.bi_phone, "code": "game", "serial": "1"}
    values |= {"clock": "order", "kind": "order"}
    scopes, ends = frozenset(Scope) - {Scope.TENANT}, now + timedelta(days=1)
    act = Act(family.tenant, MACHINE, now)
    async with services.database.write() as connection:
        _, own = await create_token(connection, family.tenant, family.account, "a", scopes, now, ends)
        await grant_role(connection, Act(officers.tenant, MACHINE, now), officers.approver, Role.VERIFIER)
        office, actor = await open_office(connection, officers.tenant), Actor(officers.approver, Capacity.APPROVER, officers.tenant)
        body = await add_agency(connection, office, actor, NewAgency("Sở", AgencyKind.DEPARTMENT, "", "12", None), now)
        values["agency_id"] = body
        await grant_role(connection, Act(officers.tenant, MACHINE, now), officers.approver, Role.EDU_ADMIN, agency=body)
        _, theirs = await create_token(connection, officers.tenant, officers.approver, "a", scopes, now, ends)
        asked = Asked(family.bi.id, "vui.example", RequestReason.OTHER, "", Band.TH)
        values["request"] = (await ask(connection, family.tenant, asked, now)).id
        values["phone"] = await add_phone(connection, act, family.bi.id, "x")
        await add_home(connection, act, family.bi.id, "Home")
        teacher = await create_account(connection, "bo", "Bố", "x", "vi", now)
        await grant_role(connection, act, teacher, Role.PARENT)
        members = await list_members(connection, family.tenant, now)
        values["assignment"] = next(one.assignment for one in members if one.role is Role.PARENT)
        values["invitation"] = await find_place(connection, family.tenant, await invite(connection, act, Role.PARENT, ""))
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường", "vi", now)
        at_school = Act(school, MACHINE, now)
        await grant_role(connection, at_school, teacher, Role.SCHOOL_ADMIN)
        site = await create_site(connection, at_school, "Trường", "school", ["10.1.0.0/16"])
        adults = NewProfile(ProfileKind.ADULT, "Giáo viên", Band.NL)
        await create_profile(connection, at_school, site, adults, services.shelves.current())
        values["sheet"] = await make_join_code(connection, at_school, "Trường", 20)
        _, schools = await create_token(connection, school, teacher, "a", scopes, now, ends)
        host = await create_organisation(connection, OrganisationKind.OPERATOR, "Xã", "vi", now)
        await grant_role(connection, Act(host, MACHINE, now), family.account, Role.OPERATOR)
        _, hosts = await create_token(connection, host, family.account, "a", scopes, now, ends)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        schema = (await http.get("/api/v1/openapi.json")).json()
        keys = [{"Authorization": f"Bearer {key}"} for key in (own, theirs, schools, hosts)]
        made = World(http, keys[0], keys[1], keys[2], keys[3], values, schema)
        values["backup"] = (await keep_backup(services.database, services.settings.state_dir, now)).id
        order = (await made.ask("post", "/office/orders", {"text": LETTER})).json()
        values["order_id"] = values["case_id"] = order["id"]
        values["item_id"] = next(one["id"] for one in order["items"] if one["verdict"] == "needs_decision")
        yield made


def test_every_operation_has_a_body_here(world: World) -> None:
    """A route that is added is tried, too; what is left out is said above."""
    taking = {(method, path) for method, path, one in world.operations() if "requestBody" in one}
    assert taking - FILES == set(BODIES)


async def test_every_read_has_a_tag_and_answers_304(world: World) -> None:
    """Asked again with the tag nothing is sent; with another it is; the published schema says so."""
    wrong, read = [], 0
    for method, path, one in world.operations():
        if method != "get":
            continue
        device = {"device": world.values["phone"]} if path.startswith("/phones") else {}
        first = await world.ask("get", world.fill(path, **device))
        if first.status_code == 404 and path.startswith("/office"):  # nothing of it is there yet
            continue
        tag = first.headers.get("etag", "")
        again = await world.ask("get", world.fill(path, **device), If_None_Match=f'"other", W/{tag}')
        other = await world.ask("get", world.fill(path, **device), If_None_Match='"other"')
        read += 1
        if (first.status_code, again.status_code, again.content, other.status_code) != (200, 304, b"", 200) or not tag:
            wrong.append(f"{path}: {first.status_code} {tag} {again.status_code} {other.status_code}")
        if "304" not in one["responses"] or again.headers.get("etag") != tag:
            wrong.append(f"{path}: not said")
    assert wrong == [] and read > 18, "\n".join(wrong)


async def test_every_change_to_what_somebody_changed_is_refused(world: World, database: Database) -> None:
    """An old tag of the object: 412, and nothing is changed anywhere; a child that is not there is still "not found"."""
    before, wrong, tried = await everything(database), [], 0
    for method, path, one in world.operations():
        if method == "get":
            continue
        assert any(field["name"] == "If-Match" for field in one["parameters"]), path
        device = {"device": world.values["phone"]} if path.startswith("/phones") else {}
        response = await world.ask(method, world.fill(path, **device), world.fill(BODIES.get((method, path))), If_Match='"old"')
        if response.status_code == 404 and path.startswith("/office"):
            continue
        tried += 1
        if (response.status_code, response.json()) != (412, {"error": {"code": "changed", "field": "If-Match"}}):
            wrong.append(f"{method} {path}: {response.status_code} {response.text}")
    assert wrong == [] and tried > 25, "\n".join(wrong)
    assert await everything(database) == before
    missing = await world.ask("patch", f"/profiles/{'x' * 24}", {"label": "x"}, If_Match='"old"')
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_the_right_tag_changes_once(world: World) -> None:
    """A switch, a name and a timed act by the tag of their child; the tag is another after the first."""
    for method, path in (("put", "/profiles/{profile}/category/{code}"), ("post", "/profiles/{profile}/names")):
        tag = (await world.ask("get", world.fill("/profiles/{profile}"))).headers["etag"]
        said = [await world.ask(method, world.fill(path), BODIES[method, path], If_Match=tag) for _ in range(2)]
        assert [one.status_code for one in said] == [200 if method == "put" else 201, 412], path
    tag = (await world.ask("get", "/tenant")).headers["etag"]
    assert (await world.ask("get", "/tenant")).headers["etag"] == tag, "the moment of writing is no change"


async def test_who_may_not_read_an_object_has_no_tag_of_it(world: World, services: Services, family: Family, now: datetime) -> None:
    """A key for changing alone."""
    async with services.database.write() as connection:
        ends = now + timedelta(days=1)
        _, key = await create_token(connection, family.tenant, family.account, "a", frozenset({Scope.POLICY}), now, ends)
    headers = {"Authorization": f"Bearer {key}", "If-Match": '"a"'}
    refused = await world.http.patch(f"/api/v1/profiles/{family.bi.id}", json={"label": "x"}, headers=headers)
    assert refused.status_code == 412


async def test_every_list_is_pages(world: World) -> None:
    """`items`, `next`, `limit`, `after`; one by one they are the same as all at once; a cursor that is none says so."""
    parts, wrong = world.schema["components"]["schemas"], []
    for method, path, one in world.operations():
        content = one["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if method != "get":
            continue
        fields = parts[content["$ref"].rpartition("/")[2]]["properties"] if "$ref" in content else {}
        if content.get("type") == "array":
            wrong.append(f"{path}: a bare list")
        if "items" not in fields or path.endswith("}"):  # the rows of a document are a part of it
            continue
        named = {field["name"] for field in one["parameters"]}
        if "next" not in fields or "limit" not in named or not {"after", "before"} & named:
            wrong.append(f"{path}: no cursor")
        where = world.fill(path)
        whole = (await world.ask("get", where)).json()["items"]
        seen, cursor = [], ""
        while cursor is not None and len(seen) <= len(whole):
            said = "before" if path == "/journal" else "after"
            page = (await world.ask("get", f"{where}?limit=1" + (f"&{said}={cursor}" if cursor else ""))).json()
            assert "next" in page, (path, page)
            seen += page["items"]
            cursor = page["next"]
        if seen != whole:
            wrong.append(f"{path}: {len(seen)} one by one, {len(whole)} at once")
        if path not in OWN_CURSORS:
            nowhere = await world.ask("get", f"{where}?after=nobody")
            if nowhere.json() != {"error": {"code": "cursor_unknown", "field": "after"}}:
                wrong.append(f"{path}: {nowhere.text}")
    assert wrong == [], "\n".join(wrong)


async def test_every_create_happens_once(world: World) -> None:
    """Repeated with its key it is the same object and the same answer; with another body the key is refused."""
    wrong, tried = [], 0
    for method, path, one in world.operations():
        if "201" not in one["responses"]:
            continue
        if all(field["name"] != "Idempotency-Key" for field in one["parameters"]):
            wrong.append(f"{path}: no key")
        if path in ELSEWHERE:
            continue
        # erasing is confirmed by the id of its address, so that an id that is nobody's is confirmed, too
        body = world.fill(BODIES.get((method, path)))
        if path == "/home":
            await world.ask("delete", "/home")
        first, again = [await world.ask(method, world.fill(path), body, Idempotency_Key=f"key {path}") for _ in range(2)]
        if first.status_code != 201 or first.json().get("id") != again.json().get("id"):
            wrong.append(f"{path}: {first.status_code} {first.text[:200]} {again.text[:200]}")
        if path in OTHERWISE and OTHERWISE[path] is None:
            tried += 1
            continue
        field = next((name for name in ("label", "title", "name", "until", "document") if name in body), "subject")
        another = {**body, field: "2026-10-12T21:00:00Z" if field == "until" else "khac.example"}
        another = world.fill(OTHERWISE.get(path, another))
        other = await world.ask(method, world.fill(path), another, Idempotency_Key=f"key {path}")
        if (other.status_code, other.json()) != (409, {"error": {"code": "key_used", "field": "Idempotency-Key"}}):
            wrong.append(f"{path}: {other.status_code} {other.text[:200]}")
        tried += 1
    assert wrong == [] and tried >= 8, "\n".join(wrong)


async def test_every_body_is_judged_by_its_fields(world: World, database: Database) -> None:
    """An unknown field, a field of another kind and a torn body: 422 with the field, and nothing changed."""
    before, wrong = await everything(database), []
    for (method, path), body in BODIES.items():
        where, sent = world.fill(path), world.fill(body)
        (name, *_) = sent
        for field, said in (("colour", {**sent, "colour": "red"}), (name, {**sent, name: {"a": [1]}})):
            response = await world.ask(method, where, said)
            fault = response.json()["error"]
            if response.status_code != 422 or field not in {row["field"].split(".")[0] for row in fault["fields"]} or not fault["code"]:
                wrong.append(f"{method} {path} {field}: {response.status_code} {response.text[:200]}")
        key = world.key_of(path)
        torn = await world.http.request(method, f"/api/v1{where}", content=b"{", headers={**key, "Content-Type": "application/json"})
        if torn.status_code != 422 or not torn.json()["error"]["code"]:
            wrong.append(f"{method} {path}: torn {torn.status_code} {torn.text[:200]}")
    assert wrong == [], "\n".join(wrong)
    assert await everything(database) == before


async def test_every_object_that_is_not_there_is_told_alike(world: World, database: Database) -> None:
    """404 `not_found`, whatever the method; nothing is changed."""
    before, wrong = await everything(database), []
    things = ("profile", "device", "request", "order_id", "assignment", "invitation", "sheet", "backup")
    nobody = dict.fromkeys((*things, "agency_id", "clock", "kind", "case_id"), "x" * 24) | {"serial": "99"}
    for method, path, _ in world.operations():
        if "{" not in path:
            continue
        # erasing is confirmed by the id of its address, so that an id that is nobody's is confirmed, too
        body = world.fill(BODIES.get((method, path)), **{"profile": nobody["profile"]} if path.endswith("/erase") else {})
        response = await world.ask(method, world.fill(path, **nobody), body)
        if (response.status_code, response.json()) != (404, {"error": {"code": "not_found", "field": None}}):
            wrong.append(f"{method} {path}: {response.status_code} {response.text[:200]}")
    assert wrong == [], "\n".join(wrong)
    assert await everything(database) == before
