"""The rows about bodies of the state: what they are called and when, who followed whom, which role they hold, and their notes on cases.

Bodies are data of the office with dates: renaming one is a row, not a change of the program. They are no tenants: nobody signs in to one,
no policy hangs on one. Days are texts (`2025-07-01`), the first day of a role or name, and the first day on which it is over.

Joins the one MetaData of `blocklists.tables`; imported by `agencies`, `notes`, and by `admin.migrate` so that the schema is whole.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from blocklists.tables import Instant, id_column, metadata, one_of, tenant_column


class AgencyKind(StrEnum):
    """What a body is."""

    DEPARTMENT = "department"
    COMMITTEE = "committee"
    MINISTRY = "ministry"
    POLICE = "police"
    SCHOOL_OFFICE = "school_office"
    OTHER = "other"


class AgencyRole(StrEnum):
    """What a body is charged with, for a period, by a document."""

    LIST_OWNER = "list_owner"
    CHILD_AFFAIRS = "child_affairs"
    SECURITY = "security"
    EDUCATION = "education"


agencies = Table(
    "takedown_agencies",
    metadata,
    id_column(),
    tenant_column(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("short", Text, nullable=False, default=""),
    Column("parent_id", Text, ForeignKey("takedown_agencies.id")),
    # What the code meant on the body's own days; see `blocklists.places`.
    Column("place_code", Text),
    Column("valid_from", Text),
    Column("valid_until", Text),
    # The document that ended it.
    Column("basis", Text, nullable=False, default=""),
    one_of("kind", AgencyKind),
    CheckConstraint("valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until", name="days_in_order"),
)

agency_successors = Table(
    "takedown_agency_successors",
    metadata,
    tenant_column(),
    Column("old_id", Text, ForeignKey("takedown_agencies.id"), primary_key=True),
    Column("new_id", Text, ForeignKey("takedown_agencies.id"), primary_key=True),
    CheckConstraint("old_id <> new_id", name="another"),
)

agency_roles = Table(
    "takedown_agency_roles",
    metadata,
    id_column(),
    tenant_column(),
    Column("role", Text, nullable=False),
    Column("agency_id", Text, ForeignKey("takedown_agencies.id"), nullable=False),
    # For which place; empty: wherever the office works.
    Column("place_code", Text, nullable=False, default=""),
    Column("valid_from", Text, nullable=False),
    Column("valid_until", Text),
    Column("basis", Text, nullable=False),
    one_of("role", AgencyRole),
    CheckConstraint("valid_until IS NULL OR valid_from < valid_until", name="days_in_order"),
)

notes = Table(
    "takedown_notes",
    metadata,
    id_column(),
    tenant_column(),
    # Whose note it is: only people of this body read it. Empty: the office's own.
    Column("agency_id", Text, ForeignKey("takedown_agencies.id")),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id"), nullable=False),
    CheckConstraint("object_kind IN ('report', 'order', 'entry', 'review')", name="object_kind"),
    CheckConstraint("length(text) <= 500", name="text_length"),
    Index("ix_takedown_notes_object", "object_id"),
)
