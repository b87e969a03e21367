"""Which copy of a source is used: the newest when it may be, else the last good one, with the reason. `blocklists.jobs` imports it.

A subscription is judged as a whole before it replaces anything: too many mistakes refuse it, a sudden change holds it for a person. A
file of the operator's own is used as it is, unless it cannot be read, is mostly mistakes, or was cut to nothing; then the copy kept from
the last time stays in force. A policy zone is held to the share of mistakes of a subscription and must have its SOA record;
one that is taken from a primary may not change suddenly either.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from blocklists.catalogue import Json
from blocklists.copies import About, Copies, HeldCopy, Refused, digest_of
from blocklists.fetch import Validators
from blocklists.gather import Gathered, Part, gather
from blocklists.guard import ChangeLimits, Guard, Hold, judge_change
from blocklists.parsers import Bucket, Example, Harvest
from blocklists.parsers.detect import parse_file
from blocklists.rejections import Reason
from blocklists.report import Problem, SourceReport, State
from blocklists.sources import Source
from gateway.errors import FetchError


@dataclass(frozen=True, slots=True)
class ErrorLimits:
    """The share of lines that may be mistakes before a copy is refused: subscriptions, own files. Fewer than `floor` never refuse one."""

    fetched: float = 0.05
    own: float = 0.5
    floor: int = 3


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a fetch ended: an error, a new candidate (`changed`), nothing new, or (`is_good`) the good copy once more."""

    error: FetchError | None = None
    changed: bool = False
    is_good: bool = False
    validators: Validators = field(default_factory=Validators)


@dataclass(slots=True)
class Taken:
    """What one source gives the index, and what is reported about it."""

    parts: list[Part]
    counts: dict[str, int]
    report: SourceReport


@dataclass(slots=True)
class _Read:
    """One copy, read."""

    format: str
    lines: int
    errors: int
    found: int
    examples: dict[Reason, list[Example]]
    facts: dict[str, str]
    gathered: Gathered


_NEVER_TAKEN: Final = Problem("chưa nhận được lần nào từ máy chủ chính", "was never received from its primary")
_LOST: Final = Problem("bản nhận từ máy chủ chính đã mất, giữ bản trước", "the copy from its primary is gone; the copy before it stays")
_MISSING: Final = Problem("chưa tải được lần nào", "was never fetched")


class Intake:
    """Takes sources one after another."""

    def __init__(self, state_dir: Path, guard: Guard, catalogue: Json, now: float, errors: ErrorLimits, changes: ChangeLimits) -> None:
        self.state_dir = state_dir
        self.guard = guard
        self.catalogue = catalogue
        self.now = int(now)
        self.errors = errors
        self.changes = changes

    def take(self, source: Source, arrival: Arrival | None = None) -> Taken:
        """Read the copy of a source that may be used. Never raises for what is in a list."""
        if source.inline:
            harvest = Harvest(buckets={Bucket(match=match): list(keys) for match, keys in source.inline.items()})
            return self._taken(source, self._gathered(source, "catalogue", harvest), "fresh", None, About())
        if source.url is not None:
            return self._subscription(source, arrival)
        return self._own_file(source)

    def _subscription(self, source: Source, arrival: Arrival | None) -> Taken:
        copies = Copies(self.state_dir, source.id)
        about = copies.about()
        if arrival is not None:
            about = replace(about, checked_at=self.now, failures=about.failures + 1 if arrival.error else 0)
            if arrival.error is None:
                about = replace(about, validators=arrival.validators)
            if arrival.is_good:
                copies.held.unlink(missing_ok=True)
                about = replace(about, held=None, refused=None, accepted="")
            if arrival.changed:
                taken = self._judge_candidate(source, copies, about)
                if taken is not None:
                    return taken
                about = copies.about()
            else:
                copies.note(about)
        if about.accepted and copies.held.is_file() and digest_of(copies.held) == about.accepted:
            return self._accept(source, copies, copies.held, self._read(source, copies.held), replace(about, origin=source.url or ""))
        state, problem = _standing(about, arrival.error if arrival else None)
        return self._from_good(source, copies, about, state, problem)

    def _judge_candidate(self, source: Source, copies: Copies, about: About) -> Taken | None:
        """Take the candidate, or note why not (then None)."""
        read = self._read(source, copies.candidate)
        refusal = self._too_many_errors(read, self.errors.fetched)
        if refusal is not None:
            copies.candidate.unlink(missing_ok=True)
            copies.note(replace(about, refused=refusal, held=None))
            return None
        before = about.entries if about.origin == source.url and about.entries >= 0 and copies.good.is_file() else None
        hold = judge_change(before, read.gathered.entries, self.changes)
        if hold is not None:
            copies.hold(about, _held(copies.candidate, hold))
            return None
        return self._accept(source, copies, copies.candidate, read, replace(about, origin=source.url or ""))

    def _own_file(self, source: Source) -> Taken:
        path = source.path
        assert path is not None
        if source.id.startswith("seed:"):
            return self._taken(source, self._read(source, path), "fresh", None, About())
        copies = Copies(self.state_dir, source.id)
        about = copies.about()
        kept = about.origin == str(path) and copies.good.is_file()
        try:
            digest = digest_of(path)
            read = self._read(source, path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            problem = Problem(f"không đọc được tệp {path}: {reason}", f"the file {path} cannot be read: {reason}")
            if source.is_transferred and isinstance(error, FileNotFoundError):
                problem = _LOST if kept else _NEVER_TAKEN
            return self._from_good(source, copies, about, "kept", problem) if kept else self._nothing(source, "missing", problem, about)
        share = self.errors.fetched if source.kind == "rpz" else self.errors.own
        refusal = self._too_many_errors(read, share) or _cut_to_nothing(path, about) or _no_zone(source, read)
        if refusal is not None and kept and digest != about.digest:
            return self._from_good(source, copies, about, "kept", Problem(refusal.vi, refusal.en))
        odd = Problem(refusal.vi, refusal.en) if refusal else _skipped(source, read)
        if source.is_transferred and kept and refusal is None and (taken := self._hold_sudden(source, copies, read, digest)):
            return taken
        if digest == about.digest and kept:
            if about.held is not None:
                copies.held.unlink(missing_ok=True)
                copies.note(replace(about, held=None, accepted=""))
            return self._taken(source, read, "fresh", odd, about)
        taken = self._accept(source, copies, path, read, replace(about, origin=str(path)), digest)
        taken.report = replace(taken.report, problem=odd or taken.report.problem)
        return taken

    def _hold_sudden(self, source: Source, copies: Copies, read: _Read, digest: str) -> Taken | None:
        """Let a zone that changed at a stroke wait for a person; the copy before it stays."""
        about = copies.about()
        if digest in (about.digest, about.accepted):
            return None
        hold = judge_change(about.entries, read.gathered.entries, self.changes)
        if hold is None or source.path is None:
            return None
        shutil.copyfile(source.path, copies.candidate)
        copies.hold(replace(about, checked_at=self.now), HeldCopy(digest, hold.after, hold.vi, hold.en))
        about = copies.about()
        return self._from_good(source, copies, about, *_standing(about, None))

    def _accept(self, source: Source, copies: Copies, path: Path, read: _Read, about: About, digest: str = "") -> Taken:
        about = replace(about, digest=digest or digest_of(path), entries=read.gathered.entries, fetched_at=self.now, checked_at=self.now)
        copies.accept(path, about)
        return self._taken(source, read, "fresh", None, about)

    def _from_good(self, source: Source, copies: Copies, about: About, state: State, problem: Problem | None) -> Taken:
        try:
            read = self._read(source, copies.good)
        except OSError:
            state = "refused" if state == "held" or about.refused else "missing"
            return self._nothing(source, state, problem or _MISSING, about)
        return self._taken(source, read, state, problem, about)

    def _read(self, source: Source, path: Path) -> _Read:
        used, harvest = parse_file(path, source.format, source.options)
        return self._gathered(source, used, harvest)

    def _gathered(self, source: Source, used: str, harvest: Harvest) -> _Read:
        errors, found = harvest.errors, harvest.entries + len(harvest.addresses)
        gathered = gather(source, harvest, self.guard, self.catalogue)
        return _Read(used, harvest.lines, errors, found, dict(harvest.examples), harvest.facts, gathered)

    def _too_many_errors(self, read: _Read, share: float) -> Refused | None:
        total = read.errors + read.found
        if not read.errors or (read.found and (read.errors < self.errors.floor or read.errors <= share * total)):
            return None
        return Refused(
            f"{read.errors} trong {total} dòng không đọc được, nên bản mới không được dùng",
            f"{read.errors} of {total} lines are mistakes, so the new copy is not used",
        )

    def _nothing(self, source: Source, state: State, problem: Problem, about: About) -> Taken:
        read = self._gathered(source, source.format, Harvest())
        return self._taken(source, read, state, problem, about)

    def _taken(self, source: Source, read: _Read, state: State, problem: Problem | None, about: About) -> Taken:
        gathered = read.gathered
        by_category: dict[str, int] = {}
        for part in gathered.parts:
            if part.row.category is not None:
                by_category[part.row.category] = by_category.get(part.row.category, 0) + part.entries
        if problem is None and not gathered.entries and state == "fresh":
            problem = Problem("danh sách không có mục nào dùng được", "the list has no entry that can be used")
        report = SourceReport(
            id=source.id,
            title=source.title or read.facts.get("title", ""),
            kind=source.kind,
            category=source.category,
            action=source.action,
            level=source.level,
            format=read.format,
            state=state,
            entries=gathered.entries,
            lines=read.lines,
            rejected=dict(gathered.rejected),
            examples=read.examples,
            refusals=tuple(gathered.refusals),
            by_category=by_category,
            problem=problem,
            fetched_at=about.fetched_at,
            checked_at=about.checked_at,
            facts=read.facts,
        )
        return Taken(gathered.parts, _counts(gathered.rejected), report)


def _standing(about: About, error: FetchError | None) -> tuple[State, Problem | None]:
    """How a subscription stands whose good copy is used."""
    if error is not None:
        return "kept", Problem(error.vi, error.en)
    if about.held is not None:
        return "held", Problem(f"bản mới chờ người xem: {about.held.vi}", f"the new copy waits for a person: {about.held.en}")
    if about.refused is not None:
        return "kept", Problem(about.refused.vi, about.refused.en)
    if about.failures:
        return "kept", Problem("lần tải gần nhất không được", "the last fetch failed")
    return "fresh", None


def _held(candidate: Path, hold: Hold) -> HeldCopy:
    return HeldCopy(digest_of(candidate), hold.after, hold.vi, hold.en)


def _cut_to_nothing(path: Path, about: About) -> Refused | None:
    """An own file of no bytes where there were entries is a file that was cut off, not one that says nothing."""
    if about.entries > 0 and path.stat().st_size == 0:
        return Refused("tệp trở thành rỗng, giữ bản trước", "the file became empty; the copy before it stays")
    return None


def _no_zone(source: Source, read: _Read) -> Refused | None:
    """A policy zone without its SOA record is another file, or one that was cut off at its head."""
    if source.kind != "rpz" or "serial" in read.facts:
        return None
    return Refused(
        "tệp không phải là một vùng: thiếu bản ghi SOA, nên bản mới không được dùng",
        "the file is no zone: its SOA record is missing, so the new copy is not used",
    )


def _skipped(source: Source, read: _Read) -> Problem | None:
    """Rules of a policy zone are few and written on purpose: even one that is skipped is said."""
    if source.kind != "rpz" or not read.errors:
        return None
    return Problem(
        f"{read.errors} bản ghi của vùng không đọc được và bị bỏ qua", f"{read.errors} records of the zone cannot be read and are skipped"
    )


def _counts(rejected: Mapping[Reason, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in rejected.items() if count}
