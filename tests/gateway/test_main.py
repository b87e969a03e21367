"""`python -m gateway STATE_DIR`: the data plane alone, as a program."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import dns.message
import dns.query
import pytest

from gateway.__main__ import main
from tests.support.echogateway import free_port
from tests.support.gateway import RunningUpstream
from tests.support.generation import action, make_generation

SECONDS = 60.0


def first_reply(port: int, name: str, process: subprocess.Popen[str]) -> dns.message.Message:
    """The first reply to a question for `name`, once the program answers."""
    query = dns.message.make_query(name, "A")
    until = time.monotonic() + SECONDS
    while True:
        try:
            return dns.query.tcp(query, "127.0.0.1", port=port, timeout=5.0)
        except (OSError, EOFError, dns.exception.Timeout):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)


def test_answers_by_the_generation_it_finds(tmp_path: Path) -> None:
    """No configuration, no database, no list office: names resolve and the lists of the generation block."""
    state = make_generation(tmp_path / "state", lists={"province": action("block", "bad.example")})
    port = free_port()
    with RunningUpstream({("www.example.com", "A"): ["192.0.2.1"]}) as upstream:
        words = [str(state), "--listen", f"127.0.0.1:{port}", "--upstream", f"udp://127.0.0.1:{upstream.port}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            reply = first_reply(port, "www.example.com.", process)
            assert [str(row) for rrset in reply.answer for row in rrset] == ["192.0.2.1"]
            blocked = first_reply(port, "x.bad.example.", process)
            assert [str(row) for rrset in blocked.answer for row in rrset] == ["0.0.0.0"]
        finally:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "example.com" not in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--listen", "53"], "'53' is not HOST:PORT"),
        (["--listen", "127.0.0.1:70000"], "is not HOST:PORT"),
        (["--metrics", ":9"], "is not HOST:PORT"),
        (["--upstream", "gopher://192.0.2.1"], "gopher"),
    ],
)
def test_wrong_word_is_told_in_one_sentence(words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line is one sentence and exit status 1, never a traceback."""
    assert main([str(tmp_path), *words]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_state_directory_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Without its one argument the program says how it is used."""
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "STATE_DIR" in capsys.readouterr().err.upper()
