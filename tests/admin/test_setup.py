"""What the wizard makes of its answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from admin.audit import read_rows
from admin.dependencies import Services
from admin.devices import Match
from admin.errors import Conflict
from admin.setup import NewChild, NewDevice, Owner, Plan, band_of_class, create_tenant, public_url, vouches_for_itself
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from gateway.settings import Endpoint, TlsSettings
from tests.support.certificates import Authority
from tests.support.family import WORDS, Family
from tests.support.listserver import make_certificate


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


def test_certificate_of_ones_own_is_told_from_others(services: Services, tmp_path: Path) -> None:
    """Nothing is said of an authority's, of plain HTTP, of a front end's certificate, and of a file that cannot be read."""
    made = make_certificate(tmp_path, "office.example")
    own = replace(services.settings, tls=TlsSettings(made.chain, made.key))
    assert vouches_for_itself(own)
    vouched = Authority(tmp_path).vouch("office.example")
    assert not vouches_for_itself(replace(own, tls=TlsSettings(vouched.certificate, vouched.key)))
    assert not vouches_for_itself(services.settings)
    assert not vouches_for_itself(replace(own, url="http://office.example"))
    assert not vouches_for_itself(replace(own, trusted_proxies=(ip_network("10.0.0.1/32"),)))
    made.chain.write_text("x")
    assert not vouches_for_itself(own)


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
