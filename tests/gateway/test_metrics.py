"""Declared metrics and the counts of one worker."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.metrics import BLOCKED, METRICS, QUERIES, UPSTREAM_SECONDS, Counters, Metric, most_series
from gateway.totals import Totals

FORBIDDEN = {"name", "qname", "domain", "host", "client", "address", "ip", "profile", "tenant", "family", "school", "device", "mac", "site"}
UNITS = ("_seconds", "_bytes", "_info", "_timestamp_seconds")


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_metric_names_follow_the_rules(metric: Metric) -> None:
    """Prefix, letters, a unit where there is one, a help text, and no label that could hold a person or a name."""
    assert re.fullmatch(r"lachan_[a-z0-9_]+", metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert metric.help.endswith(".")
    assert not FORBIDDEN & {label.name for label in metric.labels}
    if metric.kind == "histogram":
        assert metric.name.endswith(UNITS)
        assert list(metric.buckets) == sorted(metric.buckets)


def test_number_of_series_is_bounded() -> None:
    """Even a hostile configuration cannot make more series than Prometheus takes with ease; a usual one has few."""
    for metric in METRICS.values():
        for label in metric.labels:
            assert label.values is not None or label.at_most <= 300
    assert most_series([BLOCKED]) <= 3001
    assert most_series(METRICS.values()) < 20_000


def test_exported_series_of_a_busy_gateway_stay_few() -> None:
    """A worker that meets thousands of different values still exports a bounded number of series."""
    counters, totals = Counters(), Totals()
    for number in range(6000):
        counters.blocked(f"c{number % 70}", "TH", f"class{number % 11}", f"list{number % 97}").n += 1
        counters.add(QUERIES, ("udp", f"TYPE{number}"))
        counters.observe(UPSTREAM_SECONDS, (f"udp://192.0.2.{number}:53",), 0.01)
    totals.take(0, counters.harvest())
    samples = [sample for family in text_string_to_metric_families(totals.expose().decode()) for sample in family.samples]
    assert len(samples) < 4500


def test_harvest_gives_counts_once() -> None:
    """What was harvested is not given again; gauges are."""
    counters = Counters()
    cell = counters.cell(QUERIES, "udp", "A")
    cell.n += 5
    counters.add(QUERIES, ("udp", "A"), 2)
    counters.set(metrics.CACHE_ENTRIES, (), 9)
    assert counters.harvest() == [["lachan_queries", ["udp", "A"], 7], ["lachan_cache_entries", [], 9]]
    cell.n += 1
    assert counters.harvest() == [["lachan_queries", ["udp", "A"], 1], ["lachan_cache_entries", [], 9]]


def test_cell_is_the_same_object_every_time() -> None:
    """The fast path may keep it."""
    counters = Counters()
    assert counters.cell(QUERIES, "udp", "A") is counters.cell(QUERIES, "udp", "A")
    assert counters.cell(QUERIES, "udp", "TYPE999") is counters.cell(QUERIES, "udp", "other")


@pytest.mark.parametrize("category", ["self", "csam", "groom"])
def test_protected_categories_lose_band_and_source(category: str) -> None:
    """They leave the worker as one category, so that nobody can be found through them."""
    counters = Counters()
    counters.blocked(category, "TH", "home", "some-list").n += 1
    assert counters.harvest() == [["lachan_blocked", ["protected", "", "home", ""], 1]]


def test_histogram_rows_have_one_number_per_bucket() -> None:
    """Observations fall into the first bucket that holds them; the last two numbers are the rest and the sum."""
    counters = Counters()
    for seconds in (0.001, 0.002, 0.3, 99.0):
        counters.observe(UPSTREAM_SECONDS, ("u",), seconds)
    [[_, _, row]] = counters.harvest()
    assert isinstance(row, list)
    assert row[0] == row[1] == 1
    assert (row[-2], row[-1]) == (1, pytest.approx(99.303))
    assert sum(row[:-1]) == 4


def test_wrong_number_of_labels_is_an_error() -> None:
    """A mistake of the programmer shows at once."""
    with pytest.raises(ValueError, match="2 labels"):
        Counters().cell(QUERIES, "udp")


@pytest.mark.full
@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_promtool_accepts_the_exposition(tmp_path: Path) -> None:
    """promtool's own linter finds nothing wrong with names, types and help texts."""
    counters, totals = Counters(), Totals()
    for metric in METRICS.values():
        labels = tuple("x" for _ in metric.labels)
        if metric.kind == "counter":
            counters.add(metric, labels)
        elif metric.kind == "gauge":
            totals.set(metric, labels, 1)
        else:
            counters.observe(metric, labels, 0.01)
    totals.take(0, counters.harvest())
    done = subprocess.run(["promtool", "check", "metrics"], input=totals.expose(), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
