"""The sums over workers and over their restarts, as Prometheus reads them. Lives in the supervisor; nobody else imports this module.

Counters of a worker arrive as what it counted since its last message, so a worker that dies takes at most one second of counts with it
and nothing ever goes back. Gauges of a worker are added up and forgotten when it ends. A site class with fewer than 30 devices active in
the last day is counted as `small`: the decision is made when a count arrives, so no series ever shrinks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from gateway.metrics import ACTIVE_DEVICES, BLOCKED, METRICS, LabelFold, Metric, label_names

SMALL = "small"
FEWEST_DEVICES = 30
DEVICE_SECONDS = 86_400.0
MOST_DEVICES = 262_144
_MOST_ZEROS = 24  # metrics with no more possible series than this are shown from the start

_BLOCKED_CLASS = label_names(BLOCKED).index("site_class")

Labels = tuple[str, ...]


class ActiveDevices:
    """Distinct devices of the last day by site class, known by keyed digests only. Times: wall or monotonic, but always the same."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def take(self, marks: Mapping[str, Iterable[str]], now: float) -> None:
        """Note the devices a worker saw since its last message."""
        for site_class, digests in marks.items():
            for digest in digests:
                self._seen.pop(digest, None)
                self._seen[digest] = (site_class, now)
        while len(self._seen) > MOST_DEVICES:
            del self._seen[next(iter(self._seen))]

    def count(self, now: float) -> dict[str, int]:
        """Devices by site class; forgets those older than a day."""
        counts: dict[str, int] = {}
        while self._seen:
            digest = next(iter(self._seen))
            if now - self._seen[digest][1] <= DEVICE_SECONDS:
                break
            del self._seen[digest]
        for site_class, _ in self._seen.values():
            counts[site_class] = counts.get(site_class, 0) + 1
        return counts


class Totals(Collector):
    """Everything that is counted, ready to be read."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, list[float]]] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}
        self._of_workers: dict[int, dict[tuple[str, Labels], float]] = {}
        self._fold = LabelFold().fold
        self._classes: frozenset[str] = frozenset()
        self._devices = ActiveDevices()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        for metric in METRICS.values():
            if metric.kind == "counter":
                self._counters[metric.name] = dict.fromkeys(_every_label(metric), 0.0)
            elif metric.kind == "histogram" and not metric.labels:
                self._histograms[metric.name] = {(): [0.0] * (len(metric.buckets) + 2)}

    def take(self, worker: int, rows: Iterable[object]) -> None:
        """Add one harvest of a worker; it holds every gauge the worker has. Rows that fit no metric are ignored (another version)."""
        gauges = self._of_workers[worker] = {}
        for row in rows:
            if not isinstance(row, list) or len(row) != 3:
                continue
            name, labels, value = row
            metric = METRICS.get(str(name))
            if metric is None or len(labels) != len(metric.labels):
                continue
            key = self._labels(metric, tuple(str(label) for label in labels))
            if metric.kind == "counter":
                self._add(metric, key, float(value))
            elif metric.kind == "gauge":
                gauges[metric.name, key] = float(value)
            else:
                total = self._histograms.setdefault(metric.name, {}).setdefault(key, [0.0] * (len(metric.buckets) + 2))
                for index, number in enumerate(value[: len(total)]):
                    total[index] += number

    def sum(self, metric: Metric, *values: str) -> int:
        """A counter over all its labels, or over the series that begin with these values."""
        return int(sum(number for labels, number in self._counters.get(metric.name, {}).items() if labels[: len(values)] == values))

    def forget_worker(self, worker: int) -> None:
        """A worker ended: its gauges go, its counts stay."""
        self._of_workers.pop(worker, None)

    def take_marks(self, marks: Mapping[str, Iterable[str]], now: float) -> None:
        """Note active devices and decide anew which site classes are large enough to be named."""
        self._devices.take(marks, now)
        counts = self._devices.count(now)
        self._classes = frozenset(name for name, count in counts.items() if count >= FEWEST_DEVICES)
        shown: dict[Labels, float] = {(SMALL,): 0.0}
        for name, count in counts.items():
            key = (name if name in self._classes else SMALL,)
            shown[key] = shown.get(key, 0.0) + count
        self._gauges[ACTIVE_DEVICES.name] = shown

    def add(self, metric: Metric, labels: Labels = (), count: float = 1) -> None:
        """Count something the supervisor saw."""
        self._add(metric, self._labels(metric, labels), count)

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge of the supervisor."""
        self._gauges.setdefault(metric.name, {})[self._labels(metric, labels)] = value

    def replace(self, metric: Metric, values: Mapping[Labels, float]) -> None:
        """Set every series of a gauge; series not named disappear."""
        self._gauges[metric.name] = {self._labels(metric, labels): value for labels, value in values.items()}

    def value(self, metric: Metric, labels: Labels = ()) -> float:
        """One number as it would be exported, 0 when it is not there."""
        if metric.kind == "counter":
            return self._counters.get(metric.name, {}).get(labels, 0.0)
        return self._gauge_values(metric).get(labels, 0.0)

    def expose(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """prometheus_client's callback."""
        for metric in METRICS.values():
            names = label_names(metric)
            if metric.kind == "counter":
                counter = CounterMetricFamily(metric.name, metric.help, labels=names)
                for labels, value in self._counters.get(metric.name, {}).items():
                    counter.add_metric(labels, value)
                yield counter
            elif metric.kind == "gauge":
                gauge = GaugeMetricFamily(metric.name, metric.help, labels=names)
                for labels, value in self._gauge_values(metric).items():
                    gauge.add_metric(labels, value)
                yield gauge
            else:
                histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
                for labels, row in self._histograms.get(metric.name, {}).items():
                    bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
                    histogram.add_metric(labels, list(zip(bounds, itertools.accumulate(row[:-1]), strict=True)), row[-1])
                yield histogram

    def _add(self, metric: Metric, labels: Labels, count: float) -> None:
        series = self._counters.setdefault(metric.name, {})
        series[labels] = series.get(labels, 0.0) + count

    def _gauge_values(self, metric: Metric) -> dict[Labels, float]:
        values = dict(self._gauges.get(metric.name, {}))
        for gauges in self._of_workers.values():
            for (name, labels), value in gauges.items():
                if name == metric.name:
                    values[labels] = values.get(labels, 0.0) + value
        return values

    def _labels(self, metric: Metric, labels: Labels) -> Labels:
        if metric is BLOCKED and labels[_BLOCKED_CLASS] not in self._classes:
            labels = (*labels[:_BLOCKED_CLASS], SMALL, *labels[_BLOCKED_CLASS + 1 :])
        return self._fold(metric, labels)


def _every_label(metric: Metric) -> list[Labels]:
    """All label values of a small metric with closed labels, [] otherwise: a counter that was never zero cannot show a first increase."""
    if any(label.values is None for label in metric.labels):
        return []
    every = list(itertools.product(*(sorted(label.values or ()) for label in metric.labels)))
    return every if len(every) <= _MOST_ZEROS else []
