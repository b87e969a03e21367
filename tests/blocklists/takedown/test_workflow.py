"""The transition table: what it allows, what it refuses and why; no order of events avoids two persons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklists.takedown import workflow
from blocklists.takedown.model import SYSTEM, Actor, Capacity, Case, Kind, State
from blocklists.takedown.workflow import TABLE, TransitionRefused, decide, possible, weighed

NOW = datetime(2026, 9, 1, 3, tzinfo=UTC)
VERIFIER = Actor("a-verifier", Capacity.VERIFIER, "office")
APPROVER = Actor("b-approver", Capacity.APPROVER, "office")
SECOND = Actor("c-approver", Capacity.APPROVER, "office")
ORDER = Case(
    Kind.ORDER, State.VERIFIED, has_number=True, verified_by=VERIFIER.account, valid_from=NOW, valid_until=NOW + timedelta(days=30)
)


def refusal(case: Case, verb: str, actor: Actor, now: datetime = NOW) -> str:
    """The code with which the table refuses, or "" when it allows."""
    try:
        decide(case, verb, actor, now)
    except TransitionRefused as refused:
        assert refused.vi
        assert refused.en
        return refused.code
    return ""


def test_order_verified_by_one_and_approved_by_another_is_approved() -> None:
    """The ordinary road ends approved."""
    assert decide(ORDER, "approve", APPROVER, NOW).after is State.APPROVED


@pytest.mark.parametrize(
    ("change", "verb", "actor", "code"),
    [
        ({}, "approve", Actor(VERIFIER.account, Capacity.APPROVER), "same_person"),
        ({"verified_by": None}, "approve", APPROVER, "not_verified"),
        ({}, "approve", VERIFIER, "not_allowed"),
        ({}, "approve", Actor("x", Capacity.PUBLIC), "not_allowed"),
        ({"state": State.REGISTERED}, "approve", APPROVER, "not_from_here"),
        ({"undecided_items": 2}, "approve", APPROVER, "items_open"),
        ({"valid_until": None}, "approve", APPROVER, "end_missing"),
        ({"valid_until": NOW}, "approve", APPROVER, "end_passed"),
        ({"valid_until": None, "no_end": True}, "approve", APPROVER, ""),
        ({"valid_until": None, "no_end": True, "has_number": False}, "approve", APPROVER, "no_end_needs_number"),
        ({"has_number": False, "valid_until": NOW + timedelta(days=46)}, "approve", APPROVER, "provisional_too_long"),
        ({"has_number": False, "valid_until": NOW + timedelta(days=45)}, "approve", APPROVER, ""),
        ({"category": "dist"}, "approve", APPROVER, "dist_needs_law"),
        ({"category": "dist", "has_law": True}, "approve", APPROVER, ""),
        ({"category": "dist", "has_law": True, "valid_until": NOW + timedelta(days=91)}, "approve", APPROVER, "dist_too_long"),
        ({"category": "dist", "has_law": True, "valid_until": None, "no_end": True}, "approve", APPROVER, "dist_too_long"),
        ({"is_state_host": True}, "approve", APPROVER, "state_host_too_long"),
        ({"is_state_host": True, "valid_until": NOW + timedelta(days=7)}, "approve", APPROVER, ""),
        ({"state": State.PARSED, "urgent": False}, "approve_urgent", APPROVER, "not_urgent"),
        ({"state": State.PARSED, "urgent": True, "has_number": False}, "approve_urgent", APPROVER, "number_missing"),
        ({"state": State.PARSED, "urgent": True, "verified_by": None}, "approve_urgent", APPROVER, ""),
        ({}, "send_back", APPROVER, "reason_missing"),
        ({"reason": "thiếu căn cứ"}, "send_back", APPROVER, ""),
    ],
)
def test_order_moves_are_allowed_or_refused_with_a_code(change: dict[str, object], verb: str, actor: Actor, code: str) -> None:
    """Each condition of an order refuses with its own code, and only when it should."""
    assert refusal(replace(ORDER, **change), verb, actor) == code  # type: ignore[arg-type]


def test_protected_host_waits_for_a_second_approver_other_than_the_first_two() -> None:
    """A state host or protected group needs a third person."""
    case = replace(ORDER, needs_second=True)
    assert decide(case, "approve", APPROVER, NOW).after is State.AWAITING_SECOND
    waiting = replace(case, state=State.AWAITING_SECOND, approved_by=APPROVER.account)
    assert refusal(waiting, "second", APPROVER) == "same_person"
    assert decide(waiting, "second", SECOND, NOW).after is State.APPROVED


def test_urgent_order_is_confirmed_by_another_approver() -> None:
    """The urgent road puts an order in force at once and asks a second approver afterwards."""
    case = replace(ORDER, state=State.URGENT, urgent=True, verified_by=None, approved_by=APPROVER.account)
    assert refusal(case, "confirm", APPROVER) == "same_person"
    assert decide(case, "confirm", SECOND, NOW).after is State.APPROVED


def test_entry_expires_at_its_end_and_not_before() -> None:
    """The clock ends an entry at its end date."""
    entry = Case(Kind.ENTRY, State.ACTIVE, has_number=True, valid_until=NOW)
    assert refusal(entry, "expire", SYSTEM, NOW - timedelta(seconds=1)) == "not_yet"
    assert decide(entry, "expire", SYSTEM, NOW).after is State.EXPIRED


def test_late_review_suspends_only_an_entry_without_a_number() -> None:
    """A review over its time suspends a provisional entry and escalates an ordered one."""
    entry = Case(Kind.ENTRY, State.ACTIVE, has_number=False)
    assert decide(entry, "suspend", SYSTEM, NOW).after is State.SUSPENDED
    assert refusal(replace(entry, has_number=True), "suspend", SYSTEM) == "has_number"


@pytest.mark.parametrize("account", ["a-verifier", "b-approver"])
def test_whoever_decided_an_entry_never_decides_its_review(account: str) -> None:
    """Verifier and approver of an entry are refused its review."""
    review = Case(Kind.REVIEW, State.RECEIVED, verified_by="a-verifier", approved_by="b-approver")
    assert refusal(review, "take", Actor(account, Capacity.APPROVER)) == "took_part"
    taken = replace(review, state=State.REVIEWING, reason="đổi chủ")
    assert refusal(taken, "overturn", Actor(account, Capacity.APPROVER)) == "took_part"
    assert decide(taken, "overturn", SECOND, NOW).after is State.OVERTURNED


def test_what_stands_in_the_way_is_told() -> None:
    """A button that is not there has a reason: the verifier's own document, a host under gov.vn for longer than seven days."""
    own = weighed(ORDER, Actor(VERIFIER.account, Capacity.APPROVER), NOW)
    codes = {verb: refusal and refusal.code for verb, refusal in own.items()}
    assert codes == {"send_back": None, "approve": "same_person", "approve_urgent": "not_urgent", "reject": None}
    long = replace(ORDER, is_state_host=True, valid_until=NOW + timedelta(days=30))
    assert {verb: refusal and refusal.code for verb, refusal in weighed(long, APPROVER, NOW).items()}["approve"] == "state_host_too_long"


def test_possible_moves_are_those_the_table_allows() -> None:
    """A page offers only what would be allowed."""
    assert possible(ORDER, APPROVER, NOW) == ["send_back", "approve", "reject"]
    assert possible(ORDER, Actor(VERIFIER.account, Capacity.APPROVER), NOW) == ["send_back", "reject"]
    assert possible(ORDER, Actor("x", Capacity.PUBLIC), NOW) == []


def test_every_state_of_the_table_is_drawn() -> None:
    """The drawing at the top of the module names every state the table uses."""
    drawn = workflow.__doc__ or ""
    used = {state for row in TABLE for state in (*row.before, row.after)}
    assert [state for state in used if state.value not in drawn] == []


ACCOUNTS = ["p1", "p2", "p3"]
STEP = st.tuples(
    st.sampled_from(sorted({row.verb for row in TABLE if row.kind is Kind.ORDER})),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(list(Capacity)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEP, max_size=12), st.booleans(), st.booleans(), st.booleans())
def test_no_order_of_events_reaches_approved_without_two_persons(
    steps: list[tuple[str, str, Capacity]], numbered: bool, urgent: bool, needs_second: bool
) -> None:
    """Whatever anybody tries in any order, an approved order has two distinct persons, three where a second approver is due."""
    case = Case(
        Kind.ORDER, State.REGISTERED, has_number=numbered, urgent=urgent, needs_second=needs_second,
        valid_from=NOW, valid_until=NOW + timedelta(days=5), reason="x",
    )  # fmt: skip
    for verb, account, capacity in steps:
        try:
            event = decide(case, verb, Actor(account, capacity), NOW)
        except TransitionRefused:
            continue
        fields: dict[str, str | None] = {}
        if verb == "verify":
            fields = {"verified_by": account}
        elif verb in ("approve", "approve_urgent"):
            fields = {"approved_by": account}
        elif verb in ("second", "confirm"):
            fields = {"second_by": account}
        elif verb in ("send_back", "parse"):
            fields = {"verified_by": None, "approved_by": None}
        case = replace(case, state=event.after, **fields)  # type: ignore[arg-type]
        persons = {one for one in (case.verified_by, case.approved_by, case.second_by) if one}
        if case.state is State.APPROVED:
            assert len(persons) >= (3 if needs_second and case.second_by and case.verified_by else 2)
