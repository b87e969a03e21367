"""Compiled lists → the policy zone of one category: what the gateway blocks by that category, and what left and came since the last serial.

A process of its own (`python -m blocklists.categorybuild STATE_DIR`, the zones as JSON on its input), so that its memory goes with it.
Names are sorted in runs on the disk and walked once; two versions are compared line by line. `admin.categoryfeed` starts it.

* What a zone says is what the judgement says for somebody whose category is closed and who has no rules of his own: exceptions of a list
  undo that list, the good lists and names that the operator's lists and rules allow stay open, unless the category is locked, help and
  infrastructure always. Expressions of rules cannot be said in a zone; lists that are for some clients or types only close nothing there.
* Only sources that others may have: those that come with the product, those whose licence says so, those the operator names.
* A wildcard of a zone ends where the zone holds a name below it (RFC 4592), so names in between are written out.
"""

from __future__ import annotations

import heapq
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.serial

from blocklists.categoryzone import (
    ABOUT,
    BELOW_CLOSES,
    BELOW_PASSES,
    CLOSES,
    OPERATOR,
    PASSES,
    STATE,
    TEXT,
    Offer,
    State,
    Step,
    folder_of,
    read_offer,
    read_state,
)  # fmt: skip
from blocklists.copies import alone
from gateway import release
from gateway.errors import GenerationError, InvalidName
from gateway.policy.catalogue import LEGAL_TIER, Catalogue, read_catalogue
from gateway.policy.index import Hit, ListIndex, Source
from gateway.policy.model import Level
from gateway.policy.names import Coverage, NameRule, parse_name_rule

RUN: Final = 100_000
"""Lines that are sorted in memory at a time."""
STEPS: Final = 64
CLOSED_TO_ZONES: Final = frozenset({"csam", "order", "dist"})
"""Categories no zone may hold: masked, or filled by orders alone."""
_PERMITTED = re.compile(
    r"(MIT|ISC|BSD|Apache|Unlicense|CC0|CC BY(-SA)?\b(?!-)|GPL|LGPL|AGPL|ODbL|ODC-By|PDDL|public domain)", re.IGNORECASE
)
_RESERVED = re.compile(r"\bN[CD]\b")


def may_be_passed_on(source: Source, offer: Offer) -> bool:
    """Whether others may have a source: our own data, a licence that says so, or the operator's word."""
    listed = source.id.split("#")[0]
    if source.kind == "catalogue" or any(listed == name or listed.startswith(f"{name}/") for name in offer.passing_on):
        return True
    return _PERMITTED.match(source.licence) is not None and not _RESERVED.search(source.licence.split("(")[0])


def build(state_dir: Path, offer: Offer, now: float) -> State | None:
    """Bring a zone to the generation in force; its state, None where no generation is in force yet. The serial grows only when records
    change. Raises GenerationError or OSError; the zone then stays as it was."""
    number = release.current_number(state_dir)
    if number is None or offer.category in CLOSED_TO_ZONES:
        return None
    manifest = release.read_manifest(state_dir, number)
    folder = folder_of(state_dir, offer.zone)
    folder.mkdir(parents=True, exist_ok=True)
    before = read_state(folder)
    if before is not None and before.made_from.get("category") != offer.category:
        before = None
    made_from = offer.made_from(manifest)
    if before is not None and dict(before.made_from) == made_from:
        return before
    catalogue = read_catalogue(release.read_file(state_dir, manifest.catalogue), manifest.catalogue, manifest.catalogue)
    writer = _Writer(ListIndex(state_dir, manifest.index_dir), catalogue, offer, _allowed(state_dir, manifest))
    serial = next_serial(before.serial if before else None, now)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as scratch:
        rules = Path(scratch) / "rules"
        count = _write(rules, writer.lines(Path(scratch)))
        old = folder / f"rules.{before.serial}" if before else None
        step: Step | None = None
        if before is not None and old is not None and old.is_file():
            lines = _compare(old, rules, Path(scratch) / "step")
            if not lines:
                serial = before.serial
            else:
                step = Step(before.serial, serial, lines)
                os.replace(Path(scratch) / "step", folder / f"step.{serial}")
        steps = before.steps if before is not None and (step or serial == before.serial) else ()
        if before is None or serial != before.serial:
            os.replace(rules, folder / f"rules.{serial}")
        state = State(serial, made_from, count, writer.about, writer.left_out, _worth_keeping((*steps, *([step] if step else [])), count))
    with release.replacing(folder / STATE) as file:
        file.write(release.canonical_bytes(state.to_json()))
    _tidy(folder, state, before)
    return state


def next_serial(before: int | None, now: float) -> int:
    """The serial after `before`: the time, so that a primary that lost its files does not go back, or one more where that is not later
    (RFC 1982)."""
    wanted = int(now) % 2**32 or 1
    if before is None or dns.serial.Serial(wanted) > dns.serial.Serial(before):
        return wanted
    return (before + 1) % 2**32


class _Writer:
    """The lines of one zone."""

    def __init__(self, index: ListIndex, catalogue: Catalogue, offer: Offer, allowed: Iterable[NameRule]) -> None:
        self._index = index
        cells = [catalogue.cell(offer.category, band) for band in offer.bands]
        self._legal = catalogue.tier(offer.category) == LEGAL_TIER
        self._locked = all(cell.blocked and cell.locked for cell in cells)
        self._open: dict[str, set[Coverage]] = {}
        for names in (catalogue.help, catalogue.infrastructure):
            for key, coverage in names.items():
                self._open.setdefault(key, set()).add(coverage)
        for rule in () if self._legal or self._locked else allowed:
            self._open.setdefault(rule.key, set()).add(rule.coverage)
        of_category = [source for source in index.sources if source.kind in ("category", "catalogue") and source.category == offer.category]
        offered = [source for source in of_category if source.when is None and may_be_passed_on(source, offer)]
        self._numbers = frozenset(source.number for source in offered)
        self.left_out = sorted(
            {source.id.split("#")[0] for source in of_category if source.entries and not may_be_passed_on(source, offer)}
        )
        self.about = _texts(offered)
        self._matters: dict[int, bool] = {}
        self._said: dict[tuple[int, ...], bool] = {}

    def lines(self, scratch: Path) -> Iterator[str]:
        """The lines of the zone, sorted."""
        texts = (f"{ABOUT}.\t{TEXT}{text}\n" for text in sorted(self.about))
        return heapq.merge(texts, self._rules(_sorted(self._keys(), scratch)))

    def _keys(self) -> Iterator[str]:
        """Every key that may change what is said, with its entry set; names that are always open without one."""
        for key, number in self._index.names():
            matters = self._matters.get(number)
            if matters is None:
                matters = self._matters[number] = any(
                    entry.source.number in self._numbers or entry.exception or entry.source.kind == "good" or entry.source.allows
                    for entry in self._index.entries(number)
                )
            if matters and "\\" not in key:
                yield f"{key}\t{number}\n"
        for key in self._open:
            yield f"{key}\t\n"

    def _rules(self, rows: Iterable[str]) -> Iterator[str]:
        """Walk sorted keys, each with the ones above it, and write a rule where something else holds than above."""
        above: list[_Above] = []
        filled: list[str] = []
        for key, number in _joined(rows):
            while above and not key.startswith(above[-1].key):
                above.pop()
            while filled and not key.startswith(filled[-1]):
                filled.pop()
            upper = above[-1] if above else _TOP
            codes = upper.codes if number is None else (*upper.codes, number << 1)
            itself = upper.codes if number is None else (*upper.codes, number << 1 | 1)
            here = self._closes(itself) and not self._is_open(key, at_self=True)
            below = self._closes(codes) and not self._is_open(key, at_self=False)
            holds, owner = upper.holds, upper.owner
            if holds is None:
                yield from _lines(key, below, here, only_closing=True)
                holds, owner = True if below else None, key
            elif (here, below) != (holds, holds):
                for between in _between(owner, key):
                    if between not in filled:
                        filled.append(between)
                        yield from _lines(between, holds, holds)
                yield from _lines(key, below, here)
                holds, owner = below, key
            above.append(_Above(key, codes, holds, owner))

    def _is_open(self, key: str, *, at_self: bool) -> bool:
        """Help, infrastructure and what the operator allows, or below them."""
        end = 0
        while end := key.find(".", end) + 1:
            coverages = self._open.get(key[:end])
            if coverages and any(coverage.covers(at_self and end == len(key)) for coverage in coverages):
                return True
        return False

    def _closes(self, codes: tuple[int, ...]) -> bool:
        """Whether the category closes a name that these keys cover."""
        said = self._said.get(codes)
        if said is None:
            if len(self._said) >= RUN:
                self._said = {}
            said = self._said[codes] = self._judge(self._index.hits(codes))
        return said

    def _judge(self, hits: Sequence[Hit]) -> bool:
        spared = {hit.entry.source.number for hit in hits if hit.entry.exception}
        undone = {name for hit in hits if hit.entry.exception and hit.entry.source.when for name in hit.entry.source.when.spares}
        mine = [
            hit for hit in hits
            if not hit.entry.exception and hit.entry.source.number not in spared and hit.entry.source.id not in undone
        ]  # fmt: skip
        if not any(hit.entry.source.number in self._numbers for hit in mine):
            return False
        if self._legal:
            return True
        if any(hit.entry.source.kind == "good" for hit in mine):
            return False
        if self._locked:
            return True
        named = [hit for hit in mine if hit.entry.source.kind == "action" and hit.entry.source.level is Level.PROVINCE]
        named = [hit for hit in named if hit.entry.source.when is None or hit.entry.source.allows]
        return not named or not min(named, key=_rank).entry.source.allows


def _allowed(state_dir: Path, manifest: release.Manifest) -> list[NameRule]:
    """The names that the operator's own rules allow; expressions and what cannot be read aside."""
    found: list[NameRule] = []
    for tenant, name in manifest.policies:
        rules = release.read_file(state_dir, name).get("rules") if tenant == OPERATOR else None
        for text in (rules or {}).get("allow") or ():
            with suppress(InvalidName):
                rule = parse_name_rule(str(text))
                if rule.expression is None:
                    found.append(rule)
    return found


@dataclass(frozen=True, slots=True)
class _Above:
    """A key on the way to another: the entry sets down to it, what the zone's nearest wildcard says below it (None: there is none), and
    whose wildcard that is."""

    key: str
    codes: tuple[int, ...]
    holds: bool | None
    owner: str


_TOP: Final = _Above("", (), None, "")


def _rank(hit: Hit) -> tuple[int, int, bool]:
    """The most specific first, of equals the one that allows (`Judgement`, line 5)."""
    exact = hit.entry.coverage is Coverage.EXACT
    return 0 if exact else 1, 0 if exact else -hit.place, not hit.entry.source.allows


def _lines(key: str, below: bool, here: bool, *, only_closing: bool = False) -> Iterator[str]:
    if below or not only_closing:
        yield f"{key}\t{BELOW_CLOSES if below else BELOW_PASSES}\n"
    if here or not only_closing:
        yield f"{key}\t{CLOSES if here else PASSES}\n"


def _between(owner: str, key: str) -> Iterator[str]:
    """The names between a wildcard's owner and a name below it, where the wildcard ends (RFC 4592 §2.2.2)."""
    end = key.find(".", len(owner)) + 1
    while end < len(key):
        yield key[:end]
        end = key.find(".", end) + 1


def _joined(rows: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """Each key of sorted rows once, with its entry set where one of its rows has one."""
    last, number = "", ""
    for row in rows:
        key, _, found = row[:-1].partition("\t")
        if key != last:
            if last:
                yield last, int(number) if number else None
            last, number = key, found
        else:
            number = found or number
    if last:
        yield last, int(number) if number else None


def _sorted(rows: Iterable[str], scratch: Path) -> Iterator[str]:
    """Rows in order, at most a run of them in memory."""
    with ExitStack() as stack:
        runs: list[Iterable[str]] = []
        run: list[str] = []
        for row in rows:
            run.append(row)
            if len(run) == RUN:
                file = stack.enter_context(open(scratch / f"run.{len(runs)}", "w+", encoding="utf-8"))
                file.writelines(sorted(run))
                file.seek(0)
                runs.append(file)
                run = []
        runs.append(sorted(run))
        yield from heapq.merge(*runs)


def _write(target: Path, lines: Iterable[str]) -> int:
    count = 0
    with open(target, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _compare(old: Path, new: Path, target: Path) -> int:
    """Write what left and what came between two sorted files; how many lines that is."""
    count = 0
    with open(old, "rb") as before, open(new, "rb") as after, open(target, "wb") as step:
        one, two = before.readline(), after.readline()
        while one or two:
            if one == two:
                one, two = before.readline(), after.readline()
                continue
            count += 1
            if two and (not one or two < one):
                step.write(b"+" + two)
                two = after.readline()
            else:
                step.write(b"-" + one)
                one = before.readline()
        step.flush()
        os.fsync(step.fileno())
    return count


def _worth_keeping(steps: Sequence[Step], rules: int) -> tuple[Step, ...]:
    """The newest steps that together say less than the zone does."""
    kept: list[Step] = []
    said = 0
    for step in reversed(steps[-STEPS:]):
        said += step.lines
        if said > rules:
            break
        kept.append(step)
    return tuple(reversed(kept))


def _texts(sources: Iterable[Source]) -> list[str]:
    """Where the names are from, one text a list: title, publisher, licence."""
    texts = set()
    for source in sources:
        if source.kind == "catalogue":
            texts.add("Lá Chắn DNS: services")
        elif source.entries:
            licence = source.licence or "passed on by the operator"
            texts.add("; ".join(" ".join(part.split()) for part in (source.title or source.id, source.publisher, licence) if part))
    return sorted(texts)


def _tidy(folder: Path, *kept: State | None) -> None:
    """Take away files that neither this state nor the one before needs."""
    names = {STATE}
    for state in kept:
        if state is not None:
            names.update((f"rules.{state.serial}", *(f"step.{step.after}" for step in state.steps)))
    for path in folder.iterdir():
        if path.is_file() and path.name not in names:
            path.unlink(missing_ok=True)


def main() -> int:
    """Build the zones of `{"now": …, "zones": […]}`; a line of JSON for each: its name, and what was wrong (empty: nothing)."""
    os.nice(10)
    state_dir, task = Path(sys.argv[1]), json.load(sys.stdin)
    with alone(state_dir, "zones-out", wait=True):
        for row in task["zones"]:
            offer, problem = read_offer(row), ""
            try:
                build(state_dir, offer, float(task["now"]))
            except (GenerationError, OSError) as error:
                problem = str(error)
            sys.stdout.write(json.dumps({"zone": offer.zone, "problem": problem}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
