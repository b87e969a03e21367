"""Returns to an earlier version of the list, and which version brought an entry first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0008"
down_revision = "0007"

TABLE = "takedown_returns"


def upgrade() -> None:
    op.add_column("takedown_entries", sa.Column("first_serial", sa.Integer(), nullable=True))
    op.add_column("takedown_entries", sa.Column("return_id", sa.Text(), nullable=True))
    op.execute("UPDATE takedown_entries SET first_serial = serial_in")
    op.create_table(
        TABLE,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("to_serial", sa.Integer(), nullable=False),
        sa.Column("dropped", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'confirmed', 'refused', 'lapsed')", name=op.f(f"ck_{TABLE}_state")),
        sa.CheckConstraint(
            "created_by IS NULL OR decided_by IS NULL OR created_by <> decided_by", name=op.f(f"ck_{TABLE}_created_by_not_decided_by")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{TABLE}_tenant_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f(f"fk_{TABLE}_created_by")),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f(f"fk_{TABLE}_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(op.f(f"ix_{TABLE}_tenant_id"), TABLE, ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 8, oldest_code = 1")
