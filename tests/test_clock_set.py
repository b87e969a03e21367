"""The clock of the machine is set while the real program runs: what was open because the clock was wrong closes again by itself."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from gateway.clock import VIET_NAM
from tests.support.gateway import Gateway, RunningUpstream

# Stands for the system's clock: a second file says by how many seconds it was set. The monotonic clock runs on.
_SET = """
import os, time
_real, _file = time.time, os.environ["CLOCK_SET_BY"]
def _time():
    with open(_file) as file:
        return _real() + float(file.read() or 0)
time.time = _time
"""
_DAYS = 50 * 86400


def test_clock_that_was_ahead_leaves_nothing_open(tmp_path: Path) -> None:
    """Fifty days ahead, bedtime is over and the order has ended; a second after the clock is right both are in force again."""
    by = tmp_path / "by"
    by.write_text("0")
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(_SET)
    now = datetime.now(VIET_NAM)
    begins, ends = ((now + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (-30, 240))
    until = (now + timedelta(days=20)).date().isoformat()
    dates = f"issued_on: 2026-01-01, from: 2026-01-01, until: {until}"
    (tmp_path / "orders.yaml").write_text(f"- {{number: 12/QĐ, issuer: Sở, {dates}, basis: [Luật], items: [{{name: listed.example}}]}}\n")
    text = f"""
state_dir: var
dns: {{listen: ["127.0.0.1:0"], workers: 1}}
upstreams: {{servers: ["udp://127.0.0.1:{{up}}"]}}
takedown: {{file: orders.yaml}}
profiles:
  - {{id: be, band: TH, schedule: [{{name: ngủ, from: "{begins}", to: "{ends}", effect: offline}}]}}
  - {{id: chi, band: TH}}
clients: [{{id: may-be, profile: be, match: [127.0.0.1]}}, {{id: may-chi, profile: chi, match: [127.0.0.3]}}]
default_profile: be
metrics: {{listen: "127.0.0.1:{{metrics}}"}}
"""
    answers = {("open.example", "A"): ["203.0.114.1"], ("listed.example", "A"): ["203.0.114.2"]}
    environment = {"CLOCK_SET_BY": str(by), "PYTHONPATH": str(place)}
    with RunningUpstream(answers) as up, Gateway(tmp_path, text, command="gateway", environment=environment, up=up.port) as gateway:

        def asked() -> tuple[list[str], list[str]]:
            return gateway.addresses("open.example", source="127.0.0.1"), gateway.addresses("listed.example", source="127.0.0.3")

        def becomes(wanted: tuple[list[str], list[str]]) -> bool:
            last = time.monotonic() + 5
            while asked() != wanted:
                if time.monotonic() > last:
                    return False
                time.sleep(0.1)
            return True

        closed = (["0.0.0.0"], ["0.0.0.0"])
        assert asked() == closed
        by.write_text(str(_DAYS + 8 * 3600))
        assert becomes((["203.0.114.1"], ["203.0.114.2"]))
        by.write_text("0")
        assert becomes(closed)
