"""`lachan check`. Only `lachan` imports this module."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer

from gateway.certificatetrust import doubt_of, doubt_told
from gateway.certificatewatch import CertificateState, end_of
from gateway.errors import Mistake, SettingsError
from gateway.policy.claims import text_of, wider_than_site
from gateway.policy.model import Band
from gateway.policy.tenant import parse_policy_file
from gateway.servers import FALLBACK_USED
from gateway.settings import Endpoint
from gateway.standing import describe_unserved
from lachan.configuration import Configuration, find_file, load
from lachan.preparation import own_names

LONGEST_TIMEOUT: Final = 10.0
"""Seconds that one attempt at an upstream may sensibly take; clients give up after five or so."""


def check(config: Path | None) -> None:
    """Validate everything. Raises SettingsError with every mistake; the caller exits with status 1."""
    path = find_file(config)
    configuration = load(path)
    check_orders(configuration)
    check_zones(configuration)
    check_ports(configuration)
    notes = [*odd_values(configuration), *unused_groups(configuration), *open_default(configuration), *unserved(configuration)]
    notes += too_wide(configuration)
    notes += no_system_server(configuration)
    notes += no_page_for_children(configuration)
    for note in [*notes, *ending_certificate(configuration, time.time()), *refused_certificate(configuration, datetime.now(UTC))]:
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


def check_ports(configuration: Configuration) -> None:
    """Raises SettingsError for a port that two sections want: the program would not start."""
    gateway, admin = configuration.gateway, configuration.admin
    streams: list[tuple[str, Endpoint]] = [("dns.listen", each) for each in gateway.dns.listen]
    streams += [("dot.listen", each) for each in (gateway.dot.listen if gateway.dot else ())]
    streams += [("doh.listen", each) for each in (gateway.doh.listen if gateway.doh else ())]
    streams += [("metrics.listen", gateway.metrics)] if gateway.metrics else []
    streams += [("admin.listen", admin.listen)] if admin else []
    streams += [("block_page.listen", admin.block_page)] if admin and admin.block_page else []
    datagrams: list[tuple[str, Endpoint]] = [("dns.listen", each) for each in gateway.dns.listen]
    datagrams += [("doq.listen", each) for each in (gateway.doq.listen if gateway.doq else ())]
    mistakes: dict[tuple[str, str], Mistake] = {}
    for taken in (streams, datagrams):
        for (one, first), (two, second) in combinations(taken, 2):
            if one != two and _is_same_port(first, second):
                remedy = f"choose another port; {one} has {first}"
                mistakes.setdefault((one, two), Mistake(two, f"{second} is taken by {one} already", remedy))
    if mistakes:
        raise SettingsError(list(mistakes.values()))


def _is_same_port(one: Endpoint, two: Endpoint) -> bool:
    everywhere = {"0.0.0.0", "::"}
    is_alike = one.host == two.host or ((":" in one.host) == (":" in two.host) and bool({one.host, two.host} & everywhere))
    return one.port == two.port != 0 and is_alike


def odd_values(configuration: Configuration) -> list[str]:
    """A sentence for each value that can be meant but hardly ever is."""
    found = []
    timeout = configuration.gateway.upstreams.timeout
    if timeout > LONGEST_TIMEOUT:
        found.append(
            f"upstreams.timeout: {timeout:g} GIÂY; nhiều hơn {LONGEST_TIMEOUT:g} giây thì không ai chờ (mili giây viết 1500ms)"
            f" / {timeout:g} SECONDS; nobody waits longer than {LONGEST_TIMEOUT:g} (milliseconds are written 1500ms)"
        )
    if not configuration.lists.fetch.allow_private:
        for number, item in enumerate(configuration.lists.lists):
            host = urlsplit(item.url).hostname or "" if item.url else ""
            if _is_inner(host):
                found.append(
                    f"lists[{number}].url: {host} nằm trong mạng nội bộ, sẽ không tải: đặt lists_fetch.allow_private nếu đúng ý"
                    f" / {host} is an address of the inner network and will not be fetched: set lists_fetch.allow_private if that is meant"
                )
    return found


def _is_inner(host: str) -> bool:
    from blocklists.fetch import is_public

    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


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


def refused_certificate(configuration: Configuration, now: datetime, authorities: Path | None = None) -> list[str]:
    """A sentence while phones refuse the certificate of the encrypted listeners at `now`. `authorities`: a PEM file instead of the
    system's."""
    gateway = configuration.gateway
    if gateway.tls is None or not (gateway.dot or gateway.doh or gateway.doq):
        return []
    told = doubt_told(gateway.tls, doubt_of(gateway.tls, now, authorities))
    return [f"tls.certificate: {told}"] if told else []


def no_system_server(configuration: Configuration) -> list[str]:
    """A sentence where nobody is left to be asked but the last resort."""
    return [f"upstreams.servers: {FALLBACK_USED}"] if configuration.gateway.upstreams.origin == "fallback" else []


def no_page_for_children(configuration: Configuration) -> list[str]:
    """A sentence where there are pages but none that a child's device could open: no why, no asking, no way to help."""
    if configuration.admin is None:
        return []
    from admin.setup import children_at

    if children_at(configuration.admin, is_hosted=True):
        return []
    hosts = [each.host for each in configuration.gateway.dns.listen if _is_reached(each.host)]
    line = f'block_page: {{listen: "{next(iter(hosts), "192.168.1.2")}:80"}}'
    return [
        "block_page: các trang chỉ mở được trên chính máy này, máy của trẻ không mở được trang nào để biết vì sao bị chặn và xin phép."
        " Thêm vào tệp này rồi khởi động lại / the pages answer on this machine alone: no child's device can open one to see why something"
        f" is blocked, and to ask. Add to this file, then restart: {line}"
    ]


def _is_reached(host: str) -> bool:
    return not (ip_address(host).is_loopback or ip_address(host).is_unspecified)


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


def too_wide(configuration: Configuration) -> list[str]:
    """A sentence for each client whose network reaches beyond its own site: the devices in the rest are not that client."""
    return [
        f"clients[{number}].match: {text_of(network)} rộng hơn các mạng của sites '{site.id}'; máy ở phần thừa KHÔNG theo thiết bị này. Thu"
        f" hẹp lại, hoặc thêm mạng ấy vào nơi đó / {text_of(network)} is wider than the networks of its site '{site.id}'; devices in the"
        " rest are NOT this client. Narrow it, or add that network to the site"
        for number, network, site in wider_than_site(parse_policy_file(configuration.gateway.policy))
    ]


def unserved(configuration: Configuration) -> list[str]:
    """A sentence for each network of the file that `dns.allow_from` refuses: devices there get no answer at all."""
    return describe_unserved([parse_policy_file(configuration.gateway.policy)], configuration.gateway.dns)
