"""Takedown: under which id of the overlay gateways know an entry, one for each set of dates of its document."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("takedown_entries", sa.Column("published_as", sa.Text(), nullable=True))
    op.execute("UPDATE takedown_entries SET published_as = coalesce(order_id, report_id) WHERE serial_in IS NOT NULL")
    op.execute("UPDATE schema_marks SET number = 6, oldest_code = 1")
