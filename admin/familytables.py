"""Tables of what families agree to and choose: the consented history, watching first, waiting before opening, notices, dates of their own.

Joins the one MetaData of `blocklists.tables`; imported by the rooms that use them and by `admin.migrate`.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from admin.values import DatesKind
from blocklists.tables import Instant, id_column, metadata, one_of, tenant_column

#: One agreement. It names a profile by its random id only and outlives the child's data, as a proof of what was agreed.
history_consents = Table(
    "history_consents",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, nullable=False),
    Column("given_by", Text, ForeignKey("accounts.id")),
    Column("purpose", Text, nullable=False),
    # Names or categories: decided by the band at that moment.
    Column("kinds", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("days", Integer, nullable=False),
    Column("child_agreed", Integer, nullable=False),
    Column("text_version", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("given_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("ix_history_consents_profile_id", "profile_id"),
)

history_keys = Table(
    "history_keys",
    metadata,
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), primary_key=True),
    # Anybody may seal with the public half; the private half is locked by a code that only the family has.
    Column("public", LargeBinary(32), nullable=False),
    Column("locked", LargeBinary, nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("days", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
)

history_rows = Table(
    "history_rows",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    # The full hour, for forgetting in time; what happened in it is sealed.
    Column("hour", Instant, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_history_rows_profile_id", "profile_id", "hour"),
    Index("ix_history_rows_hour", "hour"),
)

watches = Table(
    "watches",
    metadata,
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), primary_key=True),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
)

family_choices = Table(
    "family_choices",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    # Minutes to wait before anything is opened; zero: none.
    Column("cooling_minutes", Integer, nullable=False, default=0),
    Column("ripe_at", Instant),
    # Where to say that a request waits; empty: nowhere.
    Column("mail", Text, nullable=False, default=""),
    Column("hook", Text, nullable=False, default=""),
    Column("digest", Integer, nullable=False, default=0),
    Column("digest_week", Text, nullable=False, default=""),
)

own_dates = Table(
    "own_dates",
    metadata,
    id_column(),
    tenant_column(),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False, default=""),
    # Days as written, "2026-12-21", both included.
    Column("first", Text, nullable=False),
    Column("last", Text, nullable=False),
    one_of("kind", DatesKind),
)

#: Blocks of a school's place on one day by category: no class, no device, no name.
category_totals = Table(
    "category_totals",
    metadata,
    tenant_column(),
    Column("site_id", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("blocked", Integer, nullable=False, default=0),
)
