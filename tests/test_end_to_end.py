"""The real program with real clients: a child and an adult on the same network, a school day, faults, and what the numbers say."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.nineandadult import ADULT, CHILD, GOOGLE, RECORDS, SETTINGS, prepare
from tests.support.upstream import ScriptedUpstream

AFTERNOON = "2026-11-25T16:00:00+07:00"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(RECORDS) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests that change nothing."""
    folder = tmp_path_factory.mktemp("gateway")
    prepare(folder)
    clock = folder / "clock"
    clock.write_text(AFTERNOON, encoding="ascii")  # the child's bedtime must not depend on when the tests run
    environment = {"LACHAN_TEST_CLOCK": str(clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    with Gateway(folder, SETTINGS, upstream=upstream.port, environment=environment) as running:
        yield running


# A child and an adult on the same network ---------------------------------------------------------------------------------------


def test_social_network_is_blocked_for_a_nine_year_old_and_open_for_an_adult(gateway: Gateway) -> None:
    """The same name, the same second, two addresses of one network."""
    child, adult = gateway.ask("facebook.com", source=CHILD), gateway.ask("facebook.com", source=ADULT)
    assert [str(rdata) for rrset in child.answer for rdata in rrset] == ["0.0.0.0"]
    assert ede_codes(child) == [17]
    assert [str(rdata) for rrset in adult.answer for rdata in rrset] == ["192.0.2.10"]


def test_blocked_name_answers_every_type_as_blocked(gateway: Gateway) -> None:
    """AAAA gives ::, other types no data with an SOA, over UDP and TCP alike."""
    assert gateway.addresses("facebook.com", "AAAA", source=CHILD) == ["::"]
    for tcp in (False, True):
        reply = gateway.ask("facebook.com", "HTTPS", source=CHILD, tcp=tcp)
        assert (reply.rcode(), len(reply.answer), len(reply.authority)) == (dns.rcode.NOERROR, 0, 1)


def test_list_of_a_file_blocks_the_child_only(gateway: Gateway) -> None:
    """A gambling name of a hosts file, and everything below it."""
    assert gateway.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
    assert gateway.addresses("www.bet.example", source=CHILD) == ["0.0.0.0"]
    assert gateway.addresses("bet.example", source=ADULT) == ["192.0.2.90"]


def test_help_is_open_for_everyone(gateway: Gateway) -> None:
    """A child can always reach help."""
    assert gateway.addresses("vn-cop.vn", source=CHILD) == ["192.0.2.30"]


def test_search_is_led_to_its_safe_mode_for_the_child_only(gateway: Gateway) -> None:
    """Google is answered with its safe address, by a CNAME that says so."""
    assert gateway.addresses("www.google.com", source=CHILD) == [GOOGLE]
    assert "forcesafesearch.google.com" in gateway.ask("www.google.com", source=CHILD).to_text()
    assert gateway.addresses("www.google.com", source=ADULT) == ["192.0.2.40"]


def test_name_of_an_order_is_censored_with_ede_16_for_everyone(gateway: Gateway) -> None:
    """An order of the file binds the bands it names."""
    for source in (CHILD, ADULT):
        reply = gateway.ask("ordered.example", source=source)
        assert ede_codes(reply) == [16]
        assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ["0.0.0.0"]


def test_unknown_name_is_nxdomain_and_the_gateway_names_itself(gateway: Gateway) -> None:
    """What does not exist does not exist; the health name answers."""
    assert gateway.ask("nothing.example", source=ADULT).rcode() == dns.rcode.NXDOMAIN
    assert gateway.ask("health.lachan.internal").rcode() == dns.rcode.NOERROR


@pytest.mark.full
def test_dig_sees_what_the_greeting_promises(gateway: Gateway) -> None:
    """The lines that `make run` prints, asked by the real dig."""
    child, adult = gateway.dig("facebook.com"), gateway.dig("-b", ADULT, "facebook.com")
    assert re.search(r"^facebook\.com\.\s+10\s+IN\s+A\s+0\.0\.0\.0$", child, re.MULTILINE)
    assert "EDE: 17 (Filtered)" in child
    assert re.search(r"^facebook\.com\.\s+\d+\s+IN\s+A\s+192\.0\.2\.10$", adult, re.MULTILINE)
    assert GOOGLE in gateway.dig("www.google.com", "+short")
    assert "EDE: 16 (Censored)" in gateway.dig("ordered.example")
    assert "0.0.0.0" in gateway.dig("+tcp", "facebook.com", "+short")


def test_explain_agrees_with_the_answer(gateway: Gateway) -> None:
    """One line says who decided."""
    child = gateway.command("explain", "facebook.com", "--profile", "be-9-tuoi", "--at", "2026-09-01T17:00")
    assert child.returncode == 0, child.stderr
    assert "BLOCKED" in child.stdout and "social" in child.stdout
    adult = gateway.command("explain", "facebook.com", "--client", "may-me", "--at", "2026-09-01T17:00")
    assert "OPEN" in adult.stdout
    ordered = gateway.command("explain", "ordered.example", "--client", ADULT)
    assert "12/QĐ-STTTT" in ordered.stdout and "by file, one person" in ordered.stdout
    assert "by file" not in child.stdout + adult.stdout


def settled(read: Callable[[], float]) -> float:
    """A number that no longer moves: workers hand their counts over once a second, later on a busy machine."""
    value, since, end = read(), time.monotonic(), time.monotonic() + 20
    while time.monotonic() - since < 2.5 and time.monotonic() < end:
        time.sleep(0.1)
        if (latest := read()) != value:
            value, since = latest, time.monotonic()
    return value


def test_status_and_numbers_count_what_was_asked(gateway: Gateway) -> None:
    """The dashboard counts a block by category and band, and shows the generation of every worker."""
    before = settled(lambda: gateway.metric("lachan_blocked_total", category="social", band="TH"))
    for _ in range(5):
        gateway.ask("facebook.com", source=CHILD)
    end = time.monotonic() + 5
    while gateway.metric("lachan_blocked_total", category="social", band="TH") < before + 5 and time.monotonic() < end:
        time.sleep(0.1)
    assert before + 5 == gateway.metric("lachan_blocked_total", category="social", band="TH")
    status = gateway.status()
    assert len(status["workers"]) == 2
    assert {status["generation"]} == {worker["generation"] for worker in status["workers"]}
    assert gateway.http("/healthz") == (200, "ok\n")
    assert gateway.http("/readyz")[0] == 200
    assert "facebook" not in gateway.http("/metrics")[1] and "127.0.0.2" not in gateway.http("/metrics")[1]


def test_log_names_nobody_and_no_name_that_was_asked(gateway: Gateway) -> None:
    """Logs hold no query name and no client address."""
    gateway.ask("secret-question.example", source=ADULT)
    assert "secret-question" not in gateway.written()
    assert ADULT not in gateway.written()


# Changes ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(upstream: RunningUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of one's own, to change and to hurt."""
    prepare(tmp_path)
    (tmp_path / "clock").write_text(AFTERNOON, encoding="ascii")
    environment = {"LACHAN_TEST_CLOCK": str(tmp_path / "clock"), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port, environment=environment) as running:
        yield running


def test_reload_applies_a_changed_file_and_keeps_the_old_state_on_a_mistake(own: Gateway) -> None:
    """A deny appears after reload; a broken file changes nothing and says what is wrong and where."""
    own.write(SETTINGS.replace("{id: nguoi-lon, band: NL}", "{id: nguoi-lon, band: NL, deny: [open.example]}"))
    done = own.command("reload")
    assert done.returncode == 0, done.stderr
    assert own.addresses("open.example", source=ADULT) == ["0.0.0.0"]
    generation = own.status()["generation"]
    own.write("profiles: [{id: a, bnd: TH}]\n" + own.path.read_text().replace("profiles:", "ignored:"))
    refused = own.command("reload")
    assert refused.returncode == 1
    assert "bnd" in refused.stderr and "lachan.yaml:1" in refused.stderr and "Traceback" not in refused.stderr
    assert own.addresses("open.example", source=ADULT) == ["0.0.0.0"]
    assert generation == own.status()["generation"]


def test_list_that_disappears_keeps_the_last_good_one(own: Gateway) -> None:
    """Protection never weakens because a file is missing."""
    (own.folder / "bets.hosts.txt").unlink()
    assert own.command("reload").returncode == 1
    assert own.addresses("bet.example", source=CHILD) == ["0.0.0.0"]


def test_flush_forgets_one_name_or_all(own: Gateway, upstream: RunningUpstream) -> None:
    """After a flush the upstream is asked again."""
    own.ask("lesson.example", source=ADULT)
    asked = upstream.script.count("lesson.example")
    assert own.command("flush", "lesson.example").returncode == 0
    for _ in range(4):
        own.ask("lesson.example", source=ADULT)
    assert upstream.script.count("lesson.example") > asked
    assert own.command("flush").returncode == 0


def test_killed_worker_costs_no_client_more_than_one_retry(own: Gateway) -> None:
    """Under load, with fresh ports, a worker dies and its place is filled: names from the table, names asked upstream, over UDP and TCP."""
    stop, tries = threading.Event(), []

    def client(number: int) -> None:
        asked = 0
        while not stop.is_set():
            asked += 1
            name = f"new{asked}.client{number}.example" if asked % 2 else "facebook.com"
            for attempt in range(1, 6):
                try:
                    own.ask(name, source=CHILD, seconds=0.5, tcp=number == 3)
                except (dns.exception.Timeout, OSError, EOFError):
                    continue
                tries.append(attempt)
                break
            else:
                tries.append(99)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    for worker in own.status()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
        time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(tries) > 100
    assert max(tries) <= 2
    assert [worker["restarts"] for worker in own.status()["workers"]] == [1, 1]


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_reload_under_load_loses_nothing_and_never_goes_back(own: Gateway, count: int) -> None:
    """Lists and records change again and again; every question is answered, and no client sees an older version after a newer one. What is
    asked in one breath on one connection is answered by one version: its record, and every name that it closes and the next one opens."""
    stop, lost, seen = threading.Event(), [], []
    batches: list[tuple[int, set[str]]] = []
    base = own.path.read_text(encoding="utf-8")

    def client() -> None:
        last = 0
        while not stop.wait(0.002):
            try:
                reply = own.ask("version.home.arpa", source=ADULT, seconds=2)
                blocked = own.addresses("bet.example", source=CHILD)
            except dns.exception.Timeout:
                lost.append(1)
                continue
            version = int(str(reply.answer[0][0]).rpartition(".")[2]) if reply.answer else 0
            seen.append((last, version, blocked))
            last = version

    def breath() -> None:
        """Eleven questions in one write: the record of the version, five names closed by odd versions, five by even ones."""
        names = [f"swing{number}.{parity}.example" for number in range(5) for parity in ("odd", "even")]
        questions = [dns.message.make_query(name, "A", id=at) for at, name in enumerate([*names[:5], "version.home.arpa", *names[5:]])]
        octets = b"".join(len(wire).to_bytes(2, "big") + wire for wire in (question.to_wire() for question in questions))
        with socket.create_connection(("127.0.0.1", own.port), 10, source_address=(CHILD, 0)) as line, line.makefile("rb") as answers:
            while not stop.wait(0.02):  # within what one client may ask
                line.sendall(octets)
                version, closed = 0, set()
                for _ in questions:
                    reply = dns.message.from_wire(answers.read(int.from_bytes(answers.read(2), "big")))
                    name = reply.question[0].name.to_text(omit_final_dot=True)
                    found = [str(rdata) for rrset in reply.answer for rdata in rrset]
                    if name == "version.home.arpa":
                        version = int(found[0].rpartition(".")[2]) if found else 0
                    elif found == ["0.0.0.0"]:
                        closed.add(name)
                batches.append((version, closed))

    threads = [threading.Thread(target=work) for work in (client, client, client, breath)]
    for thread in threads:
        thread.start()
    for version in range(1, 6):
        parity = "odd" if version % 2 else "even"
        names = "".join(f"0.0.0.0 swing{number}.{parity}.example\n" for number in range(5))
        names += "".join(f"0.0.0.0 name{index}.v{version}.example\n" for index in range(count))
        (own.folder / "bets.hosts.txt").write_text(f"0.0.0.0 bet.example\n{names}")
        own.path.write_text(base + f"records: [{{name: version.home.arpa, data: 10.0.0.{version}, ttl: 0}}]\n", encoding="utf-8")
        if version == 3:
            os.kill(own.pid, signal.SIGHUP)
            end = time.monotonic() + 20 + count / 10_000
            while own.addresses("version.home.arpa") != ["10.0.0.3"] and time.monotonic() < end:
                time.sleep(0.05)
        else:
            done = own.command("reload", seconds=60 + count / 10_000)
            assert done.returncode == 0, done.stderr
        assert own.addresses("version.home.arpa") == [f"10.0.0.{version}"]
    stop.set()
    for thread in threads:
        thread.join()
    assert lost == []
    assert len(seen) > 100
    assert [row for row in seen if row[1] < row[0]] == []
    assert {tuple(row[2]) for row in seen} == {("0.0.0.0",)}
    assert own.addresses("name7.v5.example", source=CHILD) == ["0.0.0.0"]
    assert threads[3].is_alive() is False and {version for version, _ in batches} == set(range(6))
    closed_by = {parity: {f"swing{number}.{parity}.example" for number in range(5)} for parity in ("odd", "even")}
    mixed = [
        (version, closed) for version, closed in batches if closed != (closed_by["odd" if version % 2 else "even"] if version else set())
    ]
    assert mixed == []


def test_both_families_are_served(upstream: RunningUpstream, tmp_path: Path) -> None:
    """IPv6 clients are judged like the others."""
    prepare(tmp_path)
    text = SETTINGS.replace('["127.0.0.1:0"]', '["127.0.0.1:0", "[::1]:0"]').replace("match: [127.0.0.1]", 'match: [127.0.0.1, "::1"]')
    with Gateway(tmp_path, text, upstream=upstream.port) as running:
        addresses = [row["address"] for row in running.status()["listen"] if row["transport"] == "udp"]
        port = int(next(address for address in addresses if address.startswith("[::1]")).rpartition(":")[2])
        reply = dns.query.udp(dns.message.make_query("facebook.com", "A", use_edns=0), "::1", 5, port)
        assert ede_codes(reply) == [17]


@pytest.mark.full
def test_two_addresses_walk_through_a_school_day(upstream: RunningUpstream, tmp_path: Path) -> None:
    """From breakfast to bedtime with dig: lessons, the afternoon, sleep; the adult at the other address is never concerned."""
    prepare(tmp_path)
    clock = tmp_path / "clock"
    clock.write_text("2026-09-01T06:30:00+07:00")  # a Tuesday
    environment = {"LACHAN_TEST_CLOCK": str(clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
    text = SETTINGS.replace("band: TH\n", "band: TH\n    categories: {game: allow}\n")
    with Gateway(tmp_path, text, environment=environment, upstream=upstream.port) as running:
        for moment, game, lesson in [
            ("06:30", True, True),  # breakfast
            ("07:30", False, True),  # lessons: no games
            ("11:29", False, True),
            ("11:31", True, True),  # lunch
            ("16:00", True, True),
            ("20:59", True, True),
            ("21:01", False, False),  # bedtime: everything rests
            ("23:59", False, False),
        ]:
            clock.write_text(f"2026-09-01T{moment}:00+07:00")
            wait_for(running, "game.example", game)
            child, adult = ("-b", CHILD, "+short"), ("-b", ADULT, "+short")
            assert running.dig(*child, "game.example") == ("192.0.2.70\n" if game else "0.0.0.0\n"), moment
            assert running.dig(*child, "+tcp", "lesson.example") == ("192.0.2.80\n" if lesson else "0.0.0.0\n"), moment
            assert running.dig(*child, "vn-cop.vn") == "192.0.2.30\n", moment
            assert running.dig(*child, "facebook.com") == "0.0.0.0\n", moment
            assert ("EDE: 17 (Filtered)" in running.dig("-b", CHILD, "game.example")) is not game, moment
            assert running.dig(*adult, "game.example") == "192.0.2.70\n", moment
            assert running.dig(*adult, "facebook.com") == "192.0.2.10\n", moment
        assert "test clock" in running.written()


def wait_for(running: Gateway, name: str, is_open: bool, seconds: float = 3.0) -> None:
    """Wait until the moved clock is seen by every worker."""
    end, in_a_row = time.monotonic() + seconds, 0
    while in_a_row < 12 and time.monotonic() < end:
        in_a_row = in_a_row + 1 if (running.addresses(name, source=CHILD) != ["0.0.0.0"]) == is_open else 0
        time.sleep(0.01)


def test_dead_upstream_means_stale_then_a_reason_and_back_within_a_second(tmp_path: Path) -> None:
    """Known names are answered from memory, unknown ones fail with a reason within two seconds, and the return is seen within one. Measured
    three times, for names never asked before; the median counts, because the machine may be busy with something else for a moment."""
    prepare(tmp_path)
    script = ScriptedUpstream({**RECORDS, **{(f"back{each}.example", "A"): ["192.0.2.99"] for each in range(3)}}, ttl=1)
    failing, returning = [], []
    with RunningUpstream(upstream=script) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as running:
        for each in range(3):
            for _ in range(20):
                running.ask("open.example", source=ADULT)
            upstream.stop()
            time.sleep(1.2)
            stale = running.ask("open.example", source=ADULT)
            assert [str(rdata) for rrset in stale.answer for rdata in rrset] == ["192.0.2.20"]
            assert ede_codes(stale) == [3], "Stale Answer (RFC 8914 §4.4)"
            started = time.monotonic()
            failed = running.ask(f"unknown{each}.example", source=ADULT)
            failing.append(time.monotonic() - started)
            assert failed.rcode() == dns.rcode.SERVFAIL
            assert ede_codes(failed) == [23], "RFC 8914"
            assert running.addresses("bet.example", source=CHILD) == ["0.0.0.0"]
            upstream.start()
            back = time.monotonic()
            while running.ask(f"back{each}.example", source=ADULT).rcode() != dns.rcode.NOERROR:
                assert time.monotonic() - back < 5
            returning.append(time.monotonic() - back)
    assert sorted(failing)[1] < 2.0, failing
    assert sorted(returning)[1] < 1.0, returning
