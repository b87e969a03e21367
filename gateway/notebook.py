"""What a worker writes down about the queries it answered, handed to the activity and the metrics once a second. Imported by the pipeline.

On the way of a query a note costs two dictionary operations. How many are kept with their names in one second is bounded; the counts always
are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.activity import Activity, Outcome
from gateway.answers import Note
from gateway.clients import Clients, Record
from gateway.metrics import IDENTIFIED, Counters
from gateway.policy.model import EffectivePolicy, Pass, Reason
from gateway.wire.name import text_of

MOST_RECENT: Final = 512
"""Blocks a second that are remembered with their name, and visits likewise."""
WATCH: Final = "watch-"
"""How the id of a timed opening begins that only watches: what it lets through is counted apart."""
UPSTREAM: Final = "upstream"
"""What a note says of an answer that the upstream had blocked; also the rule under which a device's recent blocks tell of it."""
_NEVER_A_VISIT: Final = frozenset({Reason.HELP, Reason.INFRASTRUCTURE})
"""Opened by the lines that nothing overrides: no history ever holds such a name, whoever agreed."""
_COUNTED: Final[Mapping[str, Outcome]] = {"rewritten": "rewritten", "watched": "watched"}
_WATCHING: Final = f"open {WATCH}"
_SECOND_LEVELS: Final = frozenset(
    {"ac", "biz", "co", "com", "edu", "go", "gob", "gov", "health", "id", "info", "int", "mil", "name", "ne", "net", "or", "org", "pro"}
)


class Notebook:
    """Notes since the last second."""

    def __init__(self, activity: Activity, counters: Counters) -> None:
        self._activity = activity
        self._recent: dict[tuple[bytes, str | None, Note], None] = {}
        self._visits: dict[tuple[EffectivePolicy, Note], None] = {}
        self._identified = {known: counters.cell(IDENTIFIED, "yes" if known else "no") for known in (True, False)}

    def write(self, record: Record, note: Note) -> None:
        """Note one reply."""
        if note.is_visit:
            if len(self._visits) < MOST_RECENT:
                self._visits[record.policy, note] = None
            return
        if note.is_counted:
            notes = record.account.notes
            kind = note.kind
            if kind in notes:
                notes[kind] += 1
            else:
                notes[kind] = 1
        if note.is_recent and len(self._recent) < MOST_RECENT:
            self._recent[record.address, record.match.client_id, note] = None

    def hand_over(self, clients: Clients, wall: float) -> None:
        """Give everything to the activity; `wall` in unix seconds."""
        activity = self._activity
        for account in clients.accounts():
            if account.spent:
                self._identified[account.known].n += account.spent
                account.balance += account.spent
                account.spent = 0
            if account.notes:
                notes, account.notes = account.notes, {}
                for kind, number in notes.items():
                    account.balance -= number
                    counted = _COUNTED.get(kind.outcome, "blocked")
                    activity.judged(account.policy, counted, kind.category, wall, number, site=account.site)
            if account.balance > 0:
                activity.judged(account.policy, "allowed", "", wall, account.balance, site=account.site)
                account.balance = 0
        for address, client, note in self._recent:
            activity.blocked(address, note.name, note.kind.category, note.rule, wall, client=client)
        for policy, note in self._visits:
            activity.visited(policy, registered_name(note.name), note.kind.category, wall)
        self._recent.clear()
        self._visits.clear()


def note_passage(policy: EffectivePolicy, verdict: Pass, key: str) -> Note | None:
    """What is remembered of a name that was let through: a visit of a consented history, or what would have been blocked while a family
    only watches; None nearly always."""
    if policy.activity == "history" and verdict.reason not in _NEVER_A_VISIT:
        return Note("visited", verdict.category, text_of(key))
    if verdict.reason is Reason.OVERRIDE and verdict.rule is not None and verdict.rule.text.startswith(_WATCHING):
        return Note("watched", verdict.category, "")
    return None


def registered_name(text: str) -> str:
    """The name somebody registered, roughly: two labels, three under the public second levels of country domains (`example.com.vn`)."""
    labels = text.split(".")
    if len(labels) >= 3 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])
