"""The file of a family through the page and the API."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.permissions import Scope
from admin.profiles import list_profiles
from admin.sessions import create_token
from blocklists.tables import journal
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import ORIGIN, Visitor


@pytest.fixture
async def parent(visitor: Visitor, family: Family) -> Visitor:
    """The mother, on her own phone."""
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def labels(services: Services, family: Family) -> list[str]:
    async with services.database.read() as connection:
        return [profile.label for profile in await list_profiles(connection, family.tenant)]


async def choose(parent: Visitor, data: bytes) -> None:
    """Choose a file on the page."""
    await parent.get("/transfer")
    token = dict(next(form for form in parent.forms if form.action == "/transfer/read").fields)["_form"]
    sent = await parent.http.post(
        "/transfer/read", data={"_form": token}, files={"file": ("f.yaml", data)}, headers={"Origin": ORIGIN}
    )
    await parent._follow(sent)


async def test_parent_takes_the_file_along_and_brings_it_in(
    parent: Visitor, services: Services, family: Family, clock: Clock, gateway: ScriptedGateway
) -> None:
    """Written after the password; looked at without changing anything; put in place after the password, and in force."""
    await parent.get("/more")
    assert "/transfer" in parent.links
    clock.forward(minutes=11)
    await parent.get("/transfer")
    await parent.submit("/transfer/export")
    assert parent.response.status_code == 401
    await parent.submit("/transfer/export", {"_password": PASSWORD})
    text = parent.response.text
    assert parent.response.headers["content-disposition"].endswith('.yaml"') and "label: Bi" in text

    await choose(parent, text.encode())
    assert "Không có gì" in parent.text and not parent.has_form("/transfer/apply")
    edited = text.replace("label: Bi", "label: <b>Bin</b>").replace("band: PT", "band: CS")
    await choose(parent, edited.encode())
    assert "<b>Bin</b>: đổi tên, độ tuổi hoặc thiết lập." in parent.text
    assert await labels(services, family) == ["Bi", "Na", "Người lớn", "Khách và thiết bị mới"]
    clock.forward(minutes=11)
    await parent.submit("/transfer/apply")
    assert parent.response.status_code == 401
    await parent.submit("/transfer/apply", {"_password": PASSWORD})
    assert "Xong: tệp đã được áp dụng." in parent.text
    assert await labels(services, family) == ["<b>Bin</b>", "Na", "Người lớn", "Khách và thiết bị mới"]
    in_force = (services.settings.state_dir / "files" / gateway.policies[family.tenant]).read_bytes()
    assert b'"CS"' in in_force and b'"PT"' not in in_force
    async with services.database.read() as connection:
        acts = list((await connection.execute(select(journal.c.action).where(journal.c.tenant_id == family.tenant))).scalars())
    assert acts.count("tenant.exported") == 1 and acts.count("tenant.imported") == 1


async def test_mistakes_are_shown_with_their_places(parent: Visitor, services: Services, family: Family) -> None:
    """Every mistake with line and path, in the reader's language; nothing changes. A file that is none is one sentence."""
    start = b"format: 1\nkind: family\nsites: [{name: x}]\nprofiles:\n"
    await choose(parent, start + b"- {kind: child, label: Bi, band: TH, deny: [tongdai111.vn]}\n")
    assert parent.response.status_code == 422
    assert "5: profiles[0].deny[0]" in parent.text and "luôn mở" in parent.text and "4: profiles" in parent.text
    await choose(parent, b"")
    assert parent.response.status_code == 422
    await choose(parent, b"x" * 700_000)
    assert parent.response.status_code == 413
    assert len(await labels(services, family)) == 4


async def test_program_reads_and_writes_the_file(app: ASGIApp, services: Services, family: Family) -> None:
    """Under /api/v1/tenant: out, a dry run, in; a key that may only look cannot bring in; mistakes have fields."""
    keys = {}
    async with services.database.write() as connection:
        for name, scopes in (("look", {Scope.READ}), ("change", {Scope.READ, Scope.POLICY})):
            ends = services.now() + timedelta(days=1)
            _, keys[name] = await create_token(
                connection, family.tenant, family.account, name, frozenset(scopes), services.now(), ends
            )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.168.1.20", 40000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        look, change = ({"Authorization": f"Bearer {key}"} for key in (keys["look"], keys["change"]))
        text = (await http.get("/api/v1/tenant", headers=look)).text
        edited = text.replace("label: Bi", "label: Bin")
        assert (await http.put("/api/v1/tenant", content=edited.encode(), headers=look)).status_code == 403
        dry = (await http.put("/api/v1/tenant?dry_run=true", content=edited.encode(), headers=change)).json()
        assert dry == {"applied": False, "changes": [{"what": "changed", "part": "profile", "label": "Bin", "of": "", "number": 1}]}
        assert "Bi" in await labels(services, family)
        assert (await http.put("/api/v1/tenant", content=edited.encode(), headers=change)).json()["applied"]
        assert "Bin" in await labels(services, family)
        wrong = await http.put("/api/v1/tenant", content=text.replace("band: TH", "band: XX").encode(), headers=change)
        assert wrong.status_code == 422
        (field,) = wrong.json()["error"]["fields"]
        assert field["code"] == "file" and field["field"].endswith("profiles[0].band") and "must be" in field["message"]
