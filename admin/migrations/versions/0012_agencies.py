"""Bodies of the state with dates and successors, notes by body, candidates, the office's clocks; scope and basis chain of an order; four
further roles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0012"
down_revision = "0011"

ROLES = (
    "first_parent", "teacher", "school_admin", "verifier", "approver", "police_liaison", "child_liaison", "auditor", "observer", "operator",
)  # fmt: skip
ROLE_CHECK = f"role IN ({', '.join(repr(role) for role in ROLES)})"


def upgrade() -> None:
    _agencies()
    _notes()
    _candidates()
    _levels()
    op.add_column("takedown_orders", sa.Column("issuer_id", sa.Text(), nullable=True))
    op.add_column("takedown_orders", sa.Column("places", sa.Text(), nullable=False, server_default=""))
    op.add_column("takedown_orders", sa.Column("organisations", sa.Text(), nullable=False, server_default=""))
    op.drop_column("takedown_orders", "place_code")
    op.add_column("takedown_order_basis", sa.Column("parent_position", sa.Integer(), nullable=True))
    op.add_column("takedown_entries", sa.Column("owner_told_at", Instant(), nullable=True))
    op.add_column("takedown_entries", sa.Column("owner_told_by", sa.Text(), nullable=True))
    op.add_column("takedown_entries", sa.Column("owner_told_how", sa.Text(), nullable=False, server_default=""))
    op.add_column("role_assignments", sa.Column("agency_id", sa.Text(), nullable=True))
    op.add_column("invitations", sa.Column("agency_id", sa.Text(), nullable=True))
    op.add_column("invitations", sa.Column("role_until", Instant(), nullable=True))
    _widen("role_assignments")
    _widen("invitations")
    op.execute("UPDATE schema_marks SET number = 12, oldest_code = 12")


def _widen(table: str) -> None:
    """The four roles in the table's own check. SQLite makes the table anew."""
    name = op.f(f"ck_{table}_role")
    with op.batch_alter_table(table) as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, ROLE_CHECK)


def _agencies() -> None:
    table = "takedown_agencies"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("short", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("place_code", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.Text(), nullable=True),
        sa.Column("valid_until", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('ministry', 'committee', 'department', 'police', 'school_office', 'other')", name=op.f(f"ck_{table}_kind")
        ),
        sa.CheckConstraint("valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until", name=op.f(f"ck_{table}_days_in_order")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["takedown_agencies.id"], name=op.f(f"fk_{table}_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)
    table = "takedown_agency_successors"
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("old_id", sa.Text(), nullable=False),
        sa.Column("new_id", sa.Text(), nullable=False),
        sa.CheckConstraint("old_id <> new_id", name=op.f(f"ck_{table}_another")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["old_id"], ["takedown_agencies.id"], name=op.f(f"fk_{table}_old_id")),
        sa.ForeignKeyConstraint(["new_id"], ["takedown_agencies.id"], name=op.f(f"fk_{table}_new_id")),
        sa.PrimaryKeyConstraint("old_id", "new_id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)
    table = "takedown_agency_roles"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('list_owner', 'child_affairs', 'security', 'education')", name=op.f(f"ck_{table}_role")),
        sa.CheckConstraint("valid_until IS NULL OR valid_from < valid_until", name=op.f(f"ck_{table}_days_in_order")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["agency_id"], ["takedown_agencies.id"], name=op.f(f"fk_{table}_agency_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)


def _notes() -> None:
    table = "takedown_notes"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("agency_id", sa.Text(), nullable=True),
        sa.Column("object_kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("object_kind IN ('report', 'order', 'entry', 'review')", name=op.f(f"ck_{table}_object_kind")),
        sa.CheckConstraint("length(text) <= 500", name=op.f(f"ck_{table}_text_length")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["agency_id"], ["takedown_agencies.id"], name=op.f(f"fk_{table}_agency_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f(f"fk_{table}_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)
    op.create_index("ix_takedown_notes_object", table, ["object_id"], unique=False)


def _candidates() -> None:
    table = "takedown_candidates"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("found_at", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=True),
        sa.CheckConstraint("origin IN ('report', 'list', 'lookalike', 'family')", name=op.f(f"ck_{table}_origin")),
        sa.CheckConstraint("state IN ('waiting', 'taken', 'refused')", name=op.f(f"ck_{table}_state")),
        sa.CheckConstraint("(state = 'waiting') = (decided_by IS NULL)", name=op.f(f"ck_{table}_decided_by_somebody")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f(f"fk_{table}_decided_by")),
        sa.ForeignKeyConstraint(["report_id"], ["takedown_reports.id"], name=op.f(f"fk_{table}_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("tenant_id", "host", "origin", "source", name=op.f(f"uq_{table}_tenant_id")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)
    op.create_index("ix_takedown_candidates_state", table, ["tenant_id", "state"], unique=False)


def _levels() -> None:
    table = "takedown_service_levels"
    op.create_table(
        table,
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("hours", sa.Float(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", Instant(), nullable=False),
        sa.CheckConstraint("hours > 0 AND hours <= 8784", name=op.f(f"ck_{table}_hours")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f(f"fk_{table}_tenant_id")),
        sa.ForeignKeyConstraint(["set_by"], ["accounts.id"], name=op.f(f"fk_{table}_set_by")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("tenant_id", "clock", "valid_from", name=op.f(f"uq_{table}_tenant_id")),
    )
    op.create_index(op.f(f"ix_{table}_tenant_id"), table, ["tenant_id"], unique=False)
