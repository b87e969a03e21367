"""Writing the file of a tenant on demand, noted in the journal; shared by the page, the API and the command."""

from __future__ import annotations

from admin.audit import Act, Action, record
from admin.catalogue import Shelf
from admin.choices import read_choices
from admin.policyfile import read_rows
from admin.tenantfile import write_tenant
from blocklists.database import Database


async def export_tenant(database: Database, act: Act, name: str, shelf: Shelf, *, secrets: bool) -> str:
    """The text of the file. That it was written, and whether with the private names of phones, stands in the journal."""
    async with database.write() as connection:
        rows = await read_rows(connection, act.tenant, act.now)
        choices = await read_choices(connection, act.tenant)
        await record(connection, act, Action.TENANT_EXPORTED, act.tenant, basis="with private names" if secrets else None)
    return write_tenant(rows, name, choices, shelf, act.now, secrets=secrets)
