"""The office's signing page: officers' keys, what waits for a signature; and the signed releases themselves, for any gateway to fetch."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from admin.dependencies import Visit, need, services_of
from admin.errors import FieldMistake, InvalidInput
from admin.office import open_office
from admin.officekeys import MOST_SIGNATURES, held_keys, read_threshold, set_threshold
from admin.officesigning import PASSPHRASE_FIELD
from admin.permissions import Permission
from admin.routes.officeparts import words_of
from blocklists.pairing import words_of as spoken
from blocklists.tables import Role

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.OFFICE_READ))]
Sign = Annotated[Visit, Depends(need(Permission.OFFICER_APPOINT))]

NEWEST = "timestamp.json"
_METADATA = re.compile(r"(?:[1-9][0-9]{0,8}\.(?:root|targets|snapshot|online)|timestamp)\.json")
_TARGET = re.compile(r"[0-9a-f]{64}\.(?:list\.json|online\.json|[0-9a-f]{16}\.segment)")


@router.get("/office/signing")
async def show(visit: Read) -> Response:
    """Who holds a key, and what waits for a signature."""
    return await _page(visit)


@router.post("/office/signing/key")
async def make_key(visit: Sign) -> Response:
    """A key of one's own, sealed under a passphrase that is stored nowhere."""
    passphrase = visit.form.raw(PASSPHRASE_FIELD)
    if passphrase != visit.form.raw("again"):
        return await _page(visit, FieldMistake("again", "password_differs"))
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
    try:
        await visit.services.office.signing.make_key(office, visit.act, visit.signed_in.actor.account_id, passphrase)
    except InvalidInput as error:
        return await _page(visit, *error.mistakes)
    return visit.go("/office/signing")


@router.post("/office/signing/take-up")
async def take_up(visit: Sign) -> Response:
    """A key of one's own that a backup, put back, had forgotten."""
    account, passphrase = visit.signed_in.actor.account_id, visit.form.raw(PASSPHRASE_FIELD)
    try:
        await visit.services.office.signing.take_up(visit.act, account, passphrase)
    except InvalidInput as error:
        return await _page(visit, *(FieldMistake("taken", one.code) for one in error.mistakes))
    await visit.services.office.signing.settle(visit.tenant_id, visit.now)
    return visit.go("/office/signing")


@router.post("/office/signing/sign")
async def sign(visit: Sign) -> Response:
    """Sign what waits: a change of keys, and the list."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
    account, passphrase = visit.signed_in.actor.account_id, visit.form.raw(PASSPHRASE_FIELD)
    try:
        await visit.services.office.signing.sign_what_waits(office, visit.act, account, passphrase)
    except InvalidInput as error:
        return await _page(visit, *(FieldMistake("sign", one.code) for one in error.mistakes))
    return visit.go("/office/signing")


@router.post("/office/signing/rule")
async def rule(visit: Sign) -> Response:
    """How many approvers sign; in force once the officers have signed the change."""
    wanted = visit.form.raw("threshold")
    async with visit.services.database.write() as connection:
        approvers = [one for one in await held_keys(connection, visit.tenant_id, visit.now) if one.role is Role.APPROVER]
        most = min(MOST_SIGNATURES, max(1, len(approvers)))
        if wanted not in {str(number) for number in range(1, most + 1)}:
            raise InvalidInput(FieldMistake("threshold", "unknown"))
        await set_threshold(connection, visit.act, int(wanted))
    await visit.services.office.signing.settle(visit.tenant_id, visit.now)
    return visit.go("/office/signing")


@router.post("/office/signing/keys/{key_id}/retire")
async def retire(visit: Sign, key_id: str) -> Response:
    """Withdraw a key: one's own, or with a second officer that of somebody who left."""
    await visit.services.office.signing.withdraw(visit.act, visit.signed_in.actor.account_id, key_id)
    await visit.services.office.signing.settle(visit.tenant_id, visit.now)
    return visit.go("/office/signing")


@router.post("/office/signing/server")
async def renew_server_key(visit: Sign) -> Response:
    """Another key for what the server says by itself; the old one is worth nothing once an approver has signed."""
    await visit.services.office.signing.renew_server_key(visit.act)
    return visit.go("/office/signing")


@router.get("/release/metadata/{name}")
async def metadata(request: Request, name: str) -> Response:
    """One file of signed metadata, for gateways. No account: it is made to be public, and worthless when changed."""
    return await _file(request, "metadata", name, _METADATA)


@router.get("/release/targets/{name}")
async def target(request: Request, name: str) -> Response:
    """One signed file of the list."""
    return await _file(request, "targets", name, _TARGET)


async def _file(request: Request, folder: str, name: str, shape: re.Pattern[str]) -> Response:
    services = services_of(request)
    path = services.settings.state_dir / "release" / folder / name
    if not shape.fullmatch(name) or not await asyncio.to_thread(path.is_file):
        return Response(status_code=404)
    if name == NEWEST:
        return await _newest(request, await asyncio.to_thread(path.read_bytes), await services.office.signing.look_seconds(services.now()))
    return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "public, max-age=86400, immutable"})


async def _newest(request: Request, content: bytes, seconds: int) -> Response:
    """The file that says what is newest, or that it is still the same; and how soon a gateway may ask again."""
    headers = {"Cache-Control": f"public, max-age={seconds}, must-revalidate", "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _page(visit: Visit, *mistakes: FieldMistake) -> Response:
    desk = visit.services.office.signing
    async with visit.services.database.read() as connection:
        await open_office(connection, visit.tenant_id)
        keys = await held_keys(connection, visit.tenant_id, visit.now)
        threshold = await read_threshold(connection, visit.tenant_id)
    standing, behind = await desk.standing(), await desk.is_behind(visit.tenant_id)
    own = next((one for one in keys if one.account == visit.signed_in.actor.account_id), None)
    approvers = sum(one.role is Role.APPROVER for one in keys)
    context = {
        "signing": standing, "behind": behind, "keys": keys, "own": own, "threshold": threshold,
        "most": min(MOST_SIGNATURES, max(1, approvers)), "waits": own is not None and standing.waits_for(own.keyid, behind, visit.now),
        "words": spoken(standing.fingerprint) if standing.is_begun else "", "say": words_of(visit), "mistakes": mistakes,
        "standing": visit.services.office.duty.standing, "doubts": await desk.doubts(visit.now), "me": visit.signed_in.actor.account_id,
        "forgotten": await desk.forgotten(visit.tenant_id),
    }  # fmt: skip
    return visit.page("office/signing.html", context, 422 if mistakes else 200)
