"""Static files: read once, named by their content, kept by browsers for a year.

`/static/lachan.css?v=<digest>` never changes under its address; without the digest a browser asks again. No path of the disk is ever built
from a request: only the names read at start exist. Text files also go compressed; pages never do, because they carry the form token beside
words that a stranger may have chosen, and the length of a compressed page tells about both (BREACH, CVE-2013-3587).
"""

from __future__ import annotations

import gzip
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
    """One file with its type and the first signs of its digest. `packed`: gzip, where that is shorter."""

    content: bytes
    packed: bytes | None
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
        packed = asset.packed if _takes_gzip(request.headers.get("accept-encoding", "")) else None
        tag = f'"{asset.version}"' if packed is None else f'"{asset.version}-gzip"'
        versioned = request.query_params.get("v") == asset.version
        caching = "public, max-age=31536000, immutable" if versioned else "public, no-cache"
        headers = {"Cache-Control": caching, "ETag": tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if packed is not None:
            headers["Content-Encoding"] = "gzip"
        return Response(packed or asset.content, media_type=asset.media_type, headers=headers)


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    packed: bytes | None = gzip.compress(content, 9, mtime=0)
    if packed is not None and len(packed) > len(content) * 0.9:
        packed = None  # pictures are compressed already
    return Asset(content, packed, TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip without refusing it (RFC 9110 §12.5.3)."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
