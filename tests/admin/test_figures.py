"""A school's figures: from queries that were sent, small numbers hidden, nothing that gives them away."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from admin.app import create_app
from admin.dependencies import Services
from admin.devices import Match
from admin.figures import SMALL, Cell, read_figures, suppress
from admin.passwords import Passwords
from admin.setup import NewChild, NewDevice, Owner, Plan, make_tenant
from admin.totals import collect
from admin.values import DeviceMatch
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from tests.support.family import WORDS
from tests.support.gateway import Gateway
from tests.support.livegateway import counted
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

ZONE = "Asia/Ho_Chi_Minh"


@pytest.mark.parametrize(
    ("counts", "cells", "total"),
    [
        ({}, (), 0),
        ({"gamb": 9, "game": 20}, (Cell("game", 20), Cell("gamb", 9)), 29),
        # one small cell could be had from the sum: the next smallest is hidden with it
        ({"gamb": 3, "game": 20, "social": 8}, (Cell("game", 20), Cell("social", None), Cell("gamb", None, True)), 31),
        ({"gamb": 3, "game": 20, "chat": 1}, (Cell("game", 20), Cell("gamb", None, True), Cell("chat", None, True)), 24),
        ({"gamb": 4}, (Cell("gamb", None, True),), 0),
        ({"gamb": 5}, (Cell("gamb", 5),), 5),
        ({"gamb": 2, "game": 0}, (Cell("gamb", None, True),), 0),
    ],
)
def test_small_numbers_and_their_complements_are_hidden(counts: dict[str, int], cells: tuple[Cell, ...], total: int) -> None:
    """Under five is not told, nor what would let it be worked out."""
    figures = suppress(counts)
    assert figures.cells == cells
    assert figures.total == total
    hidden = [cell for cell in figures.cells if cell.count is None]
    assert not (figures.total and len(hidden) == 1)
    assert all(cell.count is None or cell.count >= SMALL for cell in figures.cells)


async def test_figures_of_a_school_come_from_its_queries(live: Services, gateway_running: Gateway) -> None:
    """Pupils ask for a social network, a game and three times for TikTok: the whole school's page has the largest count, "under 5" for the
    small one, and no number for the one it could be worked out from; nobody's class, device or name."""
    plan = Plan(
        kind=OrganisationKind.SCHOOL,
        owner=Owner("truong", await Passwords().hash(PASSWORD), "vi"),
        children=(NewChild("3A", Band.TH),),
        devices=(NewDevice(Match(DeviceMatch.NETWORK, "127.0.3.0/24"), 0),),
        networks=("127.0.0.0/8",),
        messenger=False,
        words=WORDS,
    )
    async with live.database.write() as connection:
        made = await make_tenant(connection, plan, live.shelves.current(), live.now())
    await live.applier.settle(made.tenant)
    for number in range(12):
        source = f"127.0.3.{10 + number % 4}"
        await asyncio.to_thread(gateway_running.ask, "www.facebook.com", source=source)
        if number < 7:
            await asyncio.to_thread(gateway_running.ask, "www.roblox.com", source=source)
        if number < 3:
            await asyncio.to_thread(gateway_running.ask, "www.tiktok.com", source=source)
        await asyncio.to_thread(gateway_running.ask, "scratch.mit.edu", source=source)
    await asyncio.sleep(1.5)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, live.now())
    async with live.database.read() as connection:
        figures = await read_figures(connection, made.tenant, live.now(), ZONE)
        assert figures.total == 22
        assert [(cell.count, cell.small) for cell in figures.cells] == [(12, False), (None, False), (None, True)]
        assert (await read_figures(connection, made.tenant, live.now() + timedelta(days=8), ZONE)).cells == ()
    browser = Visitor(create_app(live))
    await browser.sign_in("truong", PASSWORD)
    await browser.close()
    assert "Mạng xã hội 12 Trò chơi trực tuyến không nêu Phát trực tiếp dưới 5 Tổng: 22" in browser.text
