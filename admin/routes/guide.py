"""The guides: for parents, schools and whoever runs the gateway. No account is needed; somebody may be reading before the first step."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import Response

from admin.dependencies import open_page
from admin.errors import NotFound
from admin.pages.guide import FOLDER, GUIDES, picture_size, read_guide

router = APIRouter()


@router.get("/guide")
async def show_list(request: Request) -> Response:
    """Which guide?"""
    return open_page(request, "guide/list.html", {"guides": list(GUIDES)})


@router.get("/guide/{name}")
async def show_guide(name: str, request: Request) -> Response:
    """One guide on one page, for reading and for printing."""
    if name not in GUIDES:
        raise NotFound
    return open_page(request, "guide/guide.html", {"blocks": read_guide(name), "name": name, "size_of": picture_size})


@router.get("/guide/pictures/{name}")
async def show_picture(name: str) -> Response:
    """A picture of a guide."""
    content = _pictures().get(name)
    if content is None:
        raise NotFound
    return Response(content, media_type="image/webp", headers={"Cache-Control": "public, max-age=86400"})


@cache
def _pictures() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (FOLDER / "pictures").glob("*.webp")}
