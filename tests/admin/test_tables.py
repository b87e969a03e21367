"""Rules every table of the control plane keeps."""

from __future__ import annotations

import admin.tables
from blocklists.tables import metadata

#: Tables that belong to no single tenant: people, the organisations themselves, the machine's own marks.
WITHOUT_TENANT = {
    "organisations",
    "accounts",
    "role_assignments",
    "sessions",
    "known_browsers",
    "second_factors",
    "recovery_codes",
    "passkeys",
    "pin_accounts",
    "recovery_sheets",
    "schema_marks",
    "handovers",
    "takedown_receipts",
}


def test_every_table_names_its_tenant_or_stands_on_the_list() -> None:
    """A new table that forgets whose rows it holds is found here."""
    assert admin.tables.profiles.metadata is metadata
    without = {table.name for table in metadata.tables.values() if "tenant_id" not in table.c}
    assert without == WITHOUT_TENANT


def test_every_tenant_column_is_indexed() -> None:
    """A statement that names its tenant never walks another tenant's rows."""
    for table in metadata.tables.values():
        column = table.c.get("tenant_id")
        if column is None:
            continue
        led = column.primary_key or column.index or any(index.columns[0] is column for index in table.indexes)
        assert led, f"{table.name}.tenant_id has no index"
