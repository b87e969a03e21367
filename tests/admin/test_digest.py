"""The weekly letter: one number for each child, sent once, on Monday morning of the family's clock, without a name of a site."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, date, datetime, timedelta

from admin.audit import Act
from admin.choices import Choices, set_choices
from admin.dependencies import Services
from admin.digest import make_digest, send_digests
from admin.notices import MailServer
from admin.requests import Asked, ask
from admin.totals import collect
from admin.values import RequestReason
from tests.admin.test_notices import mailbox  # noqa: F401  a fixture
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family

ZONE = "Asia/Ho_Chi_Minh"


async def test_one_letter_a_week_without_a_name(
    services: Services,
    family: Family,
    act: Act,
    gateway: ScriptedGateway,
    mailbox: tuple[object, MailServer],  # noqa: F811
) -> None:
    """Counts of the last whole week; nothing before Monday seven o'clock, nothing twice, no site, no reason."""
    box, server = mailbox
    wednesday = datetime(2026, 10, 7, 12, 0, tzinfo=UTC)
    row = [int(wednesday.timestamp()), family.tenant, "", family.bi.id, "TH", "blocked", "game", 17]
    gateway.batches.append({"serial": 1, "counts": [row], "names": [], "dropped": 0})
    await collect(services.database, services.link, act.now)
    async with services.database.write() as connection:
        await ask(connection, family.tenant, Asked(family.bi.id, "secret.example", RequestReason.OTHER, "xin", family.bi.band), act.now)
        await set_choices(connection, act, Choices(mail="me@example.com", digest=True))
        digest = await make_digest(connection, family.tenant, act.now, ZONE)
    assert (digest.first, digest.last) == (date(2026, 10, 5), date(2026, 10, 11))
    assert [(one.label, one.blocked) for one in digest.children] == [("Bi", 17), ("Na", None)]
    services.post.server = server

    async def send(moment: datetime) -> int:
        words = services.pages.words
        return await send_digests(services.database, services.post, words, "vi", "http://192.168.1.2:8080", moment)

    monday = datetime(2026, 10, 12, 0, 0, tzinfo=UTC)  # seven o'clock in Ha Noi
    assert [await send(monday - timedelta(minutes=1)), await send(monday), await send(monday + timedelta(days=2))] == [0, 1, 0]
    (letter,) = box.letters  # type: ignore[attr-defined]
    assert "secret.example" not in letter and "game" not in letter
    read = email.message_from_string(letter, policy=email.policy.default)
    assert read["subject"] == "Lá Chắn: tuần 05/10/2026 – 11/10/2026"  # read on another day, "yesterday" would be another one
    assert await send(monday + timedelta(days=7)) == 1
