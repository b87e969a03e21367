"""A family or school as one file: there and back again, into an empty database and into its own."""

from __future__ import annotations

import re
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from admin.audit import Act, by_account
from admin.choices import Choices, read_choices, set_choices
from admin.dates import add_dates
from admin.dependencies import Services
from admin.devices import Match, assign_device, list_devices
from admin.hours import Hours, set_hours
from admin.importing import Change, Part, What, found_tenant, import_tenant
from admin.names import add_name
from admin.onboarding import add_phone, token_of
from admin.policyfile import TenantRows, read_rows
from admin.profiles import list_profiles
from admin.setup import Owner
from admin.switches import set_switch
from admin.tenantfile import write_tenant
from admin.tenantreading import read_tenant
from admin.values import DatesKind, Days, DeviceMatch, HoursEffect, NameEffect, SwitchKind, SwitchState
from blocklists.database import open_database
from blocklists.journal import verify
from blocklists.tables import OrganisationId, Role
from gateway.errors import SettingsError
from tests.support.family import Family

SECRET_HOOK = "https://hooks.example.com/T000/very-secret"


async def furnish(services: Services, family: Family, act: Act) -> str:
    """Something of every kind; returns the private name of the phone."""
    async with services.database.write() as connection:
        await set_switch(connection, act, family.bi.id, SwitchKind.CATEGORY, "game", SwitchState.BLOCK)
        await set_switch(connection, act, family.na.id, SwitchKind.SERVICE, "zalo", SwitchState.BLOCK)
        await add_name(connection, act, family.bi.id, NameEffect.ALLOW, "=scratch.example")
        await add_name(connection, act, family.bi.id, NameEffect.DENY, "*.trò-chơi.example".encode("idna").decode())
        rows = [Hours(Days.SCHOOL, "21:00", "06:00", HoursEffect.OFFLINE), Hours(Days.EXAM, "07:00", "24:00", HoursEffect.STUDY)]
        await set_hours(connection, act, family.na.id, rows)
        await assign_device(connection, act, family.bi.id, "no: 0o17", [Match(DeviceMatch.MAC, "02:00:00:00:00:01")])
        phone = await add_phone(connection, act, family.na.id, 'Điện thoại "Na" #1')
        await add_dates(connection, act, DatesKind.EXAM, "Thi", date(2026, 12, 21), date(2026, 12, 25))
        await set_choices(connection, act, Choices(15, None, "me@example.com", SECRET_HOOK, True))
        token = token_of(next(device for device in await list_devices(connection, act.tenant) if device.id == phone))
    assert token is not None
    return token


async def rows_of(services: Services, tenant: OrganisationId) -> TenantRows:
    async with services.database.read() as connection:
        return await read_rows(connection, tenant, services.now())


async def write(services: Services, tenant: OrganisationId, *, secrets: bool = False) -> str:
    rows = await rows_of(services, tenant)
    async with services.database.read() as connection:
        choices = await read_choices(connection, tenant)
    return write_tenant(rows, "Nhà mình", choices, services.shelves.current(), services.now(), secrets=secrets)


def without_ids(text: str) -> Any:
    """What a file says, but for ids."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(inner) for name, inner in value.items() if name not in ("id", "site")}
        return [strip(inner) for inner in value] if isinstance(value, list) else value

    return strip(yaml.safe_load(text))


async def test_there_and_back_again_changes_nothing(services: Services, family: Family, act: Act) -> None:
    """A file put back where it came from: nothing to do, and the phone keeps its name."""
    token = await furnish(services, family, act)
    before = await rows_of(services, family.tenant)
    for secrets in (False, True):
        wanted = read_tenant((await write(services, family.tenant, secrets=secrets)).encode(), services.shelves.current())
        assert await import_tenant(services.database, act, wanted, services.shelves.current()) == []
    after = await rows_of(services, family.tenant)
    assert after == before
    assert token in {token_of(device) for device in after.devices}


@pytest.mark.parametrize("secrets", [False, True])
async def test_another_machine_takes_over(
    services: Services, family: Family, act: Act, migrated_file: Path, tmp_path: Path, now: datetime, secrets: bool
) -> None:
    """In an empty database the file makes the same family: the same rules for the same devices; a phone is new unless its name was kept."""
    token = await furnish(services, family, act)
    text = await write(services, family.tenant, secrets=secrets)
    shutil.copy(migrated_file, tmp_path / "other.db")
    other = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
    shelf = services.shelves.current()
    async with other.write() as connection:
        made = await found_tenant(connection, read_tenant(text.encode(), shelf), Owner("mẹ", "x", "vi"), shelf, now)
    async with other.read() as connection:
        rows = await read_rows(connection, made.tenant, now)
        again = write_tenant(rows, "Nhà mình", await read_choices(connection, made.tenant), shelf, now, secrets=secrets)
        assert (await verify(connection)).first_bad is None
    await other.close()
    assert without_ids(again) == without_ids(text)
    assert ({token_of(device) for device in rows.devices} >= {token}) is secrets
    ids = set(re.findall(r"id: (\w{24})", text))
    assert ids and not ids & set(re.findall(r"id: (\w{24})", again)), "ids are made anew"


async def test_edited_file_is_put_in_place_whole(services: Services, family: Family, act: Act) -> None:
    """What stands in the file is made or changed, what does not goes; a dry run says the same and changes nothing."""
    await furnish(services, family, act)
    document = yaml.safe_load(await write(services, family.tenant))
    bi, na = document["profiles"][0], document["profiles"][1]
    bi["band"], bi["deny"] = "CS", ["bad.example"]
    bi_phone, na_phone = (next(one for one in child["devices"] if one["label"].startswith("Máy")) for child in (bi, na))
    bi_phone["match"], na_phone["match"] = na_phone["match"], bi_phone["match"]  # they swap addresses
    document["profiles"].remove(na)
    bi["devices"].append(na_phone)
    document["profiles"].append({"kind": "child", "label": "Út", "band": "MN", "devices": [{"label": "Máy Út", "match": ["192.168.1.77"]}]})
    document["sites"][0]["networks"] = ["192.168.5.0/24"]
    document["dates"] = []
    wanted = read_tenant(yaml.safe_dump(document).encode(), services.shelves.current())
    before = await rows_of(services, family.tenant)
    planned = await import_tenant(services.database, act, wanted, services.shelves.current(), dry_run=True)
    assert await rows_of(services, family.tenant) == before
    done = await import_tenant(services.database, act, wanted, services.shelves.current())
    assert done == planned
    assert Change(What.REMOVED, Part.PROFILE, "Na") in done and Change(What.ADDED, Part.PROFILE, "Út") in done
    assert Change(What.CHANGED, Part.PROFILE, "Bi") in done
    assert Change(What.CHANGED, Part.NAMES, "", "Bi", 2) in done and Change(What.REMOVED, Part.DATES, "Thi") in done
    after = await rows_of(services, family.tenant)
    assert {profile.label for profile in after.profiles} == {"Bi", "Út", "Người lớn", "Khách và thiết bị mới"}
    assert after.sites[0].networks == ("192.168.5.0/24",)
    owners = {match.value: device.profile_id for device in after.devices for match in device.matches}
    assert owners["192.168.1.31"] == owners["192.168.1.32"] == family.bi.id
    assert not after.dates


async def test_a_mistake_found_late_changes_nothing(services: Services, family: Family, act: Act, now: datetime) -> None:
    """A private name that belongs to another family is refused, and with it everything before it."""
    token = await furnish(services, family, act)
    text = await write(services, family.tenant, secrets=True)
    shelf = services.shelves.current()
    before = await rows_of(services, family.tenant)
    with pytest.raises(SettingsError, match="belongs to another phone") as raised:
        async with services.database.write() as connection:
            await found_tenant(connection, read_tenant(text.encode(), shelf), Owner("khác", "x", "vi"), shelf, now)
    assert "profiles[1].devices[1].phone" in str(raised.value) and token not in str(raised.value)
    async with services.database.read() as connection:
        assert [profile.label for profile in await list_profiles(connection, family.tenant)] == [one.label for one in before.profiles]
    assert await rows_of(services, family.tenant) == before
    school = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
    for old, new in (("family", "school"), ("kind: child", "kind: class"), ("label: Bi", "label: 3A"), ("label: Na", "label: 11A")):
        text = text.replace(old, new)
    wrong = read_tenant(text.encode(), shelf)
    with pytest.raises(SettingsError, match="this file is of a school"):
        await import_tenant(services.database, school, wrong, shelf)
