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

#: What a host prints: whoever has the sheet may make one family of their own here, until it ends, is full or is withdrawn.
join_codes = Table(
    "join_codes",
    metadata,
    id_column(),
    # The host: a school, a commune, a provider.
    tenant_column(),
    Column("code", Text, nullable=False, unique=True),
    # The host's name as families read it on the sheet.
    Column("label", Text, nullable=False),
    Column("most", Integer, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id")),
    Column("created_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
)

#: A family that lives on somebody else's gateway. The host learns from it how many there are, nothing else.
hosted_families = Table(
    "hosted_families",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    Column("host_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("code_id", Text, ForeignKey("join_codes.id"), nullable=False),
    Column("joined_at", Instant, nullable=False),
    Index("ix_hosted_families_host_id", "host_id"),
)

#: The home of a family whose gateway is elsewhere: the device whose token says where it is, and the public addresses it has now. Nothing
#: older is kept. `shared_at`: when another family was seen behind the same address.
home_links = Table(
    "home_links",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    Column("device_id", Text, ForeignKey("devices.id"), nullable=False),
    # An address of IPv4 and a network of IPv6, each with its end; empty: none.
    Column("ipv4", Text),
    Column("ipv4_until", Instant),
    Column("ipv6", Text),
    Column("ipv6_until", Instant),
    Column("changed_at", Instant),
    Column("shared_at", Instant),
    Index("ix_home_links_ipv4", "ipv4"),
    Index("ix_home_links_ipv6", "ipv6"),
)

#: The accounts that sign in with a PIN instead of a password.
pin_accounts = Table("pin_accounts", metadata, Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True))

#: The paper that makes a new password, or a new PIN: the hash of its code, or of none while it is used up; when a password was last made
#: by one.
recovery_sheets = Table(
    "recovery_sheets",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("secret_hash", LargeBinary(32), unique=True),
    Column("made_at", Instant),
    Column("used_at", Instant),
)

#: A new PIN by the host in person: the family is told at once, the slip works after a day, and the family may stop it meanwhile.
pin_renewals = Table(
    "pin_renewals",
    metadata,
    id_column(),
    tenant_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("host_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("host_name", Text, nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("started_at", Instant, nullable=False),
    Column("opens_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("used_at", Instant),
)

#: What a school shows its staff: whoever scans it on the school's own network gives the device in hand to the adults, until the term ends.
staff_invitations = Table(
    "staff_invitations",
    metadata,
    id_column(),
    tenant_column(),
    Column("code", Text, nullable=False, unique=True),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id")),
    Column("created_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
)

#: Devices that somebody has for a while only.
device_ends = Table(
    "device_ends",
    metadata,
    tenant_column(),
    Column("device_id", Text, ForeignKey("devices.id"), primary_key=True),
    Column("ends_at", Instant, nullable=False),
)
