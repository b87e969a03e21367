"""A family's choices: opening waits where it was chosen, closing never does; addresses are looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from admin.audit import Act
from admin.choices import NOTHING_CHOSEN, RIPE, Choices, begin_wait, hold, is_hook, is_mail, note_digest, read_choices, set_choices
from admin.dependencies import Services
from admin.errors import CoolingOff
from admin.permissions import Permission
from tests.support.family import Family


async def test_second_press_works_after_the_wait_for_an_hour(services: Services, family: Family, act: Act) -> None:
    """Not before, not much later; a second beginning does not make the wait longer; nothing else waits."""
    now = act.now
    async with services.database.write() as connection:
        assert await read_choices(connection, family.tenant) == NOTHING_CHOSEN
        assert await begin_wait(connection, act) is None
        await set_choices(connection, act, Choices(cooling_minutes=30))
        choices = await read_choices(connection, family.tenant)
        hold(Permission.PROFILE_TIGHTEN, choices, now)
        with pytest.raises(CoolingOff):
            hold(Permission.PROFILE_LOOSEN, choices, now)
        ripe = now + timedelta(minutes=30)
        assert await begin_wait(connection, act) == ripe
        assert await begin_wait(connection, Act(act.tenant, act.by, now + timedelta(minutes=10))) == ripe
        choices = await read_choices(connection, family.tenant)
        assert choices.is_waiting(now) and not choices.may_open(ripe - timedelta(seconds=1))
        assert choices.may_open(ripe) and not choices.may_open(ripe + RIPE)
        await note_digest(connection, family.tenant, "2026-W42")
        assert (await read_choices(connection, family.tenant)).digest_week == "2026-W42"


@pytest.mark.parametrize(
    ("text", "good"),
    [("me@example.com", True), ("a.b+c@mail.example.vn", True), ("me@", False), ("a@b.c\nBcc: x@y.z", False), ("x y@z.vn", False)],
)
def test_one_address_for_mail(text: str, good: bool) -> None:
    """One, and nothing that would become a second header."""
    assert is_mail(text) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://hook.example/x?y=1", True),
        ("http://hook.example/", False),
        ("https://u:p@hook.example/", False),
        ("https://hook.example:8443/", False),
        ("file:///etc/passwd", False),
        ("https://[bad", False),
    ],
)
def test_hooks_are_https_without_a_password(text: str, good: bool) -> None:
    """What could reach into the house is refused."""
    assert is_hook(text) is good
