"""The transition table of takedown: the only door between two states. Pure; the store and the pages call `decide`.

A row says from where, by what verb, to where, in which capacity, and under which conditions. Conditions are functions of the case, the
actor and the time; each refuses with a stable code and a sentence in Vietnamese and English. Distinct persons are also constraints of the
database. Nothing is deleted: a correction is a further move.

report  received ─triage→ triaged ─┬─refer→ referred ─┐
                                   ├─merge→ merged ───┤
                                   ├─reject→ rejected ┼─close→ closed
                                   └─start→ verifying ─propose→ proposed ─┬─approve→ approved ─┘
                                                                          └─reject→ rejected
order   registered ─parse→ parsed ─verify→ verified ─approve→ approved   (awaiting_second ─second→ approved; urgent ─confirm→ approved)
entry   approved ─publish→ publishing ─receipts→ partial ─all_receipts→ active ─┬─expire→ expired
                                                                               ├─lift→ lifted
                                                                               ├─suspend→ suspended
                                                                               └─withdraw→ suspended ─reinstate→ publishing
review  received ─take→ reviewing ─┬─uphold→ upheld
                                   └─overturn→ overturned (the entry is lifted)
        received, reviewing ─uphold_again→ upheld, ─overturn_again→ overturned: decided before an older backup was put back
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from blocklists.takedown.model import Actor, Capacity, Case, Event, Kind, State
from blocklists.takedown.model import TransitionRefused as TransitionRefused

PROVISIONAL_DEFAULT = timedelta(days=7)
PROVISIONAL_CAP = timedelta(days=45)
"""An entry without an order number lives 7 days, 45 at most (after the measure of 2019 against a `.vn` name)."""
DISTORTED_CAP = timedelta(days=90)
STATE_HOST_CAP = timedelta(days=7)
URGENT_LIFE = timedelta(hours=24)
"""How long an urgent entry lives before a second approver must have confirmed it."""


Condition = Callable[[Case, Actor, datetime], None]


def verifier_is_another(case: Case, actor: Actor, now: datetime) -> None:
    """Verifier and approver are two persons (domain invariant 1)."""
    if case.verified_by is None:
        raise TransitionRefused("not_verified", "Chưa có người xác minh.", "Nobody has verified it yet.")
    if actor.account == case.verified_by:
        raise TransitionRefused("same_person", "Người xác minh không được tự phê duyệt.", "The person who verified cannot approve.")


def approver_is_another(case: Case, actor: Actor, now: datetime) -> None:
    """A second approval comes from somebody who did neither step before."""
    if actor.account in (case.verified_by, case.approved_by):
        raise TransitionRefused(
            "same_person",
            "Cần một người phê duyệt thứ hai, khác hai người trước.",
            "A second approver is needed, other than the first two.",
        )


def decided_nothing_before(case: Case, actor: Actor, now: datetime) -> None:
    """Whoever verified or approved an entry never decides its review."""
    if actor.account in (case.verified_by, case.approved_by, case.second_by):
        raise TransitionRefused(
            "took_part",
            "Người đã xác minh hoặc phê duyệt không được giải quyết đề nghị này.",
            "Whoever verified or approved cannot decide the review.",
        )


def has_reason(case: Case, actor: Actor, now: datetime) -> None:
    """The move needs a written reason."""
    if not case.reason.strip():
        raise TransitionRefused("reason_missing", "Hãy ghi lý do.", "Give a reason.")


def has_no_open_item(case: Case, actor: Actor, now: datetime) -> None:
    """Every row that needs a person's decision has one."""
    if case.undecided_items:
        raise TransitionRefused(
            "items_open", "Còn {n} dòng chưa có quyết định.", "Rows that still need a decision: {n}.", n=case.undecided_items
        )


def is_not_held(case: Case, actor: Actor, now: datetime) -> None:
    """A document with very many new names waits until a person has said yes to that."""
    if case.held:
        raise TransitionRefused(
            "held",
            "Quá nhiều tên miền mới cùng lúc: cần người xem và đồng ý trước.",
            "Very many new names at once: a person must look and agree first.",
        )


def dates_are_lawful(case: Case, actor: Actor, now: datetime) -> None:
    """Every entry has an end, or an explicit "no end" of a numbered order; provisional, `dist` and state hosts have their caps."""
    start = case.valid_from or now
    if case.no_end and not case.has_number:
        raise TransitionRefused(
            "no_end_needs_number", "Chỉ văn bản có số mới được để không thời hạn.", "Only a numbered document may have no end."
        )
    if not case.no_end and case.valid_until is None:
        raise TransitionRefused("end_missing", "Thiếu ngày hết hiệu lực.", "The end date is missing.")
    if case.valid_until is not None and case.valid_until <= max(start, now):
        raise TransitionRefused("end_passed", "Ngày hết hiệu lực đã qua.", "The end date has passed.")
    if case.category == "dist":
        if not (case.has_number and case.has_law):
            raise TransitionRefused(
                "dist_needs_law",
                "Nhóm “xuyên tạc” cần văn bản có số và điều luật nêu rõ.",
                "Distorted information needs a numbered document and a named law.",
            )
        refusal = TransitionRefused("dist_too_long", "Thời hạn tối đa {n} ngày.", "The longest term is {n} days.", n=DISTORTED_CAP.days)
        _within(case, start, DISTORTED_CAP, refusal)
    if case.is_state_host:
        refusal = TransitionRefused(
            "state_host_too_long",
            "Thời hạn tối đa {n} ngày với tên miền gov.vn, edu.vn.",
            "The longest term is {n} days for hosts under gov.vn and edu.vn.",
            n=STATE_HOST_CAP.days,
        )
        _within(case, start, STATE_HOST_CAP, refusal)
    if not case.has_number:
        refusal = TransitionRefused(
            "provisional_too_long",
            "Thời hạn tối đa {n} ngày khi chưa có văn bản.",
            "The longest term is {n} days without a document.",
            n=PROVISIONAL_CAP.days,
        )
        _within(case, case.provisional_since or start, PROVISIONAL_CAP, refusal)


def has_number(case: Case, actor: Actor, now: datetime) -> None:
    """The urgent road needs a numbered document marked urgent."""
    if not case.has_number:
        raise TransitionRefused("number_missing", "Đường khẩn cần văn bản có số.", "The urgent road needs a numbered document.")
    if not case.urgent:
        raise TransitionRefused("not_urgent", "Văn bản không ghi khẩn.", "The document is not marked urgent.")


def end_has_come(case: Case, actor: Actor, now: datetime) -> None:
    """Entries leave by themselves at their end, not before."""
    if case.valid_until is None or now < case.valid_until:
        raise TransitionRefused("not_yet", "Chưa đến ngày hết hiệu lực.", "The end date has not come.")


def has_no_number(case: Case, actor: Actor, now: datetime) -> None:
    """Only an entry without an order number is suspended by a late review; the others are escalated."""
    if case.has_number:
        raise TransitionRefused(
            "has_number", "Mục chặn có văn bản: chuyển cấp trên, không tạm dừng.", "The entry has a document: escalate, do not suspend."
        )


def was_withdrawn(case: Case, actor: Actor, now: datetime) -> None:
    """Only what a return took out, and nobody has confirmed, comes back; a lifted, expired or overturned entry never does."""
    if not case.withdrawn:
        raise TransitionRefused("not_withdrawn", "Mục này không do quay lại bản cũ.", "No return to an earlier version took it out.")


def _within(case: Case, start: datetime, cap: timedelta, refusal: TransitionRefused) -> None:
    if case.no_end or case.valid_until is None or case.valid_until > start + cap:
        raise refusal


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    kind: Kind
    verb: str
    before: frozenset[State]
    after: State
    who: frozenset[Capacity]
    conditions: tuple[Condition, ...] = ()


def _row(kind: Kind, verb: str, before: set[State], after: State, who: set[Capacity], *conditions: Condition) -> Transition:
    return Transition(kind, verb, frozenset(before), after, frozenset(who), conditions)


_OFFICE = {Capacity.VERIFIER, Capacity.APPROVER}
_VERIFIER = {Capacity.VERIFIER}
_APPROVER = {Capacity.APPROVER}
_SYSTEM = {Capacity.SYSTEM}
_ENFORCED = {State.PUBLISHING, State.PARTIAL, State.ACTIVE, State.SUSPENDED}

TABLE: tuple[Transition, ...] = (
    _row(Kind.REPORT, "triage", {State.RECEIVED}, State.TRIAGED, _OFFICE),
    _row(Kind.REPORT, "refer", {State.TRIAGED, State.VERIFYING}, State.REFERRED, _OFFICE, has_reason),
    _row(Kind.REPORT, "merge", {State.TRIAGED}, State.MERGED, _OFFICE, has_reason),
    _row(Kind.REPORT, "reject", {State.TRIAGED, State.VERIFYING, State.PROPOSED}, State.REJECTED, _OFFICE, has_reason),
    _row(Kind.REPORT, "start", {State.TRIAGED}, State.VERIFYING, _VERIFIER),
    _row(Kind.REPORT, "propose", {State.VERIFYING}, State.PROPOSED, _VERIFIER, has_reason),
    _row(Kind.REPORT, "approve", {State.PROPOSED}, State.APPROVED, _APPROVER, verifier_is_another, dates_are_lawful),
    _row(Kind.REPORT, "close", {State.MERGED, State.REJECTED, State.APPROVED}, State.CLOSED, _OFFICE | _SYSTEM),
    # A referred case is not ours any more: nobody of the office moves it.
    _row(Kind.REPORT, "close", {State.REFERRED}, State.CLOSED, _SYSTEM),
    _row(Kind.ORDER, "parse", {State.REGISTERED, State.PARSED}, State.PARSED, _VERIFIER),
    _row(Kind.ORDER, "verify", {State.PARSED}, State.VERIFIED, _VERIFIER, is_not_held, has_no_open_item),
    _row(Kind.ORDER, "send_back", {State.VERIFIED, State.AWAITING_SECOND}, State.PARSED, _APPROVER, has_reason),
    _row(Kind.ORDER, "approve", {State.VERIFIED}, State.APPROVED, _APPROVER, verifier_is_another, has_no_open_item, dates_are_lawful),
    _row(Kind.ORDER, "second", {State.AWAITING_SECOND}, State.APPROVED, _APPROVER, approver_is_another, dates_are_lawful),
    _row(
        Kind.ORDER,
        "approve_urgent",
        {State.PARSED, State.VERIFIED},
        State.URGENT,
        _APPROVER,
        has_number,
        is_not_held,
        has_no_open_item,
        dates_are_lawful,
    ),
    _row(Kind.ORDER, "confirm", {State.URGENT}, State.APPROVED, _APPROVER, approver_is_another, dates_are_lawful),
    _row(
        Kind.ORDER, "reject", {State.REGISTERED, State.PARSED, State.VERIFIED, State.AWAITING_SECOND}, State.REJECTED, _APPROVER, has_reason
    ),
    _row(Kind.ORDER, "lapse", {State.URGENT}, State.CLOSED, _SYSTEM),
    _row(Kind.ORDER, "close", {State.APPROVED, State.REJECTED}, State.CLOSED, _SYSTEM | _APPROVER),
    _row(Kind.ENTRY, "publish", {State.APPROVED}, State.PUBLISHING, _SYSTEM),
    _row(Kind.ENTRY, "receipts", {State.PUBLISHING, State.PARTIAL}, State.PARTIAL, _SYSTEM),
    _row(Kind.ENTRY, "all_receipts", {State.PUBLISHING, State.PARTIAL}, State.ACTIVE, _SYSTEM),
    _row(
        Kind.ENTRY, "renew", {State.PARTIAL, State.ACTIVE}, State.PUBLISHING, _APPROVER, verifier_is_another, has_reason, dates_are_lawful
    ),
    _row(Kind.ENTRY, "expire", _ENFORCED, State.EXPIRED, _SYSTEM, end_has_come),
    _row(Kind.ENTRY, "lift", _ENFORCED, State.LIFTED, _APPROVER | _SYSTEM, has_reason),
    _row(Kind.ENTRY, "suspend", {State.PUBLISHING, State.PARTIAL, State.ACTIVE}, State.SUSPENDED, _SYSTEM, has_no_number),
    _row(Kind.ENTRY, "withdraw", {State.PUBLISHING, State.PARTIAL, State.ACTIVE}, State.SUSPENDED, _APPROVER, has_reason),
    _row(Kind.ENTRY, "reinstate", {State.SUSPENDED}, State.PUBLISHING, _APPROVER | _SYSTEM, was_withdrawn),
    _row(Kind.REVIEW, "take", {State.RECEIVED}, State.REVIEWING, _OFFICE, decided_nothing_before),
    _row(Kind.REVIEW, "uphold", {State.REVIEWING}, State.UPHELD, _APPROVER, decided_nothing_before, has_reason),
    _row(Kind.REVIEW, "overturn", {State.REVIEWING}, State.OVERTURNED, _APPROVER, decided_nothing_before, has_reason),
    _row(Kind.REVIEW, "uphold_again", {State.RECEIVED, State.REVIEWING}, State.UPHELD, _SYSTEM, has_reason),
    _row(Kind.REVIEW, "overturn_again", {State.RECEIVED, State.REVIEWING}, State.OVERTURNED, _SYSTEM, has_reason),
)


def decide(case: Case, verb: str, actor: Actor, now: datetime) -> Event:
    """Allow a move or refuse it with a reason. Raises TransitionRefused; changes nothing itself.

    An order that touches a state host or a protected group waits for a second approver after the first.
    """
    row = next((row for row in TABLE if row.kind is case.kind and row.verb == verb and case.state in row.before), None)
    if row is None:
        raise TransitionRefused(
            "not_from_here",
            "Bước này không áp dụng ở trạng thái hiện tại.",
            "This step is not possible in the present state.",
        )
    if actor.capacity not in row.who:
        raise TransitionRefused("not_allowed", "Vai trò này không được làm bước này.", "This role may not take this step.")
    for condition in row.conditions:
        condition(case, actor, now)
    after = row.after
    if case.kind is Kind.ORDER and verb == "approve" and case.needs_second:
        after = State.AWAITING_SECOND
    return Event(case.kind, verb, case.state, after, actor, now, case.reason)


def possible(case: Case, actor: Actor, now: datetime) -> list[str]:
    """The verbs this actor may use now; reasons are taken as given, so that a page can offer the button."""
    return [verb for verb, refusal in weighed(case, actor, now).items() if refusal is None]


def weighed(case: Case, actor: Actor, now: datetime) -> dict[str, TransitionRefused | None]:
    """Every verb of this actor's role in the present state, with what stands in its way now, so that a page can say why there is no button.
    Reasons are taken as given."""
    found: dict[str, TransitionRefused | None] = {}
    for row in TABLE:
        if row.kind is case.kind and case.state in row.before and actor.capacity in row.who and found.get(row.verb, row) is not None:
            try:
                for condition in row.conditions:
                    if condition is not has_reason:
                        condition(case, actor, now)
            except TransitionRefused as refusal:
                found[row.verb] = refusal
            else:
                found[row.verb] = None
    return found
