"""Sums over workers and restarts."""

from __future__ import annotations

import pytest

from gateway import totals as module
from gateway.metrics import ACTIVE_DEVICES, BLOCKED, CACHE_ENTRIES, QUERIES, UPSTREAM_SECONDS, UPSTREAM_UP, WORKER_RESTARTS, Counters
from gateway.totals import ActiveDevices, Totals


def rows_of(count: int) -> list[list[object]]:
    counters = Counters()
    counters.add(QUERIES, ("udp", "A"), count)
    counters.set(CACHE_ENTRIES, (), count)
    counters.observe(UPSTREAM_SECONDS, ("u",), 0.03)
    return counters.harvest()


def test_counters_add_up_and_survive_a_worker() -> None:
    """Counters are sums over all workers that ever lived; gauges only over the living."""
    totals = Totals()
    totals.take(0, rows_of(3))
    totals.take(1, rows_of(4))
    assert (totals.value(QUERIES, ("udp", "A")), totals.value(CACHE_ENTRIES)) == (7, 7)
    totals.forget_worker(0)
    assert (totals.value(QUERIES, ("udp", "A")), totals.value(CACHE_ENTRIES)) == (7, 4)
    totals.take(0, rows_of(1))
    assert totals.value(QUERIES, ("udp", "A")) == 8


def test_gauge_that_a_worker_no_longer_has_disappears() -> None:
    """An upstream taken out of the settings leaves no series behind."""
    totals, counters = Totals(), Counters()
    for upstream in ("a", "b"):
        counters.set(UPSTREAM_UP, (upstream,), 1)
    totals.take(0, counters.harvest())
    counters.forget(UPSTREAM_UP)
    counters.set(UPSTREAM_UP, ("b",), 1)
    totals.take(0, counters.harvest())
    assert 'upstream_up_workers{upstream="a"}' not in totals.expose().decode()
    assert totals.value(UPSTREAM_UP, ("b",)) == 1


def test_histogram_is_exposed_cumulative() -> None:
    """Buckets add up over workers and rise to the count."""
    totals = Totals()
    totals.take(0, rows_of(1))
    totals.take(1, rows_of(1))
    text = totals.expose().decode()
    assert 'lachan_upstream_latency_seconds_bucket{le="0.025",upstream="u"} 0.0' in text
    assert 'lachan_upstream_latency_seconds_bucket{le="0.05",upstream="u"} 2.0' in text
    assert 'lachan_upstream_latency_seconds_count{upstream="u"} 2.0' in text
    assert 'lachan_upstream_latency_seconds_sum{upstream="u"} 0.06' in text


def test_small_site_class_is_not_named() -> None:
    """Blocks of a class with fewer than 30 active devices count as `small`; once it is large, new ones are named."""
    totals = Totals()

    def block() -> None:
        counters = Counters()
        counters.blocked("gamb", "TH", "home", "list").n += 1
        totals.take(0, counters.harvest())

    block()
    totals.take_marks({"home": [f"{n:016x}" for n in range(29)]}, 0.0)
    block()
    assert totals.value(BLOCKED, ("gamb", "TH", "small", "list")) == 2
    assert totals.value(ACTIVE_DEVICES, ("small",)) == 29
    totals.take_marks({"home": ["f" * 16]}, 1.0)
    block()
    assert totals.value(BLOCKED, ("gamb", "TH", "small", "list")) == 2
    assert totals.value(BLOCKED, ("gamb", "TH", "home", "list")) == 1
    assert totals.value(ACTIVE_DEVICES, ("home",)) == 30


def test_active_devices_are_distinct_and_of_the_last_day() -> None:
    """One device seen by two workers counts once; after a day without a query it is gone."""
    devices = ActiveDevices()
    devices.take({"home": ["a", "b"]}, 0.0)
    devices.take({"home": ["b"], "school": ["c"]}, 3600.0)
    assert devices.count(3600.0) == {"home": 2, "school": 1}
    assert devices.count(module.DEVICE_SECONDS + 1.0) == {"home": 1, "school": 1}


def test_unknown_rows_are_ignored() -> None:
    """A worker of another version cannot break the sums."""
    totals = Totals()
    totals.take(0, [["lachan_unknown", [], 1], ["lachan_queries", ["udp"], 1], "nonsense", [1]])
    assert totals.value(QUERIES, ("udp", "A")) == 0


def test_label_values_are_escaped() -> None:
    """A list id with quotes or line ends cannot forge a line."""
    totals = Totals()
    totals.set(module.METRICS["lachan_list_entries"], ('a"}\nlachan_fake 1', "x"), 1)
    assert "\nlachan_fake 1" not in totals.expose().decode()


def test_small_closed_counters_start_at_zero() -> None:
    """A first increase can only be seen from a zero."""
    totals = Totals()
    assert 'lachan_rate_limited_total{action="dropped"} 0.0' in totals.expose().decode()
    totals.add(WORKER_RESTARTS, ("0",), 0)
    assert 'lachan_worker_restarts_total{worker="0"} 0.0' in totals.expose().decode()


@pytest.mark.parametrize("count", [1, 5])
def test_replace_removes_series_not_named(count: int) -> None:
    """A gauge that is replaced has only the new series."""
    totals = Totals()
    totals.replace(module.METRICS["lachan_worker_up"], {(str(n),): 1.0 for n in range(count)})
    totals.replace(module.METRICS["lachan_worker_up"], {("9",): 1.0})
    assert 'worker_up{worker="0"}' not in totals.expose().decode()
