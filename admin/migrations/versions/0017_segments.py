"""Takedown: the files a version stands on, and indexes for the few entries that come or leave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("takedown_versions", sa.Column("chain", sa.Text(), nullable=False, server_default=""))
    coming = sa.text("serial_in IS NULL")
    leaving = sa.text("serial_out IS NULL")
    columns = ["tenant_id", "state"]
    op.drop_index("ix_takedown_entries_state", "takedown_entries")
    op.create_index("ix_takedown_entries_state", "takedown_entries", ["tenant_id", "state", "valid_until"])
    op.create_index("ix_takedown_entries_coming", "takedown_entries", columns, sqlite_where=coming, postgresql_where=coming)
    op.create_index("ix_takedown_entries_leaving", "takedown_entries", columns, sqlite_where=leaving, postgresql_where=leaving)
    op.create_index("ix_takedown_entries_serial_in", "takedown_entries", ["tenant_id", "serial_in"])
    op.create_index("ix_takedown_entries_serial_out", "takedown_entries", ["tenant_id", "serial_out"])
    # Under which id gateways know an entry is kept only while they do.
    op.execute("UPDATE takedown_entries SET published_as = NULL WHERE serial_out IS NOT NULL")
    op.execute("UPDATE schema_marks SET number = 17, oldest_code = 1")
