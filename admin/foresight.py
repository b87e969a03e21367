"""What the gateway would do with a name, and why: asked of the generation in force, in this process, without asking the gateway.

The index is memory-mapped and shared with the workers; a generation is loaded when it is first needed and again when another is in
force. `foresee` says what a rule by name would change: it opens everything but what is locked, it closes everything but what always
stays open.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from admin.catalogue import Shelf
from admin.names import is_always_open
from admin.values import NameEffect, ProfileId
from blocklists.tables import OrganisationId
from gateway.errors import GenerationError, InvalidName
from gateway.policy.model import Band, Block, Decision, Reason, Rewrite, Rule
from gateway.policy.snapshot import Snapshot
from gateway.release import current_number
from gateway.wire.name import key_from_text

TYPE_A = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a name now, in the few facts a page needs."""

    blocked: bool
    rewritten: bool
    reason: Reason
    category: str
    rule: Rule | None
    categories: tuple[str, ...]


class Outcome(StrEnum):
    """What a rule by name would bring."""

    OPENS = "opens"
    STAYS_OPEN = "stays_open"
    CLOSES = "closes"
    STAYS_CLOSED = "stays_closed"
    LOCKED = "locked"
    ALWAYS_OPEN = "always_open"


class Foresight:
    """Judges names as the gateway does, from the generation in force."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._snapshot: Snapshot | None = None
        self._turn = asyncio.Lock()

    async def judge(self, tenant: OrganisationId, profile: ProfileId | None, host: str, now: datetime) -> Verdict | None:
        """What becomes of `host` for a profile (None: the guests); None when that cannot be known here and now."""
        snapshot = await self._current()
        if snapshot is None:
            return None
        try:
            match = snapshot.match_of(tenant, profile)
            policy = snapshot.effective(match, now.timestamp())
            return _verdict(snapshot.explain(key_from_text(host), TYPE_A, policy))
        except (KeyError, InvalidName):  # not in force yet, or no name
            return None

    async def _current(self) -> Snapshot | None:
        async with self._turn:
            try:
                number = current_number(self.state_dir)
                if number is not None and (self._snapshot is None or self._snapshot.number != number):
                    self._snapshot = await asyncio.to_thread(Snapshot.load, self.state_dir, number, self._snapshot)
            except GenerationError:
                return self._snapshot
            return self._snapshot


def foresee(verdict: Verdict, host: str, effect: NameEffect, shelf: Shelf, band: Band) -> Outcome:
    """What listing `host` with this effect would bring for a profile of this band."""
    if effect is NameEffect.DENY:
        if is_always_open(key_from_text(host), shelf.catalogue):
            return Outcome.ALWAYS_OPEN
        return Outcome.STAYS_CLOSED if verdict.blocked else Outcome.CLOSES
    if not verdict.blocked:
        return Outcome.STAYS_OPEN
    return Outcome.LOCKED if is_locked(verdict, shelf, band) else Outcome.OPENS


def is_locked(verdict: Verdict, shelf: Shelf, band: Band) -> bool:
    """Whether nobody in the family or school can open what blocks this name."""
    if verdict.reason in (Reason.ORDER, Reason.LEGAL):
        return True
    if verdict.rule is not None and verdict.rule.origin.value == "province":
        return True
    return any(shelf.cell(code, band, band).locked for code in verdict.categories)


def _verdict(decision: Decision) -> Verdict:
    match decision.verdict:
        case Block(reason=reason, category=category, rule=rule):
            return Verdict(True, False, reason, category, rule, decision.categories)
        case Rewrite(reason=reason, rule=rewritten):
            return Verdict(False, True, reason, "", rewritten, decision.categories)
        case other:
            reason = getattr(other, "reason", Reason.DEFAULT)
            return Verdict(False, False, reason, getattr(other, "category", ""), other.rule, decision.categories)
