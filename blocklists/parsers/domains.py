"""Plain lists: one name a line, also as `*.name`, `.name` or a URL of a whole site. `blocklists.parsers.detect` imports it."""

from __future__ import annotations

from collections.abc import Iterable

from blocklists.normalize import plain_key
from blocklists.parsers import PLAIN, Harvest, Options
from blocklists.parsers.hosts import take_hosts_line
from blocklists.parsers.names import is_comment, note_fact, take_name, without_comment
from blocklists.rejections import Reason


def parse(lines: Iterable[str], harvest: Harvest, options: Options) -> None:
    """Read one name a line. A stray hosts line in such a file is read as one."""
    add = harvest.bucket(PLAIN).append
    for number, line in enumerate(lines, 1):
        key = plain_key(line.strip())
        if key is not None:
            add(key)
            continue
        line = line.strip()
        if is_comment(line):
            note_fact(harvest, number, line)
            continue
        text = without_comment(line)
        words = text.split()
        if len(words) < 2:
            if words:
                take_name(harvest, number, text)
        elif not take_hosts_line(harvest, number, words, options):
            harvest.reject(Reason.NOT_A_RULE, number, line)
