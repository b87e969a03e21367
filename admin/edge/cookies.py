"""The names and flags of our cookies.

Over TLS names carry the `__Host-` prefix: such a cookie is secure, for this host only, and no neighbour can set it. Over plain http on a
home network browsers refuse that prefix, so the plain name is used; the sign-in then is as private as the home network is.
"""

from __future__ import annotations

from starlette.requests import Request

SESSION = "lachan"
BROWSER = "lachan-browser"
SETUP = "lachan-setup"
LANGUAGE = "lachan-language"
OWN = "lachan-own"
BROWSER_SECONDS = 400 * 86400


def read_cookie(request: Request, name: str) -> str | None:
    """The value of one of our cookies."""
    return request.cookies.get(_full_name(request, name))


def give_cookie(request: Request, name: str, value: str, *, seconds: int | None = None) -> None:
    """Send a cookie with the answer to this request, whichever answer it will be. Without `seconds` it ends with the browser."""
    parts = [f"{_full_name(request, name)}={value}", "Path=/", "HttpOnly", "SameSite=Strict"]
    if request.scope["scheme"] == "https":
        parts.append("Secure")
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    request.scope.setdefault("state", {}).setdefault("cookies", []).append("; ".join(parts))


def drop_cookie(request: Request, name: str) -> None:
    """Ask the browser to forget a cookie."""
    give_cookie(request, name, "", seconds=0)


def _full_name(request: Request, name: str) -> str:
    return f"__Host-{name}" if request.scope["scheme"] == "https" else name
