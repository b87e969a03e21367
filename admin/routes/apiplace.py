"""The API of a place as a whole: what a key speaks for, who looks in by a document, the home whose address changes, histories (whether one
is kept, and its end), erasing, signing out, backups.

A history is begun and read by people; a program learns whether there is one, and may end it. Erasing needs a scope of its own and the id
of the profile once more. The address of a home is only ever the one that the program asks from.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import FileResponse

from admin.agreeing import find_proposal
from admin.audit import Action, record
from admin.dependencies import address_of
from admin.devices import frees_new_device
from admin.emergency import list_glasses
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.following import keeps_machine
from admin.history import find_keeping, keeps_names, stop_history
from admin.homelink import Home, add_home, load_home, remove_home, unlink_home
from admin.keptbackups import KeptBackup, drop_backup, find_backup, keep_backup, list_backups, path_of
from admin.people import end_emergencies
from admin.peopleschemas import (
    BackupOut,
    EraseIn,
    HistoryOut,
    HomeAddressIn,
    HomeAddressOut,
    HomeIn,
    HomeOut,
    LookOut,
    OrganisationIn,
    OrganisationOut,
)
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.profiles import LABEL_LENGTH, Profile, load_profile, load_strictest
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, load_owner, made_before, note_made, page_of
from admin.routes.profiles import erase_everywhere
from admin.schemas import PageOf
from admin.tables import sessions
from admin.tenants import read_name, rename_tenant
from admin.values import ProfileKind
from blocklists.tables import OrganisationKind, Role

router = APIRouter()

Looker = Annotated[Caller, Depends(caller(Permission.STATUS_READ))]
Reader = Annotated[Caller, Depends(caller(Permission.PROFILE_READ))]
DeviceReader = Annotated[Caller, Depends(caller(Permission.DEVICE_READ))]
Assigner = Annotated[Caller, Depends(caller(Permission.DEVICE_ASSIGN))]
Tightener = Annotated[Caller, Depends(caller(Permission.PROFILE_TIGHTEN))]
Guardian = Annotated[Caller, Depends(caller(Permission.HISTORY_READ))]
Ender = Annotated[Caller, Depends(caller(Permission.HISTORY_END))]
Eraser = Annotated[Caller, Depends(caller(Permission.PROFILE_ERASE))]
Keeper = Annotated[Caller, Depends(caller(Permission.SYSTEM_BACKUP))]
Taker = Annotated[Caller, Depends(caller(Permission.BACKUP_TAKE))]

FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file."}
}


@router.get("/organisation", tags=["status"])
async def show_organisation(who: Looker) -> OrganisationOut:
    """What this key speaks for. A key has one organisation; a person with several makes one at each."""
    return _organisation(who, who.tenant.name)


@router.patch("/organisation", tags=["status"])
async def rename_organisation(who: Tightener, wanted: OrganisationIn) -> OrganisationOut:
    """Another name for this family or school, as it stands on pages, invitations and papers."""
    if not has_policy(who.tenant.kind):
        raise NotFound
    async with who.services.database.write() as connection:
        await rename_tenant(connection, who.act, wanted.name)
        return _organisation(who, await read_name(connection, who.tenant_id))


def _organisation(who: Caller, name: str) -> OrganisationOut:
    assert who.signed_in.actor.scopes is not None
    return OrganisationOut(
        id=who.tenant_id,
        kind=who.tenant.kind,
        name=name,
        time_zone=who.tenant.time_zone,
        demo=who.tenant.demo,
        role=Role(who.act.by.role),
        scopes=sorted(who.signed_in.actor.scopes),
    )


@router.post("/sessions/end", status_code=204, tags=["status"])
async def sign_out_everywhere(who: Annotated[Caller, Depends(caller(Permission.SESSION_END))]) -> None:
    """Sign the person of this key out in every browser. This tightens; the key itself goes on."""
    account = who.signed_in.actor.account_id
    async with who.services.database.write() as connection:
        await connection.execute(delete(sessions).where(sessions.c.account_id == account))
        await end_emergencies(connection, who.act, account)
        await record(connection, who.act, Action.SESSION_ENDED, account)


@router.get("/emergencies", tags=["status"])
async def list_looks(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[LookOut]:
    """Operators who look in by a document, or did in the last thirty days; the newest first. One is ended on the home page."""
    async with who.services.database.read() as connection:
        found = await list_glasses(connection, who.now, who.tenant_id)
    looks = [
        LookOut(id=one.id, name=one.name, document=one.document, since=one.since, until=one.until, open=one.is_open(who.now))
        for one in found
    ]
    return page_of(looks, after, limit)


@router.get("/profiles/{profile}/history", tags=["profiles"])
async def show_history(who: Guardian, profile: str) -> HistoryOut:
    """Whether a history of this child is kept, or waits for the child's word."""
    async with who.services.database.read() as connection:
        return await _history(connection, who, await _load_child(connection, who, profile))


@router.delete("/profiles/{profile}/history", status_code=204, tags=["profiles"])
async def end_history(who: Ender, profile: str) -> None:
    """End it now, or withdraw the question to the child: the key is destroyed, and what was kept opens for nobody."""
    async with who.services.database.write() as connection:
        child = await _load_child(connection, who, profile)
        await stop_history(connection, who.act, child.id)
    await who.services.applier.settle(who.tenant_id)


@router.post("/profiles/{profile}/erase", status_code=204, tags=["profiles"])
async def erase(who: Eraser, profile: str, wanted: EraseIn) -> None:
    """Erase everything that was written about a child or class, here and in backups. It cannot be undone, so `confirm` is the id once
    more."""
    if wanted.confirm != profile:
        raise InvalidInput(FieldMistake("confirm", "confirm_profile"))
    await erase_everywhere(who.services, who.act, profile)


@router.get("/home", tags=["devices"])
async def show_home(who: DeviceReader) -> HomeOut:
    """The family's home and the addresses that are its own now."""
    async with who.services.database.read() as connection:
        return _home_out(await _load_home(connection, who), who)


@router.post("/home", status_code=201, tags=["devices"])
async def make_home(who: Assigner, new: HomeIn, key: IdempotencyKey = None) -> HomeOut:
    """A home, under somebody's rules. For an adult's this needs the right to loosen."""
    if who.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    async with who.services.database.write() as connection:
        profile = await load_owner(connection, who, new.profile)
        if profile.kind is ProfileKind.GUEST:
            raise InvalidInput(FieldMistake("profile", "unknown"))
        if frees_new_device(await load_strictest(connection, who.tenant_id), profile):
            who.require(Permission.PROFILE_LOOSEN)
        made = await made_before(connection, who, key, "home", new)
        if made is None:
            label = who.services.pages.words[who.signed_in.locale].gettext("Our home")
            made = await add_home(connection, who.act, profile.id, label[:LABEL_LENGTH])
            await note_made(connection, who, key, made, "home", new)
        home = await _load_home(connection, who)
        if home.device_id != made:
            raise NotFound
    await who.services.applier.settle(who.tenant_id)
    return _home_out(home, who)


@router.put("/home/address", tags=["devices"])
async def link_home_address(who: Assigner, wanted: HomeAddressIn, request: Request) -> HomeOut:
    """This is our home: the address from which the program asks, said once more, so that a tunnel or a proxy is not linked by mistake. Any
    other is refused (409 `address_not_yours`)."""
    try:
        is_own = ip_address(wanted.address) == ip_address(address_of(request))
    except ValueError:
        raise InvalidInput(FieldMistake("address", "network_form")) from None
    if not is_own:
        raise Conflict("address_not_yours", "address")
    async with who.services.database.read() as connection:
        home = await _load_home(connection, who)
    await who.services.homes.link(home, address_of(request), who.act, by_hand=True)
    async with who.services.database.read() as connection:
        return _home_out(await _load_home(connection, who), who)


@router.delete("/home/address", status_code=204, tags=["devices"])
async def unlink_home_address(who: Assigner) -> None:
    """Take the addresses back; the home's token may link again."""
    async with who.services.database.write() as connection:
        await unlink_home(connection, who.act, await _load_home(connection, who))
    await _settle(who)


@router.delete("/home", status_code=204, tags=["devices"])
async def forget_home(who: Assigner) -> None:
    """No home any more: its token and its update address end."""
    async with who.services.database.write() as connection:
        await remove_home(connection, who.act, await _load_home(connection, who))
    await _settle(who)


@router.get("/backups", tags=["backups"])
async def list_kept(who: Keeper, limit: Limit = PAGE, after: After = None) -> PageOf[BackupOut]:
    """The backups that are kept on the machine, the newest first; at most five."""
    await _check_alone(who)
    listed = await asyncio.to_thread(list_backups, who.services.settings.state_dir)
    return page_of([_backup_out(one) for one in listed], after, limit)


@router.post("/backups", status_code=201, tags=["backups"])
async def make_backup(who: Keeper, key: IdempotencyKey = None) -> BackupOut:
    """Make one and keep it on the machine. Where there are five already, 409 `backups_full`: nothing is thrown away to make room. A full
    disk is 503 `no_room`."""
    await _check_alone(who)
    async with who.services.backing_up:
        async with who.services.database.read() as connection:
            made = await made_before(connection, who, key, "backup")
        if made is None:
            made = (await keep_backup(who.services.database, who.services.settings.state_dir, who.now)).id
            async with who.services.database.write() as connection:
                await note_made(connection, who, key, made, "backup")
    return _backup_out(find_backup(who.services.settings.state_dir, made))


@router.get("/backups/{backup}/file", tags=["backups"], response_class=FileResponse, responses=FILE)
async def take_backup(who: Taker, backup: str) -> FileResponse:
    """The file itself, with everybody's data: a right of its own, which making one does not give. Putting one back is a person's act."""
    await _check_alone(who)
    state = who.services.settings.state_dir
    found = find_backup(state, backup)
    return FileResponse(path_of(state, found), media_type="application/octet-stream", filename=f"lachan-{found.id}.backup")


@router.delete("/backups/{backup}", status_code=204, tags=["backups"])
async def take_away(who: Keeper, backup: str) -> None:
    """Take one away."""
    await _check_alone(who)
    drop_backup(who.services.settings.state_dir, backup)


async def _history(connection: AsyncConnection, who: Caller, child: Profile) -> HistoryOut:
    keeping = await find_keeping(connection, who.tenant_id, child.id)
    proposal = await find_proposal(connection, who.tenant_id, child, who.now) if keeping is None else None
    kinds = "names" if keeps_names(child.band) else "categories"
    return HistoryOut.model_validate(
        {
            "state": "kept" if keeping is not None else "waiting" if proposal is not None else "off",
            "days": keeping.days if keeping is not None else proposal.days if proposal is not None else None,
            "kinds": kinds if keeping is not None or proposal is not None else None,
            "since": keeping.since if keeping is not None else None,
            "waits_until": proposal.until if proposal is not None else None,
        }
    )


async def _load_child(connection: AsyncConnection, who: Caller, profile: str) -> Profile:
    found = await load_profile(connection, who.tenant_id, profile)
    if found.kind is not ProfileKind.CHILD:
        raise NotFound
    return found


async def _load_home(connection: AsyncConnection, who: Caller) -> Home:
    home = await load_home(connection, who.tenant_id)
    if home is None:
        raise NotFound
    return home


async def _settle(who: Caller) -> None:
    await who.services.applier.settle(who.tenant_id)
    await who.services.applier.forget(who.tenant_id)


async def _check_alone(who: Caller) -> None:
    """As on the page: whoever looks after the machine, or the one organisation that has it for itself. Raises NotFound."""
    async with who.services.database.read() as connection:
        if not await keeps_machine(connection, who.signed_in.actor, who.tenant_id, Permission.SYSTEM_BACKUP):
            raise NotFound


def _home_out(home: Home, who: Caller) -> HomeOut:
    linked = [HomeAddressOut(network=one.network, until=one.until) for one in home.live(who.now)]
    return HomeOut(id=home.device_id, addresses=linked, shared=home.is_shared(who.now))


def _backup_out(one: KeptBackup) -> BackupOut:
    return BackupOut(id=one.id, made_at=one.made_at, octets=one.octets)
