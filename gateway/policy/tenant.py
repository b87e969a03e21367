"""The policy file of one tenant: its sites, profiles and clients, checked as a whole. Any package may import this module.

A tenant is the operator (tenant `local` is the configuration file), one school or one family. Every mistake is reported at once, each with
its path; a file with mistakes is refused and the tenant keeps its last good one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal, TypeVar, cast

from gateway.errors import PolicyFileError
from gateway.policy.model import Activity, Band, BlockMode, BlockSettings, Lent, Level
from gateway.policy.reading import Reading
from gateway.policy.ruleset import RULESET_KEYS, Ruleset, Vocabulary, parse_ruleset
from gateway.policy.schedule import DEFAULT_ZONE, is_zone

TenantKind = Literal["operator", "school", "family"]
YouTube = Literal["strict", "moderate", "off"]

LONGEST_BLOCK_TTL: Final = 86_400
_FORMAT: Final = 1
_KINDS: Final = ("operator", "school", "family")
_BANDS: Final = tuple(band.value for band in Band)
_LEVELS: Final = tuple(level.value for level in Level)
_OWNERS: Final[dict[str, tuple[Level, ...]]] = {
    "operator": tuple(Level),
    "school": (Level.SCHOOL, Level.PARENT),
    "family": (Level.PARENT,),
}
_CLASS_DEFAULTS: Final = {"operator": "home", "school": "school", "family": "home"}
_FILE_KEYS: Final = frozenset(
    {"format", "tenant", "kind", "site_class", "rules", "sites", "default_profile", "profiles", "clients", "block", "place"}
)
_SITE_KEYS: Final = frozenset({"id", "class", "bands", "time_zone", "listen", "networks", "rules", "place"})
_PROFILE_KEYS: Final = RULESET_KEYS | {
    "id", "band", "owner", "site", "safe_search", "youtube", "uncategorised", "canaries", "block", "activity", "above"
}  # fmt: skip
_CLIENT_KEYS: Final = frozenset({"id", "profile", "group", "site", "match", "lent", "linked"})
_LINKED_KEYS: Final = frozenset({"address", "until"})
_HOME_LENGTHS: Final = {4: 32, 16: 64}
"""What one home has of the internet: an address of IPv4, a network of IPv6."""
_ABOVE_KEYS: Final = frozenset({"document", "close"})
_LENT_KEYS: Final = frozenset({"profile", "until"})
_BLOCK_KEYS: Final = frozenset({"mode", "ttl", "page_address"})
PLACE: Final = re.compile(r"\d{2}(\.\d{3,5})?")
"""A place as its code: a province, or a commune in it."""
_IDENTITY: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")
_CLASS: Final = re.compile(r"[a-z][a-z0-9-]{0,23}")
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_T = TypeVar("_T")
_TOKEN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Network:
    """An address block: packed first address and prefix length in bits (32 or 128 for one address)."""

    address: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Site:
    """One place of a tenant. `listen` are packed local addresses that only this site's clients ask; `zone` is a time zone name."""

    id: str
    site_class: str
    bands: frozenset[Band]
    zone: str
    listen: frozenset[bytes]
    networks: tuple[Network, ...]
    rules: Ruleset | None
    #: Where it lies: `12` (a province) or `12.03385` (a commune in it); empty: not known.
    place: str = ""


@dataclass(frozen=True, slots=True)
class Above:
    """Categories that a document of the province closes; it can open none."""

    document: str
    close: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile: a band and what its owner has set. None leaves a setting to the band."""

    id: str
    band: Band
    owner: Level
    site: str | None
    safe_search: bool | None
    youtube: YouTube | None
    uncategorised: Literal["allow", "block"] | None
    canaries: bool | None
    block: BlockSettings | None
    activity: Activity
    rules: Ruleset
    #: What the level above a school closes for its pupils.
    above: tuple[Above, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """A public address that a home has until a moment (unix seconds)."""

    network: Network
    until: float


@dataclass(frozen=True, slots=True)
class Client:
    """Who uses a profile, and by what it is known. `lent` gives the device to another profile until a moment. `linked` makes it a home,
    whose public address changes: those it has now, None for what is no home.
    """

    id: str
    profile: str
    group: str | None
    site: str | None
    networks: tuple[Network, ...]
    macs: tuple[str, ...]
    tokens: tuple[str, ...]
    lent: Lent | None = None
    linked: tuple[Linked, ...] | None = None


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """A policy file without mistakes. `rules` are the province's and only an operator has them."""

    tenant: str
    kind: TenantKind
    site_class: str
    rules: Ruleset | None
    sites: Mapping[str, Site]
    default_profile: str | None
    profiles: Mapping[str, Profile]
    clients: tuple[Client, ...]
    block: BlockSettings | None
    place: str = ""


def parse_policy_file(document: object, words: Vocabulary | None = None) -> TenantPolicy:
    """The policy in a parsed file. Raises PolicyFileError with every mistake; `words` adds the check of category codes and service ids."""
    reading = Reading()
    policy = _TenantParser(reading, words).parse(document)
    if reading.mistakes:
        raise PolicyFileError(reading.mistakes)
    return policy


class _TenantParser:
    """One run over one file."""

    __slots__ = ("_kind", "_reading", "_words")

    def __init__(self, reading: Reading, words: Vocabulary | None) -> None:
        self._reading = reading
        self._words = words
        self._kind: TenantKind = "operator"

    def parse(self, document: object) -> TenantPolicy:
        reading = self._reading
        row = reading.table(document, "", _FILE_KEYS, ("format", "tenant", "kind"))
        if "format" in row and row["format"] != _FORMAT:
            reading.fault("format", f"must be {_FORMAT}")
        tenant = _identity(row.get("tenant"), "tenant", reading) if "tenant" in row else ""
        self._kind = cast(TenantKind, reading.choice(row.get("kind"), "kind", _KINDS, "operator"))
        rules = None
        if row.get("rules") is not None:
            if self._kind != "operator":
                reading.fault("rules", "only an operator sets rules of the province")
            rules = self._rules(row["rules"], "rules", Level.PROVINCE)
        sites = self._by_id(row.get("sites"), "sites", self._site)
        profiles = self._by_id(row.get("profiles"), "profiles", self._profile)
        clients = self._by_id(row.get("clients"), "clients", self._client)
        default = reading.optional_text(row.get("default_profile"), "default_profile")
        policy = TenantPolicy(
            tenant,
            self._kind,
            self._site_class(row.get("site_class"), "site_class"),
            rules,
            sites,
            default,
            profiles,
            tuple(clients.values()),
            self._block(row.get("block"), "block"),
            self._place(row.get("place"), "place"),
        )
        self._check_references(policy)
        return policy

    def _by_id(self, value: object, path: str, parse: Callable[[object, str], tuple[str, _T]]) -> dict[str, _T]:
        found: dict[str, _T] = {}
        for number, row in enumerate(self._reading.rows(value, path)):
            identity, item = parse(row, f"{path}[{number}]")
            if identity in found:
                self._reading.fault(f"{path}[{number}].id", "is used twice")
            found.setdefault(identity, item)
        return found

    def _rules(self, value: object, path: str, level: Level) -> Ruleset:
        return parse_ruleset(self._reading.table(value, path, RULESET_KEYS), path, level, self._reading, self._words)

    def _site(self, value: object, path: str) -> tuple[str, Site]:
        reading = self._reading
        row = reading.table(value, path, _SITE_KEYS, ("id",))
        identity = _identity(row.get("id"), f"{path}.id", reading) if "id" in row else ""
        site_class = self._site_class(row.get("class"), f"{path}.class")
        zone = reading.optional_text(row.get("time_zone"), f"{path}.time_zone") or DEFAULT_ZONE
        if not is_zone(zone):
            reading.fault(f"{path}.time_zone", "is not a time zone", f"write a name such as {DEFAULT_ZONE}")
            zone = DEFAULT_ZONE
        bands = reading.texts(row.get("bands"), f"{path}.bands")
        for number, band in enumerate(bands):
            if band not in _BANDS:
                reading.fault(f"{path}.bands[{number}]", f"must be one of {', '.join(_BANDS)}")
        rules = None
        if row.get("rules") is not None:
            if self._kind != "school" and site_class != "school":
                reading.fault(f"{path}.rules", "only a school's site has rules", "set class: school")
            rules = self._rules(row["rules"], f"{path}.rules", Level.SCHOOL)
        listen = [parse_address(text) for text in reading.texts(row.get("listen"), f"{path}.listen")]
        if None in listen:
            reading.fault(f"{path}.listen", "must be IP addresses without a port")
        site = Site(
            identity,
            site_class,
            frozenset(Band(band) for band in bands if band in _BANDS),
            zone,
            frozenset(address for address in listen if address is not None),
            self._networks(reading.texts(row.get("networks"), f"{path}.networks"), f"{path}.networks"),
            rules,
            self._place(row.get("place"), f"{path}.place"),
        )
        return identity, site

    def _place(self, value: object, path: str) -> str:
        text = self._reading.optional_text(value, path) or ""
        if text and not PLACE.fullmatch(text):
            remedy = 'write the code of a province, such as "12", or of a commune in it, such as "12.03385"'
            self._reading.fault(path, "is not a place", remedy)
        return text

    def _profile(self, value: object, path: str) -> tuple[str, Profile]:
        reading = self._reading
        row = reading.table(value, path, _PROFILE_KEYS, ("id", "band"))
        identity = _identity(row.get("id"), f"{path}.id", reading) if "id" in row else ""
        owners = _OWNERS[self._kind]
        owner = Level(reading.choice(row.get("owner"), f"{path}.owner", _LEVELS, owners[0]))
        if owner not in owners:
            reading.fault(f"{path}.owner", f"a {self._kind} has no profiles of the {owner}")
        return identity, Profile(
            identity,
            Band(reading.choice(row.get("band"), f"{path}.band", _BANDS, "KH")),
            owner,
            reading.optional_text(row.get("site"), f"{path}.site"),
            reading.flag(row.get("safe_search"), f"{path}.safe_search"),
            self._youtube(row.get("youtube"), f"{path}.youtube"),
            cast('Literal["allow", "block"] | None', self._word(row.get("uncategorised"), f"{path}.uncategorised", ("allow", "block"))),
            reading.flag(row.get("canaries"), f"{path}.canaries"),
            self._block(row.get("block"), f"{path}.block"),
            cast(Activity, reading.choice(row.get("activity"), f"{path}.activity", ("off", "aggregate", "history"), "off")),
            parse_ruleset(row, path, owner, reading, self._words),
            self._above(row["above"], f"{path}.above") if row.get("above") is not None else (),
        )

    def _above(self, value: object, path: str) -> tuple[Above, ...]:
        reading = self._reading
        if self._kind != "school":
            reading.fault(path, "only schools have rules of the level above")
        found = []
        for number, one in enumerate(reading.rows(value, path)):
            where = f"{path}[{number}]"
            row = reading.table(one, where, _ABOVE_KEYS, ("document", "close"))
            codes = reading.texts(row.get("close"), f"{where}.close")
            for place, code in enumerate(codes):
                if self._words is not None and code not in self._words.codes:
                    reading.table({code: 0}, f"{where}.close[{place}]", self._words.codes)  # names the nearest one
            found.append(Above(reading.text(row.get("document"), f"{where}.document") if "document" in row else "", codes))
        return tuple(found)

    def _client(self, value: object, path: str) -> tuple[str, Client]:
        reading = self._reading
        row = reading.table(value, path, _CLIENT_KEYS, ("id", "profile"))
        identity = _identity(row.get("id"), f"{path}.id", reading) if "id" in row else ""
        networks: list[Network] = []
        macs: list[str] = []
        tokens: list[str] = []
        for number, text in enumerate(reading.texts(row.get("match"), f"{path}.match")):
            where = f"{path}.match[{number}]"
            if text.startswith("mac:"):
                mac = text[4:].lower().replace("-", ":")
                if not _MAC.fullmatch(mac):
                    reading.fault(where, "is not a MAC address", "write it as mac:02:00:00:00:00:01")
                macs.append(mac)
            elif text.startswith("token:"):
                token = text[6:].lower()
                if not _TOKEN.fullmatch(token):
                    reading.fault(where, "is not a token", "letters, digits and hyphens, at most 63")
                tokens.append(token)
            else:
                networks.extend(self._networks((text,), f"{path}.match", number))
        return identity, Client(
            identity,
            reading.text(row.get("profile"), f"{path}.profile") if "profile" in row else "",
            reading.optional_text(row.get("group"), f"{path}.group"),
            reading.optional_text(row.get("site"), f"{path}.site"),
            tuple(networks),
            tuple(macs),
            tuple(tokens),
            self._lent(row.get("lent"), f"{path}.lent"),
            self._linked(row["linked"], f"{path}.linked") if row.get("linked") is not None else None,
        )

    def _linked(self, value: object, path: str) -> tuple[Linked, ...]:
        reading = self._reading
        found: list[Linked] = []
        for number, one in enumerate(reading.rows(value, path)):
            where = f"{path}[{number}]"
            row = reading.table(one, where, _LINKED_KEYS, ("address", "until"))
            network = parse_network(reading.text(row.get("address"), f"{where}.address") if "address" in row else "")
            until = reading.moment(row["until"], f"{where}.until") if "until" in row else None
            if isinstance(network, str) or network.length != _HOME_LENGTHS[len(network.address)]:
                reading.fault(f"{where}.address", "is not an address of a home", "write an IPv4 address, or an IPv6 network of 64 bits")
            elif until is not None:
                found.append(Linked(network, until))
        return tuple(found)

    def _lent(self, value: object, path: str) -> Lent | None:
        if value is None:
            return None
        reading = self._reading
        row = reading.table(value, path, _LENT_KEYS, ("profile", "until"))
        until = reading.moment(row["until"], f"{path}.until") if "until" in row else None
        profile = reading.text(row.get("profile"), f"{path}.profile") if "profile" in row else ""
        return Lent(profile, until) if until is not None else None

    def _networks(self, texts: tuple[str, ...], path: str, first: int = 0) -> tuple[Network, ...]:
        found = []
        for number, text in enumerate(texts, first):
            network = parse_network(text)
            if isinstance(network, str):
                self._reading.fault(f"{path}[{number}]", network)
            else:
                found.append(network)
        return tuple(found)

    def _block(self, value: object, path: str) -> BlockSettings | None:
        if value is None:
            return None
        reading = self._reading
        row = reading.table(value, path, _BLOCK_KEYS)
        mode = BlockMode(reading.choice(row.get("mode"), f"{path}.mode", [mode.value for mode in BlockMode], "zero"))
        ttl = row.get("ttl", 10)
        if not isinstance(ttl, int) or isinstance(ttl, bool) or not 0 <= ttl <= LONGEST_BLOCK_TTL:
            reading.fault(f"{path}.ttl", f"must be seconds from 0 to {LONGEST_BLOCK_TTL}")
            ttl = 10
        addresses = reading.texts(row.get("page_address"), f"{path}.page_address")
        for number, text in enumerate(addresses):
            if parse_address(text) is None:
                reading.fault(f"{path}.page_address[{number}]", "must be an IP address")
        if mode is BlockMode.PAGE and not addresses:
            reading.fault(f"{path}.page_address", "is needed by mode page")
        return BlockSettings(mode, ttl, addresses)

    def _youtube(self, value: object, path: str) -> YouTube | None:
        # `off` reads as false where a file was written under YAML 1.1 rules
        return cast("YouTube | None", self._word("off" if value is False else value, path, ("strict", "moderate", "off")))

    def _word(self, value: object, path: str, choices: tuple[str, ...]) -> str | None:
        return None if value is None else self._reading.choice(value, path, choices, choices[0])

    def _site_class(self, value: object, path: str) -> str:
        if value is None:
            return _CLASS_DEFAULTS[self._kind]
        if isinstance(value, str) and _CLASS.fullmatch(value):
            return value
        self._reading.fault(path, "must be a short word such as school or home")
        return "other"

    def _check_references(self, policy: TenantPolicy) -> None:
        reading = self._reading
        if policy.default_profile is not None and policy.default_profile not in policy.profiles:
            reading.fault("default_profile", f"there is no profile {policy.default_profile}")
        for number, profile in enumerate(policy.profiles.values()):
            if profile.site is not None and profile.site not in policy.sites:
                reading.fault(f"profiles[{number}].site", f"there is no site {profile.site}")
        taken: dict[tuple[object, ...], str] = {}
        for number, client in enumerate(policy.clients):
            if client.profile and client.profile not in policy.profiles:
                reading.fault(f"clients[{number}].profile", f"there is no profile {client.profile}")
            if client.lent is not None and client.lent.profile not in policy.profiles:
                reading.fault(f"clients[{number}].lent.profile", f"there is no profile {client.lent.profile}")
            if client.site is not None and client.site not in policy.sites:
                reading.fault(f"clients[{number}].site", f"there is no site {client.site}")
            keys: list[tuple[object, ...]] = [("net", client.site, network) for network in client.networks]
            keys += [("mac", mac) for mac in client.macs] + [("token", token) for token in client.tokens]
            for key in keys:
                if taken.setdefault(key, client.id) != client.id:
                    reading.fault(f"clients[{number}].match", f"matches the same as client {taken[key]}")


def parse_address(text: str) -> bytes | None:
    """The packed form of an IP address in text; IPv4 inside IPv6 becomes IPv4; None when it is not one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.packed
    return address.packed


def parse_network(text: str) -> Network | str:
    """The network of an address or `address/length` in text, or what is wrong with it in plain words."""
    if "/" not in text:
        address = parse_address(text)
        return "is not an address, a network, mac: or token:" if address is None else Network(address, len(address) * 8)
    try:
        network = ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            return f"has bits set beyond its length; write {ip_network(text, strict=False)}"
        return "is not an address, a network, mac: or token:"
    return Network(network.network_address.packed, network.prefixlen)


def _identity(value: object, path: str, reading: Reading) -> str:
    if isinstance(value, str) and _IDENTITY.fullmatch(value):
        return value
    reading.fault(path, "must be text without spaces, at most 128 characters")
    return ""
