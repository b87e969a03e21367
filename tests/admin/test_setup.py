"""What the wizard makes of its answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from admin.audit import read_rows
from admin.dependencies import Services
from admin.devices import Match
from admin.errors import Conflict
from admin.setup import NewChild, NewDevice, Owner, Plan, band_of_class, create_tenant, public_url
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from gateway.settings import Endpoint, TlsSettings
from tests.support.family import WORDS, Family


@pytest.mark.parametrize(
    ("label", "band"),
    [
        ("1A", Band.TH),
        ("5C", Band.TH),
        ("6A", Band.CS),
        ("Lớp 9A2", Band.CS),
        ("10 Toán", Band.PT),
        ("12C", Band.PT),
        ("Lá 1", Band.MN),
        ("Mầm", Band.MN),
        ("Chồi 2", Band.MN),
        ("13A", None),
        ("0A", None),
        ("Văn nghệ", None),
    ],
)
def test_band_of_class_follows_the_grade(label: str, band: Band | None) -> None:
    """The grade in a class's name tells its age; a name without one is asked again."""
    assert band_of_class(label) is band


async def test_create_tenant_works_once(services: Services, database: Database, family: Family, now: datetime) -> None:
    """The second who presses "finish" is told that somebody was quicker, and changes nothing."""
    plan = Plan(OrganisationKind.FAMILY, Owner("x2", "hash", "vi"), (NewChild("A", Band.TH),), (), (), False, WORDS)
    with pytest.raises(Conflict):
        async with database.write() as connection:
            await create_tenant(connection, plan, services.shelves.current(), now)


async def test_create_tenant_is_whole_or_nothing(services: Services, database: Database, now: datetime) -> None:
    """A device named twice undoes everything: the wizard can be walked again."""
    device = NewDevice(Match(DeviceMatch.ADDRESS, "192.168.1.5"), 0)
    children = (NewChild("A", Band.TH),)
    plan = Plan(OrganisationKind.FAMILY, Owner("x2", "hash", "vi"), children, (device, replace(device, child=None)), (), False, WORDS)
    with pytest.raises(Conflict):
        async with database.write() as connection:
            await create_tenant(connection, plan, services.shelves.current(), now)
    async with database.write() as connection:
        made = await create_tenant(connection, replace(plan, devices=(device,)), services.shelves.current(), now)
        actions = {row.action for row in await read_rows(connection, made.tenant, 50)}
    assert {"tenant.created", "account.created", "role.granted", "site.created", "profile.created", "device.assigned"} <= actions


def test_public_url_is_what_people_type(services: Services) -> None:
    """The configured address, else the listen address with the scheme it has."""
    settings = services.settings
    assert public_url(replace(settings, url="https://lachan.example.vn")) == "https://lachan.example.vn"
    assert public_url(settings) == "http://127.0.0.1:8080"
    tls = TlsSettings(settings.state_dir / "c", settings.state_dir / "k")
    assert public_url(replace(settings, tls=tls)) == "https://127.0.0.1:8080"


def test_public_url_of_every_address_is_one_that_can_be_opened(services: Services) -> None:
    """Nobody is sent to 0.0.0.0."""
    link = public_url(replace(services.settings, listen=Endpoint("0.0.0.0", 8080)))
    assert link.startswith("http://")
    assert "0.0.0.0" not in link
