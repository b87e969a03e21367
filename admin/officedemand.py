"""How often far gateways are asked for names an office is about to decide on: questions that ride on the answers to receipts.

A name becomes a question when an officer looks at what its block would touch, and stays one for a day. A gateway answers with a number
where five of its clients asked, and with nothing else; which gateway told which number is kept in this process's memory, for a day, and
shown as one sum. No gateway weighs more than ten times the middle one, so that one which lies moves the sum little. Names of the masked
category are never asked about.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median_low
from typing import Final

from blocklists.receipts import LEAST, MOST_QUESTIONS
from blocklists.tables import OrganisationId
from gateway.demand import round_down

HOLDS: Final = timedelta(hours=24)
MOST_NAMES: Final = 256
MOST_GATEWAYS: Final = 1024
"""Of each name: the numbers of more are not kept, and the sum says "at least"."""
MOST_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What far gateways tell of a name together: at least how often it was asked for, and how many of them told."""

    at_least: int
    gateways: int


@dataclass(slots=True)
class _Question:
    tenant: OrganisationId
    name: str
    asked_at: datetime
    told: dict[str, tuple[int, datetime]] = field(default_factory=dict)


class FarDemand:
    """The questions of this process and what was answered. One per process; nothing of it is written anywhere."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._questions: OrderedDict[str, _Question] = OrderedDict()

    def want(self, tenant: OrganisationId, names: Iterable[str], now: datetime) -> None:
        """Ask the office's gateways about these registered names from now on."""
        for name in names:
            identity = self._id(tenant, name)
            question = self._questions.setdefault(identity, _Question(tenant, name, now))
            question.asked_at = now
            self._questions.move_to_end(identity)
        while len(self._questions) > MOST_NAMES:
            self._questions.popitem(last=False)

    def questions(self, tenant: OrganisationId, now: datetime) -> list[list[str]]:
        """What a gateway of the office is asked: pairs of an id and a name, the newest first."""
        found = [[identity, one.name] for identity, one in reversed(self._questions.items()) if one.tenant == tenant and _is_new(one, now)]
        return found[:MOST_QUESTIONS]

    def answer(self, tenant: OrganisationId, gateway: str, asked: Iterable[tuple[str, int]], now: datetime) -> None:
        """What a gateway told in a receipt that was believed; answers to what nobody asked are dropped."""
        for identity, count in asked:
            question = self._questions.get(identity)
            if question is None or question.tenant != tenant or count < LEAST:
                continue
            if gateway in question.told or len(question.told) < MOST_GATEWAYS:
                question.told[gateway] = (count, now)

    def of(self, tenant: OrganisationId, name: str, now: datetime) -> Elsewhere | None:
        """What is known of a name; None where no gateway told anything within the day."""
        question = self._questions.get(self._id(tenant, name))
        counts = [count for count, at in question.told.values() if now - at <= HOLDS] if question is not None else []
        if not counts:
            return None
        most = MOST_TIMES * median_low(counts)
        return Elsewhere(round_down(sum(min(count, most) for count in counts)), len(counts))

    def _id(self, tenant: OrganisationId, name: str) -> str:
        return hashlib.blake2b(f"{tenant} {name}".encode(), key=self._secret, digest_size=8).hexdigest()


def _is_new(question: _Question, now: datetime) -> bool:
    return now - question.asked_at <= HOLDS
