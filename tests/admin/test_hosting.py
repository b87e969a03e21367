"""Sheets of a host, and families that live on its gateway: a tenant of their own, known by tokens only."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import yaml

from admin.audit import Act, by_account
from admin.choices import NOTHING_CHOSEN
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.errors import Conflict, InvalidInput, NotFound
from admin.hosting import (
    HOLDS,
    JoinCode,
    count_families,
    find_join_code,
    join,
    list_join_codes,
    load_join_code,
    make_join_code,
    withdraw_join_code,
)
from admin.importing import HOSTED, import_tenant
from admin.policyfile import cut, read_rows
from admin.profiles import list_profiles, list_sites
from admin.setup import Made, Owner
from admin.tenantfile import write_tenant
from admin.tenantreading import read_tenant
from admin.tenants import is_hosted
from admin.values import DeviceMatch
from blocklists.tables import OrganisationKind, Role
from gateway.errors import SettingsError
from tests.support.family import WORDS
from tests.support.people import Person, make_person


@pytest.fixture
async def host(services: Services, now: datetime) -> Act:
    """A commune that runs the gateway."""
    person: Person = await make_person(services.database, now, "xa", OrganisationKind.OPERATOR, Role.OPERATOR)
    return Act(person.tenant, by_account(person.account, Role.OPERATOR), now)


async def print_sheet(services: Services, host: Act, most: int = 2) -> JoinCode:
    async with services.database.write() as connection:
        made = await make_join_code(connection, host, "Xã Sơn Vĩ", most)
        return await load_join_code(connection, host.tenant, made, host.now)


async def join_as(services: Services, sheet: JoinCode, name: str) -> Made:
    async with services.database.write() as connection:
        found = await find_join_code(connection, sheet.code, sheet.created_at)
        return await join(connection, found, Owner(name, "stored", "vi"), WORDS, services.shelves.current(), sheet.created_at)


async def test_sheet_ends_is_withdrawn_and_fills(services: Services, host: Act) -> None:
    """Each of the three closes it for newcomers; those who joined stay counted."""
    sheet = await print_sheet(services, host, most=1)
    await join_as(services, sheet, "melan")
    async with services.database.read() as connection:
        with pytest.raises(Conflict):
            await find_join_code(connection, sheet.code, host.now)
        assert [one.joined for one in await list_join_codes(connection, host.tenant, host.now)] == [1]
        assert await count_families(connection, host.tenant) == 1
    other = await print_sheet(services, host)
    async with services.database.write() as connection:
        await find_join_code(connection, other.code, host.now)
        with pytest.raises(NotFound):
            await find_join_code(connection, other.code, host.now + HOLDS)
        await withdraw_join_code(connection, host, other.id)
        with pytest.raises(NotFound):
            await find_join_code(connection, other.code, host.now)
        with pytest.raises(NotFound):
            await withdraw_join_code(connection, host, other.id)


async def test_sheets_of_another_host_do_not_exist(services: Services, host: Act, now: datetime) -> None:
    """One host neither sees nor withdraws another's sheet."""
    sheet = await print_sheet(services, host)
    other = Act((await make_person(services.database, now, "khac")).tenant, host.by, now)
    async with services.database.write() as connection:
        assert await list_join_codes(connection, other.tenant, now) == []
        with pytest.raises(NotFound):
            await load_join_code(connection, other.tenant, sheet.id, now)
        with pytest.raises(NotFound):
            await withdraw_join_code(connection, other, sheet.id)


async def test_family_is_a_tenant_of_its_own_without_a_network(services: Services, host: Act) -> None:
    """Two families by one sheet share nothing; neither may claim an address at the host's place."""
    sheet = await print_sheet(services, host)
    lan, hoa = await join_as(services, sheet, "melan"), await join_as(services, sheet, "mehoa")
    assert lan.tenant not in (hoa.tenant, host.tenant)
    async with services.database.write() as connection:
        assert await is_hosted(connection, lan.tenant)
        assert not await is_hosted(connection, host.tenant)
        assert [site.networks for site in await list_sites(connection, lan.tenant)] == [()]
        (adults, *_rest) = await list_profiles(connection, lan.tenant)
        act = Act(lan.tenant, lan.by, host.now)
        for match in (Match(DeviceMatch.ADDRESS, "10.1.0.5"), Match(DeviceMatch.MAC, "02:00:00:00:00:01")):
            with pytest.raises(InvalidInput):
                await assign_device(connection, act, adults.id, "máy", [match])
        await assign_device(connection, act, adults.id, "máy", [Match(DeviceMatch.TOKEN, "aaaaa-bbbbb-ccccc")])
        file = cut(await read_rows(connection, lan.tenant, host.now + timedelta(minutes=1)), services.shelves.current(), ())
        assert [client["match"] for client in file["clients"]] == [["token:aaaaa-bbbbb-ccccc"]]
        other = cut(await read_rows(connection, hoa.tenant, host.now), services.shelves.current(), ())
        assert not {one["id"] for one in file["profiles"]} & {one["id"] for one in other["profiles"]}


async def test_family_claims_no_address_by_a_file_either(services: Services, host: Act) -> None:
    """Neither a network of its place nor a device's address, new or changed: the whole file is refused, with every place that is wrong."""
    made = await join_as(services, await print_sheet(services, host), "melan")
    act, shelf = Act(made.tenant, made.by, host.now), services.shelves.current()
    async with services.database.write() as connection:
        (adults, *_rest) = await list_profiles(connection, made.tenant)
        await assign_device(connection, act, adults.id, "máy", [Match(DeviceMatch.TOKEN, "aaaaa-bbbbb-ccccc")])
        rows = await read_rows(connection, made.tenant, host.now)
    text = write_tenant(rows, "Nhà", NOTHING_CHOSEN, shelf, host.now, secrets=True)
    assert not await import_tenant(services.database, act, read_tenant(text.encode(), shelf), shelf)
    document = yaml.safe_load(text)
    document["sites"][0]["networks"] = ["10.1.0.0/24"]
    next(one for one in document["profiles"] if one["kind"] == "adult")["devices"][0]["match"] = ["10.1.0.5", "02:00:00:00:00:01"]
    with pytest.raises(SettingsError) as caught:
        await import_tenant(services.database, act, read_tenant(yaml.safe_dump(document).encode(), shelf), shelf)
    assert {mistake.message for mistake in caught.value.mistakes} == {HOSTED}
    assert len(caught.value.mistakes) == 2
    async with services.database.read() as connection:
        assert await read_rows(connection, made.tenant, host.now) == rows
