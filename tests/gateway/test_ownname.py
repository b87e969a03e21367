"""What the gateway says about itself."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.activity import Activity
from gateway.localnames import LocalNames
from gateway.ownname import OwnAnswers
from gateway.policy.model import BlockSettings, Match
from gateway.query import Origin, Transport
from gateway.wire.name import key_from_text

HERE = bytes((192, 0, 2, 53))
NAME = "dns.example"
WALL = 1_767_225_600.0


class Thing:
    """An object with the given members."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


SNAPSHOT: Any = Thing(
    number=7,
    order_serial=42,
    sources=[Thing(id="bets", zone=None), Thing(id="rpz:RPZ.example", zone=Thing(serial="2026112601"))],
    manifest=Thing(index_dir="0123456789abcdef"),
)


def ask(name: str, page: tuple[str, ...] = (), local: bytes | None = HERE) -> Any:
    """A query for a name, from a known client."""
    scope: Any = Thing(local=None)
    origin = Origin(Transport.TCP, bytes((10, 0, 0, 7)), 4000, scope, b"", local)
    policy = Thing(block=BlockSettings(page_address=page), profile_id="kid")
    record = Thing(policy=policy, match=Match("an", "kid", "local", None, True))
    return Thing(query=Thing(key=key_from_text(name), qtype=1), origin=origin, record=record)


def answer(name: str, activity: Activity | None = None, **members: Any) -> Any:
    """The answer for a name."""
    return OwnAnswers(LocalNames(NAME), activity or Activity(bytes(16))).answer(ask(name, **members), SNAPSHOT, WALL)


@pytest.mark.parametrize(
    ("page", "local", "expected"),
    [
        ((), HERE, [(1, HERE)]),
        ((), bytes(15) + b"\1", [(28, bytes(15) + b"\1")]),
        (("192.0.2.80", "2001:db8::80"), HERE, [(1, bytes((192, 0, 2, 80))), (28, bytes.fromhex("20010db8000000000000000000000080"))]),
        ((), None, []),
    ],
)
def test_page_name_leads_to_the_page_or_to_the_address_that_was_asked(
    page: tuple[str, ...], local: bytes | None, expected: list[tuple[int, bytes]]
) -> None:
    """The block page's address where one is set, else ours; nothing when neither is known."""
    found = answer(NAME, page=page, local=local)
    assert [(record.rtype, record.rdata) for record in found.records] == expected


def test_health_and_serials() -> None:
    """Health is a text, serials are the version of the orders and of each list; unknown lists do not exist."""
    assert answer(f"health.{NAME}").records[-1].rdata == b"\x02ok"
    assert [row.rdata for row in answer(f"serial.orders.{NAME}").records] == [HERE, b"\x0242"]
    assert answer(f"serial.bets.{NAME}").records[-1].rdata == b"\x0c0123456789ab"
    assert answer(f"serial.rpz.example.{NAME}").records[-1].rdata == b"\x0a2026112601"
    assert answer(f"serial.none.{NAME}").rcode == 3
    assert answer(f"else.{NAME}").rcode == 3


def test_probe_is_remembered_with_who_asked_and_how() -> None:
    """The set-up page can tell that this very device asks us, as whom and over what."""
    activity = Activity(bytes(16))
    found = answer(f"check-k3j9.{NAME}", activity)
    assert {record.ttl for record in found.records} == {0}
    assert activity.probe("k3j9", WALL) == {
        "address": "10.0.0.7", "profile": "kid", "client": "an", "transport": "tcp", "generation": 7, "at": WALL, "kinds": ["A"],
    }  # fmt: skip


def test_probe_without_a_nonce_is_unknown() -> None:
    """No nonce, nothing to remember."""
    assert answer(f"check-.{NAME}").rcode == 3


def test_other_names_are_not_ours() -> None:
    """Every other name goes on to the policy."""
    assert answer("www.example.com") is None
