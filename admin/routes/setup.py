"""The wizard: four questions, on four pages, each of which works without a script.

Answers travel in the pages themselves (hidden fields), so that going back loses nothing and nothing is stored before the last answer. Only
the holder of the one-time link gets in; after the first account exists, nobody.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from admin.dependencies import Services, address_of, language_of, open_page, services_of
from admin.devices import group_seen, read_match
from admin.edge.arrival import is_address
from admin.edge.cookies import BROWSER, BROWSER_SECONDS, SESSION, SETUP, drop_cookie, give_cookie, read_cookie
from admin.errors import AdminError, FieldMistake, InvalidInput
from admin.forms import Form, read_form
from admin.link import GatewayAway, SeenDevice
from admin.pages.words import Words as Catalogue
from admin.pages.words import mark as _
from admin.passwords import judge_new
from admin.policyfile import Around
from admin.profiles import LABEL_LENGTH, looks_like_full_name
from admin.sessions import KEPT
from admin.setup import (
    ASKS_MESSENGER,
    NewChild,
    NewDevice,
    Owner,
    Plan,
    Words,
    band_of_class,
    create_tenant,
    drop_token,
    is_token,
    read_token,
)
from admin.tenants import NAME_LENGTH, SIGN_IN, fold_sign_in
from admin.unserved import Unserved, find_unserved
from admin.values import CHILD_BANDS, DeviceMatch
from blocklists.tables import OrganisationKind
from gateway.links import may_ask
from gateway.policy.model import Band

router = APIRouter()

PLACES = ("home", "school", "host")
STEPS = ("place", "people", "devices", "password")
MOST_CHILDREN = 8
MOST_CLASSES = 80
MOST_DEVICES = 30
LATER, ADULT = "later", "adult"


@dataclass
class Answers:
    """What was answered so far, as the pages carry it."""

    place: str = "home"
    labels: list[str] = field(default_factory=list)
    bands: list[str] = field(default_factory=list)
    messenger: str = ""
    classes: str = ""
    school: str = ""
    addresses: list[str] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    class_networks: list[str] = field(default_factory=list)
    staff_network: str = ""
    staff_sure: str = ""
    unserved_sure: str = ""
    sign_in: str = ""

    @classmethod
    def from_form(cls, form: Form) -> Answers:
        """Read everything a page carried."""
        return cls(
            place=form.raw("place") if form.raw("place") in PLACES else PLACES[0],
            labels=[" ".join(one.split()) for one in form.many("label", MOST_CHILDREN)],
            bands=form.many("band", MOST_CHILDREN),
            messenger="1" if form.raw("messenger") else "",
            classes=form.raw("classes")[:4000],
            school=" ".join(form.raw("school").split())[:200],
            addresses=form.many("address", MOST_DEVICES),
            owners=form.many("owner", MOST_DEVICES),
            class_networks=form.many("class_network", MOST_CLASSES),
            staff_network=form.raw("staff_network")[:60],
            staff_sure="1" if form.raw("staff_sure") else "",
            unserved_sure="1" if form.raw("unserved_sure") else "",
            sign_in=form.raw("sign_in")[:64],
        )

    def carried(self, step: str) -> Iterator[tuple[str, str]]:
        """The hidden fields of a step: every answer that the step does not ask itself."""
        own = {
            "place": {"place"},
            "people": {"label", "band", "messenger", "classes", "school"},
            "devices": {"address", "owner", "class_network", "staff_network", "staff_sure", "unserved_sure"},
            "password": {"sign_in"},
        }[step]
        everything = [
            ("place", [self.place]),
            ("label", self.labels),
            ("band", self.bands),
            ("messenger", [self.messenger] if self.messenger else []),
            ("classes", [self.classes] if self.classes else []),
            ("school", [self.school] if self.school else []),
            ("address", self.addresses),
            ("owner", self.owners),
            ("class_network", self.class_networks),
            ("staff_network", [self.staff_network] if self.staff_network else []),
            ("staff_sure", [self.staff_sure] if self.staff_sure else []),
            ("unserved_sure", [self.unserved_sure] if self.unserved_sure else []),
            ("sign_in", [self.sign_in] if self.sign_in else []),
        ]
        for name, values in everything:
            if name not in own:
                for value in values:
                    yield name, value

    @property
    def is_school(self) -> bool:
        return self.place == "school"

    @property
    def is_host(self) -> bool:
        """A commune or a provider, which runs the gateway for families and protects nobody itself: it is asked for a password only."""
        return self.place == "host"

    @property
    def kind(self) -> OrganisationKind:
        return {"school": OrganisationKind.SCHOOL, "host": OrganisationKind.OPERATOR}.get(self.place, OrganisationKind.FAMILY)

    def class_names(self) -> list[str]:
        """Each class once, as it was written: one on a line, or several with commas between them."""
        written = re.split(r"[,;\r\n]+", self.classes)
        return list(dict.fromkeys(" ".join(one.split()) for one in written if one.strip()))

    def unread_classes(self) -> list[str]:
        """The lines of classes that have no grade, or are too long."""
        return [line[:LABEL_LENGTH] for line in self.class_names() if band_of_class(line) is None or len(line) > LABEL_LENGTH]

    def is_everybodys(self, addresses: Iterable[str]) -> bool:
        """Whether the network of the staff is also the one of any of these addresses, or holds the network of a class: then every device in
        it that has no name of its own would be an adult's."""
        match = read_match(self.staff_network)
        if match is None or match.kind is not DeviceMatch.NETWORK:
            return False
        staff = ip_network(match.value)
        if any(ip_address(one) in staff for one in addresses if is_address(one)):
            return True
        classes = [found for text in self.class_networks if (found := read_match(text)) is not None and found.kind is not DeviceMatch.MAC]
        return any(ip_network(one.value).network_address in staff for one in classes)

    def unserved(self, around: Around) -> Unserved | None:
        """The networks of classes and staff that the gateway does not answer."""
        matches = [read_match(text) for text in (*self.class_networks, self.staff_network)]
        return find_unserved([one.value for one in matches if one is not None and one.kind is not DeviceMatch.MAC], around)

    def children(self) -> tuple[NewChild, ...]:
        """The children that have a name, or the classes; raises InvalidInput with every mistake."""
        mistakes: list[FieldMistake] = []
        found: list[NewChild] = []
        if self.is_school:
            for line in self.class_names():
                band = band_of_class(line)
                if band is None or len(line) > LABEL_LENGTH:
                    mistakes.append(FieldMistake("classes", "class_form"))
                else:
                    found.append(NewChild(line, band))
            if not found and not mistakes:
                mistakes.append(FieldMistake("classes", "required"))
            if len(found) > MOST_CLASSES:
                mistakes.append(FieldMistake("classes", "too_many"))
            if len(self.school) > NAME_LENGTH:
                mistakes.append(FieldMistake("school", "too_long"))
        else:
            for label, band_text in zip(self.labels, self.bands, strict=False):
                if not label:
                    continue
                if len(label) > LABEL_LENGTH:
                    mistakes.append(FieldMistake("label", "too_long"))
                if looks_like_full_name(label):
                    mistakes.append(FieldMistake("label", "label_name"))
                if band_text not in [band.value for band in CHILD_BANDS]:
                    mistakes.append(FieldMistake("band", "required"))
                    continue
                found.append(NewChild(label, Band(band_text)))
            if not found and not mistakes:
                mistakes.append(FieldMistake("label", "no_child"))
        if mistakes:
            raise InvalidInput(*mistakes)
        return tuple(found)

    def devices(self, count: int) -> tuple[NewDevice, ...]:
        """The devices and networks that were given to somebody; raises InvalidInput with every mistake."""
        mistakes: list[FieldMistake] = []
        found: list[NewDevice] = []
        for address, owner in zip(self.addresses, self.owners, strict=False):
            match = read_match(address)
            if match is None or owner == LATER:
                continue
            if owner == ADULT:
                found.append(NewDevice(match, None))
            elif owner.isdigit() and int(owner) < count:
                found.append(NewDevice(match, int(owner)))
        lines: list[tuple[str, int | None]] = [*zip(self.class_networks, range(count), strict=False), (self.staff_network, None)]
        for text, child in lines:
            if not text.strip():
                continue
            match = read_match(text)
            if match is None or match.kind is DeviceMatch.MAC:
                mistakes.append(FieldMistake("class_network" if child is not None else "staff_network", "network_form"))
            else:
                found.append(NewDevice(match, child))
        if len({device.match for device in found}) < len(found):
            mistakes.append(FieldMistake("class_network" if self.is_school else "owner", "network_taken"))
        if mistakes:
            raise InvalidInput(*mistakes)
        return tuple(found)


@router.get("/setup/{token}")
async def open_link(request: Request, token: str) -> Response:
    """Take the one-time link's secret out of the address line and keep it in this browser."""
    if not is_token(services_of(request).settings.state_dir, token):
        return _closed(request)
    give_cookie(request, SETUP, token, seconds=3600)
    return RedirectResponse("/setup", 303)


@router.get("/setup")
async def begin(request: Request) -> Response:
    """The first question."""
    if not _holds_link(request):
        return _closed(request)
    return await _show(request, "place", Answers())


@router.post("/setup")
async def go_on(request: Request) -> Response:
    """One page answered: look at it, and show the next one, the one before, or the same with its mistakes."""
    if not _holds_link(request):
        return _closed(request)
    form = await read_form(request)
    answers = Answers.from_form(form)
    step = form.raw("step") if form.raw("step") in STEPS else "place"
    if form.has("back"):
        return await _show(request, "place" if answers.is_host else STEPS[max(0, STEPS.index(step) - 1)], answers)
    if form.has("add"):
        answers.labels.append("")
        answers.bands.append("")
        return await _show(request, "people", answers)
    try:
        count = len(answers.children()) if step != "place" and not answers.is_host else 0
        if step in ("devices", "password"):
            answers.devices(count)
        near = [address_of(request), *gateway_addresses(services_of(request), request)]
        if step == "devices" and answers.is_school and not answers.staff_sure and answers.is_everybodys(near):
            raise InvalidInput(FieldMistake("staff_network", "staff_everybody"))
        around = services_of(request).applier.around
        if step == "devices" and answers.is_school and not answers.unserved_sure and answers.unserved(around) is not None:
            raise InvalidInput(FieldMistake("unserved_sure", "network_unserved"))
        if step == "password":
            return await _finish(request, answers, form)
    except InvalidInput as error:
        place = "people" if {one.field for one in error.mistakes} & {"label", "band", "classes", "school"} else step
        return await _show(request, place, answers, error.mistakes, error.status)
    return await _show(request, "password" if answers.is_host else STEPS[STEPS.index(step) + 1], answers)


async def _finish(request: Request, answers: Answers, form: Form) -> Response:
    """The last answer: make everything, sign this browser in, and go and see whether it works."""
    services = services_of(request)
    language = language_of(request)
    sign_in, password = answers.sign_in, form.raw("password")
    mistakes = [] if SIGN_IN.fullmatch(fold_sign_in(sign_in)) else [FieldMistake("sign_in", "sign_in_form")]
    mistakes += judge_new(password, fold_sign_in(sign_in))
    if password != form.raw("again"):
        mistakes.append(FieldMistake("again", "password_differs"))
    if mistakes:
        raise InvalidInput(*mistakes)
    children = () if answers.is_host else answers.children()
    plan = Plan(
        kind=answers.kind,
        owner=Owner(sign_in, await services.door.passwords.hash(password), language),
        children=children,
        devices=answers.devices(len(children)),
        networks=services.applier.around.served,
        messenger=bool(answers.messenger),
        words=words_for_labels(services.pages.words[language], is_school=answers.is_school, school=answers.school),
    )
    now = services.now()
    async with services.database.write() as connection:
        made = await create_tenant(connection, plan, services.shelves.current(), now)
    drop_token(services.settings.state_dir)
    drop_cookie(request, SETUP)
    await services.applier.settle(made.tenant)
    opened = await services.door.sign_in(
        sign_in,
        password,
        address=address_of(request),
        browser_secret=read_cookie(request, BROWSER),
        user_agent=request.headers.get("user-agent", ""),
        kept=answers.kind is OrganisationKind.FAMILY,
        now=now,
        monotonic=time.monotonic(),
    )
    seconds = int(KEPT.total_seconds()) if opened.kept else None
    give_cookie(request, SESSION, opened.session_secret, seconds=seconds)
    if opened.browser_secret:
        give_cookie(request, BROWSER, opened.browser_secret, seconds=BROWSER_SECONDS)
    return RedirectResponse("/families" if answers.is_host else "/check", 303)


async def _show(request: Request, step: str, answers: Answers, mistakes: tuple[FieldMistake, ...] = (), status: int = 200) -> Response:
    services = services_of(request)
    context: dict[str, Any] = {"answers": answers, "step": step, "number": STEPS.index(step) + 1, "mistakes": mistakes}
    context["carried"] = list(answers.carried(step))
    if step == "people":
        while len(answers.labels) < 1:
            answers.labels.append("")
        context["rows"] = [
            (label, answers.bands[place] if place < len(answers.bands) else "") for place, label in enumerate(answers.labels)
        ]
        context["room_for_more"] = len(answers.labels) < MOST_CHILDREN
    elif step == "devices":
        context.update(await _devices(request, services, answers))
    elif step == "password" and not answers.sign_in:
        answers.sign_in = {"school": "truong", "host": "vanhanh"}.get(answers.place, "bame")
    return open_page(request, f"setup/{step}.html", context, status)


async def _devices(request: Request, services: Services, answers: Answers) -> Mapping[str, Any]:
    """What the third page shows: the devices that asked lately, this one first, and where to point the others."""
    here = address_of(request)
    try:
        seen = await services.link.devices()
        away = False
    except (GatewayAway, AdminError):
        seen, away = [], True
    grouped = group_seen(seen)
    own = next((device for device in grouped if here in (device.address, *device.others)), None)
    others = [device for device in grouped if device is not own][: MOST_DEVICES - 1]
    chosen = dict(zip(answers.addresses, answers.owners, strict=False))
    now = services.now()
    rows: list[tuple[str, str, SeenDevice | None, str]] = []
    # Somebody who comes from the internet has no address here that would stay theirs.
    first = [own] if own is not None or may_ask(services.settings.gateway.dns, here) else []
    for device in [*first, *others]:
        address = here if device is own or device is None else device.address
        value = (device.mac if device else None) or (device.network if device and device is not own else "") or address
        rows.append((value, address, device, chosen.get(value, ADULT if address == here else LATER)))
    return {
        "rows": rows,
        "here": here,
        "away": away,
        "children": answers.children(),
        "gateway_addresses": gateway_addresses(services, request),
        "now": now,
        "asks_messenger": ASKS_MESSENGER,
        "unserved": answers.unserved(services.applier.around) if answers.is_school else None,
    }


def gateway_addresses(services: Services, request: Request) -> list[str]:
    """What to enter as DNS server on a router: the addresses the gateway listens on that others can reach, else the one this page has."""
    found = [endpoint.host for endpoint in services.settings.gateway.dns.listen if not _is_own_only(endpoint.host)]
    host = (request.url.hostname or "").strip("[]")
    return list(dict.fromkeys(found)) or ([host] if host and not _is_own_only(host) else [])


def _is_own_only(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "localhost", "0.0.0.0", "::")


def words_for_labels(words: Catalogue, *, is_school: bool, school: str = "") -> Words:
    """The labels of a new tenant in the reader's language; `school`: the name it gave itself, where it did."""
    return Words(
        tenant=(school or words.gettext(_("Our school"))) if is_school else words.gettext(_("Our home")),
        site=words.gettext(_("School")) if is_school else words.gettext(_("Home")),
        adults=words.gettext(_("Teachers and staff")) if is_school else words.gettext(_("Adults")),
        guests=words.gettext(_("Guests and new devices")),
        device_of=words.gettext(_("{name}’s device")),
        network_of=words.gettext(_("Network of {name}")),
    )


def _holds_link(request: Request) -> bool:
    return is_token(services_of(request).settings.state_dir, read_cookie(request, SETUP))


def _closed(request: Request) -> Response:
    """Nobody gets in without the link: say where it is, or that the set-up is done."""
    is_open = read_token(services_of(request).settings.state_dir) is not None
    return open_page(request, "setup/closed.html", {"is_open": is_open}, 403 if is_open else 404)
