"""Where the token of a home is presented is where the home is: linked and in force without anybody pressing anything."""

from __future__ import annotations

import pytest

from admin.audit import Act
from admin.dependencies import Services
from admin.errors import Conflict
from admin.homelink import MOVES_AFTER, Home, add_home, load_home
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family


async def test_home_follows_its_token(services: Services, family: Family, act: Act, gateway: ScriptedGateway, clock: Clock) -> None:
    """Nothing is asked while there is no home; then each place is linked once, the next one as soon as the home may move; only the home's
    own token counts; an address that may not be linked changes nothing. What older files said is taken off the disk."""
    await services.homes.look()
    assert gateway.asked == []
    async with services.database.write() as connection:
        device = await add_home(connection, act, family.bi.id, "Nhà mình")

    async def at(address: str, moment: float, client: str = device) -> list[str]:
        gateway.homes = [[family.tenant, client, address, moment]]
        await services.homes.look()
        async with services.database.read() as connection:
            home = await load_home(connection, family.tenant)
        return [one.network for one in home.addresses] if home is not None else []

    assert await at("171.224.0.20", 100.0) == ["171.224.0.20"]
    assert [row["do"] for row in gateway.asked][-2:] == ["apply", "forget"]
    applied = gateway.asked.count({"do": "homes"})
    assert await at("171.224.0.20", 130.0) == ["171.224.0.20"]
    assert gateway.asked[-1] == {"do": "homes"} and gateway.asked.count({"do": "homes"}) == applied + 1
    assert await at("171.224.0.21", 140.0) == ["171.224.0.20"], "it moved a moment ago"
    clock.forward(seconds=MOVES_AFTER.total_seconds())
    assert await at("171.224.0.21", 140.0) == ["171.224.0.21"]
    clock.forward(minutes=5)
    assert await at("171.224.0.99", 500.0, family.bi_phone) == ["171.224.0.21"]
    assert await at("100.64.0.9", 600.0) == ["171.224.0.21"]


async def test_a_call_that_changes_nothing_writes_nothing(
    services: Services, family: Family, act: Act, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router calls every few minutes from the same address: nothing is written, nor for an address that may not be linked."""
    async with services.database.write() as connection:
        await add_home(connection, act, family.bi.id, "Nhà mình")

    async def stored() -> Home:
        async with services.database.read() as connection:
            home = await load_home(connection, family.tenant)
        assert home is not None
        return home

    await services.homes.link(await stored(), "171.224.0.20", act)
    home = await stored()
    monkeypatch.setattr(services.database, "write", None)
    await services.homes.link(home, "171.224.0.20", act)
    for address in ("100.64.0.9", "192.168.1.9", "171.224.0.99"):
        with pytest.raises(Conflict):
            await services.homes.link(home, address, act)
