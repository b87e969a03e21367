"""The acceptance tests of the seed documents: each row of the seeds is one test, on the control plane's own fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from admin.settings import AdminSettings
from blocklists.database import Database
from tests.admin.conftest import app, clock, database, migrated_file, now, pages, services, settings, storage, visitor
from tests.support.office import OfficeGateway, Officers, make_officers

__all__ = ["app", "clock", "database", "migrated_file", "now", "pages", "services", "settings", "storage", "visitor"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


@pytest.fixture
async def office_gateway(settings: AdminSettings) -> AsyncIterator[OfficeGateway]:
    """A gateway that keeps the orders it is given."""
    running = OfficeGateway(settings.state_dir)
    await running.start()
    yield running
    await running.stop()
