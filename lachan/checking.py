"""`lachan check` and `lachan config show`. Only `lachan` imports this module."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import typer
import yaml

from gateway.errors import Mistake, SettingsError
from gateway.settings import Endpoint, GatewaySettings, UpstreamAddress, UpstreamSettings
from gateway.wire.name import text_of
from lachan.configuration import Configuration, find_file, load
from lachan.preparation import own_names


def check(config: Path | None) -> None:
    """Validate everything. Raises SettingsError with every mistake; the caller exits with status 1."""
    path = find_file(config)
    configuration = load(path)
    check_orders(configuration)
    check_zones(configuration)
    for note in unused_groups(configuration):
        typer.echo(f"! {note}")
    lists, profiles = len(configuration.lists.lists), len(configuration.gateway.policy["profiles"])
    typer.echo(f"{path}: hợp lệ, {profiles} hồ sơ, {lists} danh sách. / valid, {profiles} profiles, {lists} lists.")


def check_orders(configuration: Configuration) -> None:
    """Read the takedown file as a preparation would, or the office's root. Raises SettingsError with every mistake in it."""
    from blocklists.catalogue import load as load_catalogue
    from blocklists.jobs import Inputs, guard_of
    from blocklists.orders import read_orders

    if configuration.lists.follow is not None:
        from blocklists.follower import check_root

        check_root(configuration.lists.follow.root)
    if configuration.lists.orders_file is None:
        return
    catalogue = load_catalogue()
    inputs = Inputs(configuration.lists, 0.0, own_names(configuration.gateway))
    read_orders(configuration.lists.orders_file, guard_of(inputs, catalogue), catalogue)


def check_zones(configuration: Configuration) -> None:
    """Read the policy zones as a preparation would. Raises SettingsError for each that is no zone, with its first unreadable record."""
    from blocklists.parsers import Options
    from blocklists.parsers.detect import parse_file
    from blocklists.rejections import Weight

    mistakes = []
    for number, zone in enumerate(configuration.lists.rpz):
        _, harvest = parse_file(zone.file, "rpz", Options(zone=zone.name))
        faults = [example for reason, found in harvest.examples.items() if reason.weight is Weight.ERROR for example in found]
        first = min(faults, key=lambda example: example.line, default=None)
        if "serial" not in harvest.facts:
            where = f"line {first.line}: {first.text}" if first else "the file has no SOA record"
            mistakes.append(Mistake(f"rpz[{number}].file", f"{zone.file} is no policy zone", where))
        elif first is not None:
            remedy = f"line {first.line}: {first.text}"
            mistakes.append(Mistake(f"rpz[{number}].file", f"{harvest.errors} records of {zone.file} cannot be read", remedy))
    if mistakes:
        raise SettingsError(mistakes)


def unused_groups(configuration: Configuration) -> list[str]:
    """Groups of policy zones that no client of the file has, a sentence each: perhaps a slip of the pen, perhaps clients of the pages."""
    known = {str(client.get("group")) for client in configuration.gateway.policy["clients"] if client.get("group")}
    return [
        f"rpz[{number}].groups: không thiết bị nào trong tệp thuộc nhóm '{group}' / no client of this file has group '{group}'"
        for number, zone in enumerate(configuration.lists.rpz)
        for group in zone.groups
        if group not in known
    ]


def show(config: Path | None) -> None:
    """Print the effective settings as YAML, secrets masked. Raises SettingsError."""
    typer.echo(yaml.safe_dump(effective(load(find_file(config))), allow_unicode=True, sort_keys=False, width=120).rstrip())


def effective(configuration: Configuration) -> dict[str, Any]:  # Any: plain YAML values
    """Every setting with its value in force, in the shape of the file."""
    gateway = configuration.gateway
    shown: dict[str, Any] = {"state_dir": str(gateway.state_dir), "dns": _plain(gateway.dns)}
    shown["upstreams"] = _upstreams(gateway.upstreams)
    for name in ("cache", "block", "rate_limit"):
        shown[name] = _plain(getattr(gateway, name))
    shown["rebinding"] = {"allow": [text_of(key) for key in gateway.rebinding_allow]}
    shown["records"] = _plain(gateway.records)
    shown |= _policy(gateway)
    shown["lists"] = [_without_empty(_plain(item)) for item in configuration.lists.lists]
    shown["lists_fetch"] = _plain(configuration.lists.fetch)
    shown["rpz"] = [
        {
            "name": zone.name,
            "file": str(zone.file),
            "policy": ":".join(filter(None, (zone.policy, zone.target))),
            "groups": list(zone.groups),
        }
        for zone in configuration.lists.rpz
    ]
    if configuration.lists.orders_file:
        shown["takedown"] = {"file": str(configuration.lists.orders_file)}
    if configuration.lists.follow:
        shown["takedown"] = {"follow": _plain(configuration.lists.follow)}
    if configuration.admin:
        admin = configuration.admin
        shown["admin"] = {
            "listen": str(admin.listen),
            "database": admin.shown_database,
            "url": admin.url,
            "tls": _plain(admin.tls),
            "trusted_proxies": _plain(admin.trusted_proxies),
        }
        if admin.block_page:
            shown["block_page"] = {"listen": str(admin.block_page)}
        if admin.rpz_out:
            shown["rpz_out"] = {
                "listen": str(admin.rpz_out.listen),
                "zone": admin.rpz_out.zone,
                "keys": [one.name for one in admin.rpz_out.keys],
            }
    if gateway.metrics:
        shown["metrics"] = {"listen": str(gateway.metrics)}
    shown["limits"] = _plain(gateway.limits)
    return shown


def _upstreams(upstreams: UpstreamSettings) -> dict[str, Any]:
    return {
        "servers": [str(server) for server in upstreams.servers],
        "origin": upstreams.origin,
        "strategy": upstreams.strategy,
        "routes": {text_of(key): [str(server) for server in servers] for key, servers in upstreams.routes.items()},
        "timeout": upstreams.timeout,
    }


def _policy(gateway: GatewaySettings) -> dict[str, Any]:
    policy = gateway.policy
    shown = {name: [_masked(_without_empty(_plain(row))) for row in policy[name]] for name in ("sites", "profiles", "clients")}
    shown["rules"] = _without_empty(_plain(policy["rules"]))
    shown["default_profile"] = policy["default_profile"]
    return shown


def _masked(row: Any) -> Any:
    """Mask client tokens: they admit from any address."""
    if isinstance(row, dict) and isinstance(row.get("match"), list):
        return {**row, "match": ["token:***" if str(text).startswith("token:") else text for text in row["match"]]}
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
