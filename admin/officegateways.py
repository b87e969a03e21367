"""The gateways that follow this office: the code each joins by, its key, and the signed receipts that say what it enforces since when.

A receipt is believed when the gateway's own key signed it, its counter grew, and what it says can be true: a serial this office published,
not older than what it told before, in force not before it was made nor in the future, and a head of the journal that this journal holds.
A head it does not hold is an alarm besides: either the gateway lies, or somebody wrote the journal anew. What a gateway says of a release
that goes out in stages weighs as `blocklists.rolloutguard` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, record
from admin.errors import NotFound
from admin.officedemand import FarDemand
from admin.officerollout import Rollout, read_rollouts
from admin.officetables import gateways
from admin.sessions import hash_secret
from blocklists import receipts
from blocklists.online import WHOLE, place_of
from blocklists.pairing import fingerprint_of, words_of
from blocklists.receipts import Receipt
from blocklists.rolloutguard import jumped
from blocklists.tables import EVERY_TENANT, OrganisationId, journal, new_id
from blocklists.takedown import tables
from gateway.following import CODES
from gateway.officestatus import STATES, OfficeStatus

TICKET_HOLDS = timedelta(days=7)
SKEW = timedelta(minutes=5)
SILENT_AFTER = timedelta(hours=3)
REMEMBERED = timedelta(days=1)
"""How long the page tells of a receipt that was not believed after the gateway sends good ones again."""
LAGS_AFTER = timedelta(minutes=15)
"""Gateways ask every five minutes: one that does not have the newest version after three of them lags."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One gateway as the page shows it. `state`: `invited`, `current`, `waiting` (for its stage), `lagging`, `silent`, `quiet` (it has told
    nothing yet)."""

    row: RowMapping
    state: str
    words: str

    @property
    def is_doubted(self) -> bool:
        """Whether its last receipt was not believed."""
        return is_doubted(self.row)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a receipt. `code`: why it is not believed, empty when it is; `questions`: what the gateway is asked; `weighs`: the
    office to whose releases in stages it brings trouble."""

    code: str
    questions: list[list[str]]
    weighs: OrganisationId | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far a version has come: of how many gateways, how many enforce it, and how long the middle and the last one took."""

    serial: int
    gateways: int
    reached: int
    middle: timedelta | None
    slowest: timedelta | None
    made_at: datetime


async def invite_gateway(connection: AsyncConnection, act: Act, label: str) -> tuple[str, str]:
    """A place for a gateway: its id, and the ticket of its code, which is stored nowhere."""
    identity, ticket = new_id(), new_id()
    await connection.execute(
        insert(gateways).values(
            id=identity, tenant_id=act.tenant, label=label, ticket_hash=hash_secret(ticket), ticket_ends_at=act.now + TICKET_HOLDS,
            created_by=act.by.account_id, created_at=act.now,
        )
    )  # fmt: skip
    await record(connection, act, Action.GATEWAY_INVITED, identity)
    return identity, ticket


async def admit(connection: AsyncConnection, ticket: str, public: str, proof: bytes, now: datetime) -> RowMapping:
    """A gateway comes with its ticket and its own key; the row it has from now on. One that comes back (it left, was taken off, or has
    another code) has the new row, and its old one is over. Raises NotFound for anything that does not fit."""
    if not receipts.is_signed(public, receipts.join_bytes(ticket, public), proof):
        raise NotFound
    table = gateways
    found = await connection.execute(
        select(table)
        .where(table.c.ticket_hash == hash_secret(ticket), table.c.retired_at.is_(None), table.c.ticket_ends_at > now)
        .execution_options(**EVERY_TENANT)  # the ticket itself says whose it is
    )
    row = found.mappings().first()
    if row is None or (row["public"] is not None and row["public"] != public):
        raise NotFound
    if row["public"] is None:
        await _let_go(connection, OrganisationId(row["tenant_id"]), public, now)
        await connection.execute(
            update(table).where(table.c.id == row["id"], table.c.tenant_id == row["tenant_id"]).values(public=public, joined_at=now)
        )
        await record(
            connection, Act(OrganisationId(row["tenant_id"]), MACHINE, now), Action.GATEWAY_JOINED, row["id"], after={"key": public}
        )
    return row


async def _let_go(connection: AsyncConnection, tenant: OrganisationId, public: str, now: datetime) -> None:
    """Free a key that a row of before has: whoever proves to hold it is that gateway. Raises NotFound for one that is another office's."""
    table = gateways
    held = select(table.c.id, table.c.tenant_id, table.c.retired_at).where(table.c.public == public).execution_options(**EVERY_TENANT)
    row = (await connection.execute(held)).one_or_none()
    if row is None:
        return
    if row.tenant_id != tenant:
        raise NotFound
    own = (table.c.id == row.id, table.c.tenant_id == tenant)
    await connection.execute(update(table).where(*own).values(public=None, joined_at=None, retired_at=row.retired_at or now))
    if row.retired_at is None:
        await record(connection, Act(tenant, MACHINE, now), Action.GATEWAY_RETIRED, row.id)


async def retire_gateway(connection: AsyncConnection, act: Act, identity: str) -> bool:
    """Take a gateway off the page; its receipts count no more. Whether it had joined. Raises NotFound."""
    joined = await connection.execute(
        select(gateways.c.id).where(gateways.c.id == identity, gateways.c.tenant_id == act.tenant, gateways.c.public.isnot(None))
    )
    had_joined = joined.first() is not None
    done = await connection.execute(
        update(gateways)
        .where(gateways.c.id == identity, gateways.c.tenant_id == act.tenant, gateways.c.retired_at.is_(None))
        .values(retired_at=act.now)
    )
    if not done.rowcount:
        raise NotFound
    await record(connection, act, Action.GATEWAY_RETIRED, identity)
    return had_joined


async def require_gateway(connection: AsyncConnection, identity: str, signed: bytes, signature: bytes) -> None:
    """Let a gateway that joined here, and nobody else, go on. Raises NotFound."""
    row = await _joined(connection, identity)
    if row is None or not receipts.is_signed(row["public"], signed, signature):
        raise NotFound


async def take_receipt(connection: AsyncConnection, data: bytes, now: datetime, demand: FarDemand) -> Taken:
    """Believe a receipt or say why not. A refusal of a known gateway stands on the page, for a day after the next good one. Raises
    NotFound for a gateway nobody knows, ReceiptError for bytes that are no receipt.
    """
    receipt, signed, signature = receipts.read(data)
    row = await _joined(connection, receipt.gateway)
    if row is None:
        raise NotFound
    if not receipts.is_signed(row["public"], signed, signature):
        return Taken("signature", [])  # anybody can send this: it leaves no mark on the gateway it names
    code = await _judge(connection, row, receipt, now)
    where = (gateways.c.id == row["id"], gateways.c.tenant_id == row["tenant_id"])
    if code == "replayed":
        return Taken(code, [])
    if code:
        values = {"counter": receipt.counter, "refusal": code, "refused_at": now}
        await connection.execute(update(gateways).where(*where).values(**values))
        return Taken(code, [])
    in_force_at = datetime.fromtimestamp(receipt.in_force_at, UTC)
    values = {
        "counter": receipt.counter, "serial": receipt.serial, "version": receipt.version, "seen_at": now,
        "fault": receipt.fault if receipt.fault in CODES else "", "waits_for": receipt.waits_for, "kept": receipt.kept,
        "journal_seq": receipt.journal[0] if receipt.journal else None, "journal_digest": receipt.journal[1] if receipt.journal else None,
    }  # fmt: skip
    if row["refused_at"] is not None and not now - REMEMBERED < row["refused_at"] < now:
        values |= {"refusal": "", "refused_at": None}
    if receipt.health is not None:
        values["health"] = json.dumps([receipt.serial, *receipt.health])
    if receipt.serial != row["serial"] or row["in_force_at"] is None:
        values["in_force_at"] = in_force_at
        await _keep(connection, row["id"], receipt.serial, in_force_at, now)
    await connection.execute(update(gateways).where(*where).values(**values))
    tenant = OrganisationId(row["tenant_id"])
    demand.answer(tenant, row["id"], receipt.asked, now)
    weighs = tenant if receipt.fault or (receipt.health is not None and jumped(*receipt.health)) else None
    return Taken("", [] if receipt.asked else demand.questions(tenant, now), weighs)


async def _joined(connection: AsyncConnection, identity: str) -> RowMapping | None:
    found = await connection.execute(
        select(gateways)
        .where(gateways.c.id == identity, gateways.c.retired_at.is_(None), gateways.c.public.isnot(None))
        .execution_options(**EVERY_TENANT)  # the signature says whose it is
    )
    return found.mappings().first()


async def _judge(connection: AsyncConnection, row: RowMapping, receipt: Receipt, now: datetime) -> str:
    """Why a rightly signed receipt cannot be true; empty when it can."""
    if receipt.counter <= row["counter"]:
        return "replayed"
    if receipt.serial < row["serial"]:
        return "went_back"
    at = datetime.fromtimestamp(min(receipt.in_force_at, 4_000_000_000), UTC)
    if at > now + SKEW:
        return "clock"
    if receipt.serial:
        versions = tables.versions
        made = await connection.execute(
            select(versions.c.created_at).where(versions.c.serial == receipt.serial, versions.c.tenant_id == row["tenant_id"])
        )
        created = made.scalar_one_or_none()
        if created is None:
            return "unknown_serial"
        if at < created - SKEW:
            return "clock"
    if receipt.journal is not None and not await _holds(connection, *receipt.journal):
        return "journal"
    return ""


async def _holds(connection: AsyncConnection, seq: int, digest: str) -> bool:
    found = await connection.execute(select(journal.c.digest).where(journal.c.seq == seq))
    held = found.scalar_one_or_none()
    return held is not None and bytes(held).hex() == digest


async def _keep(connection: AsyncConnection, gateway: str, serial: int, in_force_at: datetime, now: datetime) -> None:
    table = tables.receipts
    known = await connection.execute(select(table.c.serial).where(table.c.gateway == gateway, table.c.serial == serial))
    if serial and known.first() is None:
        await connection.execute(insert(table).values(gateway=gateway, serial=serial, in_force_at=in_force_at, received_at=now))


async def count_gateways(connection: AsyncConnection, tenant: OrganisationId) -> int:
    """How many gateways have joined and are still here."""
    joined = gateways.c.public.isnot(None) & gateways.c.retired_at.is_(None)
    counted = select(func.count()).select_from(gateways).where(gateways.c.tenant_id == tenant, joined)
    return int((await connection.execute(counted)).scalar_one())


async def read_gateways(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Standing]:
    """Every gateway that is invited or joined, those that need somebody first."""
    newest = await _newest(connection, tenant)
    under_way = await read_rollouts(connection, tenant)
    found = await connection.execute(
        select(gateways)
        .where(gateways.c.tenant_id == tenant, gateways.c.retired_at.is_(None))
        .order_by(gateways.c.label, gateways.c.created_at)
        .limit(5000)
    )
    rows = [Standing(row, state_of(row, newest, now, under_way), _words(row["public"])) for row in found.mappings()]
    order = ("lagging", "silent", "quiet", "invited", "waiting", "current")
    return sorted(rows, key=lambda one: (not one.is_doubted, order.index(one.state)))


def is_doubted(row: RowMapping) -> bool:
    """Whether the last receipt of a gateway was not believed; an older refusal is only told."""
    return bool(row["refusal"]) and (row["seen_at"] is None or row["refused_at"] >= row["seen_at"])


def state_of(row: RowMapping, newest: tuple[int, datetime] | None, now: datetime, under_way: Sequence[Rollout] = ()) -> str:
    """How a gateway stands to the newest version; `under_way`: those that go out in stages. Whether its stage has come is worked out here
    and not believed."""
    if row["public"] is None:
        return "invited"
    if row["seen_at"] is None:
        return "quiet"
    waits = [one for one in under_way if one.serial > row["serial"] and place_of(row["id"], one.serial) >= one.share(now)]
    is_silent = now - row["seen_at"] > SILENT_AFTER
    if waits and not is_silent and row["serial"] >= min(one.base for one in waits):
        return "waiting"
    if newest is not None and row["serial"] < newest[0] and now - newest[1] > LAGS_AFTER:
        return "lagging"
    return "silent" if is_silent else "current"


async def read_spread(connection: AsyncConnection, tenant: OrganisationId) -> Spread | None:
    """How far the newest version has come among the gateways that joined; None before the first version."""
    newest = await _newest(connection, tenant)
    if newest is None:
        return None
    joined = await connection.execute(
        select(gateways.c.id).where(gateways.c.tenant_id == tenant, gateways.c.retired_at.is_(None), gateways.c.public.isnot(None))
    )
    ids = set(joined.scalars())
    table = tables.receipts
    found = await connection.execute(select(table.c.gateway, table.c.in_force_at).where(table.c.serial == newest[0]))
    took = sorted(max(row.in_force_at - newest[1], timedelta()) for row in found if row.gateway in ids or row.gateway == "local")
    return Spread(newest[0], len(ids) + 1, len(took), _middle(took), took[-1] if took else None, newest[1])


async def office_status(connection: AsyncConnection, tenant: OrganisationId, now: datetime, *, unsigned: bool, alarm: bool) -> OfficeStatus:
    """How the office stands in numbers, for metrics."""
    rows = await read_gateways(connection, tenant, now)
    spread = await read_spread(connection, tenant)
    counts = Counter("refused" if one.is_doubted else one.state for one in rows)
    under_way = await read_rollouts(connection, tenant)
    took = [spread.middle, spread.slowest] if spread is not None else [None, None]
    middle, slowest = (int(one.total_seconds()) if one is not None else 0 for one in took)
    return OfficeStatus(
        **{state: counts[state] for state in STATES}, middle=middle, slowest=slowest, unsigned=int(unsigned), journal_alarm=int(alarm),
        held=int(any(one.state == "held" for one in under_way)), share=min((one.share(now) for one in under_way), default=WHOLE) // 100,
        withdrawals_kept=sum(one.row["kept"] > 0 for one in rows),
    )  # fmt: skip


def _middle(values: Sequence[timedelta]) -> timedelta | None:
    return values[(len(values) - 1) // 2] if values else None


async def _newest(connection: AsyncConnection, tenant: OrganisationId) -> tuple[int, datetime] | None:
    versions = tables.versions
    statement = (
        select(versions.c.serial, versions.c.created_at).where(versions.c.tenant_id == tenant).order_by(versions.c.serial.desc()).limit(1)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else (row.serial, row.created_at)


def _words(public: str | None) -> str:
    return words_of(fingerprint_of(bytes.fromhex(public))) if public else ""
