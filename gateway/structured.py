"""Structured errors: why a name is closed, as JSON in the text of an extended error, for clients that ask for it.

A client asks by an empty EDE option (what shipped clients send) or by the option the settings name (the draft's own; no number is assigned
yet). What is said never names a category or a child: who closed it, whom to tell, and for scams and malware the registered sub-error. With
`Censored` there is no sub-error. draft-ietf-dnsop-structured-dns-error, RFC 7493 (I-JSON). Pure; imported by `outcomes`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.query import Edns
from gateway.settings import StructuredSettings
from gateway.wire.constants import Ede, Option

_SUB_ERRORS: Final = {"malware": 1, "scam": 2}
"""Sub-errors by category: 1 malware, 2 phishing. The others of the registry do not fit what lists here say."""

_WORDS: Final = {
    "vi": {
        "order": "Chặn theo yêu cầu của cơ quan có thẩm quyền",
        "number": "Chặn theo văn bản số {number}",
        "old": " (danh sách {days} ngày chưa cập nhật)",
        "danger": "Trang có dấu hiệu lừa đảo hoặc chứa mã độc",
        "policy": "Chặn theo thiết lập của gia đình hoặc nhà trường",
        "upstream": "Nhà mạng không mở trang này; không phải bộ lọc của gia đình hay nhà trường",
    },
    "en": {
        "order": "Blocked at the request of a competent authority",
        "number": "Blocked by order {number}",
        "old": " (the list is {days} days old)",
        "danger": "This looks like a scam or carries malware",
        "policy": "Blocked by the settings of the family or school",
        "upstream": "The network provider does not open this page; it is not the filter of the family or school",
    },
}


def is_asked(edns: Edns | None, settings: StructuredSettings) -> bool:
    """Whether the client can show structured errors."""
    return edns is not None and bool(edns.others) and (Option.EDE in edns.others or settings.option in edns.others)


def justify(settings: StructuredSettings, ede: int, category: str = "", number: str = "", upstream: bool = False, old_days: int = 0) -> str:
    """The text of an extended error. `number` is that of an order; `category` decides about the sub-error only and is not said.
    `old_days`: the age of the office's release, once it is old."""
    words = _WORDS[settings.language]
    said: dict[str, Any] = {}  # Any: JSON values
    if settings.contact:
        said["c"] = list(settings.contact)
    if upstream:
        said["j"] = words["upstream"]
    elif ede == Ede.CENSORED:
        said["j"] = words["number"].format(number=number) if number else words["order"]
        said["j"] += words["old"].format(days=old_days) if old_days else ""
    elif category in _SUB_ERRORS and ede in (Ede.BLOCKED, Ede.FILTERED):
        said["j"] = words["danger"]
        said["s"] = _SUB_ERRORS[category]
    else:
        said["j"] = words["policy"]
    if settings.organisation:
        said["o"] = settings.organisation
    said["l"] = settings.language
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))
