"""From rows to the policy file: the same rows give the same bytes, and the gateway's own parser takes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.errors import NotFound
from admin.hours import Hours, set_hours
from admin.names import add_name
from admin.overrides import start_override
from admin.policyfile import Around, cut, foreign_networks, has_policy, networks_of, read_rows
from admin.profiles import create_site
from admin.switches import set_switch
from admin.unserved import look_at
from admin.values import Days, DeviceMatch, HoursEffect, NameEffect, OverrideKind, SwitchKind, SwitchState, TargetKind
from blocklists.tables import OrganisationId, OrganisationKind
from gateway.policy.claims import contradictions
from gateway.policy.identify import Directory
from gateway.policy.index import AddressTriggers
from gateway.policy.tenant import parse_policy_file
from gateway.release import canonical_bytes
from tests.support.family import Family
from tests.support.people import make_school

SHELF = read_shipped()


async def fill(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Everything a parent can set, on one child."""
    async with services.database.write() as connection:
        await set_switch(connection, act, family.bi.id, SwitchKind.CATEGORY, "game", SwitchState.ALLOW)
        await set_switch(connection, act, family.bi.id, SwitchKind.SERVICE, "zalo", SwitchState.BLOCK)
        await set_switch(connection, act, family.bi.id, SwitchKind.SERVICE, "a-service-that-left", SwitchState.BLOCK)
        await add_name(connection, act, family.bi.id, NameEffect.ALLOW, "school.example")
        await add_name(connection, act, family.bi.id, NameEffect.DENY, "*.bad.example")
        await set_hours(connection, act, family.bi.id, [Hours(Days.SUMMER, "22:00", "24:00", HoursEffect.OFFLINE)])
        ends = now + timedelta(hours=2)
        targets = [(TargetKind.CATEGORY, "video"), (TargetKind.SERVICE, "zalo")]
        await start_override(connection, act, family.bi.id, OverrideKind.OPEN, ends, targets)
        await start_override(connection, act, family.na.id, OverrideKind.OFF, ends, [])


async def cut_now(services: Services, family: Family, now: datetime, page: tuple[str, ...] = ()) -> dict[str, Any]:
    async with services.database.read() as connection:
        return cut(await read_rows(connection, family.tenant, now), SHELF, page)


async def test_cut_holds_everything_and_is_accepted(services: Services, family: Family, act: Act, now: datetime) -> None:
    """What a parent set stands in the file, in the gateway's own words."""
    await fill(services, family, act, now)
    document = await cut_now(services, family, now, ("192.168.1.2",))
    policy = parse_policy_file(document, SHELF.catalogue)
    rules = policy.profiles[family.bi.id].rules
    assert (dict(rules.categories), dict(rules.services)) == ({"game": False}, {"zalo": True})
    assert (rules.allow, rules.deny) == (("school.example",), ("*.bad.example",))
    assert [(one.kind, one.until) for one in rules.overrides] == [("open", (now + timedelta(hours=2)).timestamp())]
    assert [one.kind for one in policy.profiles[family.na.id].rules.overrides] == ["off"]
    assert policy.default_profile == family.guests.id
    assert policy.block is not None
    assert policy.block.page_address == ("192.168.1.2",)


async def test_cut_is_deterministic(services: Services, family: Family, act: Act, now: datetime) -> None:
    """The same rows give the same bytes, so an unchanged family is never shipped again."""
    await fill(services, family, act, now)
    first, second = await cut_now(services, family, now), await cut_now(services, family, now)
    assert canonical_bytes(first) == canonical_bytes(second)


async def test_cut_leaves_out_what_has_ended(services: Services, family: Family, act: Act, now: datetime) -> None:
    """An act that is over is not sent again."""
    await fill(services, family, act, now)
    document = await cut_now(services, family, now + timedelta(hours=3))
    assert [row["overrides"] for row in document["profiles"]] == [[], [], [], []]


async def test_cut_keeps_a_service_that_left_the_catalogue_out(services: Services, family: Family, act: Act, now: datetime) -> None:
    """A switch for something the gateway does not know cannot make the whole file refused."""
    await fill(services, family, act, now)
    (child,) = [row for row in (await cut_now(services, family, now))["profiles"] if row["id"] == family.bi.id]
    assert child["services"] == {"zalo": "block"}


async def test_cut_without_the_explaining_page_leaves_the_block_mode(services: Services, family: Family, now: datetime) -> None:
    """Names lead to a page only where one is served."""
    assert "block" not in await cut_now(services, family, now)


async def test_read_rows_of_nobody_is_not_found(services: Services, family: Family, now: datetime) -> None:
    """A tenant that never was has no policy."""
    async with services.database.read() as connection:
        with pytest.raises(NotFound):
            await read_rows(connection, OrganisationId("nobody"), now)


def test_has_policy_only_for_families_and_schools() -> None:
    """An office or an area protects nobody by itself."""
    assert [kind for kind in OrganisationKind if has_policy(kind)] == [OrganisationKind.FAMILY, OrganisationKind.SCHOOL]


async def test_places_networks_follow_the_classes_and_who_may_ask_today(
    services: Services, family: Family, act: Act, now: datetime
) -> None:
    """A network that was outside `dns.allow_from` at the set-up is enforced as its owner's, and whoever may ask today is at the place."""
    async with services.database.write() as connection:
        await assign_device(connection, act, family.bi.id, "Phòng học", [Match(DeviceMatch.NETWORK, "113.160.10.0/24")])
    async with services.database.read() as connection:
        rows = await read_rows(connection, family.tenant, now)
    (site,) = cut(replace(rows, around=Around(served=("10.0.0.0/8",))), SHELF, ())["sites"]
    assert site["networks"] == ["10.0.0.0/8", "113.160.10.0/24", "192.168.0.0/16"]
    document = cut(rows, SHELF, ())
    directory = Directory([parse_policy_file(document, SHELF.catalogue)])
    assert directory.identify(bytes((113, 160, 10, 9)), None, None, None, AddressTriggers([])).profile == family.bi.id
    assert not directory.disputes
    (site,) = cut(replace(rows, around=Around(taken=("113.160.0.0/16",))), SHELF, ())["sites"]
    assert site["networks"] == ["192.168.0.0/16"], "no network is taken from a place of the settings file"


async def test_networks_of_another_tenant_are_never_taken(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Beside another place on this gateway nobody has what is served to all; a class inside the other's network has its rules, which is
    told, and whatever else changes is enforced."""
    other = await make_school(services.database, now, "Trường B", None)
    async with services.database.write() as connection:
        theirs = Act(other.tenant, act.by, now)
        await create_site(connection, theirs, "Trường", "school", ("10.2.0.0/16",))
        await assign_device(connection, act, family.bi.id, "Phòng học", [Match(DeviceMatch.NETWORK, "10.2.3.0/24")])
    async with services.database.read() as connection:
        rows = replace(await read_rows(connection, family.tenant, now), around=Around(served=("10.0.0.0/8",)))
    document = cut(rows, SHELF, ())
    assert document["sites"][0]["networks"] == ["192.168.0.0/16"]
    assert contradictions(parse_policy_file(document)) == [] and "10.2.3.0/24" not in str(document["clients"])
    assert foreign_networks(rows) == {"10.2.3.0/24"}
    assert (await services.applier.settle(family.tenant)).error == ""
    told = look_at(rows, Around(served=("10.0.0.0/8", "192.168.0.0/16")))
    assert told is not None and (told.networks, told.foreign) == ((), ("10.2.3.0/24",))


async def test_thousands_of_other_places_cost_nothing_where_everything_is_in_ones_own(
    services: Services, family: Family, now: datetime
) -> None:
    """Each page and each file asks; only a device outside its own place makes the others be looked at one by one."""
    async with services.database.read() as connection:
        rows = await read_rows(connection, family.tenant, now)
    strange = replace(rows, others=["no network, so whoever reads it fails"])
    assert networks_of(rows.sites[0], strange) == ("192.168.0.0/16",)
