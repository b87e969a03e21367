"""Looking in by a document, walked by the operator, the family and the auditor."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act, read_rows
from admin.dependencies import Services
from admin.notices import Message
from admin.tenants import create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.office import Officers, enrol, officer
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor

DOCUMENT = "12/QĐ-STTTT"


@pytest.fixture
async def operator(app: ASGIApp, family: Family, database: Database, now: datetime) -> AsyncIterator[Visitor]:
    """The gateway's operator, signed in with a second step."""
    await make_person(database, now - timedelta(days=1), "van-hanh", OrganisationKind.OPERATOR, Role.OPERATOR)
    browser = Visitor(app, "192.168.1.80")
    await browser.sign_in("van-hanh", PASSWORD, kept=True)
    yield browser
    await browser.close()


async def look_in(operator: Visitor, hours: str = "2") -> None:
    await operator.get("/emergency")
    await operator.submit("/emergency", {"sign_in": "me", "document": DOCUMENT, "hours": hours})


async def test_the_whole_walk(
    operator: Visitor, visitor: Visitor, family: Family, gateway: ScriptedGateway, clock: Clock, services: Services
) -> None:
    """Without a second factor nothing opens. With one the operator sees the settings and can change nothing; the family reads who, why and
    until when, and ends it with one press; afterwards the operator sees nothing, and the family's page still says that it was."""
    await services.applier.settle(family.tenant)
    await operator.get("/more")
    assert "/emergency" in operator.links
    await look_in(operator)
    assert operator.has_form("/account/factor/begin"), "the password alone opens nobody's settings"
    await enrol(operator)
    await look_in(operator)
    assert "đến 21:30" in operator.text and DOCUMENT in operator.text
    await operator.submit("/organisation", button=("organisation", family.tenant))
    assert operator.response.url.path == "/" and "Bi" in operator.text and "theo văn bản" in operator.text
    await operator.get(f"/profiles/{family.bi.id}")
    assert operator.response.status_code == 200
    for path in ("/requests", "/journal", f"/profiles/{family.bi.id}/history", "/transfer", "/tokens", "/people"):
        refused = await operator.get(path)
        assert refused.status_code in (403, 404) or "Bi" not in operator.text, path
    form = re.findall(r'name="_form" value="(\w+)"', (await operator.get("/more")).text)[0]
    for path in (f"/profiles/{family.bi.id}/off", f"/devices/{family.bi_phone}/forget", "/choices"):
        assert (await operator.post(path, {"_form": form})).status_code in (401, 403, 404), path

    await visitor.sign_in("me", PASSWORD)
    assert f"Người vận hành đang xem các thiết lập ở đây, theo văn bản {DOCUMENT}" in visitor.text and "Người van-hanh" in visitor.text
    (action,) = [one.action for one in visitor.forms if one.action.startswith("/emergency/")]
    await visitor.submit(action)
    assert "Người vận hành đã xem các thiết lập ở đây" in visitor.text and not visitor.has_form(action)
    assert (await operator.get(f"/profiles/{family.bi.id}")).status_code in (403, 404)
    await visitor.get("/journal")
    assert "Người vận hành xem thiết lập theo văn bản" in visitor.text
    clock.forward(days=8)
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/")
    assert "Người vận hành đã xem" not in visitor.text


async def test_it_ends_by_itself_and_the_operator_may_be_done_sooner(
    operator: Visitor, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """After its hours the open page shows nothing more; a wrong name and a missing document are mistakes of the form."""
    await operator.get("/account")
    await enrol(operator)
    await operator.get("/emergency")
    await operator.submit("/emergency", {"sign_in": "nobody", "document": DOCUMENT, "hours": "1"})
    assert operator.response.status_code == 422 and operator.has_form("/emergency")
    await look_in(operator, "1")
    await operator.get("/emergency")
    await operator.submit("/emergency", {"sign_in": "me", "document": DOCUMENT, "hours": "1"})
    assert operator.response.status_code == 422, "it is open already"
    (action,) = [one.action for one in operator.forms if one.action.endswith("/done")]
    await operator.submit(action)
    assert "đã hết" in operator.text
    await look_in(operator, "1")
    await operator.submit("/organisation", button=("organisation", family.tenant))
    assert "Bi" in operator.text
    clock.forward(minutes=61)
    assert (await operator.get(f"/profiles/{family.bi.id}")).status_code in (403, 404) and "Bi" not in operator.text


async def test_a_person_with_two_places_is_asked_which(
    operator: Visitor, family: Family, database: Database, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """The form comes back with both to choose from, and what was typed; the message and the journal are those of the school."""
    sent: list[tuple[str, str]] = []

    def announce(tenant: str, choices: object, message: Message, at: datetime, *, is_urgent: bool = False) -> bool:
        sent.append((tenant, message.subject))
        return is_urgent

    services.post.announce = announce  # type: ignore[method-assign,assignment]  # what would be sent
    async with database.write() as connection:
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường Hoa Sen", "vi", now)
        await grant_role(connection, Act(school, MACHINE, now), family.account, Role.SCHOOL_ADMIN)
    await operator.get("/account")
    await enrol(operator)
    await look_in(operator, "4")
    assert operator.response.status_code == 422 and "Trường Hoa Sen (trường học)" in operator.text
    assert f'value="{DOCUMENT}"' in operator.response.text
    await operator.submit("/emergency", {"place": school})
    assert "một trường" in operator.text and "đến 23:30" in operator.text
    assert sent == [(school, "Lá Chắn: có người vận hành xem thiết lập của trường bạn")]
    async with database.read() as connection:
        assert "glass.broken" not in [row.action for row in await read_rows(connection, family.tenant, 9)]


async def test_the_auditor_is_told_on_the_first_page(
    operator: Visitor, app: ASGIApp, family: Family, officers: Officers, database: Database, now: datetime, gateway: ScriptedGateway
) -> None:
    """And reads which document and who, not which family; a verifier is not told, and cannot open the list."""
    await operator.get("/account")
    await enrol(operator)
    await look_in(operator)
    async with database.write() as connection:
        await grant_role(connection, Act(officers.tenant, MACHINE, now), officers.second, Role.AUDITOR)
    auditor, verifier = await officer(app, "second"), await officer(app, "verifier", "192.168.1.33")
    await auditor.get("/office")
    assert DOCUMENT in auditor.text and "/emergency" in auditor.links
    await auditor.get("/emergency")
    assert "một gia đình" in auditor.text and "Nhà mình" not in auditor.text and not auditor.has_form("/emergency")
    await verifier.get("/office")
    assert DOCUMENT not in verifier.text
    assert (await verifier.get("/emergency")).status_code in (403, 404)
    for one in (auditor, verifier):
        await one.close()
