"""`/own`: the check by which a phone shows which device it is, away from home (`admin.ownphone`). No account, no script needed."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from admin.dependencies import address_of, services_of
from admin.edge.cookies import OWN, give_cookie, read_cookie
from admin.edge.headers import allow_pictures_of
from admin.errors import NotFound
from admin.onboarding import reach_of
from admin.ownphone import SECONDS, look, new_cookie, nonce_of
from admin.routes.check import PATIENCE
from admin.routes.child import arrive, read_host

router = APIRouter()

#: Where one goes on, once the phone is known.
ONWARD = ("why", "ask", "history", "adult")


@router.get("/own")
async def begin(request: Request, to: str = "why", host: str = "") -> Response:
    """A fresh name for this browser; `host`: the site that its child wants to ask for afterwards."""
    if not reach_of(services_of(request).settings.gateway).is_ready or to not in ONWARD:
        raise NotFound
    give_cookie(request, OWN, new_cookie(), seconds=SECONDS)
    return RedirectResponse(f"/own/look?{_query(to, (await arrive(request)).language, host)}", 303)


@router.get("/own/look")
async def look_again(request: Request, to: str = "why", n: int = 0, host: str = "") -> Response:
    """Whether the name has arrived; then on to the page that is now this phone's own."""
    cookie = read_cookie(request, OWN)
    nonce = nonce_of(cookie)
    if to not in ONWARD:
        raise NotFound
    here = await arrive(request)
    if nonce is None:  # a browser that keeps no cookie, or one that waited too long
        return here.page("child/own.html", {"gives_up": True, "query": _query(to, here.language, host)})
    if (await look(here.services.link, cookie, address_of(request))).seen:
        return RedirectResponse(f"/{to}?{_query('', here.language, host)}", 303)
    name = here.services.settings.gateway.dns.name
    tries = max(0, min(n, PATIENCE))
    query = _query(to, here.language, host)
    again = f"/own/look?{query}&n={tries + 1}"
    context = {"gives_up": tries >= PATIENCE, "query": query, "again": again, "check_name": f"check-{nonce}.{name}"}
    page = here.page("child/own.html", context)
    page.headers["Content-Security-Policy"] = allow_pictures_of(name)
    return page


def _query(to: str, language: str, host: str) -> str:
    """What goes along from page to page; of `host` only what is a name."""
    given = {"to": to, "lang": language, "host": read_host(host) or ""}
    return urlencode({name: value for name, value in given.items() if value})
