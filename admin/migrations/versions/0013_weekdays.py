"""Hours may hold on a single weekday: the lessons of a timetable. SQLite cannot change a check: the rows move to a new table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

KINDS = "days IN ('school', 'weekend', 'summer', 'holiday', 'exam', 'every', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')"
COLUMNS = "id, tenant_id, profile_id, days, starts, ends, effect, position"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_hours_days"), "hours", type_="check")
        op.create_check_constraint(op.f("ck_hours_days"), "hours", KINDS)
    else:
        op.drop_index("ix_hours_profile_id", "hours")
        op.drop_index("ix_hours_tenant_id", "hours")
        op.rename_table("hours", "hours_before")
        op.create_table(
            "hours",
            *(sa.Column(name, sa.Text(), nullable=False) for name in COLUMNS.split(", ")[:-1]),
            sa.Column("position", sa.Integer(), nullable=False),
            sa.CheckConstraint(KINDS, name=op.f("ck_hours_days")),
            sa.CheckConstraint("effect IN ('rest', 'study', 'offline')", name=op.f("ck_hours_effect")),
            sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=op.f("fk_hours_profile_id")),
            sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_hours_tenant_id")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_hours")),
        )
        op.execute(f"INSERT INTO hours ({COLUMNS}) SELECT {COLUMNS} FROM hours_before")
        op.drop_table("hours_before")
        op.create_index("ix_hours_profile_id", "hours", ["profile_id"], unique=False)
        op.create_index(op.f("ix_hours_tenant_id"), "hours", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 13, oldest_code = 1")
