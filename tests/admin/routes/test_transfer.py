"""The file of a family through the page and the API."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from admin.dependencies import Services
from admin.profiles import list_profiles
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
    sent = await parent.http.post("/transfer/read", data={"_form": token}, files={"file": ("f.yaml", data)}, headers={"Origin": ORIGIN})
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
