"""Settings of the data plane, resolved: nothing is left on "auto", every path is absolute, every address is parsed.

What a person writes is in `written.py`; `configuration.py` reads the file and turns the one into the other. Parts of the gateway receive
these values in their constructors and never look at the file. Any package may import this module.

Units: seconds for times, bytes for sizes, queries per second for rates, unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

Network = IPv4Network | IPv6Network
BlockMode = Literal["zero", "nxdomain", "nodata", "refused", "page"]
Strategy = Literal["fastest", "parallel", "ordered"]
Scheme = Literal["udp", "tcp", "tls", "https"]
LINK: Final = "link"
"""The word in `dns.allow_from` for the networks of the machine's own links."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on: `host` is an IP address in text form without brackets, `port` 0 asks the system for one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def allow_line(words: Iterable[str]) -> str:
    """The line of the section `dns` that lets these ask, as YAML reads it: an address of IPv6 stands in quotation marks."""
    written = [f'"{one}"' if ":" in one else one for one in dict.fromkeys(words)]
    return f"allow_from: [{', '.join(written)}]"


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Plain DNS: where it listens, with how many workers, for whom, as which user, and the gateway's own name."""

    listen: tuple[Endpoint, ...]
    workers: int
    allow_from: tuple[Network, ...]
    user: str | None
    name: str
    link: bool = False
    """Whether the networks of this machine's own links may ask, too (`gateway.links`)."""
    identity: str = ""
    """What NSID and `id.server` say; empty: nothing is said. ASCII."""

    @property
    def allowed_words(self) -> list[str]:
        """`allow_from` as the file writes it."""
        return [*map(str, self.allow_from), *([LINK] if self.link else [])]

    def line_with(self, *networks: str) -> str:
        """The line of the section `dns` that lets these networks ask, too."""
        return allow_line([*self.allowed_words, *networks])

    def serves(self, address: str) -> bool:
        """Whether the networks that `allow_from` names hold this address; `gateway.links.may_ask` knows of `link`, too."""
        found = ip_address(address)
        return any(found.version == network.version and found in network for network in self.allow_from)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Certificate chain and key of the encrypted listeners, and the server's name when it has one."""

    certificate: Path
    key: Path
    name: str | None = None


@dataclass(frozen=True, slots=True)
class EncryptedSettings:
    """One encrypted transport (DoT, DoH or DoQ); `path` is used by DoH only."""

    listen: tuple[Endpoint, ...]
    path: str = "/dns-query"


@dataclass(frozen=True, slots=True)
class ProxyProtocolSettings:
    """Front ends whose PROXY v2 headers are believed."""

    sources: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """One upstream resolver. `name` is what a certificate is checked against and what a person reads; `address` is the IP to connect to,
    empty for an encrypted server that is to be found through the plain ones. `path` is that of DoH, or the pin of a `tls` server's key.
    """

    scheme: Scheme
    name: str
    port: int
    path: str
    address: str

    @property
    def label(self) -> str:
        """Scheme, name and port: what metrics, status and log say. The path may be the key of a household's account."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{self.scheme}://{name}:{self.port}"

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        text = f"{self.scheme}://{name}:{self.port}{self.path}"
        return text if self.address in ("", self.name) else f"{text}@{self.address}"


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Who is asked when nothing is known here.

    `routes` maps the key of a suffix (`gateway.wire.name.key_from_text`) to the servers for it and everything below. `timeout` bounds one
    attempt. `origin` says who chose the servers: the file, the system's own resolver, or the fallback.
    """

    servers: tuple[UpstreamAddress, ...]
    strategy: Strategy
    routes: Mapping[str, tuple[UpstreamAddress, ...]]
    timeout: float
    origin: Literal["file", "system", "fallback"] = "file"


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The cache of upstream answers, per worker. `client_ttl_max` caps the TTL a client is given (seconds)."""

    entries: int = 50_000
    bytes: int = 64 * 1024 * 1024
    serve_stale: bool = True
    stale_max: int = 86_400
    client_ttl_max: int = 300


@dataclass(frozen=True, slots=True)
class StructuredSettings:
    """What structured errors say to clients that ask for them. `option` is the EDNS option by which they ask besides an empty EDE (it has
    no number yet); `contact` holds `tel:` and `mailto:` URIs, `language` is the tag of the texts.
    """

    option: int | None = None
    contact: tuple[str, ...] = ()
    organisation: str = ""
    language: str = "vi"


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """How a block is answered. `page_address` holds IP addresses in text form, used by mode `page`."""

    mode: BlockMode = "zero"
    ttl: int = 10
    page_address: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Queries per second and burst for one source, per worker; 0 switches the limit off."""

    per_client: int = 1000
    burst: int = 5000
    exempt: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalRecord:
    """A record of our own: `name` in text without the final dot, `type` and `data` in master file form, `ttl` in seconds."""

    name: str
    type: str
    data: str
    ttl: int = 300


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets that keep one client from starving the others, per worker."""

    tcp_connections: int = 1000
    tcp_per_client: int = 20
    tcp_idle: float = 10.0
    tcp_query: float = 5.0
    tcp_in_flight: int = 100
    tcp_write_bytes: int = 256 * 1024
    misses: int = 4096
    misses_per_client: int = 1000
    clients: int = 65_536
    answer_table_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything the data plane is told.

    `policy` is the local policy file (tenant `local`) in the form `gateway.policy.tenant` validates; `source` is the file the settings
    were read from, None for settings built in memory.
    """

    state_dir: Path
    dns: DnsSettings
    upstreams: UpstreamSettings
    policy: Mapping[str, Any]  # Any: JSON values, validated by gateway.policy.tenant
    dot: EncryptedSettings | None = None
    doh: EncryptedSettings | None = None
    doq: EncryptedSettings | None = None
    tls: TlsSettings | None = None
    proxy_protocol: ProxyProtocolSettings | None = None
    cache: CacheSettings = CacheSettings()
    block: BlockSettings = BlockSettings()
    rate_limit: RateLimit = RateLimit()
    rebinding_allow: tuple[str, ...] = ()
    structured_errors: StructuredSettings = StructuredSettings()
    records: tuple[LocalRecord, ...] = ()
    metrics: Endpoint | None = None
    lease_files: tuple[Path, ...] = ()
    limits: Limits = Limits()
    notify_from: tuple[str, ...] = ()
    """Addresses of the primaries of zones, whose NOTIFY is heard; the composition fills it in."""
    source: Path | None = None
    other_sections: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # Any: sections of other packages, unread here
