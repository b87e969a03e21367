"""The list office this gateway follows: its code, its words, the version in force. For whoever looks after the machine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.following import NotJoined, follow_office, keeps_machine, leave_office, read_code, read_followed
from admin.pages.words import FIRST
from admin.permissions import Permission
from admin.routes.home import waiting_of

router = APIRouter()

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Keeper = Annotated[Visit, Depends(need(Permission.LIST_FOLLOW))]


@router.get("/list-office")
async def show(visit: Looker) -> Response:
    """Which office is followed, and how it stands."""
    await _check_keeper(visit)
    return await _page(visit)


@router.post("/list-office")
async def join(visit: Keeper) -> Response:
    """Join the office of a code; the gateway takes its list at once and goes on by itself."""
    await _check_keeper(visit)
    try:
        await follow_office(visit.services, read_code(visit.form.raw("code")))
    except InvalidInput as error:
        return await _page(visit, *error.mistakes)
    except NotJoined as error:
        return await _page(visit, fault=error.vi if visit.language == FIRST else error.words)
    return visit.go("/list-office")


@router.post("/list-office/leave")
async def leave(visit: Keeper) -> Response:
    """Follow it no more; what is in force stays."""
    await _check_keeper(visit)
    await leave_office(visit.services)
    return visit.go("/list-office")


async def _check_keeper(visit: Visit) -> None:
    """Only who looks after the machine. Raises NotFound."""
    async with visit.services.database.read() as connection:
        if not await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id):
            raise NotFound


async def _page(visit: Visit, *mistakes: FieldMistake, fault: str = "") -> Response:
    found = await read_followed(visit.services, visit.now)
    context = {
        "joined": found.office, "words": found.words, "own": found.own, "follow": found.state, "test_name": found.test_name,
        "by_file": found.by_file, "missing": found.missing,
        "good_at": found.good_at, "mistakes": mistakes, "fault": fault, "waiting": await waiting_of(visit),
    }  # fmt: skip
    return visit.page("more/listoffice.html", context, 422 if fault or mistakes else 200)
