"""What the commands of people's side do: show the one-time link again, give an account a new password, verify the journal.

They work on the database directly, so they need the machine, not an account; `lachan` turns them into commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, make_url, select, update

from admin.audit import MACHINE, Act, Action, record, verify_database
from admin.ended import note_at_once
from admin.migrate import migrate, refuse_newer
from admin.owncertificate import terminal_lines
from admin.passwords import Passwords, judge_new
from admin.people import end_emergencies
from admin.permissions import decides
from admin.sessions import read_assignments
from admin.settings import AdminSettings
from admin.setup import read_token, setup_link
from admin.tables import devices, known_browsers, passkeys, profiles, sessions
from admin.tenants import fold_sign_in, list_tenants
from blocklists.database import open_database
from blocklists.journal import Finding
from blocklists.tables import EVERY_TENANT, AccountId, OrganisationId, accounts
from gateway.errors import StartError

#: Why a password is refused, for a terminal.
REFUSALS = {
    "password_short": "mật khẩu ngắn hơn 8 ký tự / the password has fewer than 8 signs",
    "password_long": "mật khẩu dài hơn 200 ký tự / the password has more than 200 signs",
    "password_common": "mật khẩu này quá phổ biến / this password is one of the first a guesser tries",
}


def show_link(settings: AdminSettings) -> str:
    """The one-time link that is still open. Raises StartError when the set-up is done or the program has not run yet."""
    token = read_token(settings.state_dir)
    if token is None:
        raise StartError("there is no open set-up link: the set-up is done, or lachan run has not been started yet")
    return f"{setup_link(settings, token)}\n{terminal_lines(settings)}".rstrip()


async def list_sign_ins(settings: AdminSettings) -> list[str]:
    """The sign-in names there are, for somebody who forgot theirs."""
    database = await open_database(settings.database)
    try:
        async with database.read() as connection:
            return list((await connection.execute(select(accounts.c.sign_in).order_by(accounts.c.sign_in))).scalars())
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Label:
    """What people call a child, a class or a device, and the random id by which the gateway knows it. `place`: the family or school."""

    tenant: str
    id: str
    text: str
    place: str
    is_profile: bool


def has_database(settings: AdminSettings) -> bool:
    """Whether there is a database already; opening one would make it. A server's is not looked for here."""
    url = make_url(settings.database)
    return not url.drivername.startswith("sqlite") or (url.database is not None and Path(url.database).is_file())


async def read_labels(settings: AdminSettings) -> list[Label]:
    """What profiles and devices are called today. A hosted family's are not the host's to read, and are left out."""
    database = await open_database(settings.database)
    try:
        await refuse_newer(database)
        async with database.read() as connection:
            places = {one.id: one.name for one in await list_tenants(connection, datetime.now(UTC))}
            found = []
            for table in (profiles, devices):
                alive = select(table.c.tenant_id, table.c.id, table.c.label).where(table.c.retired_at.is_(None))
                for row in await connection.execute(alive.order_by(table.c.id).execution_options(**EVERY_TENANT)):
                    if row.tenant_id in places:
                        found.append(Label(row.tenant_id, row.id, row.label, places[row.tenant_id], table is profiles))
            return found
    finally:
        await database.close()


async def reset_password(settings: AdminSettings, sign_in: str, password: str, now: datetime | None = None) -> None:
    """Give an account a new password and sign it out everywhere. Raises StartError with one sentence."""
    for mistake in judge_new(password, fold_sign_in(sign_in)):
        raise StartError(REFUSALS.get(mistake.code, mistake.code))
    moment = now or datetime.now(UTC)
    hashed = await Passwords().hash(password)
    database = await open_database(settings.database)
    note_at_once(database, settings.state_dir)
    try:
        await migrate(database, settings.state_dir)
        async with database.write() as connection:
            found = await connection.execute(select(accounts.c.id).where(accounts.c.sign_in == fold_sign_in(sign_in)))
            row = found.one_or_none()
            if row is None:
                raise StartError(f"there is no account with the sign-in name {sign_in}")
            account = AccountId(row.id)
            await connection.execute(
                update(accounts).where(accounts.c.id == account).values(password_hash=hashed, password_set_at=moment, disabled_at=None)
            )
            await connection.execute(delete(sessions).where(sessions.c.account_id == account))
            await connection.execute(delete(known_browsers).where(known_browsers.c.account_id == account))
            assignments, _ = await read_assignments(connection, account, moment)
            if not decides(assignments):  # an officer's is a second step, which a new password does not replace
                await connection.execute(delete(passkeys).where(passkeys.c.account_id == account))
            await end_emergencies(connection, Act(OrganisationId(""), MACHINE, moment), account)
            for tenant in {assignment.organisation_id for assignment in assignments}:
                await record(connection, Act(tenant, MACHINE, moment), Action.PASSWORD_RESET, account)
    finally:
        await database.close()


async def verify_journal(settings: AdminSettings) -> Finding:
    """Walk the whole journal against its checkpoint. Raises StartError for a database that this program would misread."""
    database = await open_database(settings.database)
    try:
        await refuse_newer(database)
        return await verify_database(database, settings.state_dir)
    finally:
        await database.close()
