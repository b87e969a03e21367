"""From entries to the order segments that gateways read, one serial at a time.

A version is immutable and numbered by one counter. It holds what was added and what left since the version before, so a publish of one
entry costs work for one entry; segments are merged as `segments` says, and only a lost one has the whole list written once more from the
database. Digests form a chain (version n seals version n-1). The segment file is written by `gateway.release`, and only the supervisor
puts it in force; `acknowledge` records that it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.takedown import tables
from blocklists.takedown.masking import key_of_host
from blocklists.takedown.model import IN_FORCE, Match, State
from blocklists.takedown.segments import INLINE_ROWS, Chain, Piece, merge_files, read_chain
from blocklists.takedown.store import Office
from gateway import release
from gateway.errors import GenerationError
from gateway.policy.segment import count_rows

_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}
ENDED = (State.LIFTED.value, State.EXPIRED.value, State.SUSPENDED.value)


@dataclass(frozen=True, slots=True)
class Version:
    """A published version: its serial, the segment files in force (later ones win), counts and the chained digest."""

    serial: int
    segments: tuple[str, ...]
    added: int
    removed: int
    entries: int
    digest: str


def unpublished(office: Office) -> tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]:
    """Which entries the next version brings, which leave with it, and which leave though their new dates never went out (gateways still
    have the old ones). Written so that each is found by its own small index: `+ 0` keeps the planner from the serials of everything."""
    table = tables.entries
    mine, ended = table.c.tenant_id == office.tenant, table.c.state.in_(ENDED)
    return (
        mine & (table.c.state == State.PUBLISHING.value) & table.c.serial_in.is_(None),
        mine & ended & (table.c.serial_in + 0).isnot(None) & table.c.serial_out.is_(None),
        mine & ended & table.c.serial_in.is_(None) & table.c.published_as.isnot(None),
    )


async def publish(
    connection: AsyncConnection, office: Office, state_dir: Path, now: datetime,
    *, whole: bool = False, above: int = 0, check: Callable[[Mapping[str, Any]], None] | None = None,
) -> Version | None:  # fmt: skip
    """Write the next version when anything changed; None when nothing did. The caller asks the supervisor to put it in force.

    `whole` writes the list once more though nothing changed (a gateway lost a segment); `above` is a serial that was seen in force, so that
    a database put back from a backup never hands out a number twice. `check` may stop the version by raising.
    """
    table = tables.entries
    coming, *leaving = unpublished(office)
    fresh = await _rows(connection, office, coming)
    gone = [row for condition in leaving for row in await _rows(connection, office, condition)]
    if not fresh and not gone and not whole:
        return None
    last = await latest(connection, office)
    serial = max(last["serial"] if last else 0, above) + 1
    chain = await read_current(connection, office, state_dir)
    is_base = whole or not chain.pieces
    in_force = table.c.state.in_([state.value for state in IN_FORCE])
    enforced = await _rows(connection, office, in_force) if is_base else fresh
    # New dates are a new id in the overlay: the old one leaves with the same version.
    moved = [row for row in fresh if row["published_as"] not in (None, overlay_id(row))]
    segment = await _segment(connection, office, enforced, [] if is_base else [*gone, *moved])
    if check is not None:
        check(segment)
    name = release.write_file(state_dir, segment)
    previous = last["digest"] if last else ""
    digest = hashlib.sha256(f"{previous}:{serial}:{name}".encode()).hexdigest()
    if is_base or last is None:
        counted = await connection.execute(select(func.count()).select_from(table).where(table.c.tenant_id == office.tenant, in_force))
        entries = int(counted.scalar_one())
    else:
        # What gateways already enforce under an id of theirs comes again with other dates only: it is no entry more.
        entries = int(last["entries"]) + sum(row["published_as"] is None for row in fresh) - len(gone)
    chain = Chain((Piece(name, count_rows(segment)),)) if is_base else _tidy(state_dir, chain.grown(Piece(name, count_rows(segment))))
    head = await journal.read_head(connection)
    await connection.execute(
        insert(tables.versions).values(
            serial=serial, tenant_id=office.tenant, created_at=now, entries=entries, added=len(fresh), removed=len(gone),
            segment=name, is_base=int(is_base), chain=chain.to_text(), digest=digest, previous_digest=previous, journal_seq=head.seq,
        )
    )  # fmt: skip
    entered = {"serial_in": serial, "first_serial": func.coalesce(table.c.first_serial, serial)}
    for identity, rows in _by_overlay_id(fresh).items():
        await _mark(connection, office, rows, entered | {"published_as": identity})
    await _mark(connection, office, gone, {"serial_out": serial, "published_as": None})
    return Version(serial, chain.names, len(fresh), len(gone), entries, digest)


def _tidy(state_dir: Path, chain: Chain) -> Chain:
    """Small segments merged at once; what is large waits for `merge_large`."""
    place = chain.place_to_merge()
    while place is not None and chain.rows_from(place) > INLINE_ROWS:
        later = Chain(chain.pieces[place + 1 :]).place_to_merge()
        place = None if later is None else place + 1 + later
    if place is None:
        return chain
    parts = chain.names[place:]
    try:
        return chain.merged(parts, merge_files(state_dir, parts, is_base=place == 0)) or chain
    except (GenerationError, OSError):
        return chain  # a lost segment is found and mended where the gateway is brought up


async def wants_merge(connection: AsyncConnection, office: Office) -> tuple[str, ...]:
    """The segments of the newest version that are too many and too large to be merged in passing, earliest first; () when none are."""
    last = await latest(connection, office)
    chain = read_chain(last["chain"]) if last is not None and last["chain"] else Chain()
    place = chain.place_to_merge()
    return () if place is None else chain.names[place:]


async def put_merged(connection: AsyncConnection, office: Office, parts: Sequence[str], piece: Piece) -> bool:
    """Let the newest version stand on a merged segment instead of its parts: the same list. False when they are not in it any more."""
    last = await latest(connection, office)
    chain = read_chain(last["chain"]).merged(parts, piece) if last is not None and last["chain"] else None
    if last is None or chain is None:
        return False
    table = tables.versions
    mine = (table.c.tenant_id == office.tenant, table.c.serial == last["serial"])
    await connection.execute(update(table).where(*mine).values(chain=chain.to_text()))
    return True


def overlay_id(entry: RowMapping) -> str:
    """Under which id gateways know the document of an entry: entries with other dates, or another reach, stand under another id, because
    an order of the overlay has one set of dates and a name one reach."""
    dates = [_instant(entry[part]) if entry[part] else "" for part in ("valid_from", "valid_until")]
    shape = "|".join((entry["category"], *dates, str(entry["no_end"]), entry["match"]))
    return f"{entry['order_id'] or entry['report_id']}.{hashlib.sha256(shape.encode()).hexdigest()[:8]}"


def _by_overlay_id(rows: list[RowMapping]) -> dict[str, list[RowMapping]]:
    found: dict[str, list[RowMapping]] = {}
    for row in rows:
        found.setdefault(overlay_id(row), []).append(row)
    return found


async def _mark(connection: AsyncConnection, office: Office, rows: list[RowMapping], values: dict[str, Any]) -> None:
    table = tables.entries
    for start in range(0, len(rows), 500):
        ids = [row["id"] for row in rows[start : start + 500]]
        await connection.execute(update(table).where(table.c.tenant_id == office.tenant, table.c.id.in_(ids)).values(values))


async def acknowledge(connection: AsyncConnection, office: Office, serial: int, gateway: str, in_force_at: datetime, now: datetime) -> int:
    """Record that a gateway enforces a serial; its entries become active. Returns how many did."""
    known = await connection.execute(
        select(tables.receipts.c.serial).where(tables.receipts.c.gateway == gateway, tables.receipts.c.serial == serial)
    )
    if known.first() is None:
        await connection.execute(insert(tables.receipts).values(gateway=gateway, serial=serial, in_force_at=in_force_at, received_at=now))
    versions = tables.versions
    await connection.execute(
        update(versions)
        .where(versions.c.tenant_id == office.tenant, versions.c.serial == serial, versions.c.applied_at.is_(None))
        .values(applied_at=in_force_at)
    )
    table = tables.entries
    done = await connection.execute(
        update(table)
        .where(
            table.c.tenant_id == office.tenant,
            table.c.state.in_([State.PUBLISHING.value, State.PARTIAL.value]),
            table.c.serial_in + 0 <= serial,
        )
        .values(state=State.ACTIVE.value, enforced_at=func.coalesce(table.c.enforced_at, in_force_at))
    )
    return int(done.rowcount)


async def latest(connection: AsyncConnection, office: Office) -> RowMapping | None:
    """The newest version's row."""
    statement = (
        select(tables.versions).where(tables.versions.c.tenant_id == office.tenant).order_by(tables.versions.c.serial.desc()).limit(1)
    )
    return (await connection.execute(statement)).mappings().first()


async def newest_serial(connection: AsyncConnection, tenant: str) -> int:
    """The newest serial of an office; 0 before the first version."""
    found = await connection.execute(select(func.max(tables.versions.c.serial)).where(tables.versions.c.tenant_id == tenant))
    return int(found.scalar_one_or_none() or 0)


async def serial_since(connection: AsyncConnection, tenant: str, moment: datetime) -> int | None:
    """The first version made at this moment or later: the one that holds what was decided then. None where it is not made yet."""
    table = tables.versions
    found = await connection.execute(select(func.min(table.c.serial)).where(table.c.tenant_id == tenant, table.c.created_at >= moment))
    serial: int | None = found.scalar_one_or_none()
    return serial


async def current_segments(connection: AsyncConnection, office: Office) -> tuple[int, tuple[str, ...]]:
    """The newest serial and its segment files, for handing to a gateway that starts or lags; (0, ()) before the first version."""
    last = await latest(connection, office)
    return (last["serial"], (await read_current(connection, office)).names) if last else (0, ())


async def read_current(connection: AsyncConnection, office: Office, state_dir: Path | None = None) -> Chain:
    """The segments of the newest version. `state_dir` tells how large those are that were published before their size was noted."""
    last = await latest(connection, office)
    if last is None:
        return Chain()
    if last["chain"]:
        return read_chain(last["chain"])
    versions = tables.versions
    base = select(func.max(versions.c.serial)).where(versions.c.tenant_id == office.tenant, versions.c.is_base == 1).scalar_subquery()
    statement = (
        select(versions.c.segment).where(versions.c.tenant_id == office.tenant, versions.c.serial >= base).order_by(versions.c.serial)
    )
    names = (await connection.execute(statement)).scalars()
    return Chain(tuple(Piece(name, _rows_of(state_dir, name)) for name in names))


def _rows_of(state_dir: Path | None, name: str) -> int:
    try:
        return count_rows(release.read_file(state_dir, name)) if state_dir is not None else 0
    except GenerationError:
        return 0


async def _rows(connection: AsyncConnection, office: Office, *conditions: Any) -> list[RowMapping]:  # Any: SQL expressions
    statement = (
        select(tables.entries)
        .where(tables.entries.c.tenant_id == office.tenant, *conditions)
        .order_by(tables.entries.c.host, tables.entries.c.id)
    )
    return list((await connection.execute(statement)).mappings())


async def _segment(connection: AsyncConnection, office: Office, enforced: list[RowMapping], gone: list[RowMapping]) -> dict[str, Any]:
    """The JSON of one segment: orders, the entries that point to them, and what left."""
    wanted: dict[str, int] = {}
    orders: list[dict[str, Any]] = []
    entries: list[list[Any]] = []
    for row in enforced:
        identity = overlay_id(row)
        if identity not in wanted:
            wanted[identity] = len(orders)
            orders.append(await _order(connection, office, row))
        entries.append([key_of_host(row["host"]), _MATCH[Match(row["match"])], wanted[identity]])
    lifted = [[key_of_host(row["host"]), row["published_as"] or overlay_id(row)] for row in gone]
    return {"format": 1, "orders": orders, "entries": sorted(entries), "lifted": sorted(lifted)}


async def _order(connection: AsyncConnection, office: Office, entry: RowMapping) -> dict[str, Any]:
    """What a gateway needs to enforce and explain one order."""
    dates = {
        "category": entry["category"],
        "from": _instant(entry["valid_from"]),
        "until": _instant(entry["valid_until"]) if entry["valid_until"] else None,
        "no_end": bool(entry["no_end"]),
    }
    if entry["order_id"] is None:
        return {"id": overlay_id(entry), "number": "", "issuer": "", "issued_on": None, "basis": [], "bands": None} | dates
    found = await connection.execute(
        select(tables.orders).where(tables.orders.c.id == entry["order_id"], tables.orders.c.tenant_id == office.tenant)
    )
    order = found.mappings().one()
    basis = (
        select(tables.order_basis.c.symbol)
        .where(tables.order_basis.c.tenant_id == office.tenant, tables.order_basis.c.order_id == order["id"])
        .order_by(tables.order_basis.c.position)
    )
    day = "-".join(f"{order[part]:02d}" for part in ("issued_year", "issued_month", "issued_day") if order[part])
    return {
        "id": overlay_id(entry),
        "number": order["symbol"],
        "issuer": order["issuer"],
        "issued_on": day or None,
        "basis": list((await connection.execute(basis)).scalars()),
        "bands": order["bands"].split(",") if order["bands"] else None,
        "urgent": bool(order["urgent"]),
        "appeal": order["appeal"] or None,
    } | scope_of(order) | dates


def scope_of(order: RowMapping) -> dict[str, Any]:
    """For whom an order is, where it is not for everybody: gateways then bind those places and organisations only."""
    parts = {part: sorted(order[part].split(",")) if order[part] else [] for part in ("places", "organisations")}
    return {"scope": parts} if any(parts.values()) else {}


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
