"""What routes are given: the services of the process, and the visit of one request.

    visit: Annotated[Visit, Depends(need(Permission.PROFILE_READ))]

is all a route needs: `need` loads the session, checks the form token of a change, and asks the one authorisation function. A route
that finds out later that a change loosens calls `visit.require(Permission.PROFILE_LOOSEN)`.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse

from admin.apply import Applier
from admin.audit import Act, By, by_account
from admin.auth import Door
from admin.catalogue import Shelves
from admin.choices import NOTHING_CHOSEN, Choices, hold, read_choices
from admin.edge.cookies import BROWSER, LANGUAGE, SESSION, give_cookie, read_cookie
from admin.edge.origin import SAFE
from admin.errors import AdminError, ForeignRequest, NotFound, NotSignedIn, SheetUnknown
from admin.foresight import Foresight
from admin.forms import CODE_FIELD, PASSKEY_FIELD, PASSWORD_FIELD, TOKEN_FIELD, Form, read_form
from admin.helplines import Helplines
from admin.homes import Homes
from admin.link import GatewayLink
from admin.notices import Post
from admin.officedesk import OfficeDesk
from admin.pages.formats import Formats
from admin.pages.render import Pages
from admin.pages.words import negotiate
from admin.passkeys import Ceremony, Purpose, WrongPasskey, list_passkeys, place_of
from admin.permissions import Permission, authorise
from admin.requests import Quota
from admin.sessions import SignedIn, Tenant, is_seen_due, load_session, touch_session
from admin.settings import AdminSettings
from admin.sharing import PinDoor
from blocklists.database import Database
from blocklists.tables import OrganisationId

VIET_NAM = "Asia/Ho_Chi_Minh"


@dataclass(frozen=True, slots=True)
class Services:
    """What one process of the control plane works with. Made by `admin.app`."""

    settings: AdminSettings
    database: Database
    wall: Callable[[], float]
    door: Door
    link: GatewayLink
    pages: Pages
    shelves: Shelves
    applier: Applier
    foresight: Foresight
    quota: Quota
    lookups: Quota
    helplines: Helplines
    office: OfficeDesk
    post: Post
    pins: PinDoor
    homes: Homes
    #: One backup at a time: what was asked for twice at once is looked up, made and noted by one after the other; an erasing waits, too.
    backing_up: asyncio.Lock = field(default_factory=asyncio.Lock)

    def now(self) -> datetime:
        """The moment, by the product's clock."""
        return datetime.fromtimestamp(self.wall(), UTC)


@dataclass
class Visit:
    """One request of a person who may do what the route asked for."""

    request: Request
    services: Services
    signed_in: SignedIn
    tenant: Tenant
    by: By
    now: datetime
    form: Form = field(default_factory=lambda: Form({}))
    choices: Choices = NOTHING_CHOSEN

    @property
    def act(self) -> Act:
        """What writers are told: for which tenant, under whose name, when."""
        return Act(self.tenant.id, self.by, self.now)

    @property
    def tenant_id(self) -> OrganisationId:
        return self.tenant.id

    @property
    def language(self) -> str:
        """The language of this visit's pages."""
        return language_of(self.request, self.signed_in)

    def require(self, permission: Permission, *, waits: bool = True) -> By:
        """Ask for one more permission; the name under which the journal then notes the act. `waits`: opening waits where the family chose
        so; an answer to somebody who asked does not."""
        if waits:
            hold(permission, self.choices, self.now)
        role = authorise(self.signed_in.actor, permission, self.tenant.id, self.now)
        return by_account(self.signed_in.actor.account_id, role)

    def may(self, permission: Permission) -> bool:
        """Whether the role includes an act (to show its button), whatever must be confirmed first."""
        return self.signed_in.actor.role_on(self.tenant.id, permission) is not None

    def page(self, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> HTMLResponse:
        """A page of this visit in its language."""
        formats = Formats(self.services.pages.words[self.language], self.tenant.time_zone, self.now)
        base = {"visit": self, "form_token": form_token(self.signed_in), "path": self.request.url.path, "mistakes": ()}
        return self.services.pages.render(template, formats, {**base, **(context or {})}, status)

    def go(self, path: str) -> RedirectResponse:
        """After a change: show the page that shows it."""
        return RedirectResponse(path, 303)


def services_of(request: Request) -> Services:
    """The services of this process."""
    services: Services = request.app.state.services
    return services


async def session_of(request: Request, services: Services) -> SignedIn | None:
    """The live session of a request, None for strangers. Notes once a minute that it is in use."""
    secret = read_cookie(request, SESSION)
    if not secret:
        return None
    now = services.now()
    async with services.database.read() as connection:
        live = await load_session(connection, secret, now)
    if live is not None and is_seen_due(live, now):
        async with services.database.write() as connection:
            await touch_session(connection, secret, now)
    return live


def need(permission: Permission, *, files: int = 0) -> Callable[[Request], Awaitable[Visit]]:
    """The dependency of a page route: a visit whose person may do this. `files` is how many files its form may bring."""

    async def visit(request: Request) -> Visit:
        services = services_of(request)
        live = await session_of(request, services)
        if live is None:
            raise NotSignedIn
        if live.tenant is None:
            raise NotFound
        form = Form({})
        if request.method not in SAFE:
            form = await read_form(request, files=files)
            check_token(form, live)
            if form.has(PASSWORD_FIELD) or form.raw(PASSKEY_FIELD):
                live = await confirm(request, services, live, form)
        assert live.tenant is not None
        now = services.now()
        try:
            role = authorise(live.actor, permission, live.tenant.id, now)
        except AdminError:
            await request.close()  # a file that came with the form goes at once
            raise
        choices = NOTHING_CHOSEN
        if request.method not in SAFE:
            async with services.database.read() as connection:
                choices = await read_choices(connection, live.tenant.id)
            hold(permission, choices, now)
        return Visit(request, services, live, live.tenant, by_account(live.actor.account_id, role), now, form, choices)

    visit.permission = permission  # type: ignore[attr-defined]  # read by the test that every route names one
    return visit


async def confirm(request: Request, services: Services, live: SignedIn, form: Form) -> SignedIn:
    """The password typed into the page that asked for it, or the passkey used there: the same change goes on, confirmed, with a new
    cookie."""
    now = services.now()
    if form.raw(PASSKEY_FIELD):
        ceremony = ceremony_of(request, Purpose.CONFIRM, live)
        if ceremony is None:
            raise WrongPasskey
        secret = await services.door.confirm_by_passkey(live, form.raw(PASSKEY_FIELD), ceremony)
    else:
        secret = await services.door.confirm(
            live,
            form.raw(PASSWORD_FIELD),
            form.raw(CODE_FIELD),
            address=address_of(request),
            browser_secret=read_cookie(request, BROWSER),
            now=now,
            monotonic=time.monotonic(),
        )
    give_cookie(request, SESSION, secret)
    async with services.database.read() as connection:
        again = await load_session(connection, secret, now)
    if again is None:
        raise NotSignedIn
    return again


def form_token(live: SignedIn) -> str:
    """What every form of this session brings back."""
    return hmac.new(live.form_key, b"form", sha256).hexdigest()


def check_token(form: Form, live: SignedIn) -> None:
    """Refuse a form that was not made for this session."""
    if not hmac.compare_digest(form.raw(TOKEN_FIELD).encode(), form_token(live).encode()):
        raise ForeignRequest


def ceremony_of(request: Request, purpose: Purpose, live: SignedIn | None = None) -> Ceremony | None:
    """A use of passkeys on this page, under its own name; None at a bare address or without TLS."""
    place = place_of(request.scope["scheme"], request.headers.get("host", ""))
    if place is None:
        return None
    return Ceremony(place, purpose, str(live.session_id) if live else "", services_of(request).now(), time.monotonic())


async def passkey_options(request: Request, live: SignedIn) -> str:
    """What a page hands to the browser so that a passkey of this account is used in place of its password; empty where there is none."""
    ceremony = ceremony_of(request, Purpose.CONFIRM, live)
    if ceremony is None or not live.actor.has_passkey:
        return ""
    services = services_of(request)
    async with services.database.read() as connection:
        own = await list_passkeys(connection, live.actor.account_id)
    if all(one.name != ceremony.place.name for one in own):
        return ""
    return services.door.passkeys.options_to_use(ceremony, own)


def address_of(request: Request) -> str:
    """The address of the person's device (front ends already taken off by `admin.edge.arrival`)."""
    return request.client.host if request.client else "127.0.0.1"


@contextmanager
def wrong_ones_count(request: Request) -> Iterator[None]:
    """Around the look-up of a code on paper: one that is none (NotFound) counts against the address it came from, and after some the answer
    is TooManyTries. The right one never counts: a hall full of families, or a staff room, stands behind one address."""
    try:
        yield
    except NotFound:
        services = services_of(request)
        services.lookups.take(address_of(request), services.now())
        raise SheetUnknown from None


def language_of(request: Request, live: SignedIn | None = None) -> str:
    """The language chosen in this browser, else the account's, else what the browser asks for, else Vietnamese."""
    known = services_of(request).pages.words
    chosen = read_cookie(request, LANGUAGE)
    if chosen in known:
        return str(chosen)
    if live is not None and live.locale in known:
        return live.locale
    return negotiate(request.headers.get("accept-language", ""), known)


def open_page(request: Request, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> HTMLResponse:
    """A page for somebody without a session."""
    services = services_of(request)
    formats = Formats(services.pages.words[language_of(request)], VIET_NAM, services.now())
    base = {"visit": None, "form_token": "", "path": request.url.path, "mistakes": ()}
    return services.pages.render(template, formats, {**base, **(context or {})}, status)
