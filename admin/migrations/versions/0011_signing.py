"""Officers' signing keys, how many approvers sign, and the gateways that joined with the newest receipt of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("retired_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_signing_keys_tenant_id")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_signing_keys_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
        sa.UniqueConstraint("keyid", name=op.f("uq_signing_keys_keyid")),
    )
    op.create_index(op.f("ix_signing_keys_tenant_id"), "signing_keys", ["tenant_id"], unique=False)
    op.create_table(
        "signing_rules",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.CheckConstraint("threshold BETWEEN 1 AND 9", name=op.f("ck_signing_rules_threshold")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_signing_rules_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_signing_rules")),
    )
    op.create_table(
        "office_gateways",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("ticket_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ticket_ends_at", Instant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("public", sa.Text(), nullable=True),
        sa.Column("joined_at", Instant(), nullable=True),
        sa.Column("retired_at", Instant(), nullable=True),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("in_force_at", Instant(), nullable=True),
        sa.Column("journal_seq", sa.Integer(), nullable=True),
        sa.Column("journal_digest", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=False),
        sa.Column("refused_at", Instant(), nullable=True),
        sa.CheckConstraint("(public IS NULL) = (joined_at IS NULL)", name=op.f("ck_office_gateways_joined_with_a_key")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_office_gateways_tenant_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_office_gateways_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_office_gateways")),
        sa.UniqueConstraint("ticket_hash", name=op.f("uq_office_gateways_ticket_hash")),
        sa.UniqueConstraint("public", name=op.f("uq_office_gateways_public")),
    )
    op.create_index(op.f("ix_office_gateways_tenant_id"), "office_gateways", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 11, oldest_code = 1")
