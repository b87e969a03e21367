"""Sessions, known browsers and API tokens: random secrets in people's hands, SHA-256 of them in the database.

A session ends when it was idle too long or when its absolute end comes, whichever is first. Families may keep a phone signed in for thirty
days: to look and to tighten; loosening asks for the password again (`admin.permissions`). Times are arguments.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.permissions import ROLES, Actor, Assignment, Permission, Scope
from admin.tables import api_token_scopes, api_tokens, known_browsers, passkeys, second_factors, sessions
from admin.values import SessionId
from blocklists.tables import (
    EVERY_TENANT,
    AccountId,
    OrganisationId,
    OrganisationKind,
    Role,
    accounts,
    new_id,
    organisations,
    role_assignments,
)

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
KEPT = timedelta(days=30)
KNOWN_BROWSER = timedelta(days=400)
#: The last-seen time is written at most this often: looking at pages is not a write each.
SEEN_STEP = timedelta(minutes=1)
TOKEN_MARK = "lachan_"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation the account has a role on."""

    id: OrganisationId
    kind: OrganisationKind
    name: str
    time_zone: str
    demo: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A live session: who acts, for which organisation, and what forms must bring back. API tokens have no session."""

    actor: Actor
    tenant: Tenant | None
    tenants: tuple[Tenant, ...]
    locale: str
    session_id: SessionId | None = None
    form_key: bytes = b""
    seen_at: datetime | None = None


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret. It is random, so one pass is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


async def open_session(
    connection: AsyncConnection, account: AccountId, now: datetime, *, kept: bool, browser: str, second: bool = False
) -> str:
    """Start a session after the password was right, or a passkey; `second`: a second factor was shown, too. Returns the cookie's secret,
    which is stored nowhere."""
    secret = new_secret()
    await connection.execute(
        insert(sessions).values(
            token_hash=hash_secret(secret),
            account_id=account,
            form_key=secrets.token_bytes(16),
            browser=browser[:120],
            created_at=now,
            seen_at=now,
            idle_seconds=int((KEPT if kept else IDLE).total_seconds()),
            ends_at=now + (KEPT if kept else ABSOLUTE),
            confirmed_at=now,
            second_at=now if second else None,
        )
    )
    await connection.execute(delete(sessions).where(sessions.c.ends_at < now))
    return secret


async def load_session(connection: AsyncConnection, secret: str, now: datetime) -> SignedIn | None:
    """The live session of a cookie; None when there is none, it has ended, or the account was closed."""
    row = (
        await connection.execute(
            select(
                sessions,
                accounts.c.name,
                accounts.c.locale,
                second_factors.c.confirmed_at.label("factor_since"),
                exists().where(passkeys.c.account_id == accounts.c.id).label("has_passkey"),
            )
            .join(accounts, accounts.c.id == sessions.c.account_id)
            .outerjoin(second_factors, (second_factors.c.account_id == accounts.c.id) & second_factors.c.confirmed_at.is_not(None))
            .where(sessions.c.token_hash == hash_secret(secret), accounts.c.disabled_at.is_(None))
        )
    ).one_or_none()
    if row is None or row.ends_at <= now or row.seen_at + timedelta(seconds=row.idle_seconds) <= now:
        return None
    assignments, tenants = await read_assignments(connection, AccountId(row.account_id), now)
    chosen = next((tenant for tenant in tenants if tenant.id == row.organisation_id), tenants[0] if tenants else None)
    return SignedIn(
        actor=Actor(
            AccountId(row.account_id),
            row.name,
            assignments,
            confirmed_at=row.confirmed_at,
            has_factor=row.factor_since is not None,
            has_passkey=bool(row.has_passkey),
            second_at=row.second_at,
        ),
        tenant=chosen,
        tenants=tenants,
        locale=row.locale,
        session_id=SessionId(row.id),
        form_key=bytes(row.form_key),
        seen_at=row.seen_at,
    )


def is_seen_due(live: SignedIn, now: datetime) -> bool:
    """Whether the last-seen time of a session is old enough to be written again."""
    return live.seen_at is not None and now - live.seen_at >= SEEN_STEP


async def touch_session(connection: AsyncConnection, secret: str, now: datetime) -> None:
    """Note that the session is in use."""
    await connection.execute(update(sessions).where(sessions.c.token_hash == hash_secret(secret)).values(seen_at=now))


async def confirm_session(connection: AsyncConnection, session: SessionId, now: datetime, *, second: bool = False) -> str:
    """The password was typed again, or a passkey used: loosening is open for a while. The cookie is replaced, as after every sign-in;
    returns its new secret."""
    secret = new_secret()
    values = {"token_hash": hash_secret(secret), "confirmed_at": now, "seen_at": now} | ({"second_at": now} if second else {})
    await connection.execute(update(sessions).where(sessions.c.id == session).values(values))
    return secret


async def note_second(connection: AsyncConnection, session: SessionId, now: datetime) -> str:
    """A second factor was shown in this session; the cookie is replaced, its new secret returned."""
    secret = new_secret()
    await connection.execute(update(sessions).where(sessions.c.id == session).values(token_hash=hash_secret(secret), second_at=now))
    return secret


async def choose_organisation(connection: AsyncConnection, session: SessionId, organisation: OrganisationId) -> None:
    """Show another organisation's pages in this session; the caller has checked that the account has a role there."""
    await connection.execute(update(sessions).where(sessions.c.id == session).values(organisation_id=organisation))


async def end_session(connection: AsyncConnection, session: SessionId) -> None:
    """Sign out: the cookie is worth nothing from here on."""
    await connection.execute(delete(sessions).where(sessions.c.id == session))


async def end_other_sessions(connection: AsyncConnection, account: AccountId, keep: SessionId) -> None:
    """Sign out everywhere else."""
    await connection.execute(delete(sessions).where(sessions.c.account_id == account, sessions.c.id != keep))


async def remember_browser(connection: AsyncConnection, account: AccountId, now: datetime) -> str:
    """After a sign-in: a second, long-lived secret by which strangers' guesses never slow this browser down."""
    secret = new_secret()
    await connection.execute(
        insert(known_browsers).values(secret_hash=hash_secret(secret), account_id=account, created_at=now, seen_at=now)
    )
    await connection.execute(delete(known_browsers).where(known_browsers.c.seen_at < now - KNOWN_BROWSER))
    return secret


async def find_browser(connection: AsyncConnection, secret: str | None, account: AccountId | None) -> str | None:
    """The id of a browser that signed in to this account before."""
    if not secret or account is None:
        return None
    statement = select(known_browsers.c.id).where(
        known_browsers.c.secret_hash == hash_secret(secret), known_browsers.c.account_id == account
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def read_assignments(
    connection: AsyncConnection, account: AccountId, now: datetime
) -> tuple[tuple[Assignment, ...], tuple[Tenant, ...]]:
    """The roles an account has today, and the organisations they are on, the oldest role first."""
    rows = (
        await connection.execute(
            select(
                role_assignments.c.role,
                organisations.c.id,
                organisations.c.kind,
                organisations.c.name,
                organisations.c.time_zone,
                organisations.c.demo,
            )
            .join(organisations, organisations.c.id == role_assignments.c.organisation_id)
            .where(
                role_assignments.c.account_id == account,
                role_assignments.c.valid_from <= now,
                role_assignments.c.valid_until.is_(None) | (role_assignments.c.valid_until > now),
                organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now),
            )
            .order_by(role_assignments.c.valid_from, role_assignments.c.id)
        )
    ).all()
    if not any(
        Permission.GLASS_BREAK in ROLES[Role(row.role)] for row in rows
    ):  # a look by a document is nothing without the role behind it
        rows = [row for row in rows if row.role != Role.EMERGENCY.value]
    assignments = tuple(Assignment(OrganisationId(row.id), Role(row.role)) for row in rows)
    tenants = {row.id: Tenant(OrganisationId(row.id), OrganisationKind(row.kind), row.name, row.time_zone, bool(row.demo)) for row in rows}
    return assignments, tuple(tenants.values())


async def create_token(
    connection: AsyncConnection,
    tenant: OrganisationId,
    account: AccountId,
    label: str,
    scopes: frozenset[Scope],
    now: datetime,
    ends: datetime,
) -> tuple[str, str]:
    """A new API token: its id, and the text that is shown once and stored nowhere."""
    secret = TOKEN_MARK + new_secret()
    token = new_id()
    await connection.execute(
        insert(api_tokens).values(
            id=token,
            tenant_id=tenant,
            account_id=account,
            label=label,
            prefix=secret[: len(TOKEN_MARK) + 6],
            secret_hash=hash_secret(secret),
            created_at=now,
            ends_at=ends,
        )
    )
    await connection.execute(
        insert(api_token_scopes), [{"token_id": token, "tenant_id": tenant, "scope": scope.value} for scope in sorted(scopes)]
    )
    return token, secret


async def load_token(connection: AsyncConnection, secret: str, now: datetime) -> SignedIn | None:
    """Who an API token speaks for; None when it is unknown, revoked or over. Its account's roles of today still bound it."""
    row = (
        await connection.execute(
            select(api_tokens, accounts.c.name, accounts.c.locale)
            .join(accounts, accounts.c.id == api_tokens.c.account_id)
            .where(api_tokens.c.secret_hash == hash_secret(secret), api_tokens.c.revoked_at.is_(None), accounts.c.disabled_at.is_(None))
            .execution_options(**EVERY_TENANT)
        )
    ).one_or_none()
    if row is None or row.ends_at <= now:
        return None
    listed = select(api_token_scopes.c.scope).where(api_token_scopes.c.token_id == row.id, api_token_scopes.c.tenant_id == row.tenant_id)
    scopes = frozenset(Scope(scope) for scope in (await connection.execute(listed)).scalars())
    assignments, tenants = await read_assignments(connection, AccountId(row.account_id), now)
    own = tuple(assignment for assignment in assignments if assignment.organisation_id == row.tenant_id)
    tenant = next((tenant for tenant in tenants if tenant.id == row.tenant_id), None)
    actor = Actor(AccountId(row.account_id), row.name, own, scopes=scopes)
    return SignedIn(actor, tenant, (tenant,) if tenant else (), row.locale)


async def revoke_token(connection: AsyncConnection, tenant: OrganisationId, token: str, now: datetime) -> bool:
    """Take a token back; it is worth nothing from the next request on. False when the tenant has no such token."""
    result = await connection.execute(
        update(api_tokens)
        .where(api_tokens.c.tenant_id == tenant, api_tokens.c.id == token, api_tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return result.rowcount == 1
