"""What an expression can cost for one new name: a bound read from its text, the same on every machine. Only this package imports it.

RE2 reads a name once, whatever the expression. What a letter costs grows with the places in the expression that are alive at once, for each
combination of them that is new is worked out anew; all of them have just read the same letters. So there are never more than there are
places that take one and the same letter, or, within a word, that stand behind the same letters. `a.{1,60}b.{1,60}c` has 121 of them and
costs as much as 86 plain queries; an ordinary expression has two or three.

The syntax is RE2's (github.com/google/re2/wiki/Syntax); an expression has been compiled by RE2 before it is weighed, so it is well formed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import re2

from gateway.policy.names import compile_expression

MOST: Final = 20
"""Places of one expression that may be alive at once: about what twenty plain queries cost, on a name made for it."""
WIDE: Final = 4
"""An expression with more is one that a counted repetition or the like makes dear."""
MOST_WIDE: Final = 40
"""The same for all such expressions of one owner."""
MOST_TOGETHER: Final = 800
"""And for all of an owner's: about three hundred ordinary ones."""
MOST_LOOSE: Final = 45
"""Gaps such as `.*` or `.{1,3}` that stand behind no word, in all of an owner's: every letter of a name may open one of them anew, so that
fifteen `a.*b` cost about what twenty plain queries do. One without an end counts as three letters, a class of all letters behind a class
of many as one."""
MOST_GAPS: Final = 100
"""Endless gaps behind a word that reach over dots: a name has room for so many words only."""
MOST_INSTRUCTIONS: Final = 12_000
"""Size of all expressions of one owner, in instructions of RE2."""
REMEDY: Final = "write names instead, or fewer gaps: none at either end (it is found anywhere in a name), no counts such as {1,60}"

_LETTERS: Final = "".join(chr(number) for number in range(0x21, 0x7F) if not chr(number).isupper())
"""What the text of a name is made of."""
_GROUP: Final = re.compile(r"\(\?(?:P?<\w+>|[a-zA-Z-]*:)|\((?!\?)")
_FLAGS: Final = re.compile(r"\(\?[a-zA-Z-]*\)")
_QUOTED: Final = re.compile(r"\\Q(.*?)(?:\\E|$)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[0-9a-fA-F]*\}|..)|[0-7]{1,3}|.)", re.DOTALL)
_CLASS: Final = re.compile(r"\[\^?\]?(?:\[:[^\]]*:\]|\\(?:[pP]\{[^}]*\}|x\{[^}]*\}|.)|[^\]\\])*\]", re.DOTALL)
_COUNT: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}\??")
_BEHIND: Final = 3
"""So many letters before one in a word are looked at."""
_ENDLESS: Final = re.compile(r"[*+]|\{\d+,\}")
_WIDE_CLASS: Final = 20
"""A place that takes so many letters keeps itself alive in names of any kind."""
_MANY: Final = 5
"""A first place that takes so many letters opens what stands behind it in names of any kind."""
_WORD: Final = 3
"""Letters in a row that make a word: what stands behind it comes alive for few names."""
_EXACT: Final = re.compile(r"\{\d+\}\??")
_TIMES: Final = re.compile(r"[*+?]\??")

Places = Mapping[str, int]
"""How many places take the last letter of each text, and come alive only behind the letters before it."""
_NOWHERE: Final[Places] = {}


@lru_cache(maxsize=4096)
def weigh(expression: str) -> int:
    """How many places of this expression may be alive at once, at most. Raises InvalidName for what is no expression."""
    compile_expression(expression)
    places, _, _ = _alternatives(expression, 0)
    return max((sum(places.get(text[at:], 0) for at in range(len(text))) for text in places), default=0)


def too_dear(expression: str) -> str | None:
    """What to tell a person whose expression costs too much, None for one that does not."""
    weight = weigh(expression)
    if weight <= MOST:
        return None
    return f"costs too much for every new name: {weight} places of it may match one letter, {MOST} are allowed"


def too_dear_together(expressions: list[str]) -> str | None:
    """The same for all the expressions of one owner, none of which is too dear by itself."""
    weights = [weigh(expression) for expression in expressions]
    wide = sum(weight for weight in weights if weight > WIDE)
    size = sum(compile_expression(expression).programsize for expression in expressions)
    gaps = [_gaps(expression, 0, False, True) for expression in expressions]
    loose, far = sum(found.loose for found in gaps), sum(found.far for found in gaps)
    if loose > MOST_LOOSE or far > MOST_GAPS:
        dearest = sorted(zip(gaps, expressions, strict=True), key=lambda row: -(row[0].loose if loose > MOST_LOOSE else row[0].far))
        named = ", ".join(f"/{expression[:40]}/" for _, expression in dearest[:3])
        return (
            f"{len(expressions)} expressions cost too much together for every new name: there are too many gaps such as .* or .{{1,3}} "
            f"inside them; the dearest are {named}"
        )
    for number, most, what in (
        (wide, MOST_WIDE, f"places in those with more than {WIDE} may match one letter"),
        (sum(weights), MOST_TOGETHER, "places may match one letter"),
        (size, MOST_INSTRUCTIONS, "instructions is their size"),
    ):
        if number > most:
            return f"{len(expressions)} expressions cost too much together for every new name: {number} {what}, {most} are allowed"
    return None


class _Gaps(NamedTuple):
    """The gaps of a group: those behind no word, and endless ones behind a word that reach over dots; where the group ends, whether each
    of its alternatives holds a word, and whether it may take no letter but separators, so that it opens a gap in all expressions alike."""

    loose: int
    far: int
    end: int
    is_worded: bool
    is_leading: bool


def _gaps(text: str, at: int, is_worded: bool, is_leading: bool) -> _Gaps:
    loose = far = row = 0
    worded, leading, opener = is_worded, is_leading, "" if is_leading else "many"
    every_worded, every_leading = True, True
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            every_worded, every_leading = every_worded and worded, every_leading and leading
            at, row, worded, leading, opener = at + 1, 0, is_worded, is_leading, "" if is_leading else "many"
            continue
        if not _FLAGS.match(text, at) and (group := _GROUP.match(text, at)):
            inner = _gaps(text, group.end(), worded, leading)
            times, end = _times(text, inner.end + 1)
            loose, far = loose + inner.loose * times, far + inner.far * times
            worded = worded or (inner.is_worded and end == inner.end + 1)
            leading, row, at = leading and inner.is_leading, 0, end
            opener = opener or ("" if leading else "many")
            continue
        places, after, _ = _piece(text, at)
        times, at = _times(text, after)
        is_endless = _ENDLESS.search(text, after, at) is not None
        is_counted = at > after and not is_endless and times > 1 and _EXACT.fullmatch(text, after, at) is None
        if len(places) >= _WIDE_CLASS and (is_endless or is_counted) and not leading:
            far += worded and is_endless and "." in places
            loose += 0 if worded else 3 if is_endless else times
        elif len(places) >= _WIDE_CLASS and opener == "many" and not worded:
            loose += 1
        elif at == after and places:
            row += 1
        if not opener and places and not is_endless and not places.keys() <= {".", "-"}:
            opener = "many" if len(places) >= _MANY else "few"
        leading = leading and (is_endless or places.keys() <= {".", "-"})
        row = 0 if at > after or places.keys() & {".", "-"} or len(places) >= _WIDE_CLASS else row
        worded = worded or row >= _WORD
    return _Gaps(loose, far, at, every_worded and worded, every_leading and leading)


def _alternatives(text: str, at: int) -> tuple[Places, int, bool]:
    """The places of everything up to the end of a group, where that is, and whether all of it takes one letter (or is the beginning)."""
    found: dict[str, int] = {}
    behind, fence, pieces, is_one = "", None, 0, True
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            is_one = is_one and pieces == 1
            at, behind, fence, pieces = at + 1, "", None, 0
            continue
        places, after, is_single = _piece(text, at)
        times, end = _times(text, after)
        pieces += 1
        is_one = is_one and is_single and end == after
        is_plain = is_single and end == after
        # Behind a letter that the places do not take, or the beginning, they are alive one at a time: they count from that letter.
        is_fenced = is_single and fence is not None and not fence & places.keys()
        if is_fenced:
            times = 1
        if not is_single or (end > after and not (is_fenced and _EXACT.fullmatch(text, after, end))):
            fence = None
        elif not is_fenced:
            fence = frozenset(places) if is_plain else None
        if len(places) == 1 and is_plain and text[at] != "(":
            behind = (behind + next(iter(places)))[-_BEHIND - 1 :]
            places = {behind: 1}
        else:
            behind = ""
        for letters, number in places.items():
            found[letters] = found.get(letters, 0) + number * times
        at = end
    return found, at, is_one and pieces == 1


def _piece(text: str, at: int) -> tuple[Places, int, bool]:
    """One group, class, escape or letter; where it ends, and whether it takes one letter (or is the beginning)."""
    if flags := _FLAGS.match(text, at):
        return _NOWHERE, flags.end(), False
    if group := _GROUP.match(text, at):
        places, at, is_one = _alternatives(text, group.end())
        return places, at + 1, is_one
    if quoted := _QUOTED.match(text, at):
        written = quoted[1].lower()
        return {letter: written.count(letter) for letter in written}, quoted.end(), False
    for kind in (_ESCAPE, _CLASS):
        if match := kind.match(text, at):
            return _taken_by(match[0]), match.end(), bool(_taken_by(match[0])) or match[0] == r"\A"
    return _taken_by(text[at]), at + 1, bool(_taken_by(text[at])) or text[at] == "^"


def _times(text: str, at: int) -> tuple[int, int]:
    """How often the piece before stands in the compiled expression."""
    times = 1
    while True:
        if count := _COUNT.match(text, at):
            least = int(count[1])
            times *= max(int(count[3]) if count[3] else least + bool(count[2]), 1)
            at = count.end()
        elif repeated := _TIMES.match(text, at):
            at = repeated.end()
        else:
            return times, at


@lru_cache(maxsize=1024)
def _taken_by(piece: str) -> Places:
    """The letters that one place takes, in either case: flags before it may ask for that."""
    options = re2.Options()
    options.log_errors = False
    found: dict[str, int] = {}
    for written in (piece, f"(?i:{piece})", f"(?s:{piece})"):
        try:
            expression = re2.compile(written, options=options)
        except re2.error:  # a brace or the like that only means itself beside others
            expression = re2.compile(re2.escape(piece), options=options)
        found.update((letter, 1) for letter in _LETTERS if expression.fullmatch(letter) is not None)
    return found
