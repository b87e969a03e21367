"""The shared register at its edges; the roads of the bodies stand in `acceptance/test_seed_003.py`."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.dependencies import Services
from tests.support.office import make_officers, officer


async def test_unknown_cases_are_not_found(app: ASGIApp, services: Services, now: datetime) -> None:
    """Neither another kind nor an invented id leads anywhere; an office without cases says so."""
    await make_officers(services.database, now)
    browser = await officer(app, "verifier")
    assert "Không có vụ việc nào" in (await browser.get("/office/cases")).text
    for path in ("/office/cases/report/x", "/office/cases/entry/x", "/office/cases/other/x"):
        assert (await browser.get(path)).status_code in (404, 422)
    await browser.close()
