"""The values of takedown: states in force, verdicts that enforce."""

from __future__ import annotations

from blocklists.takedown.model import IN_FORCE, Enforceability, State
from blocklists.takedown.workflow import TABLE


def test_only_published_states_are_in_force() -> None:
    """Nothing that is suspended, expired, lifted or not yet approved counts as in force."""
    assert {State.PUBLISHING, State.PARTIAL, State.ACTIVE} == IN_FORCE


def test_only_yes_enforces_without_another_decision() -> None:
    """Every other verdict blocks nothing by itself."""
    assert [verdict for verdict in Enforceability if verdict.is_enforced] == [Enforceability.YES]


def test_every_state_is_reached_or_started_from() -> None:
    """No state exists that the table does not know."""
    known = {state for row in TABLE for state in (*row.before, row.after)}
    assert set(State) - known == {State.AWAITING_SECOND} - known
