"""Before an entry ends: renewals within their caps, and the owner of a state site told by a person."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert

from admin.office import open_office
from blocklists.database import Database
from blocklists.takedown import cases, renewing, store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match, Office, TransitionRefused
from blocklists.takedown.store import NewItem, NewOrder
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


async def entry(connection: object, office: Office, officers: Officers, now: datetime, host: str, number: str, days: int) -> str:
    """An entry in force."""
    from sqlalchemy.ext.asyncio import AsyncConnection

    assert isinstance(connection, AsyncConnection)
    item = NewItem(host, host, Match.BOTH, Enforceability.YES)
    order = NewOrder(parse_symbol(number), "Sở X", now, now + timedelta(days=days), items=(item,))
    made = await store.register(connection, office, order, Actor(officers.verifier, Capacity.VERIFIER), now)
    identity = store.new_id()
    await connection.execute(
        insert(tables.entries).values(
            id=identity, tenant_id=office.tenant, order_id=made, host=host, match="both", category="order", valid_from=now,
            valid_until=now + timedelta(days=days), provisional_since=None if number[0].isdigit() else now, state="active",
            verified_by=officers.verifier, approved_by=officers.approver, serial_in=1, first_serial=1, approved_at=now,
        )
    )  # fmt: skip
    return identity


@pytest.mark.parametrize(
    ("host", "number", "days", "refused"),
    [
        ("a.example", "12/QĐ-SVHTTDL", 400, ""),
        ("a.example", "/QĐ-SVHTTDL", 44, ""),
        ("a.example", "/QĐ-SVHTTDL", 46, "provisional_too_long"),
        ("truong.edu.vn", "12/QĐ-SVHTTDL", 8, "state_host_too_long"),
        ("a.example", "12/QĐ-SVHTTDL", 2, "end_earlier"),
    ],
)
async def test_renewal_keeps_the_caps(
    database: Database, officers: Officers, now: datetime, host: str, number: str, days: int, refused: str
) -> None:
    """A renewed entry is published once more with its new end; what may not live longer does not."""
    approver = Actor(officers.approver, Capacity.APPROVER)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        one = await entry(connection, office, officers, now, host, number, 3)
        until = now + timedelta(days=days)
        if refused:
            with pytest.raises(TransitionRefused) as why:
                await renewing.renew_entry(connection, office, one, until, "13/QĐ-SVHTTDL", approver, now)
            assert why.value.code == refused
            return
        with pytest.raises(TransitionRefused, match="reason"):
            await renewing.renew_entry(connection, office, one, until, "", approver, now)
        with pytest.raises(TransitionRefused):
            await renewing.renew_entry(connection, office, one, until, "x", Actor(officers.verifier, Capacity.APPROVER), now)
        await renewing.renew_entry(connection, office, one, until, "13/QĐ-SVHTTDL", approver, now)
        row = await store.entry_row(connection, office, one)
    assert (row["state"], row["valid_until"], row["serial_in"], row["first_serial"]) == ("publishing", until, None, 1)


async def test_the_owner_of_a_state_site_is_told_once(database: Database, officers: Officers, now: datetime) -> None:
    """It waits in the list until somebody says how; other sites have no owner to tell."""
    actor = Actor(officers.verifier, Capacity.VERIFIER)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        state = await entry(connection, office, officers, now, "so.laichau.gov.vn", "12/QĐ-SVHTTDL", 3)
        other = await entry(connection, office, officers, now, "a.example", "12/QĐ-SVHTTDL", 3)
        assert [row["id"] for row in await renewing.owners_to_tell(connection, office)] == [state]
        with pytest.raises(TransitionRefused):
            await renewing.tell_owner(connection, office, other, "thư", actor, now)
        await renewing.tell_owner(connection, office, state, "thư tới vanthu@laichau.gov.vn", actor, now)
        assert await renewing.owners_to_tell(connection, office) == []
        with pytest.raises(TransitionRefused):
            await renewing.tell_owner(connection, office, state, "thư", actor, now)


async def test_reports_of_one_site_merge(database: Database, officers: Officers, now: datetime) -> None:
    """Only into an open report about the same site."""
    actor = Actor(officers.verifier, Capacity.VERIFIER)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        for host in ("a.example", "a.example", "b.example"):
            await cases.receive_report(connection, office, cases.NewReport("web", "harmful", "public", host, "gamb"), now)
        rows = await cases.open_reports(connection, office)
        one, two = (row["id"] for row in rows if row["host"] == "a.example")
        (other,) = (row["id"] for row in rows if row["host"] == "b.example")
        await cases.move_report(connection, office, one, "triage", actor, now)
        for target in (other, one):
            with pytest.raises(TransitionRefused, match="same site"):
                await cases.move_report(connection, office, one, "merge", actor, now, reason="trùng", merged_into=target)
        await cases.move_report(connection, office, one, "merge", actor, now, reason="trùng", merged_into=two)
        assert [row["id"] for row in await cases.open_reports(connection, office) if row["host"] == "a.example"] == [two]
