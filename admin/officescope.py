"""For whom an order is: ages, places, schools of this machine. What an officer writes → what is stored, and back into words."""

from __future__ import annotations

import re
from datetime import date

from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.places import gazetteer
from blocklists.tables import OrganisationKind, organisations
from gateway.policy.tenant import PLACE

MOST_SCHOOLS = 500
MOST_PLACES = 40


def read_places(text: str, on: date) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Places written by name or code, one after the other, as codes of the day; and what nobody knows."""
    table = gazetteer()
    codes: list[str] = []
    unknown: list[str] = []
    for part in re.split(r"[,;\n]", text):
        one = " ".join(part.split())
        if not one:
            continue
        named = table.named(one, on)
        if len(named) == 1:
            codes.append(named[0].code)
        elif PLACE.fullmatch(one) and table.at(one.partition(".")[0], on) is not None:
            codes.append(one)
        else:
            unknown.append(one)
    return tuple(sorted(set(codes))), tuple(unknown)


def say_places(codes: str, on: date) -> list[str]:
    """Stored codes in words of a day."""
    return [gazetteer().say(code, on) for code in codes.split(",") if code]


async def schools(connection: AsyncConnection) -> list[RowMapping]:
    """The schools of this machine, by name."""
    table = organisations
    statement = (
        select(table.c.id, table.c.name, table.c.place_code)
        .where(table.c.kind == OrganisationKind.SCHOOL.value, table.c.valid_until.is_(None))
        .order_by(table.c.name)
        .limit(MOST_SCHOOLS)
    )
    return list((await connection.execute(statement)).mappings())
