"""Tables of the list office's room that are not takedown itself: invitations of officers, their signing keys, the gateways that
joined, what is closed in schools, and releases that go out in stages.

Joins the one MetaData of `blocklists.tables`; imported by the rooms that use them and by `admin.migrate`.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Table, Text, UniqueConstraint

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
    # Liaisons speak for a body; their role ends with the assignment.
    Column("agency_id", Text),
    Column("role_until", Instant),
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

#: What an education department closed in the schools of its place; a rule that was lifted stays.
school_rules = Table(
    "school_rules",
    metadata,
    id_column(),
    tenant_column(),
    Column("place_code", Text, nullable=False, index=True),
    Column("agency_id", Text, nullable=False),
    # The body's name as it was that day: schools read it.
    Column("body", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="lifted_by_document"),
)

#: Schools that changed their place: what was closed where they were holds on until a moment (`admin.schoolmoves`).
school_moves = Table(
    "school_moves",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True),
    Column("place_code", Text, nullable=False, index=True),
    Column("moved_at", Instant, nullable=False),
    Column("holds_until", Instant, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    id_column(),
    tenant_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    # The id by which a root names the key, its public half, and the secret half sealed under the officer's passphrase.
    Column("keyid", Text, nullable=False, unique=True),
    Column("public", Text, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

signing_rules = Table(
    "signing_rules",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    # How many approvers must sign a release.
    Column("threshold", Integer, nullable=False),
    CheckConstraint("threshold BETWEEN 1 AND 9", name="threshold"),
)

gateways = Table(
    "office_gateways",
    metadata,
    id_column(),
    tenant_column(),
    Column("label", Text, nullable=False),
    # SHA-256 of the ticket in the gateway's code; used once, for a week.
    Column("ticket_hash", LargeBinary(32), nullable=False, unique=True),
    Column("ticket_ends_at", Instant, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    # The key with which the gateway signs its receipts, made at its join.
    Column("public", Text, unique=True),
    Column("joined_at", Instant),
    Column("retired_at", Instant),
    # Its newest good receipt.
    Column("counter", Integer, nullable=False, default=0),
    Column("serial", Integer, nullable=False, default=0),
    Column("in_force_at", Instant),
    Column("journal_seq", Integer),
    Column("journal_digest", Text),
    Column("version", Text, nullable=False, default=""),
    Column("seen_at", Instant),
    # What it said of the newest release in that receipt: why it is not taken; the serial whose stage it waits for; how many names the
    # server took out that an order number keeps; counts before and since (`blocklists.receipts.Receipt.health`), with the serial, as JSON.
    Column("fault", Text, nullable=False, default=""),
    Column("waits_for", Integer, nullable=False, default=0),
    Column("kept", Integer, nullable=False, default=0),
    Column("health", Text, nullable=False, default=""),
    # Why its last receipt was refused; empty when it was not.
    Column("refusal", Text, nullable=False, default=""),
    Column("refused_at", Instant),
    CheckConstraint("(public IS NULL) = (joined_at IS NULL)", name="joined_with_a_key"),
)

rollout_rules = Table(
    "rollout_rules",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    # Whether releases go out in stages; the shares (per cent) of the first and the second, and after how many minutes the second begins and
    # everybody follows.
    Column("is_on", Integer, nullable=False),
    Column("first_share", Integer, nullable=False),
    Column("second_share", Integer, nullable=False),
    Column("second_after", Integer, nullable=False),
    Column("all_after", Integer, nullable=False),
    CheckConstraint("0 < first_share AND first_share < second_share AND second_share < 100", name="shares"),
    CheckConstraint("0 < second_after AND second_after < all_after", name="times"),
)

rollouts = Table(
    "rollouts",
    metadata,
    id_column(),
    tenant_column(),
    Column("serial", Integer, nullable=False),
    # The serial that everybody had when it began.
    Column("base", Integer, nullable=False),
    # From when on (unix seconds) which share takes it, as JSON.
    Column("steps", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    # `going`; `held` (by gateways that speak against it, that fell silent, by a person, or because one before it is held); `done`;
    # `passed` (a release for everybody at once came after it).
    Column("state", Text, nullable=False),
    Column("cause", Text, nullable=False, default=""),
    Column("held_at", Instant),
    Column("held_by", Text, ForeignKey("accounts.id")),
    # Who let it go on, and why.
    Column("decided_by", Text, ForeignKey("accounts.id")),
    Column("decided_at", Instant),
    Column("reason", Text, nullable=False, default=""),
    UniqueConstraint("tenant_id", "serial"),
    CheckConstraint("state IN ('going', 'held', 'done', 'passed')", name="state"),
    CheckConstraint("held_by IS NULL OR decided_by IS NULL OR held_by <> decided_by", name="two_persons"),
)
