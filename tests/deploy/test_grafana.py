"""The dashboard: every query of it returns data from a real Prometheus that reads a real gateway."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.metrics import METRICS
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "lachan.json"
SCRAPE_SECONDS = 1
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: games, category: game, path: games.txt}
profiles:
  - {id: be, band: TH, youtube: strict}
  - {id: lon, band: NL}
clients:
  - {id: may-be, profile: be, match: [127.0.0.1]}
  - {id: may-lon, profile: lon, match: [127.0.0.2]}
default_profile: be
"""
RECORDS = {
    ("open.example", "A"): ["192.0.2.20"],
    ("forcesafesearch.google.com", "A"): ["216.239.38.120"],
    ("theirs.example", "A"): ["0.0.0.0"],
}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return found + [(each["name"], each["expr"]) for each in document["annotations"]["list"]]


def test_panels_have_both_languages_and_a_place() -> None:
    """Every title is Vietnamese and English; no panel lies on another; ids are unique."""
    places: set[tuple[int, int]] = set()
    for panel in panels():
        assert " / " in panel["title"]
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]]
    assert len(ids) == len(set(ids))


def test_dashboard_names_only_metrics_that_exist() -> None:
    """A renamed metric would leave an empty panel."""
    for title, expression in queries():
        for name in re.findall(r"lachan_[a-z0-9_]+", expression):
            base = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert base in METRICS or name in METRICS, f"{title}: {name}"


class Prometheus:
    """A real one on loopback, reading one gateway every second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        self._folder = folder
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
            "scrape_configs": [{"job_name": "lachan", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))

    def __enter__(self) -> Prometheus:
        with (self._folder / "prometheus.log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "GOMAXPROCS": "1"},
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def query(self, expression: str) -> list[Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=10) as reply:
            document = json.loads(reply.read())
        assert document["status"] == "success"
        return list(document["data"]["result"])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A gateway with some life in it, read for a few seconds."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "games.txt").write_text("game.example\n")
    with (
        RunningUpstream(RECORDS) as upstream,
        Gateway(folder, SETTINGS, upstream=upstream.port) as gateway,
        Prometheus(folder, gateway.metrics) as prometheus,
    ):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            live(gateway)
            time.sleep(0.3)
            try:
                done = prometheus.query("count_over_time(lachan_rewritten_total[1m]) > 6 and on() (lachan_identified_queries_total > 0)")
            except (OSError, AssertionError):
                continue
            if done:
                break
        yield prometheus


def live(gateway: Gateway) -> None:
    """A little of everything."""
    for name in ("open.example", "game.example", "www.google.com", "theirs.example", "nobody.example", "health.lachan.internal"):
        gateway.ask(name)
        gateway.ask(name, source="127.0.0.2")
    gateway.ask("open.example", tcp=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as broken:
        broken.sendto(b"\0" * 20, ("127.0.0.1", gateway.port))


@pytest.mark.full
@pytest.mark.parametrize(("title", "expression"), queries(), ids=lambda text: text[:40])
def test_query_returns_data(board: Prometheus, title: str, expression: str) -> None:
    """With the variables filled in as Grafana does, the query has a result."""
    filled = expression.replace("$__rate_interval", "10s").replace("$__interval", "10s").replace("$instance", ".*")
    if title.startswith("Bản chính sách mới"):
        filled = filled.replace(" > 0", " >= 0")  # an event: there may be none just now
    assert board.query(filled), title
