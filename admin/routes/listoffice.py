"""The list office this gateway follows: its code, its words, the version in force. For whoever looks after the machine."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake
from admin.link import GatewayAway
from admin.permissions import Permission
from admin.routes.backups import check_alone
from admin.routes.home import read_following, waiting_of
from blocklists import joined
from blocklists.pairing import CodeError, fingerprint_of, parse_code, words_of
from gateway.errors import ControlError

router = APIRouter()

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Keeper = Annotated[Visit, Depends(need(Permission.SYSTEM_BACKUP))]


@router.get("/list-office")
async def show(visit: Looker) -> Response:
    """Which office is followed, and how it stands."""
    await check_alone(visit)
    return await _page(visit)


@router.post("/list-office")
async def join(visit: Keeper) -> Response:
    """Join the office of a code; the gateway takes its list at once and goes on by itself."""
    await check_alone(visit)
    from blocklists import joining  # loads the library of signatures: ten megabytes for this one act

    try:
        code = parse_code(visit.form.raw("code")[:600])
        await asyncio.to_thread(joining.join, visit.services.settings.state_dir, code)
    except CodeError:
        return await _page(visit, FieldMistake("code", "office_code"))
    except joining.JoinError as error:
        return await _page(visit, fault=str(error))
    await _reload(visit)
    return visit.go("/list-office")


@router.post("/list-office/leave")
async def leave(visit: Keeper) -> Response:
    """Follow it no more; what is in force stays."""
    await check_alone(visit)
    await asyncio.to_thread(joined.leave, visit.services.settings.state_dir)
    await _reload(visit)
    return visit.go("/list-office")


async def _reload(visit: Visit) -> None:
    """Have the running gateway look again; one that is away looks when it starts."""
    with contextlib.suppress(GatewayAway, ControlError):
        await visit.services.link.reload()


async def _page(visit: Visit, *mistakes: FieldMistake, fault: str = "") -> Response:
    settings = visit.services.settings
    office = await asyncio.to_thread(joined.read_joined, settings.state_dir)
    follow = await read_following(visit)
    context = {
        "joined": office, "words": words_of(office.fingerprint) if office else "",
        "own": words_of(fingerprint_of(bytes.fromhex(office.public))) if office and office.public else "",
        "follow": follow, "test_name": f"serial.orders.{settings.gateway.dns.name}",
        "by_file": settings.orders_from if office is None else "",
        "good_at": datetime.fromtimestamp(follow["good_at"], UTC) if follow and follow["good_at"] else None,
        "mistakes": mistakes, "fault": fault, "waiting": await waiting_of(visit),
    }  # fmt: skip
    return visit.page("more/listoffice.html", context, 422 if fault or mistakes else 200)
