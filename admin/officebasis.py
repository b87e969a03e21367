"""The legal basis that an issuer's last document stood on, suggested for its next one: an officer types a chain once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.takedown import tables
from blocklists.takedown.store import Office

ARROW = " ← "


async def suggest_basis(connection: AsyncConnection, office: Office, issuers: Collection[str], written: str) -> tuple[str, str]:
    """The basis for a new document as text, and the document it was taken from (empty when it is the letter's own). `issuers`: what its
    issuer may be called.

    A letter that names documents keeps them; those on which the issuer's last document hung further ones bring these along. A letter that
    names none is given the whole chain of the last one.
    """
    orders, basis = tables.orders, tables.order_basis
    found = await connection.execute(
        select(orders.c.id, orders.c.symbol)
        .where(orders.c.tenant_id == office.tenant, orders.c.issuer.in_(issuers), orders.c.id.in_(select(basis.c.order_id)))
        .order_by(orders.c.received_at.desc())
        .limit(1)
    )
    last = found.first()
    if last is None:
        return written, ""
    rows = await connection.execute(
        select(basis).where(basis.c.tenant_id == office.tenant, basis.c.order_id == last.id).order_by(basis.c.position)
    )
    chains = _chains(list(rows.mappings()))
    if not written:
        return "\n".join(ARROW.join(chain) for chain in chains), str(last.symbol)
    longer = {chain[0]: ARROW.join(chain) for chain in chains if len(chain) > 1}
    lines = [longer.get(line, line) for line in written.split("\n")]
    return "\n".join(lines), str(last.symbol) if lines != written.split("\n") else ""


def _chains(rows: Sequence[RowMapping]) -> list[list[str]]:
    """The documents from the one the order names to the last one each stands on: one line for each end."""
    symbols = {row["position"]: row["symbol"] for row in rows}
    above: dict[int | None, list[int]] = {}
    for row in rows:
        parent = row["parent_position"] if row["parent_position"] in symbols else None
        above.setdefault(parent, []).append(row["position"])

    def lines(position: int, seen: tuple[int, ...]) -> list[list[str]]:
        further = [one for one in above.get(position, []) if one not in seen]
        rest = [line for one in further for line in lines(one, (*seen, one))]
        return [[symbols[position], *line] for line in rest] or [[symbols[position]]]

    return [line for root in above.get(None, []) for line in lines(root, (root,))]
