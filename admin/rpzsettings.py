"""Settings of the list for other people's resolvers: `rpz_out`, as written and resolved. Used by `admin.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from blocklists.transferkeys import TransferKey, TransferKeyFile, read_transfer_key
from gateway.errors import Mistake, StartError
from gateway.policy.model import CHILD_BANDS, Band
from gateway.sections import EndpointText, NameText, NetworkText, Section, Text, key
from gateway.settings import Endpoint, Network, TlsSettings
from gateway.tls import try_files
from gateway.written_policy import BandCode
from gateway.yamlfile import Document

if TYPE_CHECKING:  # every command reads the settings: what makes zones is loaded where there is one
    from blocklists.categoryzone import Offer

ZoneCategory = Literal["order", "scam", "gamb", "porn", "groom", "self", "drug", "gore", "terror", "malware", "dist"]
"""Categories of orders that may stand in a zone: all but the masked one."""
ListCategory = Literal[
    "scam", "malware", "terror", "porn", "gamb", "drug", "weap", "self", "groom", "gore", "viol", "bully", "dating", "vape", "alco",
    "pirate", "loan", "crypto", "occult", "bypass", "encdns", "game00", "game12", "game16", "game18", "game", "social", "short", "live",
    "video", "chat", "aichat", "shop", "ads", "cheat", "search", "newdom",
]  # fmt: skip
"""Categories of lists that may be zones: not the masked one, not those that orders alone fill, not those that open."""
CHILDREN: Final = frozenset({Band.MN, Band.TH, Band.CS, Band.PT})


@dataclass(frozen=True, slots=True)
class Follower:
    """A resolver that is told of every new serial."""

    address: str
    port: int
    key: str | None


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a zone is for: the bands of those who ask the resolver, and its place or organisation where it is for one (empty: not said);
    and of which categories its entries are (none named: of all)."""

    bands: frozenset[Band] = CHILDREN
    place: str = ""
    organisation: str = ""
    categories: frozenset[str] = frozenset()

    def is_bound(self, places: str | None, organisations: str | None, bands: str | None, category: str = "") -> bool:
        """Whether an order (lists with commas, as they are stored; empty: not narrowed) binds everybody the zone is for, and is of a
        category of the zone."""
        if self.categories and category not in self.categories:
            return False
        if not self.bands <= (frozenset(map(Band, bands.split(","))) if bands else CHILD_BANDS):
            return False
        if not places and not organisations:
            return True
        # A part of the place is not the place: who asks from elsewhere would be blocked, too.
        here = any(f"{self.place}.".startswith(f"{one}.") for one in (places or "").split(",") if one and self.place)
        return here or bool(self.organisation and self.organisation in (organisations or "").split(","))


@dataclass(frozen=True, slots=True)
class RpzOutSettings:
    """The list as policy zones: where they are served, their names and whom each is for, and who may have them."""

    listen: Endpoint
    zones: tuple[tuple[str, Audience], ...]
    keys: tuple[TransferKey, ...] = ()
    open_to: tuple[Network, ...] = ()
    secondaries: tuple[Follower, ...] = ()
    secure_listen: Endpoint | None = None
    tls: TlsSettings | None = None
    offers: tuple[Offer, ...] = ()
    """Categories of the lists, each a zone of its own."""
    scopes: tuple[tuple[str, frozenset[str]], ...] = ()
    """Keys that are for some zones only, with those."""


class RpzOutTlsFile(Section):
    """rpz_out.tls:"""

    listen: EndpointText = key(..., "Địa chỉ phục vụ qua TLS.", "Address that serves over TLS.", '"192.0.2.1:8853"')
    certificate: Text = key(..., "Tệp chuỗi chứng chỉ (PEM).", "File of the certificate chain (PEM).", "cert.pem")
    key_file: Text = key(..., "Tệp khóa riêng (PEM).", "File of the private key (PEM).", "key.pem", alias="key")


class FollowerKeyFile(TransferKeyFile):
    """rpz_out.keys[]"""

    zones: list[NameText] = key(
        [],
        "Các vùng mà khóa này được nhận (cả vùng nhóm); trống: mọi vùng.",
        "The zones that this key may have (those of categories, too); empty: all.",
        "[rpz-12.lachan.example.vn]",
    )


class SecondaryFile(Section):
    """rpz_out.secondaries[]"""

    address: Text = key(..., "Địa chỉ máy phân giải được báo.", "Address of a resolver that is told.", "192.0.2.53")
    port: int = key(53, "Cổng của máy đó.", "Its port.", "53")
    key_name: NameText | None = key(None, "Tên khóa dùng để báo.", "Name of the key to sign with.", "isp-a", alias="key")


class AudienceFile(Section):
    """Whom a zone is for."""

    bands: list[BandCode] = key(
        ["MN", "TH", "CS", "PT"],
        "Độ tuổi của người hỏi máy ấy: vùng chỉ có quyết định dành cho tất cả các độ tuổi này. Có người lớn cùng hỏi thì thêm NL, KH.",
        "Bands of those who ask that resolver: the zone holds only orders for all of these bands. Where adults ask it, too, add NL and KH.",
        "[MN, TH, CS, PT, NL, KH]",
    )
    place: Text | None = key(
        None,
        "Vùng này phục vụ nơi nào (mã tỉnh, hay mã tỉnh.mã xã): khi đó có cả quyết định dành cho cả nơi đó.",
        "Which place the zone is for (code of a province, or province.commune): it then holds the orders for all of that place, too.",
        '"12"',
    )
    organisation: Text | None = key(
        None,
        "Vùng này phục vụ đơn vị nào (mã của đơn vị): khi đó có cả quyết định chỉ dành cho đơn vị đó.",
        "Which organisation the zone is for (its id): it then holds the orders for that organisation only, too.",
        '"k3v9…"',
    )
    categories: list[ZoneCategory] = key(
        [],
        "Vùng này chỉ có quyết định thuộc các nhóm nào; trống: mọi nhóm.",
        "Of which categories the orders of this zone are; empty: of all.",
        "[scam, gamb]",
    )


class MoreZonesFile(AudienceFile):
    """rpz_out.zones[]"""

    zone: NameText = key(..., "Tên vùng.", "Name of the zone.", "rpz-12.lachan.example.vn")


class RpzOutFile(AudienceFile):
    """rpz_out:"""

    listen: EndpointText = key(
        ..., "Địa chỉ phục vụ chuyển vùng (AXFR, IXFR).", "Address that serves zone transfers (AXFR, IXFR).", '"192.0.2.1:5399"'
    )
    zone: NameText = key(..., "Tên vùng của danh sách.", "Name of the list's zone.", "rpz.lachan.example.vn")
    keys: list[FollowerKeyFile] = key(
        [], "Khóa TSIG của các máy được nhận.", "TSIG keys of those who may have it.", "[{name: isp-a, secret_file: isp-a.key}]"
    )
    open_to: list[NetworkText] = key([], "Mạng được nhận không cần khóa.", "Networks that may have it without a key.", "[127.0.0.0/8]")
    secondaries: list[SecondaryFile] = key(
        [],
        "Máy phân giải được báo mỗi phiên bản mới (NOTIFY).",
        "Resolvers that are told of every version (NOTIFY).",
        "[{address: 192.0.2.53, key: isp-a}]",
    )
    tls: RpzOutTlsFile | None = key(
        None,
        "Chuyển vùng qua TLS (RFC 9103), thêm vào listen.",
        "Transfers over TLS (RFC 9103) besides listen.",
        '{listen: "192.0.2.1:8853", certificate: cert.pem, key: key.pem}',
    )
    zones: list[MoreZonesFile] = key(
        [],
        "Thêm vùng, mỗi vùng một phạm vi.",
        "More zones, one for each scope.",
        '[{zone: rpz-12.lachan.example.vn, place: "12"}]',
    )
    category_zones: list[ListCategory] = key(
        [],
        "Nhóm của các danh sách (không phải của quyết định) được phục vụ thành vùng riêng `<nhóm>.<zone>`: đúng các tên mà cổng lọc chặn "
        "vì nhóm ấy, ở các độ tuổi của bands. Chỉ có danh sách mà giấy phép cho đưa lại; vùng ghi rõ nguồn (bản ghi TXT `_sources`).",
        "Categories of the lists (not of orders) that are served as zones of their own, `<category>.<zone>`: the names that the gateway "
        "blocks by that category for the bands of `bands`. Only lists whose licence lets others have them; the zone names its sources (TXT "
        "records at `_sources`).",
        "[porn, gamb]",
    )
    passing_on: list[Text] = key(
        [],
        "Mã các danh sách mà người công bố cho phép đưa lại, khi giấy phép không nói: ghi ở đây là nhận trách nhiệm ấy.",
        "Ids of lists that their publishers let you pass on where no licence says so: writing one here is your word for it.",
        "[gambling-vn]",
    )


def resolve(written: RpzOutFile, document: Document, folder: Path) -> tuple[RpzOutSettings | None, list[Mistake]]:
    """Read the key files and see that every name fits. Returns None with every mistake."""
    import dns.name

    from blocklists.categoryzone import Offer

    mistakes: list[Mistake] = []
    keys: list[TransferKey] = []
    for index, row in enumerate(written.keys):
        transfer_key, found = read_transfer_key(row, folder, document.place(("rpz_out", "keys", index, "secret_file")))
        mistakes += found
        if transfer_key is not None:
            keys.append(transfer_key)
    known = {row.name for row in written.keys}
    for index, follower in enumerate(written.secondaries):
        if follower.key_name is not None and follower.key_name not in known:
            mistakes.append(Mistake(document.place(("rpz_out", "secondaries", index, "key")), "there is no key of this name"))
    tls = None
    if written.tls is not None:
        tls = TlsSettings(folder / written.tls.certificate, folder / written.tls.key_file)
        try:
            try_files(tls)
        except StartError as error:
            mistakes.append(Mistake(document.place(("rpz_out", "tls")), str(error).removeprefix("tls: ")))
    known_lists = _lists(document)
    for index, name in enumerate(written.passing_on):
        if name not in known_lists:
            mistakes.append(Mistake(document.place(("rpz_out", "passing_on", index)), f"there is no list '{name[:60]}'"))
    offered = {f"{code}.{written.zone}": index for index, code in enumerate(written.category_zones)}
    for more in written.zones:
        if more.zone in offered:
            place = document.place(("rpz_out", "category_zones", offered[more.zone]))
            mistakes.append(Mistake(place, f"another zone is called {more.zone}"))
    names = [written.zone, *(row.zone for row in written.zones)]
    for index, name in enumerate(names[1:]):
        if name in names[: index + 1]:
            mistakes.append(Mistake(document.place(("rpz_out", "zones", index, "zone")), "another zone has this name"))
    served = {dns.name.from_text(name) for name in (*names, *offered)}
    for index, row in enumerate(written.keys):
        if dns.name.from_text(row.name) in {dns.name.from_text(before.name) for before in written.keys[:index]}:
            mistakes.append(Mistake(document.place(("rpz_out", "keys", index, "name")), "another key has this name"))
        for number, zone in enumerate(row.zones):
            if dns.name.from_text(zone) not in served:
                at = document.place(("rpz_out", "keys", index, "zones", number))
                mistakes.append(Mistake(at, f"no zone is called {zone}", "one of zone, zones and category_zones"))
    audiences: list[AudienceFile] = [written, *written.zones]
    for index, audience in enumerate(audiences):
        if not audience.bands:
            where = ("rpz_out", "zones", index - 1, "bands") if index else ("rpz_out", "bands")
            mistakes.append(Mistake(document.place(where), "the zone would be for nobody", "name a band"))
    if not written.keys and not written.open_to:
        mistakes.append(Mistake(document.place(("rpz_out",)), "nobody could have the zone", "add keys or open_to"))
    if mistakes:
        return None, mistakes
    followers = tuple(Follower(row.address, row.port, row.key_name) for row in written.secondaries)
    secure = written.tls.listen if written.tls is not None else None
    zones = ((written.zone, _audience(written)), *((row.zone, _audience(row)) for row in written.zones))
    may = frozenset[str](written.passing_on)
    offers = tuple(Offer(name, name.partition(".")[0], zones[0][1].bands, may) for name in offered)
    scopes = tuple((row.name, frozenset[str](row.zones)) for row in written.keys if row.zones)
    return RpzOutSettings(written.listen, zones, tuple(keys), tuple(written.open_to), followers, secure, tls, offers, scopes), []


def _lists(document: Document) -> set[str]:
    """The ids of the configured lists; the section itself is checked with the lists."""
    written = document.value.get("lists") if isinstance(document.value, dict) else None
    return {str(row.get("id")) for row in written if isinstance(row, dict)} if isinstance(written, list) else set()


def _audience(written: AudienceFile) -> Audience:
    bands, categories = frozenset(map(Band, written.bands)), frozenset[str](written.categories)
    return Audience(bands, written.place or "", written.organisation or "", categories)
