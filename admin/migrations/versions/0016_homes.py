"""Homes whose public address changes, linked by a token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "home_links",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("ipv4", sa.Text(), nullable=True),
        sa.Column("ipv4_until", Instant(), nullable=True),
        sa.Column("ipv6", sa.Text(), nullable=True),
        sa.Column("ipv6_until", Instant(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=True),
        sa.Column("shared_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_home_links_tenant_id")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_home_links_device_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_home_links")),
    )
    op.create_index("ix_home_links_ipv4", "home_links", ["ipv4"], unique=False)
    op.create_index("ix_home_links_ipv6", "home_links", ["ipv6"], unique=False)
    op.execute("UPDATE schema_marks SET number = 16, oldest_code = 1")
