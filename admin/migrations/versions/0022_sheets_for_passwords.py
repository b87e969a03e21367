"""Recovery sheets also for accounts with a password: who signs in with a PIN stands in a table of its own from here on.

A program from before takes every account that has a sheet for one with a PIN, and would let six digits take a password's place: it is
refused (`oldest_code`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "pin_accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_pin_accounts_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_pin_accounts")),
    )
    op.execute("INSERT INTO pin_accounts (account_id) SELECT account_id FROM recovery_sheets")
    op.add_column("recovery_sheets", sa.Column("used_at", Instant(), nullable=True))
    op.execute("UPDATE schema_marks SET number = 22, oldest_code = 22")
