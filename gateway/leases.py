"""Which hardware address a DHCP server gave an address to, from its lease file: for devices behind a router inside the site, which no
neighbour table knows, and the host name a device gives itself, for the moment somebody names it.

Read again when the file changed; an entry lives until its lease ends, or ten seconds when the file can no longer be read (review 14). Host
names stay in memory and are told to the pages only. Parsing is pure and never raises. Only the worker imports this module.

Formats: dnsmasq (also OpenWrt's /tmp/dhcp.leases), ISC dhcpd, Kea's CSV.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
UNCONFIRMED_SECONDS: Final = 10.0
MOST_OCTETS: Final = 4 * 1024 * 1024
MOST_LEASES: Final = 65_536
LONGEST_NAME: Final = 63
NEVER: Final = float("inf")

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_DNSMASQ: Final = re.compile(r"(\d+) (?:\d+-)?([0-9a-fA-F:]{17}) (\S+) (\S+)")
_BLOCK: Final = re.compile(r"^lease ([0-9a-fA-F.:]+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)


class Lease(NamedTuple):
    """One lease. `ends` in unix seconds, NEVER for one without an end; `name` is what the device calls itself, often empty."""

    address: bytes
    mac: str
    name: str
    ends: float


def parse_leases(text: str) -> dict[bytes, Lease]:
    """The leases of a file by packed address; where an address occurs more than once the last entry holds, as in the files themselves."""
    found: dict[bytes, Lease] = {}
    if text.startswith("address,"):
        rows = _kea(text)
    elif _BLOCK.search(text):
        rows = _dhcpd(text)
    else:
        rows = _dnsmasq(text)
    for lease in rows:
        if lease.ends <= 0:
            found.pop(lease.address, None)  # released
        elif len(found) < MOST_LEASES:
            found[lease.address] = lease
    return found


def _dnsmasq(text: str) -> Iterator[Lease]:
    for line in text.splitlines():
        fields = _DNSMASQ.match(line)
        if fields is not None:
            ends = float(fields[1]) or NEVER
            yield from _lease(fields[3], fields[2], "" if fields[4] == "*" else fields[4], ends)


def _dhcpd(text: str) -> Iterator[Lease]:
    for block in _BLOCK.finditer(text):
        inside = block[2]
        mac = re.search(r"hardware ethernet ([0-9a-fA-F:]{17});", inside)
        if mac is None:
            continue
        name = re.search(r'client-hostname "((?:[^"\\]|\\.)*)";', inside)
        state = re.search(r"^\s*binding state (\w+);", inside, re.MULTILINE)
        ends = 0.0 if state is not None and state[1] not in ("active", "bootp") else _dhcpd_end(inside)
        yield from _lease(block[1], mac[1], name[1] if name else "", ends)


def _dhcpd_end(inside: str) -> float:
    end = re.search(r"^\s*ends (?:epoch (\d+)|\d (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)|never)", inside, re.MULTILINE)
    if end is None:
        return NEVER
    if end[1]:
        return float(end[1])
    try:
        return datetime.strptime(end[2], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp() if end[2] else NEVER
    except ValueError:
        return NEVER


def _kea(text: str) -> Iterator[Lease]:
    try:
        for row in csv.DictReader(text.splitlines(), strict=False):
            mac, ends = row.get("hwaddr") or "", row.get("expire") or ""
            is_live = (row.get("state") or "0") == "0"
            if ends.isdigit():
                yield from _lease(row.get("address") or "", mac, row.get("hostname") or "", float(ends) if is_live else 0.0)
    except csv.Error:
        return


def _lease(address: str, mac: str, name: str, ends: float) -> Iterator[Lease]:
    if _MAC.fullmatch(mac) is None:
        return
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        return
    printable = "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME].rstrip(".")
    yield Lease(packed, mac.lower(), printable, ends)


class LeaseTable:
    """The leases of some files, for one worker. `changed` is told of every address whose device may be another one now; `wall` gives unix
    seconds, against which leases end.
    """

    def __init__(self, paths: Sequence[Path], changed: Callable[[bytes], None], wall: Callable[[], float]) -> None:
        self._paths = tuple(paths)
        self._changed = changed
        self._wall = wall
        self._leases: dict[Path, dict[bytes, Lease]] = {}
        self._marks: dict[Path, tuple[int, int, int]] = {}
        self._read_at: dict[Path, float] = {}
        self._broken: set[Path] = set()
        self._next_end = NEVER
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to follow the files on the running loop."""
        if self._paths:
            loop = asyncio.get_running_loop()
            self.look(loop.time())
            self._timer = loop.call_later(LOOK_SECONDS, self._tick, loop)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def mac_of(self, address: bytes, now: float) -> str | None:
        """The hardware address behind a packed address, None when no lease in force says. `now` is monotonic."""
        lease = self._find(address, now)
        return lease.mac if lease is not None else None

    def name_of(self, address: bytes, now: float) -> str:
        """What the device at a packed address calls itself, empty when it does not."""
        lease = self._find(address, now)
        return lease.name if lease is not None else ""

    def look(self, now: float) -> None:
        """Read what changed. `now` is monotonic."""
        for path in self._paths:
            try:
                found = path.stat()
                mark = (found.st_mtime_ns, found.st_size, found.st_ino)
                if mark != self._marks.get(path):
                    with path.open("rb") as file:
                        text = file.read(MOST_OCTETS).decode("utf-8", "replace")
                    self._take(path, parse_leases(text))
                    self._marks[path] = mark
            except OSError as error:
                if path not in self._broken:
                    self._broken.add(path)
                    log.warning("lease file not readable", extra={"event": "leases.unread", "path": str(path), "reason": error.strerror})
                if now - self._read_at.get(path, now) > UNCONFIRMED_SECONDS:
                    self._take(path, {})
                    self._marks.pop(path, None)
                continue
            self._broken.discard(path)
            self._read_at[path] = now
        if self._wall() >= self._next_end:
            self._end_leases()

    def _find(self, address: bytes, now: float) -> Lease | None:
        for path in self._paths:
            lease = self._leases.get(path, {}).get(address)
            if lease is not None and lease.ends > self._wall() and now - self._read_at[path] <= UNCONFIRMED_SECONDS:
                return lease
        return None

    def _take(self, path: Path, leases: dict[bytes, Lease]) -> None:
        before = self._leases.get(path, {})
        self._leases[path] = leases
        self._next_end = min(self._next_end, min((lease.ends for lease in leases.values()), default=NEVER))
        for address in before.keys() | leases.keys():
            old, new = before.get(address), leases.get(address)
            if (old.mac if old is not None else None) != (new.mac if new is not None else None):
                self._changed(address)

    def _end_leases(self) -> None:
        """Let go of leases that have ended: their address may go to another device."""
        wall = self._wall()
        self._next_end = NEVER
        for path, leases in self._leases.items():
            self._take(path, {address: lease for address, lease in leases.items() if lease.ends > wall})

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.look(loop.time())
        self._timer = loop.call_later(LOOK_SECONDS, self._tick, loop)


class Hardware:
    """Hardware addresses from every place that knows some, the first that does: the link itself, then leases (`clients.Neighbours`)."""

    def __init__(self, *places: Callable[[bytes, float], str | None]) -> None:
        self._places = places

    def mac_of(self, address: bytes, now: float) -> str | None:
        """The hardware address of a packed address, None when nobody knows. `now` is monotonic."""
        for place in self._places:
            mac = place(address, now)
            if mac is not None:
                return mac
        return None
