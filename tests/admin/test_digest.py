"""The weekly letter: one number for each child, sent once, on Monday morning of the family's clock, without a name of a site."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from admin.audit import Act, by_account
from admin.choices import Choices, set_choices
from admin.dependencies import Services
from admin.digest import make_digest, send_digests, write_digest
from admin.pages.formats import Formats
from admin.profiles import change_profile
from admin.requests import Asked, ask
from admin.settings import MailServer
from admin.sharing import AT_DEVICE, note_wrong, set_pin
from admin.totals import collect
from admin.values import RequestReason
from blocklists.tables import Role
from tests.admin.test_notices import MailBox, mailbox  # noqa: F401  a fixture
from tests.support.family import Family, make_family
from tests.support.gateway import Gateway
from tests.support.livegateway import counted

ZONE = "Asia/Ho_Chi_Minh"
PAGES = "http://192.168.1.2:8080"


async def test_letter_is_sent_once_a_week(
    services: Services,
    family: Family,
    act: Act,
    mailbox: tuple[MailBox, MailServer],  # noqa: F811
) -> None:
    """Nothing before Monday seven o'clock, nothing twice; a gateway that does not answer keeps no letter back."""
    box, services.post.server = mailbox
    async with services.database.write() as connection:
        await set_choices(connection, act, Choices(mail="me@example.com", digest=True))
        digest = await make_digest(connection, family.tenant, act.now, ZONE)
    assert (digest.first, digest.last) == (date(2026, 10, 5), date(2026, 10, 11))

    async def send(moment: datetime) -> int:
        return await send_digests(services.database, services.post, services.link, services.pages, PAGES, moment)

    monday = datetime(2026, 10, 12, 0, 0, tzinfo=UTC)  # seven o'clock in Ha Noi
    assert [await send(monday - timedelta(minutes=1)), await send(monday), await send(monday + timedelta(days=2))] == [0, 1, 0]
    (letter,) = box.letters
    read = email.message_from_string(letter, policy=email.policy.default)
    assert read["subject"] == "Lá Chắn: tuần 05/10/2026 – 11/10/2026"  # read on another day, "yesterday" would be another one
    assert "chưa có tên" not in letter
    assert await send(monday + timedelta(days=7)) == 1


async def test_both_parts_of_the_letter_have_the_figures_of_the_page(
    live: Services,
    gateway_running: Gateway,
    mailbox: tuple[MailBox, MailServer],  # noqa: F811
) -> None:
    """Bi's tablet asks, a stranger's too; the letter has Bi's number and the page's words in its text and in its page, no site, no kind, no
    hour, and its page fetches nothing from anywhere."""
    box, live.post.server = mailbox
    family = await make_family(live, "127.0")
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), datetime.now(UTC))
    async with live.database.write() as connection:
        await change_profile(connection, act, family.na, replace(family.na, label="Na <img src=x>"))
        await set_choices(connection, act, Choices(mail="me@example.com", digest=True))
    await live.applier.settle(family.tenant)
    for _ in range(11):
        await asyncio.to_thread(gateway_running.ask, "www.facebook.com", source="127.0.1.31")
    await asyncio.to_thread(gateway_running.ask, "scratch.mit.edu", source="127.0.1.31")
    await asyncio.to_thread(gateway_running.ask, "www.facebook.com", source="127.0.1.99")
    await asyncio.sleep(1.5)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, act.now)
    for _ in range(60):  # the workers are new now: the stranger asks again
        await asyncio.to_thread(gateway_running.ask, "www.facebook.com", source="127.0.1.99")
        if await live.link.devices(family.tenant):
            break
        await asyncio.sleep(0.1)
    here = act.now.astimezone(ZoneInfo(ZONE))
    monday = (here + timedelta(days=7 - here.weekday())).replace(hour=8, minute=0)
    async with live.database.write() as connection:
        await ask(connection, family.tenant, Asked(family.bi.id, "secret.example", RequestReason.OTHER, "cần lắm", family.bi.band), monday)
    assert await send_digests(live.database, live.post, live.link, live.pages, PAGES, monday) == 1
    (letter,) = box.letters
    read = email.message_from_string(letter, policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content() for part in read.walk() if not part.is_multipart()}
    assert read.get_content_type() == "multipart/alternative" and list(parts) == ["text/plain", "text/html"]
    text, page = parts["text/plain"], parts["text/html"]
    assert "Bi: 11 lượt chặn" in text and "Na <img src=x>: tuần này không đếm được gì" in text
    assert re.search(r">Bi</th>.*?<td class=\"number\">11</td>", page, re.DOTALL)
    assert re.search(r">Na &lt;img src=x&gt;</th>.*?chưa rõ", page, re.DOTALL)
    for part in (text, page):
        assert "Đang chờ: 1" in part and "1 máy chưa có tên." in part and f"{PAGES}/choices" in part
        assert not re.search(r"facebook|scratch|secret\.example|mạng xã hội|cần lắm", part)
    assert set(re.findall(r"""(?:src|href|background|action)=["']?([^"'> ]+)""", page.replace("&lt;img src=x&gt;", ""))) == {
        PAGES,
        f"{PAGES}/choices",
    }
    assert not re.search(r"url\(|@import|<link|<script", page)


async def test_several_wrong_pins_are_told_once_a_week(services: Services, family: Family, act: Act) -> None:
    """One line with their number, and none where there were few."""
    words = Formats(services.pages.words["vi"], ZONE, act.now)
    for count, told in ((2, False), (4, True)):
        async with services.database.write() as connection:
            if count == 2:
                await set_pin(connection, act, "hash")
            for _ in range(count):
                await note_wrong(connection, Act(family.tenant, AT_DEVICE, act.now))
        async with services.database.read() as connection:
            letter = write_digest(await make_digest(connection, family.tenant, act.now, ZONE), services.pages, words, PAGES)
        for part in (letter.text, letter.page):
            assert ("Có 6 lần nhập sai mã PIN trên máy dùng chung." in part) == told
