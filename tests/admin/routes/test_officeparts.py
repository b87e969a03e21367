"""Which buttons a person sees: every capacity they have, none they lack."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.tenants import grant_role
from blocklists.tables import Role
from tests.support.office import make_officers, officer


async def test_a_person_with_both_roles_still_cannot_do_both_steps(app: ASGIApp, services: Services, now: datetime) -> None:
    """Both buttons may show, but the table refuses the same person twice."""
    people = await make_officers(services.database, now)
    async with services.database.write() as connection:
        await grant_role(connection, Act(people.tenant, MACHINE, now), people.verifier, Role.APPROVER)
    one = await officer(app, "verifier")
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": "Số: 5/QĐ-UBND\nbad.example\n", "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    assert not one.has_form(f"{path}/approve", ("step", "approve"))
    token = dict(one.forms[0].fields).get("_form", "")
    response = await one.post(f"{path}/approve", {"_form": token, "step": "approve"})
    await one.close()
    assert response.status_code == 409
    assert "không được tự phê duyệt" in one.text
