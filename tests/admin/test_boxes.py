"""Where a gateway is, as a box must be told it; and what the list of boxes promises."""

from __future__ import annotations

from dataclasses import replace

from admin.boxes import BOXES, EXAMPLE, PROVIDERS, find_place
from admin.dependencies import Services
from gateway.settings import Endpoint, GatewaySettings

HERE, HERE6 = "192.168.1.2", "fd00:1::2"


def test_place_is_what_a_box_must_be_told(services: Services) -> None:
    """Addresses others reach and no names; the router beside the gateway; the port, when it is not the one boxes ask."""
    settings: GatewaySettings = services.settings.gateway
    on = replace(settings, dns=replace(settings.dns, listen=(Endpoint("0.0.0.0", 53),)))
    place = find_place(on, ["dns.truong.example", "127.0.0.1", "::1", HERE, HERE6], "192.168.1.20")
    assert (place.ipv4, place.ipv6, place.router, place.port, place.is_here) == (HERE, HERE6, "192.168.1.1", 53, True)
    assert [str(one) for one in place.addresses()] == [HERE, HERE6]
    nowhere = find_place(on, ["dns.truong.example"], "10.0.0.9")
    assert (nowhere.is_known, nowhere.address, nowhere.router) == (False, EXAMPLE, "10.0.0.1")
    assert find_place(on, ["171.224.0.9"], "171.224.0.9").router == "192.168.1.1"


def test_each_provider_is_on_the_list_with_a_way_to_its_field() -> None:
    """No guide that nobody can choose; each says which models it is for and leads somewhere."""
    assert set(PROVIDERS) < set(BOXES)
    for menus in PROVIDERS.values():
        assert menus and all(menu.models and len(menu.path) == 3 and menu.kind in ("tree", "tabs") for menu in menus)
