"""Gathered entries → one index folder: a static trie of keys, a record per key, a header. `blocklists.jobs` imports this module.

The same input gives the same bytes, so the folder's name says what is in it: sources keep the order they are added in, keys are sorted,
sets of entries are numbered by their content. A key holds the set of all its entries (source, match, exception, action). The format is
read by `gateway.policy.index`; a folder that is in place is never rewritten.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import marisa_trie

from blocklists.parsers import ALWAYS, Action, AddressTrigger, Match, When
from gateway import release
from gateway.errors import GenerationError

FORMAT: Final = 1
FORMAT_WHEN: Final = 2
"""The format of an index with conditions: a reader that does not know them must refuse it, not apply their rules to everyone."""

_NARROW: Final = 65_536
_TICK: Final = 100_000

Kind = Literal["category", "action", "rpz", "good", "catalogue"]
Json = dict[str, Any]  # Any: JSON of index.json, whose shape is this module's own


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source of the index as index.json names it. `rpz` holds zone, policy and groups of a policy zone.

    `when` says for which queries the row is; `spares` names the rows that its exceptions undo while it is, its own aside.
    """

    id: str
    kind: Kind
    category: str | None = None
    action: Literal["block", "allow"] | None = None
    level: Literal["province", "school", "parent"] = "province"
    title: str = ""
    publisher: str = ""
    licence: str = ""
    rpz: Mapping[str, Any] | None = None  # Any: text and a list of texts
    when: When = ALWAYS
    spares: tuple[str, ...] = ()


class Shape(NamedTuple):
    """What the keys of one batch have in common inside their source."""

    match: Match = Match.BOTH
    exception: bool = False
    action: Action | None = None


@dataclass(slots=True)
class Compiled:
    """An index folder in place: its name under `index/`, how many keys and sets it has, how many entries each source row gave."""

    name: str
    keys: int
    sets: int
    entries: list[int]


@dataclass(slots=True)
class IndexWriter:
    """Takes sources one by one and writes the folder at the end. The caller may drop the keys of a source once they are added."""

    _sources: list[Json] = field(default_factory=list)
    _entries: list[tuple[int, int, int, int]] = field(default_factory=list)
    _actions: dict[Action, int] = field(default_factory=dict)
    _addresses: list[tuple[str, str, int, int]] = field(default_factory=list)
    _sets: list[tuple[int, ...]] = field(default_factory=list)
    _set_numbers: dict[tuple[int, ...], int] = field(default_factory=dict)
    _keys: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        row: SourceRow,
        batches: Mapping[Shape, Sequence[str]],
        rejected: Mapping[str, int] | None = None,
        addresses: Mapping[AddressTrigger, Action] | None = None,
    ) -> int:
        """Add one source with its keys (each at most once per shape). Returns how many entries it has, exceptions not counted."""
        number = len(self._sources)
        entries = 0
        for shape in sorted(batches, key=_shape_order):
            keys = batches[shape]
            if keys:
                self._add_keys((number, int(shape.match), int(shape.exception), self._action(shape.action)), keys)
                entries += 0 if shape.exception else len(keys)
        for trigger, action in sorted((addresses or {}).items(), key=lambda item: item[0]):
            self._addresses.append((trigger.trigger, trigger.network, number, self._action(action)))
            entries += 1
        self._sources.append(
            {
                "id": row.id,
                "kind": row.kind,
                "category": row.category,
                "action": row.action,
                "level": row.level,
                "title": row.title,
                "publisher": row.publisher,
                "licence": row.licence,
                "entries": entries,
                "rejected": {name: count for name, count in sorted((rejected or {}).items()) if count},
                "rpz": dict(row.rpz) if row.rpz else None,
                **({"when": _condition(row)} if row.when != ALWAYS else {}),
            }
        )
        return entries

    def write(self, state_dir: Path, tick: Callable[[int, int], None] = lambda done, total: None) -> Compiled:
        """Write the folder below `state_dir/index`, durably, and return its name. `tick` hears of keys done and keys in all."""
        keys = sorted(self._keys)
        parent = state_dir / "index"
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".compiling-", dir=parent))
        try:
            trie = marisa_trie.Trie(keys)
            trie.save(str(folder / release.INDEX_NAMES))
            width, sets, records = self._records(trie, keys, tick)
            (folder / release.INDEX_RECORDS).write_bytes(records)
            header = release.canonical_bytes(self._header(folder, len(keys), width, sets))
            (folder / release.INDEX_HEADER).write_bytes(header)
            name = release.index_name(header)
            _put_in_place(folder, parent / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Compiled(name, len(keys), len(sets), [row["entries"] for row in self._sources])

    def _add_keys(self, entry: tuple[int, int, int, int], keys: Iterable[str]) -> None:
        number = len(self._entries)
        self._entries.append(entry)
        alone = self._set((number,))
        joined: dict[int, int] = {}
        known = self._keys
        seen = known.get
        for key in keys:
            before = seen(key)
            if before is None:
                known[key] = alone
                continue
            after = joined.get(before)
            if after is None:
                after = joined[before] = self._set((*self._sets[before], number))
            known[key] = after

    def _set(self, members: tuple[int, ...]) -> int:
        number = self._set_numbers.get(members)
        if number is None:
            number = self._set_numbers[members] = len(self._sets)
            self._sets.append(members)
        return number

    def _action(self, action: Action | None) -> int:
        return -1 if action is None else self._actions.setdefault(action, len(self._actions))

    def _records(
        self, trie: marisa_trie.Trie, keys: Sequence[str], tick: Callable[[int, int], None]
    ) -> tuple[int, list[list[tuple[int, int, int, int]]], bytes]:
        """Records in the order of the trie's ids, and the sets they point to: those in use, in the order of their content."""
        used = sorted(set(self._keys.values()), key=lambda number: [self._entries[member] for member in self._sets[number]])
        order = {number: place for place, number in enumerate(used)}
        width: Literal[2, 4] = 2 if len(used) <= _NARROW else 4
        records = array("H" if width == 2 else "I", bytes(width * len(keys)))
        known = self._keys
        id_of = trie.key_id
        for start in range(0, len(keys), _TICK):
            for key in keys[start : start + _TICK]:
                records[id_of(key)] = order[known[key]]
            tick(min(start + _TICK, len(keys)), len(keys))
        if sys.byteorder == "big":
            records.byteswap()
        return width, [[self._entries[member] for member in self._sets[number]] for number in used], records.tobytes()

    def _header(self, folder: Path, keys: int, width: int, sets: list[list[tuple[int, int, int, int]]]) -> Json:
        return {
            "format": FORMAT_WHEN if any("when" in source for source in self._sources) else FORMAT,
            "width": width,
            "keys": keys,
            "digests": {name: _digest(folder / name) for name in (release.INDEX_NAMES, release.INDEX_RECORDS)},
            "sources": self._sources,
            "sets": sets,
            "actions": [{"kind": action.kind, "data": _action_data(action)} for action in self._actions],
            "addresses": [
                {"trigger": trigger, "network": network, "source": source, "action": action}
                for trigger, network, source, action in self._addresses
            ],
        }


def _condition(row: SourceRow) -> Json:
    when = {name: list(values) for name, values in row.when._asdict().items() if values}
    return {**when, "spares": list(row.spares)} if row.spares else when


def _shape_order(shape: Shape) -> tuple[Any, ...]:  # Any: sort key
    action = shape.action or Action("")
    return (shape.exception, shape.match, action.kind, action.target, action.records)


def _action_data(action: Action) -> str | list[list[int | str]] | None:
    if action.kind == "cname":
        return action.target
    return [list(record) for record in action.records] if action.kind == "local" else None


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_in_place(folder: Path, target: Path) -> None:
    """Move a finished folder to its name. One that is already there has the same content: only its time is renewed."""
    for path in (*sorted(folder.iterdir()), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    os.chmod(folder, 0o755)
    if target.is_dir() and _is_whole(target):
        os.utime(target)  # wanted again: the grace of pruning starts anew
        return
    shutil.rmtree(target, ignore_errors=True)
    os.rename(folder, target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_whole(target: Path) -> bool:
    try:
        release.verify_index(target.parent.parent, target.name)
    except GenerationError:
        return False
    return True
