"""Every metric of the data plane, declared once, and the counts one worker keeps.

A worker counts into `Counters`; once a second the counts are harvested and sent to the supervisor, where `gateway.totals` adds
them up over workers and over restarts and gives them to Prometheus. Only the gateway imports this module.

Privacy (the rules of the whole product): no label ever holds a query name, an address, a client, a profile, a family or a school.
Every label is either a closed set or bounded in number; what does not fit is counted as `other`. Blocks of the categories `self`,
`csam` and `groom` leave the worker as one category `protected` without band and source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

OTHER = "other"
PROTECTED_CATEGORIES = frozenset({"self", "csam", "groom"})
PROTECTED = "protected"
MOST_SERIES = 3000  # of one metric

Kind = Literal["counter", "gauge", "histogram"]
Row = list[object]  # [metric name, [label values], number] as it travels in JSON


@dataclass(frozen=True, slots=True)
class Label:
    """One label: a closed set of values, or at most `at_most` different ones (taken in order of appearance)."""

    name: str
    values: frozenset[str] | None = None
    at_most: int = 64


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. `name` has its unit but no `_total`; `buckets` are upper bounds of a histogram."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()


def _closed(name: str, *values: str) -> Label:
    return Label(name, frozenset(values) | {OTHER})


_TRANSPORT = _closed("transport", "udp", "tcp", "dot", "doh", "doq")
_TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    43: "DS",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
}
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS", 23: "BADCOOKIE"}
_BAND = _closed("band", "MN", "TH", "CS", "PT", "NL", "KH", "")
_CATEGORY = Label("category", at_most=80)
_SITE_CLASS = Label("site_class", at_most=12)
_SOURCE = Label("source", at_most=100)
_UPSTREAM = Label("upstream", at_most=64)
_WORKER = Label("worker", at_most=256)
_PAUSES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)

# counted by workers
QUERIES = Metric(
    "lachan_queries",
    "counter",
    "Queries received, by transport and type.",
    (_TRANSPORT, Label("type", frozenset({*_TYPES.values(), OTHER}))),
)
ANSWERS = Metric("lachan_answers", "counter", "Answers sent, by response code.", (Label("rcode", frozenset({*_RCODES.values(), OTHER})),))
BLOCKED = Metric(
    "lachan_blocked",
    "counter",
    "Queries answered with a block; protected categories are one category without band or source.",
    (_CATEGORY, _BAND, _SITE_CLASS, _SOURCE),
)
REWRITTEN = Metric("lachan_rewritten", "counter", "Queries answered with the safe mode of a search engine.", (Label("engine", at_most=24),))
UPSTREAM_BLOCKS = Metric(
    "lachan_upstream_blocks", "counter", "Answers that an upstream had blocked by itself; never counted as ours.", (_UPSTREAM,)
)
CACHE = Metric(
    "lachan_cache_lookups",
    "counter",
    "Look-ups in the cache of upstream answers.",
    (_closed("outcome", "hit", "miss", "stale", "negative", "failure", "prefetch"),),
)
CACHE_ENTRIES = Metric("lachan_cache_entries", "gauge", "Entries in the cache of upstream answers, all workers.")
CACHE_BYTES = Metric("lachan_cache_bytes", "gauge", "Bytes held by the cache of upstream answers, all workers.")
TABLE_BYTES = Metric("lachan_answer_table_bytes", "gauge", "Bytes held by finished replies, all workers.")
UPSTREAM_SECONDS = Metric(
    "lachan_upstream_latency_seconds", "histogram", "Time from asking an upstream to its answer.", (_UPSTREAM,), _LATENCIES
)
UPSTREAM_FAILURES = Metric(
    "lachan_upstream_failures",
    "counter",
    "Attempts at an upstream that gave no usable answer.",
    (_UPSTREAM, _closed("reason", "timeout", "refused", "servfail", "network", "mismatch", "malformed", "tls")),
)
UPSTREAM_UP = Metric("lachan_upstream_up_workers", "gauge", "Workers that hold this upstream for healthy.", (_UPSTREAM,))
DEFAULT_UP = Metric("lachan_default_upstreams_up_workers", "gauge", "Workers that hold an upstream of names without a route for healthy.")
UNANSWERED = Metric(
    "lachan_upstream_exhausted", "counter", "Questions for which every upstream failed.", (_closed("answer", "stale", "servfail"),)
)
IDENTIFIED = Metric(
    "lachan_identified_queries",
    "counter",
    "Queries by whether their client is known by name, address or token.",
    (_closed("known", "yes", "no"),),
)
RATE_LIMITED = Metric(
    "lachan_rate_limited", "counter", "Queries over the limit of one source.", (_closed("action", "truncated", "dropped"),)
)
REFUSED_CLIENTS = Metric("lachan_refused_clients", "counter", "Queries from addresses outside allow_from.")
TOKEN_GUESSES = Metric(
    "lachan_token_guesses",
    "counter",
    "Queries from outside with a token that nobody has, by what was done.",
    (_TRANSPORT, _closed("action", "refused", "dropped")),
)
MALFORMED = Metric(
    "lachan_malformed",
    "counter",
    "Datagrams and messages that are no query, by what was done.",
    (_closed("action", "formerr", "notimp", "badvers", "dropped"),),
)
SEND_ERRORS = Metric("lachan_send_errors", "counter", "Replies the system would not send.", (_closed("reason", "unreachable", "full"),))
RECEIVE_ERRORS = Metric("lachan_receive_errors", "counter", "Errors reported by the system while receiving.")
CONNECTIONS = Metric("lachan_connections", "gauge", "Open client connections.", (_TRANSPORT,))
CONNECTIONS_REFUSED = Metric(
    "lachan_connections_refused",
    "counter",
    "Connections closed at once because a budget was used up.",
    (_TRANSPORT, _closed("budget", "all", "client", "idle", "slow")),
)
PAUSE_SECONDS = Metric("lachan_collector_pause_seconds", "histogram", "Pauses of a worker for garbage collection.", (), _PAUSES)
LOOP_DELAY_SECONDS = Metric("lachan_loop_delay_seconds", "histogram", "How late a worker's timer of one second came.", (), _PAUSES)

# known to the supervisor
GENERATION = Metric("lachan_generation", "gauge", "Number of the generation in force on a worker.", (_WORKER,))
GENERATION_CREATED = Metric("lachan_generation_created_timestamp_seconds", "gauge", "When the generation in force was made.")
DISPUTED = Metric(
    "lachan_disputed_claims", "gauge", "Networks and devices that two claim, or that lie outside their own site; the strictest band holds."
)
WORKER_UP = Metric("lachan_worker_up", "gauge", "1 when the worker answers.", (_WORKER,))
WORKER_RESTARTS = Metric(
    "lachan_worker_restarts", "counter", "Workers that ended without being asked to, and were started again.", (_WORKER,)
)
PROCESS_RESTARTS = Metric(
    "lachan_process_restarts",
    "counter",
    "Further processes (pages, QUIC) that ended and were started again.",
    (Label("process", at_most=8),),
)
PROCESS_UP = Metric("lachan_process_up", "gauge", "1 when the further process runs.", (Label("process", at_most=8),))
MEMORY = Metric("lachan_memory_bytes", "gauge", "Proportional memory (PSS) of a process.", (Label("process", at_most=300),))
RELOADS = Metric(
    "lachan_reloads", "counter", "Attempts to put a new generation in force.", (_closed("outcome", "applied", "unchanged", "refused"),)
)
RELOAD_OK = Metric("lachan_last_reload_successful", "gauge", "1 when the last attempt to change the generation succeeded.")
LIST_ENTRIES = Metric("lachan_list_entries", "gauge", "Names a list brings into the index.", (_SOURCE, _CATEGORY))
LIST_UPDATED = Metric("lachan_list_updated_timestamp_seconds", "gauge", "When a list was last fetched or read.", (_SOURCE, _CATEGORY))
_ZONE = Label("zone", at_most=64)
ZONE_SERIAL = Metric("lachan_zone_serial", "gauge", "Serial of a policy zone taken from a primary.", (_ZONE,))
ZONE_CHECKED = Metric(
    "lachan_zone_checked_timestamp_seconds", "gauge", "When a policy zone was last found good at its primary; 0 before that.", (_ZONE,)
)
ZONE_EXPIRED = Metric(
    "lachan_zone_expired", "gauge", "1 when a policy zone was not found good for longer than its SOA allows; its rules stay.", (_ZONE,)
)
ZONE_FAILURE = Metric(
    "lachan_zone_failure",
    "gauge",
    "1 for the reason why a policy zone is not taken from its primary; the last copy stays in force.",
    (_ZONE, _closed("code", "unreachable", "refused", "key", "tls", "cut", "shape", "size", "backwards", "apply", "disk")),
)
ORDER_SERIAL = Metric("lachan_order_serial", "gauge", "Serial of the takedown orders in force.")
ORDER_UPDATED = Metric(
    "lachan_order_updated_timestamp_seconds", "gauge", "When this gateway put the serial of the takedown orders in force."
)
RELEASE_CHECKED = Metric(
    "lachan_release_checked_timestamp_seconds", "gauge", "When the list office's newest release was last found good; 0 before that."
)
RELEASE_FAILURE = Metric(
    "lachan_release_failure",
    "gauge",
    "1 for the reason why the list office's newest release is not taken, or not in full; the last good one stays in force.",
    (_closed("code", "unreachable", "refused", "rollback", "shape", "root", "key", "apply", "disk", "word"),),
)
RELEASE_IN_FORCE = Metric(
    "lachan_release_in_force", "gauge", "1 when a list of the office that is followed is in force, 0 while there is none."
)
CERTIFICATE_END = Metric(
    "lachan_certificate_not_after_timestamp_seconds", "gauge", "When the certificate that the encrypted listeners serve ends."
)
CERTIFICATE_REFUSED = Metric(
    "lachan_certificate_refused", "gauge", "1 while the certificate files on the disk cannot be taken over; the one before is served."
)
OFFICE_GATEWAYS = Metric(
    "lachan_office_gateways",
    "gauge",
    "Gateways of the list office on this machine, by how their newest signed receipt stands.",
    (_closed("state", "current", "lagging", "silent", "quiet", "invited", "refused"),),
)
OFFICE_ENFORCEMENT = Metric(
    "lachan_office_enforcement_seconds",
    "gauge",
    "From the decision to enforcement of the newest version, among the gateways that enforce it.",
    (_closed("of", "middle", "slowest"),),
)
OFFICE_UNSIGNED = Metric("lachan_office_unsigned", "gauge", "1 while the newest version waits for a signature.")
OFFICE_HELD = Metric("lachan_office_rollout_held", "gauge", "1 while a release that goes out in stages is held back.")
OFFICE_SHARE = Metric("lachan_office_rollout_share_ratio", "gauge", "The smallest share of gateways that a release has come to; 1 at all.")
OFFICE_KEPT = Metric(
    "lachan_office_withdrawals_kept_gateways",
    "gauge",
    "Gateways that keep an entry which the server's own key took out although an order number stands behind it.",
)
OFFICE_JOURNAL = Metric("lachan_office_journal_alarm", "gauge", "1 when a signed head of the journal is not in the journal.")
ACTIVE_DEVICES = Metric(
    "lachan_active_devices", "gauge", "Devices seen in the last day; classes under 30 are counted as small.", (_SITE_CLASS,)
)
RECEIVE_DROPS = Metric("lachan_receive_buffer_drops", "counter", "Datagrams the system dropped because a receive buffer was full.")
RECEIVE_BUFFER = Metric("lachan_receive_buffer_bytes", "gauge", "Smallest receive buffer granted to a listening socket.")
DISK_FREE = Metric("lachan_state_free_bytes", "gauge", "Free space on the disk that holds the state directory.")
DISK_SIZE = Metric("lachan_state_size_bytes", "gauge", "Size of the disk that holds the state directory.")
STATE_WRITABLE = Metric("lachan_state_writable", "gauge", "1 when the state directory can be written.")
CLOCK_SYNCHRONISED = Metric("lachan_clock_synchronised", "gauge", "1 when the system says its clock is kept by a time service.")
CLOCK_JUMPS = Metric("lachan_clock_jumps", "counter", "Steps of the wall clock of more than two seconds.")
WALL_TIME = Metric("lachan_clock_timestamp_seconds", "gauge", "The wall clock of the machine; Prometheus compares it with its own.")
CLOCK_TEST = Metric("lachan_clock_test", "gauge", "1 while a test clock moves the schedules.")
BUILD = Metric("lachan_build_info", "gauge", "Version of the program.", (Label("version", at_most=1),))
START_TIME = Metric("lachan_start_timestamp_seconds", "gauge", "When the supervisor started.")

METRICS: dict[str, Metric] = {value.name: value for value in tuple(globals().values()) if isinstance(value, Metric)}


def type_label(qtype: int) -> str:
    """The name of a query type as a label; rare types are `other`."""
    return _TYPES.get(qtype, OTHER)


def rcode_label(rcode: int) -> str:
    """The name of a response code (extended included) as a label."""
    return _RCODES.get(rcode, OTHER)


class Cell:
    """A count since the last harvest. The fast path keeps a reference and adds to `n`."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Counters:
    """What one worker has counted since the last harvest. Not thread safe; belongs to the worker's event loop."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, tuple[str, ...]], Cell] = {}
        self._new: list[tuple[str, tuple[str, ...]]] = []
        self._gauges: dict[tuple[str, tuple[str, ...]], float] = {}
        self._buckets: dict[tuple[str, tuple[str, ...]], list[float]] = {}
        self._fold = LabelFold().fold

    def cell(self, metric: Metric, *labels: str) -> Cell:
        """The cell of these labels, made at first use; the same object every time."""
        key = (metric.name, labels)
        cell = self._cells.get(key)
        if cell is None:
            key = (metric.name, self._fold(metric, labels))
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells[key] = Cell()
                self._new.append(key)
        return cell

    def blocked(self, category: str, band: str, site_class: str, source: str) -> Cell:
        """The cell of a block; a protected category gives up its name, band and source here, before it leaves the worker."""
        if category in PROTECTED_CATEGORIES:
            return self.cell(BLOCKED, PROTECTED, "", site_class, "")
        return self.cell(BLOCKED, category, band, site_class, source)

    def add(self, metric: Metric, labels: tuple[str, ...] = (), count: int = 1) -> None:
        """Add to a counter."""
        self.cell(metric, *labels).n += count

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Add one observation to a histogram (in the unit of its name)."""
        key = (metric.name, self._fold(metric, labels))
        row = self._buckets.get(key)
        if row is None:
            row = self._buckets[key] = [0.0] * (len(metric.buckets) + 2)
        for index, bound in enumerate(metric.buckets):
            if value <= bound:
                row[index] += 1
                break
        else:
            row[-2] += 1
        row[-1] += value

    def add_observations(self, metric: Metric, labels: tuple[str, ...], buckets: list[int], total: float) -> None:
        """Add many observations to a histogram: how many fell into each bucket (the last one is everything above), and their sum."""
        key = (metric.name, self._fold(metric, labels))
        row = self._buckets.setdefault(key, [0.0] * (len(metric.buckets) + 2))
        for index, number in enumerate(buckets):
            row[index] += number
        row[-1] += total

    def set(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge of this worker; the supervisor adds the workers' values up."""
        self._gauges[metric.name, self._fold(metric, labels)] = value

    def forget(self, metric: Metric) -> None:
        """Drop every series of a gauge: what is not set again is gone (an upstream that is no longer configured)."""
        for key in [key for key in self._gauges if key[0] == metric.name]:
            del self._gauges[key]

    def harvest(self) -> list[Row]:
        """Counts since the last harvest and gauges as they are, ready for JSON; counts start again at zero.

        A new cell is told even at zero: an increase can only be seen from a number that was there before.
        """
        rows: list[Row] = [[name, list(labels), 0] for name, labels in self._new if not self._cells[name, labels].n]
        self._new.clear()
        for (name, labels), cell in self._cells.items():
            if cell.n:
                rows.append([name, list(labels), cell.n])
                cell.n = 0
        for (name, labels), buckets in self._buckets.items():
            if any(buckets):
                rows.append([name, list(labels), list(buckets)])
                buckets[:] = [0.0] * len(buckets)
        rows.extend([name, list(labels), value] for (name, labels), value in self._gauges.items())
        return rows


class LabelFold:
    """Keeps labels inside their bounds: what is outside a label's set, one value too many, or one series too many becomes `other`."""

    def __init__(self) -> None:
        self._values: dict[Label, set[str]] = {}
        self._series: dict[str, set[tuple[str, ...]]] = {}

    def fold(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The labels to count under; ValueError for a wrong number of them."""
        if len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} has {len(metric.labels)} labels, not {len(labels)}")
        folded = tuple(self._value(label, value) for label, value in zip(metric.labels, labels, strict=True))
        series = self._series.setdefault(metric.name, set())
        if folded not in series:
            if len(series) >= MOST_SERIES:
                return (OTHER,) * len(labels)
            series.add(folded)
        return folded

    def _value(self, label: Label, value: str) -> str:
        if label.values is not None:
            return value if value in label.values else OTHER
        known = self._values.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= label.at_most:
            return OTHER
        known.add(value)
        return value


def label_names(metric: Metric) -> tuple[str, ...]:
    """The names of a metric's labels in order."""
    return tuple(label.name for label in metric.labels)


def most_series(metrics: Iterable[Metric]) -> int:
    """An upper bound of the number of series these metrics can have."""
    total = 0
    for metric in metrics:
        series = 1
        for label in metric.labels:
            series *= len(label.values) if label.values is not None else label.at_most + 1
        series = min(series, MOST_SERIES + 1)
        total += series * (len(metric.buckets) + 3 if metric.kind == "histogram" else 1)
    return total
