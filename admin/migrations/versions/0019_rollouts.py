"""Releases that go out in stages: what gateways say of them, how each stands, and the office's rule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    for name in ("fault", "health"):
        op.add_column("office_gateways", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for name in ("waits_for", "kept"):
        op.add_column("office_gateways", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "rollout_rules",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("is_on", sa.Integer(), nullable=False),
        sa.Column("first_share", sa.Integer(), nullable=False),
        sa.Column("second_share", sa.Integer(), nullable=False),
        sa.Column("second_after", sa.Integer(), nullable=False),
        sa.Column("all_after", sa.Integer(), nullable=False),
        sa.CheckConstraint("0 < first_share AND first_share < second_share AND second_share < 100", name=op.f("ck_rollout_rules_shares")),
        sa.CheckConstraint("0 < second_after AND second_after < all_after", name=op.f("ck_rollout_rules_times")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_rollout_rules_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_rollout_rules")),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("held_at", Instant(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('going', 'held', 'done', 'passed')", name=op.f("ck_rollouts_state")),
        sa.CheckConstraint("held_by IS NULL OR decided_by IS NULL OR held_by <> decided_by", name=op.f("ck_rollouts_two_persons")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_rollouts_tenant_id")),
        sa.ForeignKeyConstraint(["held_by"], ["accounts.id"], name=op.f("fk_rollouts_held_by")),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f("fk_rollouts_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
        sa.UniqueConstraint("tenant_id", "serial", name=op.f("uq_rollouts_tenant_id")),
    )
    op.create_index(op.f("ix_rollouts_tenant_id"), "rollouts", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 19, oldest_code = 1")
