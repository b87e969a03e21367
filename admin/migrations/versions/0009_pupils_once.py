"""Which school a request to look again came from, as a keyed digest: its pupils count once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("takedown_reviews", sa.Column("site_digest", sa.Text(), nullable=True))
    op.execute("UPDATE schema_marks SET number = 9, oldest_code = 1")
