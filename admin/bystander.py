"""Who stands before a page without an account: the device that asked the gateway from this address, and whose it is.

Nothing is kept. A device that is known alone may be told about its own last ten minutes; where an address stands for many, nothing is
shown and the page asks. When the gateway does not answer, nobody is known, and help is shown all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.agreeing import Proposal, find_proposal
from admin.catalogue import Shelf
from admin.devices import Device
from admin.link import SeenDevice
from admin.moment import Moment, Standing, moment_in
from admin.policyfile import TenantRows, has_policy, read_rows
from admin.profiles import Profile, strictest_band
from admin.sharing import adults_of
from admin.values import ProfileKind
from blocklists.tables import OrganisationId, OrganisationKind, organisations
from gateway.policy.model import Band

#: Categories that are never printed to the two youngest bands stand in the catalogue (`sensitive`); these are the bands.
YOUNGEST = (Band.MN, Band.TH)


@dataclass(frozen=True, slots=True)
class Bystander:
    """`tenant` None: nobody's. `is_alone`: this device stands for one machine that somebody named."""

    address: str
    tenant: OrganisationId | None
    kind: OrganisationKind
    tenant_name: str
    zone: str
    profile: Profile | None
    band: Band
    is_alone: bool
    moment: Moment
    device: Device | None = None
    lendable: Device | None = None
    """What an adult with the PIN may borrow here: this device, also where the address may be shared but only this one was seen lately."""
    adults: Profile | None = None
    """Under whose profile an adult may borrow this device, where the family has such a profile."""
    lent_until: datetime | None = None
    #: For how many days the adults see a history of this reader; zero: there is none.
    kept_days: int = 0
    #: A guardian proposed a history, and this reader's own word is waited for (`admin.agreeing`).
    proposal: Proposal | None = None
    #: In a family: this device has no name yet, so it rests whenever a child does.
    is_unnamed: bool = False
    #: Recognised by its private name where the address stands for many: what the address saw is not this reader's.
    is_shown: bool = False
    #: The address stands for several devices, and this reader showed none: what it does is not counted as one device's.
    is_shared: bool = False

    @property
    def teller(self) -> Profile | None:
        """From whom a request comes, as far as that is told: a device known alone, or a class, which is many."""
        return self.profile if self.profile is not None and (self.is_alone or self.profile.kind is ProfileKind.CLASS) else None

    @property
    def is_small(self) -> bool:
        """Whether sensitive things are not named to this reader."""
        return self.band in YOUNGEST


async def find_bystander(connection: AsyncConnection, seen: SeenDevice | None, address: str, shelf: Shelf, now: datetime) -> Bystander:
    """The reader of a page at this address. Unknown readers are treated as primary-school children."""
    if seen is None or seen.tenant is None:
        return _nobody(address, is_shared=seen is not None and seen.is_shared)
    kind = await _read_kind(connection, OrganisationId(seen.tenant), now)
    if kind is None or not has_policy(kind[0]):
        return _nobody(address, is_shared=seen.is_shared)
    rows = await read_rows(connection, OrganisationId(seen.tenant), now)
    device = next((one for one in rows.devices if one.id == seen.client), None)
    lendable = device or next((one for one in rows.devices if one.id == seen.only), None)
    profile = _profile_of(rows, seen, device)
    lent_until = next((loan.ends_at for loan in rows.loans if lendable is not None and loan.device_id == lendable.id), None)
    is_own = profile is not None and device is not None and device.is_single and lent_until is None
    proposal = await find_proposal(connection, rows.tenant, profile, now) if is_own and profile is not None else None
    band = profile.band if profile is not None else Band.KH
    rules = profile or next((one for one in rows.profiles if one.kind is ProfileKind.GUEST), None)
    return Bystander(
        address=address,
        tenant=rows.tenant,
        kind=rows.kind,
        tenant_name=kind[1],
        zone=rows.time_zone,
        profile=profile,
        band=strictest_band(list(rows.profiles)) if band is Band.KH else band,
        is_alone=device is not None and device.is_single,
        moment=moment_in(rules, rows, shelf, now) if rules is not None else Moment(Standing.FREE),
        device=device,
        lendable=lendable if lendable is not None and lendable.is_single else None,
        adults=adults_of(rows.profiles) if rows.kind is OrganisationKind.FAMILY else None,
        lent_until=lent_until,
        proposal=proposal,
        kept_days=rows.kept.get(profile.id, 0) if profile is not None else 0,
        is_unnamed=rows.kind is OrganisationKind.FAMILY and seen.client is None and not seen.is_shared,
        is_shown=seen.is_shown,
        is_shared=seen.is_shared,
    )


def _profile_of(rows: TenantRows, seen: SeenDevice, device: Device | None) -> Profile | None:
    wanted = device.profile_id if device is not None else seen.profile
    return next((one for one in rows.profiles if one.id == wanted and one.kind is not ProfileKind.GUEST), None)


async def _read_kind(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> tuple[OrganisationKind, str] | None:
    statement = select(organisations.c.kind, organisations.c.name).where(
        organisations.c.id == tenant, organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else (OrganisationKind(row.kind), row.name)


def _nobody(address: str, *, is_shared: bool) -> Bystander:
    free = Moment(Standing.FREE)
    return Bystander(address, None, OrganisationKind.FAMILY, "", "Asia/Ho_Chi_Minh", None, Band.TH, False, free, is_shared=is_shared)
