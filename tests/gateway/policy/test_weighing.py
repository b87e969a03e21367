"""What an expression may cost is read from its text: the bound holds for whatever RE2 does, and ordinary expressions stay far below it."""

from __future__ import annotations

import statistics
import time
from random import Random

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidName
from gateway.policy.expressions import ExpressionSet
from gateway.policy.weighing import MOST, MOST_WIDE, too_dear, too_dear_together, weigh

ORDINARY = [f"(^|[.-])word{number}[a-z]*\\.(com|net|vn)$" for number in range(200)]
WORDS = "(bet|casino|slot|poker|baccarat|roulette|keno|lotto|jackpot|nohu|taixiu|xocdia|banca|daga)"


@pytest.mark.parametrize(
    ("expression", "weight"),
    [
        ("a", 1),
        ("^ads?[0-9]*\\.", 1),
        (WORDS, 3),
        ("(?i)BET[0-9]{1,4}", 1),
        ("a.{1,60}b.{1,60}c", 121),
        ("(.*a){50}", 100),
        ("(a|b)*a(a|b){20}", 22),
        ("aaaaaaaaaaaa", 12),
        ("\\Qa.a\\E", 2),
        ("[]a]b[^]a][[:alpha:]-]", 3),
        ("\\x61\\x{61}\\141a", 4),
        ("(?P<n>a)(?:a)(?i:a)(?i)a", 4),
        ("a{,5}x{2", 1),
        ("^$", 0),
        # Behind the beginning or a letter that they do not take, places are alive one at a time.
        ("^[a-z0-9]{32}\\.", 1),
        ("(^|\\.)[0-9a-f]{16}\\.tracker", 2),
        ("\\.[a-z]{1,30}x", 2),
        ("\\.[a-z]{1,30}[a-z]{9}", 10),
        ("(^|[a-z])[a-z]{30}", 31),
        *((f"{before}c{{30}}", 30) for before in ("(a|)", "(|a)", "()", "(ab|d)", "\\b", "(\\b|a)", "a?", "(^a|b)", "(?i)")),
    ],
)
def test_places_that_may_be_alive_at_once(expression: str, weight: int) -> None:
    """Each kind of syntax, by hand."""
    assert weigh(expression) == weight


def alive_at_once(pieces: list[tuple[str, str]], name: str) -> int:
    """How many places of a row of classes are alive at once while a name is read: each place a state, begun anew at every letter."""
    places = [(letters, times, at) for at, (letters, times) in enumerate(pieces)]
    expanded: list[tuple[str, bool, bool]] = []  # letters, may be left out, may come again
    for letters, times, _ in places:
        match times:
            case "":
                expanded.append((letters, False, False))
            case "?":
                expanded.append((letters, True, False))
            case "*":
                expanded.append((letters, True, True))
            case "+":
                expanded.append((letters, False, True))
            case _:
                expanded += [(letters, False, False)] * int(times[1:-1])

    def reached(start: int) -> set[int]:
        found = set()
        for at in range(start, len(expanded)):
            found.add(at)
            if not expanded[at][1]:
                break
        return found

    alive: set[int] = set()
    most = 0
    for letter in name:
        ready = reached(0)
        for at in alive:
            ready |= reached(at + 1) | ({at} if expanded[at][2] else set())
        alive = {at for at in ready if letter in expanded[at][0]}
        most = max(most, len(alive))
    return most


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "ab", "abc", ".", "c"]), st.sampled_from(["", "", "?", "*", "+", "{3}", "{7}"])),
        min_size=1,
        max_size=8,
    ),
    st.text("abc.", max_size=60),
)
def test_no_name_brings_more_alive_than_was_weighed(pieces: list[tuple[str, str]], name: str) -> None:
    """A simulation of the automaton on any name stays within the bound."""
    expression = "".join(f"[{letters}]{times}" if len(letters) > 1 else f"{re2.escape(letters)}{times}" for letters, times in pieces)
    assert alive_at_once(pieces, name) <= weigh(expression)


@settings(deadline=None)
@given(st.text("abc.*+?()[]{}|^$\\12,-:PpLQEdwx<>i", max_size=30))
def test_whatever_re2_takes_is_weighed(text: str) -> None:
    """No expression that compiles makes the reader stumble."""
    try:
        weight = weigh(text)
    except InvalidName:
        return
    assert weight >= 0


def test_ordinary_expressions_are_few_places() -> None:
    """Two hundred of them are nothing to speak about; so are long lists of words and anchored codes."""
    assert too_dear_together([*ORDINARY, *[WORDS] * 20, "^[0-9a-f]{32}\\."]) is None
    assert all(too_dear(each) is None for each in (*ORDINARY, WORDS))


LETTERS = "abcdefghijklmnopqrstuvwxyz"
GAPS = [f"{LETTERS[number % 26]}.*{LETTERS[number * 3 % 26]}" for number in range(200)]
SHORT_GAPS = [f"{LETTERS[number % 26]}.{{1,3}}{LETTERS[number * 7 % 26]}{number}" for number in range(200)]
CLASSES = [f"[{LETTERS[number % 20]}-z][a-z][0-9a-z][a-z]{number}" for number in range(200)]
FAR_GAPS = [f"word{number}.*x" for number in range(200)]


@pytest.mark.parametrize(
    "expressions",
    [["a.{1,12}b.{1,12}x"] * 3, ORDINARY * 2, ["/" * 500] * 30, GAPS[:16], SHORT_GAPS[:16], CLASSES[:16], FAR_GAPS[:101]],
    ids=["wide", "many", "large", "gaps", "short gaps", "classes", "gaps behind words"],
)
def test_too_many_are_refused_together(expressions: list[str]) -> None:
    """Each of them may stand, all of them may not."""
    why = too_dear_together(expressions)
    assert why is not None and why.startswith(f"{len(expressions)} expressions cost too much together")


def test_gaps_that_open_for_few_names_are_no_gaps() -> None:
    """What people write: parts before a dot, digits, a word anywhere, two words with something between."""
    written = (
        "^([a-z0-9-]+\\.)*bet\\.",
        "^(.+[_.-])?telemetry[_.-]",
        "^ads?[0-9]*\\.",
        "(^|\\.)[a-z]*bet",
        "bet[a-z]*[0-9]",
        "(bet|win)[a-z]+x",
        "[a-z0-9]bet[a-z]",
        "^[0-9a-f]{32}\\.",
        "(^|\\.)[a-z]{8}\\.top",
        "a[a-z][a-z]b",
    )
    assert all(too_dear_together([expression] * 60) is None for expression in written)
    assert too_dear_together([".*bet.*"] * 100) is None
    assert too_dear_together(["(be|win).*x"] * 16) is not None, "one of the two is no word"


def test_dearest_expressions_are_named() -> None:
    """Who wrote two hundred is told which to look at."""
    why = too_dear_together([*ORDINARY[:100], *GAPS[:14], "a.*b.*c"])
    assert why is not None and "the dearest are /a.*b.*c/, /a.*a/, /b.*d/" in why


@pytest.mark.parametrize("kind", [GAPS[:15], SHORT_GAPS[:15], CLASSES[:15]], ids=["gaps", "short gaps", "classes"])
def test_most_gaps_that_are_taken_cost_no_more_than_twenty_plain_queries(kind: list[str]) -> None:
    """Measured as the dearest single expressions are, on names of all letters."""
    assert too_dear_together(kind) is None
    dear, plain = ExpressionSet(tuple(kind)), ExpressionSet(("a.{1,60}b.{1,60}x",))
    assert median(dear, LETTERS) < median(plain)


WORST = {
    "binary": ["(a|b)*a(a|b){18}x"],
    "binary, twice": ["(a|b)*a(a|b){17}x", "(a|b)*b(a|b){17}x"],
    "dots": ["a.{1,9}b.{1,8}x", "b.{1,9}c.{1,8}x"],
    "many stars": ["(.*a){10}x", "(.*b){10}x"],
}


@pytest.mark.parametrize("kind", WORST)
def test_the_dearest_that_are_taken_cost_no_more_than_twenty_plain_queries(kind: str) -> None:
    """A plain new name costs about 11 µs where this was measured; the same search of an ordinary automaton is the measure here."""
    assert all(weigh(each) <= MOST for each in WORST[kind]) and sum(map(weigh, WORST[kind])) <= MOST_WIDE + 1
    dear, plain = ExpressionSet(tuple(WORST[kind])), ExpressionSet(("a.{1,60}b.{1,60}x",))
    assert median(dear) < median(plain), "less than the expression that is refused"


def median(searched: ExpressionSet, letters: str = "abc") -> float:
    """Processor seconds of one search in names nobody asked for yet."""
    taken = []
    for number in range(60):
        random = Random(number)
        name = "".join(random.choice(letters) for _ in range(250))
        begun = time.thread_time()
        searched.found_in(name)
        taken.append(time.thread_time() - begun)
    return statistics.median(taken)
