"""Switches: what is locked stays locked, and where a switch stands follows the owner, then the band."""

from __future__ import annotations

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.errors import InvalidInput
from admin.switches import Switches, check_switch, is_loosening, is_open, list_switches, set_switch
from admin.values import SwitchKind, SwitchState
from gateway.policy.model import Band
from tests.support.family import Family

SHELF = read_shipped()
CATEGORY, SERVICE = SwitchKind.CATEGORY, SwitchKind.SERVICE
ALLOW, BLOCK = SwitchState.ALLOW, SwitchState.BLOCK


async def test_set_switch_replaces_and_removes(services: Services, family: Family, act: Act) -> None:
    """One row per switch; none when it is left to the band."""
    async with services.database.write() as connection:
        for state in (ALLOW, BLOCK, BLOCK, None):
            await set_switch(connection, act, family.bi.id, CATEGORY, "game", state)
            found = await list_switches(connection, act.tenant, family.bi.id)
            assert found == ({(CATEGORY, "game"): state} if state else {})


@pytest.mark.parametrize(
    ("kind", "code", "state", "refused"),
    [
        (CATEGORY, "gamb", ALLOW, "locked"),
        (CATEGORY, "gamb", BLOCK, None),
        (CATEGORY, "game", ALLOW, None),
        (CATEGORY, "order", BLOCK, "unknown"),
        (CATEGORY, "nothing", ALLOW, "unknown"),
        (SERVICE, "zalo", ALLOW, None),
        (SERVICE, "nothing", BLOCK, "unknown"),
    ],
)
def test_check_switch_refuses_what_is_locked_or_unknown(
    family: Family, kind: SwitchKind, code: str, state: SwitchState, refused: str | None
) -> None:
    """No switch of a family opens gambling, and none exists for an authority's orders."""
    if refused is None:
        check_switch(SHELF, family.bi, Band.TH, kind, code, state)
    else:
        with pytest.raises(InvalidInput) as caught:
            check_switch(SHELF, family.bi, Band.TH, kind, code, state)
        assert caught.value.mistakes[0].code == refused


def test_is_open_follows_owner_then_band(family: Family) -> None:
    """A service follows its own switch, then its categories, and is never open when one of them is locked."""
    cases: list[tuple[Switches, SwitchKind, str, bool]] = [
        ({}, CATEGORY, "game", False),
        ({(CATEGORY, "game"): ALLOW}, CATEGORY, "game", True),
        ({}, CATEGORY, "game00", True),
        ({(CATEGORY, "gamb"): ALLOW}, CATEGORY, "gamb", False),
        ({}, SERVICE, "zalo", False),
        ({(SERVICE, "zalo"): ALLOW}, SERVICE, "zalo", True),
        ({(CATEGORY, "chat"): ALLOW}, SERVICE, "zalo", False),
        ({(CATEGORY, "chat"): ALLOW, (CATEGORY, "social"): ALLOW}, SERVICE, "zalo", True),
        ({(SERVICE, "tinder"): ALLOW}, SERVICE, "tinder", False),
    ]
    for own, kind, code, opened in cases:
        assert is_open(SHELF, own, family.bi, Band.TH, kind, code) is opened, (own, code)


def test_is_loosening_only_when_something_opens(family: Family) -> None:
    """Closing never asks for the password; opening does; a switch that changes nothing does not."""
    assert is_loosening(SHELF, {}, family.bi, Band.TH, CATEGORY, "game", ALLOW)
    assert not is_loosening(SHELF, {}, family.bi, Band.TH, CATEGORY, "game", BLOCK)
    assert is_loosening(SHELF, {(CATEGORY, "game00"): BLOCK}, family.bi, Band.TH, CATEGORY, "game00", None)
    assert not is_loosening(SHELF, {}, family.bi, Band.TH, CATEGORY, "game00", ALLOW)
