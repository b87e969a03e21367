"""Which role of an office may end: a verifier and an approver who are two people always stay."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from admin.officeendings import require_enough
from admin.people import Member
from blocklists.tables import AccountId, Role
from blocklists.takedown.workflow import TransitionRefused

NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)


def member(place: str, account: str, role: Role, until: datetime | None = None) -> Member:
    return Member(place, AccountId(account), account, role, NOW, until)


VERIFIER, APPROVER = member("1", "a", Role.VERIFIER), member("2", "b", Role.APPROVER)


@pytest.mark.parametrize(
    ("staying", "leaving", "may"),
    [
        ([VERIFIER, APPROVER], member("3", "c", Role.APPROVER), True),
        ([VERIFIER], APPROVER, False),
        ([APPROVER], VERIFIER, False),
        ([APPROVER, member("3", "b", Role.VERIFIER)], VERIFIER, False),
        ([APPROVER, member("3", "b", Role.VERIFIER), member("4", "c", Role.APPROVER)], VERIFIER, True),
        ([VERIFIER, member("3", "c", Role.APPROVER, NOW)], APPROVER, False),
        ([], member("3", "c", Role.OBSERVER), True),
    ],
    ids=["third", "last approver", "last verifier", "one person in both", "three of two roles", "who stays leaves soon", "observer"],
)
def test_two_people_stay(staying: list[Member], leaving: Member, may: bool) -> None:
    """The last verifier and the last approver stay, counted as people."""
    if may:
        require_enough([*staying, leaving], leaving)
        return
    with pytest.raises(TransitionRefused):
        require_enough([*staying, leaving], leaving)
