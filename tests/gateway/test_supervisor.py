"""The supervisor with real processes and sockets; its workers only say which generation they serve."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ControlError
from gateway.settings import Endpoint
from gateway.switch import merge_settings
from tests.support.echogateway import EchoGateway, free_port, settings_from


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[EchoGateway]:
    """Two workers, metrics on."""
    with EchoGateway(tmp_path, workers=2, metrics=free_port()) as started:
        yield started.start()


class Load:
    """Clients that ask all the time, each from a fresh port, and repeat after half a second like a stub resolver."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.tries: Counter[int] = Counter()
        self.seen: list[tuple[float, float, int]] = []
        self._stop = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(1.0)
                for attempt in range(1, 6):
                    sent = time.monotonic()
                    client.sendto(b"x", ("127.0.0.1", self._port))
                    try:
                        reply: Any = json.loads(client.recv(4096))
                    except TimeoutError:
                        continue
                    self.tries[attempt] += 1
                    self.seen.append((sent, time.monotonic(), reply["n"]))
                    break
                else:
                    self.tries[99] += 1
            time.sleep(0.002)


def test_start_is_ready_with_every_worker_serving(gateway: EchoGateway) -> None:
    """A started gateway answers on one port from all workers and reports them."""
    pids = {worker["pid"] for worker in gateway.status()["workers"]}
    answered = {gateway.query()["pid"] for _ in range(40)}  # type: ignore[index]
    assert answered == pids
    assert len(pids) == 2


def test_killed_worker_costs_at_most_one_retry_and_is_back_within_a_second(gateway: EchoGateway) -> None:
    """kill -9 under load: no client needs more than one retry, and the place is filled again within a second."""
    with Load(gateway.port) as load:
        time.sleep(0.3)
        for _ in range(3):
            victim = gateway.status()["workers"][0]["pid"]
            os.kill(victim, signal.SIGKILL)
            died = time.monotonic()
            gateway.wait(
                lambda victim=victim: gateway.status()["workers"][0]["pid"] not in (None, victim) and gateway.status()["state"] == "ready"
            )
            assert time.monotonic() - died < 1.0
            time.sleep(0.2)
    assert set(load.tries) <= {1, 2}
    assert load.tries[1] > 100
    assert gateway.status()["workers"][0]["restarts"] == 3


def test_reload_under_load_loses_nothing_and_never_goes_back(gateway: EchoGateway) -> None:
    """Many reloads under load: every query is answered at the first try, and no answer is older than one already given."""
    with Load(gateway.port) as load:
        for number in range(15):
            gateway.want(text=f"text {number}")
            assert gateway.ask("reload")["generation"] == number + 2
    assert set(load.tries) == {1}
    assert gone_back(load.seen) == []


def test_kills_during_reloads_lose_nothing_and_never_go_back(gateway: EchoGateway) -> None:
    """Workers die at any moment of twenty switches: every switch succeeds and no client sees an older generation than before."""
    timers: list[threading.Timer] = []
    with Load(gateway.port, 3) as load:
        for number in range(20):
            gateway.want(text=f"text {number}")
            pid = gateway.status()["workers"][number % 2]["pid"]
            if pid and number % 3:
                timers.append(threading.Timer(0.004 * (number % 7), kill, (pid,)))
                timers[-1].start()
            assert gateway.ask("reload")["generation"] == number + 2
    for timer in timers:
        timer.join()
    assert set(load.tries) <= {1, 2}
    assert gone_back(load.seen) == []


def gone_back(seen: list[tuple[float, float, int]]) -> list[int]:
    """Generations of answers to questions that were asked after somebody had already had a newer one."""
    replies = sorted((replied, number) for _, replied, number in seen)
    times = [replied for replied, _ in replies]
    newest = list(itertools.accumulate((number for _, number in replies), max))
    return [number for sent, _, number in seen if (place := bisect.bisect_left(times, sent)) and number < newest[place - 1]]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_sighup_reloads(gateway: EchoGateway) -> None:
    """SIGHUP applies what `prepare` finds."""
    gateway.want(text="by signal")
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait(lambda: gateway.query()["text"] == "by signal")  # type: ignore[index]


def test_reload_with_a_mistake_keeps_the_old_state_and_names_the_place(gateway: EchoGateway) -> None:
    """A file with a mistake changes nothing; the answer has its path, the status and the metrics show it."""
    gateway.want(mistake="not an address")
    with pytest.raises(ControlError, match="not an address") as caught:
        gateway.ask("reload")
    assert (caught.value.code, caught.value.where) == ("mistakes", "dns.listen")
    assert gateway.query()["text"] == "first"  # type: ignore[index]
    assert gateway.status()["last_change"]["outcome"] == "refused"
    assert "lachan_last_reload_successful 0.0" in gateway.page("/metrics")[1]
    gateway.want(text="right again")
    gateway.ask("reload")
    assert "lachan_last_reload_successful 1.0" in gateway.page("/metrics")[1]


def test_generation_that_does_not_load_keeps_the_old_one(gateway: EchoGateway) -> None:
    """A generation that cannot be used stays out on every worker, also for the next start."""
    before = (gateway.state_dir / "current").read_text()
    gateway.want(text="broken", bad=True)
    with pytest.raises(ControlError, match="made to fail"):
        gateway.ask("reload")
    assert {gateway.query()["text"] for _ in range(20)} == {"first"}  # type: ignore[index]
    assert (gateway.state_dir / "current").read_text() == before
    assert gateway.status()["state"] == "ready"


def test_worker_that_cannot_stage_is_replaced_and_the_switch_happens(gateway: EchoGateway) -> None:
    """One worker fails to load what the others could: it is replaced and then all serve the new generation."""
    before = {worker["index"]: worker["pid"] for worker in gateway.status()["workers"]}
    gateway.want(text="after all", worker={"1": "fail once"})
    gateway.ask("reload")
    assert {gateway.query()["text"] for _ in range(20)} == {"after all"}  # type: ignore[index]
    after = {worker["index"]: worker["pid"] for worker in gateway.status()["workers"]}
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_stage_failure_of_one_worker_that_stays_keeps_the_old_generation(gateway: EchoGateway) -> None:
    """When even a new worker cannot serve the generation, nobody switches and everybody serves the old one."""
    gateway.want(text="never", worker={"1": "fail"})
    with pytest.raises(ControlError):
        gateway.ask("reload")
    gateway.wait(lambda: gateway.status()["state"] == "ready")
    answers = [gateway.query() for _ in range(30)]
    assert {answer["text"] for answer in answers if answer} == {"first"}
    assert (gateway.state_dir / "current").read_text() == "1\n"


def test_worker_that_dies_while_staging_does_not_stop_the_switch(gateway: EchoGateway) -> None:
    """A worker killed between two generations comes back with the new one."""
    gateway.want(text="new", worker={"0": "die once"})
    gateway.ask("reload")
    assert {gateway.query()["text"] for _ in range(20)} == {"new"}  # type: ignore[index]


def test_hanging_worker_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that says nothing for the time allowed is killed and replaced."""
    from gateway import crew
    from gateway.totals import Totals

    worker = crew.Worker(0)
    signals: list[int] = []

    class Hanging:
        pid = 1

        class ended:
            @staticmethod
            def done() -> bool:
                return False

        def signal(self, number: int) -> None:
            signals.append(number)

    class OneSocket:
        workers: tuple[object, ...] = ()

    squad = crew.Crew(None, None, OneSocket(), None, None, Totals(), b"", None)  # type: ignore[arg-type]
    squad.workers = [worker]
    worker.child = Hanging()  # type: ignore[assignment]
    worker.heard = 100.0
    squad.check_silence(100.0 + crew.SILENT_SECONDS - 1)
    assert signals == []
    squad.check_silence(100.0 + crew.SILENT_SECONDS + 1)
    assert signals == [signal.SIGKILL]


def test_settings_change_reaches_workers_without_a_restart(gateway: EchoGateway) -> None:
    """What can change while running does, in the same processes; what cannot is named."""
    pids = {worker["pid"] for worker in gateway.status()["workers"]}
    gateway.want(text="first", ttl=17)
    gateway.ask("reload")
    assert {gateway.query()["ttl"] for _ in range(20)} == {17}  # type: ignore[index]
    assert {worker["pid"] for worker in gateway.status()["workers"]} == pids
    gateway.want(text="first", port=1)
    note = "dns.listen đã thay đổi: có hiệu lực sau khi khởi động lại / dns.listen has changed: it takes effect after a restart"
    assert gateway.ask("reload")["notes"] == [note]


def test_settings_of_the_beginning_renew_workers_without_a_loss(gateway: EchoGateway) -> None:
    """What a worker takes over only when it begins: workers are replaced one by one, nothing is lost, nothing counts as a crash."""
    before = {worker["pid"] for worker in gateway.status()["workers"]}
    with Load(gateway.port) as load:
        gateway.want(text="first", rate=77)
        gateway.ask("reload")
    after = {worker["pid"] for worker in gateway.status()["workers"]}
    assert not before & after
    assert set(load.tries) == {1}
    assert [worker["restarts"] for worker in gateway.status()["workers"]] == [0, 0]


def test_unchanged_reload_keeps_the_number(gateway: EchoGateway) -> None:
    """Preparing the same again makes no new generation."""
    assert gateway.ask("reload")["generation"] == 1
    assert gateway.status()["last_change"]["outcome"] == "unchanged"


def test_apply_answers_after_every_worker_switched(gateway: EchoGateway) -> None:
    """After `apply` returned, no worker answers by the old generation."""
    from gateway import release

    for number in range(10):
        name = release.write_file(gateway.state_dir, {"text": f"applied {number}"})
        applied = gateway.ask("apply", changes={"policies": {"local": name}})["generation"]
        answers = [gateway.query() for _ in range(10)]
        assert {answer["n"] for answer in answers if answer} == {applied}


def test_apply_with_a_missing_file_is_refused(gateway: EchoGateway) -> None:
    """A change that names a file that is not there is refused with the place."""
    with pytest.raises(ControlError) as caught:
        gateway.ask("apply", changes={"policies": {"local": "0" * 64 + ".json"}})
    assert "files/" in caught.value.where
    with pytest.raises(ControlError, match="changes is an object"):
        gateway.ask("apply", changes={"nonsense": 1})


def test_flush_devices_probe_activity(gateway: EchoGateway) -> None:
    """Requests about workers' memory collect from all of them."""
    for _ in range(20):
        gateway.query()
    assert gateway.ask("flush")["entries"] == 2
    assert gateway.ask("flush", name="example.com")["entries"] == 2
    rows = gateway.ask("devices")["devices"]
    assert [row["address"] for row in rows] == ["127.0.0.1"]
    assert gateway.ask("devices", address="127.0.0.1")["devices"] == rows
    assert gateway.ask("devices", address="127.0.0.2")["devices"] == []
    assert gateway.ask("devices", tenant="nobody")["devices"] == []
    assert gateway.ask("recent_blocks", address="127.0.0.1")["blocks"] == []
    assert gateway.ask("probe", nonce="abc")["seen"] is False
    assert gateway.ask("activity", after=0)["batches"] == []
    with pytest.raises(ControlError, match="IPv4 or IPv6"):
        gateway.ask("recent_blocks", address="example.com")
    with pytest.raises(ControlError, match="IPv4 or IPv6"):
        gateway.ask("devices", address="example.com")


def test_counts_add_up_over_workers_and_restarts(gateway: EchoGateway) -> None:
    """The exported sum equals the queries sent, whichever worker took them and although one was replaced."""
    for _ in range(30):
        gateway.query()

    def counted() -> int:
        found = re.search(r'lachan_queries_total{transport="udp",type="A"} (\S+)', gateway.page("/metrics")[1])
        return int(float(found[1])) if found else 0

    gateway.wait(lambda: counted() == 30)
    os.kill(gateway.status()["workers"][0]["pid"], signal.SIGKILL)
    gateway.wait(lambda: gateway.status()["state"] == "ready")
    for _ in range(30):
        gateway.query()
    gateway.wait(lambda: counted() == 60)
    assert 'lachan_worker_restarts_total{worker="0"} 1.0' in gateway.page("/metrics")[1]


def test_pages_for_operators(gateway: EchoGateway) -> None:
    """Health, readiness and status answer; status agrees with the control socket."""
    assert gateway.page("/healthz") == (200, "ok\n")
    assert gateway.page("/readyz") == (200, "ready\n")
    assert gateway.page("/elsewhere")[0] == 404
    document = json.loads(gateway.page("/api/v1/status")[1])
    assert document["generation"] == gateway.status()["generation"] == 1
    assert [worker["generation"] for worker in document["workers"]] == [1, 1]


def test_second_gateway_on_the_state_directory_is_refused(gateway: EchoGateway) -> None:
    """Two supervisors never share a state directory; the sentence names the first."""
    other = EchoGateway(gateway.folder, workers=1)
    other.start(wait=False)
    assert other.process is not None
    assert other.process.wait(10) == 1
    assert other.process.stdout is not None
    other.process.stdout.close()
    assert f"another gateway (pid {gateway.process.pid})" in gateway.log_text()  # type: ignore[union-attr]
    assert gateway.status()["state"] == "ready"


def test_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    """A port in use ends the start with exit 1 and names the program that has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        other = EchoGateway(tmp_path, workers=1, listen=[["127.0.0.1", holder.getsockname()[1]]])
        other.start(wait=False)
        assert other.process is not None
        assert other.process.wait(10) == 1
        other.stop()
    lines = other.log_text().splitlines()
    assert [line for line in lines if f"(pid {os.getpid()})" in line and line.startswith("error: dns.listen: 127.0.0.1:")]
    assert "Traceback" not in other.log_text()


def test_first_start_without_anything_usable_opens_nothing(tmp_path: Path) -> None:
    """No generation and a failing `prepare`: exit 1 with the reason, no answer ever."""
    other = EchoGateway(tmp_path, workers=1)
    other.want(mistake="the list cannot be read")
    other.start(wait=False)
    assert other.process is not None
    assert other.process.wait(10) == 1
    other.stop()
    assert "error: dns.listen: the list cannot be read" in other.log_text()


def test_start_with_a_failing_prepare_serves_the_last_good_generation(tmp_path: Path) -> None:
    """A restart with a broken file goes on with the last good generation and says so."""
    with EchoGateway(tmp_path, workers=1) as first:
        first.start()
    with EchoGateway(tmp_path, workers=1) as second:
        second.want(mistake="broken meanwhile")
        second.start()
        assert second.query()["text"] == "first"  # type: ignore[index]
        assert second.status()["last_change"]["error"] == "dns.listen: broken meanwhile"


def test_told_to_stop_again_and_again_it_still_ends_in_order(gateway: EchoGateway) -> None:
    """SIGTERM comes again until the program is gone (a person, a service manager): it ends as after one, with 0."""
    process = gateway.process
    assert process is not None
    while process.poll() is None:
        process.terminate()
        time.sleep(0.001)
    assert gateway.stop() == 0


def test_stop_answers_what_is_queued(gateway: EchoGateway) -> None:
    """SIGTERM: queries already in the receive buffer are answered, workers exit, the socket file goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        port = gateway.port
        for pid in [worker["pid"] for worker in gateway.status()["workers"]]:
            os.kill(pid, signal.SIGSTOP)
        client.sendto(b"late", ("127.0.0.1", port))
        assert gateway.process is not None
        gateway.process.terminate()
        for pid in [worker["pid"] for worker in gateway.status()["workers"]]:
            os.kill(pid, signal.SIGCONT)
        assert json.loads(client.recv(4096))["echo"] == "late"
    assert gateway.stop() == 0
    assert not (gateway.state_dir / "control.sock").exists()


def test_workers_end_with_a_killed_supervisor(gateway: EchoGateway) -> None:
    """Orphans would serve a policy nobody can change: they end when the supervisor is killed."""
    pids = [worker["pid"] for worker in gateway.status()["workers"]]
    assert gateway.process is not None
    gateway.process.kill()
    gateway.process.wait()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/status").exists() and "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_further_process_is_restarted_and_its_death_does_not_touch_dns(tmp_path: Path) -> None:
    """A page that ends after each connection is started again on the same socket; queries never notice."""
    port = free_port()
    with EchoGateway(tmp_path, workers=1, page=port) as gateway:
        gateway.start()
        seen = set()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                seen.add(client.recv(100))
            assert gateway.query() is not None
        assert len(seen) == 3
        gateway.wait(lambda: gateway.status()["processes"][0]["restarts"] >= 3)
        assert gateway.status()["state"] == "ready"


def test_control_socket_is_private(gateway: EchoGateway) -> None:
    """Only the gateway's user may open the control socket."""
    assert (gateway.state_dir / "control.sock").stat().st_mode & 0o777 == 0o600


def test_test_clock_moves_every_worker(tmp_path: Path) -> None:
    """LACHAN_TEST_CLOCK moves the clock of all workers within half a second, loudly; root must say it twice."""
    file = tmp_path / "clock"
    file.write_text("+3600")
    with EchoGateway(tmp_path, workers=2) as gateway:
        gateway.start({"LACHAN_TEST_CLOCK": str(file), "LACHAN_TEST_CLOCK_AS_ROOT": "1"})
        assert gateway.query()["now"] == pytest.approx(time.time() + 3600, abs=2)  # type: ignore[index]
        file.write_text("2026-09-01T21:30")
        time.sleep(0.5)
        answers = [gateway.query() for _ in range(20)]
        assert all(answer is not None and answer["now"] == pytest.approx(1788273000.5, abs=3) for answer in answers)
        assert gateway.status()["clock"]["test"] is True
    assert any(record["event"] == "clock.test" for record in gateway.log())


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_test_clock_is_refused_for_root(tmp_path: Path) -> None:
    """Without the second variable root gets one sentence and exit 1."""
    gateway = EchoGateway(tmp_path, workers=1)
    gateway.start({"LACHAN_TEST_CLOCK": str(tmp_path / "clock"), "LACHAN_TEST_CLOCK_AS_ROOT": ""}, wait=False)
    assert gateway.process is not None
    assert gateway.process.wait(10) == 1
    gateway.stop()
    assert "error: LACHAN_TEST_CLOCK moves every schedule and is refused for root" in gateway.log_text()


def test_merge_settings_keeps_what_needs_a_restart(tmp_path: Path) -> None:
    """Listening addresses, workers and user stay until a restart, and each is named."""
    from dataclasses import replace

    old = settings_from({"state_dir": str(tmp_path)})
    new = replace(old, dns=replace(old.dns, workers=9, name="dns.example"), metrics=Endpoint("127.0.0.1", 1))
    merged, late = merge_settings(old, new)
    assert merged.dns.workers == old.dns.workers
    assert merged.dns.name == "dns.example"
    assert merged.metrics is None
    assert [note.split()[0] for note in late] == ["dns.workers", "metrics"]
