"""Once a week, for parents who want it: one number for each child, requests, unknown devices. No name of a site, no category, no hour."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.choices import Choices, note_digest, read_choices
from admin.familytables import family_choices
from admin.home import unnamed_devices
from admin.link import GatewayAway, GatewayLink, SeenDevice
from admin.notices import Message, Post
from admin.pages.formats import Formats
from admin.pages.render import Pages
from admin.pages.words import mark
from admin.policyfile import read_rows
from admin.profiles import list_profiles
from admin.requests import count_waiting
from admin.sharing import find_guesses
from admin.tables import daily_totals, requests
from admin.values import ProfileKind, RequestState
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId, organisations

#: Monday morning, on the clock of the family.
WEEKDAY, HOUR = 0, 7


@dataclass(frozen=True, slots=True)
class Line:
    """One child's week. None: nothing was counted, which is not the same as nothing blocked."""

    label: str
    blocked: int | None


@dataclass(frozen=True, slots=True)
class Digest:
    """One family's week, from Monday to Sunday."""

    first: date
    last: date
    children: tuple[Line, ...]
    answered: int
    waiting: int
    #: Devices that nobody has named; None: the gateway does not answer now.
    unnamed: int | None = None
    #: Wrong PINs on shared devices, where there were several.
    guesses: int = 0

    def share(self, line: Line) -> int:
        """How long the bar of a child is, in percent of the longest; never so short that it cannot be seen."""
        most = max((one.blocked or 0 for one in self.children), default=0) or 1
        return max((line.blocked or 0) * 100 // most, 2)


async def make_digest(
    connection: AsyncConnection, tenant: OrganisationId, now: datetime, zone: str, seen: Sequence[SeenDevice] | None = None
) -> Digest:
    """The last whole week; `seen` are the devices the gateway knows now."""
    today = now.astimezone(ZoneInfo(zone)).date()
    last = today - timedelta(days=today.weekday() + 1)
    first = last - timedelta(days=6)
    table = daily_totals.c
    summed = (
        select(table.profile_id, func.sum(table.blocked).label("blocked"))
        .where(table.tenant_id == tenant, table.day >= first.isoformat(), table.day <= last.isoformat())
        .group_by(table.profile_id)
    )
    totals = {row.profile_id: int(row.blocked) for row in await connection.execute(summed)}
    begin = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    done = (
        select(func.count())
        .select_from(requests)
        .where(
            requests.c.tenant_id == tenant,
            requests.c.state == RequestState.ANSWERED.value,
            requests.c.decided_at >= begin,
            requests.c.decided_at < begin + timedelta(days=7),
        )
    )
    children = [one for one in await list_profiles(connection, tenant) if one.kind is ProfileKind.CHILD]
    return Digest(
        first,
        last,
        tuple(Line(one.label, totals.get(one.id)) for one in children),
        int((await connection.execute(done)).scalar_one()),
        await count_waiting(connection, tenant, now),
        None if seen is None else len(unnamed_devices(await read_rows(connection, tenant, now), seen)),
        guesses.count if (guesses := await find_guesses(connection, tenant, now)) else 0,
    )


def write_digest(digest: Digest, pages: Pages, formats: Formats, address: str) -> Message:
    """The letter in a reader's language, as text and as a page with the same figures."""
    words = formats.words
    subject = words.gettext(mark("Lá Chắn: the week {days}")).format(days=formats.days(digest.first, digest.last))
    lines = []
    for one in digest.children:
        if one.blocked is None:
            lines.append(
                words.gettext(mark("{label}: nothing was counted this week. That may mean another network.")).format(label=one.label)
            )
        else:
            counted = words.ngettext("{label}: {n} block", "{label}: {n} blocks", one.blocked)
            lines.append(counted.format(label=one.label, n=formats.number(one.blocked)))
    more = [words.gettext(mark("Requests answered: {n}. Waiting now: {waiting}.")).format(n=digest.answered, waiting=digest.waiting)]
    if digest.unnamed:
        told = words.ngettext("{n} device has no name yet.", "{n} devices have no name yet.", digest.unnamed)
        more.append(told.format(n=formats.number(digest.unnamed)))
    if digest.guesses:
        told = words.ngettext(
            "{n} wrong PIN was typed on a shared device.", "{n} wrong PINs were typed on a shared device.", digest.guesses
        )
        more.append(told.format(n=formats.number(digest.guesses)))
    closing = words.gettext(
        mark("Names of sites are not in this letter, on purpose. A good question for the table: what was funny this week?")
    )
    ending = f"{words.gettext(mark('Change or end this letter'))}: {address}/choices"
    text = "\n".join([*lines, "", *more, closing, "", address, ending])
    context = {"digest": digest, "subject": subject, "lines": more, "closing": closing, "address": address}
    return Message(subject, text, pages.write("letters/week.html", formats, context))


async def send_digests(database: Database, post: Post, link: GatewayLink, pages: Pages, address: str, now: datetime) -> int:
    """Send those that are due; returns how many. One that cannot be sent is not sent twice."""
    if post.server is None:
        return 0
    async with database.read() as connection:
        chosen = select(family_choices.c.tenant_id, organisations.c.locale, organisations.c.time_zone)
        chosen = chosen.join(organisations, organisations.c.id == family_choices.c.tenant_id)
        rows = (
            await connection.execute(
                chosen.where(family_choices.c.digest == 1, family_choices.c.mail != "").execution_options(**EVERY_TENANT)
            )
        ).all()
    sent = 0
    for row in rows:
        here = now.astimezone(ZoneInfo(row.time_zone))
        week = f"{here:%G-W%V}"
        if (here.weekday(), here.hour) < (WEEKDAY, HOUR):
            continue
        tenant = OrganisationId(row.tenant_id)
        seen: list[SeenDevice] | None = None
        with contextlib.suppress(GatewayAway):
            seen = await link.devices(tenant)
        async with database.write() as connection:
            choices = await read_choices(connection, tenant)
            if choices.digest_week == week:
                continue
            digest = await make_digest(connection, tenant, now, row.time_zone, seen)
            await note_digest(connection, tenant, week)
        own = pages.words.get(row.locale) or next(iter(pages.words.values()))
        message = write_digest(digest, pages, Formats(own, row.time_zone, now), address)
        await post.send(Choices(mail=choices.mail), message)
        sent += 1
    return sent
