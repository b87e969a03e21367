"""Errors become answers, once: JSON with a stable code for the API, a page with a sentence and a way on for people.

Nothing that went wrong inside is shown; it goes to the log without names, addresses or words people wrote.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from admin.auth import WrongCode, WrongPassword
from admin.dependencies import VIET_NAM, form_token, language_of, open_page, passkey_options, services_of, session_of
from admin.errors import (
    AdminError,
    ConfirmationNeeded,
    CoolingOff,
    FactorNeeded,
    FieldMistake,
    InvalidInput,
    NotFound,
    NotSignedIn,
    PersonNeeded,
    TooManyTries,
)
from admin.forms import TOKEN_FIELD, read_form
from admin.held import HELD_FIELD, hold_change
from admin.pages.formats import Formats
from admin.pages.phrases import FAULTS
from admin.pages.words import mark as _
from admin.passkeys import WrongPasskey

log = logging.getLogger(__name__)
API = "/api/"
AT_LENGTH = 60
"""Letters from which on what somebody typed is worth showing to them once more."""


class Faults:
    """Answers for errors of the layers inside that the application itself did not turn into an answer."""

    def __init__(self, app: ASGIApp, state: object) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Any) -> None:  # Any: an ASGI message
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if scope["type"] != "http":
                raise
            if not isinstance(error, AdminError):
                log.exception("request failed", extra={"event": "admin.failed", "method": scope["method"]})
            if not started:
                scope.setdefault("app", self.state)
                response = await answer(Request(scope, receive), error)
                await response(scope, receive, send)


async def answer(request: Request, error: Exception) -> Response:
    """The answer for an error."""
    known = _as_admin_error(error)
    if request.url.path.startswith(API):
        if isinstance(error, HTTPException) and error.status_code == 405:
            return _refuse_method(request)
        return _as_json(known)
    if isinstance(known, NotSignedIn):
        return _to_the_door(request) if request.method in ("GET", "HEAD") else await _was_signed_out(request)
    if isinstance(known, CoolingOff):
        return RedirectResponse("/choices?why=1", 303)
    if isinstance(known, FactorNeeded):
        page = await _ask_second(request) if request.method == "POST" else None
        return page or RedirectResponse("/account/factor?why=1", 303)
    if isinstance(known, ConfirmationNeeded | WrongPassword | WrongCode | WrongPasskey | TooManyTries) and request.method == "POST":
        page = await _ask_password(request, known)
        if page is not None:
            return page
    headline, remedy = FAULTS.get(known.code, FAULTS["internal"])
    words = services_of(request).pages.words[language_of(request)]
    context = {"headline": words.gettext(headline), "remedy": words.gettext(remedy), "wait": wait_text(request, known)}
    response = open_page(request, "layout/fault.html", context, known.status)
    _add_retry(response, known)
    return response


def wait_text(request: Request, error: AdminError) -> str:
    """How long to wait, in words; empty when there is nothing to wait for."""
    if not isinstance(error, TooManyTries):
        return ""
    services = services_of(request)
    words, seconds = services.pages.words[language_of(request)], math.ceil(error.retry_after)
    if seconds < 60:
        return words.ngettext("{n} second", "{n} seconds", max(1, seconds)).format(n=max(1, seconds))
    formats = Formats(words, VIET_NAM, services.now())
    return formats.span(timedelta(seconds=seconds))


async def _ask_password(request: Request, error: AdminError) -> Response | None:
    """The page that asks for the password and then goes on with the same change; None where no session is open."""
    services = services_of(request)
    live = await session_of(request, services)
    if live is None:
        return None
    held = hold_change(request, await read_form(request))
    words = services.pages.words[language_of(request, live)]
    fault = ""
    if isinstance(error, WrongPassword):
        fault = words.gettext(_("That was not the password."))
    elif isinstance(error, WrongCode):
        fault = words.gettext(_("This code does not fit, or it was used before. Wait for the next one."))
    elif isinstance(error, WrongPasskey):
        fault = words.gettext(_("This passkey was not taken. Please try once more, or use your password."))
    elif isinstance(error, TooManyTries):
        fault = words.gettext(_("Too many tries. Please wait {time}.")).format(time=wait_text(request, error))
    context = {"fields": held.fields, "fault": fault, "back": held.back, "has_factor": live.actor.has_factor}
    context["secrets"] = held.labels(words.gettext)
    context["options"] = await passkey_options(request, live)
    return open_page(request, "sign/confirm.html", context, error.status)


async def _ask_second(request: Request) -> Response | None:
    """The page that leads to a second step with what was typed, and from there on with the same change; None where no session is open."""
    services = services_of(request)
    live = await session_of(request, services)
    if live is None:
        return None
    held = hold_change(request, await read_form(request))
    context = {
        "held": held, "form_token": form_token(live), "has_passkey": live.actor.has_passkey,
        "options": await passkey_options(request, live),
        "secrets": held.labels(services.pages.words[language_of(request, live)].gettext),
    }  # fmt: skip
    return open_page(request, "sign/second.html", context, FactorNeeded.status)


def _to_the_door(request: Request) -> Response:
    """A page that leads to the sign-in page from our own origin, so that a strict cookie of a live session comes along after a link in a
    message was followed."""
    target = "/sign-in"
    if request.method == "GET" and request.url.path != "/":
        target += f"?next={quote(request.url.path)}"
    return open_page(request, "sign/bounce.html", {"target": target}, 401)


async def _was_signed_out(request: Request) -> Response:
    """Something was sent after the session had ended: nothing was done; what was typed at length is shown once more, to be copied."""
    try:
        held = hold_change(request, await read_form(request, files=1))
    except HTTPException:  # a body that is no form
        return _to_the_door(request)
    finally:
        await request.close()  # a file that came along
    typed = [value for name, value in held.fields if name not in (TOKEN_FIELD, HELD_FIELD) and (len(value) > AT_LENGTH or "\n" in value)]
    return open_page(request, "sign/ended.html", {"typed": typed, "target": f"/sign-in?next={quote(held.back)}"}, NotSignedIn.status)


def _as_admin_error(error: Exception) -> AdminError:
    if isinstance(error, AdminError):
        return error
    if isinstance(error, RequestValidationError):
        return InvalidInput(*(_mistake(row) for row in error.errors()))
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, AdminError):  # raised while the body was read, and wrapped there
            return error.__cause__
        if error.status_code in (404, 405):
            return NotFound()
        known = AdminError("invalid_input" if error.status_code < 500 else "internal")
        known.status = error.status_code
        return known
    return AdminError()


def _mistake(row: Mapping[str, Any]) -> FieldMistake:
    place = [str(part) for part in row.get("loc", ()) if part != "body"]
    return FieldMistake(".".join(place), str(row.get("type", "unknown")))


def _as_json(error: AdminError) -> Response:
    content: dict[str, Any] = {"code": error.code, "field": error.field or None}
    if isinstance(error, InvalidInput):
        content["fields"] = [_field(mistake) for mistake in error.mistakes]
    if isinstance(error, PersonNeeded):
        content["page"] = error.page
        content |= {"message": error.message} if error.message else {}
    response = JSONResponse({"error": content}, error.status)
    _add_retry(response, error)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _refuse_method(request: Request) -> Response:
    """A program is told which methods there are (RFC 9110 §15.5.6); a person finds no such page."""
    response = JSONResponse({"error": {"code": "method_not_allowed", "field": None}}, 405)
    paths: Mapping[str, Mapping[str, object]] = request.app.openapi()["paths"]  # the published schema, kept after the first time
    local = request.url.path.removeprefix(request.scope.get("root_path", ""))
    fitting = [methods for path, methods in paths.items() if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), local)]
    response.headers["Allow"] = ", ".join(sorted({method.upper() for methods in fitting for method in methods}))
    return response


def _field(mistake: FieldMistake) -> dict[str, str]:
    return {"field": mistake.field, "code": mistake.code} | ({"message": mistake.message} if mistake.message else {})


def _add_retry(response: Response, error: AdminError) -> None:
    if isinstance(error, TooManyTries):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
