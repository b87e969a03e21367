"""Reading the configuration file: from the text of a person to `GatewaySettings`, with every mistake at once.

`lachan gateway` calls `load`; the composition calls `check_gateway` and adds the sections of the other packages. Sections that belong
to another package are carried along unread. Raises `SettingsError`; nothing here changes a running gateway.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from gateway.errors import Mistake, PolicyFileError, SettingsError, StartError
from gateway.ownaddress import is_listened_on
from gateway.policy.claims import contradictions
from gateway.policy.ruleset import Vocabulary
from gateway.policy.tenant import parse_policy_file
from gateway.sections import check, key_names, nearest
from gateway.servers import FALLBACK, parse_server, system_servers
from gateway.settings import (
    LINK,
    BlockSettings,
    CacheSettings,
    DnsSettings,
    EncryptedSettings,
    Endpoint,
    GatewaySettings,
    Limits,
    LocalRecord,
    ProxyProtocolSettings,
    RateLimit,
    StructuredSettings,
    TlsSettings,
    UpstreamAddress,
    UpstreamSettings,
)
from gateway.tls import try_files
from gateway.upstreams.bootstrap import find_unreachable
from gateway.wire.name import key_from_text
from gateway.written import GatewayFile, UpstreamsFile
from gateway.written_policy import policy_of
from gateway.yamlfile import Document, Keys, read

OTHER_SECTIONS = ("lists", "lists_fetch", "takedown", "rpz", "admin", "block_page", "rpz_out")
"""Sections of the packages above this one."""
POLICY_SECTIONS = frozenset({"rules", "sites", "profiles", "clients", "default_profile"})
"""Sections that only make sense together; they become the local policy file."""
_REFERRED_TO = frozenset({"sites", "profiles"})
"""Those of them that the others point to."""


def load(path: Path) -> GatewaySettings:
    """Read the file for a data plane that runs alone. Raises SettingsError with every mistake."""
    settings, mistakes = check_gateway(read(path))
    if settings is None or mistakes:
        raise SettingsError(mistakes)
    return settings


def check_gateway(document: Document, words: Vocabulary | None = None) -> tuple[GatewaySettings | None, list[Mistake]]:
    """Check the data plane's sections of a document. Returns the settings, or None with every mistake.

    `words` are the catalogue's category codes and service ids; without them any are accepted.
    """
    if document.value is None:  # as an editor leaves it on a full disk: whoever wants the defaults says so
        return None, [Mistake(document.place(()).partition(":")[0], "this file is empty", "write it again, or {} for the defaults")]
    if not isinstance(document.value, dict):
        return None, [Mistake(document.place(()), "the file must hold sections (key: value), not a list or a single value")]
    own = set(key_names(GatewayFile))
    mistakes = [
        Mistake(document.place((name,)), f"unknown key '{name[:60]}'", nearest(name, sorted({*own, *OTHER_SECTIONS})))
        for name in document.value
        if name not in own and name not in OTHER_SECTIONS
    ]
    mended: set[str] = set()
    sound: dict[str, Any] = {}  # Any: parsed YAML, checked below
    for name in own & document.value.keys():
        section, found = check(GatewayFile, {name: document.value[name]}, document)
        mistakes += found
        value = document.value[name]
        if section is None and name in POLICY_SECTIONS:
            value, left_out = _without_mistaken(value, found)
            section, _ = check(GatewayFile, {name: value}, document)
            mended |= left_out
        if section is not None:
            sound[name] = value
    if _REFERRED_TO & document.value.keys() - sound.keys():  # what points there cannot be judged
        sound = {name: value for name, value in sound.items() if name not in POLICY_SECTIONS}
    written, _ = check(GatewayFile, sound, document)
    assert written is not None, "sections that are sound one by one are sound together"
    resolver = _Resolver(document, written, words)
    settings = resolver.settings()
    mistakes += [mistake for mistake in resolver.mistakes if not _is_about(mistake, mended)]
    mistakes.sort(key=_line)
    return (None if mistakes else settings), mistakes


_STAND_INS: Final[dict[str | int, Any]] = {"band": "KH", "match": ["192.0.2.1"]}  # Any: YAML values
"""What stands for a mistaken key that a row must have, while the rest of the file is read."""


def _without_mistaken(value: Any, mistakes: Sequence[Mistake]) -> tuple[Any, set[str]]:  # Any: parsed YAML
    """Rows of a policy section without the keys that have a mistake, so that the rest is still read; and the paths of those."""
    if not isinstance(value, list):
        return value, set()
    rows = [dict(row) if isinstance(row, dict) else row for row in value]
    left_out = set()
    for mistake in mistakes:
        path = mistake.path.rpartition(" ")[2]
        keys = _keys(path)
        if len(keys) < 3 or not isinstance(keys[1], int) or keys[1] >= len(rows) or not isinstance(rows[keys[1]], dict):
            continue
        rows[keys[1]].pop(keys[2], None)
        if keys[2] in _STAND_INS:
            rows[keys[1]][keys[2]] = _STAND_INS[keys[2]]
        left_out |= {f"{keys[0]}[{keys[1]}]", f"{keys[0]}[{keys[1]}].{keys[2]}"}
    return rows, left_out


def _is_about(mistake: Mistake, paths: set[str]) -> bool:
    """Whether a mistake may come from what was left out: it is about such a row as a whole, or about such a key."""
    path = mistake.path.rpartition(" ")[2]
    return any(path == known or (known.count(".") and path.startswith((f"{known}.", f"{known}["))) for known in paths)


def _line(mistake: Mistake) -> int:
    """The line a mistake stands on, so that a person can walk down the file."""
    parts = mistake.path.split(":")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


class _Resolver:
    """Turns checked sections into settings, collecting what only shows when values meet."""

    def __init__(self, document: Document, written: GatewayFile, words: Vocabulary | None) -> None:
        self.document = document
        self.written = written
        self.words = words
        self.folder = document.path.resolve().parent if document.path else Path.cwd()
        self.mistakes: list[Mistake] = []

    def settings(self) -> GatewaySettings:
        written = self.written
        listen = tuple(written.dns.listen)
        others = {name: value for name, value in self.document.value.items() if name in OTHER_SECTIONS and value is not None}
        return GatewaySettings(
            state_dir=self.folder / written.state_dir,
            dns=DnsSettings(
                listen=listen,
                workers=written.dns.workers or available_cores(),
                allow_from=tuple(one for one in written.dns.allow_from if one != LINK),
                user=written.dns.user,
                name=written.dns.name,
                link=LINK in written.dns.allow_from,
                identity=written.dns.identity or "",
            ),
            upstreams=self._upstreams(written.upstreams, listen),
            policy=self._policy(),
            doq=EncryptedSettings(tuple(written.doq.listen)) if written.doq else None,
            proxy_protocol=ProxyProtocolSettings(tuple(written.proxy_protocol.sources)) if written.proxy_protocol else None,
            cache=CacheSettings(
                entries=written.cache.entries,
                bytes=written.cache.bytes,
                serve_stale=written.cache.serve_stale,
                stale_max=int(written.cache.stale_max),
                client_ttl_max=written.cache.client_ttl_max,
            ),
            block=BlockSettings(written.block.mode, written.block.ttl, tuple(written.block.page_address)),
            rate_limit=RateLimit(written.rate_limit.per_client, written.rate_limit.burst, tuple(written.rate_limit.exempt)),
            structured_errors=StructuredSettings(
                written.structured_errors.option,
                tuple(written.structured_errors.contact),
                written.structured_errors.organisation,
                written.structured_errors.language,
            ),
            rebinding_allow=tuple(map(key_from_text, written.rebinding.allow)),
            records=tuple(LocalRecord(record.name, record.type.upper(), record.data, record.ttl) for record in written.records),
            metrics=written.metrics.listen if written.metrics else None,
            tls=self._tls(),
            dot=EncryptedSettings(tuple(written.dot.listen)) if written.dot else None,
            doh=EncryptedSettings(tuple(written.doh.listen), written.doh.path.rstrip("/")) if written.doh else None,
            lease_files=tuple(self.folder / path for path in written.dhcp.leases) if written.dhcp else (),
            limits=Limits(**written.limits.model_dump()),
            source=self.document.path.resolve() if self.document.path else None,
            other_sections=MappingProxyType(others),
        )

    def _upstreams(self, written: UpstreamsFile, listen: Sequence[Endpoint]) -> UpstreamSettings:
        origin: Literal["file", "system", "fallback"] = "file"
        servers = tuple(written.servers)
        if not servers:
            servers, origin = system_servers(listen), "system"
        if not servers:
            servers, origin = tuple(map(parse_server, FALLBACK)), "fallback"
        self._refuse_own(servers, written.routes, listen)
        routes = {key_from_text(name): tuple(route) for name, route in written.routes.items()}
        self._refuse_unreachable(servers, written.routes)
        return UpstreamSettings(servers, written.strategy, MappingProxyType(routes), written.timeout, origin)

    def _tls(self) -> TlsSettings | None:
        """The certificate, tried out; an encrypted listener without one is a mistake."""
        written = self.written
        for name, section in (("dot", written.dot), ("doh", written.doh), ("doq", written.doq)):
            if section is not None and written.tls is None:
                remedy = "add a section tls: with certificate and key; for a first try: lachan certificate"
                self._mistake((name,), f"{name} needs a certificate", remedy)
        if written.doq is not None and find_spec("aioquic") is None:
            self._mistake(("doq",), "doq needs the extra package aioquic", "install it with: pip install 'lachan[doq]'")
        if written.doh is not None and not written.doh.path.startswith("/"):
            self._mistake(("doh", "path"), "the path must begin with a slash", "for example /dns-query")
        if written.tls is None:
            return None
        settings = TlsSettings(self.folder / written.tls.certificate, self.folder / written.tls.key_file, written.tls.name)
        try:
            try_files(settings)
        except StartError as error:
            self._mistake(("tls", "certificate"), str(error).removeprefix("tls: "))
        return settings

    def _refuse_own(
        self, servers: Sequence[UpstreamAddress], routes: Mapping[str, Sequence[UpstreamAddress]], listen: Sequence[Endpoint]
    ) -> None:
        """A server that is this gateway itself would be asked for ever, whatever address of this machine it is called by."""
        for place, server in _places(servers, routes):
            if is_listened_on(server.address, server.port, listen):
                remedy = "it would ask itself for ever: name your router's or provider's server, or another resolver"
                self._mistake(place, f"{server.label} is this gateway's own address", remedy)

    def _refuse_unreachable(self, servers: Sequence[UpstreamAddress], routes: Mapping[str, Sequence[UpstreamAddress]]) -> None:
        """An encrypted server by name needs somebody who can be asked for its address."""
        unreachable = set(find_unreachable([*servers, *(server for route in routes.values() for server in route)]))
        for place, server in _places(servers, routes):
            if server in unreachable:
                shown = server.label + ("/…" if server.path else "")  # the path may be the key of an account, and this goes into the log
                remedy = f"write it behind an @, such as {shown}@192.0.2.1, or add a plain server (udp:// or tcp://)"
                self._mistake(place, f"nobody can be asked for the address of {server.name}", remedy)

    def _policy(self) -> dict[str, Any]:
        policy = policy_of(self.written)
        try:
            found = contradictions(parse_policy_file(policy, self.words))
        except PolicyFileError as error:
            found = list(error.mistakes)
        self.mistakes += [Mistake(self.document.place(_keys(mistake.path)), mistake.message, mistake.remedy) for mistake in found]
        return policy

    def _mistake(self, keys: Keys, message: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(self.document.place(keys), message, remedy))


def _places(servers: Sequence[UpstreamAddress], routes: Mapping[str, Sequence[UpstreamAddress]]) -> list[tuple[Keys, UpstreamAddress]]:
    """Every upstream server with the place where it is written."""
    places: list[tuple[Keys, UpstreamAddress]] = [(("upstreams", "servers", index), server) for index, server in enumerate(servers)]
    return places + [(("upstreams", "routes", name, index), server) for name, route in routes.items() for index, server in enumerate(route)]


def available_cores() -> int:
    """How many processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _keys(path: str) -> Keys:
    """Read a dotted path (`profiles[0].allow[2]`) back into keys."""
    keys: list[str | int] = []
    for part in path.replace("[", ".[").split("."):
        if part.startswith("[") and part.endswith("]") and part[1:-1].isdigit():
            keys.append(int(part[1:-1]))
        elif part:
            keys.append(part)
    return tuple(keys)
