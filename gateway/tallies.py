"""How queries came out, counted without a lock and without a look-up on the fast path. Imported by the pipeline.

Every finished reply holds the `Tally` of its kind: transport, type, rcode and, where there is one, the block, rewrite or upstream block it
counts as.
Once a second the harvest adds what gathered to the metrics. The number of tallies is bounded by the labels of the metrics.
"""

from __future__ import annotations

from gateway.answers import Tally
from gateway.metrics import (
    ANSWERS,
    CACHE,
    QUERIES,
    REWRITTEN,
    UPSTREAM_BLOCKS,
    Cell,
    Counters,
    rcode_label,
    type_label,
)
from gateway.policy.model import Block, EffectivePolicy
from gateway.query import Transport

SILENCE = -1
"""The rcode of no reply."""
_MOST_REMEMBERED = 1024


class Tallies:
    """Every tally of a worker."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._plain: dict[tuple[Transport, int, int], Tally] = {}
        self._tallies: dict[tuple[Transport, str, int, Cell | None], Tally] = {}

    def plain(self, transport: Transport, qtype: int, rcode: int) -> Tally:
        """An answer, an error, or a reply that was never sent (`SILENCE`)."""
        known = self._plain.get((transport, qtype, rcode))
        if known is None:
            known = self._tally(transport, qtype, rcode, None)
            if len(self._plain) < _MOST_REMEMBERED:
                self._plain[transport, qtype, rcode] = known
        return known

    def known(self, transport: Transport, qtype: int, rcode: int, is_negative: bool) -> Tally:
        """An upstream's answer that a table already holds: one look-up in the cache less, counted as if it had been one."""
        return self._tally(transport, qtype, rcode, self._counters.cell(CACHE, "negative" if is_negative else "hit"))

    def blocked(self, transport: Transport, qtype: int, rcode: int, block: Block, policy: EffectivePolicy) -> Tally:
        """A block of ours."""
        # A block by no category counts under the word for its reason: a rule by name, a bedtime, an allow-list.
        category = block.category or block.reason.value
        cell = self._counters.blocked(category, policy.band.value, policy.site_class, block.rule.source)
        return self._tally(transport, qtype, rcode, cell)

    def rewritten(self, transport: Transport, qtype: int, rcode: int, engine: str) -> Tally:
        """An answer that leads to the safe mode of a search engine."""
        return self._tally(transport, qtype, rcode, self._counters.cell(REWRITTEN, engine))

    def upstream_block(self, transport: Transport, qtype: int, rcode: int, upstream: str) -> Tally:
        """A block that is not ours."""
        return self._tally(transport, qtype, rcode, self._counters.cell(UPSTREAM_BLOCKS, upstream))

    def harvest(self) -> None:
        """Add what gathered to the metrics."""
        for tally in self._tallies.values():
            if tally.n:
                for cell in tally.cells:
                    cell.n += tally.n
                tally.n = 0

    def _tally(self, transport: Transport, qtype: int, rcode: int, extra: Cell | None) -> Tally:
        label = type_label(qtype)
        key = (transport, label, rcode, extra)
        tally = self._tallies.get(key)
        if tally is None:
            counters = self._counters
            cells = [counters.cell(QUERIES, transport.value, label)]
            if rcode != SILENCE:
                cells.append(counters.cell(ANSWERS, rcode_label(rcode)))
            if extra is not None:
                cells.append(extra)
            tally = self._tallies[key] = Tally(tuple(cells))
        return tally
