"""What families agree to and choose: consented history, watching first, waiting before opening, notices, their own dates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "category_totals",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("blocked", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_category_totals_tenant_id")),
        sa.PrimaryKeyConstraint("site_id", "day", "category", name=op.f("pk_category_totals")),
    )
    op.create_index(op.f("ix_category_totals_tenant_id"), "category_totals", ["tenant_id"], unique=False)
    op.create_table(
        "family_choices",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("cooling_minutes", sa.Integer(), nullable=False),
        sa.Column("ripe_at", Instant(timezone=True), nullable=True),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.Column("hook", sa.Text(), nullable=False),
        sa.Column("digest", sa.Integer(), nullable=False),
        sa.Column("digest_week", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_family_choices_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_family_choices")),
    )
    op.create_table(
        "history_consents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("child_agreed", sa.Integer(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("given_at", Instant(timezone=True), nullable=False),
        sa.Column("ended_at", Instant(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["given_by"], ["accounts.id"], name=op.f("fk_history_consents_given_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_history_consents_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_consents")),
    )
    op.create_index("ix_history_consents_profile_id", "history_consents", ["profile_id"], unique=False)
    op.create_index(op.f("ix_history_consents_tenant_id"), "history_consents", ["tenant_id"], unique=False)
    op.create_table(
        "own_dates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("last", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('exam', 'holiday', 'summer')", name=op.f("ck_own_dates_kind")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_own_dates_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_dates")),
    )
    op.create_index(op.f("ix_own_dates_tenant_id"), "own_dates", ["tenant_id"], unique=False)
    op.create_table(
        "history_keys",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("locked", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_history_keys_profile_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_history_keys_tenant_id")),
        sa.PrimaryKeyConstraint("profile_id", name=op.f("pk_history_keys")),
    )
    op.create_index(op.f("ix_history_keys_tenant_id"), "history_keys", ["tenant_id"], unique=False)
    op.create_table(
        "history_rows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("hour", Instant(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_history_rows_profile_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_history_rows_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_rows")),
    )
    op.create_index("ix_history_rows_hour", "history_rows", ["hour"], unique=False)
    op.create_index("ix_history_rows_profile_id", "history_rows", ["profile_id", "hour"], unique=False)
    op.create_index(op.f("ix_history_rows_tenant_id"), "history_rows", ["tenant_id"], unique=False)
    op.create_table(
        "watches",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("starts_at", Instant(timezone=True), nullable=False),
        sa.Column("ends_at", Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_watches_profile_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_watches_tenant_id")),
        sa.PrimaryKeyConstraint("profile_id", name=op.f("pk_watches")),
    )
    op.create_index(op.f("ix_watches_tenant_id"), "watches", ["tenant_id"], unique=False)
    _more_kinds_of_days()
    op.execute("UPDATE schema_marks SET number = 5, oldest_code = 1")


def _more_kinds_of_days() -> None:
    """Hours may hold on holidays and exam days, too. SQLite cannot change a check: the rows move to a new table."""
    kinds = "days IN ('school', 'weekend', 'summer', 'holiday', 'exam', 'every')"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_hours_days"), "hours", type_="check")
        op.create_check_constraint(op.f("ck_hours_days"), "hours", kinds)
        return
    op.drop_index("ix_hours_profile_id", "hours")
    op.drop_index("ix_hours_tenant_id", "hours")
    op.rename_table("hours", "hours_before")
    op.create_table(
        "hours",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("days", sa.Text(), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("ends", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint(kinds, name=op.f("ck_hours_days")),
        sa.CheckConstraint("effect IN ('rest', 'study', 'offline')", name=op.f("ck_hours_effect")),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_hours_profile_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_hours_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hours")),
    )
    columns = "id, tenant_id, profile_id, days, starts, ends, effect, position"
    op.execute(f"INSERT INTO hours ({columns}) SELECT {columns} FROM hours_before")
    op.drop_table("hours_before")
    op.create_index("ix_hours_profile_id", "hours", ["profile_id"], unique=False)
    op.create_index(op.f("ix_hours_tenant_id"), "hours", ["tenant_id"], unique=False)
