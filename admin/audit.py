"""What people and the machine do, written into the journal in the words of the control plane.

A row names the act (`Action`), random ids and keyed digests; it never holds a label, a host or a note. The key of the digests belongs
to the tenant: while it exists, an auditor can prove that a given content was the one decided on; once destroyed, the digests say
nothing. `record` is called inside the write transaction that makes the change. `verify_database` is what the command and the page
call.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.officetables import gateways
from admin.tables import tenant_keys
from blocklists.database import Database, call_after
from blocklists.journal import ENDED, Entry, Finding, Head, append, read_checkpoint, read_head, verify, write_checkpoint
from blocklists.tables import EVERY_TENANT, AccountId, OrganisationId, Role, journal

CHECKPOINT = "journal.head"


class Action(StrEnum):
    """Acts that enter the journal, as `object.act`."""

    TENANT_CREATED = "tenant.created"
    TENANT_EXPORTED = "tenant.exported"
    TENANT_IMPORTED = "tenant.imported"
    ACCOUNT_CREATED = "account.created"
    ROLE_GRANTED = "role.granted"
    ROLE_OFFERED = "role.offered"
    ROLE_ENDED = "role.ended"
    ROLE_END_ASKED = "role.end_asked"
    GLASS_BROKEN = "glass.broken"
    INVITATION_WITHDRAWN = "invitation.withdrawn"
    NAME_OPENED = "name.opened"
    SESSION_OPENED = "session.opened"
    SESSION_ENDED = "session.ended"
    PASSWORD_CONFIRMED = "password.confirmed"
    PASSWORD_RESET = "password.reset"
    PASSWORD_CHANGED = "password.changed"
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    RECOVERY_RENEWED = "recovery.renewed"
    RECOVERY_USED = "recovery.used"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    PASSKEY_CONFIRMED = "passkey.confirmed"
    TOKEN_CREATED = "token.created"
    TOKEN_REVOKED = "token.revoked"
    STAFF_INVITED = "staff.invited"
    STAFF_INVITATION_WITHDRAWN = "staff.withdrawn"
    STAFF_ENROLLED = "staff.enrolled"
    JOIN_CODE_MADE = "join.made"
    JOIN_CODE_WITHDRAWN = "join.withdrawn"
    FAMILY_JOINED = "family.joined"
    SHEET_MADE = "sheet.made"
    PIN_RENEWAL_STARTED = "renewal.started"
    PIN_RENEWAL_STOPPED = "renewal.stopped"
    PIN_RENEWED = "renewal.used"
    PASSWORD_RENEWED = "password.renewed"
    PIN_SET = "pin.set"
    PIN_REMOVED = "pin.removed"
    PIN_GUESSED = "pin.guessed"
    DEVICE_LENT = "device.lent"
    DEVICE_RETURNED = "device.returned"
    SITE_CREATED = "site.created"
    SITE_CHANGED = "site.changed"
    PROFILE_CREATED = "profile.created"
    PROFILE_CHANGED = "profile.changed"
    PROFILE_ERASED = "profile.erased"
    DATABASE_RESTORED = "database.restored"
    PROFILE_RETIRED = "profile.retired"
    DEVICE_ASSIGNED = "device.assigned"
    DEVICE_RETIRED = "device.retired"
    PHONE_RENEWED = "device.renamed"
    HOME_LINKED = "home.linked"
    HOME_UNLINKED = "home.unlinked"
    SWITCH_SET = "switch.set"
    NAME_ADDED = "name.added"
    NAME_REMOVED = "name.removed"
    HOURS_SET = "hours.set"
    OVERRIDE_STARTED = "override.started"
    OVERRIDE_ENDED = "override.ended"
    REQUEST_RECEIVED = "request.received"
    REQUEST_ANSWERED = "request.answered"
    HISTORY_PROPOSED = "history.proposed"
    HISTORY_STARTED = "history.started"
    HISTORY_ENDED = "history.ended"
    HISTORY_VIEWED = "history.viewed"
    WATCH_STARTED = "watch.started"
    WATCH_ENDED = "watch.ended"
    CHOICES_CHANGED = "choices.changed"
    TENANT_RENAMED = "tenant.renamed"
    PLACE_SET = "place.set"
    PLACE_LEFT = "place.left"
    DATES_CHANGED = "dates.changed"
    POLICY_APPLIED = "policy.applied"
    SIGNING_KEY_MADE = "signing.key_made"
    SIGNING_KEY_TAKEN_UP = "signing.key_taken_up"
    SIGNING_KEY_DOUBTED = "signing.key_doubted"
    SIGNING_KEY_RETIRED = "signing.key_retired"
    SIGNING_RULE_SET = "signing.rule_set"
    ROOT_SIGNED = "signing.root_signed"
    RELEASE_SIGNED = "signing.release_signed"
    SERVER_KEY_RENEWED = "signing.server_key_renewed"
    ROLLOUT_BEGUN = "rollout.begun"
    ROLLOUT_HELD = "rollout.held"
    ROLLOUT_WENT_ON = "rollout.went_on"
    ROLLOUT_RULE_SET = "rollout.rule_set"
    SCHOOLS_TIGHTENED = "schools.tightened"
    SCHOOLS_RELEASED = "schools.released"
    SCHOOLS_LEFT = "schools.left"
    GATEWAY_INVITED = "gateway.invited"
    GATEWAY_JOINED = "gateway.joined"
    GATEWAY_RETIRED = "gateway.retired"


#: After one of these nobody can say whose the older password, factor or paper is by now. Their object is the account.
SECRETS = frozenset(
    {
        Action.PASSWORD_CHANGED, Action.PASSWORD_RESET, Action.PIN_RENEWED, Action.FACTOR_ADDED, Action.FACTOR_REMOVED,
        Action.RECOVERY_RENEWED, Action.PASSWORD_RENEWED,
    }
)  # fmt: skip
#: What must not come back with an older state of the database (`admin.ended`).
ENDINGS = SECRETS | {
    Action.ROLE_ENDED, Action.TOKEN_REVOKED, Action.PASSKEY_REMOVED, Action.DEVICE_RETIRED, Action.PHONE_RENEWED,
    Action.JOIN_CODE_WITHDRAWN, Action.STAFF_INVITATION_WITHDRAWN, Action.SHEET_MADE, Action.PIN_SET, Action.PIN_REMOVED,
    Action.GATEWAY_RETIRED, Action.SIGNING_KEY_RETIRED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class By:
    """Under whose name a row is written: an account in a role, or the machine and people without an account."""

    account_id: AccountId | None
    role: str


MACHINE = By(None, "machine")
#: Somebody who asked from a page without an account, as a child does.
VISITOR = By(None, "visitor")


def by_account(account_id: AccountId, role: Role) -> By:
    """A person acting in a role."""
    return By(account_id, role.value)


@dataclass(frozen=True, slots=True)
class Act:
    """One act of somebody: for which tenant, under whose name, when. Writers take it as one value."""

    tenant: OrganisationId
    by: By
    now: datetime


async def record(
    connection: AsyncConnection,
    act: Act,
    action: Action,
    object_id: str,
    *,
    before: object = None,
    after: object = None,
    basis: str | None = None,
) -> None:
    """Add one row to the journal. `before` and `after` are JSON values of which only a keyed digest is kept. What ends something for good
    is kept outside the database, too (`admin.ended`)."""
    if action in ENDINGS:
        call_after(connection, ENDED)
    key = await read_key(connection, act.tenant)
    await append(
        connection,
        Entry(
            at=act.now,
            tenant_id=act.tenant,
            actor_id=act.by.account_id,
            actor_role=act.by.role,
            action=action.value,
            object_kind=action.value.partition(".")[0],
            object_id=object_id,
            before_digest=keyed_digest(key, before),
            after_digest=keyed_digest(key, after),
            basis=basis,
        ),
    )


async def create_key(connection: AsyncConnection, tenant: OrganisationId) -> None:
    """Give a new tenant the key of its digests."""
    await connection.execute(insert(tenant_keys).values(tenant_id=tenant, digest_key=secrets.token_bytes(32)))


async def read_key(connection: AsyncConnection, tenant: OrganisationId) -> bytes | None:
    """The key of a tenant's digests; None once it was destroyed."""
    return (await connection.execute(select(tenant_keys.c.digest_key).where(tenant_keys.c.tenant_id == tenant))).scalar_one_or_none()


def keyed_digest(key: bytes | None, content: object) -> str | None:
    """HMAC-SHA256 of canonical JSON; None without a key or without content."""
    if key is None or content is None:
        return None
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


async def read_rows(connection: AsyncConnection, tenant: OrganisationId, limit: int, before_seq: int | None = None) -> Sequence[Any]:
    """The newest rows that concern a tenant, for its own people (rows of SQLAlchemy)."""
    statement = select(journal).where(journal.c.tenant_id == tenant).order_by(journal.c.seq.desc()).limit(limit)
    if before_seq is not None:
        statement = statement.where(journal.c.seq < before_seq)
    return (await connection.execute(statement)).all()


async def verify_database(database: Database, state_dir: Path) -> Finding:
    """Walk the whole journal against every head that is known outside it: the checkpoint, signed releases, receipts of gateways. Works
    without the program running."""
    from blocklists.releases import Repository  # loaded for this walk only: ten megabytes that no page needs

    seen = [Head(seq, digest) for seq, digest in Repository(state_dir / "release").signed_heads()]
    async with database.read() as connection:
        table = gateways
        told = select(table.c.journal_seq, table.c.journal_digest).where(table.c.journal_seq.isnot(None)).execution_options(**EVERY_TENANT)
        seen += [Head(row.journal_seq, bytes.fromhex(row.journal_digest)) for row in await connection.execute(told)]
        return await verify(connection, read_checkpoint(state_dir / CHECKPOINT), seen)


async def keep_checkpoint(database: Database, state_dir: Path) -> None:
    """Keep the end of the chain outside the database; called after changes and when the program stops."""
    async with database.read() as connection:
        head = await read_head(connection)
    write_checkpoint(state_dir / CHECKPOINT, head)
