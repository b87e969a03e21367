"""The line to the gateway: typed answers, and an honest "away"."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.dependencies import Services
from admin.link import GatewayAway, Probe
from gateway.errors import ControlError
from tests.support.controlsocket import ScriptedGateway


async def test_answers_are_typed(services: Services, gateway: ScriptedGateway, now: datetime) -> None:
    """Devices, blocks, probes and batches come as values with moments."""
    gateway.see("192.168.1.31", now, mac="3c:22:fb:00:00:31", client="c", tenant="t")
    gateway.block("192.168.1.31", "bet.example.", "gamb", now)
    gateway.probes["abc"] = {"address": "192.168.1.31", "profile": "p", "client": "c", "transport": "udp", "generation": 7}
    (device,) = await services.link.devices()
    (block,) = await services.link.recent_blocks("192.168.1.31")
    assert (device.mac, device.client, device.last_seen) == ("3c:22:fb:00:00:31", "c", now)
    assert (block.name, block.category, block.at) == ("bet.example", "gamb", now)
    assert await services.link.probe("abc") == Probe(True, "192.168.1.31", "p", "c", "udp", 7)
    assert await services.link.probe("other") == Probe(False)
    assert await services.link.find_device("192.168.1.99") is None
    assert await services.link.find_device("192.168.1.31") == device
    assert await services.link.devices("t") == [device]
    assert await services.link.devices("other") == []
    assert (await services.link.status())["state"] == "ready"


async def test_dead_gateway_is_away(services: Services) -> None:
    """No socket: away, not a traceback."""
    with pytest.raises(GatewayAway):
        await services.link.status()


async def test_refusal_is_the_gateways_own(services: Services, gateway: ScriptedGateway) -> None:
    """A refused change is told with the gateway's words."""
    gateway.refuse = ControlError("refused", "no", "policies")
    with pytest.raises(ControlError, match="no"):
        await services.link.apply({"policies": {}})
