"""A handful of clients weighs nothing in what a gateway tells about a list; what many of them meet shows."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import dns.message
import pytest

from blocklists.rolloutguard import jumped
from gateway.clients import Record
from gateway.control import ask_now
from gateway.policy.model import Match
from gateway.weights import HANDFUL, MOST_TOLD, Shares, Weights
from tests.support.gateway import Gateway, RunningUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: be, band: TH, deny: [bad.example]}]
default_profile: be
"""


def record(address: str) -> Record:
    """A source that nothing is known of but its address."""
    made = Record(socket.inet_aton(address), None, None)
    made.match = Match(None, None, None, None, False)
    return made


def test_busiest_clients_are_told_by_marks_and_the_count_begins_anew() -> None:
    """Two addresses of one network are one client; the marks of two workers of a run are the same, and name nobody."""
    one, two = Weights(b"run"), Weights(b"run")
    for weights in (one, two):
        weights.add(record("10.0.0.1"), 3)
        weights.add(record("10.0.0.9"), 4)
        weights.add(record("10.0.1.1"), 2)
    told = one.take()
    assert sorted(told.values()) == [2, 7] and told == two.take() and one.take() == {}
    other = Weights(b"another run")
    other.add(record("10.0.0.1"), 3)
    assert not set(other.take()) & set(told)
    for number in range(MOST_TOLD + 9):
        one.add(record(f"10.1.{number}.1"), number + 1)
    assert sorted(one.take().values())[0] == 10


@pytest.mark.parametrize("blocks", [0, 1000])
def test_answers_of_a_handful_count_for_nothing(blocks: int) -> None:
    """Whatever five clients ask, the counts are those of the others; and what the others meet is counted."""
    shares = Shares()
    busy = {f"busy{number}": 1000 for number in range(HANDFUL)}
    others = {f"other{number}": 50 for number in range(40)}
    assert shares.take((7000, HANDFUL * blocks, HANDFUL * blocks), [busy, others]) == (2000, 0, 0)
    assert shares.take((14_000, 2 * HANDFUL * blocks, 0), [busy, others])[:2] == (4000, 0)
    assert shares.take((14_000, 0, 0), None) == (4000, 0, 0), "a worker that says nothing: the span does not count"
    split = [dict.fromkeys(busy, 500), dict.fromkeys(busy, 500), others]
    assert shares.take((21_000, HANDFUL * 1000 + 1500, 0), split)[:2] == (6000, 1500)


def ask(gateway: Gateway, address: str, name: str, times: int) -> None:
    """One client asks and waits for each answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.settimeout(20)
        client.connect(("127.0.0.1", gateway.port))
        wire = dns.message.make_query(name, "A").to_wire()
        for _ in range(times):
            client.send(wire)
            client.recv(4096)


def counts(gateway: Gateway) -> tuple[int, int, int]:
    """What the gateway would tell now."""
    time.sleep(2.5)  # workers tell what they counted once a second
    told = ask_now(gateway.folder / "var", {"do": "counts"}, 10.0)
    return told["answers"], told["blocked"], told["failed"]


def test_handful_of_clients_cannot_fake_a_broken_list_and_a_broken_list_shows(tmp_path: Path) -> None:
    """The real program: five clients that ask for a blocked name without end change nothing; the same from everybody does."""
    records = {("good.example", "A"): ["192.0.2.1"]}
    with RunningUpstream(records) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        crowd = [f"127.0.{number}.1" for number in range(30, 60)]
        for address in crowd:
            ask(gateway, address, "good.example", 10)
        before = counts(gateway)
        assert before[0] >= 200 and before[1] == 0
        for number in range(1, HANDFUL + 1):
            ask(gateway, f"127.0.{number}.1", "bad.example", 300)
        for address in crowd:
            ask(gateway, address, "good.example", 10)
        faked = counts(gateway)
        since = tuple(now - then for now, then in zip(faked, before, strict=True))
        assert since[0] >= 280 and since[1] == 0, since
        assert not jumped(before, (since[0], since[1], since[2]))
        for address in crowd:
            ask(gateway, address, "good.example", 5)
            ask(gateway, address, "bad.example", 5)
        broken = tuple(now - then for now, then in zip(counts(gateway), faked, strict=True))
        assert jumped(before, (broken[0], broken[1], broken[2])), broken
