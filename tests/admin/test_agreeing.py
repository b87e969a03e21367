"""A proposal waits for the child's word: complete only with it, another age or a week end it, a new question replaces the old one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from admin.agreeing import OPEN_FOR, agree_history, decline_history, find_proposal, propose_history
from admin.audit import VISITOR, Act
from admin.dependencies import Services
from admin.errors import Conflict, InvalidInput, NotFound
from admin.familytables import history_consents
from admin.history import find_keeping, make_box, stop_history
from gateway.policy.model import Band
from tests.support.family import Family


async def test_consent_is_complete_with_the_childs_word(services: Services, family: Family, act: Act, now: datetime) -> None:
    """The newest question counts; yes begins a history under that consent, and there is nothing left to say yes to."""
    child, (box, _) = Act(family.tenant, VISITOR, now), await make_box()
    async with services.database.write() as connection:
        with pytest.raises(NotFound):
            await agree_history(connection, child, family.bi, box)
        await propose_history(connection, act, family.bi, 7, "vi")
        await propose_history(connection, act, family.bi, 3, "vi")
        found = await find_proposal(connection, family.tenant, family.bi, now)
        assert found is not None and (found.days, found.until) == (3, now + OPEN_FOR)
        assert await find_proposal(connection, family.tenant, family.na, now) is None
        await agree_history(connection, child, family.bi, box)
        keeping = await find_keeping(connection, family.tenant, family.bi.id)
        assert keeping is not None and keeping.days == 3
        with pytest.raises(NotFound):
            await agree_history(connection, child, family.bi, box)
        with pytest.raises(Conflict):
            await propose_history(connection, act, family.bi, 1, "vi")
        mine = select(history_consents).where(history_consents.c.tenant_id == family.tenant, history_consents.c.ended_at.is_(None))
        (row,) = (await connection.execute(mine)).all()
        assert (row.child_agreed, row.days, row.given_by) == (1, 3, family.account)


async def test_question_ends(services: Services, family: Family, act: Act, now: datetime) -> None:
    """By no, by the guardian, after a week, at another age; the youngest and adults are not asked."""
    child = Act(family.tenant, VISITOR, now)
    async with services.database.write() as connection:
        for end in (decline_history, stop_history):
            await propose_history(connection, act, family.bi, 7, "vi")
            await end(connection, child, family.bi.id)
            assert await find_proposal(connection, family.tenant, family.bi, now) is None
        await propose_history(connection, act, family.bi, 7, "vi")
        assert await find_proposal(connection, family.tenant, family.bi, now + OPEN_FOR - timedelta(minutes=1)) is not None
        assert await find_proposal(connection, family.tenant, family.bi, now + OPEN_FOR) is None
        assert await find_proposal(connection, family.tenant, replace(family.bi, band=Band.CS), now) is None
        for nobody in (replace(family.bi, band=Band.MN), family.adults, family.guests):
            with pytest.raises(InvalidInput):
                await propose_history(connection, act, nobody, 3, "vi")
