"""Families on somebody else's gateway: what a host prints, who joined, recovery sheets, renewals of a PIN in person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "join_codes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_join_codes_tenant_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_join_codes_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join_codes")),
        sa.UniqueConstraint("code", name=op.f("uq_join_codes_code")),
    )
    op.create_index(op.f("ix_join_codes_tenant_id"), "join_codes", ["tenant_id"], unique=False)
    op.create_table(
        "hosted_families",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("code_id", sa.Text(), nullable=False),
        sa.Column("joined_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_hosted_families_tenant_id")),
        sa.ForeignKeyConstraint(["host_id"], ["organisations.id"], name=op.f("fk_hosted_families_host_id")),
        sa.ForeignKeyConstraint(["code_id"], ["join_codes.id"], name=op.f("fk_hosted_families_code_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_hosted_families")),
    )
    op.create_index("ix_hosted_families_host_id", "hosted_families", ["host_id"], unique=False)
    op.create_table(
        "recovery_sheets",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("made_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_recovery_sheets_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_recovery_sheets")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_recovery_sheets_secret_hash")),
    )
    op.create_table(
        "pin_renewals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("host_name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("opens_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("stopped_at", Instant(), nullable=True),
        sa.Column("used_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_pin_renewals_tenant_id")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_pin_renewals_account_id")),
        sa.ForeignKeyConstraint(["host_id"], ["organisations.id"], name=op.f("fk_pin_renewals_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pin_renewals")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_pin_renewals_secret_hash")),
    )
    op.create_index(op.f("ix_pin_renewals_tenant_id"), "pin_renewals", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 10, oldest_code = 1")
