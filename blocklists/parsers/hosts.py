"""Hosts files: `0.0.0.0 name [name …]`. `blocklists.parsers.detect` imports it.

An address of no host (unspecified, loopback) blocks the names behind it. Any other address would send the name there: such lines are
counted and refused unless the operator said yes in the settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from blocklists.normalize import plain_key
from blocklists.parsers import PLAIN, Action, Bucket, Harvest, Options
from blocklists.parsers.names import LOCAL_KEYS, is_comment, note_fact, take_name, without_comment
from blocklists.rejections import Reason

REWRITE_TTL: Final = 60
"""Seconds a client keeps the answer of a hosts line that sends a name to an address."""

_SINKS: Final = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1", "0", "127.0.1.1"})
_ADDRESS = IPv4Address | IPv6Address


def parse(lines: Iterable[str], harvest: Harvest, options: Options) -> None:
    """Read a hosts file. A line with a name alone counts as a name."""
    add = harvest.bucket(PLAIN).append
    for number, line in enumerate(lines, 1):
        address, _, rest = line.partition(" ")
        if address in _SINKS:
            key = plain_key(rest.strip())
            if key is not None and key not in LOCAL_KEYS:
                add(key)
                continue
        line = line.strip()
        if is_comment(line):
            note_fact(harvest, number, line)
            continue
        words = without_comment(line).split()
        if words and not take_hosts_line(harvest, number, words, options):
            if len(words) > 1:
                harvest.reject(Reason.NOT_A_RULE, number, line)
            else:
                take_name(harvest, number, words[0])


def take_hosts_line(harvest: Harvest, number: int, words: list[str], options: Options) -> bool:
    """Take the names of a line that begins with an address. False when it does not begin with one or no name stands behind it."""
    address = _address(words[0])
    if address is None or len(words) < 2:
        return False
    bucket = PLAIN
    if words[0] not in _SINKS and not (address.is_unspecified or address.is_loopback or words[0] == "255.255.255.255"):
        if options.rewrites == "refuse":
            for word in words[1:]:
                harvest.reject(Reason.FOREIGN_ADDRESS, number, f"{words[0]} {word}")
            return True
        if options.rewrites == "answers":
            bucket = Bucket(action=_answer(address))
    for word in words[1:]:
        take_name(harvest, number, word, bucket)
    return True


def _address(word: str) -> _ADDRESS | None:
    if word in _SINKS:
        return ip_address("0.0.0.0")
    if not word[:1].isalnum() and not word.startswith(":"):
        return None
    try:
        return ip_address(word.partition("%")[0])
    except ValueError:
        return None


def _answer(address: _ADDRESS) -> Action:
    rtype = 1 if address.version == 4 else 28
    return Action("local", records=((rtype, REWRITE_TTL, address.packed.hex()),))
