"""Upstream servers by name that are not found: their known address, or the servers beside them."""

from lachan.serveraddresses import with_addresses


def test_known_address_is_written_behind_the_name_and_a_lost_server_left_out() -> None:
    """`.invalid` is never found (RFC 6761)."""
    lost, plain = "udp://resolver.invalid:53", "udp://192.0.2.1"
    assert with_addresses({"servers": [lost]}, {"resolver.invalid": "192.0.2.2"}) == {"servers": [f"{lost}@192.0.2.2"]}
    assert with_addresses({"servers": [lost, plain]}, {}) == {"servers": [plain]}
    assert with_addresses({"servers": [lost]}, {}) == {"servers": [lost]}


def test_route_whose_servers_are_all_lost_has_none() -> None:
    """Its names fail; what else is wrong with a route stays, for whoever reads it."""
    routes = {"a.example": ["udp://resolver.invalid"], "b.example": ["udp://resolver.invalid", "udp://192.0.2.1"], "c.example": ["junk", 7]}
    assert with_addresses({"routes": routes}, {}) == {
        "servers": [],
        "routes": {"a.example": [], "b.example": ["udp://192.0.2.1"], "c.example": ["junk", 7]},
    }
