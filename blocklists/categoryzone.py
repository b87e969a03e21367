"""A category of the compiled lists as a policy zone, served from files: however many names it has, nobody holds them in memory.

`blocklists.categorybuild` writes the files in a process of its own; `blocklists.xfr` serves them to other people's resolvers. A zone has

* `zone.json`: the newest serial, out of which index it was made, its sources, and which steps lead to it;
* `rules.<serial>`: one line a record, sorted: an index key (`com.example.`), a tab, and what is said (below);
* `step.<serial>`: what left (`-`) and what came (`+`) with that serial, for IXFR.

Files that a transfer has open stay readable when newer ones take their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import dns.name
import dns.rrset

from blocklists.zonerecords import Origin
from gateway.policy.model import Band
from gateway.release import Manifest

FOLDER: Final = "zones-out"
STATE: Final = "zone.json"
FORMAT: Final = 1
BELOW_CLOSES, BELOW_PASSES, CLOSES, PASSES, TEXT = "*b", "*p", "=b", "=p", "t"
"""What a line says about its key: what is below it, or the name itself, is closed or left alone; or a text about the zone."""
OPERATOR: Final = "local"
"""The tenant whose rules are the operator's own."""
ABOUT: Final = "_sources"
"""The label below the zone whose TXT records say where its names are from."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A zone that is wanted: its name, its category, whom it is for, and lists whose publishers let the operator pass them on."""

    zone: str
    category: str
    bands: frozenset[Band]
    passing_on: frozenset[str] = frozenset()

    def made_from(self, manifest: Manifest) -> dict[str, Any]:
        """Everything that the zone depends on."""
        return {
            "index": manifest.index_dir,
            "catalogue": manifest.catalogue,
            "category": self.category,
            "bands": sorted(band.value for band in self.bands),
            "passing_on": sorted(self.passing_on),
            "rules": dict(manifest.policies).get(OPERATOR, ""),
        }

    def to_json(self) -> dict[str, Any]:
        """As the process is told."""
        bands = sorted(band.value for band in self.bands)
        return {"zone": self.zone, "category": self.category, "bands": bands, "passing_on": sorted(self.passing_on)}


def read_offer(row: Mapping[str, Any]) -> Offer:
    """What `Offer.to_json` wrote."""
    return Offer(str(row["zone"]), str(row["category"]), frozenset(map(Band, row["bands"])), frozenset(map(str, row["passing_on"])))


@dataclass(frozen=True, slots=True)
class Step:
    """From one serial to the next, and how many records that takes."""

    before: int
    after: int
    lines: int


@dataclass(frozen=True, slots=True)
class State:
    """What `zone.json` says. `made_from` names the index and everything else the rules depend on; `left_out` are sources whose licence is
    not known to let others have them."""

    serial: int
    made_from: Mapping[str, Any]  # Any: JSON, compared whole
    rules: int
    sources: Sequence[str] = ()
    left_out: Sequence[str] = ()
    steps: tuple[Step, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "format": FORMAT,
            "serial": self.serial,
            "made_from": dict(self.made_from),
            "rules": self.rules,
            "sources": list(self.sources),
            "left_out": list(self.left_out),
            "steps": [[step.before, step.after, step.lines] for step in self.steps],
        }


def folder_of(state_dir: Path, zone: str) -> Path:
    """Where a zone's files are."""
    return state_dir / FOLDER / zone


def read_state(folder: Path) -> State | None:
    """What is known of a zone; None where there is none, or none that can be read."""
    try:
        found = json.loads((folder / STATE).read_bytes())
        if found["format"] != FORMAT:
            return None
        steps = tuple(Step(*map(int, row)) for row in found["steps"])
        return State(int(found["serial"]), found["made_from"], int(found["rules"]), found["sources"], found["left_out"], steps)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class CategoryZone:
    """One category as a zone, at the newest serial that was written."""

    def __init__(self, name: str, folder: Path, state: State) -> None:
        self._records_of = Origin(name)
        self._folder = folder
        self.state = state

    @property
    def origin(self) -> dns.name.Name:
        """The zone's name."""
        return self._records_of.name

    def soa(self) -> dns.rrset.RRset:
        """The SOA of the newest serial."""
        return self._records_of.soa(self.state.serial)

    def whole(self) -> Iterator[bytes]:
        """The records for AXFR. Raises OSError when the file is gone."""
        rules = open(self._folder / f"rules.{self.state.serial}", "rb")  # noqa: SIM115  # closed when the records end, or are given up
        return self._all(rules, self.state.serial)

    def since(self, serial: int) -> Iterator[bytes] | None:
        """The records for IXFR, only the SOA when it is up to date, None when the whole zone is needed."""
        state = self.state
        if serial == state.serial:
            return iter([self._records_of.soa_record(serial)])
        first = next((place for place, step in enumerate(state.steps) if step.before == serial), None)
        if first is None:
            return None
        steps = state.steps[first:]
        files: list[BinaryIO] = []
        try:
            for step in steps:
                files.append(open(self._folder / f"step.{step.after}", "rb"))  # noqa: SIM115
        except OSError:
            for file in files:
                file.close()
            return None
        return self._differences(steps, files, state.serial)

    def _all(self, rules: BinaryIO, serial: int) -> Iterator[bytes]:
        with rules:
            yield self._records_of.soa_record(serial)
            yield self._records_of.name_server()
            for line in rules:
                yield from self._record(line)
            yield self._records_of.soa_record(serial)

    def _differences(self, steps: Sequence[Step], files: Sequence[BinaryIO], serial: int) -> Iterator[bytes]:
        soa = self._records_of.soa_record
        try:
            yield soa(serial)
            for step, file in zip(steps, files, strict=True):
                for number, sign in ((step.before, b"-"), (step.after, b"+")):
                    yield soa(number)
                    file.seek(0)
                    for line in file:
                        if line.startswith(sign):
                            yield from self._record(line[1:])
            yield soa(serial)
        finally:
            for file in files:
                file.close()

    def _record(self, line: bytes) -> Iterator[bytes]:
        key, _, said = line.decode().rstrip("\n").partition("\t")
        if said.startswith(TEXT):
            yield self._records_of.text(ABOUT, said[len(TEXT) :])
            return
        record = self._records_of.rule(key, said[0] == "*", said[1] == "p")
        if record is not None:
            yield record
