"""How often a wrong PIN was typed on a family's shared devices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("family_pins", sa.Column("wrong", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("family_pins", sa.Column("wrong_at", Instant(), nullable=True))
    op.execute("UPDATE schema_marks SET number = 21, oldest_code = 1")
