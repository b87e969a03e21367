"""The file of a family through the API."""

from __future__ import annotations

from datetime import timedelta

import httpx
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.permissions import Scope
from admin.sessions import create_token
from tests.admin.routes.test_transfer import labels
from tests.support.family import Family
from tests.support.visitor import ORIGIN


async def test_program_reads_and_writes_the_file(app: ASGIApp, services: Services, family: Family) -> None:
    """Under /api/v1/tenant: out, a dry run, in; a key that may only look cannot bring in; mistakes have fields."""
    keys = {}
    async with services.database.write() as connection:
        for name, scopes in (("look", {Scope.READ}), ("change", {Scope.READ, Scope.POLICY})):
            ends = services.now() + timedelta(days=1)
            _, keys[name] = await create_token(connection, family.tenant, family.account, name, frozenset(scopes), services.now(), ends)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.168.1.20", 40000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        look, change = ({"Authorization": f"Bearer {key}"} for key in (keys["look"], keys["change"]))
        text = (await http.get("/api/v1/tenant", headers=look)).text
        assert [(await http.get("/api/v1/tenant?secrets=true", headers=key)).status_code for key in (look, change)] == [403, 200]
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
