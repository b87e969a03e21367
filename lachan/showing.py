"""`lachan config show`: every setting with its value in force, in the shape of the file. Only `lachan` imports this module.

What is printed is a configuration file again: read back, it means the same. Passwords and tokens are masked, the files that hold secrets
are named; who chose the upstreams stands in a comment.
"""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
import yaml

from gateway.policy.model import Band
from gateway.settings import EncryptedSettings, Endpoint, GatewaySettings, TlsSettings, UpstreamAddress, UpstreamSettings
from gateway.wire.name import text_of
from lachan.configuration import Configuration, find_file, load

if TYPE_CHECKING:
    from admin.rpzsettings import Audience, RpzOutSettings
    from admin.settings import AdminSettings
    from blocklists.settings import BlocklistSettings
    from blocklists.zonesettings import Primary

MASK: Final = "***"
ORIGINS: Final = {
    "system": "upstreams.servers: máy chủ mà hệ thống đang dùng, tệp không chọn ai / the resolver of this system, the file names none",
    "fallback": "upstreams.servers: máy chủ công cộng, tệp và hệ thống không có / public resolvers, neither file nor system names any",
}
MASKED: Final = "*** : bí mật không được in / secrets are not printed"


def show(config: Path | None) -> None:
    """Print the effective settings as YAML, secrets masked. Raises SettingsError."""
    configuration = load(find_file(config))
    text = yaml.safe_dump(effective(configuration), allow_unicode=True, sort_keys=False, width=120)
    notes = [f"# {ORIGINS[origin]}"] if (origin := configuration.gateway.upstreams.origin) in ORIGINS else []
    notes += [f"# {MASKED}"] if MASK in text else []
    typer.echo("\n".join([*notes, text.rstrip()]))


def effective(configuration: Configuration) -> dict[str, Any]:  # Any: plain YAML values
    """Every setting with its value in force, in the shape of the file."""
    shown = dict(_gateway(configuration.gateway))
    shown |= _lists(configuration.lists)
    if configuration.admin:
        shown |= _admin(configuration.admin)
    return shown


def _gateway(gateway: GatewaySettings) -> Iterator[tuple[str, Any]]:  # Any: plain YAML values
    yield "state_dir", str(gateway.state_dir)
    dns = {name: value for name, value in _plain(gateway.dns).items() if name != "link" and (name, value) != ("identity", "")}
    yield "dns", dns | {"allow_from": gateway.dns.allowed_words}
    if gateway.tls:
        yield "tls", _tls(gateway.tls)
    for name in ("dot", "doh", "doq"):
        transport: EncryptedSettings | None = getattr(gateway, name)
        if transport:
            yield name, {"listen": _plain(transport.listen), **({"path": transport.path} if name == "doh" else {})}
    if gateway.proxy_protocol:
        yield "proxy_protocol", {"from": _plain(gateway.proxy_protocol.sources)}
    if gateway.lease_files:
        yield "dhcp", {"leases": _plain(gateway.lease_files)}
    yield "upstreams", _upstreams(gateway.upstreams)
    for name in ("cache", "block", "rate_limit", "structured_errors"):
        yield name, _plain(getattr(gateway, name))
    yield "rebinding", {"allow": [text_of(key) for key in gateway.rebinding_allow]}
    yield "records", _plain(gateway.records)
    yield from _policy(gateway)
    if gateway.metrics:
        yield "metrics", {"listen": str(gateway.metrics)}
    yield "limits", _plain(gateway.limits)


def _tls(tls: TlsSettings) -> dict[str, Any]:  # Any: plain YAML values
    return {label: value for label, value in _plain(tls).items() if value is not None}


def _upstreams(upstreams: UpstreamSettings) -> dict[str, Any]:
    return {
        "servers": [_server(server) for server in upstreams.servers],
        "strategy": upstreams.strategy,
        "routes": {text_of(key): [_server(server) for server in servers] for key, servers in upstreams.routes.items()},
        "timeout": upstreams.timeout,
    }


def _server(server: UpstreamAddress) -> str:
    """A server as the file writes it; the path of DoH, which may be the key of an account, is masked unless it is the usual one."""
    is_secret = server.scheme == "https" and server.path not in ("", "/dns-query")
    return str(dataclasses.replace(server, path=f"/{MASK}") if is_secret else server)


def _policy(gateway: GatewaySettings) -> Iterator[tuple[str, Any]]:
    policy = gateway.policy
    yield "rules", _without_empty(_plain(policy["rules"]))
    for name in ("sites", "profiles", "clients"):
        yield name, [_masked(_without_empty(_plain(row))) for row in policy[name]]
    yield "default_profile", policy["default_profile"]
    if "place" in policy:
        yield "place", policy["place"]


def _lists(lists: BlocklistSettings) -> dict[str, Any]:
    shown = {
        "lists": [_without_empty(_plain(item)) for item in lists.lists],
        "lists_fetch": _plain(lists.fetch),
        "rpz": [
            {
                "name": zone.name,
                **({"primary": _primary(zone.primary)} if zone.primary else {"file": str(zone.file)}),
                "policy": ":".join(filter(None, (zone.policy, zone.target))),
                "groups": list(zone.groups),
            }
            for zone in lists.rpz
        ],
    }
    if lists.orders_file:
        shown["takedown"] = {"file": str(lists.orders_file)}
    if lists.follow:
        shown["takedown"] = {"follow": _without_empty(_plain(lists.follow))}
    return shown


def _admin(admin: AdminSettings) -> dict[str, Any]:
    database = {"database_file": str(admin.database_file)} if admin.database_file else {"database": admin.shown_database}
    shown: dict[str, Any] = {
        "admin": {
            "listen": str(admin.listen),
            **database,
            "url": admin.url,
            "tls": _tls(admin.tls) if admin.tls else None,
            "mail": _mail(admin),
            "trusted_proxies": _plain(admin.trusted_proxies),
        }
    }
    if admin.block_page:
        shown["block_page"] = {"listen": str(admin.block_page)}
    if admin.rpz_out:
        shown["rpz_out"] = _rpz_out(admin.rpz_out)
    return shown


def _mail(admin: AdminSettings) -> dict[str, Any] | None:
    mail = admin.mail
    if mail is None:
        return None
    host = f"[{mail.host}]" if ":" in mail.host else mail.host
    server = f"{'smtps' if mail.secure else 'smtp'}://{host}:{mail.port}"
    return {"server": server, "sender": mail.sender, **_without_empty({"user": mail.user, "password_file": _plain(mail.password_file)})}


def _rpz_out(out: RpzOutSettings) -> dict[str, Any]:
    only = {name: {"zones": sorted(zones)} for name, zones in out.scopes}
    return {
        "listen": str(out.listen),
        **_zone(*out.zones[0]),
        **_without_empty({"zones": [_zone(*zone) for zone in out.zones[1:]]}),
        "keys": [
            {"name": one.name, "algorithm": one.algorithm, "secret_file": str(one.secret_file), **only.get(one.name, {})}
            for one in out.keys
        ],
        "open_to": _plain(out.open_to),
        **({"tls": {"listen": str(out.secure_listen), **_tls(out.tls)}} if out.tls else {}),
        "secondaries": _plain(out.secondaries),
        **_without_empty(
            {
                "category_zones": [offer.category for offer in out.offers],
                "passing_on": sorted({name for offer in out.offers for name in offer.passing_on}),
            }
        ),
    }


def _zone(name: str, audience: Audience) -> dict[str, Any]:
    narrowed = _without_empty({"place": audience.place, "organisation": audience.organisation, "categories": sorted(audience.categories)})
    return {"zone": name, "bands": [band.value for band in Band if band in audience.bands], **narrowed}


def _primary(primary: Primary) -> dict[str, Any]:
    key, tls = primary.key, primary.tls
    shown: dict[str, Any] = _without_empty(
        {
            "address": str(primary.address),
            "tsig": {"name": key.name, "algorithm": key.algorithm, "secret_file": str(key.secret_file)} if key else None,
            "tls": _without_empty(
                {"name": tls.name, "authorities": _plain(tls.authorities), "pin": b64encode(tls.pin).decode() if tls.pin else ""}
            )
            if tls
            else None,
        }
    )
    return shown


def _masked(row: Any) -> Any:
    """Mask client tokens: they admit from any address."""
    if isinstance(row, dict) and isinstance(row.get("match"), list):
        return {**row, "match": [f"token:{MASK}" if str(text).startswith("token:") else text for text in row["match"]]}
    return row


def _without_empty(value: Any) -> Any:
    return {name: inner for name, inner in value.items() if inner not in (None, [], {}, "")} if isinstance(value, dict) else value


def _plain(value: object) -> Any:
    """Turn settings values into what YAML can write."""
    if isinstance(value, Endpoint | UpstreamAddress | IPv4Network | IPv6Network | Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
