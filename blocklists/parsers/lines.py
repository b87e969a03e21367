"""Bytes of a list file → lines: byte-order marks, CRLF, undecodable bytes, lines without end. `blocklists.parsers` imports it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from blocklists.parsers import Harvest
from blocklists.rejections import Reason

MAX_LINE: Final = 4096
"""Characters a line may have."""

HOPELESS: Final = 10_000
"""Mistakes after which a file that has more mistakes than entries is not read any further: it is no list of this format."""

_BLOCK: Final = 1 << 18


def read_lines(path: Path, harvest: Harvest) -> Iterator[str]:
    """The lines of a file without their ends, in constant memory. An over-long line is counted and given as an empty one.

    `harvest` is the one the lines are parsed into: a hostile file of nothing but mistakes ends early.
    """
    with open(path, "rb") as file:
        number = 0
        rest = ""
        skipping = False
        for block in _decoded(file):
            lines = (rest + block).split("\n")
            rest = lines.pop()
            if harvest.errors > max(HOPELESS, harvest.entries):
                break
            if skipping and lines:
                lines[0] = ""  # the end of a line that was counted when it grew too long
                skipping = False
            for line in lines:
                number += 1
                if len(line) > MAX_LINE:
                    harvest.reject(Reason.LINE_TOO_LONG, number, line)
                    line = ""
                yield line
            if len(rest) > MAX_LINE:
                if not skipping:
                    harvest.reject(Reason.LINE_TOO_LONG, number + 1, rest)
                rest = ""
                skipping = True
        if rest and not skipping:
            number += 1
            yield rest
        harvest.lines = number + skipping


def _decoded(file: BinaryIO) -> Iterator[str]:
    """Blocks of text. UTF-16 is known by its mark; bytes that are not UTF-8 become U+FFFD, which no name may hold."""
    first = file.read(_BLOCK)
    encoding = "utf-16" if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    block = first
    while block:
        text = decoder.decode(block)
        yield text.replace("\r", "\n") if "\r" in text and "\n" not in text else text
        block = file.read(_BLOCK)
    yield decoder.decode(b"", final=True)
