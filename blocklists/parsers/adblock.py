"""The part of adblock syntax that means something to DNS: `||name^`, `@@||name^`, `$important`, `$denyallow`, `$badfilter`, comments.

`blocklists.parsers.detect` imports it. Exceptions and priorities act inside their own list only. Rules for parts of pages, patterns of
web addresses and modifiers that a DNS filter cannot check are counted by reason, never widened to the whole name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from blocklists.normalize import normalize_host, plain_key
from blocklists.parsers import PLAIN, Bucket, Harvest, Match, Options
from blocklists.parsers.hosts import take_hosts_line
from blocklists.parsers.names import is_comment, note_fact, take_name, without_comment
from blocklists.rejections import Reason, Rejection

MAX_GROUPS: Final = 64
"""Different `$denyallow` sets one list may have; each becomes a group of its own."""

IMPORTANT: Final = "important"

_COSMETIC: Final = re.compile(r"#@?[?$%]*#|\$\$|\$@\$")
_WHOLE_SITE: Final = frozenset({"all", "document", "doc"})
_PLAIN_NAME: Final = re.compile(r"[\w.-]+\.?", re.UNICODE)


@dataclass(slots=True)
class _Rule:
    """One rule read from a line: the name, whether it is an exception, and the modifiers that count."""

    key: str
    match: Match
    exception: bool
    important: bool = False
    denyallow: tuple[str, ...] = ()
    badfilter: bool = False

    @property
    def bucket(self) -> Bucket:
        if self.denyallow:
            return Bucket(None, "denyallow=" + "|".join(self.denyallow), self.match, self.exception)
        return Bucket(None, IMPORTANT if self.important else "", self.match, self.exception)


@dataclass(slots=True)
class _Leftover:
    """What can only be settled when the whole list was read."""

    disabled: list[tuple[Bucket, str]] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)


def parse(lines: Iterable[str], harvest: Harvest, options: Options) -> None:
    """Read adblock rules; hosts lines and plain names among them are read as such."""
    add = harvest.bucket(PLAIN).append
    left = _Leftover()
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if line.startswith("||") and line.endswith("^"):
            key = plain_key(line[2:-1])
            if key is not None:
                add(key)
                continue
        _take_line(line, number, harvest, options, left)
    _switch_off(harvest, left)
    _spread_exceptions(harvest)


def _take_line(line: str, number: int, harvest: Harvest, options: Options, left: _Leftover) -> None:
    if _COSMETIC.search(line):
        harvest.reject(Reason.COSMETIC, number, line)
        return
    if is_comment(line) or (line.startswith("[") and line.endswith("]")):
        note_fact(harvest, number, line)
        return
    if "|" not in line and "$" not in line and "^" not in line and not line.startswith(("@@", "/")):
        words = without_comment(line).split()
        if words and not take_hosts_line(harvest, number, words, options):
            if len(words) == 1:
                take_name(harvest, number, words[0])
            else:
                harvest.reject(Reason.NOT_A_RULE, number, line)
        return
    rule = _read_rule(line)
    if isinstance(rule, Reason):
        harvest.reject(rule, number, line)
        return
    if rule.badfilter:
        left.disabled.append((rule.bucket, rule.key))
        return
    if rule.denyallow and rule.bucket.group not in left.groups:
        if len(left.groups) == MAX_GROUPS:
            harvest.reject(Reason.TOO_MANY_GROUPS, number, line)
            return
        left.groups.add(rule.bucket.group)
        harvest.bucket(Bucket(None, rule.bucket.group, Match.BOTH, True)).extend(rule.denyallow)
    harvest.bucket(rule.bucket).append(rule.key)


def _read_rule(line: str) -> _Rule | Reason:
    exception = line.startswith("@@")
    pattern = line[2:] if exception else line
    if pattern.startswith("/") and re.fullmatch(r"/.+/(\$.*)?", pattern):
        return Reason.REGEX
    pattern, _, modifiers = pattern.partition("$")
    if pattern.startswith("||"):
        pattern = pattern[2:]
    elif pattern.startswith("|") or not _PLAIN_NAME.fullmatch(pattern.removesuffix("^")):
        return Reason.PATTERN
    pattern = pattern.removesuffix("|").removesuffix("^")
    match = Match.BELOW if pattern.startswith("*.") else Match.BOTH
    host = normalize_host(pattern.removeprefix("*."))
    if isinstance(host, Rejection):
        return Reason.PATTERN if host.reason in (Reason.WILDCARD_INSIDE, Reason.EMPTY) or "/" in pattern else host.reason
    if host.has_path or host.port is not None or host.wildcard or "/" in pattern:
        return Reason.PATTERN
    rule = _Rule(host.key, match, exception)
    for modifier in filter(None, modifiers.split(",")):
        if not _apply(modifier.strip(), rule):
            return Reason.MODIFIER
    return rule


def _apply(modifier: str, rule: _Rule) -> bool:
    """Apply one modifier to a rule. False when a DNS filter cannot check it: then the rule must not become wider than it was meant."""
    name, _, value = modifier.partition("=")
    name = name.lower()
    if name == "important" and not value:
        rule.important = True
    elif name == "badfilter" and not value:
        rule.badfilter = True
    elif name == "denyallow" and value and not rule.exception:
        hosts = [normalize_host(part) for part in value.split("|")]
        keys = [host.key for host in hosts if not isinstance(host, Rejection)]
        if len(keys) != len(hosts):
            return False
        rule.denyallow = tuple(sorted(set(keys)))
    else:
        return name in _WHOLE_SITE and not value
    return True


def _switch_off(harvest: Harvest, left: _Leftover) -> None:
    """Take out the rules that `$badfilter` names."""
    by_bucket: dict[Bucket, set[str]] = {}
    for bucket, key in left.disabled:
        by_bucket.setdefault(bucket, set()).add(key)
    for bucket, unwanted in by_bucket.items():
        keys = harvest.buckets.get(bucket, [])
        kept = [key for key in keys if key not in unwanted]
        harvest.rejected[Reason.SWITCHED_OFF] += len(keys) - len(kept)
        keys[:] = kept
    harvest.rejected += type(harvest.rejected)()  # drops reasons with nothing under them


def _spread_exceptions(harvest: Harvest) -> None:
    """Exceptions undo every group but the important ones; important exceptions undo those too."""
    groups = sorted({bucket.group for bucket in harvest.buckets})
    for match in Match:
        plain = harvest.buckets.get(Bucket(None, "", match, True), [])
        important = harvest.buckets.get(Bucket(None, IMPORTANT, match, True), [])
        for group in groups:
            undone = [*plain, *important] if group != IMPORTANT else list(important)
            if undone:
                target = Bucket(None, group, match, True)
                own = [] if group in ("", IMPORTANT) else harvest.buckets.get(target, [])
                harvest.buckets[target] = [*own, *undone]
    if IMPORTANT in groups and not any(b.group == IMPORTANT and not b.exception and keys for b, keys in harvest.buckets.items()):
        for match in Match:
            harvest.buckets.pop(Bucket(None, IMPORTANT, match, True), None)
