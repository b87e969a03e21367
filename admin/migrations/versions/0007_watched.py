"""What would have been blocked while a family only watched, beside what was blocked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("daily_totals", sa.Column("watched", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE schema_marks SET number = 7, oldest_code = 1")
