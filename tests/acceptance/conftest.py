"""The acceptance tests of the seed documents: each row of the seeds is one test, on the control plane's own fixtures."""

from __future__ import annotations

from tests.admin.conftest import (
    app,
    clock,
    database,
    migrated_file,
    now,
    office_gateway,
    officers,
    pages,
    services,
    settings,
    site_for,
    storage,
    visitor,
)

__all__ = [
    "app",
    "clock",
    "database",
    "migrated_file",
    "now",
    "office_gateway",
    "officers",
    "pages",
    "services",
    "settings",
    "site_for",
    "storage",
    "visitor",
]
