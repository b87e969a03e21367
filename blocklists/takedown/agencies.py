"""Bodies of the state as dated data: who was what on a day, who followed whom, who holds a role. Every look-up takes a day.

Used by `admin`; every change writes the journal. A text that names a body is matched whatever its case, spaces and tone marks; where a body
had ended by the day it is named for, the refusal names its successors and picks none by itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.tables import new_id
from blocklists.takedown.agencytables import AgencyKind, AgencyRole, agencies, agency_roles, agency_successors
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import Actor, NotFound, Office
from blocklists.takedown.workflow import TransitionRefused


@dataclass(frozen=True, slots=True)
class NewAgency:
    """A body to be kept. Days may be open on either side."""

    name: str
    kind: AgencyKind = AgencyKind.DEPARTMENT
    short: str = ""
    place_code: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a text says about a body on a day: the body that was there, or the one that was not and who followed it."""

    agency: RowMapping | None = None
    other: RowMapping | None = None
    successors: tuple[RowMapping, ...] = ()


async def add_agency(connection: AsyncConnection, office: Office, actor: Actor, new: NewAgency, now: datetime) -> str:
    """Keep a body; its id. Raises TransitionRefused for a name of a person."""
    require_clean(new.name, "Tên", "Name")
    agency = new_id()
    await connection.execute(
        insert(agencies).values(
            id=agency, tenant_id=office.tenant, kind=new.kind.value, name=new.name, short=new.short, parent_id=new.parent_id,
            place_code=new.place_code or None, valid_from=_text(new.valid_from), valid_until=_text(new.valid_until), basis="",
        )
    )  # fmt: skip
    await _record(connection, office, actor, "add", agency, now)
    return agency


async def end_agency(
    connection: AsyncConnection, office: Office, actor: Actor, agency_id: str, on: date, successors: Iterable[str], basis: str,
    now: datetime,
) -> None:  # fmt: skip
    """A body is no more from a day on; its successors are named, one or several or none. Raises NotFound, TransitionRefused."""
    row = await agency_row(connection, office, agency_id)
    if not _is_there(row, on):
        raise TransitionRefused("agency_days", "Ngày này không nằm trong thời gian tồn tại.", "The body was not there on that day.")
    if row["valid_from"] is not None and row["valid_from"] >= on.isoformat():
        raise TransitionRefused("agency_days", "Ngày kết thúc phải sau ngày bắt đầu.", "The end comes after the beginning.")
    wanted = tuple(dict.fromkeys(successors))
    for successor in wanted:
        await agency_row(connection, office, successor)
        if successor == agency_id:
            raise TransitionRefused("agency_itself", "Không thể tự thay thế chính mình.", "A body cannot follow itself.")
    where = (agencies.c.id == agency_id, agencies.c.tenant_id == office.tenant)
    await connection.execute(update(agencies).where(*where).values(valid_until=on.isoformat(), basis=basis))
    if wanted:
        rows = [{"tenant_id": office.tenant, "old_id": agency_id, "new_id": successor} for successor in wanted]
        await connection.execute(insert(agency_successors), rows)
    roles = agency_roles
    open_roles = (roles.c.tenant_id == office.tenant, roles.c.agency_id == agency_id, _open_at(roles, on))
    await connection.execute(update(roles).where(*open_roles, roles.c.valid_from < on.isoformat()).values(valid_until=on.isoformat()))
    await _record(connection, office, actor, "end", agency_id, now, basis)


async def rename_agency(
    connection: AsyncConnection, office: Office, actor: Actor, agency_id: str, on: date, name: str, short: str, basis: str, now: datetime
) -> str:
    """The same body under another name from a day on: a new row that follows the old one, with its roles. Raises NotFound."""
    row = await agency_row(connection, office, agency_id)
    held = await _roles_of(connection, office, agency_id, on)
    fresh = NewAgency(name, AgencyKind(row["kind"]), short, row["place_code"] or "", on, None, row["parent_id"])
    successor = await add_agency(connection, office, actor, fresh, now)
    await end_agency(connection, office, actor, agency_id, on, (successor,), basis, now)
    for role in held:
        await give_role(
            connection, office, actor, AgencyRole(role["role"]), successor, on, basis or role["basis"], now, place=role["place_code"]
        )
    return successor


async def give_role(
    connection: AsyncConnection, office: Office, actor: Actor, role: AgencyRole, agency_id: str, on: date, basis: str, now: datetime,
    *, place: str = "",
) -> str:  # fmt: skip
    """A body is charged with something from a day on, by a document; others may hold the same role for another place or beside it."""
    row = await agency_row(connection, office, agency_id)
    if not _is_there(row, on):
        raise await _ended(connection, office, row, on)
    if not basis.strip():
        raise TransitionRefused("basis_missing", "Hãy ghi văn bản giao nhiệm vụ.", "Name the document that charges it.")
    identity = new_id()
    await connection.execute(
        insert(agency_roles).values(
            id=identity, tenant_id=office.tenant, role=role.value, agency_id=agency_id, place_code=place, valid_from=on.isoformat(),
            basis=basis.strip(),
        )
    )  # fmt: skip
    await _record(connection, office, actor, "role", agency_id, now, basis.strip())
    return identity


async def agency_row(connection: AsyncConnection, office: Office, agency_id: str) -> RowMapping:
    """A body's row. Raises NotFound, also for another office's."""
    statement = select(agencies).where(agencies.c.id == agency_id, agencies.c.tenant_id == office.tenant)
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        raise NotFound("no such body")
    return row


async def agencies_on(connection: AsyncConnection, office: Office, on: date) -> list[RowMapping]:
    """The bodies of a day, by name."""
    statement = select(agencies).where(agencies.c.tenant_id == office.tenant, _open_at(agencies, on)).order_by(agencies.c.name)
    return list((await connection.execute(statement)).mappings())


async def agencies_gone(connection: AsyncConnection, office: Office, on: date) -> list[RowMapping]:
    """The bodies that had ended by a day, the latest first."""
    statement = select(agencies).where(agencies.c.tenant_id == office.tenant, agencies.c.valid_until <= on.isoformat())
    return list((await connection.execute(statement.order_by(agencies.c.valid_until.desc(), agencies.c.name))).mappings())


async def holders(connection: AsyncConnection, office: Office, role: AgencyRole, on: date, place: str = "") -> list[RowMapping]:
    """Who holds a role on a day: those for the place first, else those without a place."""
    roles = agency_roles
    statement = (
        select(agencies, roles.c.basis.label("role_basis"), roles.c.place_code.label("role_place"), roles.c.role)
        .join(roles, roles.c.agency_id == agencies.c.id)
        .where(agencies.c.tenant_id == office.tenant, roles.c.tenant_id == office.tenant, roles.c.role == role.value, _open_at(roles, on))
        .order_by(agencies.c.name)
    )
    rows = list((await connection.execute(statement)).mappings())
    exact = [row for row in rows if place and row["role_place"] == place]
    return exact or [row for row in rows if not row["role_place"]]


async def successors_of(connection: AsyncConnection, office: Office, agency_id: str, on: date) -> list[RowMapping]:
    """Who does today what a body of before did: followed from one to the next until those that are there on the day."""
    found: dict[str, RowMapping] = {}
    seen: set[str] = set()
    ahead = [agency_id]
    while ahead:
        one = ahead.pop(0)
        if one in seen:
            continue
        seen.add(one)
        links = select(agency_successors.c.new_id).where(
            agency_successors.c.tenant_id == office.tenant, agency_successors.c.old_id == one
        )
        for identity in (await connection.execute(links)).scalars():
            row = await agency_row(connection, office, identity)
            if _is_there(row, on):
                found[identity] = row
            else:
                ahead.append(identity)
    return sorted(found.values(), key=lambda row: str(row["name"]))


async def find_named(connection: AsyncConnection, office: Office, text: str, on: date) -> Named:
    """The body that a text names, as of a day. A body that the office does not keep is nobody: nothing is refused because of that."""
    rows = list((await connection.execute(select(agencies).where(agencies.c.tenant_id == office.tenant))).mappings())
    matching: list[RowMapping] = []
    for wanted in _spellings(text):
        matching = matching or [row for row in rows if wanted in (fold(row["name"]), fold(row["short"]))]
    there = [row for row in matching if _is_there(row, on)]
    if len(there) == 1:
        return Named(there[0])
    if there or len(matching) != 1:
        return Named()
    (other,) = matching
    return Named(None, other, tuple(await successors_of(connection, office, other["id"], on)))


def _spellings(text: str) -> list[str]:
    """What a text may name, the likeliest first: a letterhead has the superior before the body, and leaves the province to it."""
    superior, _, body = (part.strip() for part in text.rpartition(" - "))
    found = [fold(text), fold(body)]
    place = fold(superior).removeprefix("uy ban nhan dan ").removeprefix("ubnd ")
    if place:
        found.append(f"{fold(body)} {place}")
    return [one for one in found if one]


async def require_there(connection: AsyncConnection, office: Office, text: str, on: date) -> RowMapping | None:
    """The body that a text names, which must be there on the day; None for one that the office does not keep. Raises TransitionRefused
    that names the successors: somebody chooses, nobody is picked by itself."""
    named = await find_named(connection, office, text, on)
    if named.other is not None:
        raise await _ended(connection, office, named.other, on)
    return named.agency


async def _ended(connection: AsyncConnection, office: Office, row: RowMapping, on: date) -> TransitionRefused:
    day = on.strftime("%d/%m/%Y")
    after = ", ".join(one["name"] for one in await successors_of(connection, office, row["id"], on))
    vi, en = f"{row['name']} không có vào ngày {day}.", f"{row['name']} was not there on {day}."
    if after:
        vi, en = f"{vi} Hãy chọn cơ quan kế nhiệm: {after}.", f"{en} Choose its successor: {after}."
    return TransitionRefused("agency_ended", vi, en)


def fold(text: str) -> str:
    """Two spellings of one name compare equal: case, spaces, punctuation and the place of a tone mark do not matter."""
    flat = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return " ".join("".join(sign if sign.isalnum() else " " for sign in flat if not unicodedata.combining(sign)).split())


def _is_there(row: RowMapping, on: date) -> bool:
    day = on.isoformat()
    return (row["valid_from"] is None or row["valid_from"] <= day) and (row["valid_until"] is None or day < row["valid_until"])


def _open_at(table: Any, on: date) -> Any:  # Any: a table with `valid_from` and `valid_until`, an SQL condition
    day = on.isoformat()
    return or_(table.c.valid_from.is_(None), table.c.valid_from <= day) & or_(table.c.valid_until.is_(None), table.c.valid_until > day)


async def _roles_of(connection: AsyncConnection, office: Office, agency_id: str, on: date) -> Sequence[RowMapping]:
    roles = agency_roles
    statement = select(roles).where(roles.c.tenant_id == office.tenant, roles.c.agency_id == agency_id, _open_at(roles, on))
    return list((await connection.execute(statement)).mappings())


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


async def _record(
    connection: AsyncConnection, office: Office, actor: Actor, verb: str, agency: str, now: datetime, basis: str = ""
) -> None:
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action=f"takedown.agency.{verb}",
            object_kind="takedown_agency", object_id=agency, basis=basis or None,
        ),
    )  # fmt: skip
