"""A gateway follows an office: the real program, signed releases on a real web server, and everything that can go wrong between them."""

from __future__ import annotations

import functools
import http.server
import json
import logging
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dns.edns import EDEOption

from blocklists.pairing import fingerprint_of, words_of
from blocklists.releases import Listing
from blocklists.takedown.releasing import segments_of
from gateway import release
from gateway.following import read_state
from gateway.policy.masked import mask
from gateway.standing import NO_LIST
from lachan import following
from lachan.configuration import load
from lachan.following import follow_once, serial_in_force, take_round
from tests.support.gateway import Gateway, RunningUpstream, ede_codes, run_command
from tests.support.publisher import Publisher, serve, serve_by, serve_drips

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
cache: {client_ttl_max: 60}
metrics: {listen: "127.0.0.1:{metrics}"}
takedown: {follow: {url: "{url}", root: root.json}}
profiles: [{id: be, band: TH}]
default_profile: be
"""
RECORDS = {("bad.example", "A"): ["192.0.2.1"], ("worse.example", "A"): ["192.0.2.2"], ("lifted.example", "A"): ["192.0.2.3"]}


@pytest.fixture
def office(tmp_path: Path) -> Publisher:
    """An office that published serial 1, whose root the gateway was given."""
    office = Publisher(tmp_path / "office")
    office.publish(1, "bad.example")
    (tmp_path / "root.json").write_bytes(office.root)
    return office


def is_blocked(gateway: Gateway, name: str) -> bool:
    """Whether an order blocks the name."""
    return 16 in ede_codes(gateway.ask(name))


def canary(gateway: Gateway) -> str:
    """What dig says of the test name of the orders."""
    return gateway.dig("serial.orders.lachan.internal", "TXT", "+short").strip()


def page(gateway: Gateway, path: str) -> str:
    """A page of the metrics address."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics}/{path}", timeout=5) as answer:
        return str(answer.read().decode())


def comes_true(holds: Callable[[], bool]) -> bool:
    """Whether something holds within a minute: a machine with no time left may answer before the first round of following is done."""
    end = time.monotonic() + 60
    while not (done := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return done


def back(folder: Path, kept: Path) -> None:
    """Put the office's folder back as it was."""
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def test_gateway_enforces_what_the_office_publishes_and_keeps_the_last_good_release(office: Publisher, tmp_path: Path) -> None:
    """In force before the first answer; published, lifted and again open; what the office's server says by itself has ended resolves again,
    but for an order with a number; damaged, rolled back or gone, the last good release stays."""
    with (
        serve(office.folder) as url,
        RunningUpstream(RECORDS) as upstream,
        Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=url) as gateway,
    ):
        assert comes_true(lambda: is_blocked(gateway, "bad.example"))
        assert not is_blocked(gateway, "worse.example")
        assert "EDE: 16 (Censored)" in gateway.dig("bad.example", "A")
        assert [option.text for option in gateway.ask("bad.example").options if isinstance(option, EDEOption)] == ["12/QĐ-STTTT"]
        assert canary(gateway) == '"1"'
        said = gateway.command("explain", "bad.example").stdout
        assert "12/QĐ-STTTT" in said and "by file" not in said
        assert "follow" in {row["name"] for row in gateway.status()["processes"]}

        reported = office.segment("worse.example")
        reported["orders"][0] |= {"id": "r1", "number": "", "issuer": "", "category": "gamb"}
        office.publish_segments(2, office.segment("bad.example", "lifted.example"), reported)
        office.appoint_server()
        assert gateway.command("follow").returncode == 0
        assert is_blocked(gateway, "lifted.example")
        assert "EDE: 16 (Censored)" in gateway.dig("worse.example", "A")
        assert canary(gateway) == '"2"'

        office.withdraw(3, "bad.example", "worse.example")
        withdrawn = gateway.command("follow")
        assert withdrawn.returncode == 0 and "may not take this out" in withdrawn.stderr
        said = gateway.dig("worse.example", "A")
        assert "192.0.2.2" in said and "EDE" not in said
        assert "EDE: 16 (Censored)" in gateway.dig("bad.example", "A") and canary(gateway) == '"2"'
        second = tmp_path / "second"
        shutil.copytree(office.folder, second)

        office.publish(3, "bad.example")
        assert gateway.command("follow").returncode == 0
        assert gateway.addresses("lifted.example") == ["192.0.2.3"]
        third = tmp_path / "third"
        shutil.copytree(office.folder, third)
        status = gateway.status()
        assert (status["order_serial"], status["follow"]["serial"], status["follow"]["code"]) == (3, 3, None)
        assert gateway.metric("lachan_release_failure") == 0

        back(office.folder, second)
        refused = gateway.command("follow")
        assert refused.returncode == 1
        assert "refused" in refused.stderr and "release 3 stays in force" in refused.stderr
        assert gateway.addresses("lifted.example") == ["192.0.2.3"]

        back(office.folder, third)
        office.publish(4)
        timestamp = office.folder / "metadata/timestamp.json"
        timestamp.write_bytes(timestamp.read_bytes().replace(b'"version":', b'"version": 9'))
        assert gateway.command("follow").returncode == 1
        assert is_blocked(gateway, "bad.example")
        follow = gateway.status()["follow"]
        assert (follow["serial"], follow["code"], follow["failing_since"] is not None) == (3, "refused", True)
        assert follow["age"] >= 0
        assert gateway.metric("lachan_release_failure", code="refused") == 1
        assert gateway.metric("lachan_release_checked_timestamp_seconds") == follow["good_at"]


@pytest.mark.slow
def test_news_is_in_force_soon_where_the_server_lets_gateways_ask(office: Publisher, tmp_path: Path) -> None:
    """A lift is as fast as a block: both long before the next round is due, with no command, from a server that says how often to ask."""

    class Says(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Cache-Control", "max-age=10")
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with (
        serve_by(functools.partial(Says, directory=str(office.folder))) as url,
        RunningUpstream(RECORDS) as upstream,
        Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=url) as gateway,
    ):
        assert comes_true(lambda: is_blocked(gateway, "bad.example"))
        office.publish(2, "bad.example", "worse.example")
        assert comes_true(lambda: is_blocked(gateway, "worse.example"))
        office.publish(3, "worse.example")
        assert comes_true(lambda: not is_blocked(gateway, "bad.example"))


def test_start_without_the_office_answers_from_the_last_good_release(office: Publisher, tmp_path: Path) -> None:
    """After a restart with nobody there the list is still enforced, and the status says since when nobody is."""
    with RunningUpstream(RECORDS) as upstream:
        with serve(office.folder) as url, Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=url) as gateway:
            assert comes_true(lambda: is_blocked(gateway, "bad.example"))
        with gateway:
            assert is_blocked(gateway, "bad.example")
            assert comes_true(lambda: gateway.status()["follow"]["code"] == "unreachable")
            assert gateway.status()["follow"]["serial"] == 1


def test_wrong_clock_at_boot_never_stops_answers_and_an_end_needs_no_release(office: Publisher, tmp_path: Path) -> None:
    """An entry leaves when its day has come, though the office is silent and nobody signs. Forty years ahead every release looks expired:
    the last good one answers, other names resolve; status, metric, EDE tell its age."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    test_clock = {"LACHAN_TEST_CLOCK": str(clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    with RunningUpstream(RECORDS) as upstream, serve(office.folder) as url:
        gateway = Gateway(tmp_path, SETTINGS, environment=test_clock, upstream=upstream.port, url=url)
        with gateway:
            assert comes_true(lambda: is_blocked(gateway, "bad.example"))
            ending = office.segment("worse.example")
            end = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
            ending["orders"][0] |= {"id": "o2", "until": end, "no_end": False}
            office.publish_segments(2, office.segment("bad.example"), ending)
            assert gateway.command("follow").returncode == 0
            assert is_blocked(gateway, "worse.example")
            clock.write_text("+259200")
            assert comes_true(lambda: gateway.addresses("worse.example") == ["192.0.2.2"]), "an order outlived its end"
            assert is_blocked(gateway, "bad.example")
            clock.write_text("+0")
            assert comes_true(lambda: is_blocked(gateway, "worse.example"))
        state = read_state(tmp_path / "var")
        assert state is not None
        good_at = state.good_at
        office.publish(3)
        clock.write_text("2066-01-01T12:00")
        with gateway:
            assert is_blocked(gateway, "bad.example")
            assert gateway.addresses("worse.example") == ["192.0.2.2"]
            assert comes_true(lambda: gateway.status()["follow"]["code"] == "refused")
            follow = gateway.status()["follow"]
            assert (follow["serial"], follow["good_at"]) == (2, good_at)
            assert follow["age"] > 30 * 365 * 86_400
            text = f"danh sách {follow['old_days']} ngày chưa cập nhật / list {follow['old_days']} days old"
            assert text in gateway.dig("bad.example", "A")
            clock.write_text("+0")
            assert comes_true(lambda: "days old" not in gateway.dig("bad.example", "A"))
            assert gateway.metric("lachan_release_checked_timestamp_seconds") >= good_at  # a round with the right clock may have been good


def test_after_a_long_sleep_a_gateway_tries_to_catch_up_for_at_most_ten_seconds_then_the_last_good_release_answers(
    office: Publisher, tmp_path: Path
) -> None:
    """Twenty days later the office's server sends an octet now and then: the start gives it ten seconds, then the last good release answers
    and says how old it is: status (which the pages' banner shows), metric, EDE. Meanwhile and after, names resolve."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    test_clock = {"LACHAN_TEST_CLOCK": str(clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    with RunningUpstream(RECORDS) as upstream:
        with serve(office.folder) as url:
            gateway = Gateway(tmp_path, SETTINGS, environment=test_clock, upstream=upstream.port, url=url)
            begun = time.monotonic()
            with gateway:
                usual = time.monotonic() - begun
                assert comes_true(lambda: is_blocked(gateway, "bad.example"))
        state = read_state(tmp_path / "var")
        assert state is not None
        clock.write_text(f"+{20 * 86_400}")
        with serve_drips() as url:
            gateway = Gateway(tmp_path, SETTINGS, environment=test_clock, upstream=upstream.port, url=url)
            begun = time.monotonic()
            with gateway:
                waited = time.monotonic() - begun
                started = gateway.status()["uptime"]
                assert waited > 10, "it did try"
                assert started < waited < usual + 10 + 15, "ten seconds, and what a start takes on a busy machine"
                assert is_blocked(gateway, "bad.example")
                assert gateway.addresses("worse.example") == ["192.0.2.2"]
                follow = gateway.status()["follow"]
                assert (follow["serial"], follow["old_days"], follow["good_at"]) == (1, 20, state.good_at)
                assert gateway.metric("lachan_release_checked_timestamp_seconds") == state.good_at
                assert "danh sách 20 ngày chưa cập nhật / list 20 days old" in gateway.dig("bad.example", "A")
                with round_under_way(gateway):
                    for number in range(20):
                        began = time.monotonic()
                        assert gateway.addresses("worse.example") == ["192.0.2.2"]
                        assert is_blocked(gateway, "bad.example"), number
                        assert time.monotonic() - began < 5
                assert gateway.status()["order_serial"] == 1
                assert comes_true(lambda: bool(rounds(tmp_path))), "the job tries on"
            assert comes_true(lambda: not rounds(tmp_path)), "a round outlived its gateway"


def rounds(folder: Path) -> list[str]:
    """The rounds of following that run for this folder's gateway."""
    return subprocess.run(["pgrep", "-f", f"lachan follow .*{folder}/"], capture_output=True, text=True, check=False).stdout.split()


@contextmanager
def round_under_way(gateway: Gateway) -> Iterator[None]:
    """A round by hand that hangs at the office for as long as the block takes, and is ended then."""
    command = [sys.executable, "-m", "lachan", "follow", "-c", str(gateway.path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        yield
        assert child.poll() is None, "the round ended by itself"
    finally:
        child.kill()
        child.wait(20)


def test_release_comes_on_a_stick_where_there_is_no_network(office: Publisher, tmp_path: Path) -> None:
    """A gateway that never reached its office takes what somebody carries to it; a damaged, an older and an expired stick are refused, and
    what is in force stays."""
    first, second, late = tmp_path / "first", tmp_path / "second", tmp_path / "late"
    stranger = Publisher(tmp_path / "stranger")
    stranger.publish(9)
    office.repository.copy_to(first)
    office.publish(2, "bad.example", "worse.example")
    command = ["release", "export", str(second), "--to", str(office.folder), "-c", str(configured(tmp_path, "https://nobody.invalid/"))]
    exported = run_command(*command)
    assert exported.returncode == 0 and "2:" in exported.stdout, exported.stderr
    with RunningUpstream(RECORDS) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port, url="http://127.0.0.1:9/") as gateway:
        assert not is_blocked(gateway, "bad.example")
        assert gateway.metric("lachan_release_in_force") == 0 and "lachan_release_in_force 0" in page(gateway, "metrics")
        assert page(gateway, "readyz").splitlines() == ["ready", NO_LIST], "names resolve, so it is ready; and it is said"
        assert NO_LIST in gateway.status()["notes"] and "NONE of the office's lists" in gateway.command("status").stdout
        taken = gateway.command("release", "import", str(second))
        assert taken.returncode == 0 and words_of(fingerprint_of(office.root)) in taken.stdout, taken.stderr
        assert gateway.metric("lachan_release_in_force") == 1 and page(gateway, "readyz") == "ready\n"
        assert is_blocked(gateway, "bad.example") and is_blocked(gateway, "worse.example")
        office.publish(3)
        office.repository.copy_to(late)
        for path in (late / "targets").glob("*.segment"):
            path.write_bytes(path.read_bytes() + b" ")
        office.publish(4, at=office.long_ago())
        office.repository.copy_to(expired := tmp_path / "expired")
        refusals = [(each, "(refused)") for each in (first, late, stranger.folder)]
        for stick, why in [*refusals, (expired, "timestamp.json is expired"), (tmp_path / "none", "(unreachable)")]:
            refused = gateway.command("release", "import", str(stick))
            said = refused.stderr
            assert refused.returncode == 1 and why in said and "release 2 stays in force" in said, (stick, said)
        assert is_blocked(gateway, "worse.example")


@pytest.mark.parametrize("is_there", [False, True], ids=["office away", "office there"])
def test_list_outlives_every_generation(is_there: bool, office: Publisher, tmp_path: Path) -> None:
    """The disk loses all that says what is in force: the office's list that was in force is so again at the start, from the parts that are
    kept, withdrawn entries left out; nobody waits for the office or its next release."""
    office.publish(2, "bad.example", "worse.example")
    with serve(office.folder) as url, RunningUpstream(RECORDS) as upstream:
        with Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=url) as gateway:
            assert comes_true(lambda: is_blocked(gateway, "worse.example"))
        for path in (tmp_path / "var" / "generations").iterdir():
            path.write_bytes(b"")
        other = url if is_there else "http://127.0.0.1:9"
        with Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=other) as again:
            assert is_blocked(again, "bad.example") and is_blocked(again, "worse.example") and not is_blocked(again, "lifted.example")
            assert canary(again) == '"2"'
            assert "NO generation is whole" in " ".join(again.command("status").stdout.split())
            state = read_state(tmp_path / "var")
            assert state is not None and state.serial == 2
        with Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=other) as third:
            assert is_blocked(third, "worse.example")


def test_masked_names_need_a_key_and_without_one_the_last_good_release_stays(office: Publisher, tmp_path: Path) -> None:
    """A release with a sealed segment: without its key the gateway goes on with what it has and says so; with the file that the office
    handed over the name is blocked, and so it is from a stick."""
    hidden, stick, keys = office.segment(), tmp_path / "stick", tmp_path / "handed.keys"
    hidden["entries"] = [[mask("example.worse."), 0, 0]]
    hidden["orders"][0]["id"] = "o2"
    var = tmp_path / "office-var"
    var.mkdir()
    names = tuple(release.write_file(var, one) for one in (office.segment("bad.example"), hidden))
    settings = SETTINGS.replace("root: root.json", "root: root.json, keys: handed.keys")
    with serve(office.folder) as url, RunningUpstream(RECORDS) as upstream:
        with Gateway(tmp_path, SETTINGS, upstream=upstream.port, url=url) as gateway:
            assert comes_true(lambda: is_blocked(gateway, "bad.example"))
            office.repository.publish(Listing(2, None, names), segments_of(var), office.signers, datetime.now(UTC))
            refused = gateway.command("follow")
            assert refused.returncode == 1 and "(key)" in refused.stderr and "release 1 stays in force" in refused.stderr, refused.stderr
            assert is_blocked(gateway, "bad.example") and not is_blocked(gateway, "worse.example")
            assert gateway.metric("lachan_release_failure", code="key") == 1
        office.repository.copy_to(stick)
    (tmp_path / "office.yaml").write_text('state_dir: office-var\nadmin: {listen: "127.0.0.1:0"}\n')
    handed = run_command("release", "keys", str(keys), "-c", str(tmp_path / "office.yaml"))
    assert handed.returncode == 0 and keys.stat().st_mode & 0o777 == 0o600, handed.stderr
    assert "is there already" in run_command("release", "keys", str(keys), "-c", str(tmp_path / "office.yaml")).stderr
    with (
        RunningUpstream(RECORDS) as upstream,
        Gateway(tmp_path, settings, upstream=upstream.port, url="http://127.0.0.1:9/") as gateway,
    ):
        done = gateway.command("release", "import", str(stick))
        assert done.returncode == 0, done.stderr
        assert is_blocked(gateway, "www.worse.example") and is_blocked(gateway, "bad.example")


def configured(folder: Path, url: str) -> Path:
    """A configuration that follows, without a running gateway."""
    path = folder / "lachan.yaml"
    path.write_text(f'state_dir: var\ntakedown: {{follow: {{url: "{url}", root: root.json}}}}\n')
    return path


def test_round_hands_its_changes_to_whoever_starts_the_gateway(office: Publisher, tmp_path: Path) -> None:
    """Without committing, the changes are in the report and nothing is in force yet."""
    with serve(office.folder) as url:
        state, changes = take_round(load(configured(tmp_path, url)), commit=False)
    assert (state.serial, state.code) == (1, "")
    assert (changes["orders"]["serial"], changes["orders"]["origin"]) == (1, "office")
    assert serial_in_force(tmp_path / "var") == 0
    assert read_state(tmp_path / "var") == state


def test_release_that_cannot_be_put_in_force_is_told_and_tried_again(office: Publisher, tmp_path: Path) -> None:
    """Where there is no generation yet the list cannot be enforced; the next round has it again."""
    with serve(office.folder) as url:
        configuration = load(configured(tmp_path, url))
        for _ in range(2):
            state, _ = take_round(configuration, commit=True)
            assert (state.serial, state.code) == (0, "apply")


def test_missing_root_and_missing_office_are_told_apart(office: Publisher, tmp_path: Path) -> None:
    """The code says whether this machine or the office is at fault."""
    with serve(office.folder) as url:
        path = configured(tmp_path, url)
        (tmp_path / "root.json").unlink()
        assert take_round(load(path, require_files=False), commit=True)[0].code == "root"
    (tmp_path / "root.json").write_bytes(office.root)
    assert take_round(load(path), commit=True)[0].code == "unreachable"


ASKED_TO_END = """
import os, signal, subprocess, sys
from pathlib import Path
from lachan import following

class Begun(subprocess.Popen):
    def __init__(self, *words, **options):
        super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **options)
        print(self.pid, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Begun
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
following.follow_once(Path("lachan.yaml"), "")
"""


def test_a_round_that_begins_as_the_gateway_ends_ends_with_it() -> None:
    """The job is asked to end between the start of its child and the moment at which it holds it."""
    job = subprocess.run([sys.executable, "-c", ASKED_TO_END], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert job.returncode == 0
    assert not Path(f"/proc/{int(job.stdout)}").exists()


def test_only_a_change_is_logged(
    office: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when following begins to fail, one when it is good again, none in between."""
    with serve(office.folder) as url:
        path = configured(tmp_path, url)
    caplog.set_level(logging.INFO, logger="lachan.following")
    code = follow_once(path, "")
    assert code == "unreachable"
    assert follow_once(path, code) == "unreachable"
    assert [record.message for record in caplog.records] == ["the office's release is not taken"]
    monkeypatch.setattr(following, "_output_of", lambda _: json.dumps({"code": "", "problem": ""}).encode())
    assert follow_once(path, code) == ""
    monkeypatch.setattr(following, "_output_of", lambda _: b"")
    assert follow_once(path, "") == "disk"
    assert len(caplog.records) == 3
    monkeypatch.setattr(following, "_output_of", lambda _: json.dumps({"code": "word", "problem": "expired"}).encode())
    assert follow_once(path, "") == follow_once(path, "word") == "word"
    assert [record.message for record in caplog.records[3:]] == ["the word of the office's server cannot be used"], "the release is taken"


def test_check_judges_the_root_and_the_choice_of_source(office: Publisher, tmp_path: Path) -> None:
    """A good root passes; another file, a file beside an office, or neither of them is a mistake with its place."""
    path = configured(tmp_path, "https://office.example/")
    assert run_command("check", "-c", str(path)).returncode == 0
    assert "office.example" in run_command("config", "show", "-c", str(path)).stdout
    (tmp_path / "root.json").write_bytes((office.folder / "metadata/timestamp.json").read_bytes())
    refused = run_command("check", "-c", str(path))
    assert refused.returncode == 1 and "takedown.follow.root" in refused.stderr
