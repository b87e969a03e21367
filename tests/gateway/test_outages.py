"""The last upstream is gone, one is back: what an operator is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from gateway.outages import OutageWatch
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.upstream import ScriptedUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["{server}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: lon, band: NL}]
default_profile: lon
"""
RECORDS = {("open.example", "A"): ["192.0.2.20"]}


def row(up: bool, answered: int, fault: str = "", *, is_default: bool = True, failed: int = 0) -> dict[str, Any]:
    """One upstream as a worker sees it."""
    counts = {"asked": answered + failed, "answered": answered, "failed": failed}
    return {"default": is_default, "up": up, "fault": fault, "detail": ""} | counts


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_one_line_when_all_are_gone_and_one_when_one_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """An idle worker hides nothing, a worker that still gets answers does, a route that lives counts for nothing."""
    caplog.set_level(logging.INFO, "gateway.outages")
    watch = OutageWatch()
    route = row(True, 0, is_default=False)
    for second, workers in enumerate(
        [
            [],
            [[]],
            [[row(True, 5), route], [row(True, 0), route]],
            [[row(False, 5, "timeout"), route], [row(True, 1), route]],  # the other worker has just had an answer
            [[row(False, 5, "timeout"), row(True, 5)], [row(True, 1)]],
        ]
    ):
        watch.look(workers, float(second))
        assert not watch.is_out
    for second in range(5, 15):
        gone = [[row(False, 10, "timeout", failed=second), row(False, 0, "tls"), route], [row(True, 1), route]]
        watch.look(gone, float(second))
    assert watch.is_out
    watch.look([[row(True, 11), row(False, 0, "tls"), route], [row(True, 1), route]], 15.0)
    assert not watch.is_out
    assert [(each.event, getattr(each, "reasons", None)) for each in caplog.records] == [  # type: ignore[attr-defined]
        ("upstreams.gone", ["timeout", "tls"]),
        ("upstreams.back", None),
    ]


def test_worker_that_nobody_asks_any_more_knows_of_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    """The line was gone for a minute at night. One worker has not been asked since, the others answer now and then: all is well. When it
    is asked again and the line is gone, it is told."""
    watch = OutageWatch()
    idle = [row(False, 10, "timeout", failed=30)]
    for second in range(60):
        watch.look([idle, [row(True, 5 + second // 10)]], float(second))
        assert not watch.is_out
    for second in range(60, 70):
        watch.look([[row(False, 10, "timeout", failed=second)], [row(True, 10)]], float(second))
    assert watch.is_out and [each.event for each in caplog.records] == ["upstreams.gone"]  # type: ignore[attr-defined]


def test_certificate_nobody_trusts_is_told_where_people_look(tmp_path: Path) -> None:
    """A resolver of the operator's own with a certificate of its own: the client, the status, the log, the note."""
    certificate = Authority(tmp_path).vouch("dot.example", "127.0.0.1")
    upstream = ScriptedUpstream(RECORDS, tls=certificate.context("dot"))
    with RunningUpstream(upstream=upstream):
        server = f"tls://dot.example:{upstream.tls_port}@127.0.0.1"
        with Gateway(tmp_path, SETTINGS, server=server) as running:
            look_at(running)


def look_at(running: Gateway) -> None:
    """Ask, and look where people look."""
    until(lambda: "not asked yet" in running.command("status").stdout)  # the workers have told how they are
    until(lambda: running.ask("open.example") and running.metric("lachan_default_upstreams_up_workers") < 2)
    reply = running.ask("open.example")
    assert reply.rcode() == dns.rcode.SERVFAIL and ede_codes(reply) == [23]
    assert "the upstream's certificate is not trusted" in str([option.to_text() for option in reply.options])
    until(lambda: "upstreams.gone" in running.written())
    said = running.command("status").stdout
    assert "not asked yet" not in said and "chứng chỉ không đáng tin / certificate not trusted (" in said
    assert "NO upstream answers" in said and "NO upstream answers" in running.http("/readyz")[1]
    assert running.http("/readyz")[0] == 200
    assert running.written().count("upstreams.gone") == 1 and "open.example" not in running.written()


def test_upstream_that_dies_and_comes_back_is_two_lines(tmp_path: Path) -> None:
    """Not one for each question, nor for each worker."""
    with RunningUpstream(RECORDS) as upstream, Gateway(tmp_path, SETTINGS, server=f"udp://127.0.0.1:{upstream.port}") as running:
        assert running.addresses("open.example") == ["192.0.2.20"]
        upstream.stop()
        until(lambda: running.ask("other.example") and "upstreams.gone" in running.written(), 40)
        assert "does not answer" in running.command("status").stdout
        upstream.start()
        until(lambda: running.ask("other.example") and "upstreams.back" in running.written(), 40)
        assert running.written().count("upstreams.gone") == 1
        assert "NO upstream answers" not in running.command("status").stdout
