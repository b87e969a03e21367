"""Officers' signing keys in the database: who holds which, sealed, and how many approvers must sign. `admin.officesigning` signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import NotFound
from admin.keycopies import KeyCopy
from admin.officetables import signing_keys, signing_rules
from blocklists.tables import AccountId, OrganisationId, Role, accounts, new_id, role_assignments

if TYPE_CHECKING:
    from securesystemslib.signer import Key

    from blocklists.signing import Holders

MOST_SIGNATURES = 9


@dataclass(frozen=True, slots=True)
class HeldKey:
    """One officer's key: whose it is, in which role, its id in a root, its public half."""

    id: str
    account: AccountId
    name: str
    role: Role
    keyid: str
    public: str
    created_at: datetime

    @property
    def key(self) -> Key:
        """The public key as a root names it."""
        from securesystemslib.signer import SSlibKey

        return SSlibKey(self.keyid, "ed25519", "ed25519", {"public": self.public})


async def held_keys(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[HeldKey]:
    """Every key of a person who is an officer now, the oldest first."""
    roles = role_assignments
    found = await connection.execute(
        select(signing_keys, accounts.c.name, roles.c.role)
        .join(accounts, accounts.c.id == signing_keys.c.account_id)
        .join(roles, (roles.c.account_id == signing_keys.c.account_id) & (roles.c.organisation_id == signing_keys.c.tenant_id))
        .where(
            signing_keys.c.tenant_id == tenant,
            signing_keys.c.retired_at.is_(None),
            roles.c.role.in_([Role.APPROVER.value, Role.VERIFIER.value]),
            roles.c.valid_from <= now,
            or_(roles.c.valid_until.is_(None), roles.c.valid_until > now),
        )
        .order_by(signing_keys.c.created_at, signing_keys.c.id)
    )
    held: dict[str, HeldKey] = {}
    for row in found.mappings():
        one = HeldKey(
            row["id"], AccountId(row["account_id"]), row["name"], Role(row["role"]), row["keyid"], row["public"], row["created_at"]
        )
        if one.keyid not in held or one.role is Role.APPROVER:
            held[one.keyid] = one
    return list(held.values())


async def sealed_key(connection: AsyncConnection, tenant: OrganisationId, account: AccountId) -> tuple[str, bytes] | None:
    """The id and the sealed box of a person's key; None when they have none."""
    found = await connection.execute(
        select(signing_keys.c.keyid, signing_keys.c.box).where(
            signing_keys.c.tenant_id == tenant, signing_keys.c.account_id == account, signing_keys.c.retired_at.is_(None)
        )
    )
    row = found.first()
    return None if row is None else (row.keyid, bytes(row.box))


async def live_copies(connection: AsyncConnection, tenant: OrganisationId) -> list[KeyCopy]:
    """Every key that is held, as it is copied beside the database."""
    found = await connection.execute(
        select(signing_keys).where(signing_keys.c.tenant_id == tenant, signing_keys.c.retired_at.is_(None)).order_by(signing_keys.c.keyid)
    )
    return [
        KeyCopy(tenant, AccountId(row["account_id"]), row["keyid"], row["public"], bytes(row["box"]), row["created_at"])
        for row in found.mappings()
    ]


async def unknown_among(connection: AsyncConnection, tenant: OrganisationId, copies: Sequence[KeyCopy]) -> list[KeyCopy]:
    """The copies of which this database has never heard, neither as held nor as withdrawn."""
    keyids = [one.keyid for one in copies]
    found = await connection.execute(
        select(signing_keys.c.keyid).where(signing_keys.c.tenant_id == tenant, signing_keys.c.keyid.in_(keyids))
    )
    known = set(found.scalars())
    return [one for one in copies if one.keyid not in known]


async def take_up(connection: AsyncConnection, act: Act, account: AccountId, copy: KeyCopy) -> None:
    """Give an officer a key back that the database had forgotten; the one they held meanwhile is withdrawn."""
    identity = await _put(connection, act, KeyCopy(act.tenant, account, copy.keyid, copy.public, copy.box, copy.created_at))
    await record(connection, act, Action.SIGNING_KEY_TAKEN_UP, identity, after={"keyid": copy.keyid})


async def store_key(connection: AsyncConnection, act: Act, account: AccountId, key: Key, box: bytes) -> None:
    """Keep a person's new key; the one before is withdrawn."""
    identity = await _put(connection, act, KeyCopy(act.tenant, account, key.keyid, key.keyval["public"], box, act.now))
    await record(connection, act, Action.SIGNING_KEY_MADE, identity, after={"keyid": key.keyid})


async def _put(connection: AsyncConnection, act: Act, key: KeyCopy) -> str:
    mine = (signing_keys.c.tenant_id == key.tenant, signing_keys.c.account_id == key.account, signing_keys.c.retired_at.is_(None))
    await connection.execute(update(signing_keys).where(*mine).values(retired_at=act.now))
    identity, whose = new_id(), {"tenant_id": key.tenant, "account_id": key.account}
    row = {"keyid": key.keyid, "public": key.public, "box": key.box, "created_at": key.created_at}
    await connection.execute(insert(signing_keys).values(id=identity, **whose, **row))
    return identity


async def retire_key(connection: AsyncConnection, act: Act, identity: str) -> None:
    """Withdraw a key; it can sign nothing once the next root is signed. Raises NotFound."""
    done = await connection.execute(
        update(signing_keys)
        .where(signing_keys.c.id == identity, signing_keys.c.tenant_id == act.tenant, signing_keys.c.retired_at.is_(None))
        .values(retired_at=act.now)
    )
    if not done.rowcount:
        raise NotFound
    await record(connection, act, Action.SIGNING_KEY_RETIRED, identity)


async def set_threshold(connection: AsyncConnection, act: Act, threshold: int) -> None:
    """How many approvers must sign a release from the next root on."""
    await connection.execute(delete(signing_rules).where(signing_rules.c.tenant_id == act.tenant))
    await connection.execute(insert(signing_rules).values(tenant_id=act.tenant, threshold=threshold))
    await record(connection, act, Action.SIGNING_RULE_SET, act.tenant, after={"threshold": threshold})


async def read_threshold(connection: AsyncConnection, tenant: OrganisationId) -> int:
    """How many approvers should sign a release; one unless the office wants more."""
    found = await connection.execute(select(signing_rules.c.threshold).where(signing_rules.c.tenant_id == tenant))
    return int(found.scalar_one_or_none() or 1)


async def read_holders(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> Holders:
    """Who should hold the keys of the next root."""
    from blocklists.signing import Holders

    keys = await held_keys(connection, tenant, now)
    approvers = tuple(one.key for one in keys if one.role is Role.APPROVER)
    return Holders(tuple(one.key for one in keys), approvers, await read_threshold(connection, tenant))
