"""Backups while people work, and what comes back: whole or not at all, without sessions, without what was erased since."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.agreeing import decline_history, find_proposal, propose_history
from admin.audit import Act, Action, keep_checkpoint, record, verify_database
from admin.backup import back_up, read_info, restore
from admin.consents import forget_histories
from admin.dependencies import Services
from admin.devices import load_device, retire_device
from admin.ended import FILE, check_age, is_older, note_ended, read_lines
from admin.erasing import erase_profile, note_erased
from admin.errors import NotFound
from admin.familytables import history_consents, history_rows
from admin.history import find_keeping
from admin.invitations import find_invitation, invite
from admin.migrate import migrate
from admin.onboarding import add_phone, is_token, load_phone, renew_token
from admin.passwords import Passwords
from admin.people import end_role, list_members
from admin.permissions import Scope
from admin.profiles import change_profile, list_profiles
from admin.sessions import create_token, load_token, open_session, revoke_token
from admin.tables import policies, recovery_codes, sessions
from admin.tenants import create_account, grant_role
from blocklists.database import open_database
from blocklists.joined import OFFICE, leave, read_missing
from blocklists.tables import AccountId, Role, accounts
from gateway.errors import StartError
from tests.admin.test_consents import keep_one
from tests.support.family import Family


async def labels(services: Services, family: Family) -> set[str]:
    async with services.database.read() as connection:
        return {profile.label for profile in await list_profiles(connection, family.tenant)}


async def rename(services: Services, act: Act, family: Family, label: str) -> None:

    async with services.database.write() as connection:
        await change_profile(connection, act, family.bi, replace(family.bi, label=label))


async def test_what_was_backed_up_comes_back(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A child renamed after the backup has the old name again; nobody is signed in; the gateway is told; what was there is kept."""
    path = tmp_path / "one.backup"
    info = await back_up(services.database, services.settings.state_dir, path, act.now)
    assert read_info(path) == info and path.stat().st_mode & 0o777 == 0o600
    await rename(services, act, family, "Bông")
    async with services.database.write() as connection:
        await open_session(connection, family.account, act.now, kept=True, browser="")
        before = (await connection.execute(select(policies.c.revision).where(policies.c.tenant_id == family.tenant))).scalar_one()
    assert "Bông" in await labels(services, family)
    await restore(services.database, services.settings.state_dir, path, act.now + timedelta(hours=1))
    assert "Bi" in await labels(services, family) and "Bông" not in await labels(services, family)
    async with services.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 0
        row = (await connection.execute(select(policies).where(policies.c.tenant_id == family.tenant))).one()
    assert row.revision > row.applied_revision and before > 0
    assert (await verify_database(services.database, services.settings.state_dir)).first_bad is None
    [kept] = services.settings.state_dir.glob("lachan-before-restore-*.db")
    assert "Bông".encode() in kept.read_bytes()


JOINED = {"url": "https://so.example/release", "fingerprint": "f", "gateway": "g", "label": "Trường A", "public": ""}


async def test_a_list_office_that_was_followed_is_missed(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """On another machine nobody follows it: that is told until a code is used or somebody says that none is wanted."""
    state_dir, path = services.settings.state_dir, tmp_path / "one.backup"
    (state_dir / "follow").mkdir()
    (state_dir / OFFICE).write_text(json.dumps(JOINED))
    assert (await back_up(services.database, state_dir, path, act.now)).office == JOINED["url"]
    assert (await restore(services.database, state_dir, path, act.now)).office == ""  # the same machine follows it still
    assert read_missing(state_dir) == ""
    leave(state_dir)
    assert (await restore(services.database, state_dir, path, act.now + timedelta(minutes=1))).office == JOINED["url"]
    assert read_missing(state_dir) == JOINED["url"]
    (state_dir / OFFICE).write_text(json.dumps(JOINED))
    assert read_missing(state_dir) == ""


async def test_erased_child_stays_erased(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Nothing of the child is on disk afterwards, and a backup from before does not bring it back."""
    await rename(services, act, family, "Bé Bông Xinh")
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    note_erased(services.settings.state_dir, family.tenant, family.bi.id)
    async with services.database.write() as connection:
        await erase_profile(connection, act, family.bi.id)
    assert "Bé Bông Xinh" not in await labels(services, family)
    copy = tmp_path / "now.db"
    await services.database.copy_to(copy)
    for word in ("Bé Bông Xinh", "192.168.1.31"):
        assert word.encode() not in copy.read_bytes()
    await restore(services.database, services.settings.state_dir, path, act.now)
    assert "Bé Bông Xinh" not in await labels(services, family)
    assert {"Na"} <= await labels(services, family), "the others are back"
    again = tmp_path / "again.db"
    await services.database.copy_to(again)
    assert "Bé Bông Xinh".encode() not in again.read_bytes() and b"192.168.1.31" not in again.read_bytes()


async def test_a_key_that_was_taken_back_stays_worthless(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A backup from before brings no revoked key back; one that still works goes on."""
    ends = act.now + timedelta(days=30)
    async with services.database.write() as connection:
        account = AccountId((await connection.execute(select(accounts.c.id))).scalars().first() or "")
        made = [await create_token(connection, family.tenant, account, label, frozenset({Scope.READ}), act.now, ends) for label in "ab"]
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    async with services.database.write() as connection:
        assert await revoke_token(connection, family.tenant, made[0][0], act.now)
    await restore(services.database, services.settings.state_dir, path, act.now)
    async with services.database.read() as connection:
        found = [await load_token(connection, secret, act.now) for _, secret in made]
    assert [one is not None for one in found] == [False, True]


async def test_old_passwords_roles_and_phones_do_not_come_back(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Settings come back, access does not: the password of today holds, a role that ended has ended, a phone's old name is worthless, a
    link that waited opens nothing, and the answer counts them."""
    passwords, later = Passwords(), replace(act, now=act.now + timedelta(hours=1))
    async with services.database.write() as connection:
        father = await create_account(connection, "bo", "Bố", "hash", "vi", act.now)
        await grant_role(connection, act, father, Role.PARENT)
        phone = await add_phone(connection, act, family.bi.id, "Máy")
        gone = await add_phone(connection, act, family.na.id, "Máy cũ")
        link = await invite(connection, act, Role.PARENT, "")
        old = await load_phone(connection, family.tenant, phone)
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    hashed = await passwords.hash("mật khẩu mới hơn")
    async with services.database.write() as connection:
        (member,) = [one for one in await list_members(connection, family.tenant, later.now) if one.account == father]
        await end_role(connection, later, member.assignment)
        await change_password(connection, family.account, hashed, later)
        await renew_token(connection, later, old.device)
        await retire_device(connection, later, await load_device(connection, family.tenant, gone))
        renewed = await load_phone(connection, family.tenant, phone)
    done = await restore(services.database, services.settings.state_dir, path, later.now)
    async with services.database.read() as connection:
        assert [one.account for one in await list_members(connection, family.tenant, later.now)] == [family.account]
        stored = (await connection.execute(select(accounts.c.password_hash).where(accounts.c.id == family.account))).scalar_one()
        assert not await is_token(connection, old.token) and await is_token(connection, renewed.token)
        with pytest.raises(NotFound):
            await load_phone(connection, family.tenant, gone)
        with pytest.raises(NotFound):
            await find_invitation(connection, link, later.now)
    assert stored == hashed
    assert (done.again.roles, done.again.phones, done.again.locked) == (1, 1, ())


async def test_where_the_database_was_lost_no_old_password_opens(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Its file is gone and a backup from before a new password is put back: the old one opens nothing, the name is told, and the same holds
    for a role and a key; a password that did not change goes on."""
    later = replace(act, now=act.now + timedelta(hours=1))
    async with services.database.write() as connection:
        father = await create_account(connection, "bo", "Bố", "hash", "vi", act.now)
        await grant_role(connection, act, father, Role.PARENT)
        key, _ = await create_token(
            connection, family.tenant, family.account, "a", frozenset({Scope.READ}), act.now, act.now + timedelta(days=9)
        )
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    async with services.database.write() as connection:
        await change_password(connection, family.account, "another", later)
        assert await revoke_token(connection, family.tenant, key, later.now)
        await record(connection, later, Action.TOKEN_REVOKED, key)
    state = services.settings.state_dir
    assert len(read_lines(state)) == 2 and await note_ended(services.database, state) == 0
    fresh = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}")
    done = await restore(fresh, state, path, later.now)
    assert (done.again.keys, done.again.locked) == (1, ("me",))
    async with fresh.read() as connection:
        hashes = {row.sign_in: row.password_hash for row in await connection.execute(select(accounts))}
    assert hashes == {"me": "", "bo": "hash"}
    assert not await Passwords().verify(hashes["me"], "", known=True)
    assert not await is_older(fresh, state), "from here on the file goes on with this state"
    async with fresh.write() as connection:
        (member,) = [one for one in await list_members(connection, family.tenant, later.now) if one.account == father]
        await end_role(connection, later, member.assignment)
    assert await note_ended(fresh, state) == 1
    await fresh.close()


async def test_a_backup_of_forty_thousand_accounts_comes_back(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Today's passwords and second factors hold, however many there are; a recovery code used up today stays used."""
    names = [f"{number:024d}" for number in range(40_000)]
    person = {"name": "x", "password_hash": "old", "password_set_at": act.now, "language": "vi", "created_at": act.now}
    async with services.database.write() as connection:
        await connection.execute(insert(accounts), [{**person, "id": name, "sign_in": name} for name in names])
        paper = {"code_hash": b"x" * 32, "created_at": act.now}
        await connection.execute(insert(recovery_codes), [{**paper, "account_id": name} for name in names])
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    async with services.database.write() as connection:
        await connection.execute(update(accounts).values(password_hash="new"))
        await connection.execute(update(recovery_codes).where(recovery_codes.c.account_id == names[7]).values(used_at=act.now))
    done = await restore(services.database, services.settings.state_dir, path, act.now)
    async with services.database.read() as connection:
        assert (await connection.execute(select(accounts.c.password_hash).distinct())).scalars().all() == ["new"]
        used = select(recovery_codes.c.account_id).where(recovery_codes.c.used_at.isnot(None))
        assert (await connection.execute(used)).scalars().all() == [names[7]]
    assert (done.again.papers, done.again.locked) == (0, ())


@pytest.mark.parametrize("where", ["note_restored", "keep_checkpoint"])
async def test_a_restore_that_is_killed_at_its_end_costs_nobody_the_codes_on_paper(
    services: Services,
    family: Family,
    act: Act,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    """The backup is the database already, or is not yet; the next start knows which and ends nothing twice. A state that is really older
    is still told apart afterwards, and by what the log says somebody can act."""
    state, database = services.settings.state_dir, services.database
    paper = {"account_id": family.account, "code_hash": b"x" * 32, "created_at": act.now}
    path = tmp_path / "before.backup"
    await back_up(database, state, path, act.now)
    async with database.write() as connection:
        await connection.execute(insert(recovery_codes), [paper])
        for _ in range(40):
            await record(connection, act, Action.DEVICE_RETURNED, family.bi.id)
    await keep_checkpoint(database, state)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"admin.backup.{where}", killed)
        with pytest.raises(KeyboardInterrupt):
            await restore(database, state, path, act.now + timedelta(minutes=1))
    later = act.now + timedelta(minutes=2)
    for _ in range(2):
        assert await check_age(database, state, later) is None
    assert await count_codes(services) == 1
    assert (await verify_database(database, state)).first_bad is None

    async with database.write() as connection:
        await record(connection, act, Action.TOKEN_REVOKED, "k" * 24)
    with (state / FILE).open("a") as file:
        file.write(f"{read_lines(state)[-1].seq + 9} {later.isoformat()} seen -\n")
    again = await check_age(database, state, later)
    assert again is not None and again.papers == 1 and await count_codes(services) == 0
    assert [getattr(line, "papers", None) for line in caplog.records if "older" in line.getMessage()] == [1]


async def test_what_a_running_program_notes_during_a_restore_makes_nothing_older(
    services: Services, family: Family, act: Act, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lachan restore` beside it: in the same moment something of the old database is noted, with a higher number than the backup has."""
    state, database = services.settings.state_dir, services.database
    path, take_over = tmp_path / "before.backup", database.take_over
    await back_up(database, state, path, act.now)
    async with database.write() as connection:
        for _ in range(9):
            await record(connection, act, Action.DEVICE_RETURNED, family.bi.id)
        await record(connection, act, Action.TOKEN_REVOKED, "k" * 24)

    async def meanwhile(fresh: Path) -> None:
        assert await note_ended(database, state) == 1
        await take_over(fresh)

    monkeypatch.setattr(database, "take_over", meanwhile)
    await restore(database, state, path, act.now)
    assert not await is_older(database, state)


async def test_the_end_of_the_journal_tells_an_older_state_by_itself(
    services: Services, family: Family, act: Act, tmp_path: Path
) -> None:
    """After a restore came to its end, the file of that moment is copied back later: nothing that it says of itself makes it the newest."""
    state, database = services.settings.state_dir, services.database
    path, copy = tmp_path / "before.backup", tmp_path / "copy.db"
    await back_up(database, state, path, act.now)
    await restore(database, state, path, act.now)
    await database.copy_to(copy)
    async with database.write() as connection:
        for _ in range(3):
            await record(connection, act, Action.DEVICE_RETURNED, family.bi.id)
    await keep_checkpoint(database, state)
    older = await open_database(f"sqlite+aiosqlite:///{copy}")
    assert await is_older(older, state) and not await is_older(database, state)
    await older.close()


async def count_codes(services: Services) -> int:
    async with services.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(recovery_codes))).scalar_one())


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(found): found.read_bytes() for found in sorted(folder.rglob("*")) if found.is_file()}


async def test_a_restored_backup_begins_no_history(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """The child said no after the backup: putting it back begins nothing again, and neither the backup nor any file of the state holds the
    key or a seal; a question that was declined is not asked again."""
    locked = await keep_one(services, family, act)
    async with services.database.write() as connection:
        await propose_history(connection, act, family.na, 3, "vi")
        sealed = (await connection.execute(select(history_rows.c.sealed).where(history_rows.c.tenant_id == family.tenant))).scalar_one()
    path, later = tmp_path / "before.backup", replace(act, now=act.now + timedelta(hours=1))
    await back_up(services.database, services.settings.state_dir, path, act.now)
    async with services.database.write() as connection:
        await decline_history(connection, later, family.bi.id)
        await decline_history(connection, later, family.na.id)
    done = await restore(services.database, services.settings.state_dir, path, later.now)
    assert done.again.histories == 2
    async with services.database.read() as connection:
        assert await find_keeping(connection, family.tenant, family.bi.id) is None
        assert await find_proposal(connection, family.tenant, family.na, later.now) is None
    assert await services.database.scrub()
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents |= read_all(tmp_path)
    assert any("before-restore" in name for name in contents)
    assert [name for name, content in contents.items() if locked in content or sealed in content] == []


async def test_where_the_database_was_lost_no_history_begins(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Nobody knows who said no before the loss: the consent of the backup ends, too."""
    await keep_one(services, family, act)
    path = tmp_path / "before.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    fresh = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}")
    done = await restore(fresh, services.settings.state_dir, path, act.now + timedelta(hours=1))
    async with fresh.read() as connection:
        open_ones = select(func.count()).where(history_consents.c.tenant_id == family.tenant, history_consents.c.ended_at.is_(None))
        assert (await connection.execute(open_ones)).scalar_one() == 0
    await fresh.close()
    assert done.again.histories == 1


async def test_a_copy_of_any_schema_is_left_without_histories(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Copies that an earlier version left beside the database lose theirs at the next start; a schema that knows none is no fault."""
    locked = await keep_one(services, family, act)
    copy = services.settings.state_dir / "lachan-before-schema-9-20260101T000000.db"
    await services.database.copy_to(copy)
    assert locked in copy.read_bytes()
    await migrate(services.database, tmp_path)
    assert await check_age(services.database, services.settings.state_dir, act.now) is None
    assert locked not in copy.read_bytes()
    empty = tmp_path / "old.db"
    empty.touch()
    forget_histories(empty)


async def change_password(connection: AsyncConnection, account: AccountId, stored: str, act: Act) -> None:
    """A new password, as the account page stores it."""
    changed = update(accounts).where(accounts.c.id == account).values(password_hash=stored, password_set_at=act.now)
    await connection.execute(changed)
    await record(connection, act, Action.PASSWORD_CHANGED, account)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def junk(path: Path) -> None:
    path.write_bytes(b"not a backup")


def another_format(path: Path) -> None:
    rewrite(path, format=99)


def another_size(path: Path) -> None:
    rewrite(path, octets=5)


def endless_manifest(path: Path) -> None:
    rewrite(path, more=" " * 5000)


def another_content(path: Path) -> None:
    rewrite(path, sha256="0" * 64)


def rewrite(path: Path, **changes: object) -> None:
    """The same backup with another manifest."""
    with zipfile.ZipFile(path) as archive:
        manifest, data = json.loads(archive.read("manifest.json")), archive.read("lachan.db")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps({**manifest, **changes}))
        archive.writestr("lachan.db", data)


@pytest.mark.parametrize("damage", [cut, junk, another_format, another_size, another_content, endless_manifest])
async def test_broken_backup_changes_nothing(services: Services, family: Family, act: Act, tmp_path: Path, damage: object) -> None:
    """One sentence with the remedy; the family is as it was."""
    path = tmp_path / "one.backup"
    await back_up(services.database, services.settings.state_dir, path, act.now)
    await rename(services, act, family, "Bông")
    damage(path)  # type: ignore[operator]
    with pytest.raises(StartError):
        await restore(services.database, services.settings.state_dir, path, act.now)
    assert "Bông" in await labels(services, family)
    assert not list(services.settings.state_dir.glob(".lachan-restore-*"))


async def test_existing_file_is_never_overwritten(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A slip in the name costs nothing."""
    path = tmp_path / "mine"
    path.write_text("precious")
    with pytest.raises(StartError, match="choose another name"):
        await back_up(services.database, services.settings.state_dir, path, act.now)
    assert path.read_text() == "precious"
