"""What an education department closes in the schools of its place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "school_rules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("lifted_at", Instant(), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name=op.f("ck_school_rules_lifted_by_document")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_school_rules_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_school_rules")),
    )
    op.create_index(op.f("ix_school_rules_tenant_id"), "school_rules", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_school_rules_place_code"), "school_rules", ["place_code"], unique=False)
    op.execute("UPDATE schema_marks SET number = 20, oldest_code = 1")
