"""Who holds a signing key: people who are officers now, one key each."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from admin.audit import Act, by_account
from admin.errors import NotFound
from admin.officekeys import held_keys, read_holders, read_threshold, retire_key, sealed_key, set_threshold, store_key
from blocklists.database import Database
from blocklists.keybox import make_box
from blocklists.tables import Role, role_assignments
from tests.support.office import Officers


async def test_key_is_replaced_withdrawn_and_ends_with_the_role(database: Database, officers: Officers, now: datetime) -> None:
    """A new key takes the old one's place; an officer who left holds none; another office's key is not found."""
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    async with database.write() as connection:
        for account in (officers.verifier, officers.approver, officers.approver):
            signer, box = make_box("một cụm mật khẩu")
            await store_key(connection, act, account, signer.public_key, box)
        await set_threshold(connection, act, 2)
        keys = await held_keys(connection, officers.tenant, now)
        assert {(key.account, key.role) for key in keys} == {(officers.verifier, Role.VERIFIER), (officers.approver, Role.APPROVER)}
        newest = await sealed_key(connection, officers.tenant, officers.approver)
        assert newest is not None and newest[0] == signer.public_key.keyid
        holders = await read_holders(connection, officers.tenant, now)
        assert (len(holders.officers), len(holders.approvers), holders.threshold) == (2, 1, 2)
        assert holders.approvers[0] == signer.public_key
        assert await read_threshold(connection, officers.tenant) == 2
        await connection.execute(
            update(role_assignments).where(role_assignments.c.account_id == officers.verifier).values(valid_until=now + timedelta(days=1))
        )
        later = await held_keys(connection, officers.tenant, now + timedelta(days=2))
        assert [key.account for key in later] == [officers.approver]
        await retire_key(connection, act, later[0].id)
        assert await sealed_key(connection, officers.tenant, officers.approver) is None
        with pytest.raises(NotFound):
            await retire_key(connection, act, later[0].id)
