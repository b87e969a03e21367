"""The shared part of the schema: one MetaData, the column types, and the tables that every room of the product refers to.

Organisations are data with dates: a family, a school, a list office, an area (province, commune); nothing here knows a ministry or a
district. A tenant is an organisation that owns rows; every row that belongs to one carries its id (`tenant_column`). Accounts hold
roles on organisations for a period. The journal is append-only; a trigger refuses changes (see the migrations) and its hashes form a
chain (`blocklists.journal`).

May be imported by `blocklists`, `admin` and `lachan`. Rooms add tables to the same `metadata`: `admin.tables`, later the takedown rooms.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import Dialect

OrganisationId = NewType("OrganisationId", str)
AccountId = NewType("AccountId", str)

#: Lower-case letters and digits without 0, 1, i, l, o: 31 signs, about 4.95 bits each; 24 of them carry 118 bits.
ID_SIGNS = "23456789abcdefghjkmnpqrstuvwxyz"
ID_LENGTH = 24

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def new_id() -> str:
    """A random object id: it says nothing about when or for whom it was made, and cannot be guessed."""
    return "".join(secrets.choice(ID_SIGNS) for _ in range(ID_LENGTH))


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. Naive times are refused on the way in; every time on the way out is aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite stores the digits without a zone; they were written as UTC above.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def id_column() -> Column[str]:
    """The random primary key of a table."""
    return Column("id", Text, primary_key=True, default=new_id)


def tenant_column() -> Column[str]:
    """The organisation that owns the row. Every statement on such a table names it."""
    return Column("tenant_id", Text, ForeignKey("organisations.id"), nullable=False, index=True, info={"tenant": True})


#: Execution options of the few statements that are about every tenant on purpose (loops of the machine, look-ups by a secret). Any other
#: statement on a table with a tenant names it; tests watch each one that runs.
EVERY_TENANT: Mapping[str, bool] = MappingProxyType({"every_tenant": True})


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """The database refuses any other value, whatever the code does."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class OrganisationKind(StrEnum):
    """What an organisation is to this product."""

    FAMILY = "family"
    SCHOOL = "school"
    OFFICE = "office"
    AREA = "area"
    OPERATOR = "operator"


class Role(StrEnum):
    """What a person may be to an organisation, for a period. What each role may do stands in `admin.permissions`."""

    FIRST_PARENT = "first_parent"
    PARENT = "parent"
    TEACHER = "teacher"
    SCHOOL_ADMIN = "school_admin"
    EDU_ADMIN = "edu_admin"
    VERIFIER = "verifier"
    APPROVER = "approver"
    POLICE_LIAISON = "police_liaison"
    CHILD_LIAISON = "child_liaison"
    AUDITOR = "auditor"
    OBSERVER = "observer"
    OPERATOR = "operator"
    EMERGENCY = "emergency"


organisations = Table(
    "organisations",
    metadata,
    id_column(),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("short_name", Text, nullable=False, default=""),
    Column("parent_id", Text, ForeignKey("organisations.id")),
    Column("place_code", Text),
    Column("locale", Text, nullable=False, default="vi"),
    Column("time_zone", Text, nullable=False, default="Asia/Ho_Chi_Minh"),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    Column("demo", Integer, nullable=False, default=0),
    one_of("kind", OrganisationKind),
)

accounts = Table(
    "accounts",
    metadata,
    id_column(),
    # Folded (case, composition) by admin.auth before it is stored, so that equal means equal.
    Column("sign_in", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("password_set_at", Instant, nullable=False),
    Column("locale", Text, nullable=False, default="vi"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

role_assignments = Table(
    "role_assignments",
    metadata,
    id_column(),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant),
    Column("basis", Text, nullable=False, default=""),
    Column("granted_by", Text, ForeignKey("accounts.id")),
    Column("created_at", Instant, nullable=False),
    # The body of the state that a liaison speaks for (see `takedown.agencytables`).
    Column("agency_id", Text),
    one_of("role", Role),
    Index("ix_role_assignments_account_id", "account_id"),
    Index("ix_role_assignments_organisation_id", "organisation_id"),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    # The tenant whose people may read the row; empty for the machine's own acts.
    Column("tenant_id", Text),
    Column("actor_id", Text),
    Column("actor_role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    # Keyed digests of the content before and after; never the content.
    Column("before_digest", Text),
    Column("after_digest", Text),
    Column("basis", Text),
    Column("previous", LargeBinary(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Index("ix_journal_tenant_id", "tenant_id", "seq"),
)

schema_marks = Table(
    "schema_marks",
    metadata,
    # One row: the number this schema has, and the oldest code that still works with it.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("oldest_code", Integer, nullable=False),
)
