"""Written rules, windows of time and moments, read plainly: the parts of the reference model that speak of one rule.

Like `reference`, written from the text of the design and sharing no code with `gateway.policy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
Labels = tuple[str, ...]

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CNAME = 5


@cache
def split(name: str) -> Labels:
    """The labels of a written name, its syntax left out."""
    return tuple(name.removeprefix("@@").removeprefix("=").removeprefix("*.").lower().split("."))


@lru_cache(maxsize=200_000)
def covers(rule: str, labels: Labels) -> bool:
    """Whether a written rule covers a name."""
    if rule.startswith("@@"):
        return False
    if rule.startswith("/"):
        return re.search(rule[1:-1], ".".join(labels)) is not None
    listed = split(rule)
    below = len(labels) > len(listed) and labels[-len(listed) :] == listed
    if rule.startswith("="):
        return labels == listed
    return below if rule.startswith("*.") else below or labels == listed


def zone_covers(owner: str, labels: Labels) -> bool:
    """Whether an owner name of a policy zone is a trigger for a name."""
    return covers(owner if owner.startswith("*.") else f"={owner}", labels)


def is_undone(row: Json, labels: Labels) -> bool:
    """Whether an exception of the list itself covers the name."""
    return any(rule.startswith("@@") and covers(rule[2:], labels) for rule in row.get("names", ()))


def speaks(when: Mapping[str, Any], qtype: int, client: str | None, address: str, *, is_target: bool) -> bool:
    """Whether a list with a condition has a say: for a query of this type by this client, or for a target of its answer.

    A target is reached by a CNAME and answers the query's type, so a condition may speak of either.
    """
    types = {qtype, CNAME} if is_target else {qtype}
    if types & set(when.get("not_types", ())) or (when.get("types") and not types & set(when["types"])):
        return False
    if any(is_client(word, client, address) for word in when.get("not_clients", ())):
        return False
    return not when.get("clients") or any(is_client(word, client, address) for word in when["clients"])


def is_client(word: str, client: str | None, address: str) -> bool:
    """Whether a word of a condition names a client, by id or by network."""
    return ip_address(address) in ip_network(word) if "/" in word else word == client


def specificity(rule: str) -> tuple[int, int]:
    """Smaller is more specific: exact, then the longer suffix, then an expression."""
    if rule.startswith("/"):
        return 2, 0
    return (0, 0) if rule.startswith("=") else (1, -len(split(rule)))


def host_rule(row: Json) -> str:
    """A host of a service as a written rule."""
    return {"both": "", "exact": "=", "below": "*."}[row.get("match", "both")] + str(row["name"])


@cache
def moment(text: str | None, *, last: bool = False) -> float:
    """A written moment in unix seconds; nothing written means always."""
    if text is None:
        return float("inf") if last else float("-inf")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def is_on(window: Json, now: float, zone: str) -> bool:
    """Whether a window is in force: every interval it can have around this moment, on the clock of the wall."""
    local = datetime.fromtimestamp(now, ZoneInfo(window.get("time_zone") or zone)).replace(tzinfo=None)
    for day in (local.date() - timedelta(days=1), local.date()):
        if not owns(window, day):
            continue
        begin = at(day, window["from"])
        end = at(day, window["to"])
        if end <= begin:
            end += timedelta(days=1)
        if begin <= local < end:
            return True
    return False


def owns(window: Json, day: date) -> bool:
    """Whether a window begins on a day."""
    if window.get("days") and DAYS[day.weekday()] not in window["days"]:
        return False
    spans: Iterable[Json] = window.get("dates") or []
    return not spans or any(span["from"] <= day.isoformat() <= span["to"] for span in spans)


def at(day: date, clock: str) -> datetime:
    """A time of day on a day; 24:00 is the next midnight."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day) + timedelta(hours=hours, minutes=minutes)
