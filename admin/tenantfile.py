"""One family or school as one YAML file: what the file may say, and writing it.

The file holds what people set: places, profiles, hours, switches, names, devices, dates, choices. It never holds passwords, PINs, keys for
programs, who signed in, requests, histories or figures. The private name of a phone (its token) is a secret: it is written only when
somebody chose so, else as `phone: new`, and the import then gives the phone a new one. Pure; `admin.tenantreading` reads and judges a
file, `admin.importing` puts it in place.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator

from admin.catalogue import Shelf
from admin.choices import Choices
from admin.dates import MOST_DATES
from admin.errors import InvalidInput
from admin.forms import clean
from admin.hours import MOST_HOURS, MOST_LESSONS
from admin.names import MOST_NAMES
from admin.onboarding import token_of
from admin.policyfile import TenantRows
from admin.profiles import LABEL_LENGTH, Profile, strictest_band
from admin.switches import check_switch
from admin.values import DeviceMatch, NameEffect, SwitchKind
from gateway.policy.model import Band
from gateway.sections import Identifier, Section, Text, key
from gateway.yamlfile import text_of_scalar

FORMAT = 1
MOST_PROFILES, MOST_DEVICES, MOST_SITES, MOST_NETWORKS = 400, 2000, 50, 100
NEW_TOKEN = "new"

HEAD = """\
# Lá Chắn DNS: một gia đình hoặc một trường. / One family or school.
# Có: nơi, hồ sơ, giờ, công tắc, tên, thiết bị, ngày riêng, lựa chọn. Không có: mật khẩu, PIN, khóa, đề nghị, lịch sử, số đếm.
# Holds places, profiles, hours, switches, names, devices, dates, choices. No passwords, PINs, keys, requests, histories, counts.
# "phone: new": khi nhập, điện thoại nhận tên riêng mới và phải cài lại. / On import the phone gets a new private name and is set up again.
"""


def _line(value: object) -> object:
    value = text_of_scalar(value)
    return " ".join(clean(value).split()) if isinstance(value, str) else value


def _short(text: str) -> str:
    if not 1 <= len(text) <= LABEL_LENGTH:
        raise ValueError(f"must have 1 to {LABEL_LENGTH} letters")
    return text


def _time(text: str) -> str:
    hours, _, minutes = text.partition(":")
    right = len(hours) == 2 == len(minutes) and hours.isdigit() and minutes.isdigit() and hours.isascii() and minutes.isascii()
    if not (right and ((int(hours) < 24 and int(minutes) < 60) or text == "24:00")):
        raise ValueError("must be a time such as 21:00")
    return text


def _day(value: object) -> object:
    try:
        return date.fromisoformat(str(text_of_scalar(value)))
    except ValueError:
        raise ValueError("must be a day such as 2026-12-21") from None


Label = Annotated[str, BeforeValidator(_line), AfterValidator(_short)]
Clock = Annotated[Text, AfterValidator(_time)]
Day = Annotated[date, BeforeValidator(_day)]
State = Literal["allow", "block"]


class HoursFile(Section):
    """hours[]"""

    days: Literal["school", "weekend", "summer", "holiday", "exam", "every", "mon", "tue", "wed", "thu", "fri", "sat", "sun"] = key(
        ..., "Ngày.", "Days.", "school"
    )
    starts: Clock = key(..., "Từ.", "From.", '"21:00"', alias="from")
    ends: Clock = key(..., "Đến.", "To.", '"06:00"', alias="to")
    effect: Literal["rest", "study", "offline"] = key(..., "Tác dụng.", "Effect.", "offline")


class DeviceFile(Section):
    """devices[]"""

    id: Identifier | None = key(None, "Mã.", "Id.", "k2…")
    label: Label = key(..., "Tên gọi.", "Label.", "Máy tính bảng")
    match: list[Text] = key([], "Địa chỉ, mạng hoặc MAC.", "Addresses, networks or MACs.", '["192.168.1.20"]', max_length=20)
    phone: Text | None = key(None, "new, hoặc tên riêng.", "new, or its private name.", "new")


class ProfileFile(Section):
    """profiles[]"""

    id: Identifier | None = key(None, "Mã.", "Id.", "k2…")
    kind: Literal["child", "class", "adult", "guest"] = key(..., "Loại.", "Kind.", "child")
    label: Label = key(..., "Tên gọi.", "Label.", "Bi")
    band: Literal["MN", "TH", "CS", "PT", "NL", "KH"] = key(..., "Độ tuổi.", "Band.", "TH")
    site: Identifier | None = key(None, "Nơi.", "Place.", "k2…")
    safe_search: bool | None = key(None, "Tìm kiếm an toàn.", "Safe search.", "true")
    youtube: Literal["strict", "moderate", "off"] | None = key(None, "YouTube.", "YouTube.", "strict")
    uncategorised: Literal["allow", "block"] | None = key(None, "Trang chưa phân loại.", "Uncategorised sites.", "allow")
    hours: list[HoursFile] = key([], "Giờ.", "Hours.", "[]", max_length=MOST_HOURS + MOST_LESSONS)
    categories: dict[Text, State] = key({}, "Nhóm.", "Categories.", "{soc: block}", max_length=200)
    services: dict[Text, State] = key({}, "Ứng dụng.", "Services.", "{zalo: allow}", max_length=500)
    allow: list[Text] = key([], "Tên luôn mở.", "Names always open.", "[]", max_length=MOST_NAMES)
    deny: list[Text] = key([], "Tên luôn chặn.", "Names always blocked.", "[]", max_length=MOST_NAMES)
    devices: list[DeviceFile] = key([], "Thiết bị.", "Devices.", "[]", max_length=MOST_DEVICES)


class SiteFile(Section):
    """sites[]"""

    id: Identifier | None = key(None, "Mã.", "Id.", "k2…")
    name: Label = key(..., "Tên.", "Name.", "Nhà")
    networks: list[Text] = key([], "Mạng.", "Networks.", '["192.168.1.0/24"]', max_length=MOST_NETWORKS)


class DatesFile(Section):
    """dates[]"""

    kind: Literal["exam", "holiday", "summer"] = key(..., "Loại.", "Kind.", "exam")
    label: Annotated[str, BeforeValidator(_line)] = key("", "Tên gọi.", "Label.", "Thi học kỳ", max_length=60)
    first: Day = key(..., "Từ ngày.", "First day.", "2026-12-21", alias="from")
    last: Day = key(..., "Đến ngày.", "Last day.", "2026-12-25", alias="to")


class ChoicesFile(Section):
    """choices:"""

    cooling_minutes: int = key(0, "Chờ trước khi mở.", "Wait before opening.", "0")
    mail: Text = key("", "Thư báo.", "Mail for notices.", "")
    digest: bool = key(False, "Thư hằng tuần.", "Weekly letter.", "false")
    hook: Text | None = key(None, "Webhook.", "Webhook.", "")


class TenantFile(Section):
    """The whole file."""

    format: Literal[1] = key(..., "Bản của định dạng.", "Version of the format.", "1")
    kind: Literal["family", "school"] = key(..., "Gia đình hay trường.", "Family or school.", "family")
    name: Annotated[str, BeforeValidator(_line)] = key("", "Tên.", "Name.", "Nhà mình", max_length=120)
    written_at: Text = key("", "Ghi lúc.", "Written at.", "")
    choices: ChoicesFile = key(ChoicesFile(), "Lựa chọn.", "Choices.", "{}")
    dates: list[DatesFile] = key([], "Ngày riêng.", "Own dates.", "[]", max_length=MOST_DATES)
    sites: list[SiteFile] = key(..., "Nơi.", "Places.", "[]", min_length=1, max_length=MOST_SITES)
    profiles: list[ProfileFile] = key(..., "Hồ sơ.", "Profiles.", "[]", min_length=1, max_length=MOST_PROFILES)


def write_tenant(rows: TenantRows, name: str, choices: Choices, shelf: Shelf, now: datetime, *, secrets: bool = False) -> str:
    """The file of a tenant: the same rows at the same moment give the same text. `secrets`: with the private names of phones and the
    webhook, so that phones need not be set up again; the file is then as private as they are."""
    strictest = strictest_band(list(rows.profiles))
    document: dict[str, Any] = {  # Any: plain values of YAML
        "format": FORMAT,
        "kind": rows.kind.value,
        "name": name,
        "written_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "choices": {"cooling_minutes": choices.cooling_minutes, "mail": choices.mail, "digest": choices.digest}
        | ({"hook": choices.hook} if secrets else {}),
        "dates": [
            {"kind": one.kind.value, "label": one.label, "from": one.first.isoformat(), "to": one.last.isoformat()} for one in rows.dates
        ],
        "sites": [{"id": site.id, "name": site.name, "networks": list(site.networks)} for site in rows.sites],
        "profiles": [_profile_text(profile, rows, shelf, strictest, secrets) for profile in rows.profiles],
    }
    return HEAD + yaml.dump(document, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Values are written out, never as anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _profile_text(profile: Profile, rows: TenantRows, shelf: Shelf, strictest: Band, secrets: bool) -> dict[str, Any]:
    own, names = rows.switches.get(profile.id, {}), rows.names.get(profile.id, ())
    switches: dict[SwitchKind, dict[str, str]] = {kind: {} for kind in SwitchKind}
    for (kind, code), state in sorted(own.items()):
        try:  # what the catalogue lost, or the law locked since, is not carried on
            check_switch(shelf, profile, strictest, kind, code, state)
        except InvalidInput:
            continue
        switches[kind][code] = state.value
    found: dict[str, Any] = {
        "id": profile.id,
        "kind": profile.kind.value,
        "label": profile.label,
        "band": profile.band.value,
        "site": profile.site_id,
        "safe_search": profile.safe_search,
        "youtube": profile.youtube,
        "uncategorised": profile.uncategorised,
        "hours": [
            {"days": row.days.value, "from": row.starts, "to": row.ends, "effect": row.effect.value}
            for row in rows.hours.get(profile.id, ())
        ],
        "categories": switches[SwitchKind.CATEGORY],
        "services": switches[SwitchKind.SERVICE],
        "allow": sorted(rule.pattern for rule in names if rule.effect is NameEffect.ALLOW),
        "deny": sorted(rule.pattern for rule in names if rule.effect is NameEffect.DENY),
        "devices": [],
    }
    for device in sorted(rows.devices, key=lambda device: (device.label, [match.text() for match in device.matches])):
        if device.profile_id != profile.id:
            continue
        token = token_of(device)
        matches = [match.text() for match in device.matches if match.kind is not DeviceMatch.TOKEN]
        phone = {} if token is None else {"phone": token if secrets else NEW_TOKEN}
        found["devices"].append({"id": device.id, "label": device.label, "match": matches, **phone})
    return {name: value for name, value in found.items() if value not in (None, [], {})}
