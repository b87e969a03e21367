"""Addresses → rows with a verdict each: enforceable, not enforceable and why, or a person must decide. Pure.

What DNS cannot do is never widened by default: a post or group on a platform never blocks the platform, a page of a small site blocks the
site only when a person says so and why. Of an address only the host part is kept; of a place on a platform only the platform, the kind and
a keyed digest, so that the same place is recognised when it comes again. Full addresses live in the answer to the request that brought
them, nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from blocklists.guard import ORDER, Guard
from blocklists.normalize import Host, name_of_key, normalize_host
from blocklists.parsers import Match as GuardMatch
from blocklists.rejections import Reason
from blocklists.suffixes import suffixes
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.reading import Found
from blocklists.takedown.store import NewItem

JUMP = 16_000
"""That many new names in one document are held for a person, whatever they are."""

_REFUSALS = {
    Reason.PUBLIC_SUFFIX: Enforceability.PUBLIC_SUFFIX,
    Reason.SHARED_SUFFIX: Enforceability.PUBLIC_SUFFIX,
    Reason.HELP_NAME: Enforceability.PROTECTED,
    Reason.INFRASTRUCTURE: Enforceability.PROTECTED,
    Reason.OWN_NAME: Enforceability.PROTECTED,
    Reason.SHARED_PLATFORM: Enforceability.SHARED_PLATFORM,
    Reason.PROTECTED: Enforceability.PROTECTED,
}
_KINDS = (
    ("group", re.compile(r"/groups?/|/nhom/|t\.me/\+|/joinchat|discord\.gg/", re.IGNORECASE)),
    ("video", re.compile(r"/watch|/video|/reel|/shorts|youtu\.be/", re.IGNORECASE)),
    ("post", re.compile(r"/posts?/|/permalink|/status/|/p/|story_fbid|/photo", re.IGNORECASE)),
    ("page", re.compile(r"/pages?/|/channel/|/c/|/@|profile\.php|/[\w.-]{3,}/?$", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the page shows it: its line, the item to store, the reason in both languages, the full address for this answer only."""

    line: int
    item: NewItem
    vi: str
    en: str
    address: str

    @property
    def verdict(self) -> Enforceability:
        """The row's verdict."""
        return self.item.verdict


@dataclass(frozen=True, slots=True)
class Import:
    """All rows of one document, and whether it has so many new names that a person must say yes first."""

    rows: tuple[Row, ...]
    duplicates: int
    held: bool

    def count(self, verdict: Enforceability) -> int:
        """How many rows have this verdict."""
        return sum(1 for row in self.rows if row.verdict is verdict)


def known_endings() -> frozenset[str]:
    """Every top-level name of the installed public suffix list."""
    return frozenset(name_of_key(key) for key in suffixes().registry.keys if key.count(".") == 1)


def judge_rows(found: Iterable[Found], guard: Guard, digest: Callable[[str], str], known: frozenset[str] = frozenset()) -> Import:
    """Give each address its verdict. `digest` is keyed; `known` are index keys already in force, for the jump of new names."""
    rows: list[Row] = []
    seen: set[tuple[str, str]] = set()
    duplicates = 0
    for one in found:
        row = judge(one, guard, digest)
        mark = (row.item.host or row.item.address_digest or one.text, row.item.match.value)
        if mark in seen:
            duplicates += 1
            continue
        seen.add(mark)
        rows.append(row)
    fresh = sum(1 for row in rows if row.item.host and normal_key(row.item.host) not in known)
    return Import(tuple(rows), duplicates, fresh >= JUMP)


def normal_key(host: str) -> str:
    """The index key of a normalised host."""
    return ".".join(reversed(host.split("."))) + "."


def judge(found: Found, guard: Guard, digest: Callable[[str], str]) -> Row:
    """The verdict on one address."""
    host = normalize_host(found.text)
    if not isinstance(host, Host):
        verdict = Enforceability.IP_ONLY if host.reason is Reason.IP_ONLY else Enforceability.INVALID
        kept = _host_part(found.text)
        return _row(found, NewItem(kept, None, Match.BOTH, verdict, host.reason.value), host.vi, host.en)
    if "." not in host.name:  # mostly a name whose dot was lost
        item = NewItem(host.name, None, Match.BOTH, Enforceability.INVALID, Reason.NOT_A_RULE.value)
        return _row(found, item, "không đọc được: thiếu dấu chấm", "cannot be read: its dot is missing")
    if guard.needs_second_approver(host.key) and not _is_refused_for_good(host.key, guard):
        state = host.key.startswith(("vn.gov.", "vn.edu."))
        item = NewItem(
            host.name, host.name, Match.EXACT, Enforceability.YES, Reason.SECOND_APPROVER.value, needs_second=True, is_state_host=state
        )
        if host.has_path:
            item = NewItem(
                host.name, host.name, Match.EXACT, Enforceability.ASK, Reason.URL_PATH.value, needs_second=True, is_state_host=state
            )
        return _row(found, item, Reason.SECOND_APPROVER.vi, Reason.SECOND_APPROVER.en)
    match = GuardMatch.BELOW if host.wildcard else GuardMatch.BOTH
    refusal = guard.judge(host.key, match, ORDER)
    if refusal is not None:
        verdict = _REFUSALS.get(refusal.reason, Enforceability.INVALID)
        if verdict is Enforceability.SHARED_PLATFORM:
            item = NewItem(
                refusal.because, None, Match.BOTH, verdict, refusal.reason.value,
                platform=refusal.because, platform_kind=platform_kind(found.text), address_digest=digest(found.text),
            )  # fmt: skip
        else:
            item = NewItem(host.name, None, Match.BOTH, verdict, refusal.reason.value)
        return _row(found, item, refusal.vi, refusal.en)
    kept_match = Match.BELOW if host.wildcard else Match.BOTH
    if host.has_path:
        item = NewItem(host.name, host.name, kept_match, Enforceability.ASK, Reason.URL_PATH.value)
        return _row(found, item, Reason.URL_PATH.vi, Reason.URL_PATH.en)
    return _row(found, NewItem(host.name, host.name, kept_match, Enforceability.YES), "chặn được bằng DNS", "DNS can block it")


def platform_kind(address: str) -> str:
    """What an address on a platform is: group, video, post, page or place."""
    rest = address.split("://", 1)[-1]
    if "/" not in rest.rstrip("/"):
        return "place"
    return next((kind for kind, pattern in _KINDS if pattern.search(rest)), "place")


def _is_refused_for_good(key: str, guard: Guard) -> bool:
    """Whether the guard refuses a name for another reason than being in a protected group: no second approver opens that."""
    refusal = guard.judge(key, GuardMatch.EXACT, ORDER)
    return refusal is not None and refusal.reason is not Reason.PROTECTED


def _host_part(text: str) -> str:
    """What is kept of something that is no host: no path, no query, at most 253 characters."""
    rest = text.split("://", 1)[-1]
    return re.split(r"[/?#\s]", rest, maxsplit=1)[0].rpartition("@")[2][:253]


def _row(found: Found, item: NewItem, vi: str, en: str) -> Row:
    return Row(found.line, item, vi, en, found.text)
