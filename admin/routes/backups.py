"""Backups by page, for whoever looks after the machine: take one home, put one back. Where several organisations share a machine only its
operator may: a backup holds everybody's data."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from admin.backup import back_up, restore
from admin.dependencies import Visit, need, open_page
from admin.edge.cookies import SESSION, drop_cookie
from admin.errors import FieldMistake, NotFound
from admin.following import keeps_machine
from admin.forms import save_file
from admin.permissions import Permission
from admin.routes.home import waiting_of
from gateway.errors import StartError

router = APIRouter()

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]


@router.get("/backup")
async def show(visit: Looker) -> Response:
    """What a backup holds, the button, and the way back."""
    await check_alone(visit)
    return await _page(visit)


@router.post("/backup")
async def take(visit: Annotated[Visit, Depends(need(Permission.SYSTEM_BACKUP))]) -> Response:
    """Make a backup and give it to the browser; nothing stays here."""
    await check_alone(visit)
    path = _place(visit)
    try:
        await back_up(visit.services.database, visit.services.settings.state_dir, path, visit.now)
    except StartError as error:
        return await _page(visit, str(error))
    name = f"lachan-{visit.now:%Y%m%dT%H%M}.backup"
    return FileResponse(path, media_type="application/octet-stream", filename=name, background=BackgroundTask(path.unlink))


@router.post("/backup/restore")
async def put_back(visit: Annotated[Visit, Depends(need(Permission.SYSTEM_BACKUP, files=1))]) -> Response:
    """Put a backup back; the page says what of it did not come back. Everybody signs in again."""
    await check_alone(visit)
    path = _place(visit)
    try:
        if not await save_file(visit.request, "file", path):
            return await _page(visit, mistakes=(FieldMistake("file", "required"),))
        done = await restore(visit.services.database, visit.services.settings.state_dir, path, visit.now)
    except StartError as error:
        return await _page(visit, str(error))
    except OSError as error:  # the file that came finds no room
        return await _page(visit, f"{error.strerror}: make room on the disk")
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    visit.services.applier.hurry()
    drop_cookie(visit.request, SESSION)
    return open_page(visit.request, "more/restored.html", {"done": done})


async def check_alone(visit: Visit) -> None:
    """Only who looks after the machine, where several share it; the one organisation that has it for itself otherwise. Raises NotFound."""
    async with visit.services.database.read() as connection:
        if not await keeps_machine(connection, visit.signed_in.actor, visit.tenant_id, Permission.SYSTEM_BACKUP):
            raise NotFound


def _place(visit: Visit) -> Path:
    return visit.services.settings.state_dir / f".{secrets.token_hex(8)}.backup"


async def _page(visit: Visit, fault: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    context = {"fault": fault, "mistakes": mistakes, "waiting": await waiting_of(visit)}
    return visit.page("more/backup.html", context, 422 if fault or mistakes else 200)
