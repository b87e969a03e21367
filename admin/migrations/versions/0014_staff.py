"""Staff enrol their own devices by an invitation, until the term ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "staff_invitations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_staff_invitations_tenant_id")),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_staff_invitations_profile_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_staff_invitations_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_invitations")),
        sa.UniqueConstraint("code", name=op.f("uq_staff_invitations_code")),
    )
    op.create_index(op.f("ix_staff_invitations_tenant_id"), "staff_invitations", ["tenant_id"], unique=False)
    op.create_table(
        "device_ends",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_device_ends_tenant_id")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_device_ends_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_ends")),
    )
    op.create_index(op.f("ix_device_ends_tenant_id"), "device_ends", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 14, oldest_code = 1")
