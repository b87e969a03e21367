"""What would have been blocked while a family only watched, beside what was blocked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("daily_totals", sa.Column("watched", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE schema_marks SET number = 6, oldest_code = 1")
