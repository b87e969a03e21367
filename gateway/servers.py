"""Upstream servers as text: `scheme://name[:port][/path][@address]`, and the resolvers the system already uses.

Only `configuration.py`, the supervisor and the composition import this module. It may look the name of a plain server up once, when the
file is read; the gateway itself never depends on another resolver to find its upstreams. An encrypted server without an address is looked
up through the plain ones.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from gateway.errors import InvalidName
from gateway.ownaddress import is_listened_on
from gateway.settings import Endpoint, GatewaySettings, Scheme, UpstreamAddress
from gateway.upstreams.tls import read_pin
from gateway.wire.name import key_from_text

PORTS: dict[str, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
ENCRYPTED = frozenset({"tls", "https"})
FALLBACK = ("udp://9.9.9.9", "udp://149.112.112.112")
"""Asked only when the file names nobody and the system has no resolver: Quad9, a foundation in Switzerland."""
FALLBACK_USED = (
    "máy này không có máy chủ DNS nào ngoài chính nó: Quad9 (Thụy Sĩ) được hỏi và thấy mọi tên miền; ghi máy chủ bạn tin vào"
    " upstreams.servers / this machine has no resolver but itself: Quad9 (Switzerland) is asked and sees every name; write one you trust"
    " into upstreams.servers"
)
"""What is said wherever the last resort is in use."""
RESOLV_CONF = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))

_FORM = re.compile(r"([a-z]+)://(?:\[([^\]]+)\]|([^:/@\[\]]+))(?::([0-9]{1,5}))?(/[^@\s]*)?(?:@(?:\[([^\]]+)\]|(\S+)))?")
_SHAPE = "write it as udp://192.168.1.1, tcp://192.168.1.1:53 or scheme://name[:port][/path][@address]"


def parse_server(text: str, find_address: Callable[[str], str] | None = None) -> UpstreamAddress:
    """Read one upstream server. Raises ValueError with a sentence for the person who wrote it."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text[:80]}' is not a server; {_SHAPE}")
    scheme = match[1]
    if scheme not in PORTS:
        raise ValueError(f"'{scheme}' is not a way to reach a server; known: udp, tcp, tls, https")
    name = match[2] or match[3]
    port = int(match[4]) if match[4] else PORTS[scheme]
    if not 1 <= port <= 65_535:
        raise ValueError(f"port {port} is not between 1 and 65535")
    path = match[5] or ("/dns-query" if scheme == "https" else "")
    if scheme == "tls":
        read_pin(path)
    elif path and scheme != "https":
        raise ValueError(f"a path ({path}) belongs to https:// only")
    address = _address(match[6] or match[7], name, _leave_open if scheme in ENCRYPTED else find_address or look_up)
    return UpstreamAddress(_scheme(scheme), name, port, path, address)


def _scheme(text: str) -> Scheme:
    found: dict[str, Scheme] = {"udp": "udp", "tcp": "tcp", "tls": "tls", "https": "https"}
    return found[text]


def _address(written: str | None, name: str, find_address: Callable[[str], str]) -> str:
    if written is not None:
        try:
            return str(ip_address(written))
        except ValueError:
            raise ValueError(f"'{written[:60]}' behind the @ is not an IP address") from None
    try:
        return str(ip_address(name))
    except ValueError:
        if re.fullmatch(r"[0-9.]+", name):
            raise ValueError(f"'{name[:60]}' is not an IP address") from None
    try:
        return find_address(name)
    except OSError:
        raise ValueError(f"the address of '{name[:80]}' was not found; write it behind an @, such as udp://{name[:80]}@192.0.2.1") from None


def _leave_open(name: str) -> str:
    """Encrypted servers are found through the plain ones while the gateway runs: their answer needs no trust, the certificate decides."""
    try:
        key_from_text(name)
    except InvalidName as error:
        raise ValueError(f"'{name[:80]}' is {error}") from None
    return ""


def look_up(name: str) -> str:
    """Ask the system for the address of a name. Raises OSError when there is none."""
    return str(socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)[0][4][0])


def system_servers(own: Sequence[Endpoint], files: Iterable[Path] = RESOLV_CONF) -> tuple[UpstreamAddress, ...]:
    """The resolvers this machine already uses, from the first file that names any; whatever is this gateway itself is left out.

    Using them adds no new party who sees the names.
    """
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found: list[UpstreamAddress] = []
        for line in lines:
            words = line.split()
            if len(words) < 2 or words[0] != "nameserver":
                continue
            try:
                address = ip_address(words[1])
            except ValueError:
                continue
            if address.is_link_local and address.version == 6 and not address.scope_id:
                continue  # it does not say on which link
            if not is_listened_on(str(address), 53, own):
                found.append(UpstreamAddress("udp", str(address), 53, "", str(address)))
        if found:
            return tuple(found)
    return ()


def as_the_system_asks(settings: GatewaySettings, files: Iterable[Path] = RESOLV_CONF) -> GatewaySettings:
    """The settings with the resolvers this machine uses now, where the file names nobody; unchanged while it uses the same, or none.

    What turns out to be this gateway itself, as soon as the machine has that address again, is left out; the last resort where nobody is
    left.
    """
    upstreams, listen = settings.upstreams, settings.dns.listen
    if upstreams.origin == "file":
        return settings
    left = tuple(server for server in upstreams.servers if not is_listened_on(server.address, server.port, listen))
    found = system_servers(listen, files) or left
    if found == upstreams.servers:
        return settings
    if not found:
        return replace(settings, upstreams=replace(upstreams, servers=tuple(map(parse_server, FALLBACK)), origin="fallback"))
    return replace(settings, upstreams=replace(upstreams, servers=found, origin="system"))
