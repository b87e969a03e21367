"""A large order segment, mapped: all workers share one copy of its names, and opening it costs the same whatever its size.

`state_dir/segments/<digest of the segment>/` holds `names.marisa` (a trie of keys), `rows.bin` (per key: which orders, how), `orders.bin`
(ids, sorted, and their documents) and `header.json` (digests of the rest). It is made from the segment's JSON by whoever brought that into
place (`write_mapped`, in a job process); where it is missing or damaged the JSON is read instead. Any package may import this module.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import marisa_trie

from gateway.errors import GenerationError
from gateway.policy.masked import is_masked, mask
from gateway.policy.names import Coverage
from gateway.policy.overlay import EVERYWHERE, Layer, Order, Scope, SmallLayer, Touched, parse_segment, read_order, read_scope
from gateway.release import SEGMENTS, canonical_bytes, read_file
from gateway.wire.name import covering_keys

LARGE: Final = 4096
"""From how many rows on a segment is mapped."""
_FORMAT: Final = 1
_LIFTED: Final = 3
_MOST_ORDERS: Final = 16_384
_PARTS: Final = ("names.marisa", "rows.bin", "orders.bin", "moments.bin")
_COVERAGES: Final = (Coverage.BOTH, Coverage.EXACT, Coverage.BELOW, None)


def count_rows(document: Mapping[str, Any]) -> int:  # Any: JSON
    """How large a segment is."""
    return len(document["entries"]) + len(document.get("lifted") or ())


def open_layer(state_dir: Path, name: str) -> Layer:
    """A segment of this state directory: mapped where it is large. Raises GenerationError."""
    try:
        return MappedLayer(state_dir, name)
    except GenerationError:
        pass  # small, or not mapped yet, or damaged: its JSON decides
    document = read_file(state_dir, name)
    try:
        if count_rows(document) >= LARGE:
            write_mapped(state_dir, name, document)
            return MappedLayer(state_dir, name)
    except (OSError, KeyError, TypeError, ValueError, IndexError, GenerationError):
        pass
    return SmallLayer([(name, document)])


def write_mapped(state_dir: Path, name: str, document: Mapping[str, Any]) -> None:  # Any: JSON
    """Put the mapped form of a large segment in place, unless it is there or the segment is small. Raises what `parse_segment` raises."""
    target = state_dir / SEGMENTS / name[:64]
    if count_rows(document) < LARGE or target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".mapping-", dir=target.parent))
    try:
        parts = _encode(document)
        for part, data in parts.items():
            with open(folder / part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        os.rename(folder, target)
    except OSError:
        if not target.is_dir():  # another process may have been faster
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encode(document: Mapping[str, Any]) -> dict[str, bytes]:
    orders, entries, lifted = parse_segment(document)
    written = {str(row["id"]): row for row in document["orders"]}
    ids = sorted({*written, *(identity for _, identity in lifted)}, key=str.encode)
    places = {identity: place for place, identity in enumerate(ids)}
    rows = _Rows()
    for key, coverage, number in entries:
        rows.add(key, places[orders[number].id], int(coverage))
    for key, identity in lifted:
        if key and (is_masked(key) or not rows.lists(key, places[identity])):
            rows.add(key, places[identity], _LIFTED)
    trie = marisa_trie.Trie(sorted(rows.of_key))
    starts, codes = array("I", [0]), array("I")
    for key in map(trie.restore_key, range(len(trie))):
        codes.extend(rows.codes(key))
        starts.append(len(codes))
    names, texts = [identity.encode() for identity in ids], [canonical_bytes(written[one]) if one in written else b"" for one in ids]
    moments = sorted({moment for order in orders for moment in (order.start, order.until)})
    scopes = {order.scope: written[order.id]["scope"] for order in orders if order.scope is not EVERYWHERE}
    found = {
        "names.marisa": trie.tobytes(),
        "rows.bin": _words([len(starts)]) + _little(starts) + _little(codes),
        "orders.bin": _words([len(ids)]) + _offsets(names) + _offsets(texts) + b"".join(names) + b"".join(texts),
        "moments.bin": _little(array("d", moments)),
    }
    header = {
        "format": _FORMAT, "rows": count_rows(document), "keys": len(trie), "masked": int(any(map(is_masked, rows.of_key))),
        "scopes": list(scopes.values()),
        "lifted_orders": sorted({identity for key, identity in lifted if not key}),
        "digests": {part: hashlib.sha256(data).hexdigest() for part, data in found.items()},
    }  # fmt: skip
    return {**found, "header.json": canonical_bytes(header)}


class _Rows:
    """What is said about each key, as it is written: the place of an order, times four, and what it says. There may be millions of keys,
    nearly all of one row, so a row is a number, and only keys with several have a dictionary: place and whether it lifts → what it says."""

    def __init__(self) -> None:
        self.of_key: dict[str, int | dict[int, int]] = {}
        self._same: dict[int, int] = {}

    def add(self, key: str, place: int, kind: int) -> None:
        """One more row; of two that list the same, the later one holds."""
        found = self.of_key.get(key)
        if found is None:
            code = place << 2 | kind
            self.of_key[key] = self._same.setdefault(code, code)
            return
        if isinstance(found, int):
            found = self.of_key[key] = {_named(found): found & 3}
        found[_named(place << 2 | kind)] = kind

    def lists(self, key: str, place: int) -> bool:
        """Whether a row lists the key for the order at this place."""
        found = self.of_key.get(key)
        return found is not None and (place << 1 in found if isinstance(found, dict) else found & 3 != _LIFTED and found >> 2 == place)

    def codes(self, key: str) -> list[int]:
        """The rows of a key, in the order they came."""
        found = self.of_key[key]
        return [found] if isinstance(found, int) else [name >> 1 << 2 | kind for name, kind in found.items()]


def _named(code: int) -> int:
    return code >> 2 << 1 | (code & 3 == _LIFTED)


def _offsets(pieces: Sequence[bytes]) -> bytes:
    ends = array("I", [0])
    total = 0
    for piece in pieces:
        total += len(piece)
        ends.append(total)
    return _little(ends)


def _words(values: Sequence[int]) -> bytes:
    return _little(array("I", values))


def _little(values: array[Any]) -> bytes:  # Any: of either number
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


class MappedLayer:
    """A large segment on disk, as the overlay asks it (`overlay.Layer`)."""

    def __init__(self, state_dir: Path, name: str) -> None:
        """Verify and map. Raises GenerationError."""
        folder = state_dir / SEGMENTS / name[:64]
        where = f"{SEGMENTS}/{name[:64]}"
        try:
            header = json.loads((folder / "header.json").read_bytes())
            if header["format"] != _FORMAT or sys.byteorder != "little":
                raise ValueError("another format")
            maps = {part: _map(folder / part) for part in _PARTS}
            for part, data in maps.items():
                if hashlib.sha256(data).hexdigest() != header["digests"][part]:
                    raise GenerationError(f"{where}/{part}", "the content does not match its digest")
            self.names: tuple[str, ...] = (name,)
            self.size = int(header["rows"])
            self._is_masked_too = bool(header["masked"])
            self.lifted_orders = frozenset(map(str, header["lifted_orders"]))
            self.scopes: frozenset[Scope] = frozenset(read_scope(row) for row in header["scopes"])
            self.moments: Sequence[float] = memoryview(maps["moments.bin"]).cast("d") if maps["moments.bin"] else ()
            self._trie = marisa_trie.Trie()
            self._trie.mmap(str(folder / "names.marisa"))
            rows = memoryview(maps["rows.bin"]).cast("I")
            self._starts, self._codes = rows[1 : 1 + rows[0]], rows[1 + rows[0] :]
            self._data = memoryview(maps["orders.bin"])
            count = self._data[:4].cast("I")[0]
            table = self._data[4 : 4 + 8 * (count + 1)].cast("I")
            self._ids, self._texts = table[: count + 1], table[count + 1 :]
            self._first_id = 4 + 8 * (count + 1)
            self._first_text = self._first_id + self._ids[count]
        except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, RecursionError) as error:
            raise GenerationError(where, f"cannot be mapped ({type(error).__name__})") from error
        self._known: dict[int, Order | None] = {}

    def touching(self, key: str) -> Touched:
        """See `overlay.Layer`."""
        found: Touched = [(len(prefix), False, self._rows(number)) for prefix, number in self._trie.iter_prefixes_with_ids(key)]
        if self._is_masked_too:
            for part in covering_keys(key):
                if (hidden := mask(part)) in self._trie:
                    found.append((len(part), True, self._rows(self._trie[hidden])))
        return found

    def lists(self, key: str) -> bool:
        """See `overlay.Layer`."""
        if next(self._trie.iter_prefixes_with_ids(key), None) is not None:
            return True
        return self._is_masked_too and any(mask(part) in self._trie for part in covering_keys(key))

    def lists_below(self, key: str) -> bool:
        """See `overlay.Layer`."""
        return any(len(listed) > len(key) for listed in islice(self._trie.iterkeys(key), 2))

    @property
    def has_masked(self) -> bool:
        """See `overlay.Layer`."""
        return self._is_masked_too

    def order(self, identity: str) -> Order | None:
        """See `overlay.Layer`."""
        wanted, low, high = identity.encode(), 0, len(self._ids) - 1
        while low < high:
            middle = (low + high) // 2
            if self._id(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return self._order(low) if low < len(self._ids) - 1 and self._id(low) == wanted else None

    def rows(self) -> Iterator[tuple[str, str, Coverage | None]]:
        """See `overlay.Layer`."""
        for key, number in self._trie.iteritems():
            for identity, coverage in self._rows(number):
                yield key, identity, coverage

    def _rows(self, number: int) -> list[tuple[str, Coverage | None]]:
        codes = self._codes[self._starts[number] : self._starts[number + 1]]
        return [(self._id(code >> 2).decode(), _COVERAGES[code & 3]) for code in codes]

    def _id(self, place: int) -> bytes:
        first = self._first_id
        return bytes(self._data[first + self._ids[place] : first + self._ids[place + 1]])

    def _order(self, place: int) -> Order | None:
        if place in self._known:
            return self._known[place]
        if len(self._known) >= _MOST_ORDERS:
            self._known = {}
        first = self._first_text
        text = bytes(self._data[first + self._texts[place] : first + self._texts[place + 1]])
        found = self._known[place] = read_order(json.loads(text)) if text else None
        return found


def _map(path: Path) -> mmap.mmap | bytes:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
