"""Claims on addresses that cannot hold are named where they are written, at both places."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.claims import contradictions
from gateway.policy.tenant import parse_policy_file
from tests.support.generation import policy, profile


def found(sites: list[dict[str, Any]], clients: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Where the mistakes of a file with these sites and clients are, and the thing each names first."""
    document = policy("local", "operator", profiles=[profile("TH", "p", "province")], sites=sites, clients=clients)
    return [(one.path, one.message.split(" ")[0]) for one in contradictions(parse_policy_file(document))]


def site(name: str, *networks: str, **more: Any) -> dict[str, Any]:
    """A site with these networks."""
    return {"id": name, "networks": list(networks), **more}


def client(name: str, at: str | None, *networks: str) -> dict[str, Any]:
    """A client of a site."""
    return {"id": name, "profile": "p", "match": list(networks), **({"site": at} if at else {})}


A, B = site("a", "10.1.0.0/16"), site("b", "10.2.0.0/16", "fd00:2::/64")


@pytest.mark.parametrize(
    ("sites", "clients", "expected"),
    [
        ([A, B], [client("x", "a", "10.1.3.0/24"), client("y", "b", "10.2.0.0/16", "fd00:2::9")], []),
        ([A, site("b", "10.1.0.0/16")], [], [("sites[0].networks", "10.1.0.0/16"), ("sites[1].networks", "10.1.0.0/16")]),
        ([A, site("b", "10.1.5.0/24")], [], []),
        ([A, site("b", "10.1.0.0/16", listen=["192.0.2.1"])], [], []),
        (
            [site("a", "10.1.0.0/16", listen=["192.0.2.1"]), site("b", "10.1.5.0/24", listen=["192.0.2.1"])],
            [],
            [("sites[0].listen", "site"), ("sites[1].listen", "site")],
        ),
        ([site("a", "10.1.0.0/16", listen=["192.0.2.1"]), site("b", "10.2.0.0/16", listen=["192.0.2.1"])], [], []),
        ([A, B], [client("y", "b", "10.3.0.0/16")], [("clients[0].match", "10.3.0.0/16"), ("sites[1].networks", "site")]),
        ([A, B], [client("y", "a", "fd00:2::/64")], [("clients[0].match", "fd00:2::/64"), ("sites[0].networks", "site")]),
        ([A, B], [client("wide", "a", "10.0.0.0/8"), client("wider", "b", "10.0.0.0/8")], []),
        (
            [A, site("b", "10.1.0.0/16", "10.2.0.0/16")],
            [client("x", "a", "10.1.0.0/16"), client("y", "b", "10.1.0.0/16")],
            [
                ("sites[0].networks", "10.1.0.0/16"),
                ("sites[1].networks", "10.1.0.0/16"),
                ("clients[0].match", "10.1.0.0/16"),
                ("clients[1].match", "10.1.0.0/16"),
            ],
        ),
        (
            [site("empty")],
            [client("x", None, "10.1.0.0/16"), client("y", "empty", "10.1.0.0/16")],
            [("clients[0].match", "10.1.0.0/16"), ("clients[1].match", "10.1.0.0/16")],
        ),
    ],
)
def test_claims_that_cancel_or_never_hold_are_named_at_both_places(
    sites: list[dict[str, Any]], clients: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    """Nested networks, sites with a listener of their own and wider networks of clients are no mistakes."""
    assert found(sites, clients) == expected
