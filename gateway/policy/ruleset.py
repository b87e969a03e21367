"""What one owner has set: switches, names, windows and timed overrides. Any package may import this module.

A ruleset belongs to one level. It is parsed once, kept small (names stay text until the rules are needed), and never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from gateway.errors import InvalidName
from gateway.policy.model import Level
from gateway.policy.names import expression_of, parse_name_rule
from gateway.policy.reading import Json, Reading, join
from gateway.policy.schedule import Window, parse_window
from gateway.policy.weighing import REMEDY, too_dear, too_dear_together

LONGEST_CLASS_WINDOW: Final = 90 * 60
"""Seconds a teacher's window may last."""

OverrideKind = Literal["off", "open", "exception", "window"]


class Vocabulary(Protocol):
    """The codes and ids that a policy file may use; the catalogue is one."""

    @property
    def codes(self) -> frozenset[str]: ...
    @property
    def service_ids(self) -> frozenset[str]: ...
    def is_delegable(self, code: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Override:
    """A timed override, in force from `start` (None: from the beginning) until before `until` (unix seconds)."""

    id: str
    kind: OverrideKind
    start: float | None
    until: float
    names: tuple[str, ...]
    categories: frozenset[str]
    services: frozenset[str]

    def is_active(self, now: float) -> bool:
        """Whether it is in force at `now` (unix seconds)."""
        return now < self.until and (self.start is None or self.start <= now)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Switches are True where they block, False where they allow. `allow` and `deny` are rules by name as written."""

    categories: Mapping[str, bool]
    services: Mapping[str, bool]
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    schedule: tuple[Window, ...]
    overrides: tuple[Override, ...]


_NO_SWITCHES: Final[Mapping[str, bool]] = {}
NO_RULES: Final = Ruleset(_NO_SWITCHES, _NO_SWITCHES, (), (), (), ())
RULESET_KEYS: Final = frozenset({"categories", "services", "allow", "deny", "schedule", "overrides"})
_OVERRIDE_KEYS: Final = frozenset({"id", "kind", "from", "until", "names", "categories", "services"})
_KINDS: Final = ("off", "open", "exception", "window")
_SWITCHES: Final = {"block": True, "allow": False}


def parse_ruleset(row: Json, path: str, level: Level, reading: Reading, words: Vocabulary | None) -> Ruleset:
    """The ruleset in `row`, whose other keys are the caller's. Without `words` codes and ids are not checked."""
    if not any(row.get(key) for key in RULESET_KEYS):
        return NO_RULES
    codes = None if words is None else words.codes
    schedule = [
        parse_window(window, f"{path}.schedule[{number}]", reading, codes)
        for number, window in enumerate(reading.rows(row.get("schedule"), f"{path}.schedule"))
    ]
    overrides = [
        _parse_override(override, f"{path}.overrides[{number}]", level, reading, words)
        for number, override in enumerate(reading.rows(row.get("overrides"), f"{path}.overrides"))
    ]
    rules = Ruleset(
        _parse_switches(row.get("categories"), f"{path}.categories", reading, codes, "category"),
        _parse_switches(row.get("services"), f"{path}.services", reading, None if words is None else words.service_ids, "service"),
        _parse_names(row.get("allow"), f"{path}.allow", reading),
        _parse_names(row.get("deny"), f"{path}.deny", reading),
        tuple(window for window in schedule if window is not None),
        tuple(override for override in overrides if override is not None),
    )
    if words is not None:
        _weigh_expressions(rules, path, reading)
    return rules


def _weigh_expressions(rules: Ruleset, path: str, reading: Reading) -> None:
    """Refuse expressions that make a name dear. Only what is written now is weighed: what was taken once is loaded as it is."""
    places = {"allow": rules.allow, "deny": rules.deny}
    places |= {f"overrides[{number}].names": override.names for number, override in enumerate(rules.overrides)}
    fine = []
    for key, texts in places.items():
        for number, text in enumerate(texts):
            expression = expression_of(text)
            if expression is None:
                continue
            try:
                why = too_dear(expression)
            except InvalidName:
                continue  # has been told
            if why is None:
                fine.append(expression)
            else:
                reading.fault(join(path, f"{key}[{number}]"), f"{text} {why}", REMEDY)
    why = too_dear_together(fine)
    if why is not None:
        reading.fault(path or "$", why, REMEDY)


def _parse_switches(value: object, path: str, reading: Reading, known: frozenset[str] | None, what: str) -> Mapping[str, bool]:
    if not value:
        if value is not None and value != {}:
            reading.fault(path, "must be an object")
        return _NO_SWITCHES
    if not isinstance(value, dict):
        reading.fault(path, "must be an object")
        return _NO_SWITCHES
    switches = {}
    for name, word in value.items():
        if known is not None and name not in known:
            reading.table({name: 0}, path, known)  # names the nearest one
            continue
        if not isinstance(word, str) or word not in _SWITCHES:
            reading.fault(f"{path}.{name}", f"must be allow or block for a {what}")
            continue
        switches[name] = _SWITCHES[word]
    return switches


def _parse_names(value: object, path: str, reading: Reading) -> tuple[str, ...]:
    texts = reading.texts(value, path)
    for number, text in enumerate(texts):
        try:
            parse_name_rule(text)
        except InvalidName as error:
            reading.fault(f"{path}[{number}]", f"is not a name: {error.reason}")
    return texts


def _parse_override(value: object, path: str, level: Level, reading: Reading, words: Vocabulary | None) -> Override | None:
    before = len(reading.mistakes)
    row = reading.table(value, path, _OVERRIDE_KEYS, ("kind", "until"))
    kind = cast(OverrideKind, reading.choice(row.get("kind"), f"{path}.kind", _KINDS, "off"))
    start = None if row.get("from") is None else reading.moment(row["from"], f"{path}.from")
    until = reading.moment(row["until"], f"{path}.until") if "until" in row else None
    names = _parse_names(row.get("names"), f"{path}.names", reading)
    categories = _parse_codes(row.get("categories"), f"{path}.categories", reading, None if words is None else words.codes)
    services = _parse_codes(row.get("services"), f"{path}.services", reading, None if words is None else words.service_ids)
    if start is not None and until is not None and until <= start:
        reading.fault(f"{path}.until", "is not after from")
    if kind == "exception" and not names:
        reading.fault(f"{path}.names", "an exception names at least one name")
    if kind == "open" and not (categories or services):
        reading.fault(path, "opens nothing", "name categories or services")
    if kind == "window":
        _check_class_window(path, level, start, until, categories, (*names, *services), reading, words)
    identity = row.get("id")
    name = identity if isinstance(identity, str) else reading.text(identity or "override", f"{path}.id")
    if until is None or len(reading.mistakes) != before:
        return None
    return Override(name, kind, start, until, names, categories, services)


def _check_class_window(
    path: str,
    level: Level,
    start: float | None,
    until: float | None,
    categories: frozenset[str],
    others: tuple[str, ...],
    reading: Reading,
    words: Vocabulary | None,
) -> None:
    if level is not Level.SCHOOL:
        reading.fault(f"{path}.kind", "a window is the school's")
    if others:
        reading.fault(path, "a window opens categories only")
    if not categories:
        reading.fault(f"{path}.categories", "a window names at least one category")
    for code in sorted(categories):
        if words is not None and not words.is_delegable(code):
            reading.fault(f"{path}.categories", f"{code} may not be delegated")
    if start is None:
        reading.fault(f"{path}.from", "is missing", "a window says when it began")
    elif until is not None and until - start > LONGEST_CLASS_WINDOW:
        reading.fault(f"{path}.until", "a window lasts at most 90 minutes")


def _parse_codes(value: object, path: str, reading: Reading, known: frozenset[str] | None) -> frozenset[str]:
    codes = frozenset(reading.texts(value, path))
    if known is not None and not codes <= known:
        reading.table(dict.fromkeys(codes, 0), path, known)
    return codes
