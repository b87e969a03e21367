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
    assert await services.link.probe("abc") == Probe(True, "192.168.1.31", "p", "c", "udp", 7, frozenset({"A", "AAAA"}))
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


@pytest.mark.parametrize(
    ("address", "seen", "client"),
    [
        ("192.168.1.31", [("bi", False)], "bi"),
        ("192.168.1.31", [("bi", True)], "bi"),
        ("192.168.1.31", [(None, False), ("bi", True)], "bi"),
        ("192.168.1.31", [("bi", True), ("na", True)], None),
        ("203.0.113.7", [("bi", True)], None),
        ("203.0.113.7", [("bi", False)], "bi"),
        ("2001:db8::7", [("bi", True)], "bi"),
        ("2001:db8::7", [("bi", True), ("na", True)], None),
    ],
)
async def test_device_is_told_only_where_the_address_stands_for_it_alone(
    services: Services, gateway: ScriptedGateway, now: datetime, address: str, seen: list[tuple[str | None, bool]], client: str | None
) -> None:
    """Two phones behind one address, or a phone with a private name behind an address that a provider may share: nobody's; the family is
    told where all are of one family."""
    for who, by_token in seen:
        gateway.see(address, now, client=who, tenant="t", by_token=by_token)
    found = await services.link.find_device(address)
    assert found is not None
    assert (found.client, found.tenant, found.is_shared) == (client, "t", client is None)
    assert found.only == (seen[0][0] if client is None and len(seen) == 1 else None)
    gateway.see(address, now, client="another", tenant="another family", by_token=True)
    found = await services.link.find_device(address)
    assert found is not None and (found.client, found.tenant, found.is_shared) == (None, None, True)
