"""Upstream servers by name that are not found: their known address, or the servers beside them."""

from lachan.serveraddresses import with_addresses


def test_known_address_is_written_behind_the_name_and_a_lost_server_left_out() -> None:
    """`.invalid` is never found (RFC 6761)."""
    lost, plain = "udp://resolver.invalid:53", "udp://192.0.2.1"
    assert with_addresses({"servers": [lost]}, {"resolver.invalid": "192.0.2.2"}) == {"servers": [f"{lost}@192.0.2.2"]}
    assert with_addresses({"servers": [lost, plain]}, {}) == {"servers": [plain]}
    assert with_addresses({"servers": [lost]}, {}) == {"servers": [lost]}
