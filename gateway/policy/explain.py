"""A decision in words, for the person who asks why: one line for the rule that decided, one for each that lost. Vietnamese and English.

Each line says who (level), what (rule), on what basis and in which version. Any package may import this module.
"""

from __future__ import annotations

from typing import Final, Literal

from gateway.policy.model import Block, Decision, Drop, Local, Pass, Reason, Rewrite, Rule, RuleOrigin, TcpOnly, Verdict

Language = Literal["vi", "en"]

_ORIGINS: Final[dict[RuleOrigin, tuple[str, str]]] = {
    RuleOrigin.SYSTEM: ("hệ thống", "system"),
    RuleOrigin.PROVINCE: ("đơn vị vận hành", "operator"),
    RuleOrigin.SCHOOL: ("nhà trường", "school"),
    RuleOrigin.PARENT: ("phụ huynh", "parent"),
    RuleOrigin.MATRIX: ("mặc định theo độ tuổi", "default of the age band"),
}
_REASONS: Final[dict[Reason, tuple[str, str]]] = {
    Reason.OWN_NAME: ("tên của chính cổng lọc", "a name of the gateway itself"),
    Reason.SPECIAL_USE: ("tên dùng riêng, không ra internet", "a special-use name that stays local"),
    Reason.CANARY: ("giữ trình duyệt dùng bộ lọc này", "keeps browsers on this filter"),
    Reason.HELP: ("trợ giúp luôn mở", "help is always open"),
    Reason.INFRASTRUCTURE: ("hạ tầng cần cho thiết bị, luôn mở", "infrastructure that devices need, always open"),
    Reason.ORDER: ("yêu cầu của cơ quan có thẩm quyền", "order of a competent authority"),
    Reason.LEGAL: ("nhóm bị chặn theo luật", "category blocked by law"),
    Reason.GOOD: ("danh sách tốt, luôn mở", "good list, open"),
    Reason.OVERRIDE: ("mở hoặc tắt tạm, có giờ kết thúc", "timed override"),
    Reason.OFFLINE: ("giờ tắt mạng", "offline window"),
    Reason.NAME: ("quy tắc theo tên miền", "rule by name"),
    Reason.LIST: ("danh sách mở hoặc chặn theo tên", "list that allows or blocks by name"),
    Reason.RPZ: ("vùng chính sách RPZ", "response policy zone"),
    Reason.SCHEDULE: ("khung giờ", "time window"),
    Reason.SERVICE: ("công tắc dịch vụ", "service switch"),
    Reason.SWITCH: ("công tắc nhóm nội dung", "category switch"),
    Reason.MATRIX: ("bảng mặc định theo độ tuổi", "default matrix of the age band"),
    Reason.UNCATEGORISED: ("tên không thuộc nhóm nào", "name in no category"),
    Reason.SAFE_SEARCH: ("tìm kiếm an toàn", "safe search"),
    Reason.REBINDING: ("địa chỉ riêng từ tên công cộng", "private address from a public name"),
    Reason.UPSTREAM_BLOCK: ("nhà mạng chặn, không phải bộ lọc này", "blocked by the provider upstream, not by this filter"),
    Reason.DEFAULT: ("không có gì chặn", "nothing blocks it"),
}
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "pass": ("MỞ", "OPEN"),
    "block": ("CHẶN", "BLOCKED"),
    "rewrite": ("TRẢ LỜI QUA", "ANSWERED THROUGH"),
    "local": ("TRẢ LỜI TẠI CHỖ", "ANSWERED HERE"),
    "drop": ("KHÔNG TRẢ LỜI", "NOT ANSWERED"),
    "tcp": ("CHỈ QUA TCP", "ONLY OVER TCP"),
    "level": ("cấp", "level"),
    "rule": ("quy tắc", "rule"),
    "basis": ("căn cứ", "basis"),
    "issuer": ("cơ quan ban hành", "issued by"),
    "source": ("nguồn", "source"),
    "version": ("phiên bản", "version"),
    "lost": ("không áp dụng", "did not apply"),
}


def explain_lines(decision: Decision, name: str, language: Language = "vi") -> tuple[str, ...]:
    """The line that decided, then one line for each rule that lost. `name` is presentation text."""
    verdict = decision.verdict
    said = _clean(f"{name}: {verdict_words(verdict, language)}")
    decided = f"{said} · {describe(verdict.rule, language)}" if verdict.rule is not None else said
    return (decided, *(f"  {_word('lost', language)}: {describe(rule, language)}" for rule in decision.lost))


def describe(rule: Rule, language: Language = "vi") -> str:
    """One rule in one line: level, rule, basis, version."""
    parts = [
        f"{_word('level', language)}: {_pick(_ORIGINS[rule.origin], language)}",
        f"{_word('rule', language)}: {_pick(_REASONS[rule.kind], language)} ({rule.text})",
    ]
    for label, text in (("issuer", rule.issuer), ("basis", rule.basis), ("source", rule.source), ("version", rule.version)):
        if text:
            parts.append(f"{_word(label, language)}: {text}")
    return _clean(" · ".join(parts))


def verdict_words(verdict: Verdict, language: Language = "vi") -> str:
    """A verdict in a word or two."""
    match verdict:
        case Pass():
            return _word("pass", language)
        case Block(category=category):
            return f"{_word('block', language)} [{category}]" if category else _word("block", language)
        case Rewrite(target=target):
            return f"{_word('rewrite', language)} {target}"
        case Local():
            return _word("local", language)
        case Drop():
            return _word("drop", language)
        case TcpOnly(then=then):
            return f"{_word('tcp', language)}, {verdict_words(then, language)}"


def _word(name: str, language: Language) -> str:
    return _pick(_WORDS[name], language)


def _pick(words: tuple[str, str], language: Language) -> str:
    return words[0] if language == "vi" else words[1]


def _clean(text: str) -> str:
    """Text that may hold what strangers wrote, safe to print: nothing that moves the cursor or changes direction."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
