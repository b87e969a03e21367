"""The API's devices and requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from admin.devices import (
    Device,
    assign_device,
    frees_new_device,
    frees_when_forgotten,
    is_looser_owner,
    judge_owner,
    load_device,
    move_device,
    read_match,
    retire_device,
)
from admin.errors import FieldMistake, InvalidInput
from admin.home import unnamed_devices
from admin.link import GatewayAway, SeenDevice
from admin.moment import moment_in
from admin.permissions import Permission
from admin.policyfile import read_rows
from admin.profiles import load_profile, load_strictest
from admin.requests import Request, answer, list_requests, load_request
from admin.routes.api import After, Caller, IdempotencyKey, Limit, caller, cut_page, load_owner, made_before, note_made
from admin.schemas import AnswerIn, DeviceChange, DeviceIn, DeviceOut, DevicePage, NewDeviceOut, PageOf, RequestOut
from admin.unserved import refuse_elsewhere
from admin.values import Decision, ProfileKind

router = APIRouter()

Reader = Annotated[Caller, Depends(caller(Permission.DEVICE_READ))]
Writer = Annotated[Caller, Depends(caller(Permission.DEVICE_ASSIGN))]


@router.get("/devices", tags=["devices"])
async def list_all(who: Reader, limit: Limit = 50, after: After = None) -> DevicePage:
    """Named devices, and on the first page those that wait for a name."""
    seen = await _seen(who)
    async with who.services.database.read() as connection:
        rows = await read_rows(connection, who.tenant_id, who.now)
    page, following = cut_page(list(rows.devices), lambda device: device.id, after, limit)
    fresh = unnamed_devices(rows, seen) if after is None else ()
    return DevicePage(
        items=[_out(device, seen) for device in page],
        new=[_new_out(one) for one in fresh],
        next=following,
    )


@router.post("/devices", status_code=201, tags=["devices"])
async def assign(who: Writer, new: DeviceIn, response: Response, key: IdempotencyKey = None) -> DeviceOut:
    """Give a device to a profile. Giving it to anybody freer than the strictest needs the right to loosen."""
    match = read_match(new.match)
    if match is None:
        raise InvalidInput(FieldMistake("match", "device_form"))
    async with who.services.database.write() as connection:
        profile = await load_owner(connection, who, new.profile)
        if profile.kind is ProfileKind.GUEST:
            raise InvalidInput(FieldMistake("profile", "unknown"))
        rows = await read_rows(connection, who.tenant_id, who.now)
        refuse_elsewhere([match], "match", replace(rows, around=who.services.applier.around))
        judge_owner(who.tenant.kind, profile, [match])
        if frees_new_device(await load_strictest(connection, who.tenant_id), profile):
            who.require(Permission.PROFILE_LOOSEN)
        made = await made_before(connection, who, key, "device", new)
        if made is None:
            made = await assign_device(connection, who.act, profile.id, new.label, [match])
            await note_made(connection, who, key, made, "device", new)
        device = await load_device(connection, who.tenant_id, made)
    await who.services.applier.settle(who.tenant_id)
    response.headers["Location"] = f"/api/v1/devices/{made}"
    return _out(device, await _seen(who))


@router.get("/devices/{device}", tags=["devices"])
async def read(who: Reader, device: str) -> DeviceOut:
    """One device."""
    return _out(await _load(who, device), await _seen(who))


@router.patch("/devices/{device}", tags=["devices"])
async def change(who: Writer, device: str, wanted: DeviceChange) -> DeviceOut:
    """Another owner or name. A freer owner needs the right to loosen."""
    found = await _load(who, device)
    async with who.services.database.write() as connection:
        before = await load_profile(connection, who.tenant_id, found.profile_id)
        after = await load_owner(connection, who, wanted.profile or found.profile_id)
        if after.kind is ProfileKind.GUEST:
            raise InvalidInput(FieldMistake("profile", "unknown"))
        if after.id != before.id:
            judge_owner(who.tenant.kind, after, found.matches)
        if is_looser_owner(before, after):
            who.require(Permission.PROFILE_LOOSEN)
        await move_device(connection, who.act, found, after.id, wanted.label or found.label)
    await who.services.applier.settle(who.tenant_id)
    return _out(await _load(who, device), await _seen(who))


@router.delete("/devices/{device}", status_code=204, tags=["devices"])
async def forget(who: Writer, device: str) -> None:
    """Forget a device: it is new again, with the strictest band. Forgetting a child's needs the right to loosen."""
    async with who.services.database.write() as connection:
        found = await load_device(connection, who.tenant_id, device)
        if frees_when_forgotten(await load_profile(connection, who.tenant_id, found.profile_id)):
            who.require(Permission.PROFILE_LOOSEN)
        await retire_device(connection, who.act, found)
    await who.services.applier.settle(who.tenant_id)


@router.get("/requests", tags=["requests"])
async def list_asked(
    who: Annotated[Caller, Depends(caller(Permission.REQUEST_READ))], limit: Limit = 50, after: After = None
) -> PageOf[RequestOut]:
    """Requests that wait, oldest first, then those answered lately."""
    async with who.services.database.read() as connection:
        waiting, answered = await list_requests(connection, who.tenant_id, who.now)
    page, following = cut_page([*waiting, *answered], lambda one: one.id, after, limit)
    return PageOf(items=[_request_out(one) for one in page], next=following)


@router.post("/requests/{request}/answer", tags=["requests"])
async def decide(who: Annotated[Caller, Depends(caller(Permission.REQUEST_ANSWER))], request: str, given: AnswerIn) -> RequestOut:
    """Answer once. Every answer but no needs the right to loosen, and a profile to open it for."""
    if given.decision is not Decision.NO:
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        found = await load_request(connection, who.tenant_id, request)
        chosen = found.profile_id or given.profile
        if chosen is None and given.decision is not Decision.NO:
            raise InvalidInput(FieldMistake("profile", "required"))
        profile = await load_owner(connection, who, chosen) if chosen else None
        rest_at = None
        if profile is not None and not given.through_rest:
            rows = await read_rows(connection, who.tenant_id, who.now)
            rest_at = moment_in(profile, rows, who.services.shelves.current(), who.now).rest_at
        await answer(connection, who.act, found, given.decision, profile, who.tenant.time_zone, rest_at)
        done = await load_request(connection, who.tenant_id, request)
    await who.services.applier.settle(who.tenant_id)
    return _request_out(done)


async def _seen(who: Caller) -> list[SeenDevice]:
    try:
        return await who.services.link.devices(who.tenant_id)
    except GatewayAway:
        return []


async def _load(who: Caller, device: str) -> Device:
    async with who.services.database.read() as connection:
        return await load_device(connection, who.tenant_id, device)


def _out(device: Device, seen: list[SeenDevice] | tuple[()]) -> DeviceOut:
    times: list[datetime] = [one.last_seen for one in seen if one.client == device.id]
    return DeviceOut(
        id=device.id,
        profile=device.profile_id,
        label=device.label,
        matches=[match.shown() for match in device.matches],
        last_seen=max(times, default=None),
    )


def _new_out(one: SeenDevice) -> NewDeviceOut:
    return NewDeviceOut(
        address=one.address,
        addresses=[one.address, *one.others],
        network=one.network or None,
        mac=one.mac,
        first_seen=one.first_seen,
        last_seen=one.last_seen,
    )


def _request_out(one: Request) -> RequestOut:
    return RequestOut(
        id=one.id,
        profile=one.profile_id,
        host=one.host,
        reason=one.reason,
        note=one.note,
        state=one.state,
        decision=one.decision,
        open_until=one.open_until,
        created_at=one.created_at,
    )
