"""The takedown file: orders with numbers, dates and names, kept by one person → the order segment that gateways enforce.

`blocklists.jobs` and `lachan` import this module. The file is a list of orders (also under the key `orders`); an order is

    number: 12/QĐ-STTTT          # as written on the document
    issuer: Sở Thông tin và Truyền thông
    issued_on: 2026-11-02        # the day may be blank: 2026-11
    basis: [Nghị định 147/2024/NĐ-CP]
    category: order              # left out: order; dist needs a basis and an end within 90 days
    scope: {bands: [MN, TH, CS, PT], places: ["12"]}   # left out: every child band, everywhere
    from: 2026-11-03             # a day, or a moment such as 2026-11-03T08:00+07:00; left out: issued_on
    until: 2027-05-03            # or no_end: true
    items: [bad.example, {name: worse.example, match: exact}]

Mistakes in the form of the file refuse it as a whole, each with its line; the orders in force stay. A name that cannot or must not be
enforced costs its own row only: it is reported with its verdict. Names go through the same normaliser and guard as everything else, and
what needs two approvers (state and school suffixes, protected groups) is not enforced from a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from blocklists.catalogue import BANDS, Json
from blocklists.guard import ORDER, Guard
from blocklists.normalize import Host, normalize_host
from blocklists.parsers import Match, shown
from blocklists.rejections import Reason
from gateway.errors import Mistake, SettingsError
from gateway.policy.tenant import PLACE
from gateway.sections import nearest
from gateway.yamlfile import Document, Keys, read, text_of_scalar

ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
LONGEST_DISTORTION: Final = timedelta(days=90)
"""An order on distorted information ends within this."""

MAX_ITEMS: Final = 100_000

_KEYS: Final = (
    *("number", "issuer", "issued_on", "basis", "category", "scope"),
    *("from", "until", "no_end", "urgent", "appeal", "title", "items"),
)
_MATCHES: Final = {"both": Match.BOTH, "exact": Match.EXACT, "below": Match.BELOW}
_MASKED: Final = frozenset({"csam"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one item: enforced as `name`, or not and why. `written` keeps the host part only, never a path."""

    order: str
    position: int
    written: str
    name: str
    reason: Reason | None

    @property
    def enforced(self) -> bool:
        """Whether the name is in the segment."""
        return self.reason is None


@dataclass(slots=True)
class OrdersReport:
    """One takedown file, read: how many orders, and a verdict per item."""

    orders: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def enforced(self) -> int:
        """Items in the segment."""
        return sum(verdict.enforced for verdict in self.verdicts)

    @property
    def rejected(self) -> dict[Reason, int]:
        """Items that are not, by reason."""
        return dict(Counter(verdict.reason for verdict in self.verdicts if verdict.reason is not None))


def read_orders(path: Path, guard: Guard, catalogue: Json) -> tuple[Json, OrdersReport]:
    """Read a takedown file. Returns its segment and the verdict of every item; raises SettingsError with every mistake."""
    return orders_of(read(path), guard, catalogue)


def orders_of(document: Document, guard: Guard, catalogue: Json) -> tuple[Json, OrdersReport]:
    """The same for a parsed file."""
    reader = _Reader(document, guard, catalogue)
    segment = reader.read()
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    return segment, reader.report


class _Reader:
    """One file on its way to a segment."""

    def __init__(self, document: Document, guard: Guard, catalogue: Json) -> None:
        self.document = document
        self.guard = guard
        self.categories = {
            row["code"] for row in catalogue["categories"] if row["order_only"] or (row["tier"] == "L" and row["code"] != "help")
        }
        self.mistakes: list[Mistake] = []
        self.report = OrdersReport()
        self.entries: dict[tuple[str, int, int], None] = {}
        self.ids: Counter[str] = Counter()
        self.seen: set[tuple[str, str]] = set()

    def read(self) -> Json:
        orders = [order for keys, value in self._written() if (order := self._order(keys, value))]
        self.report.orders = len(orders)
        return {"format": 1, "orders": orders, "entries": [list(entry) for entry in sorted(self.entries)], "lifted": []}

    def _written(self) -> list[tuple[Keys, Any]]:  # Any: parsed YAML
        value, keys = self.document.value, tuple[str | int, ...]()
        if isinstance(value, dict) and "orders" in value:
            for extra in value.keys() - {"orders", "format"}:
                self._fault((extra,), "is no key of a takedown file", "orders stand under `orders:`")
            value, keys = value["orders"], ("orders",)
        elif isinstance(value, dict):
            return [((), value)]
        if value is None:  # as an editor leaves it on a full disk: not the same as the word that there are none
            self._fault(keys, "there is nothing here", "write [] where there are no orders")
            return []
        if not isinstance(value, list):
            self._fault(keys, "must be a list of orders")
            return []
        return [((*keys, index), order) for index, order in enumerate(value)]

    def _order(self, keys: Keys, value: Any) -> Json | None:  # Any: parsed YAML
        before = len(self.mistakes)
        if not isinstance(value, dict):
            self._fault(keys, "must be an order (number, issuer, from, until, items)")
            return None
        for unknown in value.keys() - set(_KEYS):
            self._fault((*keys, unknown), "is no key of an order", nearest(str(unknown), list(_KEYS)))
        number = self._text(keys, value, "number", needed=True)
        issuer = self._text(keys, value, "issuer", needed=True)
        issued_on = self._day(keys, value)
        category = self._text(keys, value, "category") or "order"
        if category not in self.categories:
            self._fault((*keys, "category"), f"'{shown(category)}' is not filled by orders", nearest(category, sorted(self.categories)))
        if (number, issuer) in self.seen:
            self._fault((*keys, "number"), f"{shown(number)} of this issuer is written twice", "put all its items in one order")
        self.seen.add((number, issuer))
        self.ids[number] += 1
        order = {
            "id": f"file:{number}" + (f"#{self.ids[number]}" if self.ids[number] > 1 else ""),
            "number": number,
            "issuer": issuer,
            "issued_on": issued_on or None,
            "basis": self._basis(keys, value),
            "category": category,
            "bands": self._bands(keys, value),
            **self._places(keys, value),
            "urgent": self._flag(keys, value, "urgent"),
            "appeal": self._text(keys, value, "appeal") or None,
            "no_end": self._flag(keys, value, "no_end"),
        }
        order |= self._dates(keys, value, order, issued_on if len(issued_on) == 10 else "")
        self._items(keys, value, order)
        return order if len(self.mistakes) == before else None

    def _dates(self, keys: Keys, value: Mapping[str, Any], order: Json, issued_on: str) -> Json:  # Any: parsed YAML
        start = self._moment(keys, value, "from") or issued_on
        if not start and value.get("from") is None:
            self._fault((*keys, "from"), "this key is needed here", "the day the order takes effect, such as 2026-11-03")
        until = self._moment(keys, value, "until")
        if (value.get("until") is None) != order["no_end"]:
            why = "has both until and no_end" if order["no_end"] else "has no end"
            self._fault(keys, f"an order {why}", "write until: with a day, or no_end: true where the document says so")
        if start and until:
            length = _instant(until, last=True) - _instant(start, last=False)
            if length <= timedelta(0):
                self._fault((*keys, "until"), "is not after from")
            if order["category"] == "dist" and length > LONGEST_DISTORTION + timedelta(days=1):
                self._fault((*keys, "until"), "an order on distorted information ends within 90 days")
        if order["category"] == "dist" and (order["no_end"] or not order["basis"]):
            self._fault(keys, "an order on distorted information names its law (basis) and its end")
        return {"from": start, "until": until or None}

    def _items(self, keys: Keys, value: Mapping[str, Any], order: Json) -> None:  # Any: parsed YAML
        items = value.get("items")
        if not isinstance(items, list) or not items:
            self._fault((*keys, "items"), "an order has a list of items")
            return
        if len(items) > MAX_ITEMS:
            self._fault((*keys, "items"), f"more than {MAX_ITEMS} items in one order")
            return
        number = self.report.orders
        self.report.orders += 1
        for index, item in enumerate(items):
            name, match = item, "both"
            if isinstance(item, dict):
                for unknown in item.keys() - {"name", "match"}:
                    self._fault((*keys, "items", index, unknown), "is no key of an item", nearest(str(unknown), ["name", "match"]))
                name, match = item.get("name"), str(item.get("match", "both"))
            name = text_of_scalar(name)
            if not isinstance(name, str) or match not in _MATCHES:
                self._fault((*keys, "items", index), "an item is a name, or {name: …, match: both | exact | below}")
                continue
            self._judge(order, number, index, name, _MATCHES[match])

    def _judge(self, order: Json, number: int, index: int, written: str, match: Match) -> None:
        host = normalize_host(written)
        reason: Reason | None
        name = ""
        if isinstance(host, Host):
            name = host.name
            reason = self._refused(host, match)
            if reason is None and (host.key, int(match), number) in self.entries:
                reason = Reason.DUPLICATE
            if reason is None:
                self.entries[host.key, int(match), number] = None
        else:
            reason = host.reason
        masked = order["category"] in _MASKED
        text = "***" if masked else name or shown(re.split(r"[/?#]", re.sub(r"^\s*\w+:/+", "", written))[0])
        self.report.verdicts.append(Verdict(order["number"], index, text, "" if masked else name, reason))

    def _refused(self, host: Host, match: Match) -> Reason | None:
        refusal = self.guard.judge(host.key, match, ORDER)
        if refusal is not None and refusal.reason is not Reason.PROTECTED:
            return refusal.reason
        if refusal is not None or self.guard.needs_second_approver(host.key):
            return Reason.SECOND_APPROVER
        return Reason.URL_PATH if host.has_path else None

    def _text(self, keys: Keys, value: Mapping[str, Any], name: str, needed: bool = False) -> str:  # Any: parsed YAML
        text = text_of_scalar(value.get(name))
        if text is None and not needed:
            return ""
        if not isinstance(text, str) or not text.strip() or len(text) > 300 or not text.isprintable():
            self._fault(
                (*keys, name), "must be text of one line, 300 characters at most" if text is not None else "this key is needed here"
            )
            return ""
        return text.strip()

    def _flag(self, keys: Keys, value: Mapping[str, Any], name: str) -> bool:  # Any: parsed YAML
        flag = value.get(name, False)
        if not isinstance(flag, bool):
            self._fault((*keys, name), "must be true or false")
        return flag is True

    def _basis(self, keys: Keys, value: Mapping[str, Any]) -> list[str]:  # Any: parsed YAML
        written = value.get("basis")
        rows = [] if written is None else written if isinstance(written, list) else [written]
        texts = [text_of_scalar(row) for row in rows]
        if not all(isinstance(text, str) and text.strip() and len(text) <= 300 and text.isprintable() for text in texts):
            self._fault((*keys, "basis"), "must be a list of documents, such as [Nghị định 147/2024/NĐ-CP]")
            return []
        return [str(text).strip() for text in texts]

    def _bands(self, keys: Keys, value: Mapping[str, Any]) -> list[str] | None:  # Any: parsed YAML
        scope = value.get("scope")
        if scope is None:
            return None
        if not isinstance(scope, dict) or scope.keys() - {"bands", "places"}:
            self._fault((*keys, "scope"), 'holds bands and places only, such as {bands: [TH, CS], places: ["12"]}')
            return None
        bands = scope.get("bands")
        if bands is None:
            return None
        if not isinstance(bands, list) or not bands or any(band not in BANDS for band in bands):
            self._fault((*keys, "scope", "bands"), f"must be a list of {', '.join(BANDS)}")
            return None
        return sorted(set(bands), key=BANDS.index)

    def _places(self, keys: Keys, value: Mapping[str, Any]) -> dict[str, Any]:  # Any: parsed YAML
        scope = value.get("scope")
        places = scope.get("places") if isinstance(scope, dict) else None
        if places is None:
            return {}
        texts = [text_of_scalar(place) for place in places] if isinstance(places, list) else []
        if not texts or any(not isinstance(text, str) or not PLACE.fullmatch(text) for text in texts):
            self._fault((*keys, "scope", "places"), 'must be a list of codes of provinces or communes, such as ["12", "12.03385"]')
            return {}
        return {"scope": {"places": sorted({str(text) for text in texts}), "organisations": []}}

    def _day(self, keys: Keys, value: Mapping[str, Any]) -> str:  # Any: parsed YAML
        text = text_of_scalar(value.get("issued_on"))
        if text is None:
            return ""
        try:
            if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d(-\d\d)?", text):
                raise ValueError
            date.fromisoformat(text if len(text) == 10 else f"{text}-01")
        except ValueError:
            self._fault((*keys, "issued_on"), "must be a day such as 2026-11-02 (a blank day: 2026-11)")
            return ""
        return text

    def _moment(self, keys: Keys, value: Mapping[str, Any], name: str) -> str:  # Any: parsed YAML
        """A day as it is, or a moment with its offset (Viet Nam's where none is written)."""
        text = text_of_scalar(value.get(name))
        if text is None:
            return ""
        try:
            if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\d", text):
                raise ValueError
            if len(text) == 10:
                return date.fromisoformat(text).isoformat()
            moment = datetime.fromisoformat(text)
        except ValueError:
            self._fault((*keys, name), "must be a day such as 2026-11-03 or a moment such as 2026-11-03T08:00+07:00")
            return ""
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZONE)).isoformat()

    def _fault(self, keys: Keys, message: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(self.document.place(keys), message, remedy))


def _instant(text: str, *, last: bool) -> datetime:
    """The moment a text stands for: a day begins with its first minute and ends with its last."""
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1 if last else 0), time(), ZONE)
    return datetime.fromisoformat(text)
