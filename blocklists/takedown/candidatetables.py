"""The rows about what may have to be blocked and stands for a person's decision, and the office's own clocks.

A candidate is a name with its evidence. It never blocks by itself, and it never comes from what a child asked. Clocks are dated settings: a
newer row wins from its first day, and what began before keeps the older one.

Joins the one MetaData of `blocklists.tables`; imported by `candidates`, `clocks`, and by `admin.migrate` so that the schema is whole.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Table, Text, UniqueConstraint

from blocklists.tables import Instant, id_column, metadata, one_of, tenant_column


class Origin(StrEnum):
    """Where a candidate comes from."""

    REPORT = "report"
    LIST = "list"
    LOOKALIKE = "lookalike"
    FAMILY = "family"


candidates = Table(
    "takedown_candidates",
    metadata,
    id_column(),
    tenant_column(),
    Column("host", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("origin", Text, nullable=False),
    # Which list, or which name it resembles: mistakes are counted for each source.
    Column("source", Text, nullable=False, default=""),
    # What speaks for it, in words of the program: the listed name it resembles, the codes of the reports.
    Column("evidence", Text, nullable=False, default=""),
    Column("found_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_by", Text, ForeignKey("accounts.id")),
    Column("decided_at", Instant),
    Column("reason", Text, nullable=False, default=""),
    Column("report_id", Text, ForeignKey("takedown_reports.id")),
    one_of("origin", Origin),
    CheckConstraint("state IN ('waiting', 'taken', 'refused')", name="state"),
    CheckConstraint("(state = 'waiting') = (decided_by IS NULL)", name="decided_by_somebody"),
    UniqueConstraint("tenant_id", "host", "origin", "source"),
    Index("ix_takedown_candidates_state", "tenant_id", "state"),
)

service_levels = Table(
    "takedown_service_levels",
    metadata,
    id_column(),
    tenant_column(),
    Column("clock", Text, nullable=False),
    Column("hours", Float, nullable=False),
    Column("basis", Text, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("set_by", Text, ForeignKey("accounts.id"), nullable=False),
    Column("set_at", Instant, nullable=False),
    CheckConstraint("hours > 0 AND hours <= 8784", name="hours"),
    UniqueConstraint("tenant_id", "clock", "valid_from"),
)
