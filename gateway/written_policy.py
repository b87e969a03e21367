"""The local policy as a person writes it (profiles, clients, sites, rules) and as the policy package takes it.

The same keys, named the same way, so that a mistake found by `gateway.policy.tenant` has the path of the file. Only `written.py`,
`configuration.py` and the reference of the keys may import this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator

from gateway.sections import AddressText, Identifier, NetworkText, Section, Text, key

if TYPE_CHECKING:
    from gateway.written import GatewayFile

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Switch = Literal["allow", "block"]
BandCode = Literal["MN", "TH", "CS", "PT", "NL", "KH"]


def _youtube(value: object) -> object:
    return "off" if value is False else value


def _effect(value: object) -> object:
    if value == "offline":
        return value
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("block", "only"):
        codes = next(iter(value.values()))
        if isinstance(codes, list) and all(isinstance(code, str) for code in codes):
            return value
    raise ValueError("must be offline, {block: [categories]} or {only: [categories]}")


YouTube = Annotated[Literal["strict", "moderate", "off"], BeforeValidator(_youtube)]
Effect = Annotated[Any, PlainValidator(_effect)]  # Any: "offline" or a one-key section, made by the validator


class BlockFile(Section):
    """block:"""

    mode: Literal["zero", "nxdomain", "nodata", "refused", "page"] = key(
        "zero",
        "Cách trả lời khi chặn: zero (0.0.0.0), nxdomain, nodata, refused, page (địa chỉ trang giải thích).",
        "How a block is answered: zero (0.0.0.0), nxdomain, nodata, refused, page (the address of the explaining page).",
        "zero",
    )
    ttl: int = key(10, "TTL của câu trả lời chặn (giây).", "TTL of a block (seconds).", "10", ge=0, le=86_400)
    page_address: list[AddressText] = key(
        [], "Địa chỉ của trang giải thích, cho kiểu page.", "Address of the explaining page, for mode page.", '["192.168.1.2"]'
    )


class DatesFile(Section):
    """schedule[].dates[]"""

    start: Text = key(..., "Ngày đầu.", "First day.", "2026-06-01", alias="from")
    end: Text = key(..., "Ngày cuối (tính cả ngày này).", "Last day (included).", "2026-08-31", alias="to")


class WindowFile(Section):
    """schedule[]"""

    name: Text = key(..., "Tên của khung giờ, để giải thích.", "Name of the window, for explanations.", "giờ ngủ")
    days: list[Day] = key(
        [],
        "Ngày trong tuần; bỏ trống là mọi ngày. Khung qua nửa đêm thuộc về ngày bắt đầu.",
        "Days of the week; left out, every day. A window over midnight belongs to the day it starts.",
        "[mon, tue, wed, thu, fri]",
    )
    dates: list[DatesFile] = key([], "Chỉ trong những ngày này.", "Only within these dates.", "[{from: 2026-06-01, to: 2026-08-31}]")
    start: Text = key(..., "Giờ bắt đầu (HH:MM).", "Start (HH:MM).", '"21:00"', alias="from")
    end: Text = key(
        ...,
        "Giờ kết thúc (HH:MM; 24:00 được phép; nhỏ hơn giờ bắt đầu là sang hôm sau).",
        "End (HH:MM; 24:00 is allowed; before the start means the next day).",
        '"06:00"',
        alias="to",
    )
    time_zone: Text | None = key(None, "Múi giờ; bỏ trống là của điểm sử dụng.", "Time zone; left out, the site's.", "Asia/Ho_Chi_Minh")
    effect: Effect = key(
        ...,
        "offline, {block: [nhóm]} hoặc {only: [nhóm]}.",
        "offline, {block: [categories]} or {only: [categories]}.",
        "{block: [social, game, video]}",
    )


class OverrideFile(Section):
    """overrides[]"""

    id: Identifier = key(..., "Mã của lần mở hay tắt tạm.", "Id of the override.", "bonus-1")
    kind: Literal["off", "open", "exception", "window"] = key(
        ...,
        "off: chặn tất cả (trừ trợ giúp); open: mở nhóm hay dịch vụ; exception: mở tên miền; "
        "window: giáo viên mở cho lớp (tối đa 90 phút).",
        "off: everything blocked (help stays open); open: categories or services opened; exception: names opened; "
        "window: a teacher's (90 minutes at most).",
        "open",
    )
    start: Text | None = key(None, "Từ lúc (ISO, có múi giờ).", "From (ISO time with zone).", '"2026-09-05T16:00:00+07:00"', alias="from")
    until: Text = key(..., "Đến lúc (ISO, có múi giờ).", "Until (ISO time with zone).", '"2026-09-05T17:00:00+07:00"')
    names: list[Text] = key([], "Tên miền được mở.", "Names opened.", "[taphuan.example]")
    categories: list[Text] = key([], "Nhóm được mở.", "Categories opened.", "[game]")
    services: list[Text] = key([], "Dịch vụ được mở.", "Services opened.", "[youtube]")


class RulesFile(Section):
    """rules:"""

    categories: dict[str, Switch] = key({}, "Mở (allow) hoặc chặn (block) theo nhóm.", "Allow or block by category.", "{game: allow}")
    services: dict[str, Switch] = key(
        {}, "Mở hoặc chặn theo dịch vụ trong danh mục.", "Allow or block by service of the catalogue.", "{youtube: block}"
    )
    allow: list[Text] = key(
        [],
        "Tên miền mở: x (cả tên con), =x (chỉ tên đó), *.x (chỉ tên con), /biểu thức RE2/.",
        "Names opened: x (and below), =x (alone), *.x (below only), /RE2 expression/.",
        "[taphuan.example]",
    )
    deny: list[Text] = key([], "Tên miền chặn, cùng cách viết.", "Names blocked, written the same way.", '["*.bad.example", exact.example]')
    schedule: list[WindowFile] = key(
        [], "Các khung giờ.", "Windows of time.", '[{name: giờ ngủ, days: [mon], from: "21:00", to: "06:00", effect: offline}]'
    )
    overrides: list[OverrideFile] = key(
        [],
        "Mở hay tắt tạm, có giờ kết thúc.",
        "Timed exceptions, each with its end.",
        '[{id: bonus-1, kind: open, until: "2026-09-05T17:00:00+07:00", categories: [game]}]',
    )


class ProfileFile(RulesFile):
    """profiles[]"""

    id: Identifier = key(..., "Mã của hồ sơ.", "Id of the profile.", "lop-3a")
    band: BandCode = key(
        ...,
        "Độ tuổi: MN (3-5), TH (6-10), CS (11-14), PT (15-17), NL (người lớn), KH (chưa rõ).",
        "Age band: MN (3-5), TH (6-10), CS (11-14), PT (15-17), NL (adult), KH (unknown).",
        "TH",
    )
    owner: Literal["province", "school", "parent"] | None = key(
        None,
        "Ai đặt hồ sơ này. Bỏ trống: nhà trường nếu có site, nếu không là phụ huynh.",
        "Whose profile it is. Left out: the school's when it has a site, else the parent's.",
        "parent",
    )
    site: Identifier | None = key(None, "Điểm sử dụng của hồ sơ.", "Site the profile belongs to.", "truong-a")
    safe_search: bool | None = key(None, "Tìm kiếm an toàn; bỏ trống là theo độ tuổi.", "Safe search; left out, as the band says.", "true")
    youtube: YouTube | None = key(None, "Chế độ hạn chế của YouTube.", "YouTube's restricted mode.", "strict")
    uncategorised: Switch | None = key(
        None, "Tên không thuộc nhóm nào; block là chỉ mở danh sách cho phép.", "Names in no category; block means allow-list only.", "allow"
    )
    canaries: bool | None = key(
        None,
        "Tắt DNS riêng của trình duyệt (Firefox, iCloud, Chrome).",
        "Switch off the browser's own DNS (Firefox, iCloud, Chrome).",
        "true",
    )
    block: BlockFile | None = key(
        None, "Cách trả lời khi chặn, riêng hồ sơ này.", "How a block is answered for this profile.", "{mode: nxdomain}"
    )
    activity: Literal["off", "aggregate", "history"] = key(
        "off",
        "Ghi nhận gì: không gì cả, chỉ số đếm, hay lịch sử (cần đồng ý).",
        "What is kept: nothing, counts only, or history (needs consent).",
        "aggregate",
    )


class SiteFile(Section):
    """sites[]"""

    id: Identifier = key(..., "Mã của điểm sử dụng.", "Id of the site.", "truong-a")
    site_class: Text = key("home", "Loại: home, school hoặc một từ khác.", "Class: home, school or another word.", "school", alias="class")
    bands: list[BandCode] = key(
        [], "Các độ tuổi ở đây; máy lạ theo độ tuổi nhỏ nhất.", "Bands served here; unknown devices get the strictest.", "[TH, NL]"
    )
    time_zone: Text = key("Asia/Ho_Chi_Minh", "Múi giờ.", "Time zone.", "Asia/Ho_Chi_Minh")
    listen: list[AddressText] = key(
        [], "Địa chỉ của cổng lọc dành cho điểm này.", "Addresses of the gateway that serve this site.", "[192.168.1.2]"
    )
    networks: list[NetworkText] = key([], "Mạng của điểm này.", "Networks of this site.", "[10.1.0.0/16]")
    rules: RulesFile | None = key(
        None, "Quy định của nhà trường cho mọi hồ sơ ở đây.", "The school's rules for every profile here.", "{deny: [bad.example]}"
    )
    place: Text | None = key(
        None,
        "Mã tỉnh hoặc xã của điểm này; bỏ trống thì theo place chung.",
        "Code of the province or commune of this site; left out, the place of the file.",
        '"12.03385"',
    )


class ClientFile(Section):
    """clients[]"""

    id: Identifier = key(..., "Mã của thiết bị hay nhóm thiết bị.", "Id of the device or group of devices.", "class-3a")
    profile: Identifier = key(..., "Hồ sơ áp dụng.", "Profile that applies.", "lop-3a")
    group: Text | None = key(None, "Nhóm, để thống kê và cho vùng RPZ.", "Group, for counting and for RPZ zones.", "school")
    site: Identifier | None = key(None, "Điểm sử dụng.", "Site.", "truong-a")
    match: list[Text] = key(
        ...,
        "Nhận ra bằng: địa chỉ, mạng, mac:…, token:… (tên SNI hoặc đoạn đường dẫn DoH).",
        "Known by: address, network, mac:…, token:… (SNI label or DoH path segment).",
        '[10.1.0.0/16, "mac:02:00:00:00:00:01", "token:k3j9"]',
    )


def policy_of(written: GatewayFile) -> dict[str, Any]:
    """Write the local policy in the form of a tenant's policy file (JSON values only, canonical defaults left to its reader)."""
    return {
        "format": 1,
        "tenant": "local",
        "kind": "operator",
        "site_class": written.sites[0].site_class if written.sites else "home",
        "rules": _rules(written.rules) if written.rules else None,
        "sites": [_site(site) for site in written.sites],
        "block": written.block.model_dump(),
        "default_profile": written.default_profile,
        "profiles": [_profile(profile) for profile in written.profiles],
        "clients": [client.model_dump() for client in written.clients],
    } | ({"place": written.place} if written.place else {})


def _rules(rules: RulesFile) -> dict[str, Any]:
    return {
        "categories": dict(rules.categories),
        "services": dict(rules.services),
        "allow": list(rules.allow),
        "deny": list(rules.deny),
        "schedule": [
            {
                "name": window.name,
                "days": list(window.days),
                "dates": [{"from": dates.start, "to": dates.end} for dates in window.dates],
                "from": window.start,
                "to": window.end,
                "time_zone": window.time_zone,
                "effect": window.effect,
            }
            for window in rules.schedule
        ],
        "overrides": [{**override.model_dump(exclude={"start"}), "from": override.start} for override in rules.overrides],
    }


def _profile(profile: ProfileFile) -> dict[str, Any]:
    own = {"id", "band", "site", "safe_search", "youtube", "uncategorised", "canaries", "activity"}
    return {
        **_rules(profile),
        **profile.model_dump(include=own),
        "owner": profile.owner or ("school" if profile.site else "parent"),
        "block": profile.block.model_dump() if profile.block else None,
    }


def _site(site: SiteFile) -> dict[str, Any]:
    return {
        "id": site.id,
        "class": site.site_class,
        "bands": list(site.bands),
        "time_zone": site.time_zone,
        "listen": list(site.listen),
        "networks": [str(network) for network in site.networks],
        "rules": _rules(site.rules) if site.rules else None,
    } | ({"place": site.place} if site.place else {})
