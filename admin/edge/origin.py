"""Changes come from our own pages only.

For every method that may change something: `Sec-Fetch-Site` must be same-origin where the browser sends it (secure contexts), and `Origin`
must be this very origin. A request with neither is refused, unless it carries an API token, which no browser sends by itself. Forms of a
session bring a token besides (`admin.dependencies`). Our pages ask for `Referrer-Policy: same-origin`, because under `no-referrer` browsers
send `Origin: null` with a form.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from admin.errors import ForeignRequest

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


API = "/api/"


class OwnOrigin:
    """Refuses changes that another site asked the browser to make."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE:
            headers = Headers(scope=scope)
            # The API knows no cookies: without a token its own answer is 401, wherever the request comes from.
            if not scope["path"].startswith(API) and not has_token(headers) and not is_own_origin(headers, scope["scheme"]):
                raise ForeignRequest
        await self.app(scope, receive, send)


def has_token(headers: Headers) -> bool:
    """Whether the request speaks by an API token."""
    return headers.get("authorization", "")[:7].lower() == "bearer "


def is_own_origin(headers: Headers, scheme: str) -> bool:
    """Whether the browser says that the request comes from a page of this origin."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return site == "same-origin"
    parts = urlsplit(origin)
    return parts.scheme == scheme and parts.netloc.lower() == headers.get("host", "").lower()
