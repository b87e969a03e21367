"""Fetching subscriptions when they are due, in a child, whatever goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway import release
from lachan import refreshing
from lachan.refreshing import (
    AFTER_FAILURE,
    LONGEST,
    MOST_REASON,
    SHORTEST,
    reason_in,
    refresh_once,
    sleep_until_due,
    version_of,
    wait_after,
)


class Publisher(BaseHTTPRequestHandler):
    """A list on a web server."""

    def do_GET(self) -> None:
        """Answer with two names."""
        body = b"one.example\ntwo.example\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def publisher() -> Iterator[int]:
    """A web server on loopback."""
    web = HTTPServer(("127.0.0.1", 0), Publisher)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield web.server_port
    web.shutdown()
    thread.join()
    web.server_close()


def test_due_list_is_fetched_compiled_and_put_in_force(publisher: int, tmp_path: Path) -> None:
    """One round brings the names of the subscription; the next round waits for its interval."""
    path = tmp_path / "lachan.yaml"
    path.write_text(
        f"""\
state_dir: var
lists: [{{id: games, category: game, url: "http://127.0.0.1:{publisher}/games.txt", refresh: 24h}}]
lists_fetch: {{allow_private: true}}
"""
    )
    assert refresh_once(path)
    manifest = release.read_manifest(tmp_path / "var")
    rows = {row["id"]: row["entries"] for row in release.read_index_header(tmp_path / "var", manifest.index_dir)["sources"]}
    assert rows["games"] == 2
    assert wait_after(True, path) == LONGEST


def test_failure_waits_a_while_and_touches_nothing(tmp_path: Path) -> None:
    """A broken file is no reason to stop asking later."""
    path = tmp_path / "lachan.yaml"
    path.write_text("lists: {}\n")
    assert not refresh_once(path)
    assert wait_after(False, path) == AFTER_FAILURE
    assert wait_after(True, path) == AFTER_FAILURE


def test_list_never_fetched_is_due_at_once(tmp_path: Path) -> None:
    """But never in a tight loop."""
    path = tmp_path / "lachan.yaml"
    path.write_text('state_dir: var\nlists: [{id: a, category: ads, url: "https://lists.example/a.txt"}]\n')
    assert wait_after(True, path) == SHORTEST


def test_changed_configuration_wakes_the_sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was just added is not fetched an hour later."""
    monkeypatch.setattr(refreshing, "LOOK", 0.02)
    path = tmp_path / "lachan.yaml"
    assert version_of(path) == (0, 0)
    seen = version_of(path)
    writer = threading.Timer(0.1, path.write_text, ["lists: []\n"])
    writer.start()
    started = time.monotonic()
    sleep_until_due(path, seen, 30)
    assert time.monotonic() - started < 5
    sleep_until_due(path, version_of(path), 0.05)
    writer.join()


def test_every_mistake_of_the_file_stands_in_the_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line that begins in the middle of a sentence leads nobody to the first mistake."""
    path = tmp_path / "lachan.yaml"
    rows = "".join(f"  - {{id: may-{number}, profile: lon, match: [nonsense-{number}]}}\n" for number in range(9))
    path.write_text(f"state_dir: var\nprofiles: [{{id: lon, band: NL}}]\ndefault_profile: lon\nclients:\n{rows}")
    assert not refresh_once(path)
    (record,) = [each for each in caplog.records if getattr(each, "event", "") == "lists.failed"]
    reason = record.reason  # type: ignore[attr-defined]
    assert reason.startswith("lỗi / error: lachan.yaml:5: clients[0].match")
    assert all(f"clients[{number}].match" in reason for number in range(9))


def test_very_much_text_keeps_its_first_and_last_lines() -> None:
    """A traceback ends with what happened, a list of mistakes begins with the first."""
    lines = [f"line {number} {'x' * 100}" for number in range(1000)]
    reason = reason_in("\n".join(lines).encode())
    assert len(reason) < MOST_REASON + 10
    first, last = reason.split("\n…\n")
    assert first.startswith(lines[0]) and first.split("\n")[-1] in lines and last.split("\n")[0] in lines and last.endswith(lines[-1])
    assert len(reason_in(b"y" * 100_000)) <= MOST_REASON + 10 and reason_in(b" short\n") == "short"
