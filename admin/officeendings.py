"""An officer's role ends by a document: one officer asks for it, another one agrees, and the office never has fewer than two.

Whoever leaves may be either of the two, or neither. What was asked for is forgotten after a week (`admin.officedoubts`), and
when the person who asked is no officer any more. A role that ends takes the person's signing key out of the next root by itself:
`admin.officekeys.held_keys` knows officers of today only.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from admin.audit import Act, Action, record
from admin.errors import NotFound
from admin.officedoubts import ROLES, Doubt, changing_doubts, read_doubts
from admin.people import Member, end_role, list_members
from blocklists.database import Database
from blocklists.tables import Role
from blocklists.takedown.workflow import TransitionRefused

DECIDING = (Role.VERIFIER, Role.APPROVER)


async def end_officer(database: Database, act: Act, state_dir: Path, assignment: str, basis: str) -> bool:
    """Ask for the end of a role, or agree to what another officer asked for; whether it has ended now. Raises NotFound for a role that is
    not there, TransitionRefused for the last two officers."""
    account = act.by.account_id
    assert account is not None
    async with changing_doubts(state_dir, act.now, ROLES) as asked, database.write() as connection:
        members = await list_members(connection, act.tenant, act.now)
        member = next((one for one in members if one.assignment == assignment), None)
        if member is None:
            raise NotFound
        require_enough(members, member)
        for key in asked.keys() - {one.assignment for one in members}:
            del asked[key]
        first = asked.pop(assignment, None)
        if first is None or first.account == account:
            asked[assignment] = Doubt(account, act.now, basis)
            await record(connection, act, Action.ROLE_END_ASKED, assignment, after={"role": member.role.value}, basis=basis)
            return False
        await end_role(connection, act, assignment, basis=first.basis)
        if not any(one.account == member.account and one.role in DECIDING and one.assignment != assignment for one in members):
            for key in [key for key, doubt in asked.items() if doubt.account == member.account]:
                del asked[key]  # an officer's word, no longer
        return True


async def read_asked(state_dir: Path, now: datetime) -> dict[str, Doubt]:
    """Roles that one officer wants ended, by the assignment's id."""
    return await asyncio.to_thread(read_doubts, state_dir, now, ROLES)


def require_enough(members: list[Member], leaving: Member) -> None:
    """Let a role end only where a verifier and an approver who are two people stay. Raises TransitionRefused."""
    if leaving.role not in DECIDING:
        return
    staying = [one for one in members if one.assignment != leaving.assignment and one.until is None]
    verifiers, approvers = ({one.account for one in staying if one.role is role} for role in DECIDING)
    if not any(one != other for one in verifiers for other in approvers):
        raise TransitionRefused(
            "last_officers",
            "Đơn vị luôn cần một người xác minh và một người phê duyệt là hai người: hãy bổ nhiệm người mới trước.",
            "The office always needs a verifier and an approver who are two people: appoint somebody new first.",
        )
