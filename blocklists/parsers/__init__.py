"""List formats: what a parser is, what it gathers, how its findings are kept. `blocklists` may import this package.

| module | format |
|---|---|
| `lines` | bytes on disk → lines: encodings, line ends, over-long lines |
| `names` | one name as it stands in a line, the same for every format |
| `hosts` | `0.0.0.0 name` |
| `domains` | one name a line, `*.name` and `.name` too |
| `adblock` | `||name^`, `@@||name^`, the modifiers that mean something to DNS |
| `rpz` | response policy zone files |
| `csv` | `name[,category][,match]` |
| `detect` | which of them a file is, and how one file is parsed |

A parser reads lines and puts keys into a `Harvest`. It never raises for what it reads: every line that gives nothing is counted with its
reason. To add a format: write a module with a function of the shape `Parser`, name it in `detect.FORMATS`, teach `detect.detect` its looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal, NamedTuple, Protocol

from blocklists.rejections import Reason, Weight

EXAMPLES: Final = 3
"""How many examples of each reason are kept."""

_EXCERPT: Final = 80


class Match(IntEnum):
    """What an entry covers; the numbers are those of index.json."""

    BOTH = 0
    EXACT = 1
    BELOW = 2


class Action(NamedTuple):
    """What an entry of an action list or a policy zone asks for.

    `kind`: nxdomain, nodata, passthru, drop, tcp-only, cname, local. `target` is the name a `cname` leads to (`*.x` prepends the
    query name). `records` are those of `local`, each (type number, TTL in seconds, RDATA in uncompressed wire form as hex digits).
    """

    kind: str
    target: str = ""
    records: tuple[tuple[int, int, str], ...] = ()


class When(NamedTuple):
    """Which queries a rule is for: DNS types by number, and clients by id, address or network; the `not_` ones are left out.

    Empty means any. A rule with a condition never becomes one without it.
    """

    types: tuple[int, ...] = ()
    not_types: tuple[int, ...] = ()
    clients: tuple[str, ...] = ()
    not_clients: tuple[str, ...] = ()


ALWAYS: Final = When()


class Bucket(NamedTuple):
    """What a set of keys has in common.

    `category` is that of the line when the format carries one. Exceptions act inside their own `group` only: "" for ordinary rules,
    "important" for those that plain exceptions do not undo, one more for each `$denyallow` set.
    """

    category: str | None = None
    group: str = ""
    match: Match = Match.BOTH
    exception: bool = False
    action: Action | None = None
    when: When = ALWAYS


PLAIN: Final = Bucket()


@dataclass(frozen=True, slots=True)
class Example:
    """One rejected line: its number (from 1) and how it begins, unprintable characters escaped."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    """What a parser may do with a source.

    `rewrites` says what becomes of a hosts line with a foreign address: refused, its name taken, or its address answered.
    `categories` are the codes that a category column may use (code → may a list fill it). `zone` is the name of a policy zone.
    `clients` says whether rules may be for some clients only: a file of the operator's own, never one from elsewhere.
    """

    rewrites: Literal["refuse", "names", "answers"] = "refuse"
    categories: dict[str, bool] = field(default_factory=dict)
    zone: str = ""
    clients: bool = False


class AddressTrigger(NamedTuple):
    """A rule of a policy zone on an address: who asks (`client-ip`) or what is answered (`response-ip`), and the network in text form."""

    trigger: Literal["client-ip", "response-ip"]
    network: str


@dataclass(slots=True)
class Harvest:
    """What one source gave: keys by bucket, rules on addresses, and every line that gave nothing, by reason.

    `pending` counts entries that a parser still holds back, because they are settled at the end of the file only.
    """

    buckets: dict[Bucket, list[str]] = field(default_factory=dict)
    addresses: dict[AddressTrigger, Action] = field(default_factory=dict)
    rejected: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, list[Example]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    pending: int = 0

    def bucket(self, bucket: Bucket) -> list[str]:
        """The list of keys of a bucket, made when it is not there yet."""
        return self.buckets.setdefault(bucket, [])

    def reject(self, reason: Reason, line: int, text: str) -> None:
        """Count a line (or a name in it) that gives nothing, and keep the first few of each reason."""
        self.rejected[reason] += 1
        if self.rejected[reason] <= EXAMPLES:
            self.examples.setdefault(reason, []).append(Example(line, shown(text)))

    @property
    def entries(self) -> int:
        """How many keys were gathered so far, repeats included."""
        return sum(map(len, self.buckets.values())) + self.pending

    @property
    def errors(self) -> int:
        """How many lines were mistakes, as opposed to understood and not enforceable."""
        return sum(count for reason, count in self.rejected.items() if reason.weight is Weight.ERROR)


class Parser(Protocol):
    """Reads the lines of one format into a harvest. The first line has number 1."""

    def __call__(self, lines: Iterable[str], harvest: Harvest, options: Options) -> None: ...


def shown(text: str) -> str:
    """The beginning of hostile text as it may stand in a report: one line, printable, short."""
    cut = text[:_EXCERPT].strip()
    clean = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in cut)
    return clean + ("…" if len(text.strip()) > _EXCERPT else "")
