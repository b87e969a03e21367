"""Several downloads side by side: a slow one holds up nothing but itself."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from blocklists.downloads import AT_ONCE, Download, fetch_all
from blocklists.fetch import Fetched, Fetcher, FetchLimits, Validators
from gateway.errors import FetchError
from tests.support.listserver import ListServer, Page


def _wanted(server: ListServer, folder: Path, *paths: str) -> list[Download]:
    return [Download(path, server.url(f"/{path}"), folder / path, Validators()) for path in paths]


def test_downloads_are_all_brought_and_each_is_told_of(tmp_path: Path) -> None:
    """More lists than run at once: every one has an outcome, a failed one is an error among files."""
    names = [f"l{number}" for number in range(AT_ONCE * 2 + 1)]
    heard: list[str] = []
    with ListServer() as server:
        for name in names[1:]:
            server.pages[f"/{name}"] = Page(f"{name}.example\n".encode())
        outcomes = fetch_all(Fetcher(FetchLimits(allow_private=True)), _wanted(server, tmp_path, *names), heard.append)
    assert sorted(heard) == names
    failed = outcomes.pop("l0")
    assert isinstance(failed, FetchError) and failed.code == "status"
    assert all(isinstance(outcome, Fetched) and outcome.changed for outcome in outcomes.values())
    assert (tmp_path / "l3").read_bytes() == b"l3.example\n"


def test_download_that_never_begins_is_given_up(tmp_path: Path) -> None:
    """A server that drips its headers would keep a reader for ever; its list fails, the others do not wait."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(40):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    with ListServer() as server:
        server.pages["/slow"] = drip
        server.pages["/quick"] = Page(b"a.example\n")
        limits = FetchLimits(total_time=0.3, read_timeout=0.3, allow_private=True)
        started = time.monotonic()
        outcomes = fetch_all(Fetcher(limits), _wanted(server, tmp_path, "slow", "quick"), lambda id_: None, grace=0.1)
        assert time.monotonic() - started < 1.5
    assert isinstance(outcomes["quick"], Fetched)
    slow = outcomes["slow"]
    assert isinstance(slow, FetchError) and slow.code == "time"


def test_unexpected_failure_of_one_download_is_its_outcome(tmp_path: Path) -> None:
    """A disk that refuses one file fails that list and no other."""
    with ListServer() as server:
        server.pages["/a"] = server.pages["/b"] = Page(b"a.example\n")
        (tmp_path / "a").mkdir()
        outcomes = fetch_all(Fetcher(FetchLimits(allow_private=True)), _wanted(server, tmp_path, "a", "b"), lambda id_: None)
    broken = outcomes["a"]
    assert isinstance(broken, FetchError) and broken.code == "internal"
    assert isinstance(outcomes["b"], Fetched)
