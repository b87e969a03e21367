"""What was closed in the place that a school leaves holds on for a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "school_moves",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=False),
        sa.Column("moved_at", Instant(), nullable=False),
        sa.Column("holds_until", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_school_moves_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_school_moves")),
    )
    op.create_index(op.f("ix_school_moves_place_code"), "school_moves", ["place_code"], unique=False)
    op.execute("UPDATE schema_marks SET number = 23, oldest_code = 22")
