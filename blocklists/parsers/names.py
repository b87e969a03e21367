"""One name as it stands in a line of a list: the part that every format has in common. `blocklists.parsers` imports it."""

from __future__ import annotations

import re
from typing import Final

from blocklists.normalize import normalize_host, plain_key
from blocklists.parsers import PLAIN, Bucket, Harvest
from blocklists.rejections import Reason, Rejection

_LOCAL: Final = frozenset(
    {
        *("localhost", "localhost.localdomain", "localhost4", "localhost6", "local", "localdomain", "broadcasthost"),
        *("ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"),
        *("0.0.0.0", "127.0.0.1", "::1", "255.255.255.255"),
    }
)
LOCAL_KEYS: Final = frozenset({"localdomain.localhost."})
"""Keys of local names that look like names of the network."""

_COMMENT: Final = ("#", "!", ";", "//")
_INLINE: Final = re.compile(r"#.*|\s(?:!|;|//).*", re.S)
_FACT: Final = re.compile(r"[#!;/\s]*(title|version|licen[cs]e|homepage|last modified)\s*:\s*(\S.*)", re.I)
_FACT_LINES: Final = 40


def take_name(harvest: Harvest, number: int, text: str, bucket: Bucket = PLAIN) -> None:
    """Put the name in `text` into a bucket, or count why it is none. A list's `*.x` means the name and all below (review of syntax)."""
    key = plain_key(text)
    if key is None or key in LOCAL_KEYS:
        host = normalize_host(text)
        if isinstance(host, Rejection):
            reason = Reason.LOCAL_NAME if text.strip().lower() in _LOCAL else host.reason
            harvest.reject(reason, number, text)
            return
        if host.has_path:
            harvest.reject(Reason.URL_PATH, number, text)
            return
        if host.name in _LOCAL:
            harvest.reject(Reason.LOCAL_NAME, number, text)
            return
        key = host.key
    harvest.bucket(bucket).append(key)


def is_comment(line: str) -> bool:
    """Whether a stripped line is empty or a comment in one of the three styles lists use."""
    return not line or line.startswith(_COMMENT)


def without_comment(line: str) -> str:
    """A line without what stands behind `#`, or behind `!`, `;` or `//` after a space."""
    return _INLINE.sub("", line).strip()


def note_fact(harvest: Harvest, number: int, line: str) -> None:
    """Keep what the head of a list says of itself (title, version, licence, homepage)."""
    if number <= _FACT_LINES and (found := _FACT.match(line)):
        name = found[1].lower().replace("license", "licence")
        harvest.facts.setdefault(name, "".join(letter for letter in found[2].strip() if letter.isprintable())[:200])
