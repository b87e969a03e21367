"""Tables of the list office's room that are not takedown itself: invitations of officers.

Joins the one MetaData of `blocklists.tables`; imported by `admin.invitations` and by `admin.migrate`.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from blocklists.tables import Instant, Role, id_column, metadata, one_of, tenant_column

invitations = Table(
    "invitations",
    metadata,
    id_column(),
    tenant_column(),
    # SHA-256 of the link's 256 random bits; the link itself is stored nowhere.
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("role", Text, nullable=False),
    # The document that appoints the person.
    Column("basis", Text, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id")),
    # Where officers exist already, a second one must agree before there is a link.
    Column("seconded_by", Text, ForeignKey("accounts.id")),
    Column("created_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("account_id", Text, ForeignKey("accounts.id")),
    Column("withdrawn_at", Instant),
    one_of("role", Role),
    CheckConstraint("seconded_by IS NULL OR created_by <> seconded_by", name="two_officers"),
    CheckConstraint("(accepted_at IS NULL) = (account_id IS NULL)", name="accepted_by_somebody"),
)
