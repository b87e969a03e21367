"""The rows of takedown: orders, their basis, items, entries, directives, bulletins, reports, reviews, published versions and receipts.

Distinct persons are constraints here as well as conditions of the workflow: the database refuses a row whose verifier is its approver,
and a review decided by somebody who took part. Nothing is deleted. A host part is all that is kept of an address: no path, no query, no
picture; of a place on a shared platform only the platform, the kind and a keyed digest.

Joins the one MetaData of `blocklists.tables`; imported by `store`, and by `admin.migrate` so that the schema is whole.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text

from blocklists.tables import Instant, id_column, metadata, one_of, tenant_column
from blocklists.takedown import agencytables  # noqa: F401  orders and notes point to its rows
from blocklists.takedown.deadlines import DueRule
from blocklists.takedown.model import Enforceability, Match, State


def _person(name: str) -> Column[str]:
    return Column(name, Text, ForeignKey("accounts.id"))


def _distinct(*names: str) -> list[CheckConstraint]:
    """No two of these columns hold the same person."""
    return [
        CheckConstraint(f"{first} IS NULL OR {second} IS NULL OR {first} <> {second}", name=f"{first}_not_{second}")
        for position, first in enumerate(names)
        for second in names[position + 1 :]
    ]


orders = Table(
    "takedown_orders",
    metadata,
    id_column(),
    tenant_column(),
    Column("symbol", Text, nullable=False),
    Column("number", Integer),
    Column("issuer", Text, nullable=False),
    # The body it was on the day of the document, where the office keeps it; the text above stays as it was written.
    Column("issuer_id", Text),
    Column("capacity", Text, nullable=False, default=""),
    Column("subject", Text, nullable=False, default=""),
    Column("issued_year", Integer),
    Column("issued_month", Integer),
    Column("issued_day", Integer),
    Column("category", Text, nullable=False, default="order"),
    Column("bands", Text, nullable=False, default=""),
    # For whom: places and organisations, one a line; both empty: everybody.
    Column("places", Text, nullable=False, default="", server_default=""),
    Column("organisations", Text, nullable=False, default="", server_default=""),
    Column("urgent", Integer, nullable=False, default=0),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    Column("no_end", Integer, nullable=False, default=0),
    Column("appeal", Text, nullable=False, default=""),
    Column("state", Text, nullable=False),
    Column("file_digest", Text),
    Column("file_bytes", Integer),
    # So many new names that a person must say yes first, and who said so.
    Column("held", Integer, nullable=False, default=0),
    _person("released_by"),
    Column("received_at", Instant, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id"), nullable=False),
    _person("verified_by"),
    _person("approved_by"),
    _person("second_by"),
    Column("verified_at", Instant),
    Column("approved_at", Instant),
    Column("reason", Text, nullable=False, default=""),
    one_of("state", State),
    CheckConstraint("no_end = 0 OR number IS NOT NULL", name="no_end_needs_number"),
    CheckConstraint("no_end = 1 OR valid_until IS NOT NULL", name="has_end"),
    *_distinct("verified_by", "approved_by", "second_by"),
)

order_basis = Table(
    "takedown_order_basis",
    metadata,
    tenant_column(),
    Column("order_id", Text, ForeignKey("takedown_orders.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("symbol", Text, nullable=False),
    Column("is_law", Integer, nullable=False, default=0),
    # The document of the same chain that stands on this one; empty: the order itself does.
    Column("parent_position", Integer),
)

items = Table(
    "takedown_items",
    metadata,
    id_column(),
    tenant_column(),
    Column("order_id", Text, ForeignKey("takedown_orders.id"), nullable=False),
    Column("position", Integer, nullable=False),
    # The host part only; empty for an address on a shared platform.
    Column("as_written", Text, nullable=False, default=""),
    Column("host", Text),
    Column("match", Text, nullable=False, default=Match.BOTH.value),
    Column("verdict", Text, nullable=False),
    Column("reason_code", Text, nullable=False, default=""),
    Column("needs_second", Integer, nullable=False, default=0),
    Column("is_state_host", Integer, nullable=False, default=0),
    # What a person decided about a row that needs a decision: block or leave.
    Column("decision", Text),
    Column("decision_reason", Text, nullable=False, default=""),
    _person("decided_by"),
    Column("platform", Text),
    Column("platform_kind", Text),
    Column("address_digest", Text),
    Column("forwarded_to", Text),
    Column("forwarded_at", Instant),
    Column("outcome", Text),
    Column("outcome_at", Instant),
    one_of("verdict", Enforceability),
    one_of("match", Match),
    CheckConstraint("decision IN ('block', 'leave')", name="decision"),
    CheckConstraint("outcome IN ('removed', 'refused', 'no_answer')", name="outcome"),
    UniqueConstraint("order_id", "position"),
)

_COMING = text("serial_in IS NULL")
_LEAVING = text("serial_out IS NULL")

entries = Table(
    "takedown_entries",
    metadata,
    id_column(),
    tenant_column(),
    Column("order_id", Text, ForeignKey("takedown_orders.id")),
    Column("report_id", Text, ForeignKey("takedown_reports.id")),
    Column("host", Text, nullable=False),
    Column("match", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    Column("no_end", Integer, nullable=False, default=0),
    Column("provisional_since", Instant),
    Column("state", Text, nullable=False),
    _person("verified_by"),
    _person("approved_by"),
    _person("second_by"),
    Column("serial_in", Integer),
    Column("serial_out", Integer),
    # Under which id of the overlay gateways know it: one for each set of dates of its document.
    Column("published_as", Text),
    # The version that brought it first: new dates publish it again, and a return to a version in between keeps it.
    Column("first_serial", Integer),
    # The return to an earlier version that took it out.
    Column("return_id", Text),
    Column("approved_at", Instant, nullable=False),
    Column("enforced_at", Instant),
    Column("ended_at", Instant),
    Column("end_reason", Text, nullable=False, default=""),
    # The owner of a state host was told, by whom, how and when: a person did it, this notes it.
    Column("owner_told_at", Instant),
    Column("owner_told_by", Text),
    Column("owner_told_how", Text, nullable=False, default="", server_default=""),
    one_of("state", State),
    one_of("match", Match),
    # An entry stands on a document or on a decided report, and always on a person who approved it.
    CheckConstraint("(order_id IS NOT NULL) <> (report_id IS NOT NULL)", name="one_basis"),
    CheckConstraint("approved_by IS NOT NULL", name="approved"),
    CheckConstraint("report_id IS NULL OR verified_by IS NOT NULL", name="report_needs_verifier"),
    CheckConstraint("no_end = 1 OR valid_until IS NOT NULL", name="has_end"),
    CheckConstraint("no_end = 0 OR order_id IS NOT NULL", name="no_end_needs_order"),
    *_distinct("verified_by", "approved_by", "second_by"),
    Index("ix_takedown_entries_host", "host"),
    # By tenant first: else the planner reads everything the tenant has.
    Index("ix_takedown_entries_state", "tenant_id", "state", "valid_until"),
    # What a publish looks for, out of millions: the few that came or left since the last.
    Index("ix_takedown_entries_coming", "tenant_id", "state", sqlite_where=_COMING, postgresql_where=_COMING),
    Index("ix_takedown_entries_leaving", "tenant_id", "state", sqlite_where=_LEAVING, postgresql_where=_LEAVING),
    Index("ix_takedown_entries_serial_in", "tenant_id", "serial_in"),
    Index("ix_takedown_entries_serial_out", "tenant_id", "serial_out"),
)

directives = Table(
    "takedown_directives",
    metadata,
    id_column(),
    tenant_column(),
    # The document that says who leads and where reports go; several may hold at once, each with its own lead.
    Column("symbol", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("topic", Text, nullable=False, default=""),
    Column("lead", Text, nullable=False),
    Column("focal_point", Text, nullable=False),
    Column("co_ordinators", Text, nullable=False, default=""),
    Column("due_rule", Text, nullable=False, default="none"),
    Column("due_on", Text),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    one_of("due_rule", DueRule),
)

bulletins = Table(
    "takedown_bulletins",
    metadata,
    id_column(),
    tenant_column(),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("symbol", Text, nullable=False),
    # Empty: everybody this office serves.
    Column("place_code", Text),
    # An advisory warns about a host; it never blocks.
    Column("host", Text),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id"), nullable=False),
    Column("ends_at", Instant, nullable=False),
    CheckConstraint("kind IN ('bulletin', 'advisory')", name="kind"),
    CheckConstraint("length(text) <= 2000", name="text_length"),
)

reports = Table(
    "takedown_reports",
    metadata,
    id_column(),
    tenant_column(),
    Column("code", Text, nullable=False, unique=True),
    Column("received_at", Instant, nullable=False),
    Column("channel", Text, nullable=False),
    Column("category", Text, nullable=False, default=""),
    Column("host", Text),
    Column("kind", Text, nullable=False),
    Column("reporter_kind", Text, nullable=False),
    # One pupil's site counts once however many pupils write.
    Column("site_digest", Text),
    Column("note", Text, nullable=False, default=""),
    # Where the directive in force on that day sent it, as it read then; a later change of the directive moves only later reports.
    Column("directive_id", Text, ForeignKey("takedown_directives.id")),
    Column("routed_to", Text, nullable=False, default=""),
    Column("state", Text, nullable=False),
    Column("merged_into", Text, ForeignKey("takedown_reports.id")),
    Column("referred_to", Text),
    Column("referral_code", Text),
    _person("verified_by"),
    _person("approved_by"),
    Column("reason", Text, nullable=False, default=""),
    Column("closed_at", Instant),
    one_of("state", State),
    CheckConstraint("kind IN ('harmful', 'wrongly_blocked', 'other')", name="kind"),
    CheckConstraint("length(note) <= 200", name="note_length"),
    *_distinct("verified_by", "approved_by"),
)

reviews = Table(
    "takedown_reviews",
    metadata,
    id_column(),
    tenant_column(),
    Column("code", Text, nullable=False, unique=True),
    Column("entry_id", Text, ForeignKey("takedown_entries.id"), nullable=False),
    # Copies of the entry's persons, so that the database itself can refuse a decision by one of them.
    Column("entry_verified_by", Text),
    Column("entry_approved_by", Text, nullable=False),
    Column("entry_second_by", Text),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False, default=""),
    # One school's pupils count once however many of them ask.
    Column("site_digest", Text),
    Column("state", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    _person("taken_by"),
    _person("decided_by"),
    Column("decided_at", Instant),
    Column("decision_reason", Text, nullable=False, default=""),
    Column("escalated_at", Instant),
    one_of("state", State),
    CheckConstraint("reason IN ('lesson', 'mistake', 'new_owner', 'other')", name="reason"),
    CheckConstraint("length(note) <= 200", name="note_length"),
    *_distinct("entry_verified_by", "decided_by"),
    *_distinct("entry_approved_by", "decided_by"),
    *_distinct("entry_second_by", "decided_by"),
    *_distinct("entry_verified_by", "taken_by"),
    *_distinct("entry_approved_by", "taken_by"),
    *_distinct("entry_second_by", "taken_by"),
)

versions = Table(
    "takedown_versions",
    metadata,
    Column("serial", Integer, primary_key=True, autoincrement=False),
    tenant_column(),
    Column("created_at", Instant, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    # The file with what this version adds and lifts; a base holds the whole list, later versions only the difference.
    # `chain`: every file that the version stands on, merged ones in place of their parts (`segments.Chain`).
    Column("segment", Text, nullable=False),
    Column("is_base", Integer, nullable=False),
    Column("chain", Text, nullable=False, default="", server_default=""),
    Column("digest", Text, nullable=False),
    Column("previous_digest", Text, nullable=False, default=""),
    Column("journal_seq", Integer, nullable=False),
    Column("applied_at", Instant),
)

receipts = Table(
    "takedown_receipts",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("serial", Integer, primary_key=True, autoincrement=False),
    Column("in_force_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
)

returns = Table(
    "takedown_returns",
    metadata,
    id_column(),
    tenant_column(),
    # The earlier version whose content is wanted; what may no longer be in force stays out.
    Column("to_serial", Integer, nullable=False),
    Column("dropped", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    _person("decided_by"),
    Column("decided_at", Instant),
    CheckConstraint("state IN ('waiting', 'confirmed', 'refused', 'lapsed')", name="state"),
    *_distinct("created_by", "decided_by"),
)
