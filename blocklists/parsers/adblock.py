"""The part of adblock syntax that means something to DNS: `||name^`, `@@||name^`, `$important`, `$denyallow`, `$dnstype`, `$client`,
`$badfilter`, comments.

`blocklists.parsers.detect` imports it. Exceptions and priorities act inside their own list only. Rules for parts of pages, patterns of
web addresses and modifiers that a DNS filter cannot check are counted by reason, never widened to the whole name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

import dns.exception
import dns.rdatatype

from blocklists.normalize import normalize_host, plain_key
from blocklists.parsers import ALWAYS, PLAIN, Bucket, Harvest, Match, Options, When
from blocklists.parsers.hosts import take_hosts_line
from blocklists.parsers.names import is_comment, note_fact, take_name, without_comment
from blocklists.rejections import Reason, Rejection

MAX_GROUPS: Final = 64
"""Different `$denyallow` sets and conditions one list may have; each becomes a row of its own in the index."""

MAX_VALUES: Final = 64
"""Types or clients that one rule may name."""

IMPORTANT: Final = "important"

_COSMETIC: Final = re.compile(r"#@?[?$%]*#|\$\$|\$@\$")
_WHOLE_SITE: Final = frozenset({"all", "document", "doc"})
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
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
    when: When = ALWAYS

    @property
    def bucket(self) -> Bucket:
        if self.denyallow:
            return Bucket(None, "denyallow=" + "|".join(self.denyallow), self.match, self.exception, None, self.when)
        return Bucket(None, IMPORTANT if self.important else "", self.match, self.exception, None, self.when)


@dataclass(slots=True)
class _Leftover:
    """What can only be settled when the whole list was read."""

    disabled: list[tuple[Bucket, str]] = field(default_factory=list)
    groups: set[tuple[str, When]] = field(default_factory=set)


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
    rule = _read_rule(line, options)
    if isinstance(rule, Reason):
        harvest.reject(rule, number, line)
        return
    if rule.badfilter:
        left.disabled.append((rule.bucket, rule.key))
        return
    group = (rule.bucket.group, rule.when)
    if (rule.denyallow or rule.when != ALWAYS) and group not in left.groups:
        if len(left.groups) == MAX_GROUPS:
            harvest.reject(Reason.TOO_MANY_GROUPS, number, line)
            return
        left.groups.add(group)
        if rule.denyallow:
            harvest.bucket(Bucket(None, group[0], Match.BOTH, True, None, rule.when)).extend(rule.denyallow)
    harvest.bucket(rule.bucket).append(rule.key)


def _read_rule(line: str, options: Options) -> _Rule | Reason:
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
        if not _apply(modifier.strip(), rule, options):
            return Reason.MODIFIER
    return rule


def _apply(modifier: str, rule: _Rule, options: Options) -> bool:
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
    elif name == "dnstype" and value:
        return _only_types(value, rule)
    elif name == "client" and value and options.clients:
        return _only_clients(value, rule)
    else:
        return name in _WHOLE_SITE and not value
    return True


def _only_types(value: str, rule: _Rule) -> bool:
    wanted, unwanted = _two_sides(value)
    try:
        types, not_types = (tuple(sorted({int(dns.rdatatype.from_text(word)) for word in words})) for words in (wanted, unwanted))
    except (dns.exception.DNSException, ValueError):
        return False
    rule.when = rule.when._replace(types=types, not_types=not_types)
    return len(types) + len(not_types) <= MAX_VALUES


def _only_clients(value: str, rule: _Rule) -> bool:
    wanted, unwanted = _two_sides(value)
    found = [[_client(word) for word in words] for words in (wanted, unwanted)]
    if any(None in words for words in found):
        return False
    clients, not_clients = (tuple(sorted({word for word in words if word})) for words in found)
    rule.when = rule.when._replace(clients=clients, not_clients=not_clients)
    return len(clients) + len(not_clients) <= MAX_VALUES


def _two_sides(value: str) -> tuple[list[str], list[str]]:
    """The values of a modifier, and those with a `~`."""
    words = [word.strip() for word in value.split("|")]
    return [word for word in words if not word.startswith("~")], [word[1:] for word in words if word.startswith("~")]


def _client(word: str) -> str | None:
    """A client as the settings name it, or a network; None for neither."""
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        word = word[1:-1]
    try:
        return str(ip_network(word))
    except ValueError:
        return word if _CLIENT_ID.fullmatch(word) else None


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
    """Exceptions undo every group but the important ones; important exceptions undo those too.

    Those with a condition stay in a row of their own: the index undoes the rows of their list while the condition holds.
    """
    groups = sorted({(bucket.group, bucket.when) for bucket in harvest.buckets})
    for match in Match:
        plain = harvest.buckets.get(Bucket(None, "", match, True), [])
        important = harvest.buckets.get(Bucket(None, IMPORTANT, match, True), [])
        for group, when in groups:
            undone = [*plain, *important] if group != IMPORTANT else list(important)
            if undone:
                target = Bucket(None, group, match, True, None, when)
                is_main = when == ALWAYS and group in ("", IMPORTANT)
                own = [] if is_main else harvest.buckets.get(target, [])
                harvest.buckets[target] = [*own, *undone]
    if not any(b.group == IMPORTANT and b.when == ALWAYS and not b.exception and keys for b, keys in harvest.buckets.items()):
        for match in Match:
            harvest.buckets.pop(Bucket(None, IMPORTANT, match, True), None)
