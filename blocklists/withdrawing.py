"""A gateway takes out what the office's server says has ended (`blocklists.online`), and never more than the server may.

An entry with an order number, and every entry of the masked category, leaves with the officers' signature only: named here, it stays, and
is counted, so that the receipt tells the office that somebody tried. Runs in a job process. Imported by `lachan` and the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from blocklists.takedown.model import MASKED
from gateway.policy.masked import is_masked
from gateway.policy.names import Coverage
from gateway.policy.overlay import Layer, Order


def withdraw(layers: Sequence[Layer], keys: Iterable[str]) -> tuple[dict[str, Any] | None, int]:  # Any: a segment
    """The segment that takes these keys out of a list, whose layers are given the earliest first (None when nothing leaves); and how many
    of the keys have an entry that stays."""
    newest_first = tuple(reversed(layers))
    lifted: list[list[str]] = []
    kept = 0
    for key in sorted(set(keys)):
        entries = [] if is_masked(key) else _entries(newest_first, key)
        gone = [identity for identity, order in entries if not has_number(order.number) and order.category != MASKED]
        lifted += [[key, identity] for identity in gone]
        kept += len(gone) < len(entries) or is_masked(key)
    return {"format": 1, "orders": [], "entries": [], "lifted": sorted(lifted)} if lifted else None, kept


def has_number(symbol: str) -> bool:
    """Whether a document's symbol has a number: "12/QĐ-STTTT" and whatever cannot be told; not "" nor one left blank, "/UBND-VX"."""
    return bool(symbol.partition("/")[0].strip(" .…_"))


def _entries(newest_first: Sequence[Layer], key: str) -> list[tuple[str, Order]]:
    """The entries of exactly this key that stand, with their orders, whatever their dates."""
    decided: dict[str, Coverage | None] = {}
    gone: frozenset[str] = frozenset()
    for layer in newest_first:
        for length, hidden, rows in layer.touching(key):
            if length == len(key) and not hidden:
                for identity, coverage in rows:
                    if identity not in gone:
                        decided.setdefault(identity, coverage)
        gone |= layer.lifted_orders
    found = []
    for identity, coverage in decided.items():
        order = next((order for layer in newest_first if (order := layer.order(identity)) is not None), None)
        if coverage is not None and order is not None:
            found.append((identity, order))
    return found
