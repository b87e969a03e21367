"""`lachan check`. Only `lachan` imports this module."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from gateway.certificatewatch import CertificateState, end_of
from gateway.errors import Mistake, SettingsError
from gateway.policy.model import Band
from gateway.policy.tenant import parse_policy_file
from gateway.servers import FALLBACK_USED
from gateway.standing import describe_unserved
from lachan.configuration import Configuration, find_file, load
from lachan.preparation import own_names


def check(config: Path | None) -> None:
    """Validate everything. Raises SettingsError with every mistake; the caller exits with status 1."""
    path = find_file(config)
    configuration = load(path)
    check_orders(configuration)
    check_zones(configuration)
    notes = [*unused_groups(configuration), *open_default(configuration), *unserved(configuration), *no_system_server(configuration)]
    for note in [*notes, *ending_certificate(configuration, time.time())]:
        typer.echo(f"! {note}")
    lists, profiles = len(configuration.lists.lists), len(configuration.gateway.policy["profiles"])
    typer.echo(f"{path}: hợp lệ, {profiles} hồ sơ, {lists} danh sách thêm. / valid, {profiles} profiles, {lists} lists of your own.")


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
        if zone.primary is not None:  # whether it can be had says `lachan zone refresh`
            continue
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


def ending_certificate(configuration: Configuration, now: float) -> list[str]:
    """A sentence while the certificate of the encrypted listeners has ended, or ends within a fortnight of `now` (unix seconds)."""
    tls = configuration.gateway.tls
    return [f"tls.certificate: {words}" for words in CertificateState(end_of(tls.certificate)).sentences(now)] if tls is not None else []


def no_system_server(configuration: Configuration) -> list[str]:
    """A sentence where nobody is left to be asked but the last resort."""
    return [f"upstreams.servers: {FALLBACK_USED}"] if configuration.gateway.upstreams.origin == "fallback" else []


def open_default(configuration: Configuration) -> list[str]:
    """A sentence where devices that nobody named get an adult's rules although the file has children: what most people do not want."""
    policy = configuration.gateway.policy
    bands = {str(profile["id"]): Band(profile["band"]) for profile in policy["profiles"]}
    default = policy["default_profile"]
    if bands.get(str(default)) is not Band.NL or all(band is Band.NL for band in bands.values()):
        return []
    return [
        f"default_profile: thiết bị chưa đặt tên được luật của người lớn ('{default}'), kể cả điện thoại mới của một em / a device that"
        f" nobody named gets an adult's rules ('{default}'), a child's new phone, too; leave default_profile out for the strictest"
    ]


def unserved(configuration: Configuration) -> list[str]:
    """A sentence for each network of the file that `dns.allow_from` refuses: devices there get no answer at all."""
    return describe_unserved([parse_policy_file(configuration.gateway.policy)], configuration.gateway.dns)
