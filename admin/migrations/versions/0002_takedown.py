"""Takedown: documents, their rows, entries, directives, bulletins, reports, reviews, versions, receipts; invitations of officers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from blocklists.tables import Instant

revision = "0002"
down_revision = "0001"

STATE = (
    "state IN ('received', 'triaged', 'verifying', 'proposed', 'referred', 'merged', 'registered', 'parsed', 'verified', "
    "'awaiting_second', 'urgent', 'publishing', 'partial', 'active', 'suspended', 'expired', 'lifted', "
    "'reviewing', 'upheld', 'overturned', 'approved', 'rejected', 'closed')"
)


def upgrade() -> None:
    op.create_table(
        "takedown_receipts",
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("in_force_at", Instant(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "serial", name=op.f("pk_takedown_receipts")),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("seconded_by", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.CheckConstraint(
            "role IN ('first_parent', 'teacher', 'school_admin', 'verifier', 'approver', 'operator')", name=op.f("ck_invitations_role")
        ),
        sa.CheckConstraint("(accepted_at IS NULL) = (account_id IS NULL)", name=op.f("ck_invitations_accepted_by_somebody")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_invitations_account_id")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_invitations_created_by")),
        sa.CheckConstraint("seconded_by IS NULL OR created_by <> seconded_by", name=op.f("ck_invitations_two_officers")),
        sa.ForeignKeyConstraint(["seconded_by"], ["accounts.id"], name=op.f("fk_invitations_seconded_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_invitations_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_invitations_secret_hash")),
    )
    op.create_index(op.f("ix_invitations_tenant_id"), "invitations", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_bulletins",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.CheckConstraint("kind IN ('bulletin', 'advisory')", name=op.f("ck_takedown_bulletins_kind")),
        sa.CheckConstraint("length(text) <= 2000", name=op.f("ck_takedown_bulletins_text_length")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_takedown_bulletins_created_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_bulletins_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_bulletins")),
    )
    op.create_index(op.f("ix_takedown_bulletins_tenant_id"), "takedown_bulletins", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_directives",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("lead", sa.Text(), nullable=False),
        sa.Column("focal_point", sa.Text(), nullable=False),
        sa.Column("co_ordinators", sa.Text(), nullable=False),
        sa.Column("due_rule", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Text(), nullable=True),
        sa.Column("valid_from", Instant(), nullable=False),
        sa.Column("valid_until", Instant(), nullable=True),
        sa.CheckConstraint("due_rule IN ('before', 'by', 'within', 'none')", name=op.f("ck_takedown_directives_due_rule")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_directives_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_directives")),
    )
    op.create_index(op.f("ix_takedown_directives_tenant_id"), "takedown_directives", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issued_year", sa.Integer(), nullable=True),
        sa.Column("issued_month", sa.Integer(), nullable=True),
        sa.Column("issued_day", sa.Integer(), nullable=True),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("bands", sa.Text(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=True),
        sa.Column("urgent", sa.Integer(), nullable=False),
        sa.Column("valid_from", Instant(), nullable=False),
        sa.Column("valid_until", Instant(), nullable=True),
        sa.Column("no_end", sa.Integer(), nullable=False),
        sa.Column("appeal", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("file_digest", sa.Text(), nullable=True),
        sa.Column("file_bytes", sa.Integer(), nullable=True),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.Column("verified_at", Instant(), nullable=True),
        sa.Column("approved_at", Instant(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            STATE,
            name=op.f("ck_takedown_orders_state"),
        ),
        sa.CheckConstraint(
            "approved_by IS NULL OR second_by IS NULL OR approved_by <> second_by",
            name=op.f("ck_takedown_orders_approved_by_not_second_by"),
        ),
        sa.CheckConstraint("no_end = 0 OR number IS NOT NULL", name=op.f("ck_takedown_orders_no_end_needs_number")),
        sa.CheckConstraint("no_end = 1 OR valid_until IS NOT NULL", name=op.f("ck_takedown_orders_has_end")),
        sa.CheckConstraint(
            "verified_by IS NULL OR approved_by IS NULL OR verified_by <> approved_by",
            name=op.f("ck_takedown_orders_verified_by_not_approved_by"),
        ),
        sa.CheckConstraint(
            "verified_by IS NULL OR second_by IS NULL OR verified_by <> second_by",
            name=op.f("ck_takedown_orders_verified_by_not_second_by"),
        ),
        sa.ForeignKeyConstraint(["approved_by"], ["accounts.id"], name=op.f("fk_takedown_orders_approved_by")),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name=op.f("fk_takedown_orders_created_by")),
        sa.ForeignKeyConstraint(["released_by"], ["accounts.id"], name=op.f("fk_takedown_orders_released_by")),
        sa.ForeignKeyConstraint(["second_by"], ["accounts.id"], name=op.f("fk_takedown_orders_second_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_orders_tenant_id")),
        sa.ForeignKeyConstraint(["verified_by"], ["accounts.id"], name=op.f("fk_takedown_orders_verified_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_orders")),
    )
    op.create_index(op.f("ix_takedown_orders_tenant_id"), "takedown_orders", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_versions",
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("is_base", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("previous_digest", sa.Text(), nullable=False),
        sa.Column("journal_seq", sa.Integer(), nullable=False),
        sa.Column("applied_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_versions_tenant_id")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_takedown_versions")),
    )
    op.create_index(op.f("ix_takedown_versions_tenant_id"), "takedown_versions", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("as_written", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("needs_second", sa.Integer(), nullable=False),
        sa.Column("is_state_host", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("platform_kind", sa.Text(), nullable=True),
        sa.Column("address_digest", sa.Text(), nullable=True),
        sa.Column("forwarded_to", sa.Text(), nullable=True),
        sa.Column("forwarded_at", Instant(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_at", Instant(), nullable=True),
        sa.CheckConstraint("decision IN ('block', 'leave')", name=op.f("ck_takedown_items_decision")),
        sa.CheckConstraint("match IN ('both', 'exact', 'below')", name=op.f("ck_takedown_items_match")),
        sa.CheckConstraint("outcome IN ('removed', 'refused', 'no_answer')", name=op.f("ck_takedown_items_outcome")),
        sa.CheckConstraint(
            "verdict IN ('yes', 'needs_decision', 'url_path', 'shared_platform', 'ip_only', 'public_suffix', 'protected', 'invalid')",
            name=op.f("ck_takedown_items_verdict"),
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f("fk_takedown_items_decided_by")),
        sa.ForeignKeyConstraint(["order_id"], ["takedown_orders.id"], name=op.f("fk_takedown_items_order_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_items_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_items")),
        sa.UniqueConstraint("order_id", "position", name=op.f("uq_takedown_items_order_id")),
    )
    op.create_index(op.f("ix_takedown_items_tenant_id"), "takedown_items", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_order_basis",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("is_law", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["takedown_orders.id"], name=op.f("fk_takedown_order_basis_order_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_order_basis_tenant_id")),
        sa.PrimaryKeyConstraint("order_id", "position", name=op.f("pk_takedown_order_basis")),
    )
    op.create_index(op.f("ix_takedown_order_basis_tenant_id"), "takedown_order_basis", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_reports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reporter_kind", sa.Text(), nullable=False),
        sa.Column("site_digest", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("directive_id", sa.Text(), nullable=True),
        sa.Column("routed_to", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("referred_to", sa.Text(), nullable=True),
        sa.Column("referral_code", sa.Text(), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.CheckConstraint("kind IN ('harmful', 'wrongly_blocked', 'other')", name=op.f("ck_takedown_reports_kind")),
        sa.CheckConstraint(
            STATE,
            name=op.f("ck_takedown_reports_state"),
        ),
        sa.CheckConstraint("length(note) <= 200", name=op.f("ck_takedown_reports_note_length")),
        sa.CheckConstraint(
            "verified_by IS NULL OR approved_by IS NULL OR verified_by <> approved_by",
            name=op.f("ck_takedown_reports_verified_by_not_approved_by"),
        ),
        sa.ForeignKeyConstraint(["approved_by"], ["accounts.id"], name=op.f("fk_takedown_reports_approved_by")),
        sa.ForeignKeyConstraint(["directive_id"], ["takedown_directives.id"], name=op.f("fk_takedown_reports_directive_id")),
        sa.ForeignKeyConstraint(["merged_into"], ["takedown_reports.id"], name=op.f("fk_takedown_reports_merged_into")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_reports_tenant_id")),
        sa.ForeignKeyConstraint(["verified_by"], ["accounts.id"], name=op.f("fk_takedown_reports_verified_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_reports")),
        sa.UniqueConstraint("code", name=op.f("uq_takedown_reports_code")),
    )
    op.create_index(op.f("ix_takedown_reports_tenant_id"), "takedown_reports", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_entries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("report_id", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("valid_from", Instant(), nullable=False),
        sa.Column("valid_until", Instant(), nullable=True),
        sa.Column("no_end", sa.Integer(), nullable=False),
        sa.Column("provisional_since", Instant(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.Column("serial_in", sa.Integer(), nullable=True),
        sa.Column("serial_out", sa.Integer(), nullable=True),
        sa.Column("approved_at", Instant(), nullable=False),
        sa.Column("enforced_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.CheckConstraint("match IN ('both', 'exact', 'below')", name=op.f("ck_takedown_entries_match")),
        sa.CheckConstraint(
            STATE,
            name=op.f("ck_takedown_entries_state"),
        ),
        sa.CheckConstraint("(order_id IS NOT NULL) <> (report_id IS NOT NULL)", name=op.f("ck_takedown_entries_one_basis")),
        sa.CheckConstraint("approved_by IS NOT NULL", name=op.f("ck_takedown_entries_approved")),
        sa.CheckConstraint(
            "approved_by IS NULL OR second_by IS NULL OR approved_by <> second_by",
            name=op.f("ck_takedown_entries_approved_by_not_second_by"),
        ),
        sa.CheckConstraint("no_end = 0 OR order_id IS NOT NULL", name=op.f("ck_takedown_entries_no_end_needs_order")),
        sa.CheckConstraint("no_end = 1 OR valid_until IS NOT NULL", name=op.f("ck_takedown_entries_has_end")),
        sa.CheckConstraint("report_id IS NULL OR verified_by IS NOT NULL", name=op.f("ck_takedown_entries_report_needs_verifier")),
        sa.CheckConstraint(
            "verified_by IS NULL OR approved_by IS NULL OR verified_by <> approved_by",
            name=op.f("ck_takedown_entries_verified_by_not_approved_by"),
        ),
        sa.CheckConstraint(
            "verified_by IS NULL OR second_by IS NULL OR verified_by <> second_by",
            name=op.f("ck_takedown_entries_verified_by_not_second_by"),
        ),
        sa.ForeignKeyConstraint(["approved_by"], ["accounts.id"], name=op.f("fk_takedown_entries_approved_by")),
        sa.ForeignKeyConstraint(["order_id"], ["takedown_orders.id"], name=op.f("fk_takedown_entries_order_id")),
        sa.ForeignKeyConstraint(["report_id"], ["takedown_reports.id"], name=op.f("fk_takedown_entries_report_id")),
        sa.ForeignKeyConstraint(["second_by"], ["accounts.id"], name=op.f("fk_takedown_entries_second_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_entries_tenant_id")),
        sa.ForeignKeyConstraint(["verified_by"], ["accounts.id"], name=op.f("fk_takedown_entries_verified_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_entries")),
    )
    op.create_index("ix_takedown_entries_host", "takedown_entries", ["host"], unique=False)
    op.create_index("ix_takedown_entries_state", "takedown_entries", ["state", "valid_until"], unique=False)
    op.create_index(op.f("ix_takedown_entries_tenant_id"), "takedown_entries", ["tenant_id"], unique=False)
    op.create_table(
        "takedown_reviews",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("entry_verified_by", sa.Text(), nullable=True),
        sa.Column("entry_approved_by", sa.Text(), nullable=False),
        sa.Column("entry_second_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=False),
        sa.Column("escalated_at", Instant(), nullable=True),
        sa.CheckConstraint("reason IN ('lesson', 'mistake', 'new_owner', 'other')", name=op.f("ck_takedown_reviews_reason")),
        sa.CheckConstraint(
            STATE,
            name=op.f("ck_takedown_reviews_state"),
        ),
        sa.CheckConstraint(
            "entry_approved_by IS NULL OR decided_by IS NULL OR entry_approved_by <> decided_by",
            name=op.f("ck_takedown_reviews_entry_approved_by_not_decided_by"),
        ),
        sa.CheckConstraint(
            "entry_approved_by IS NULL OR taken_by IS NULL OR entry_approved_by <> taken_by",
            name=op.f("ck_takedown_reviews_entry_approved_by_not_taken_by"),
        ),
        sa.CheckConstraint(
            "entry_second_by IS NULL OR decided_by IS NULL OR entry_second_by <> decided_by",
            name=op.f("ck_takedown_reviews_entry_second_by_not_decided_by"),
        ),
        sa.CheckConstraint(
            "entry_second_by IS NULL OR taken_by IS NULL OR entry_second_by <> taken_by",
            name=op.f("ck_takedown_reviews_entry_second_by_not_taken_by"),
        ),
        sa.CheckConstraint(
            "entry_verified_by IS NULL OR decided_by IS NULL OR entry_verified_by <> decided_by",
            name=op.f("ck_takedown_reviews_entry_verified_by_not_decided_by"),
        ),
        sa.CheckConstraint(
            "entry_verified_by IS NULL OR taken_by IS NULL OR entry_verified_by <> taken_by",
            name=op.f("ck_takedown_reviews_entry_verified_by_not_taken_by"),
        ),
        sa.CheckConstraint("length(note) <= 200", name=op.f("ck_takedown_reviews_note_length")),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f("fk_takedown_reviews_decided_by")),
        sa.ForeignKeyConstraint(["entry_id"], ["takedown_entries.id"], name=op.f("fk_takedown_reviews_entry_id")),
        sa.ForeignKeyConstraint(["taken_by"], ["accounts.id"], name=op.f("fk_takedown_reviews_taken_by")),
        sa.ForeignKeyConstraint(["tenant_id"], ["organisations.id"], name=op.f("fk_takedown_reviews_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown_reviews")),
        sa.UniqueConstraint("code", name=op.f("uq_takedown_reviews_code")),
    )
    op.create_index(op.f("ix_takedown_reviews_tenant_id"), "takedown_reviews", ["tenant_id"], unique=False)
    op.execute("UPDATE schema_marks SET number = 2, oldest_code = 1")
