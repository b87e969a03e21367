"""One worker put together, in the real program: what only the composition can get wrong."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from gateway.control import ask_now
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.scripts import Asked, Say, Script
from tests.support.upstream import ScriptedUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0", "[::1]:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.5s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: games, category: game, path: games.txt}
profiles:
  - {id: be, band: TH, deny: ["own.example"], activity: aggregate}
  - {id: lon, band: NL}
clients:
  - {id: may-be, profile: be, match: [127.0.0.1, "::1"]}
  - {id: may-lon, profile: lon, match: [127.0.0.2]}
default_profile: be
"""
RECORDS = {("open.example", "A"): ["192.0.2.20"], ("other.example", "A"): ["192.0.2.21"]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked."""
    with RunningUpstream(RECORDS) as running:
        yield running


@pytest.fixture
def gateway(upstream: RunningUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A fresh gateway."""
    (tmp_path / "games.txt").write_text("game.example\n")
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as running:
        yield running


@pytest.fixture(scope="module")
def shared(upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests that change nothing and count nothing in all."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "games.txt").write_text("game.example\n")
    with Gateway(folder, SETTINGS, upstream=upstream.port) as running:
        yield running


def until(condition: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def tries_for(question: dns.message.Message, port: int) -> int:
    for attempt in range(1, 4):
        try:
            dns.query.udp(question, "127.0.0.1", 2.0, port)
        except dns.exception.Timeout:
            continue
        return attempt
    return 99


def test_counts_follow_what_was_asked(gateway: Gateway) -> None:
    """Queries, answers, blocks, cache and upstream add up to what was sent, whichever worker took it."""
    for _ in range(20):
        gateway.ask("open.example")
    for _ in range(10):
        gateway.ask("game.example")
    for _ in range(5):
        gateway.ask("own.example", tcp=True)
    until(lambda: gateway.metric("lachan_queries_total") == 35)
    assert gateway.metric("lachan_queries_total", transport="udp", type="A") == 30
    assert gateway.metric("lachan_queries_total", transport="tcp") == 5
    assert gateway.metric("lachan_answers_total", rcode="NOERROR") == 35
    assert gateway.metric("lachan_blocked_total", category="game", band="TH", source="games") == 10
    assert gateway.metric("lachan_blocked_total") == 15
    until(lambda: gateway.metric("lachan_identified_queries_total", known="yes") == 35, 10)
    upstream = f"udp://127.0.0.1:{gateway._fields['upstream']}"
    asked = gateway.metric("lachan_upstream_latency_seconds_count", upstream=upstream)
    assert 1 <= asked <= 4  # at most one question for each worker, and a probe
    assert gateway.metric("lachan_upstream_up_workers", upstream=upstream) == 2
    assert gateway.metric("lachan_cache_lookups_total", outcome="miss") <= 2


def test_dead_upstreams_are_told_apart_from_those_of_a_route(upstream: RunningUpstream, tmp_path: Path) -> None:
    """A province with one internal route is paged when all its Internet resolvers are gone, although nobody asks the route."""
    (tmp_path / "games.txt").write_text("game.example\n")
    routed = f'servers: ["tcp://127.0.0.1:{free_port()}"], routes: {{tinh.example: ["udp://127.0.0.1:{{upstream}}"]}}'
    text = SETTINGS.replace('servers: ["udp://127.0.0.1:{upstream}"]', routed).replace("workers: 2", "workers: 1")
    with Gateway(tmp_path, text, upstream=upstream.port) as running:
        until(lambda: running.metric("lachan_default_upstreams_up_workers") == 1)
        until(lambda: running.ask("open.example") and running.metric("lachan_default_upstreams_up_workers") == 0, 20)
        assert running.metric("lachan_upstream_up_workers") == 1  # the one of the route


def test_memory_of_workers_is_told_on_request(shared: Gateway) -> None:
    """Devices, recent blocks and probes of all workers; nothing of them is in any file of the state directory."""
    for _ in range(8):
        shared.ask("game.example")
        shared.ask("check-k3j9abc.lachan.internal")
    state = shared.folder / "var"

    def device() -> dict[str, object]:
        rows = ask_now(state, {"do": "devices"})["devices"]
        return next((row for row in rows if row["address"] == "127.0.0.1"), {})

    until(lambda: device().get("profile") == "be", 10)
    assert device()["client"] == "may-be"
    until(lambda: ask_now(state, {"do": "recent_blocks", "address": "127.0.0.1"})["blocks"])
    [*_, block] = ask_now(state, {"do": "recent_blocks", "address": "127.0.0.1"})["blocks"]
    assert (block["name"], block["category"]) == ("game.example", "game")
    assert ask_now(state, {"do": "recent_blocks", "address": "127.0.0.2"})["blocks"] == []
    seen = ask_now(state, {"do": "probe", "nonce": "k3j9abc"})
    assert (seen["seen"], seen["address"], seen["profile"], seen["transport"]) == (True, "127.0.0.1", "be", "udp")
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"k3j9abc" not in written


def test_aggregates_reach_the_control_plane_without_names(shared: Gateway) -> None:
    """Counts by minute, profile (where its policy says so), band and category; no name, no address."""
    for _ in range(12):
        shared.ask("game.example")
        shared.ask("game.example", source="127.0.0.2")
    state = shared.folder / "var"
    rows: dict[tuple[str, str, str, str], int] = {}

    def collect() -> bool:
        nonlocal rows
        rows = {}
        for batch in ask_now(state, {"do": "activity", "after": 0})["batches"]:
            for _, _, _, profile, band, outcome, category, count in batch["counts"]:
                key = (profile, band, outcome, category)
                rows[key] = rows.get(key, 0) + count
        return rows.get(("be", "TH", "blocked", "game"), 0) >= 12 and rows.get(("", "NL", "allowed", ""), 0) >= 12

    until(collect, 25)
    assert {profile for profile, *_ in rows} == {"be", ""}
    assert rows["", "NL", "allowed", ""] == 12


def test_reload_of_upstreams_under_load_loses_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Another upstream, other cache settings, other limits: every question in between is answered at the first try."""
    tries: Counter[int] = Counter()
    stop = threading.Event()

    def client(number: int) -> None:
        asked = 0
        while not stop.is_set():
            asked += 1
            question = dns.message.make_query(f"n{asked}.c{number}.game.example" if asked % 2 else "open.example", "A")
            tries[tries_for(question, gateway.port)] += 1
            time.sleep(0.003)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        with RunningUpstream({("open.example", "A"): ["192.0.2.99"]}) as second:
            for change in (
                SETTINGS.replace("{upstream}", str(second.port)),
                SETTINGS.replace("{upstream}", str(second.port)) + "cache: {entries: 500}\n",
                SETTINGS.replace("{upstream}", str(second.port)) + "rate_limit: {per_client: 5000}\n",
            ):
                gateway.write(change)
                done = gateway.command("reload")
                assert done.returncode == 0, done.stdout + done.stderr
            gateway.command("flush")
            assert gateway.addresses("open.example") == ["192.0.2.99"]
            time.sleep(0.3)
            stop.set()
            for thread in threads:
                thread.join()
    finally:
        stop.set()
    assert set(tries) == {1}
    assert tries[1] > 100


def test_stop_answers_what_waits_for_an_upstream(tmp_path: Path) -> None:
    """SIGTERM while a question is on its way: the answer still comes, over UDP and TCP."""

    with RunningUpstream(upstream=SlowUpstream(RECORDS)) as slow:
        (tmp_path / "games.txt").write_text("game.example\n")
        with Gateway(tmp_path, SETTINGS.replace("0.5s", "2s"), upstream=slow.port) as gateway:
            answers: list[str] = []

            def ask(name: str, tcp: bool) -> None:
                answers.extend(str(rdata) for rrset in gateway.ask(name, tcp=tcp).answer for rdata in rrset)

            threads = [threading.Thread(target=ask, args=row) for row in (("open.example", False), ("other.example", True))]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            assert gateway.stop() == 0
            for thread in threads:
                thread.join()
            assert sorted(answers) == ["192.0.2.20", "192.0.2.21"]


class SlowUpstream(ScriptedUpstream):
    """Takes its time."""

    def handle(self, asked: Asked) -> Script:
        """As scripted, half a second later."""
        reply = super().handle(asked)
        return [Say(reply, after=0.5)] if isinstance(reply, bytes) else reply


def test_ipv6_is_served_beside_ipv4(shared: Gateway) -> None:
    """Both families, their own ports, the same policy."""
    rows = [row["address"] for row in shared.status()["listen"] if row["transport"] == "udp"]
    port = int(next(row for row in rows if row.startswith("[::1]")).rpartition(":")[2])
    question = dns.message.make_query("game.example", "AAAA")
    reply = dns.query.udp(question, "::1", 3.0, port)
    assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ["::"]
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        client.connect(("::1", port))
