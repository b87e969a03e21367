"""A code for one gateway, and taking a gateway away."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.errors import NotFound
from admin.officejoining import NotSigned, read_fingerprint, take_away
from blocklists.tables import Role
from tests.support.office import Officers


async def test_no_code_before_the_list_is_signed(services: Services, officers: Officers, now: datetime) -> None:
    """Nobody can follow an office that has no root; a gateway that is not there cannot be taken away."""
    with pytest.raises(NotSigned):
        await read_fingerprint(services.office.signing)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    with pytest.raises(NotFound):
        await take_away(services.database, act, services.office.signing, services.settings, "x" * 24)
