"""The API of following a list office, for whoever looks after the machine: which one it is, joining by a code, leaving."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends

from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.following import follow_office, keeps_machine, leave_office, read_code, read_followed
from admin.officefindschemas import FollowedOut, FollowIn, OfficeOut
from admin.permissions import Permission
from admin.routes.api import Caller, caller
from blocklists.pairing import words_of

router = APIRouter(tags=["list office"])

Looker = Annotated[Caller, Depends(caller(Permission.STATUS_READ))]
Keeper = Annotated[Caller, Depends(caller(Permission.LIST_FOLLOW))]


@router.get("/list-office")
async def show(who: Looker) -> FollowedOut:
    """Which office is followed, and how its list stands."""
    return await _followed(who)


@router.put("/list-office")
async def join(who: Keeper, wanted: FollowIn) -> FollowedOut:
    """Follow the office of a code. Without `fingerprint` nothing is changed: `to_confirm` tells what the code says. Compare it with the
    office's page, and send the code again with the fingerprint. What the address offers must fit it as well (409 `not_joined`)."""
    await _check_keeper(who)
    code = read_code(wanted.code)
    if wanted.fingerprint is None:
        return await _followed(who, OfficeOut(url=code.url, fingerprint=code.fingerprint, words=words_of(code.fingerprint)))
    if not hmac.compare_digest(wanted.fingerprint.strip().lower().encode(), code.fingerprint.encode()):
        raise InvalidInput(FieldMistake("fingerprint", "fingerprint_differs"))
    await follow_office(who.services, code)
    return await _followed(who)


@router.delete("/list-office", status_code=204)
async def leave(who: Keeper) -> None:
    """Follow it no more; what is in force stays."""
    await _check_keeper(who)
    await leave_office(who.services)


async def _check_keeper(who: Caller) -> None:
    """Only who looks after the machine. Raises NotFound."""
    async with who.services.database.read() as connection:
        if not await keeps_machine(connection, who.signed_in.actor, who.tenant_id):
            raise NotFound


async def _followed(who: Caller, to_confirm: OfficeOut | None = None) -> FollowedOut:
    await _check_keeper(who)
    found = await read_followed(who.services, who.now)
    office, state = found.office, found.state or {}
    return FollowedOut(
        office=OfficeOut(url=office.url, fingerprint=office.fingerprint, words=found.words) if office else None,
        to_confirm=to_confirm, label=office.label if office else "", own_words=found.own, by_file=str(found.by_file),
        serial=int(state.get("serial") or 0), problem=str(state.get("code") or ""), good_at=found.good_at, test_name=found.test_name,
    )  # fmt: skip
