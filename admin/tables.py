"""The control plane's own tables, on the shared MetaData of `blocklists.tables`.

History is rows, never a document in a column. Every table that belongs to a tenant has `tenant_id`, and every statement on it names
the tenant (tests watch each statement). Text that people wrote (labels, notes, host names of requests) stands only here, never in the
journal.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from admin.values import (
    Days,
    Decision,
    DeviceMatch,
    HoursEffect,
    NameEffect,
    OverrideKind,
    ProfileKind,
    RequestReason,
    RequestState,
    SwitchKind,
    SwitchState,
    TargetKind,
)
from blocklists.tables import Instant, id_column, metadata, one_of, tenant_column
from gateway.policy.model import Band

# --- people ---------------------------------------------------------------------------------------------------------

sessions = Table(
    "sessions",
    metadata,
    id_column(),
    # SHA-256 of the cookie's 256 random bits; the cookie itself is stored nowhere.
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    # The organisation whose pages this session shows; an account may have roles on several.
    Column("organisation_id", Text, ForeignKey("organisations.id")),
    # What a form must bring back to show that it came from our page.
    Column("form_key", LargeBinary(16), nullable=False),
    Column("browser", Text, nullable=False, default=""),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("idle_seconds", Integer, nullable=False),
    Column("ends_at", Instant, nullable=False),
    # When the password was last typed in this session: loosening asks for it again after a while.
    Column("confirmed_at", Instant, nullable=False),
    # When a second factor was shown in this session: a code, or a passkey.
    Column("second_at", Instant),
    Index("ix_sessions_account_id", "account_id"),
)

known_browsers = Table(
    "known_browsers",
    metadata,
    id_column(),
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Index("ix_known_browsers_account_id", "account_id"),
)

second_factors = Table(
    "second_factors",
    metadata,
    id_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    # Encrypted under a key that lies beside the database (`admin.factors`).
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    # When the first code from it was typed: until then the account has no factor, or its older one.
    Column("confirmed_at", Instant),
    # The last time step whose code was taken: a code is good once.
    Column("last_step", BigInteger, nullable=False),
    Index("ix_second_factors_account_id", "account_id"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("code_hash", LargeBinary(32), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),
)

passkeys = Table(
    "passkeys",
    metadata,
    id_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("credential", LargeBinary, nullable=False, unique=True),
    # COSE (RFC 8152); what belongs to it never leaves the person's device.
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    # The host name of the page it was made on: it works there only.
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ix_passkeys_account_id", "account_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    id_column(),
    tenant_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("label", Text, nullable=False),
    # The first signs of the token, to find it in a list; SHA-256 of the whole.
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
)

api_token_scopes = Table(
    "api_token_scopes",
    metadata,
    tenant_column(),
    Column("token_id", Text, ForeignKey("api_tokens.id"), primary_key=True),
    Column("scope", Text, primary_key=True),
)

creations = Table(
    "creations",
    metadata,
    # A create that a program repeats with the same key is the same create: what it made, kept for a day.
    tenant_column(),
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    # Keys the journal's digests; when it is destroyed they say nothing any more.
    Column("digest_key", LargeBinary(32), nullable=False),
)

# --- who is protected -------------------------------------------------------------------------------------------------

sites = Table(
    "sites",
    metadata,
    id_column(),
    tenant_column(),
    Column("name", Text, nullable=False),
    Column("site_class", Text, nullable=False),
    Column("time_zone", Text, nullable=False, default="Asia/Ho_Chi_Minh"),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

site_networks = Table(
    "site_networks",
    metadata,
    id_column(),
    tenant_column(),
    Column("site_id", Text, ForeignKey("sites.id"), nullable=False),
    Column("network", Text, nullable=False),
    UniqueConstraint("site_id", "network"),
)

profiles = Table(
    "profiles",
    metadata,
    id_column(),
    tenant_column(),
    Column("site_id", Text, ForeignKey("sites.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("band", Text, nullable=False),
    # Empty: the band's own default.
    Column("safe_search", Integer),
    Column("youtube", Text),
    Column("uncategorised", Text),
    Column("position", Integer, nullable=False, default=0),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
    one_of("kind", ProfileKind),
    one_of("band", Band),
)

devices = Table(
    "devices",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

device_matches = Table(
    "device_matches",
    metadata,
    id_column(),
    tenant_column(),
    Column("device_id", Text, ForeignKey("devices.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    # Retired with its device; one live device per address, network, MAC or token within a tenant.
    Column("retired_at", Instant),
    one_of("kind", DeviceMatch),
    Index("ix_device_matches_device_id", "device_id"),
    Index(
        "uq_device_matches_live",
        "tenant_id",
        "kind",
        "value",
        unique=True,
        sqlite_where=text("retired_at IS NULL"),
        postgresql_where=text("retired_at IS NULL"),
    ),
)

# --- what holds for a profile -----------------------------------------------------------------------------------------

switches = Table(
    "switches",
    metadata,
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("state", Text, nullable=False),
    one_of("kind", SwitchKind),
    one_of("state", SwitchState),
)

name_rules = Table(
    "name_rules",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("effect", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    one_of("effect", NameEffect),
    UniqueConstraint("profile_id", "effect", "pattern"),
)

hours = Table(
    "hours",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("days", Text, nullable=False),
    # Wall time of the site, "21:00"; an end at or before the start is on the next day; "24:00" ends the day.
    Column("starts", Text, nullable=False),
    Column("ends", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("position", Integer, nullable=False),
    one_of("days", Days),
    one_of("effect", HoursEffect),
    Index("ix_hours_profile_id", "profile_id"),
)

overrides = Table(
    "overrides",
    metadata,
    id_column(),
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, ForeignKey("accounts.id")),
    # Set when a person ended it before its time.
    Column("ended_at", Instant),
    one_of("kind", OverrideKind),
    Index("ix_overrides_profile_id", "profile_id", "ends_at"),
)

override_targets = Table(
    "override_targets",
    metadata,
    tenant_column(),
    Column("override_id", Text, ForeignKey("overrides.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    one_of("kind", TargetKind),
)

# --- asking -----------------------------------------------------------------------------------------------------------

family_pins = Table(
    "family_pins",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    Column("pin_hash", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
    # How often a wrong one was typed on a shared device, and when last: the parents are told.
    Column("wrong", Integer, nullable=False, server_default="0"),
    Column("wrong_at", Instant),
)

loans = Table(
    "loans",
    metadata,
    id_column(),
    tenant_column(),
    Column("device_id", Text, ForeignKey("devices.id"), nullable=False),
    # The adults' profile that holds for the device until `ends_at`.
    Column("profile_id", Text, ForeignKey("profiles.id"), nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

requests = Table(
    "requests",
    metadata,
    id_column(),
    tenant_column(),
    # Empty where the address is shared: the person who answers chooses for whom.
    Column("profile_id", Text, ForeignKey("profiles.id")),
    Column("code", Text, nullable=False, unique=True),
    # Host, note and answer are emptied thirty days after closing.
    Column("host", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("band", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decision", Text),
    Column("open_until", Instant),
    Column("decided_by", Text, ForeignKey("accounts.id")),
    Column("decided_at", Instant),
    Column("created_at", Instant, nullable=False),
    one_of("reason", RequestReason),
    one_of("state", RequestState),
    one_of("decision", Decision),
)

# --- what was counted ---------------------------------------------------------------------------------------------------

#: One number a day and profile: no category, no hour, no name.
daily_totals = Table(
    "daily_totals",
    metadata,
    tenant_column(),
    Column("profile_id", Text, ForeignKey("profiles.id"), primary_key=True),
    Column("day", Text, primary_key=True),
    Column("answered", Integer, nullable=False, default=0),
    Column("blocked", Integer, nullable=False, default=0),
    # What would have been blocked while the family only watched.
    Column("watched", Integer, nullable=False, default=0, server_default="0"),
)

handovers = Table(
    "handovers",
    metadata,
    # The gateway that counted, and the serial of its last batch stored here: nothing is lost or counted twice.
    Column("source", Text, primary_key=True),
    Column("serial", BigInteger, nullable=False),
)

# --- what the gateway enforces ------------------------------------------------------------------------------------------

policies = Table(
    "policies",
    metadata,
    Column("tenant_id", Text, ForeignKey("organisations.id"), primary_key=True, info={"tenant": True}),
    # Raised in the same transaction as each change; what is applied lags behind while the gateway is away.
    Column("revision", Integer, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("applied_revision", Integer, nullable=False, default=0),
    Column("applied_at", Instant),
    Column("file", Text),
    Column("generation", Integer),
    Column("error", Text),
)
