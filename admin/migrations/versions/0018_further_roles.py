"""Two further roles: the education department of a province, and the operator who looks in by a document."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

ROLES = (
    "first_parent", "parent", "teacher", "school_admin", "edu_admin", "verifier", "approver", "police_liaison", "child_liaison", "auditor",
    "observer", "operator", "emergency",
)  # fmt: skip
ROLE_CHECK = f"role IN ({', '.join(repr(role) for role in ROLES)})"


def upgrade() -> None:
    for table in ("role_assignments", "invitations"):
        name = op.f(f"ck_{table}_role")
        with op.batch_alter_table(table) as batch:  # SQLite makes the table anew
            batch.drop_constraint(name, type_="check")
            batch.create_check_constraint(name, ROLE_CHECK)
    op.execute("UPDATE schema_marks SET number = 18, oldest_code = 18")
