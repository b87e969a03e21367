"""From entries to the order segments that gateways read, one serial at a time.

A version is immutable and numbered by one counter. It holds what was added and what left since the version before, so a publish of one
entry costs work for one entry; every `REBASE_AFTER` versions, and when a version takes entries back, the whole list is written once more
as a base. Digests form a chain (version n seals version n-1). The segment file is written by `gateway.release`, and only the supervisor
puts it in force; `acknowledge` records that it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.takedown import tables
from blocklists.takedown.masking import key_of_host
from blocklists.takedown.model import IN_FORCE, Match, State
from blocklists.takedown.store import Office
from gateway import release

REBASE_AFTER = 32
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}
_ENDED = (State.LIFTED.value, State.EXPIRED.value, State.SUSPENDED.value)


@dataclass(frozen=True, slots=True)
class Version:
    """A published version: its serial, the segment files in force (later ones win), counts and the chained digest."""

    serial: int
    segments: tuple[str, ...]
    added: int
    removed: int
    entries: int
    digest: str


async def publish(
    connection: AsyncConnection, office: Office, state_dir: Path, now: datetime,
    *, whole: bool = False, above: int = 0, check: Callable[[Mapping[str, Any]], None] | None = None,
) -> Version | None:  # fmt: skip
    """Write the next version when anything changed; None when nothing did. The caller asks the supervisor to put it in force.

    `whole` writes the list once more though nothing changed (a gateway lost a segment); `above` is a serial that was seen in force, so that
    a database put back from a backup never hands out a number twice. `check` may stop the version by raising.
    """
    table = tables.entries
    fresh = await _rows(connection, office, table.c.state == State.PUBLISHING.value, table.c.serial_in.is_(None))
    gone = await _rows(connection, office, table.c.state.in_(_ENDED), table.c.serial_in.isnot(None), table.c.serial_out.is_(None))
    if not fresh and not gone and not whole:
        return None
    last = await latest(connection, office)
    serial = max(last["serial"] if last else 0, above) + 1
    chain = await _segments_since_base(connection, office)
    is_base = whole or not chain or len(chain) >= REBASE_AFTER
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
    counted = await connection.execute(select(func.count()).select_from(table).where(table.c.tenant_id == office.tenant, in_force))
    entries = int(counted.scalar_one())
    head = await journal.read_head(connection)
    await connection.execute(
        insert(tables.versions).values(
            serial=serial, tenant_id=office.tenant, created_at=now, entries=entries, added=len(fresh), removed=len(gone),
            segment=name, is_base=int(is_base), digest=digest, previous_digest=previous, journal_seq=head.seq,
        )
    )  # fmt: skip
    entered = {"serial_in": serial, "first_serial": func.coalesce(table.c.first_serial, serial)}
    for identity, rows in _by_overlay_id(fresh).items():
        await _mark(connection, office, rows, entered | {"published_as": identity})
    await _mark(connection, office, gone, {"serial_out": serial})
    return Version(serial, (name,) if is_base else (*chain, name), len(fresh), len(gone), entries, digest)


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
            table.c.serial_in <= serial,
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


async def current_segments(connection: AsyncConnection, office: Office) -> tuple[int, tuple[str, ...]]:
    """The newest serial and its segment files, for handing to a gateway that starts or lags; (0, ()) before the first version."""
    last = await latest(connection, office)
    return (last["serial"], tuple(await _segments_since_base(connection, office))) if last else (0, ())


async def _segments_since_base(connection: AsyncConnection, office: Office) -> list[str]:
    versions = tables.versions
    base = select(func.max(versions.c.serial)).where(versions.c.tenant_id == office.tenant, versions.c.is_base == 1).scalar_subquery()
    statement = (
        select(versions.c.segment).where(versions.c.tenant_id == office.tenant, versions.c.serial >= base).order_by(versions.c.serial)
    )
    return list((await connection.execute(statement)).scalars())


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
