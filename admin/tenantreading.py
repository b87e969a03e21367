"""Reading the file of a family or school: every mistake named by its line and path, nothing trusted.

A hostile file is bounded (octets, depth, rows), anchors and tags are refused (`gateway.yamlfile`), and every value is judged by the rules
that the pages have. Pure; the form is in `admin.tenantfile`, `admin.importing` puts a judged file in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from admin.catalogue import Shelf
from admin.choices import WAITS_OFFERED, Choices, is_hook, is_mail
from admin.dates import LONGEST, Dates
from admin.devices import Match, read_match
from admin.errors import InvalidInput
from admin.forms import clean
from admin.hours import Hours
from admin.names import MOST_NAMES, read_pattern
from admin.onboarding import GROUP, GROUPS
from admin.profiles import Profile, strictest_band
from admin.setup import band_of_class
from admin.switches import check_switch
from admin.tenantfile import (
    MOST_DEVICES,
    NEW_TOKEN,
    ChoicesFile,
    DatesFile,
    DeviceFile,
    HoursFile,
    ProfileFile,
    SiteFile,
    TenantFile,
)
from admin.values import DatesKind, Days, DeviceMatch, HoursEffect, NameEffect, ProfileId, ProfileKind, SiteId, SwitchKind, SwitchState
from blocklists.tables import ID_SIGNS, OrganisationKind
from gateway.errors import Mistake, SettingsError
from gateway.policy.model import Band
from gateway.sections import check
from gateway.yamlfile import Document, Keys, parse

MOST_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class WantedDevice:
    """A device as the file wants it. `token` is a private name to keep, NEW_TOKEN for a phone that gets a new one, None for no phone."""

    ref: str | None
    label: str
    matches: tuple[Match, ...]
    token: str | None
    place: str


@dataclass(frozen=True, slots=True)
class WantedProfile:
    """A profile as the file wants it; `site` is the number of its place in the file."""

    ref: str | None
    kind: ProfileKind
    label: str
    band: Band
    site: int
    safe_search: bool | None
    youtube: str | None
    uncategorised: str | None
    hours: tuple[Hours, ...]
    switches: dict[tuple[SwitchKind, str], SwitchState]
    names: dict[str, NameEffect]
    devices: tuple[WantedDevice, ...]


@dataclass(frozen=True, slots=True)
class WantedSite:
    """A place as the file wants it."""

    ref: str | None
    name: str
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A whole file without mistakes. `hook` None: the webhook stays as it is."""

    kind: OrganisationKind
    name: str
    choices: Choices
    hook: str | None
    dates: tuple[Dates, ...]
    sites: tuple[WantedSite, ...]
    profiles: tuple[WantedProfile, ...]


def read_tenant(data: bytes, shelf: Shelf) -> Wanted:
    """Read and judge a file. Raises SettingsError with every mistake, each with its line, path and what would be right."""
    if len(data) > MOST_BYTES:
        raise SettingsError([Mistake("text", f"this file is larger than {MOST_BYTES // 1024} KiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError([Mistake(f"text:{line}", "this line is not UTF-8")]) from error
    document = parse(text)
    file, mistakes = check(TenantFile, document.value, document)
    if file is None:
        raise SettingsError(mistakes)
    judge = _Judge(document, shelf)
    wanted = judge.wanted(file)
    if judge.mistakes:
        raise SettingsError(judge.mistakes)
    return wanted


class _Judge:
    """Looks at a file whose form is right: codes, names, addresses, and what must not be there twice."""

    def __init__(self, document: Document, shelf: Shelf) -> None:
        self.document = document
        self.shelf = shelf
        self.mistakes: list[Mistake] = []

    def mistake(self, keys: Keys, message: str) -> None:
        self.mistakes.append(Mistake(self.document.place(keys), message))

    def wanted(self, file: TenantFile) -> Wanted:
        kind = OrganisationKind(file.kind)
        self._once((("sites", number, "id"), site.id) for number, site in enumerate(file.sites))
        self._once((("profiles", number, "id"), profile.id) for number, profile in enumerate(file.profiles))
        if sum(profile.kind == "guest" for profile in file.profiles) != 1:
            self.mistake(("profiles",), "there must be exactly one profile of the kind guest: it holds for devices without a name")
        sites = tuple(self._site(number, site) for number, site in enumerate(file.sites))
        self._once((("sites", n, "networks", m), net) for n, site in enumerate(sites) for m, net in enumerate(site.networks))
        strictest = strictest_band([_as_profile(profile) for profile in file.profiles])
        numbers = {site.id: number for number, site in enumerate(file.sites) if site.id is not None}
        profiles = tuple(self._profile(kind, n, profile, numbers, strictest) for n, profile in enumerate(file.profiles))
        every = [(("profiles", p, "devices", d), device) for p, one in enumerate(profiles) for d, device in enumerate(one.devices)]
        if len(every) > MOST_DEVICES:
            self.mistake(("profiles",), f"at most {MOST_DEVICES} devices")
        self._once(((*keys, "id"), device.ref) for keys, device in every)
        self._once(((*keys, "match"), match.text()) for keys, device in every for match in device.matches)
        self._once(((*keys, "phone"), device.token) for keys, device in every if device.token != NEW_TOKEN)
        return Wanted(kind, file.name, self._choices(file.choices), file.choices.hook, self._dates(file.dates), sites, profiles)

    def _once(self, values: Iterable[tuple[Keys, str | None]]) -> None:
        seen: set[str] = set()
        for keys, value in values:
            if value is None:
                continue
            if value in seen:
                self.mistake(keys, f"'{value}' stands here twice")
            seen.add(value)

    def _choices(self, file: ChoicesFile) -> Choices:
        if file.cooling_minutes not in WAITS_OFFERED:
            self.mistake(("choices", "cooling_minutes"), f"must be one of {', '.join(map(str, WAITS_OFFERED))}")
        if file.mail and not is_mail(file.mail):
            self.mistake(("choices", "mail"), "must be one mail address, such as me@example.com")
        if file.hook and not is_hook(file.hook):
            self.mistake(("choices", "hook"), "must begin with https://, without a password in it")
        return Choices(file.cooling_minutes, None, file.mail, file.hook or "", file.digest)

    def _dates(self, rows: Sequence[DatesFile]) -> tuple[Dates, ...]:
        for number, row in enumerate(rows):
            if row.last < row.first:
                self.mistake(("dates", number, "to"), "the last day comes before the first")
            elif row.last - row.first > LONGEST:
                self.mistake(("dates", number, "to"), f"at most {LONGEST.days} days at a time")
        return tuple(Dates("", DatesKind(row.kind), row.label, row.first, row.last) for row in rows)

    def _site(self, number: int, file: SiteFile) -> WantedSite:
        networks = []
        for place, text in enumerate(file.networks):
            match = read_match(text)
            if match is None or match.kind is DeviceMatch.MAC:
                self.mistake(("sites", number, "networks", place), "must be a network such as 10.1.0.0/16, or an address")
            else:
                networks.append(match.value)
        return WantedSite(file.id, file.name, tuple(networks))

    def _profile(self, kind: OrganisationKind, number: int, file: ProfileFile, sites: dict[str, int], strictest: Band) -> WantedProfile:
        at: Keys = ("profiles", number)
        profile = _as_profile(file)
        people = ProfileKind.CLASS if kind is OrganisationKind.SCHOOL else ProfileKind.CHILD
        if profile.kind in (ProfileKind.CHILD, ProfileKind.CLASS) and profile.kind is not people:
            self.mistake((*at, "kind"), f"a {kind.value} has profiles of the kinds {people.value}, adult and guest")
        wrong = {ProfileKind.ADULT: profile.band is not Band.NL, ProfileKind.GUEST: profile.band is not Band.KH}
        if wrong.get(profile.kind, profile.band in (Band.NL, Band.KH)):
            self.mistake((*at, "band"), "this kind of profile does not have this band: adult NL, guest KH, the others MN, TH, CS or PT")
        elif profile.kind is ProfileKind.CLASS and band_of_class(file.label) is not profile.band:
            self.mistake((*at, "label"), "the grade in the name of the class and its band do not fit")
        if file.site is not None and file.site not in sites:
            self.mistake((*at, "site"), "no place of this file has this id")
        return WantedProfile(
            file.id,
            profile.kind,
            file.label,
            profile.band,
            sites.get(file.site or "", 0),
            file.safe_search,
            file.youtube,
            file.uncategorised,
            self._hours(at, file.hours),
            self._switches(at, file, profile, strictest),
            self._names(at, file),
            tuple(self._device((*at, "devices", place), device) for place, device in enumerate(file.devices)),
        )

    def _hours(self, at: Keys, rows: Sequence[HoursFile]) -> tuple[Hours, ...]:
        for place, row in enumerate(rows):
            if row.starts == row.ends or row.starts == "24:00":
                self.mistake((*at, "hours", place, "to"), "the beginning and the end are the same")
        return tuple(Hours(Days(row.days), row.starts, row.ends, HoursEffect(row.effect)) for row in rows)

    def _switches(self, at: Keys, file: ProfileFile, profile: Profile, strictest: Band) -> dict[tuple[SwitchKind, str], SwitchState]:
        found = {}
        for kind, section, rows in (
            (SwitchKind.CATEGORY, "categories", file.categories),
            (SwitchKind.SERVICE, "services", file.services),
        ):
            for code, state in rows.items():
                try:
                    check_switch(self.shelf, profile, strictest, kind, code, SwitchState(state))
                except InvalidInput as error:
                    locked = error.mistakes[0].code == "locked"
                    self.mistake((*at, section, code), "this is locked for this age" if locked else "this is not in the catalogue")
                found[(kind, code)] = SwitchState(state)
        return found

    def _names(self, at: Keys, file: ProfileFile) -> dict[str, NameEffect]:
        found: dict[str, NameEffect] = {}
        for effect, section, rows in ((NameEffect.ALLOW, "allow", file.allow), (NameEffect.DENY, "deny", file.deny)):
            for place, text in enumerate(rows):
                try:
                    pattern = read_pattern(clean(text)[:300], effect, self.shelf.catalogue)
                except InvalidInput as error:
                    self.mistake((*at, section, place), _NAME_WORDS.get(error.mistakes[0].code, "this is not a name of a site"))
                    continue
                if pattern in found:
                    self.mistake((*at, section, place), f"'{pattern}' stands here twice")
                found[pattern] = effect
        if len(found) > MOST_NAMES:
            self.mistake((*at, "deny"), f"at most {MOST_NAMES} names")
        return found

    def _device(self, at: Keys, file: DeviceFile) -> WantedDevice:
        matches = []
        for place, text in enumerate(file.match):
            match = read_match(text.removeprefix("mac:"))
            if match is None:
                self.mistake((*at, "match", place), "must be an address such as 192.168.1.20, a network or a MAC")
            else:
                matches.append(match)
        if file.phone is not None and file.phone != NEW_TOKEN and not _is_token(file.phone):
            self.mistake((*at, "phone"), "must be new, or the private name of a phone")
        if not file.match and file.phone is None:
            self.mistake((*at, "match"), "an address, a network, a MAC or a phone is needed here")
        return WantedDevice(file.id, file.label, tuple(dict.fromkeys(matches)), file.phone, self.document.place((*at, "phone")))


#: In the words of a file, for the codes of `read_pattern`.
_NAME_WORDS = {
    "name_suffix": "this would cover a whole ending, such as every .vn site",
    "name_locked": "sites of help and services that keep devices safe stay open",
}


def _is_token(text: str) -> bool:
    groups = text.split("-")
    return len(groups) == GROUPS and all(len(group) == GROUP and set(group) <= set(ID_SIGNS) for group in groups)


def _as_profile(file: ProfileFile) -> Profile:
    return Profile(
        ProfileId(file.id or ""), SiteId(""), ProfileKind(file.kind), file.label, Band(file.band), file.safe_search, file.youtube,
        file.uncategorised, 0,
    )  # fmt: skip
