"""Passkeys of accounts, the moment a session saw a second factor, and the role of a further parent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0015"
down_revision = "0014"

ROLES = (
    "first_parent", "parent", "teacher", "school_admin", "verifier", "approver", "police_liaison", "child_liaison", "auditor", "observer",
    "operator",
)  # fmt: skip
ROLE_CHECK = f"role IN ({', '.join(repr(role) for role in ROLES)})"


def upgrade() -> None:
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("used_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_passkeys_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
        sa.UniqueConstraint("credential", name=op.f("uq_passkeys_credential")),
    )
    op.create_index(op.f("ix_passkeys_account_id"), "passkeys", ["account_id"], unique=False)
    op.add_column("sessions", sa.Column("second_at", Instant(), nullable=True))
    for table in ("role_assignments", "invitations"):
        name = op.f(f"ck_{table}_role")
        with op.batch_alter_table(table) as batch:  # SQLite makes the table anew
            batch.drop_constraint(name, type_="check")
            batch.create_check_constraint(name, ROLE_CHECK)
    op.execute("UPDATE schema_marks SET number = 15, oldest_code = 15")
