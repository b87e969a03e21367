"""What the numbers for operators say of children, asked of the real program: protected groups, small places, sums over a killed worker."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import dns.rcode

from tests.support.client import answers
from tests.support.gateway import Gateway, RunningUpstream

PROTECTED = ("self", "csam", "groom")
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
lists:
  - {id: from-self, category: self, path: self.txt}
  - {id: from-csam, category: csam, path: csam.txt}
  - {id: from-groom, category: groom, path: groom.txt}
  - {id: from-gamb, category: gamb, path: gamb.txt}
profiles:
  - {id: be, band: TH}
default_profile: be
"""
LINE = re.compile(r"^lachan_blocked_total\{(.*)\} (\S+)$", re.MULTILINE)


def blocked(gateway: Gateway) -> dict[tuple[str, ...], float]:
    """Blocks by category, band, site class and source; those that were never counted are left out."""
    found = {}
    for labels, value in LINE.findall(gateway.http("/metrics")[1]):
        by_name = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if float(value):
            found[tuple(by_name[name] for name in ("category", "band", "site_class", "source"))] = float(value)
    return found


def test_what_hurts_a_child_is_one_number_without_age_or_source_also_over_a_killed_worker(tmp_path: Path) -> None:
    """Three groups are told as `protected`, a place of a few devices as `small`; no block is lost or counted twice when a worker dies."""
    for category in (*PROTECTED, "gamb"):
        (tmp_path / f"{category}.txt").write_text(f"{category}.example\n")
    with RunningUpstream({}) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port) as gateway:
        for number in (1, 2):
            for category in (*PROTECTED, "gamb"):
                for source in range(1, 6):
                    reply = gateway.ask(f"{category}.example", source=f"127.0.0.{source}")
                    assert (reply.rcode(), answers(reply)) == (dns.rcode.NOERROR, ["0.0.0.0"])
            wanted = {"protected": 15.0 * number, "gamb": 5.0 * number}
            end = time.monotonic() + 10
            while {row[0]: count for row, count in blocked(gateway).items()} != wanted and time.monotonic() < end:
                time.sleep(0.1)
            found = blocked(gateway)
            assert {row[0]: count for row, count in found.items()} == wanted
            for category, band, site_class, source in found:
                assert site_class == "small"
                assert (band, source) == ("", "") if category == "protected" else (band == "TH" and source)
            if number == 1:
                os.kill(gateway.status()["workers"][0]["pid"], signal.SIGKILL)
                time.sleep(0.5)
                gateway.wait_until_ready()
        # The age and size of a list stand under its id: they say nothing of anybody who asked.
        page = gateway.http("/metrics")[1]
        lines = [line for line in page.splitlines() if line.startswith("lachan_") and not line.startswith("lachan_list_")]
        assert not [line for line in lines for category in PROTECTED if f'"{category}"' in line or f"from-{category}" in line]
