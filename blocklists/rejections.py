"""Why a line, a name or an item is not enforced: the closed set of reasons, in words for people. Pure.

`blocklists` and `admin` may import this module. Each reason has a weight. `ERROR` says that the text is not what its place needs;
too many of them and the whole source is refused. `LIMIT` says that it was understood and DNS cannot or must not enforce it.
`NOISE` says that it never was a rule (a local name, a repeat).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Weight(Enum):
    """What a reason says about the source it was found in."""

    ERROR = "error"
    LIMIT = "limit"
    NOISE = "noise"


class Reason(StrEnum):
    """Why something is not enforced; the value is stable and is used in reports, in index.json and in the interfaces."""

    EMPTY = "empty"
    BAD_CHARACTER = "bad_character"
    BAD_IDNA = "bad_idna"
    EMPTY_LABEL = "empty_label"
    LABEL_TOO_LONG = "label_too_long"
    NAME_TOO_LONG = "name_too_long"
    NUMERIC_END = "numeric_end"
    WILDCARD_INSIDE = "wildcard_inside"
    EMAIL = "email"
    IP_ONLY = "ip_only"
    URL_PATH = "url_path"

    LINE_TOO_LONG = "line_too_long"
    NOT_A_RULE = "not_a_rule"
    BAD_RECORD = "bad_record"
    OUT_OF_ZONE = "out_of_zone"
    UNKNOWN_CATEGORY = "unknown_category"
    CLOSED_CATEGORY = "closed_category"
    FOREIGN_ADDRESS = "foreign_address"
    REGEX = "regex"
    PATTERN = "pattern"
    MODIFIER = "modifier"
    TOO_MANY_GROUPS = "too_many_groups"
    RPZ_ACTION = "rpz_action"
    RPZ_CLIENT_IP = "rpz_client_ip"
    RPZ_IP = "rpz_ip"
    RPZ_NSDNAME = "rpz_nsdname"
    RPZ_NSIP = "rpz_nsip"
    COSMETIC = "cosmetic"
    LOCAL_NAME = "local_name"
    SWITCHED_OFF = "switched_off"
    DUPLICATE = "duplicate"
    COVERED = "covered"

    PUBLIC_SUFFIX = "public_suffix"
    SHARED_SUFFIX = "shared_suffix"
    HELP_NAME = "help_name"
    INFRASTRUCTURE = "infrastructure"
    OWN_NAME = "own_name"
    SHARED_PLATFORM = "shared_platform"
    PROTECTED = "protected"
    SECOND_APPROVER = "second_approver"

    @property
    def weight(self) -> Weight:
        """What this reason says about its source."""
        return _TEXTS[self][0]

    @property
    def vi(self) -> str:
        """The reason in Vietnamese, one clause without a final stop."""
        return _TEXTS[self][1]

    @property
    def en(self) -> str:
        """The reason in English, one clause without a final stop."""
        return _TEXTS[self][2]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Text that is not a host name. `position` counts characters from 0 in the text as given; -1 means the text as a whole."""

    reason: Reason
    position: int = -1
    character: str = ""

    @property
    def vi(self) -> str:
        """The reason in Vietnamese, with the place of the odd character."""
        return self.reason.vi if self.position < 0 else f"{self.reason.vi} (vị trí {self.position + 1}{self._codepoint()})"

    @property
    def en(self) -> str:
        """The reason in English, with the place of the odd character."""
        return self.reason.en if self.position < 0 else f"{self.reason.en} (position {self.position + 1}{self._codepoint()})"

    def _codepoint(self) -> str:
        return f", U+{ord(self.character):04X}" if self.character else ""


_E, _L, _N = Weight.ERROR, Weight.LIMIT, Weight.NOISE
_TEXTS: dict[Reason, tuple[Weight, str, str]] = {
    Reason.EMPTY: (_E, "không có tên miền", "there is no name"),
    Reason.BAD_CHARACTER: (_E, "có ký tự không dùng được trong tên miền", "a character that a domain name cannot hold"),
    Reason.BAD_IDNA: (_E, "tên miền có dấu không hợp lệ", "letters that no international domain name may hold"),
    Reason.EMPTY_LABEL: (_E, "hai dấu chấm liền nhau hoặc dấu chấm thừa", "an empty label: two dots in a row"),
    Reason.LABEL_TOO_LONG: (_E, "một phần của tên dài hơn 63 ký tự", "a label longer than 63 octets"),
    Reason.NAME_TOO_LONG: (_E, "tên dài hơn 253 ký tự", "a name longer than 253 octets"),
    Reason.NUMERIC_END: (_E, "tên miền không thể kết thúc bằng số", "a domain name cannot end in a number"),
    Reason.WILDCARD_INSIDE: (_E, "dấu * chỉ được đứng đầu, như *.example.com", "a * may only stand first, as in *.example.com"),
    Reason.EMAIL: (_L, "đây là địa chỉ thư điện tử", "this is a mail address"),
    Reason.IP_ONLY: (_L, "đây là địa chỉ IP, DNS không chặn được", "an IP address: a DNS filter cannot enforce it"),
    Reason.URL_PATH: (
        _L,
        "đây là một trang trong trang web; DNS chỉ chặn được cả trang web",
        "one page of a site: DNS can only block the whole site",
    ),
    Reason.LINE_TOO_LONG: (_E, "dòng dài hơn 4096 ký tự", "a line longer than 4096 characters"),
    Reason.NOT_A_RULE: (_E, "dòng không đọc được", "a line that is no rule of this format"),
    Reason.BAD_RECORD: (_E, "bản ghi sai", "a record that cannot be read"),
    Reason.OUT_OF_ZONE: (_E, "tên nằm ngoài vùng", "a name outside the zone"),
    Reason.UNKNOWN_CATEGORY: (_E, "nhóm nội dung không có trong danh mục", "a category that the catalogue does not know"),
    Reason.CLOSED_CATEGORY: (_L, "danh sách không được điền vào nhóm này", "a category that no list may fill"),
    Reason.FOREIGN_ADDRESS: (
        _L,
        "dòng chuyển tên miền sang địa chỉ khác; cần `allow_rewrites: true` nếu đồng ý",
        "a line that sends the name to a foreign address; say `allow_rewrites: true` to agree",
    ),
    Reason.REGEX: (_L, "biểu thức chính quy trong danh sách không được dùng", "a regular expression in a list is not used"),
    Reason.PATTERN: (_L, "mẫu địa chỉ web, không phải tên miền", "a pattern for web addresses, not a name"),
    Reason.MODIFIER: (_L, "điều kiện mà DNS không kiểm tra được", "a modifier that a DNS filter cannot check"),
    Reason.TOO_MANY_GROUPS: (_L, "quá nhiều nhóm ngoại lệ khác nhau", "too many different groups of exceptions"),
    Reason.RPZ_ACTION: (_L, "hành động RPZ không được hỗ trợ ở đây", "an RPZ action that is not supported here"),
    Reason.RPZ_CLIENT_IP: (
        _L,
        "điều kiện theo địa chỉ máy hỏi chỉ có nghĩa trong mục rpz",
        "a client-IP trigger means something under `rpz:` only",
    ),
    Reason.RPZ_IP: (
        _L,
        "điều kiện theo địa chỉ trả lời chỉ có nghĩa trong mục rpz",
        "a response-IP trigger means something under `rpz:` only",
    ),
    Reason.RPZ_NSDNAME: (
        _L,
        "điều kiện RPZ theo máy chủ tên: máy chuyển tiếp không thấy được",
        "an RPZ NSDNAME trigger: a forwarder sees no name servers",
    ),
    Reason.RPZ_NSIP: (
        _L,
        "điều kiện RPZ theo địa chỉ máy chủ tên: máy chuyển tiếp không thấy được",
        "an RPZ NSIP trigger: a forwarder sees no name servers",
    ),
    Reason.COSMETIC: (_N, "quy tắc ẩn phần tử trang web", "a rule that hides parts of pages"),
    Reason.LOCAL_NAME: (_N, "tên nội bộ của máy", "a local name of the machine"),
    Reason.SWITCHED_OFF: (_N, "bị chính danh sách này tắt", "switched off by the list itself"),
    Reason.DUPLICATE: (_N, "ghi lặp lại", "written twice"),
    Reason.COVERED: (_N, "đã nằm trong tên cấp trên của cùng danh sách", "covered by a parent name in the same list"),
    Reason.PUBLIC_SUFFIX: (_L, "đuôi tên miền công cộng, không bao giờ chặn", "a public suffix is never blocked"),
    Reason.SHARED_SUFFIX: (
        _L,
        "đuôi tên miền dùng chung của nhiều chủ, không chặn cả đuôi",
        "a suffix shared by many owners is not blocked as a whole",
    ),
    Reason.HELP_NAME: (_L, "tên miền trợ giúp khẩn cấp, không bao giờ chặn", "a help name is never blocked"),
    Reason.INFRASTRUCTURE: (_L, "hạ tầng được bảo vệ, không bao giờ chặn", "protected infrastructure is never blocked"),
    Reason.OWN_NAME: (
        _L,
        "máy chủ mà chính cổng lọc này dùng, không bao giờ chặn",
        "a server that this gateway itself uses is never blocked",
    ),
    Reason.SHARED_PLATFORM: (_L, "nền tảng dùng chung, không chặn cả nền tảng", "a shared platform is not blocked as a whole"),
    Reason.PROTECTED: (
        _L,
        "tên miền được bảo vệ (cơ quan, ngân hàng, bệnh viện, trường học, báo chí)",
        "a protected name (state service, bank, hospital, school, press)",
    ),
    Reason.SECOND_APPROVER: (
        _L,
        "cần người phê duyệt thứ hai",
        "needs a second approver",
    ),
}
