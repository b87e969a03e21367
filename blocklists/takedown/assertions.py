"""What every release must leave true: "primary school must reach …", "must not reach …". One broken line, and the release stops.

The rows stand in `assertions.yaml`. They are judged by the gateway's own engine, from the catalogue and the lists in force, for a profile
of each band that has no rules of its own, with the candidate segment above them; so the work grows with the segment, not with the list.
Imported by `admin` (before an approval, and in the publishing duty) and by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from blocklists.normalize import key_of_name
from blocklists.takedown.masking import key_of_host
from blocklists.takedown.model import Match
from gateway.errors import GenerationError, LachanError
from gateway.policy.catalogue import read_catalogue
from gateway.policy.engine import Engine
from gateway.policy.index import ListIndex
from gateway.policy.model import Band, Block, Drop
from gateway.policy.model import Match as Client
from gateway.policy.overlay import Overlay
from gateway.policy.resolve import Interner, Resolver, Tenant
from gateway.policy.tenant import parse_policy_file
from gateway.release import read_file, read_manifest
from gateway.yamlfile import read

BANDS = (Band.MN, Band.TH, Band.CS, Band.PT, Band.NL)
_TENANT = "assertions"
_TYPE_A = 1
_EVER = {"from": "1970-01-02T00:00:00Z", "until": None, "no_end": True}
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}


@dataclass(frozen=True, slots=True)
class Assertion:
    """One line for one band: a name, or a category's cell of the matrix."""

    band: Band
    must: Literal["reach", "not_reach"]
    name: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that does not hold, and the document's number where an order is the reason."""

    assertion: Assertion
    order: str = ""


class ReleaseStopped(LachanError):
    """The candidate breaks assertions; nothing of it goes out."""

    def __init__(self, broken: tuple[Broken, ...]) -> None:
        self.broken = broken
        super().__init__(f"{len(broken)} assertions do not hold")


@cache
def shipped() -> tuple[Assertion, ...]:
    """The rows that come with the product, one for each band."""
    document = read(Path(str(resources.files("blocklists.takedown") / "assertions.yaml"))).value
    return tuple(
        Assertion(Band(band), must, row.get("name", ""), row.get("category", ""))
        for must in ("reach", "not_reach")
        for row in document[must]
        for band in row["bands"]
    )


class AssertionCheck:
    """Judges candidates by what is in force in a state directory. Reads files: call it off the event loop where there is one."""

    def __init__(self, state_dir: Path, assertions: tuple[Assertion, ...] | None = None) -> None:
        self.state_dir = state_dir
        self.assertions = shipped() if assertions is None else assertions
        self._loaded: tuple[str, str] = ("", "")
        self._engine: Engine | None = None

    def require(self, segment: Mapping[str, Any]) -> None:  # Any: an order segment
        """Stop a release. Raises ReleaseStopped."""
        broken = self.broken_by(segment)
        if broken:
            raise ReleaseStopped(broken)

    def broken_by(self, segment: Mapping[str, Any]) -> tuple[Broken, ...]:  # Any: an order segment
        """The lines that do not hold with this segment in force, whatever its dates. None are known before the first generation."""
        engine = self._open()
        if engine is None:
            return ()
        always = {**segment, "orders": [order | _EVER for order in segment["orders"]], "lifted": []}
        tenants = {_TENANT: _tenant()}
        interner = Interner(engine.index.name, engine.catalogue.version)
        resolver = Resolver(tenants, engine.catalogue, engine.index, Overlay([("candidate", always)]), interner)
        found = []
        for one in self.assertions:
            if one.category:
                is_closed, order = engine.catalogue.cell(one.category, one.band).blocked, ""
            else:
                verdict = engine.explain(key_of_name(one.name), _TYPE_A, resolver.effective(_client(one.band), _NOW)).verdict
                is_closed = isinstance(verdict, Block | Drop)
                order = verdict.rule.text.removeprefix("order ") if isinstance(verdict, Block) and verdict.reason == "order" else ""
            if is_closed is (one.must == "reach"):
                found.append(Broken(one, order))
        return tuple(found)

    def _open(self) -> Engine | None:
        try:
            manifest = read_manifest(self.state_dir)
            wanted = (manifest.index_dir, manifest.catalogue)
            if self._engine is None or self._loaded != wanted:
                catalogue = read_catalogue(read_file(self.state_dir, manifest.catalogue), manifest.catalogue, manifest.catalogue[:12])
                self._engine, self._loaded = Engine(catalogue, ListIndex(self.state_dir, manifest.index_dir)), wanted
        except (GenerationError, OSError):
            return None
        return self._engine


def candidate(hosts: Iterable[tuple[str, Match]], number: str, bands: Iterable[str]) -> dict[str, Any]:
    """The segment that a document would bring, for judging it before its approval."""
    order = {"id": "candidate", "number": number, "issuer": "", "issued_on": None, "basis": [], "bands": list(bands) or None} | _EVER
    return {"format": 1, "orders": [order], "entries": [[key_of_host(host), _MATCH[match], 0] for host, match in hosts], "lifted": []}


_NOW = 1_000_000.0


def _client(band: Band) -> Client:
    return Client(None, band.value, _TENANT, None, True, None)


@cache
def _tenant() -> Tenant:
    """A place whose profiles say nothing: what is left is the product's own judgement."""
    profiles = [{"id": band.value, "band": band.value, "owner": "parent"} for band in BANDS]
    return Tenant(parse_policy_file({"format": 1, "tenant": _TENANT, "kind": "family", "profiles": profiles}), _TENANT)
