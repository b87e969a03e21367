"""What a worker remembers about use, in memory only, and the little that leaves it.

Three things with three rules (domain: nobody is watched by default):

* **devices**: which addresses asked lately and as whom; for "a new device: give it to…". Told on request, never written by the gateway.
* **recent blocks** of one client at one address for ten minutes, so that a device known alone can be told why. Told on request, never
  written, and to nobody where several clients were seen at the address: phones with private names behind one router or provider.
* **aggregates**: counts per minute and (tenant, site, band, category); with the profile only where its policy says `aggregate` or
  `history`. The level of detail is decided here, before an entry leaves the worker. The categories `self`, `csam` and `groom` are
  counted for nobody. Names leave only for a profile whose policy says `history` (a consented family history), one registered name a
  minute, never help, health or protected ones; the control plane encrypts them.

Everything is bounded; what does not fit is counted as dropped. The pipeline calls `seen`, `judged` and `probed`; the worker answers
control requests and harvests once a minute. Time is an argument (wall, unix seconds). Only the gateway imports this module.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.metrics import PROTECTED_CATEGORIES

if TYPE_CHECKING:
    from gateway.policy.model import Match

Outcome = Literal["allowed", "blocked", "rewritten", "watched"]
JsonRow = dict[str, object]

MOST_DEVICES = 65_536
MOST_AGGREGATES = 50_000
MOST_NAMES = 20_000
MOST_PROBES = 1024
ADDRESS_KINDS = ("A", "AAAA")
MOST_HOMES = 20_000
RECENT_SECONDS = 600.0
PROBE_SECONDS = 300.0
OWN_NONCE = "own-"
"""How the nonce begins by which the gateway looks for itself among the resolvers it is to ask."""
_RECENT_ADDRESSES = 8192
_RECENT_EACH = 64
_NEVER_NAMED = PROTECTED_CATEGORIES | {"help", "health"}


class Judged(Protocol):
    """The part of an effective policy that this module reads."""

    @property
    def profile_id(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def site_class(self) -> str: ...
    @property
    def band(self) -> object: ...
    @property
    def activity(self) -> str: ...


@dataclass(slots=True)
class Device:
    """One address that asked, or one device that the forwarder at this address tells of. Times are wall time, unix seconds."""

    address: bytes
    is_behind: bool
    is_by_token: bool
    mac: str | None
    client: str | None
    tenant: str | None
    profile: str
    site_class: str
    first_seen: float
    last_seen: float


class Activity:
    """The memory of one worker. Not thread safe; belongs to the worker's event loop."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or os.urandom(16)
        self._devices: OrderedDict[bytes, Device] = OrderedDict()
        self._new: set[bytes] = set()
        self._recent: OrderedDict[tuple[bytes, str | None], deque[tuple[float, str, str, str]]] = OrderedDict()
        self._probes: OrderedDict[str, JsonRow] = OrderedDict()
        self._homes: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()
        self._counts: dict[tuple[int, str, str, str, str, str, str], int] = {}
        self._names: dict[tuple[int, str, str, str], int] = {}
        self.dropped = 0

    def seen(
        self, address: bytes, policy: Judged, now: float, *,
        client: str | None = None, mac: str | None = None, is_behind: bool = False, is_by_token: bool = False,
    ) -> None:  # fmt: skip
        """An address asked. Called when its record is made or touched, not for every query. `is_behind`: a forwarder told of `mac`;
        `is_by_token`: it presented a private name, so that there may be others at this address."""
        key = address + mac.encode("ascii") if is_behind and mac is not None else address
        if is_by_token and client is not None:
            key += b"\0" + client.encode()
        device = self._devices.get(key)
        if device is None:
            if len(self._devices) >= MOST_DEVICES:
                self._devices.popitem(last=False)
            told = (policy.tenant, policy.profile_id, policy.site_class)
            self._devices[key] = Device(address, is_behind, is_by_token, mac, client, *told, now, now)
        else:
            device.mac, device.client, device.tenant, device.profile = mac, client, policy.tenant, policy.profile_id
            device.site_class, device.last_seen = policy.site_class, now
            self._devices.move_to_end(key)
        self._new.add(key)

    def met(self, address: bytes, policy: Judged, now: float, match: Match, mac: str | None, is_behind: bool) -> None:
        """A source was met for the first time, or used since it was last looked at; the token of a home says where the home is."""
        if match.is_home and match.by == "token":
            self.came_home(match.tenant or "", match.client_id or "", address, now)
        self.seen(address, policy, now, client=match.client_id, mac=mac, is_behind=is_behind, is_by_token=match.by == "token")

    def came_home(self, tenant: str, client: str, address: bytes, now: float) -> None:
        """The token of a home was presented from this packed address: that is where the home is."""
        while len(self._homes) >= MOST_HOMES:
            self._homes.popitem(last=False)
        self._homes[tenant, client] = (address, now)
        self._homes.move_to_end((tenant, client))

    def homes(self) -> list[tuple[str, str, bytes, float]]:
        """Where each home was last: tenant, client, packed address, when."""
        return [(*who, *where) for who, where in self._homes.items()]

    def judged(self, policy: Judged, outcome: Outcome, category: str, now: float, count: int = 1, *, site: str = "") -> None:
        """Count answers of one kind under this policy. `category` is the deciding one, empty when there is none."""
        if category in PROTECTED_CATEGORIES:
            return
        profile = policy.profile_id if policy.activity != "off" else ""
        key = (int(now // 60) * 60, policy.tenant, site, profile, band_text(policy.band), outcome, category)
        if key in self._counts or len(self._counts) < MOST_AGGREGATES:
            self._counts[key] = self._counts.get(key, 0) + count
        else:
            self.dropped += count

    def blocked(self, address: bytes, name: str, category: str, rule: str, now: float, *, client: str | None = None) -> None:
        """Remember one block of this client at this address for ten minutes; `name` in presentation text, `rule` as people read it."""
        who = address, client
        ring = self._recent.get(who)
        if ring is None:
            if len(self._recent) >= _RECENT_ADDRESSES:
                self._recent.popitem(last=False)
            ring = self._recent[who] = deque(maxlen=_RECENT_EACH)
        self._recent.move_to_end(who)
        if not ring or ring[-1][1] != name or now - ring[-1][0] > 1.0:
            ring.append((now, name, category, rule))

    def visited(self, policy: Judged, registered_name: str, category: str, now: float) -> None:
        """Count a visit for a consented history; ignored unless the policy says `history` and the category may be named."""
        if policy.activity != "history" or category in _NEVER_NAMED:
            return
        name = "" if band_text(policy.band) in ("PT", "NL") else registered_name  # from fifteen: categories and times only
        key = (int(now // 60) * 60, policy.tenant, policy.profile_id, name or f"category:{category}")
        if key in self._names or len(self._names) < MOST_NAMES:
            self._names[key] = self._names.get(key, 0) + 1
        else:
            self.dropped += 1

    def probed(
        self, nonce: str, address: str, profile: str, client: str | None, transport: str, generation: int, now: float, kind: str
    ) -> None:
        """A check name with this nonce was asked from `address` (text form). `kind` is the type of the question: whether both addresses
        of a name are asked for here is remembered, since a second resolver may take every other question."""
        before = self._probes.pop(nonce, None)
        kinds = _kinds(before) if before is not None and before["address"] == address else set()
        if kind in ADDRESS_KINDS:
            kinds.add(kind)
        while len(self._probes) >= MOST_PROBES:
            self._probes.popitem(last=False)
        self._probes[nonce] = {
            "address": address,
            "profile": profile,
            "client": client,
            "transport": transport,
            "generation": generation,
            "at": now,
            "kinds": sorted(kinds),
        }

    def probe(self, nonce: str, now: float) -> JsonRow | None:
        """Who asked for this nonce in the last five minutes, None when nobody did."""
        row = self._probes.get(nonce)
        return row if row is not None and now - float(str(row["at"])) <= PROBE_SECONDS else None

    def proof(self, nonce: str) -> str:
        """What only a worker of this gateway can answer for a nonce of its own."""
        return hashlib.blake2b(b"own\0" + nonce.encode(), digest_size=16, key=self._secret).hexdigest()

    def devices(self, tenant: str | None = None) -> list[Device]:
        """Every device remembered, least recently seen first; of one tenant only."""
        return [device for device in self._devices.values() if tenant in (None, device.tenant)]

    def addresses_of(self, mac: str) -> set[bytes]:
        """Every address by which the device with this hardware address asked: a phone has several over IPv6, and one over IPv4. None where
        those addresses are of different clients: then it is a repeater with several devices behind it, and each stands for itself."""
        found = [device for device in self._devices.values() if device.mac == mac and not device.is_behind]
        return {device.address for device in found} if len({device.client for device in found}) <= 1 else set()

    def lately_at(self, addresses: Collection[bytes], now: float) -> list[Device]:
        """What asked from these addresses in the last ten minutes, as this worker knows it; another may know it by a later name."""
        lately = now - RECENT_SECONDS
        return [device for device in self._devices.values() if device.address in addresses and device.last_seen >= lately]

    def recent_blocks(self, address: bytes, now: float, client: str | None = None) -> list[JsonRow]:
        """The blocks of one client at one address in the last ten minutes, newest first."""
        rows = self._recent.get((address, client), ())
        return [
            {"at": at, "name": name, "category": category, "rule": rule}
            for at, name, category, rule in reversed(rows)
            if 0 <= now - at <= RECENT_SECONDS
        ]

    def expire(self, now: float) -> None:
        """Forget blocks and homes older than ten minutes (called again and again); a bounded step."""
        while self._homes and now - next(iter(self._homes.values()))[1] > RECENT_SECONDS:
            self._homes.popitem(last=False)
        for who in list(self._recent)[:1024]:
            ring = self._recent[who]
            if not ring or now - ring[-1][0] > RECENT_SECONDS:
                del self._recent[who]

    def harvest(self) -> JsonRow:
        """Counts and device marks since the last harvest, ready for JSON. Addresses leave as keyed digests of 8 bytes."""
        marks: dict[str, list[str]] = {}
        for key in self._new:
            device = self._devices.get(key)
            if device is not None:
                marks.setdefault(device.site_class, []).append(self._mark(key))
        row: JsonRow = {
            "marks": marks,
            "counts": [[*key, count] for key, count in sorted(self._counts.items())],
            "names": [[*key, count] for key, count in sorted(self._names.items())],
            "dropped": self.dropped,
        }
        self._new, self._counts, self._names, self.dropped = set(), {}, {}, 0
        return row

    def _mark(self, address: bytes) -> str:
        return hashlib.blake2b(address, digest_size=8, key=self._secret).hexdigest()


def band_text(band: object) -> str:
    """The two letters of a band, given as an enum member or as text."""
    value = getattr(band, "value", band)
    return str(value)


def _kinds(row: JsonRow) -> set[str]:
    found = row["kinds"]
    return set(map(str, found)) if isinstance(found, list) else set()
