"""`lachan explain`: which rule decides a name for a client at a moment, and which rules lost. Only `lachan` imports this module.

It loads the generation in force from the state directory, so it needs no running gateway and answers what the workers would. Only who a
device is that is known by its MAC is asked of the running gateway, by the address it asked from.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

import typer

from gateway.clock import VIET_NAM, WallClock
from gateway.control import ask_now
from gateway.errors import ControlError, InvalidName, LachanError
from gateway.links import may_ask, own_networks
from gateway.policy.model import (
    Block,
    Decision,
    Drop,
    EffectivePolicy,
    Local,
    Match,
    Pass,
    Reason,
    Rewrite,
    Rule,
    RuleOrigin,
    TcpOnly,
    Verdict,
)

if TYPE_CHECKING:
    from admin.commands import Label
    from gateway.policy.catalogue import Catalogue
    from gateway.policy.snapshot import Snapshot

LOCAL = "local"
Labels: TypeAlias = "Sequence[Label]"
ORIGINS: dict[RuleOrigin, tuple[str, str]] = {
    RuleOrigin.SYSTEM: ("hệ thống", "the product"),
    RuleOrigin.PROVINCE: ("tỉnh/đơn vị vận hành", "province/operator"),
    RuleOrigin.SCHOOL: ("nhà trường", "school"),
    RuleOrigin.PARENT: ("phụ huynh", "parent"),
    RuleOrigin.MATRIX: ("bảng độ tuổi", "the band's matrix"),
}


class ExplainError(LachanError):
    """The question cannot be answered; one sentence. `vi`: the same in Vietnamese."""

    def __init__(self, words: str, vi: str = "") -> None:
        self.vi = vi
        super().__init__(words)


def explain(config: Path | None, name: str, client: str | None, profile: str | None, at: str | None, qtype: str) -> None:
    """Print the verdict, the one line that decided and the ones that lost. Raises ExplainError."""
    import os

    from blocklists.normalize import Host, normalize_host
    from gateway.policy.engine import ALWAYS_OPEN
    from gateway.policy.snapshot import Snapshot
    from gateway.release import current_number, read_manifest
    from gateway.wire.name import key_from_text
    from lachan.running import state_dir_of

    state_dir = state_dir_of(config)
    number = current_number(state_dir)
    if number is None:
        raise ExplainError(f"there is no generation in {state_dir} yet: make one with lachan lists compile")
    snapshot = Snapshot.load(state_dir, number)
    host = normalize_host(name)
    if (not isinstance(host, Host) and not name.isprintable()) or " " in name.strip():
        raise ExplainError(f"{name[:60]!a} is not a domain name")
    try:
        key = key_from_text(host.name if isinstance(host, Host) else name)
    except InvalidName as error:
        raise ExplainError(str(error)) from None
    moment = parse_moment(at) if at else WallClock.from_environment(os.environ).now()
    labels = read_labels(config)
    match = find_match(snapshot, client, profile, labels)
    is_sure = True
    if client is not None and match.client_id is None:
        rows = rows_at(state_dir, client)
        match, is_sure = seen_match(snapshot, rows) or match, {row.get("client") for row in rows} == {None}
    policy = snapshot.effective(match, moment)
    decision = snapshot.explain(key, type_number(qtype), policy)
    shown = host.name if isinstance(host, Host) and "/" in name else name
    if client is not None and is_turned_away(config, snapshot, client, moment):
        typer.echo(f"{_printable(shown)} {qtype.upper()}: TỪ CHỐI (EDE 18) / REFUSED (EDE 18)")
        typer.echo(f"  {client}: ngoài dns.allow_from, chỉ được trả lời khi hỏi bằng mã riêng (DoT, DoH); khi ấy:")
        typer.echo(f"  {client}: outside dns.allow_from, answered only with a token of its own (DoT, DoH); the rules then:")
    if client is not None and match.client_id is None and not is_sure:
        typer.echo(f"! không biết máy nào ở {client}: nó chưa hỏi cổng lọc đang chạy, hoặc bạn không được hỏi cổng lọc ấy. Máy được nhận")
        typer.echo("  bằng MAC có thể theo quy tắc khác điều dưới đây: hỏi bằng --client MÃ hay --profile")
        typer.echo(f"! it is not known which device is at {client}: it did not ask the running gateway, or you may not ask that. A device")
        typer.echo("  known by its MAC may have other rules than these: ask by --client ID or --profile")
    for line in describe(shown, qtype.upper(), match, policy, moment, decision, labels):
        typer.echo(line)
    for line in apps_of(snapshot.catalogue, key):
        typer.echo(line)
    if isinstance(decision.verdict, Pass) and decision.verdict.reason not in ALWAYS_OPEN:
        see = f"lachan query {_printable(shown)} @CỔNG_LỌC"
        typer.echo(f"  câu trả lời cũng được xét (bí danh, địa chỉ) và có thể bị chặn: xem bằng {see}")
        typer.echo("  the answer is judged, too (aliases, addresses), and may be blocked: that command shows it")
    rule, orders = decision.verdict.rule, read_manifest(state_dir, number).orders
    if rule is not None and rule.kind is Reason.ORDER and orders is not None and orders.origin != "office":
        typer.echo("  theo tệp, do một người viết, không có chữ ký / by file, one person, unsigned")


def parse_moment(text: str) -> float:
    """Read `2026-09-01T21:30`, in Viet Nam time unless it names a zone. Raises ExplainError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        vi = f"'{text[:40]}' không phải một lúc: viết như 2026-09-01T21:30"
        raise ExplainError(f"'{text[:40]}' is not a time: write it as 2026-09-01T21:30", vi) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=VIET_NAM)).timestamp()


def type_number(text: str) -> int:
    """Read a record type. Raises ExplainError."""
    import dns.rdatatype

    try:
        return int(dns.rdatatype.from_text(text.upper()))
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise ExplainError(f"'{text[:20]}' is not a record type: write A, AAAA, HTTPS or TXT") from None


def read_labels(config: Path | None) -> Labels:
    """What the pages call profiles and devices; nothing where there are no pages, or their database cannot be read by this user: the ids
    do as well."""
    from admin.commands import has_database
    from admin.commands import read_labels as read
    from lachan.configuration import find_file, load

    try:
        settings = load(find_file(config), require_files=False).admin
        return tuple(asyncio.run(read(settings))) if settings is not None and has_database(settings) else ()
    except LachanError:
        return ()


def is_turned_away(config: Path | None, snapshot: Snapshot, client: str, moment: float) -> bool:
    """Whether a client given by its address is refused whatever it asks for; False while the file does not say who may ask."""
    from lachan.configuration import find_file, load

    try:
        address = ip_address(client)
        allowed = may_ask(load(find_file(config), require_files=False).gateway.dns, client)
    except (ValueError, LachanError):
        return False
    return not allowed and snapshot.linked(address.packed, moment) is None


def rows_at(state_dir: Path, client: str) -> list[dict[str, object]]:
    """What the running gateway knows of the device at an address; nothing where none runs, this user may not ask it, or it never asked."""
    try:
        address = str(ip_address(client))
        rows = ask_now(state_dir, {"do": "devices", "address": address}, 10.0)["devices"]
    except (ValueError, ControlError, KeyError):
        return []
    return [row for row in rows if not row.get("by_token")]


def seen_match(snapshot: Snapshot, rows: Sequence[Mapping[str, object]]) -> Match | None:
    """Whose policy a device has that the running gateway knows; None for one that nobody named, and where it saw several."""
    if len({(row.get("tenant"), row.get("client")) for row in rows}) != 1 or not rows[0].get("client"):
        return None
    try:
        return snapshot.match_of(str(rows[0]["tenant"]), None, None, str(rows[0]["client"]))
    except KeyError:
        return None


def find_match(snapshot: Snapshot, client: str | None, profile: str | None, labels: Labels = ()) -> Match:
    """Find whose policy is asked about: a client by id, by address or by what the pages call it, a profile, or nobody known. Raises
    ExplainError."""
    if client is not None and profile is not None:
        raise ExplainError("give either --client or --profile", "chỉ ghi --client hoặc --profile")
    tenants = snapshot.tenants
    wanted, known = (client, "clients") if client is not None else (profile, "profiles")
    if client is not None:
        try:
            address = ip_address(client)
            return snapshot.identify(address.packed, is_near=any(address in network for network in own_networks()))
        except ValueError:
            pass
    if wanted is None:
        return snapshot.match_of(LOCAL, None) if LOCAL in tenants else snapshot.identify(ip_address("127.0.0.1").packed)
    for tenant in sorted(tenants, key=lambda id_: id_ != LOCAL):
        try:
            return snapshot.match_of(tenant, profile, None, client)
        except KeyError:
            continue
    alike = [one for one in labels if one.is_profile == (profile is not None) and _fold(one.text) == _fold(wanted)]
    named = [one for one in alike if one.tenant in tenants]
    if len(named) == 1:
        return snapshot.match_of(named[0].tenant, named[0].id if profile else None, None, named[0].id if client else None)
    if named:
        which = "; ".join(f"{one.id} ({one.text}, {one.place})" for one in named[:20])
        raise ExplainError(
            f"several are called '{wanted[:60]}': name one by its id: {which}", f"có nhiều '{wanted[:60]}': ghi mã của một: {which}"
        )
    policy = tenants.get(LOCAL)
    ids = sorted(row.id for row in policy.clients) if policy and client else sorted(policy.profiles) if policy else []
    ids += sorted({one.text for one in labels if one.is_profile == (profile is not None)}, key=_fold)
    vi = {"clients": "thiết bị", "profiles": "hồ sơ"}[known]
    raise ExplainError(
        f"there is no {known[:-1]} '{wanted[:60]}'; there are: {', '.join(ids[:20]) or 'none'}",
        f"không có {vi} '{wanted[:60]}'; có: {', '.join(ids[:20]) or 'chưa có gì'}",
    )


def describe(
    name: str, qtype: str, match: Match, policy: EffectivePolicy, moment: float, decision: Decision, labels: Labels = ()
) -> Iterator[str]:
    """The explanation, line by line: Vietnamese, then English."""
    called = {(one.tenant, one.id): f"{one.text} ({one.id})" for one in labels}
    vi, en = outcome(decision.verdict)
    yield f"{name} {qtype}: {vi} / {en}"
    owner = called.get((policy.tenant, policy.profile_id), policy.profile_id)
    device = called.get((policy.tenant, match.client_id or ""), match.client_id)
    who = f"{device} → {owner}" if match.client_id else owner or "khách / guest"
    if not match.known and match.profile:
        who += " · máy chưa có tên / a device without a name"
    if match.by == "disputed":
        who += " · nhiều nơi cùng nhận địa chỉ này, hoặc nó nằm ngoài nơi của mình: xem lachan check"
        who += " / several claim this address, or it is outside its own site: see lachan check"
    local = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
    yield f"  cho / for: {who} ({policy.band}), lúc / at {local:%Y-%m-%dT%H:%M}"
    rule = decision.verdict.rule
    if rule is not None:
        yield f"  quyết định / decided by: {line_of(rule)}"
    else:
        yield "  quyết định / decided by: không quy tắc nào nói tới tên này / no rule speaks about this name"
    if decision.categories:
        yield f"  nhóm / categories: {', '.join(decision.categories)}"
    for lost in decision.lost:
        yield f"  thua / lost: {line_of(lost)}"


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


def apps_of(catalogue: Catalogue, key: str) -> Iterator[str]:
    """The apps of the catalogue that a name belongs to, those of its longest host name; it is told where nobody checked all their names."""
    ends = [end for end, letter in enumerate(key, 1) if letter == "."]
    for end in reversed(ends):
        hosted = [service for coverage, service in catalogue.hosts.get(key[:end], ()) if coverage.covers(end == len(key))]
        for service in hosted:
            unchecked = "" if service.verified else ": địa chỉ chưa kiểm hết / not all of its addresses were checked"
            yield f"  ứng dụng / app: {service.name_vi}{unchecked}"
        if hosted:
            return


def outcome(verdict: Verdict) -> tuple[str, str]:
    """The verdict in words (Vietnamese, English)."""
    if isinstance(verdict, Pass):
        return "MỞ", "OPEN"
    if isinstance(verdict, Block):
        return f"CHẶN (EDE {verdict.ede})", f"BLOCKED (EDE {verdict.ede})"
    if isinstance(verdict, Rewrite):
        return f"CHUYỂN SANG {verdict.target}", f"LED TO {verdict.target}"
    if isinstance(verdict, Local):
        return "TRẢ LỜI TẠI CHỖ", "ANSWERED HERE"
    if isinstance(verdict, Drop):
        return "KHÔNG TRẢ LỜI", "NOT ANSWERED"
    assert isinstance(verdict, TcpOnly)
    return "CHỈ QUA TCP", "OVER TCP ONLY"


def line_of(rule: Rule) -> str:
    """One line for a rule: who, rule, basis, list, version."""
    vi, en = ORIGINS[rule.origin]
    parts = [f"{vi} / {en}", rule.text, rule.issuer, rule.basis, rule.source, rule.version]
    return _printable(" · ".join(part for part in parts if part))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
