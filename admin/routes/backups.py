"""Backups by page, for whoever looks after the machine: take one home, put one back. Where several organisations share a machine only its
operator may: a backup holds everybody's data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from admin.backup import back_up, restore
from admin.dependencies import Visit, need, open_page
from admin.edge.cookies import SESSION, drop_cookie
from admin.errors import FieldMistake, NotFound
from admin.following import keeps_machine
from admin.forms import save_file
from admin.permissions import Permission
from admin.routes.home import waiting_of
from admin.scratch import scratch
from gateway.errors import StartError

router = APIRouter()

_PIECE = 256 * 1024
_SCRATCH = re.compile(r"/\S*/\.lachan-\w+-\w+/(?:sent|whole)")

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]


@router.get("/backup")
async def show(visit: Looker) -> Response:
    """What a backup holds, the button, and the way back."""
    await check_alone(visit)
    return await _page(visit)


@router.post("/backup")
async def take(visit: Annotated[Visit, Depends(need(Permission.SYSTEM_BACKUP))]) -> Response:
    """Make a backup and give it to the browser; nothing stays here: the file has no name any more when its first octet leaves."""
    await check_alone(visit)
    state = visit.services.settings.state_dir
    try:
        with scratch(state, "backup") as place:
            await back_up(visit.services.database, state, place / "whole", visit.now)
            file = (place / "whole").open("rb")
    except (StartError, OSError) as error:
        return await _page(visit, _fault(visit, error))
    name = f'attachment; filename="lachan-{visit.now:%Y%m%dT%H%M}.backup"'
    headers = {"Content-Disposition": name, "Content-Length": str(os.fstat(file.fileno()).st_size)}
    return StreamingResponse(_pieces(file), headers=headers, media_type="application/octet-stream")


@router.post("/backup/restore")
async def put_back(visit: Annotated[Visit, Depends(need(Permission.SYSTEM_BACKUP, files=1))]) -> Response:
    """Put a backup back; the page says what of it did not come back. Everybody signs in again."""
    await check_alone(visit)
    state = visit.services.settings.state_dir
    try:
        with scratch(state, "restore") as place:
            if not await save_file(visit.request, "file", place / "sent"):
                return await _page(visit, mistakes=(FieldMistake("file", "required"),))
            done = await restore(visit.services.database, state, place / "sent", visit.now)
    except (StartError, OSError) as error:
        return await _page(visit, _fault(visit, error))
    visit.services.applier.hurry()
    drop_cookie(visit.request, SESSION)
    return open_page(visit.request, "more/restored.html", {"done": done})


async def check_alone(visit: Visit) -> None:
    """Only who looks after the machine, where several share it; the one organisation that has it for itself otherwise. Raises NotFound."""
    async with visit.services.database.read() as connection:
        if not await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id, Permission.SYSTEM_BACKUP):
            raise NotFound


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


def _fault(visit: Visit, error: StartError | OSError) -> str:
    """In the words of the page; where the file lies for the moment is nobody's business."""
    is_vietnamese = visit.language == "vi"
    if isinstance(error, OSError):
        return f"{error.strerror}: {'dọn chỗ trên đĩa' if is_vietnamese else 'make room on the disk'}"
    return _SCRATCH.sub("tệp này" if is_vietnamese else "this file", error.vi if is_vietnamese and error.vi else str(error))


async def _page(visit: Visit, fault: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    context = {"fault": fault, "mistakes": mistakes, "waiting": await waiting_of(visit)}
    return visit.page("more/backup.html", context, 422 if fault or mistakes else 200)
