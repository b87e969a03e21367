"""Sample data: a school and a family to look at, marked on every page, in force on the gateway, never beside real people."""

from __future__ import annotations

import json

import pytest
from starlette.types import ASGIApp

from admin.demo import CLASSES, fill
from admin.dependencies import Services
from admin.errors import Conflict
from gateway.policy.tenant import parse_policy_file
from tests.support.controlsocket import ScriptedGateway
from tests.support.visitor import Visitor


async def test_demo_makes_a_family_and_a_school_in_force(services: Services, gateway: ScriptedGateway) -> None:
    """Both policies reach the gateway and are sound: twelve classes, three children, guests at the strictest."""
    await fill(services)
    documents = [json.loads((services.settings.state_dir / "files" / name).read_text()) for name in gateway.policies.values() if name]
    for document in documents:
        parse_policy_file(document, services.shelves.current().catalogue)
    assert sorted(len(document["profiles"]) for document in documents) == [3 + 2, len(CLASSES) + 2]


async def test_sample_is_marked_on_every_page_and_passwords_are_new_each_time(
    services: Services, gateway: ScriptedGateway, visitor: Visitor, app: ASGIApp
) -> None:
    """Whoever signs in sees that nothing is real; requests wait; the password was made for this filling."""
    family, school = await fill(services)
    assert family.password != school.password
    assert min(len(one.password) for one in (family, school)) >= 20
    await visitor.sign_in(family.name, family.password)
    for path in ("/", "/requests", "/devices"):
        await visitor.get(path)
        assert visitor.response.status_code == 200
        assert "Dữ liệu mẫu" in visitor.text
    await visitor.get("/requests")
    assert "scratch.mit.edu" in visitor.text


async def test_demo_never_stands_beside_real_people(services: Services, gateway: ScriptedGateway) -> None:
    """A database that somebody has set up is left alone."""
    await fill(services)
    with pytest.raises(Conflict):
        await fill(services)
