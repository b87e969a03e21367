"""What must not come back with an older state of the database: roles that ended, keys and passkeys that were taken back, old passwords.

A backup brings settings back, never access. What ended is read out of the journal, before the act that ended it is answered, and kept in a
file beside the database: sequence number, moment, act and random id, nothing else. It is applied to a backup that is put back
(`admin.backup`), and at the start to a database that is older than what is known outside it, however it came there (a copied file,
`pg_restore`). Where the present database is still there, people keep the passwords and second factors of today; where it is lost, an
account whose password changed since the backup has none until the machine's owner gives it one: nobody can know whose the old one is.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import CHECKPOINT, ENDINGS, MACHINE, SECRETS, Act, Action, keep_checkpoint, keyed_digest, record
from admin.consents import end_histories, forget_beside
from admin.erasing import read_erased, wipe
from admin.familytables import home_links, join_codes, pin_accounts, pin_renewals, recovery_sheets, staff_invitations
from admin.lifted import ACTIONS, ANSWERS, decide_again, last_steps, lift_again
from admin.officetables import gateways, invitations, signing_keys
from admin.stricter import keep_closures
from admin.tables import (
    api_tokens,
    device_matches,
    devices,
    family_pins,
    known_browsers,
    passkeys,
    policies,
    recovery_codes,
    second_factors,
    sessions,
    tenant_keys,
)
from admin.tenants import mark_changed
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.journal import ENDED, Head, read_checkpoint
from blocklists.tables import EVERY_TENANT, OrganisationId, Role, accounts, journal, role_assignments
from blocklists.takedown.masking import mask_older

log = logging.getLogger(__name__)

FILE = "ended.ids"
#: Lines that end nothing: how far the journal was read, and that an older state was put in place.
_SEEN, _RESTORED = "seen", "restored"
_SEEN_STEP = 5000
#: What is copied out of the journal.
_KEPT = (*(action.value for action in ENDINGS), *ACTIONS, *ANSWERS)
#: Values in one statement: SQLite takes 32,766, PostgreSQL 32,767.
_AT_ONCE = 5000
#: Octets at the end of the file that hold its last lines (a line has about a hundred), and how many of them are surely whole.
_TAIL, _TAIL_LINES = 4096, 8
#: What says who an account is. Where the present database is there, its rows hold on.
_PROOFS = (second_factors, recovery_codes, passkeys, pin_accounts, recovery_sheets, known_browsers)


@dataclass(frozen=True, slots=True)
class Ending:
    """One thing that ended: its row in the journal, when, by which act, and its random id."""

    seq: int
    at: datetime
    action: str
    object_id: str


@dataclass(frozen=True, slots=True)
class EndedAgain:
    """What an older state would have brought back, and did not. `histories`: children whose history, or question about one, ended with it;
    `papers`: accounts whose recovery codes are worth nothing any more; `closures`: what a department closed in its schools since, and
    that holds on; `lifted`: entries of an office's list that were lifted since, and are so again; `returned`: those that are in force
    again, because the return that had taken them out was confirmed by nobody; `reviews`: those that were decided since, and are so
    again; `locked`: sign-in names that need a new password by command."""

    roles: int = 0
    keys: int = 0
    passkeys: int = 0
    phones: int = 0
    erased: int = 0
    histories: int = 0
    papers: int = 0
    closures: int = 0
    lifted: int = 0
    returned: int = 0
    reviews: int = 0
    locked: tuple[str, ...] = field(default=())


async def note_ended(database: Database, state_dir: Path) -> int:
    """Copy what ended since the last look from the journal into the file; how many. With each act that ends something (`note_at_once`),
    once a minute for what failed then, at the stop, before a restore."""
    last = _last_seq(state_dir)
    found = select(journal.c.seq, journal.c.at, journal.c.action, journal.c.object_id).where(
        journal.c.seq > last, journal.c.action.in_(_KEPT)
    )
    async with database.read() as connection:
        rows = (await connection.execute(found.order_by(journal.c.seq))).all()
        head = await _head(connection)
    fresh = [Ending(row.seq, row.at, row.action, row.object_id) for row in rows]
    if head is not None and head.seq - (fresh[-1].seq if fresh else last) > _SEEN_STEP:
        fresh.append(replace(head, action=_SEEN, object_id="-"))
    _append(state_dir, fresh)
    return len(rows)


def note_at_once(database: Database, state_dir: Path) -> None:
    """From here on what ends is in the file when the act that ended it is answered: a database that is lost in the next moment comes back
    without it all the same. A disk that refuses is told, and asked again every minute."""
    turn = asyncio.Lock()

    async def note() -> None:
        try:
            async with turn:
                await note_ended(database, state_dir)
        except OSError as error:
            log.error("what ended is not kept outside the database yet", extra={"event": "ended.unkept", "reason": str(error)})

    database.after_commit[ENDED] = note


def _last_seq(state_dir: Path) -> int:
    """How far the file goes, read from its end alone: it may have many thousand lines, and this is asked every minute."""
    try:
        with (state_dir / FILE).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().decode("ascii").split("\n")
    except FileNotFoundError:
        return 0
    # The first one may have been met in its middle; one that a power failure cut short is no line.
    whole = [int(part[0]) for part in (line.split(" ") for line in lines[-_TAIL_LINES:]) if len(part) == 4]
    return whole[-1] if whole else 0


def read_lines(state_dir: Path) -> list[Ending]:
    """Every line of the file; one that was cut short by a power failure is left out."""
    try:
        text = (state_dir / FILE).read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    parts = [line.split(" ") for line in text.splitlines()]
    return [Ending(int(part[0]), datetime.fromisoformat(part[1]), part[2], part[3]) for part in parts if len(part) == 4]


async def is_older(database: Database, state_dir: Path) -> bool:
    """Whether the database is an older state than what is known outside it, and was not settled as one."""
    kept = read_checkpoint(state_dir / CHECKPOINT)
    async with database.read() as connection:
        head = await _head(connection)
        if head is None:
            return False
        return head.seq < _last_seq(state_dir) or (kept is not None and head.seq < kept.seq and not await _replaced(connection, kept))


async def _replaced(connection: AsyncConnection, lost: Head) -> bool:
    """Whether the journal says that this state took the place of the one that ended with `lost` (`settle`): the program was killed before
    the new end was kept outside."""
    said = select(journal.c.after_digest, tenant_keys.c.digest_key).join(tenant_keys, tenant_keys.c.tenant_id == journal.c.tenant_id)
    newest = said.where(journal.c.action == Action.DATABASE_RESTORED.value).order_by(journal.c.seq.desc()).limit(1)
    row = (await connection.execute(newest.execution_options(**EVERY_TENANT))).first()
    return row is not None and row.after_digest == keyed_digest(row.digest_key, _replacing(lost))


def _replacing(lost: Head | None) -> dict[str, str]:
    """What the journal says of a restore: the end of the chain that it replaces, so that the gap can be told from tampering."""
    return {"replaces": f"{lost.seq} {lost.digest.hex()}" if lost is not None else ""}


async def check_age(database: Database, state_dir: Path, now: datetime) -> EndedAgain | None:
    """At the start: settle a database that is an older state (its file was copied here, or PostgreSQL restored it), and say so; None for
    one that is not. Copies beside it, made by an earlier version, lose their histories."""
    await asyncio.to_thread(forget_beside, state_dir)
    head = await read_end(database)
    if head is None:  # begun anew: the rows to come are not those the file speaks of
        if read_lines(state_dir):
            note_restored(state_dir, Ending(0, now, _RESTORED, "-"))
        await keep_checkpoint(database, state_dir)
        return None
    if not await is_older(database, state_dir):
        await note_ended(database, state_dir)
        if (kept := read_checkpoint(state_dir / CHECKPOINT)) is not None and head.seq < kept.seq:
            await keep_checkpoint(database, state_dir)  # what a restore that was killed had left to do
        return None
    async with database.write() as connection:
        again = await settle(connection, state_dir, now)
    note_restored(state_dir, head)
    await keep_checkpoint(database, state_dir)
    log.warning(
        "the database is older than what is known of it: what was erased and ended since was erased and ended again; "
        "accounts whose password changed since need `lachan reset-password`, recovery codes on paper have to be printed anew",
        extra={"event": "database.older", **asdict(again), "locked": len(again.locked)},
    )
    return again


async def settle(connection: AsyncConnection, state_dir: Path, now: datetime, present: Database | None = None) -> EndedAgain:
    """What must be true of an older state before it is the present one: nobody is signed in, what was erased is erased again, what ended
    has ended. `present` is the database that it replaces; people keep its passwords. Every tenant's journal says that it happened."""
    lost = read_checkpoint(state_dir / CHECKPOINT)
    head = await _head(connection)
    await connection.execute(delete(sessions))
    await mask_older(connection, state_dir)
    erased = read_erased(state_dir)
    for tenant, profile in erased:
        await wipe(connection, tenant, profile)
    endings, spared = read_lines(state_dir), frozenset[str]()
    closures = 0
    if present is not None:
        spared = await _keep_proofs(connection, present)
        endings += await _ended_in(present, now)
        closures = await keep_closures(connection, present)
    again = await end_again(connection, endings, head.at if head is not None else now, spared, now)
    histories = await end_histories(connection, now)
    listed = select(policies.c.tenant_id).execution_options(**EVERY_TENANT)
    for row in (await connection.execute(listed)).all():
        act = Act(OrganisationId(row.tenant_id), MACHINE, now)
        await record(connection, act, Action.DATABASE_RESTORED, act.tenant, after=_replacing(lost))
        await mark_changed(connection, act)
    return replace(again, erased=len(erased), histories=histories, closures=closures)


def note_restored(state_dir: Path, head: Ending) -> None:
    """From here on the file goes on with the rows of the state that was put in place."""
    _append(state_dir, [replace(head, action=_RESTORED, object_id="-")])


async def read_end(database: Database) -> Ending | None:
    """The newest row of the journal; None when it has none."""
    async with database.read() as connection:
        return await _head(connection)


async def end_again(
    connection: AsyncConnection, endings: Sequence[Ending], since: datetime, spared: Collection[str], now: datetime
) -> EndedAgain:
    """End in an older state what ended later. `since` is the moment of that state, `spared` the accounts that have today's passwords."""
    of: dict[str, set[str]] = {}
    later: dict[str, set[str]] = {}
    for one in endings:
        of.setdefault(one.action, set()).add(one.object_id)
        if one.at > since:
            later.setdefault(one.action, set()).add(one.object_id)
    own = set(spared)

    async def end(statement: Any, column: ColumnElement[str], ids: Collection[str]) -> int:  # Any: an update or a delete
        return await _for_each(connection, lambda part: statement.where(column.in_(part)), ids)

    async def run(statement: Any) -> int:  # Any: an update or a delete
        return int((await connection.execute(statement.execution_options(**EVERY_TENANT))).rowcount)

    table = role_assignments
    alive = table.c.valid_until.is_(None) | (table.c.valid_until > now)
    roles = await end(update(table).where(alive).values(valid_until=now), table.c.id, of.get(Action.ROLE_ENDED, ()))
    revoked = update(api_tokens).where(api_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    keys = await end(revoked, api_tokens.c.id, of.get(Action.TOKEN_REVOKED, ()))
    gone = await end(delete(passkeys), passkeys.c.id, of.get(Action.PASSKEY_REMOVED, ()))
    forgotten = of.get(Action.DEVICE_RETIRED, set()) | later.get(Action.PHONE_RENEWED, set())
    phones = await _end_phones(connection, forgotten - own, now)
    codes = update(join_codes).where(join_codes.c.withdrawn_at.is_(None)).values(withdrawn_at=now)
    await end(codes, join_codes.c.id, of.get(Action.JOIN_CODE_WITHDRAWN, ()))
    staff = update(staff_invitations).where(staff_invitations.c.withdrawn_at.is_(None)).values(withdrawn_at=now)
    await end(staff, staff_invitations.c.tenant_id, later.get(Action.STAFF_INVITATION_WITHDRAWN, ()))
    retired = update(gateways).where(gateways.c.retired_at.is_(None)).values(retired_at=now)
    await end(retired, gateways.c.id, of.get(Action.GATEWAY_RETIRED, ()))
    withdrawn = update(signing_keys).where(signing_keys.c.retired_at.is_(None)).values(retired_at=now)
    await end(withdrawn, signing_keys.c.id, of.get(Action.SIGNING_KEY_RETIRED, ()))
    looks = update(table).where(alive, table.c.role == Role.EMERGENCY.value)  # for hours, by a document: begun anew where it is still asked
    await run(looks.values(valid_until=now))
    # Links and slips that waited may have been used since: they are for days and are easily made anew.
    await run(update(invitations).where(invitations.c.accepted_at.is_(None), invitations.c.withdrawn_at.is_(None)).values(withdrawn_at=now))
    await run(update(pin_renewals).where(pin_renewals.c.used_at.is_(None), pin_renewals.c.stopped_at.is_(None)).values(stopped_at=now))
    await run(update(gateways).where(gateways.c.joined_at.is_(None), gateways.c.ticket_ends_at > now).values(ticket_ends_at=now))
    pins = later.get(Action.PIN_SET, set()) | later.get(Action.PIN_REMOVED, set())
    await end(delete(family_pins), family_pins.c.tenant_id, pins - own)
    # A sheet that was made since replaced the one of that state; one that was used since is used up.
    sheets = set().union(*(later.get(one, set()) for one in (Action.SHEET_MADE, Action.PIN_RENEWED, Action.PASSWORD_RENEWED)))
    await end(update(recovery_sheets).values(secret_hash=None), recovery_sheets.c.account_id, sheets - own)
    changed = set().union(*(later.get(action, set()) for action in SECRETS)) - own
    locked = await _lock(connection, changed)
    acts = [(one.action, one.object_id) for one in endings]
    lifted, returned = await lift_again(connection, last_steps(acts), now)
    decided = await decide_again(connection, acts, now)
    papers = await _end_papers(connection, own)
    return EndedAgain(roles, keys, gone, phones, papers=papers, lifted=lifted, returned=returned, reviews=decided, locked=locked)


async def _for_each(connection: AsyncConnection, make: Callable[[Sequence[str]], Any], ids: Collection[str]) -> int:
    """Run a statement for some ids at a time, since a database takes some ten thousand values in one; how many rows it met."""
    listed, met = sorted(ids), 0
    for start in range(0, len(listed), _AT_ONCE):
        part = make(listed[start : start + _AT_ONCE])
        met += int((await connection.execute(part.execution_options(**EVERY_TENANT))).rowcount)
    return met


async def _lock(connection: AsyncConnection, changed: Collection[str]) -> tuple[str, ...]:
    """These accounts have no password, factor or passkey until they get a new one; their sign-in names."""
    for table in (second_factors, recovery_codes, passkeys):
        await _for_each(connection, partial(_of_accounts, delete(table), table), changed)
    bare = update(accounts).values(password_hash="")  # no password has this hash
    await _for_each(connection, lambda part: bare.where(accounts.c.id.in_(part)), changed)
    names = (await connection.execute(select(accounts.c.id, accounts.c.sign_in).order_by(accounts.c.sign_in))).all()
    return tuple(row.sign_in for row in names if row.id in changed)


def _of_accounts(statement: Any, table: Table, part: Sequence[str]) -> Any:  # Any: an update or a delete
    return statement.where(table.c.account_id.in_(part))


async def _end_papers(connection: AsyncConnection, spared: Collection[str]) -> int:
    """Recovery codes on paper of accounts whose present state is lost: one that was used up since must not be good again, and no row tells
    which. How many accounts have to print new ones."""
    listed = set((await connection.execute(select(recovery_codes.c.account_id).distinct())).scalars())
    lost = listed - set(spared)
    await _for_each(connection, partial(_of_accounts, delete(recovery_codes), recovery_codes), lost)
    return len(lost)


async def _end_phones(connection: AsyncConnection, ended: Collection[str], now: datetime) -> int:
    """The names of phones that were forgotten or got another name; a device known by its address alone comes back with its rules."""
    named = device_matches.c.kind == DeviceMatch.TOKEN.value
    over = update(device_matches).where(named, device_matches.c.retired_at.is_(None)).values(retired_at=now)
    done = await _for_each(connection, lambda part: over.where(device_matches.c.device_id.in_(part)), ended)
    left = select(device_matches.c.device_id).where(device_matches.c.retired_at.is_(None))
    bare = update(devices).where(devices.c.retired_at.is_(None), devices.c.id.not_in(left)).values(retired_at=now)
    await _for_each(connection, lambda part: bare.where(devices.c.id.in_(part)), ended)
    homes = select(devices.c.id).where(devices.c.retired_at.isnot(None))
    await connection.execute(delete(home_links).where(home_links.c.device_id.in_(homes)).execution_options(**EVERY_TENANT))
    return done


async def _ended_in(present: Database, now: datetime) -> list[Ending]:
    """What has ended by the present database itself."""
    over = select(role_assignments.c.id).where(role_assignments.c.valid_until <= now)
    revoked = select(api_tokens.c.id).where(api_tokens.c.revoked_at.isnot(None)).execution_options(**EVERY_TENANT)
    async with present.read() as rows:
        found = {Action.ROLE_ENDED: await rows.execute(over), Action.TOKEN_REVOKED: await rows.execute(revoked)}
        return [Ending(0, now, action.value, identity) for action, result in found.items() for identity in result.scalars()]


async def _keep_proofs(connection: AsyncConnection, present: Database) -> frozenset[str]:
    """Give accounts, families and phones of an older state the secrets that they have today; the ids of those that have them."""
    async with present.read() as rows:

        async def read(statement: Any) -> Sequence[Any]:  # Any: a select, and its rows
            return (await rows.execute(statement.execution_options(**EVERY_TENANT))).mappings().all()

        people = await read(select(accounts.c.id, accounts.c.password_hash, accounts.c.password_set_at, accounts.c.disabled_at))
        proofs = {table: await read(select(table)) for table in _PROOFS}
        pins = await read(select(family_pins))
        families = {row["tenant_id"] for row in await read(select(policies.c.tenant_id))}
        tokens = await read(select(device_matches).where(device_matches.c.kind == DeviceMatch.TOKEN.value))
    there = set((await connection.execute(select(accounts.c.id))).scalars())
    kept = [row for row in people if row["id"] in there]
    names = ("password_hash", "password_set_at", "disabled_at")
    if kept:
        today = update(accounts).where(accounts.c.id == bindparam("whose")).values({name: bindparam(f"new_{name}") for name in names})
        await connection.execute(today, [{"whose": row["id"], **{f"new_{name}": row[name] for name in names}} for row in kept])
    ids = {row["id"] for row in kept}
    for table, listed in proofs.items():
        await _for_each(connection, partial(_of_accounts, delete(table), table), ids)
        if mine := [dict(row) for row in listed if row["account_id"] in ids]:
            await connection.execute(insert(table), mine)
    both = families & set((await connection.execute(select(policies.c.tenant_id).execution_options(**EVERY_TENANT))).scalars())
    await _for_each(connection, lambda part: delete(family_pins).where(family_pins.c.tenant_id.in_(part)), both)
    if own := [dict(row) for row in pins if row["tenant_id"] in both]:
        await connection.execute(insert(family_pins), own)
    alive = [row for row in tokens if row["retired_at"] is None]
    if alive:
        named = (device_matches.c.tenant_id == bindparam("whose"), device_matches.c.id == bindparam("which"))
        renamed = update(device_matches).where(*named).values(value=bindparam("today"))
        found = [{"whose": row["tenant_id"], "which": row["id"], "today": row["value"]} for row in alive]
        await connection.execute(renamed, found)
    return frozenset(ids | both | {row["device_id"] for row in alive})


async def _head(connection: AsyncConnection) -> Ending | None:
    newest = select(journal.c.seq, journal.c.at, journal.c.action, journal.c.object_id).order_by(journal.c.seq.desc()).limit(1)
    row = (await connection.execute(newest)).first()
    return Ending(row.seq, row.at, row.action, row.object_id) if row is not None else None


def _append(state_dir: Path, endings: Sequence[Ending]) -> None:
    if not endings:
        return
    path = state_dir / FILE
    cut = _is_cut(path)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(number, "a", encoding="ascii") as file:
        file.write("\n" if cut else "")  # a line that a power failure cut short stays alone
        file.write("".join(f"{one.seq} {one.at.isoformat()} {one.action} {one.object_id}\n" for one in endings))
        file.flush()
        os.fsync(file.fileno())


def _is_cut(path: Path) -> bool:
    """Whether the last line of the file has no end; looks at its last octet alone, since each act that ends something asks."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
    except FileNotFoundError:
        return False
