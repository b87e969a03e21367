"""Writing the file of a family or school, putting one in place: what is there becomes what the file says, in one transaction, or nothing
changes.

The file is the whole: what stands in it is made or changed; children, classes, devices, names and dates that are not in it are taken away
(adults, guests and places stay). Objects are known by their ids where the tenant has them, else by kind and label; ids of other tenants are
never looked at. A dry run does everything and undoes it, so what it says is what would be. The caller asks for permission.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, by_account, record
from admin.catalogue import Shelf
from admin.choices import Choices, read_choices, set_choices
from admin.dates import add_dates, remove_dates
from admin.devices import Device, Match, assign_device, move_device, retire_device
from admin.errors import Conflict
from admin.history import stop_history
from admin.hours import set_hours
from admin.names import add_name, remove_name
from admin.onboarding import is_token, new_token, token_of
from admin.policyfile import TenantRows, cut, read_rows
from admin.profiles import NewProfile, Profile, change_profile, change_site, create_profile, create_site, retire_profile
from admin.setup import Made, Owner
from admin.switches import set_switch
from admin.tables import device_matches
from admin.tenantfile import NEW_TOKEN, write_tenant
from admin.tenantreading import Wanted, WantedDevice, WantedProfile, WantedSite
from admin.tenants import create_account, create_organisation, grant_role, is_hosted, mark_changed
from admin.unserved import lies_elsewhere
from admin.values import DeviceMatch, ProfileId, ProfileKind, SiteId, SwitchKind
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from gateway.errors import Mistake, PolicyFileError, SettingsError
from gateway.policy.claims import refuse_contradictions
from gateway.policy.tenant import parse_policy_file

#: In the words of a file.
HOSTED = "a family on somebody else's gateway has no network and no addresses there: only phones"


class What(StrEnum):
    """What happens to something."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class Part(StrEnum):
    """What it happens to."""

    CHOICES = "choices"
    DATES = "dates"
    SITE = "site"
    PROFILE = "profile"
    HOURS = "hours"
    SWITCHES = "switches"
    NAMES = "names"
    DEVICE = "device"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that an import does. `of` is whose it is, `label` what it is called; `number` where several are meant."""

    what: What
    part: Part
    label: str
    of: str = ""
    number: int = 1


class _Undo(Exception):
    """Ends a dry run."""


async def export_tenant(database: Database, act: Act, name: str, shelf: Shelf, *, secrets: bool) -> str:
    """The text of the file. That it was written, and whether with the private names of phones, stands in the journal."""
    async with database.write() as connection:
        rows = await read_rows(connection, act.tenant, act.now)
        choices = await read_choices(connection, act.tenant)
        await record(connection, act, Action.TENANT_EXPORTED, act.tenant, basis="with private names" if secrets else None)
    return write_tenant(rows, name, choices, shelf, act.now, secrets=secrets)


async def import_tenant(database: Database, act: Act, wanted: Wanted, shelf: Shelf, *, dry_run: bool = False) -> Sequence[Change]:
    """Make the tenant what the file says; what changed. Raises SettingsError when it does not fit; then nothing changed."""
    changes: list[Change] = []
    try:
        async with database.write() as connection:
            changes = await bring_in(connection, act, wanted, shelf)
            if dry_run:
                raise _Undo
    except _Undo:
        pass
    return changes


async def bring_in(connection: AsyncConnection, act: Act, wanted: Wanted, shelf: Shelf) -> list[Change]:
    """Inside the caller's write transaction, which ends undone when this raises."""
    rows = await read_rows(connection, act.tenant, act.now)
    if rows.kind is not wanted.kind:
        raise SettingsError([Mistake("kind", f"this file is of a {wanted.kind.value}, here is a {rows.kind.value}")])
    if await is_hosted(connection, act.tenant):
        _refuse_addresses(wanted)
    work = _Import(connection, act, rows, shelf)
    await work.choices(wanted)
    await work.dates(wanted)
    places = [await work.site(site, alone=len(wanted.sites) == 1) for site in wanted.sites]
    pairs = work.pair(wanted.profiles)
    # What goes, goes first: its addresses may belong to somebody else now.
    await work.remove(wanted, pairs)
    for want, found in pairs:
        await work.profile(want, found, places[want.site])
    if work.mistakes:
        raise SettingsError(work.mistakes)
    if work.changes:
        await record(connection, act, Action.TENANT_IMPORTED, act.tenant, after={"changes": len(work.changes)})
        await mark_changed(connection, act)
    after = await read_rows(connection, act.tenant, act.now)
    try:
        refuse_contradictions(parse_policy_file(cut(after, shelf, ()), shelf.catalogue))
    except PolicyFileError as error:
        raise SettingsError(list(error.mistakes)) from error
    return work.changes


async def found_tenant(connection: AsyncConnection, wanted: Wanted, owner: Owner, shelf: Shelf, now: datetime) -> Made:
    """A new tenant with its first account, filled from a file; for a machine that takes over from another."""
    tenant = await create_organisation(connection, wanted.kind, wanted.name or owner.sign_in, owner.locale, now)
    account = await create_account(connection, owner.sign_in, owner.sign_in, owner.password_hash, owner.locale, now)
    role = Role.SCHOOL_ADMIN if wanted.kind is OrganisationKind.SCHOOL else Role.FIRST_PARENT
    act = Act(tenant, by_account(account, role), now)
    await record(connection, act, Action.ACCOUNT_CREATED, account)
    await grant_role(connection, act, account, role)
    await bring_in(connection, act, wanted, shelf)
    return Made(tenant, account, act.by)


class _Import:
    """One import: what is there, what was changed so far."""

    def __init__(self, connection: AsyncConnection, act: Act, rows: TenantRows, shelf: Shelf) -> None:
        self.connection, self.act, self.rows, self.shelf = connection, act, rows, shelf
        self.changes: list[Change] = []
        self.mistakes: list[Mistake] = []
        self.devices: dict[WantedDevice, Device] = {}

    def note(self, what: What, part: Part, label: str, of: str = "", number: int = 1) -> None:
        self.changes.append(Change(what, part, label, of, number))

    async def choices(self, wanted: Wanted) -> None:
        before = await read_choices(self.connection, self.act.tenant)
        after = replace(wanted.choices, hook=before.hook if wanted.hook is None else wanted.hook)
        if _chosen(before) != _chosen(after):
            await set_choices(self.connection, self.act, after)
            self.note(What.CHANGED, Part.CHOICES, "")

    async def dates(self, wanted: Wanted) -> None:
        here = {(one.kind, one.label, one.first, one.last): one for one in self.rows.dates}
        there = {(one.kind, one.label, one.first, one.last): one for one in wanted.dates}
        for content, one in here.items():
            if content not in there:
                await remove_dates(self.connection, self.act, one.id)
                self.note(What.REMOVED, Part.DATES, one.label or one.kind.value)
        for content, one in there.items():
            if content not in here:
                await add_dates(self.connection, self.act, one.kind, one.label, one.first, one.last)
                self.note(What.ADDED, Part.DATES, one.label or one.kind.value)

    async def site(self, want: WantedSite, *, alone: bool) -> SiteId:
        """The place that the file means, made or changed."""
        found = next((site for site in self.rows.sites if site.id == want.ref), None)
        found = found or next((site for site in self.rows.sites if site.name == want.name), None)
        if found is None and alone and len(self.rows.sites) == 1:
            found = self.rows.sites[0]
        if found is None:
            site_class = "school" if self.rows.kind is OrganisationKind.SCHOOL else "home"
            self.note(What.ADDED, Part.SITE, want.name)
            return await create_site(self.connection, self.act, want.name, site_class, want.networks)
        if (found.name, set(found.networks)) != (want.name, set(want.networks)):
            await change_site(self.connection, self.act, found, want.name, want.networks)
            self.note(What.CHANGED, Part.SITE, want.name)
        return found.id

    def pair(self, wanted: Sequence[WantedProfile]) -> list[tuple[WantedProfile, Profile | None]]:
        """Each profile of the file with the one that it means here."""
        left = {profile.id: profile for profile in self.rows.profiles}
        pairs: dict[int, Profile] = {}
        for number, want in enumerate(wanted):
            if want.ref in left and left[ProfileId(want.ref)].kind is want.kind:
                pairs[number] = left.pop(ProfileId(want.ref))
        for number, want in enumerate(wanted):
            if number in pairs:
                continue
            same = (one for one in left.values() if one.kind is want.kind and (one.label == want.label or want.kind is ProfileKind.GUEST))
            if (found := next(same, None)) is not None:
                pairs[number] = left.pop(found.id)
        return [(want, pairs.get(number)) for number, want in enumerate(wanted)]

    async def remove(self, wanted: Wanted, pairs: Sequence[tuple[WantedProfile, Profile | None]]) -> None:
        """Take away the children, classes and devices that the file does not have."""
        kept = {found.id for _, found in pairs if found is not None}
        going = {one.id: one for one in self.rows.profiles if one.id not in kept and one.kind in (ProfileKind.CHILD, ProfileKind.CLASS)}
        staying = [device for device in self.rows.devices if device.profile_id not in going]
        named = [device for profile in wanted.profiles for device in profile.devices]
        self.devices = pair_devices(named, staying)
        meant = {device.id for device in self.devices.values()}
        for device in staying:
            if device.profile_id in kept and device.id not in meant:
                await retire_device(self.connection, self.act, device)
                self.note(What.REMOVED, Part.DEVICE, device.label)
        for want, device in self.devices.items():
            # Two devices may have changed addresses with each other: every changed one lets go first.
            if not _has_same_matches(device, want):
                own = (device_matches.c.tenant_id == self.act.tenant, device_matches.c.device_id == device.id)
                await self.connection.execute(delete(device_matches).where(*own))
        for profile in going.values():
            await stop_history(self.connection, self.act, profile.id)
            await retire_profile(self.connection, self.act, profile)
            self.note(What.REMOVED, Part.PROFILE, profile.label)

    async def profile(self, want: WantedProfile, found: Profile | None, site: SiteId) -> None:
        """Make or change one profile and everything that belongs to it."""
        if found is None:
            new = NewProfile(want.kind, want.label, want.band)
            made = await create_profile(self.connection, self.act, site, new, self.shelf)
            before = Profile(made, site, want.kind, want.label, want.band, None, None, None, 0)
            self.note(What.ADDED, Part.PROFILE, want.label)
        else:
            before = found
        after = replace(
            before,
            label=want.label,
            band=want.band,
            safe_search=want.safe_search,
            youtube=want.youtube,
            uncategorised=want.uncategorised,
        )
        if found is not None and before != after:
            self.note(What.CHANGED, Part.PROFILE, want.label)
            if before.band is not after.band:
                await stop_history(self.connection, self.act, before.id)
        await change_profile(self.connection, self.act, before, after)
        await self._rules(want, before.id, is_new=found is None)
        for device in want.devices:
            await self._device(device, after)

    async def _rules(self, want: WantedProfile, profile: ProfileId, *, is_new: bool) -> None:
        if tuple(self.rows.hours.get(profile, ())) != want.hours and not is_new:
            self.note(What.CHANGED, Part.HOURS, "", want.label)
        await set_hours(self.connection, self.act, profile, want.hours)
        own = self.rows.switches.get(profile, {})
        turned = [key for key in sorted({*own, *want.switches}) if own.get(key) is not want.switches.get(key) and self._is_known(key)]
        for kind, code in turned:
            await set_switch(self.connection, self.act, profile, kind, code, want.switches.get((kind, code)))
        if turned and not is_new:
            self.note(What.CHANGED, Part.SWITCHES, "", want.label, len(turned))
        listed = {rule.pattern: rule for rule in self.rows.names.get(profile, ())}
        gone = [rule for pattern, rule in listed.items() if want.names.get(pattern) is not rule.effect]
        for rule in gone:
            await remove_name(self.connection, self.act, profile, rule.id)
        fresh = {pattern: effect for pattern, effect in want.names.items() if pattern not in listed or listed[pattern] in gone}
        for pattern, effect in fresh.items():
            await add_name(self.connection, self.act, profile, effect, pattern)
        if (gone or fresh) and not is_new:
            self.note(What.CHANGED, Part.NAMES, "", want.label, len({*fresh, *(rule.pattern for rule in gone)}))

    def _is_known(self, key: tuple[SwitchKind, str]) -> bool:
        """Whether a switch is one that a file can speak of; what the catalogue lost stays as it is stored."""
        kind, code = key
        return code in (self.shelf.catalogue.codes if kind is SwitchKind.CATEGORY else self.shelf.catalogue.service_ids)

    async def _device(self, want: WantedDevice, owner: Profile) -> None:
        found = self.devices.get(want)
        token = token_of(found) if found is not None else None
        wanted_token = token or new_token() if want.token == NEW_TOKEN else want.token
        if wanted_token is not None and wanted_token != token and await is_token(self.connection, wanted_token):
            self.mistakes.append(Mistake(want.place, "this private name belongs to another phone; write new"))
            return
        if (found is None or not _has_same_matches(found, want)) and lies_elsewhere(want.matches, self.rows):
            self.mistakes.append(Mistake(want.place, "this network belongs to another place on this gateway"))
            return
        matches = [*want.matches, *([Match(DeviceMatch.TOKEN, wanted_token)] if wanted_token is not None else [])]
        if found is None:
            try:
                await assign_device(self.connection, self.act, owner.id, want.label, matches)
            except Conflict:
                # Held by an adult's or a guest's device that the file does not have.
                raise SettingsError([Mistake(want.place, "a device that is not in this file has this address already")]) from None
            self.note(What.ADDED, Part.DEVICE, want.label, owner.label)
            if want.token == NEW_TOKEN:
                self.note(What.ADDED, Part.PHONE, want.label, owner.label)
            return
        changed = (found.profile_id, found.label) != (owner.id, want.label)
        await move_device(self.connection, self.act, found, owner.id, want.label)
        if not _has_same_matches(found, want):
            changed = True
            values = [{"tenant_id": self.act.tenant, "device_id": found.id, "kind": one.kind.value, "value": one.value} for one in matches]
            await self.connection.execute(insert(device_matches), values)
            contents = [[one.text() for one in some] for some in (found.matches, matches)]
            await record(self.connection, self.act, Action.DEVICE_ASSIGNED, found.id, before=contents[0], after=contents[1])
        if changed:
            self.note(What.CHANGED, Part.DEVICE, want.label, owner.label)


def pair_devices(named: Sequence[WantedDevice], here: Sequence[Device]) -> dict[WantedDevice, Device]:
    """Each device of the file with the one that it means here: by its id, else by an address that both have."""
    left = {str(device.id): device for device in here}
    pairs = {want: left.pop(want.ref) for want in named if want.ref in left}
    for want in named:
        if want not in pairs and (found := next((one for one in left.values() if set(one.matches) & set(want.matches)), None)) is not None:
            pairs[want] = left.pop(str(found.id))
    return pairs


def _has_same_matches(device: Device, want: WantedDevice) -> bool:
    token = token_of(device)
    same = token is not None if want.token == NEW_TOKEN else token == want.token
    return same and {one for one in device.matches if one.kind is not DeviceMatch.TOKEN} == set(want.matches)


def _refuse_addresses(wanted: Wanted) -> None:
    """A family on somebody else's gateway has phones only: whatever address it named would be one at the host's place. Raises SettingsError
    for every place where it does."""
    sites = [Mistake(f"sites[{number}].networks", HOSTED) for number, site in enumerate(wanted.sites) if site.networks]
    devices = [Mistake(device.place, HOSTED) for profile in wanted.profiles for device in profile.devices if device.matches]
    if sites or devices:
        raise SettingsError([*sites, *devices])


def _chosen(choices: Choices) -> tuple[object, ...]:
    return (choices.cooling_minutes, choices.mail, choices.hook, choices.digest)
