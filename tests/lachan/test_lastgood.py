"""A settings file with mistakes at a start that nobody watches: the real program, a real file, real questions."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from gateway.errors import SettingsError
from lachan.lastgood import VARIABLE, describe, keep, load_or_last_good
from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, ede_codes, run_command
from tests.support.nineandadult import ADULT, CHILD, RECORDS, SETTINGS, prepare

OPEN, BLOCKED = ["192.0.2.20"], ["0.0.0.0"]
BROKEN = (
    ("a slip of the pen", SETTINGS.replace("band: TH", "band: XX"), "profiles[0].band"),
    ("empty", "\n", "this file is empty"),
    ("comments alone", "# written again\n---\n", "this file is empty"),
)
UNREADABLE = (SETTINGS + "dns: [", SETTINGS[: SETTINGS.index("NL}")], "\x00", "state_dir: [", SETTINGS + "nonsense: 1\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningUpstream]:
    """The resolver that is asked in turn."""
    with RunningUpstream(RECORDS) as running:
        yield running


def service(folder: Path, text: str, upstream: RunningUpstream) -> Gateway:
    """The program as a service manager starts it."""
    kept = {"LACHAN_LAST_GOOD": str(folder / "var" / "settings.last-good")}
    return Gateway(folder, text, upstream=upstream.port, environment=kept)


@pytest.mark.parametrize(("what", "text", "told"), BROKEN, ids=[row[0] for row in BROKEN])
def test_service_starts_with_the_last_good_settings_and_says_so(
    what: str, text: str, told: str, upstream: RunningUpstream, tmp_path: Path
) -> None:
    """Somebody wrote nonsense into the file and went home; at night the power fails."""
    prepare(tmp_path)
    with service(tmp_path, SETTINGS, upstream) as running:
        assert running.status()["last_change"]["outcome"] != "refused"
        kept = tmp_path / "var" / "settings.last-good"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600  # settings may hold keys
    with service(tmp_path, text, upstream) as again:
        again.metrics = running.metrics  # as in the settings that were in force
        assert again.addresses("open.example", source=ADULT) == OPEN
        assert again.addresses("bet.example", source=CHILD) == BLOCKED and again.addresses("bet.example", source=ADULT) == ["192.0.2.90"]
        said = again.command("status").stdout
        assert "TỆP CẤU HÌNH CÓ LỖI" in said and "the last good settings are used" in said and told in said
        assert again.status()["last_change"]["outcome"] == "refused"
        assert again.metric("lachan_last_reload_successful") == 0  # the alert of deploy/prometheus
        assert again.http("/readyz")[0] == 200  # names resolve: its clients stay
        refused = again.command("reload")
        assert refused.returncode == 1 and told in refused.stderr
        assert again.addresses("bet.example", source=CHILD) == BLOCKED
        again.write(SETTINGS.replace("  - {id: bets, category: gamb, path: bets.hosts.txt}\n", ""))
        assert again.command("reload").returncode == 0
        assert again.addresses("bet.example", source=CHILD) == ["192.0.2.90"]
        assert "TỆP CẤU HÌNH" not in again.command("status").stdout and again.metric("lachan_last_reload_successful") == 1
    with service(tmp_path, text, upstream) as third:  # what was reloaded is what is kept
        assert third.addresses("bet.example", source=CHILD) == ["192.0.2.90"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_whatever_cannot_be_read_the_last_good_settings_can(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not YAML, cut off in the middle, unknown keys: the settings that were kept, with paths that begin where the file stands."""
    prepare(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    path = tmp_path / "lachan.yaml"
    path.write_text(SETTINGS.replace("{upstream}", "5353").replace("{metrics}", "9153"))
    good, refused = load_or_last_good(path)
    assert refused is None
    keep(good)
    path.write_text(text)
    stands_in, refused = load_or_last_good(path)
    assert stands_in == good and refused is not None
    assert str(refused.mistakes[0]) in describe(refused)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(SettingsError):
        load_or_last_good(path)


def test_lists_are_prepared_anew_from_the_last_good_settings(upstream: RunningUpstream, tmp_path: Path) -> None:
    """An upgrade that knows a list better compiles again, also while the file has a mistake."""
    prepare(tmp_path)
    with service(tmp_path, SETTINGS, upstream) as running:
        pass
    (tmp_path / "games.txt").write_text("game.example\nlesson.example\n")
    with service(tmp_path, SETTINGS + "nonsense: 1\n", upstream) as again:
        assert again.addresses("lesson.example", source=CHILD) == BLOCKED
        assert again.addresses("game.example", source=CHILD) == BLOCKED
        again.metrics = running.metrics
        (tmp_path / "games.txt").write_text("game.example\n")
        assert again.command("prepare", "--commit").returncode == 0  # as every list that is refreshed
        assert again.status()["last_change"]["outcome"] == "applied"
        assert again.addresses("lesson.example", source=CHILD) == ["192.0.2.80"]
        assert again.metric("lachan_last_reload_successful") == 0  # the file is still refused


def test_a_person_at_the_terminal_reads_the_mistake_instead(upstream: RunningUpstream, tmp_path: Path) -> None:
    """Without a service's word, before the first good start, and for somebody else's file: one sentence, exit status 1."""
    prepare(tmp_path)
    nonsense = SETTINGS + "nonsense: 1\n"
    first = service(tmp_path, nonsense, upstream).command("run")
    assert first.returncode == 1 and "nonsense" in first.stderr and "Traceback" not in first.stderr
    with service(tmp_path, SETTINGS, upstream):
        pass
    by_hand = Gateway(tmp_path, nonsense, upstream=upstream.port).command("run")
    assert by_hand.returncode == 1 and "nonsense" in by_hand.stderr
    kept = tmp_path / "var" / "settings.last-good"
    kept.write_text(kept.read_text().replace(str(tmp_path), "/elsewhere"))
    other = service(tmp_path, nonsense, upstream).command("run")
    assert other.returncode == 1 and "nonsense" in other.stderr


@pytest.mark.parametrize("has_copy", [True, False])
def test_certificate_that_cannot_be_used_costs_no_plain_answer(has_copy: bool, upstream: RunningUpstream, tmp_path: Path) -> None:
    """A renewal went wrong weeks ago; at the next start the last good copy serves phones, and without one plain DNS still answers."""
    prepare(tmp_path)
    authority = Authority(tmp_path)
    pair = authority.vouch("dns.example")
    text = SETTINGS + f"tls: {{certificate: {pair.certificate}, key: {pair.key}}}\ndot: {{listen: ['127.0.0.1:{free_port()}']}}\n"
    with service(tmp_path, text, upstream) as running:
        assert over_tls(running, authority) == OPEN
    if not has_copy:
        for path in (tmp_path / "var").glob("settings.last-good.*"):
            path.unlink()
    whole = pair.certificate.read_bytes()
    pair.certificate.write_bytes(whole[:200])
    with service(tmp_path, text, upstream) as again:
        again.metrics = running.metrics
        assert again.addresses("open.example", source=ADULT) == OPEN and again.addresses("bet.example", source=CHILD) == BLOCKED
        assert ("dot" in [row["transport"] for row in again.status()["listen"]]) is has_copy
        if has_copy:
            assert over_tls(again, authority) == OPEN
        said = again.command("status").stdout
        assert "CHỨNG CHỈ KHÔNG DÙNG ĐƯỢC" in said and "cannot be used together" in said
        assert again.status()["last_change"]["outcome"] == "refused"
        assert again.command("check").returncode == 1
        pair.certificate.write_bytes(whole)
        assert again.command("reload").returncode == 0 and "CHỨNG CHỈ" not in again.command("status").stdout
    with service(tmp_path, text, upstream) as mended:
        assert over_tls(mended, authority) == OPEN
    keys = [path for path in (tmp_path / "var").iterdir() if path.name.startswith("settings.last-good")]
    assert len(keys) == 3 and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)


@pytest.mark.parametrize("is_beside_another", [False, True])
def test_server_by_name_that_is_not_found_costs_no_name(is_beside_another: bool, upstream: RunningUpstream, tmp_path: Path) -> None:
    """The machine asks this gateway itself, so at its start nobody can tell the address: last time's is used, or the server beside it."""
    prepare(tmp_path)
    plain, named = f"udp://127.0.0.1:{upstream.port}", f"udp://resolver.invalid:{upstream.port}"

    def text(*servers: str) -> str:
        return SETTINGS.replace('"udp://127.0.0.1:{upstream}"', ", ".join(f'"{server}"' for server in servers))

    with service(tmp_path, text(plain if is_beside_another else f"{named}@127.0.0.1"), upstream):
        pass
    lost = text(named, plain) if is_beside_another else text(named)
    for _ in range(2):  # what is known stays known
        with service(tmp_path, lost, upstream) as again:
            assert again.addresses("open.example", source=ADULT) == OPEN and again.addresses("bet.example", source=CHILD) == BLOCKED
            said = again.command("status").stdout
            assert "KHÔNG TÌM ĐƯỢC ĐỊA CHỈ" in said and "the address of 'resolver.invalid' was not found" in said
            assert again.status()["last_change"]["outcome"] == "refused"
            checked = again.command("check")
            assert checked.returncode == 1 and "resolver.invalid" in checked.stdout + checked.stderr
            again.write(text(plain))
            assert again.command("reload").returncode == 0 and "KHÔNG TÌM" not in again.command("status").stdout
            again.write(lost)
            assert again.command("reload").returncode == 1
    by_hand = Gateway(tmp_path, lost, upstream=upstream.port).command("run")
    assert by_hand.returncode == 1 and "resolver.invalid" in by_hand.stderr


@pytest.mark.parametrize("text", ["", "# nothing but words\n", "---\n"], ids=["nought octets", "comments", "a mark"])
def test_empty_file_is_no_file_of_defaults(text: str, upstream: RunningUpstream, tmp_path: Path) -> None:
    """By hand, too: check, reload and run say one sentence, and what is in force stays; `{}` is what asks for the defaults."""
    prepare(tmp_path)
    said = "tệp này trống, không có thiết lập nào / this file is empty"
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port) as running:
        running.write(text)
        for command in ("check", "reload"):
            refused = running.command(command)
            assert refused.returncode == 1 and said in refused.stderr, refused
        os.kill(running.pid, signal.SIGHUP)
        time.sleep(1)
        assert running.addresses("bet.example", source=CHILD) == BLOCKED
        assert running.stop() == 0
        again = running.command("run")
        assert again.returncode == 1 and said in again.stderr and len(again.stderr.strip().splitlines()) == 1
        running.write("{}\n")
        assert running.command("check").returncode == 0


def test_empty_file_elsewhere_says_so_whatever_is_asked(tmp_path: Path) -> None:
    """Where nobody knows the state directory: the sentence, not that nothing runs."""
    (tmp_path / "lachan.yaml").write_text("\n")
    for command in ("status", "reload", "check"):
        refused = run_command(command, "-c", str(tmp_path / "lachan.yaml"))
        assert refused.returncode == 1 and "this file is empty" in refused.stderr, command


def test_route_whose_server_is_not_found_costs_only_its_own_names(upstream: RunningUpstream, tmp_path: Path) -> None:
    """The school's inner domain has a server by name, which nobody could ever look up: plain names go on, the domain fails with its reason
    at once instead of being asked elsewhere, and it is said; as soon as the address is written, it is asked there."""
    prepare(tmp_path)

    def text(route: str) -> str:
        server = '"udp://127.0.0.1:{upstream}"'
        return SETTINGS.replace(f"[{server}]", f"[{server}], routes: {{open.example: ['{route}']}}")

    with service(tmp_path, text(f"udp://resolver.invalid:{upstream.port}"), upstream) as running:
        assert running.addresses("lesson.example", source=ADULT) == ["192.0.2.80"]
        for name in ("open.example", "deep.open.example"):
            started = time.monotonic()
            reply = running.ask(name, source=ADULT)
            assert (reply.rcode(), ede_codes(reply)) == (dns.rcode.SERVFAIL, [22]) and time.monotonic() - started < 1
        said = running.command("status").stdout
        assert "KHÔNG TÌM ĐƯỢC ĐỊA CHỈ" in said and "upstreams.routes" in said and "'resolver.invalid' was not found" in said
        assert running.http("/readyz")[0] == 200
        running.write(text(f"udp://resolver.invalid:{upstream.port}@127.0.0.1"))
        assert running.command("reload").returncode == 0
        assert running.addresses("open.example", source=ADULT) == OPEN and "KHÔNG TÌM" not in running.command("status").stdout


def test_worker_that_starts_anew_while_the_certificate_is_broken_answers_plainly(upstream: RunningUpstream, tmp_path: Path) -> None:
    """A renewal goes wrong, then a worker dies: plain DNS goes on, and phones are served again as soon as the files are good."""
    prepare(tmp_path)
    authority = Authority(tmp_path)
    pair = authority.vouch("dns.example")
    text = SETTINGS + f"tls: {{certificate: {pair.certificate}, key: {pair.key}}}\ndot: {{listen: ['127.0.0.1:{free_port()}']}}\n"
    with service(tmp_path, text, upstream) as running:
        whole = pair.certificate.read_bytes()
        pair.certificate.write_bytes(b"junk")
        for worker in running.status()["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        running.wait_until_ready(30)
        for number in range(8):
            assert running.addresses("open.example", source=ADULT) == OPEN, number
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            over_tls(running, authority)
        assert '"event": "tls.broken"' in running.written()
        pair.certificate.write_bytes(whole)
        end = time.monotonic() + 20
        while True:
            try:
                assert over_tls(running, authority) == OPEN
                break
            except (ssl.SSLError, OSError, EOFError):
                assert time.monotonic() < end
                time.sleep(0.2)


def over_tls(gateway: Gateway, authority: Authority) -> list[str]:
    """What a phone gets that trusts this authority."""
    port = next(int(row["address"].rpartition(":")[2]) for row in gateway.status()["listen"] if row["transport"] == "dot")
    context = ssl.create_default_context(cafile=str(authority.file))
    question = dns.message.make_query("open.example", "A")
    reply = dns.query.tls(question, "127.0.0.1", 5, port, ssl_context=context, server_hostname="dns.example", source=ADULT)
    return [str(rdata) for rrset in reply.answer for rdata in rrset]
