"""The legal basis of an issuer's last document is suggested for its next one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.office import open_office
from admin.officebasis import suggest_basis
from admin.officeform import read_chain
from blocklists.database import Database
from blocklists.takedown import store
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match
from blocklists.takedown.store import NewItem, NewOrder
from tests.support.office import Officers

CHAIN = "531/KH-UBND ← 830/QĐ-TTg\n116/2025/QH15"


@pytest.mark.parametrize(
    ("issuer", "written", "suggested"),
    [
        ("UBND tỉnh", "", (CHAIN, "1/QĐ-UBND")),
        ("UBND tỉnh", "531/KH-UBND", ("531/KH-UBND ← 830/QĐ-TTg", "1/QĐ-UBND")),
        ("UBND tỉnh", "147/2024/NĐ-CP", ("147/2024/NĐ-CP", "")),
        ("Công an tỉnh", "", ("", "")),
        ("", "", ("", "")),
    ],
)
async def test_a_chain_is_typed_once(
    database: Database, officers: Officers, now: datetime, issuer: str, written: str, suggested: tuple[str, str]
) -> None:
    """A letter without a basis gets the last chain; a document that hung others brings them along; another issuer's chain is nobody's."""
    documents, parents = read_chain(CHAIN.split("\n"))
    item = NewItem("bad.example", "bad.example", Match.BOTH, Enforceability.YES)
    order = NewOrder(
        parse_symbol("1/QĐ-UBND"), "UBND tỉnh", now, now + timedelta(days=5), basis=tuple((one, False) for one in documents),
        basis_parents=parents, items=(item,),
    )  # fmt: skip
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await store.register(connection, office, order, Actor(officers.verifier, Capacity.VERIFIER), now)
        assert await suggest_basis(connection, office, {issuer} - {""}, written) == suggested
