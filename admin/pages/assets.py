"""Static files: read once, named by their content, kept by browsers for a year.

`/static/lachan.css?v=<digest>` never changes under its address; without the digest a browser asks again. No path of the disk is ever built
from a request: only the names read at start exist.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent.parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file with its type and the first signs of its digest."""

    content: bytes
    media_type: str
    version: str


class Assets:
    """Every static file, in memory (well under a megabyte)."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._assets = {path.name: _load(path) for path in sorted(folder.iterdir()) if path.suffix in TYPES}

    def address(self, name: str) -> str:
        """The address of a file with its version; KeyError for a file that does not exist, so a template's mistake is found by tests."""
        return f"/static/{name}?v={self._assets[name].version}"

    async def serve(self, request: Request) -> Response:
        """Answer `/static/{name}`."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response(status_code=404)
        tag = f'"{asset.version}"'
        versioned = request.query_params.get("v") == asset.version
        caching = "public, max-age=31536000, immutable" if versioned else "public, no-cache"
        headers = {"Cache-Control": caching, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
