"""The status document and the gauges made from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.policy.identify import Dispute
from gateway.policy.tenant import parse_policy_file
from gateway.settings import DnsSettings
from gateway.standing import Standing, describe_disputes, describe_unserved, list_row, list_states, merge_upstreams
from tests.support.echogateway import EchoGateway, free_port
from tests.support.generation import policy, profile


@dataclass(frozen=True)
class Row:
    id: str
    category: str | None
    entries: int
    title: str = "Danh sách"


@pytest.mark.parametrize(
    ("state", "age"),
    [
        ({}, None),
        ({"state": "fresh", "checked_at": 90, "fetched_at": 50}, 10),
        ({"state": "kept", "checked_at": 90, "fetched_at": 50}, 50),
        ({"state": "missing", "checked_at": 90, "fetched_at": 0}, None),
        ({"state": "fresh", "checked_at": 200, "fetched_at": 0}, 0),
    ],
)
def test_age_of_a_list_counts_from_its_last_good_copy(state: dict[str, object], age: int | None) -> None:
    """A copy that could not be renewed grows older; unknown stays unknown; a clock that went back makes no negative age."""
    row = list_row(Row("ads", None, 5), state, 100.0)
    assert (row["id"], row["entries"], row["age"]) == ("ads", 5, age)


def test_states_of_lists_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    """A missing or broken file hides nothing but the ages."""
    assert list_states(tmp_path) == {}
    (tmp_path / "lists").mkdir()
    for text in ("", "[]", '{"lists": [{}]}', '{"lists": 5}'):
        (tmp_path / "lists" / "status.json").write_text(text)
        assert list_states(tmp_path) == {}


def test_claims_that_cannot_hold_are_told_by_a_sentence_each() -> None:
    """Which network, who says so, what holds meanwhile; an address of one client is not named, and many are counted."""
    told = describe_disputes([Dispute("10.1.0.0/16", ("local a", "local b"), False), Dispute("", ("local x",), True)])
    assert "10.1.0.0/16 ghi ở hai nơi (local a, local b)" in told[0] and "strictest rules" in told[0]
    assert "một máy (a device) của local x nằm ngoài" in told[1]
    assert describe_disputes([]) == []
    assert describe_disputes([Dispute("10.1.0.0/16", ("a", "b"), False)] * 9)[-1].endswith("and 4 more like these")


def test_network_of_a_link_that_comes_later_is_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's prefix arrives a minute after the start: from then on nobody reads that devices there get no answer."""
    rows = [{"id": "3a", "profile": "p", "match": ["2001:db8:5::/64"]}]
    one = parse_policy_file(policy("truong", "school", profiles=[profile("TH", "p", "school")], clients=rows))
    settings = SimpleNamespace(dns=DnsSettings((), 1, (), None, "lachan.internal", True))
    target: Any = SimpleNamespace(settings=settings, snapshot=SimpleNamespace(tenants={"truong": one}))
    standing = object.__new__(Standing)
    standing._told = None
    monkeypatch.setattr("gateway.standing.own_networks", lambda: ())
    assert len(standing._unserved(target)) == 1
    monkeypatch.setattr("gateway.standing.own_networks", lambda: (ip_network("2001:db8:5::/64"),))
    assert standing._unserved(target) == ()


def test_networks_that_may_not_ask_are_told_with_the_line_that_lets_them() -> None:
    """A class outside `dns.allow_from` has no answers at all; the line is whole, and no single device is named."""
    rows = [{"id": "3a", "profile": "p", "match": ["113.160.10.0/24", "10.1.0.0/16"]}, {"id": "x", "profile": "p", "match": ["192.0.2.7"]}]
    one = parse_policy_file(policy("truong", "school", profiles=[profile("TH", "p", "school")], clients=rows))
    told = describe_unserved([one], DnsSettings((), 1, (ip_network("10.0.0.0/8"),), None, "lachan.internal"))
    assert told[0].startswith("113.160.10.0/24 của truong 3a") and told[0].endswith("allow_from: [10.0.0.0/8, 113.160.10.0/24]")
    assert len(told) == 2 and "192.0.2.7" not in told[1]


def test_upstreams_of_all_workers_become_one_row() -> None:
    """Healthy when one worker holds it for healthy; times are the mean."""
    one = {"upstream": "udp://192.0.2.1:53", "up": True, "rtt": 10.0, "asked": 3, "answered": 3}
    two = {"upstream": "udp://192.0.2.1:53", "up": False, "rtt": 20.0, "asked": 1, "answered": 0}
    [row] = merge_upstreams([[one], [two]])
    assert (row["up"], row["healthy"], row["workers"], row["rtt"], row["asked"]) == (True, 1, 2, 15.0, 4)
    assert (row["failed"], row["fault"], row["detail"]) == (0, "", "")
    failing = {**two, "failed": 3, "fault": "tls", "detail": "certificate: self-signed certificate"}
    [row] = merge_upstreams([[failing], [one]])
    assert (row["failed"], row["fault"], row["detail"]) == (3, "tls", "certificate: self-signed certificate")


def test_document_and_gauges_of_a_running_gateway(tmp_path: Path) -> None:
    """Generation per worker, lists with ages, upstream health, memory; only our own addresses and ids."""
    with EchoGateway(tmp_path, workers=2, metrics=free_port()) as gateway:
        gateway.start()
        gateway.query()
        gateway.wait(lambda: gateway.status()["upstreams"])
        document = gateway.status()
        assert [row["generation"] for row in document["workers"]] == [1, 1]
        assert document["lists"][0]["id"] == "gambling-vn"
        assert document["lists"][0]["entries"] == 3
        assert document["upstreams"][0]["up"] is True
        json.dumps(document)
        text = gateway.page("/metrics")[1]
    for line in (
        r"lachan_disputed_claims 0.0",
        r'lachan_generation{worker="0"} 1.0',
        r'lachan_worker_up{worker="1"} 1.0',
        r'lachan_list_entries{category="gamb",source="gambling-vn"} 3.0',
        r"lachan_order_serial 7.0",
        r'lachan_memory_bytes{process="supervisor"} \d\S+',
        r'lachan_build_info{version="[^"]+"} 1.0',
        r"lachan_receive_buffer_bytes \d\S+",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), line
