"""An older database that came here by another way (a copied file, pg_restore) is settled at the start: on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from admin.audit import CHECKPOINT, MACHINE, Act, Action, keep_checkpoint, record
from admin.dependencies import Services
from admin.ended import FILE, check_age, is_older, note_ended, read_lines
from admin.erasing import note_erased
from admin.officekeys import live_copies
from admin.officetables import signing_keys
from admin.people import end_role, list_members
from admin.profiles import list_profiles
from admin.recovery import make_sheet, read_paper
from admin.sessions import open_session
from admin.tables import second_factors, sessions
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.journal import Head, write_checkpoint
from blocklists.tables import Role, accounts, journal, role_assignments
from tests.support.family import Family
from tests.support.office import Officers
from tests.support.people import make_person


async def test_an_older_state_is_settled_at_the_start(
    services: Services, family: Family, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    """What is known outside says more than the database: the child is erased again, the role ends, the password opens nothing, nobody is
    signed in, and the family's journal says so. Once; the next start has nothing to do."""
    state, later = services.settings.state_dir, act.now + timedelta(hours=2)
    async with services.database.write() as connection:
        father = await create_account(connection, "bo", "Bố", "hash", "vi", act.now)
        await grant_role(connection, act, father, Role.PARENT)
        await open_session(connection, family.account, act.now, kept=True, browser="")
        mine = select(role_assignments.c.id).where(role_assignments.c.account_id == father)
        assignment = (await connection.execute(mine)).scalar_one()
        seq = (await connection.execute(select(func.max(journal.c.seq)))).scalar_one()
    assert await check_age(services.database, state, act.now) is None
    note_erased(state, family.tenant, family.bi.id)
    lines = [(seq + 3, "role.ended", assignment), (seq + 4, "password.changed", family.account), (seq + 5, "seen", "-")]
    (state / FILE).write_text("".join(f"{number} {later.isoformat()} {action} {thing}\n" for number, action, thing in lines))
    again = await check_age(services.database, state, later)
    assert again is not None and (again.roles, again.erased, again.locked) == (1, 1, ("me",))
    assert "reset-password" in caplog.text and "me" not in caplog.text.split()
    async with services.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 0
        assert [one.account for one in await list_members(connection, family.tenant, later)] == [family.account]
        assert "Bi" not in {profile.label for profile in await list_profiles(connection, family.tenant)}
        told = select(journal.c.action).where(journal.c.tenant_id == family.tenant).order_by(journal.c.seq.desc()).limit(1)
        assert (await connection.execute(told)).scalar_one() == Action.DATABASE_RESTORED.value
        assert (await connection.execute(select(accounts.c.password_hash).where(accounts.c.sign_in == "me"))).scalar_one() == ""
    assert await check_age(services.database, state, later) is None


async def test_a_signing_key_that_was_withdrawn_since_stays_withdrawn(services: Services, officers: Officers, now: datetime) -> None:
    """An officer's passphrase was known to others, the key was withdrawn; the older state knows it as good."""
    state, later = services.settings.state_dir, now + timedelta(hours=2)
    async with services.database.write() as connection:
        for name, account in (("withdrawn", officers.approver), ("good", officers.second)):
            row = {"id": name, "account_id": account, "keyid": name, "public": "00", "box": b"sealed", "created_at": now}
            await connection.execute(insert(signing_keys).values(tenant_id=officers.tenant, **row))
        seq = (await connection.execute(select(func.max(journal.c.seq)))).scalar_one()
    assert await check_age(services.database, state, now) is None
    lines = [(seq + 3, "signing.key_retired", "withdrawn"), (seq + 4, "seen", "-")]
    (state / FILE).write_text("".join(f"{number} {later.isoformat()} {action} {thing}\n" for number, action, thing in lines))
    assert await check_age(services.database, state, later) is not None
    async with services.database.read() as connection:
        assert [one.keyid for one in await live_copies(connection, officers.tenant)] == ["good"]


async def test_what_ended_is_kept_outside_as_ids_alone(services: Services, family: Family, act: Act) -> None:
    """A line names a row, a moment, an act and a random id; a line cut short by a power failure harms nothing; what follows it is noted."""
    state = services.settings.state_dir
    async with services.database.write() as connection:
        await record(connection, act, Action.TOKEN_REVOKED, "k" * 24)
        await record(connection, act, Action.PROFILE_CHANGED, family.bi.id)
    await note_ended(services.database, state)
    (line,) = read_lines(state)
    assert (line.action, line.object_id, line.at) == ("token.revoked", "k" * 24, act.now)
    assert (state / FILE).stat().st_mode & 0o777 == 0o600
    with (state / FILE).open("a") as file:
        file.write("99 2026-10")
    await keep_checkpoint(services.database, state)
    assert await check_age(services.database, state, act.now) is None
    async with services.database.write() as connection:
        await record(connection, act, Action.PASSKEY_REMOVED, "p" * 24)
    await note_ended(services.database, state)
    assert {one.object_id for one in read_lines(state)} >= {"k" * 24, "p" * 24}


async def test_what_ends_is_kept_outside_before_the_act_is_answered(services: Services, family: Family, act: Act) -> None:
    """The database is lost in the very next moment: the father's role and the key do not come back with a copy from before. What was undone
    ends nothing."""
    state, database = services.settings.state_dir, services.database
    async with database.write() as connection:
        father = await create_account(connection, "bo", "Bố", "hash", "vi", act.now)
        await grant_role(connection, act, father, Role.PARENT)
        members = await list_members(connection, family.tenant, act.now)
    assignment = next(one.assignment for one in members if one.account == father)
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await record(connection, act, Action.TOKEN_REVOKED, "k" * 24)
            raise ZeroDivisionError
    async with database.write() as connection:
        await grant_role(connection, act, father, Role.PARENT)
    assert not {one.action for one in read_lines(state)} & {"token.revoked"}
    async with database.write() as connection:
        await end_role(connection, act, assignment)
        assert assignment not in {one.object_id for one in read_lines(state)}, "it is not in force yet"
    assert [one.object_id for one in read_lines(state) if one.action == "role.ended"] == [assignment]


async def test_a_disk_that_refuses_stops_no_act(services: Services, family: Family, act: Act, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, the act holds, and the next look notes it."""
    state = services.settings.state_dir
    (state / FILE).mkdir()
    async with services.database.write() as connection:
        await record(connection, act, Action.TOKEN_REVOKED, "k" * 24)
    assert "not kept outside the database yet" in caplog.text
    (state / FILE).rmdir()
    assert await note_ended(services.database, state) >= 1
    assert "k" * 24 in {one.object_id for one in read_lines(state)}


MANY = 40_000


async def test_forty_thousand_endings_are_settled(services: Services, family: Family, act: Act) -> None:
    """A province's file of years: more of each kind than a database takes in one statement. Every one ends, none of the rest does, and the
    minute's look at the file reads its end alone."""
    state, later = services.settings.state_dir, act.now + timedelta(hours=2)
    names = [f"{number:024d}" for number in range(MANY)]
    async with services.database.write() as connection:
        row = {"organisation_id": family.tenant, "account_id": family.account, "role": Role.TEACHER.value}
        row |= {"valid_from": act.now, "created_at": act.now}
        await connection.execute(insert(role_assignments), [{**row, "id": name} for name in names])
        person = {"name": "x", "password_hash": "old", "password_set_at": act.now, "language": "vi", "created_at": act.now}
        await connection.execute(insert(accounts), [{**person, "id": name, "sign_in": name} for name in names])
    await note_ended(services.database, state)
    kinds = ("role.ended", "password.changed", "token.revoked", "passkey.removed", "device.retired", "pin.set", "sheet.made")
    lines = [f"{1000 + number} {later.isoformat()} {kind} {name}\n" for kind in kinds for number, name in enumerate(names)]
    (state / FILE).write_text("".join(lines))
    again = await check_age(services.database, state, later)
    assert again is not None and (again.roles, len(again.locked)) == (MANY, MANY)
    async with services.database.read() as connection:
        assert [one.account for one in await list_members(connection, family.tenant, later)] == [family.account]
        bare = select(func.count()).select_from(accounts).where(accounts.c.password_hash == "")
        assert (await connection.execute(bare)).scalar_one() == MANY
    assert not await is_older(services.database, state)


async def test_a_used_recovery_code_is_not_good_again(services: Services, family: Family, act: Act) -> None:
    """Nothing outside the database tells which code on paper was used since, so none is good; the app goes on, new ones are made."""
    state, factors = services.settings.state_dir, services.door.factors
    async with services.database.write() as connection:
        codes = await factors.renew_recovery(connection, family.account, act.now)
        secret = await factors.begin(connection, family.account, act.now)
        await connection.execute(update(second_factors).values(confirmed_at=act.now))
        seq = (await connection.execute(select(func.max(journal.c.seq)))).scalar_one()
    later = act.now + timedelta(hours=2)
    (state / FILE).write_text(f"{seq + 9} {later.isoformat()} seen -\n")
    again = await check_age(services.database, state, later)
    assert again is not None and (again.papers, again.locked) == (1, ())
    async with services.database.write() as connection:
        assert not await factors.check(connection, family.account, codes[0], later)
        assert await factors.left(connection, family.account) == 0 and await factors.has(connection, family.account)
        assert secret
        assert len(await factors.renew_recovery(connection, family.account, later)) == 10


@pytest.mark.parametrize("action", [Action.PASSWORD_RENEWED, Action.PIN_RENEWED, Action.SHEET_MADE])
async def test_a_used_or_replaced_sheet_is_not_good_again(services: Services, family: Family, act: Act, action: Action) -> None:
    """A recovery sheet works once, also where the database that knew it was used is lost."""
    async with services.database.write() as connection:
        sheet = await make_sheet(connection, act, family.account)
        seq = (await connection.execute(select(func.max(journal.c.seq)))).scalar_one()
    later = act.now + timedelta(hours=2)
    (services.settings.state_dir / FILE).write_text(f"{seq + 9} {later.isoformat()} {action.value} {family.account}\n")
    await check_age(services.database, services.settings.state_dir, later)
    async with services.database.read() as connection:
        assert await read_paper(connection, sheet, later) is None


async def test_a_database_begun_anew_is_no_older_state(database: Database, tmp_path: Path, now: datetime) -> None:
    """The file was moved away and the set-up begins again beside the old state: nothing is taken for a restore, and what ends from here on
    is noted."""
    (tmp_path / FILE).write_text(f"400 {now.isoformat()} token.revoked {'k' * 24}\n")
    write_checkpoint(tmp_path / CHECKPOINT, Head(400, b"x" * 32))
    assert await check_age(database, tmp_path, now) is None
    person = await make_person(database, now)
    async with database.write() as connection:
        await record(connection, Act(person.tenant, MACHINE, now), Action.PASSKEY_REMOVED, "p" * 24)
    assert await check_age(database, tmp_path, now) is None
    assert "p" * 24 in {one.object_id for one in read_lines(tmp_path)}
